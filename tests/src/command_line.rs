//! The command line, as a shell would see it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::binary;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs `vtl --data DIRECTORY` with these arguments to its end.
pub fn vtl(directory: &Path, arguments: &[&str]) -> Ran {
    let output = Command::new(binary())
        .arg("--data")
        .arg(directory)
        .args(arguments)
        .env_remove("VTL_DATA")
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .output()
        .expect("vtl starts");
    Ran::from(output)
}

impl Ran {
    /// Panics unless the command was done; then it is itself.
    #[track_caller]
    pub fn done(self) -> Self {
        self.ended(0)
    }

    /// Panics unless the command ended with this exit code. A failure is told on standard error, and nowhere else.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(
            code != 0,
            self.stderr.contains("vtl:") || self.stderr.contains("error:"),
            "{self:?}"
        );
        self
    }

    /// Panics unless standard error says this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in {self:?}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {self:?}"),
        }
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("vtl prints UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}
