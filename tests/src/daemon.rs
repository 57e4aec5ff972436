//! `vtl serve` as a child process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::{Ran, binary, poll};

/// From the start of the process to its `ready` line. A machine that is busy with other tests is slow.
const READY_LIMIT: Duration = Duration::from_mins(2);
/// From SIGKILL to the end of the process.
const KILL_LIMIT: Duration = Duration::from_mins(1);

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    /// Where initiators connect.
    pub portal: SocketAddr,
    /// The name of the target.
    pub target: String,
    directory: PathBuf,
    child: Child,
    log: Option<JoinHandle<String>>,
}

impl Daemon {
    /// Starts the library of a directory on a free loopback port, and waits until it is ready.
    pub fn start(directory: &Path) -> Self {
        Self::start_with(directory, &["--listen", "127.0.0.1:0"])
            .unwrap_or_else(|ran| panic!("the daemon ended before it was ready: {ran:?}"))
    }

    /// Starts it with arguments of one's own; how it ended if it did so before it was ready.
    pub fn start_with(directory: &Path, arguments: &[&str]) -> Result<Self, Ran> {
        Self::spawn(Command::new(binary()), directory, arguments)
    }

    /// Starts it under a limit that a shell sets, such as `ulimit -n 100`.
    pub fn start_limited(directory: &Path, limit: &str) -> Result<Self, Ran> {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{limit} && exec \"$@\""), "sh"]).arg(binary());
        Self::spawn(shell, directory, &["--listen", "127.0.0.1:0"])
    }

    fn spawn(mut command: Command, directory: &Path, arguments: &[&str]) -> Result<Self, Ran> {
        let mut child = command
            .arg("--data")
            .arg(directory)
            .args(["--log", "human", "serve"])
            .args(arguments)
            .env_remove("VTL_DATA")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("vtl starts");
        let mut errors = child.stderr.take().expect("stderr is piped");
        let log = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            errors.read_to_end(&mut bytes).expect("stderr can be read");
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                if sender.send(line.expect("stdout is text")).is_err() {
                    return;
                }
            }
        });
        let ready = match lines.recv_timeout(READY_LIMIT) {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = ended(&mut child, KILL_LIMIT);
                let stderr = log.join().expect("the log is read");
                return Err(Ran { code: status.code(), stdout: String::new(), stderr });
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill().expect("the child can be killed");
                panic!("no ready line within {READY_LIMIT:?}; log: {:?}", log.join());
            }
        };
        let (portal, target) = parse_ready(&ready);
        Ok(Self { portal, target, directory: directory.to_owned(), child, log: Some(log) })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs a command line against it.
    pub fn vtl(&self, arguments: &[&str]) -> Ran {
        crate::vtl(&self.directory, arguments)
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child can be asked").is_none()
    }

    /// Sends a signal, and waits for the end of the process; its status and its log.
    pub fn end(mut self, signal: Signal, limit: Duration) -> (ExitStatus, String) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the daemon runs");
        let status = ended(&mut self.child, limit);
        let log = self.log.take().map(|log| log.join().expect("the log is read"));
        (status, log.unwrap_or_default())
    }

    /// An orderly end.
    pub fn stop(self) {
        let (status, log) = self.end(Signal::TERM, Duration::from_mins(1));
        assert!(status.success(), "{status}: {log}");
    }

    /// The end without notice: kill -9.
    pub fn kill(self) {
        let (status, log) = self.end(Signal::KILL, KILL_LIMIT);
        assert!(status.code().is_none(), "{status}: {log}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.is_running() {
            self.child.kill().expect("the daemon can be killed");
            self.child.wait().expect("the daemon ends");
        }
        if std::thread::panicking()
            && let Some(Ok(log)) = self.log.take().map(JoinHandle::join)
        {
            eprintln!("--- log of the daemon\n{log}---");
        }
    }
}

fn ended(child: &mut Child, limit: Duration) -> ExitStatus {
    poll("the end of the daemon", limit, || child.try_wait().expect("the child can be asked"))
}

/// `ready iscsi=ADDR:PORT target=IQN`
fn parse_ready(line: &str) -> (SocketAddr, String) {
    let parse = || {
        let (portal, target) = line.strip_prefix("ready iscsi=")?.split_once(" target=")?;
        Some((portal.parse().ok()?, target.to_owned()))
    };
    parse().unwrap_or_else(|| panic!("not a ready line: {line}"))
}
