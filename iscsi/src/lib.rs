//! iSCSI (RFC 7143), the target's side at error recovery level 0, as a state machine over bytes.
//!
//! One [`Connection`] stands for one TCP connection and, because MaxConnections is 1, for its session. It never opens a
//! socket, never reads a clock and never waits: bytes and the time since an arbitrary start go in, [`Event`]s and
//! [`Transmit`]s come out. What a command does is decided elsewhere: an [`Event::Task`] carries a [`vtl_scsi::Task`] with
//! all of its data-out, and [`Connection::complete`] takes the answer back. Read [`Connection`] and [`Event`] first.
//!
//! It must never deliver half of a command's data, never let a peer's length decide how much memory is taken, and never
//! let a command overtake an older one of the same logical unit.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use vtl_iscsi::{Connection, TargetConfig, TargetDescription};
//! use vtl_scsi::BufferPool;
//!
//! let target = TargetDescription::new("iqn.2026-11.example:library");
//! let config = Arc::new(TargetConfig::new(vec![target]));
//! let mut connection = Connection::new(config, BufferPool::new(1 << 20), Duration::ZERO);
//! assert_eq!(connection.receive_buffer().len(), 48); // a basic header segment
//! assert_eq!(connection.poll_timeout(), Some(Duration::from_secs(10))); // for the login to finish
//! ```

pub mod pdu;

mod budget;
mod chap;
mod config;
mod connection;
mod digest;
mod event;
mod login;
mod receive;
mod sense;
mod serial;
mod session;
mod text;
mod transmit;

#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use chap::{Authenticated, ChallengeBook, ChapAlgorithm, Credentials, RandomFailed, Secret};
pub use config::{
    Admission, AdmitAll, Authentication, Chap, Limits, TargetConfig, TargetDescription, Timeouts,
};
pub use connection::Connection;
pub use event::{
    CloseReason, Event, LoginFailure, LoginReady, TaskKey, TaskManagement, TaskManagementKey,
};
pub use pdu::{Isid, LoginStatus, TaskManagementResponse};
pub use serial::{CmdSn, StatSn};
pub use transmit::Transmit;
