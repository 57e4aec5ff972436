//! The daemon under test: started, killed and asked.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::image::{Image, Switch};

/// Ready again within this time after `kill -9`: what the library promises.
const READY_LIMIT: Duration = Duration::from_secs(10);
/// An orderly end takes no longer.
const END_LIMIT: Duration = Duration::from_secs(30);

/// A binary and the data directory that it works on.
#[derive(Debug)]
pub(crate) struct Installation {
    binary: PathBuf,
    data: PathBuf,
    log: PathBuf,
    /// Where the data directory is, if it is to lose its power with the daemon.
    image: Option<Image>,
}

/// A running daemon. It does not outlive this value.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    pub(crate) portal: String,
    pub(crate) target: String,
    /// From its start to its `ready` line.
    pub(crate) start: Duration,
}

/// A daemon that will be killed.
#[derive(Debug)]
pub(crate) struct Doomed {
    is_killed: Arc<AtomicBool>,
    killer: JoinHandle<anyhow::Result<()>>,
}

impl Installation {
    /// Uses a directory `data`, in the image if there is one, else in `directory`; a log file is in `directory`.
    pub(crate) fn new(binary: &Path, directory: &Path, image: Option<Image>) -> Self {
        let parent = image.as_ref().map_or(directory, Image::mounted);
        Self {
            binary: binary.to_owned(),
            data: parent.join("data"),
            log: directory.join("daemon.log"),
            image,
        }
    }

    /// What cuts the power, if that is what is to be done.
    pub(crate) fn switch(&self) -> Option<Switch> {
        self.image.as_ref().map(Image::switch)
    }

    /// After a kill: the file system is what the cut has left of it.
    pub(crate) fn power_on(&self) -> anyhow::Result<()> {
        self.image.as_ref().map_or(Ok(()), Image::power_on)
    }

    /// Where the catalogue is.
    pub(crate) fn catalogue(&self) -> PathBuf {
        self.data.join("catalogue")
    }

    /// Starts the daemon and waits until it can be used.
    pub(crate) fn start(&self) -> anyhow::Result<Daemon> {
        let begin = Instant::now();
        let mut child = self.spawn()?;
        let stdout = child.stdout.take();
        let mut daemon =
            Daemon { child, portal: String::new(), target: String::new(), start: Duration::ZERO };
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
                if line.is_err() || sender.send(line).is_err() {
                    return;
                }
            }
        });
        let line = match receiver.recv_timeout(READY_LIMIT) {
            Ok(line) => line?,
            Err(RecvTimeoutError::Timeout) => {
                bail!("the daemon is not ready {} s after its start", READY_LIMIT.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the daemon does not start: see {}", self.log.display())
            }
        };
        daemon.start = begin.elapsed();
        let words = line
            .strip_prefix("ready iscsi=")
            .and_then(|rest| rest.split_once(" target="))
            .with_context(|| format!("this is no ready line: {line}"))?;
        (daemon.portal, daemon.target) = (words.0.to_owned(), words.1.to_owned());
        Ok(daemon)
    }

    /// Starts the daemon and kills it soon, most likely while it recovers.
    pub(crate) fn start_and_kill(&self, after: Duration) -> anyhow::Result<()> {
        let mut child = self.spawn()?;
        thread::sleep(after);
        let ended = child.try_wait()?;
        let cut = match (ended, self.switch()) {
            (None, Some(switch)) => switch.cut(rustix::process::Pid::from_child(&child)),
            _ => Ok(()),
        };
        child.kill()?;
        child.wait()?;
        ensure!(ended.is_none(), "the daemon does not start: see {}", self.log.display());
        cut?;
        self.power_on()
    }

    /// A command that has to exit with 0.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let output = Command::new(&self.binary)
            .arg("--data")
            .arg(&self.data)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", self.binary.display()))?;
        ensure!(
            output.status.success(),
            "`vtl {}` ends with {}: {}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output.stdout)
    }

    /// `vtl inventory --format json`.
    pub(crate) fn inventory(&self) -> anyhow::Result<Vec<Value>> {
        let text = self.run(&["inventory", "--format", "json"])?;
        serde_json::from_slice(&text).context("`vtl inventory --format json` is no JSON array")
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        Command::new(&self.binary)
            .arg("serve")
            .arg("--data")
            .arg(&self.data)
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", self.binary.display()))
    }
}

impl Daemon {
    /// Kills it with SIGKILL after this time, whatever it does then; with a switch, the power is cut first.
    pub(crate) fn kill_after(mut self, after: Duration, switch: Option<Switch>) -> Doomed {
        let is_killed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_killed);
        let killer = thread::spawn(move || {
            thread::sleep(after);
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon ended by itself with {status}");
            }
            // First the flag: no consequence of the kill may look like a failure.
            flag.store(true, Ordering::SeqCst);
            let pid = rustix::process::Pid::from_child(&self.child);
            let cut = switch.map_or(Ok(()), |switch| switch.cut(pid));
            self.child.kill()?;
            self.child.wait()?;
            cut
        });
        Doomed { is_killed, killer }
    }

    /// Ends it in order.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let begin = Instant::now();
        while begin.elapsed() < END_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the daemon ends with {status} after SIGTERM");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("the daemon does not end within {} s after SIGTERM", END_LIMIT.as_secs())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only where it has ended and been waited for.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Doomed {
    /// Whether a broken connection is no wonder.
    pub(crate) fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::SeqCst)
    }

    /// Waits for the kill.
    pub(crate) fn wait(self) -> anyhow::Result<()> {
        match self.killer.join() {
            Ok(result) => result,
            Err(_) => bail!("the killing thread panicked"),
        }
    }
}
