//! The daemon in a temporary directory, and what its process uses.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// An orderly end takes no longer.
const END_LIMIT: Duration = Duration::from_secs(30);
/// Hours of work must not fill the disk with what was overwritten.
const CONFIGURATION: &str = "[undo]\nkeep-bytes = \"4GB\"\n";
/// What pools and allocators may keep, files of cartridges that are loaded, and threads that come and go.
const KEPT_BYTES: u64 = 64 << 20;
const KEPT_DESCRIPTORS: usize = 16;
const KEPT_THREADS: usize = 8;

/// The daemon, which does not outlive this value.
#[derive(Debug)]
pub(crate) struct Instance {
    binary: PathBuf,
    child: Child,
    portal: String,
    /// Of the library that was made.
    target: String,
    directory: TempDir,
}

/// What a process uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) resident_bytes: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

impl Instance {
    pub(crate) fn start(binary: &Path, parent: Option<&Path>) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("vtl-soak-");
        let directory = match parent {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        let data = directory.path().join("data");
        fs::create_dir(&data)?;
        fs::write(data.join("vtl.toml"), CONFIGURATION)?;
        let (child, portal) = serve(binary, directory.path())?;
        Ok(Self { binary: binary.to_owned(), child, portal, target: String::new(), directory })
    }

    /// Makes the library with its cartridges.
    pub(crate) fn fill(&mut self, drives: u16, cartridges: u16) -> anyhow::Result<()> {
        let (drives, count) = (drives.to_string(), cartridges.to_string());
        let made =
            self.run(&["library", "create", "soak", "--drives", &drives, "--slots", &count])?;
        let target = made.get("target").and_then(serde_json::Value::as_str);
        target.context("the new library has no target")?.clone_into(&mut self.target);
        self.run(&["tape", "create", "--count", &count, "--prefix", "SOK", "--library", "soak"])?;
        Ok(())
    }

    pub(crate) fn portal(&self) -> &str {
        &self.portal
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Puts the cartridge in a drive back.
    pub(crate) fn unload(&self, drive: usize) -> anyhow::Result<()> {
        self.run(&["unload", &drive.to_string(), "--library", "soak"]).map(drop)
    }

    /// Ends the daemon in order and starts it again.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        (self.child, self.portal) = serve(&self.binary, self.directory.path())?;
        Ok(())
    }

    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.stop()
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let pid = self.child.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let number = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find(|line| line.starts_with(name)).context("/proc")?;
            Ok(line.split_whitespace().nth(1).context("/proc")?.parse()?)
        };
        Ok(Usage {
            resident_bytes: number("VmRSS:")? * 1024,
            // Only root may look into the daemon, which holds keys.
            descriptors: match fs::read_dir(format!("/proc/{pid}/fd")) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => 0,
                entries => entries?.count(),
            },
            threads: usize::try_from(number("Threads:")?)?,
        })
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        let output = Command::new(&self.binary)
            .arg("--data")
            .arg(self.directory.path().join("data"))
            .args(["--format", "json"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "`vtl {}`: {errors}", arguments.join(" "));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let begin = Instant::now();
        while begin.elapsed() < END_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the daemon ends with {status}");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("the daemon does not end after SIGTERM")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Both fail only where it has ended and been waited for.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
        if thread::panicking() {
            return;
        }
        let mut log = String::new();
        let path = self.directory.path().join("daemon.log");
        if File::open(path).and_then(|mut file| file.read_to_string(&mut log)).is_ok() {
            for line in
                log.lines().filter(|line| line.contains(" ERROR ") || line.contains("panicked"))
            {
                eprintln!("daemon: {line}");
            }
        }
    }
}

impl Usage {
    /// Whether it is no more than before, but for what is kept.
    pub(crate) fn is_back(&self, before: &Self) -> bool {
        self.resident_bytes <= before.resident_bytes + KEPT_BYTES
            && self.descriptors <= before.descriptors + KEPT_DESCRIPTORS
            && self.threads <= before.threads + KEPT_THREADS
    }
}

/// Starts the daemon and waits until it is ready.
fn serve(binary: &Path, directory: &Path) -> anyhow::Result<(Child, String)> {
    let log = File::options().create(true).append(true).open(directory.join("daemon.log"))?;
    let mut child = Command::new(binary)
        .arg("--data")
        .arg(directory.join("data"))
        .args(["--log", "human", "serve", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    let portal = line.strip_prefix("ready iscsi=").and_then(|rest| rest.split_once(' '));
    let portal = portal.context("the daemon does not start")?.0.to_owned();
    Ok((child, portal))
}
