//! A fresh library that runs.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Daemon, Initiator, Login, cdb, poll};

/// A temporary data directory and the daemon on it.
#[derive(Debug)]
pub struct Scene {
    /// The daemon; none while it is stopped.
    daemon: Option<Daemon>,
    temporary: TempDir,
}

impl Scene {
    /// A new library, running.
    pub fn new() -> Self {
        let temporary = TempDir::with_prefix("vtl-test-").expect("a temporary directory");
        let daemon = Some(Daemon::start(&temporary.path().join("data")));
        Self { daemon, temporary }
    }

    /// A new library with a cartridge in drive 0 (logical unit 1).
    pub fn loaded() -> Self {
        let scene = Self::new();
        scene.daemon().vtl(&["load", "VTL001L9", "0"]).done();
        scene
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.temporary.path().join("data")
    }

    /// Another place beside the data directory, which is removed with it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// The daemon, which has to run.
    #[track_caller]
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("the daemon runs")
    }

    /// The daemon, to end it in some way.
    #[track_caller]
    pub fn take_daemon(&mut self) -> Daemon {
        self.daemon.take().expect("the daemon runs")
    }

    /// Starts the daemon again.
    pub fn start(&mut self) {
        assert!(self.daemon.is_none(), "one daemon at a time");
        self.daemon = Some(Daemon::start(&self.data()));
    }

    /// How to log in to it, under this name.
    pub fn login(&self, name: &str) -> Login {
        let daemon = self.daemon();
        Login::new(daemon.portal, &daemon.target, name)
    }

    /// The same, under a whole iSCSI name.
    pub fn login_named(&self, name: &str) -> Login {
        self.login("").named(name)
    }

    /// A session under this name, with nothing left to be told by drive 0 and the changer.
    #[track_caller]
    pub fn session(&self, name: &str) -> Initiator {
        let mut session = self.login(name).open();
        session.settle(0);
        session.settle(1);
        session
    }

    /// Panics unless somebody who behaves well is served: on iSCSI and on the command line.
    #[track_caller]
    pub fn assert_serves(&mut self) {
        assert!(
            self.daemon.as_mut().expect("the daemon runs").is_running(),
            "the daemon has ended"
        );
        // Places among the pending logins are given back a moment after those who held them are gone.
        let login = self.login("good");
        let mut session = poll("a login", Duration::from_mins(1), || login.try_open().ok());
        let inquiry = session.read_in(0, &cdb::inquiry(96), 96).good();
        assert_eq!(inquiry.data[0] & 0x1f, 8, "logical unit 0 is a changer");
        session.settle(0);
        let luns = session.read_in(0, &cdb::report_luns(255), 255).good();
        assert_eq!(luns.data[..4], [0, 0, 0, 40], "a changer and four drives");
        session.settle(2);
        session.logout();
        self.daemon().vtl(&["status"]).done();
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}
