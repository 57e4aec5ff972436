//! What the daemon's process uses, as Linux tells it.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use crate::poll;

/// What a process uses at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Memory that is really there (`VmRSS`).
    pub resident_bytes: u64,
    /// Open descriptors; 0 where only root may count them.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
}

impl Usage {
    /// Of a process that runs.
    pub fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
        let number = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).expect("Linux says so");
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Self {
            resident_bytes: number("VmRSS:") * 1024,
            descriptors: descriptors(pid),
            threads: usize::try_from(number("Threads:")).unwrap(),
        }
    }

    /// Whether it is no more than before: as many descriptors, and no more memory and threads than what comes and goes.
    pub fn is_back(&self, before: &Self, memory_bytes: u64, threads: usize) -> bool {
        self.resident_bytes <= before.resident_bytes + memory_bytes
            && self.descriptors <= before.descriptors
            && self.threads <= before.threads + threads
    }

    /// Waits until a process uses no more than before, and panics if it does not come to that.
    #[track_caller]
    pub fn wait_back(
        pid: u32,
        before: &Self,
        memory_bytes: u64,
        threads: usize,
        limit: Duration,
    ) -> Self {
        let mut last = Self::of(pid);
        let what = "memory, descriptors and threads as before";
        let started = std::time::Instant::now();
        poll(what, limit + Duration::from_secs(1), || {
            last = Self::of(pid);
            let is_back = last.is_back(before, memory_bytes, threads);
            assert!(is_back || started.elapsed() < limit, "{last:?}, and was {before:?}");
            is_back.then_some(last)
        })
    }
}

/// The daemon is not dumpable, so that nobody but root may look into it, not even whoever started it.
fn descriptors(pid: u32) -> usize {
    match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(entries) => entries.count(),
        Err(error) => {
            let is_root = rustix::process::geteuid().is_root();
            assert!(!is_root && error.kind() == ErrorKind::PermissionDenied, "{error}");
            0
        }
    }
}
