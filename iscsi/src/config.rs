//! What a connection has to know beforehand.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::budget::Budget;
use crate::chap::{ChallengeBook, ChapAlgorithm, Credentials};

/// What all connections hold together unless the owner says otherwise.
const BUDGET_BYTES: usize = 512 << 20;

/// Everything that all connections of a listener share.
#[derive(Debug, Clone)]
pub struct TargetConfig {
    /// The targets, in the order in which SendTargets lists them.
    pub targets: Vec<TargetDescription>,
    /// Who may see which of them.
    pub admission: Arc<dyn Admission>,
    /// How initiators prove who they are.
    pub chap: Chap,
    /// How much a peer may use.
    pub limits: Limits,
    /// How much all peers may use together. It counts for all connections whose configuration has the same one.
    pub budget: Arc<Budget>,
    /// How long a peer may take.
    pub timeouts: Timeouts,
    /// Whether CRC32C is taken for headers where the initiator offers it.
    pub accepts_header_crc32c: bool,
    /// Whether CRC32C is taken for data where the initiator offers it.
    pub accepts_data_crc32c: bool,
}

/// One target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetDescription {
    /// Its iSCSI name.
    pub name: String,
    /// A text for people, sent at login.
    pub alias: Option<String>,
    /// Addresses as SendTargets shows them (`192.0.2.1:3260`, `[2001:db8::1]:3260`). With none, the portal that the
    /// connection came in through is shown, if the connection was told.
    pub portals: Vec<String>,
    /// The number of the group that all its portals belong to.
    pub portal_group_tag: u16,
}

/// Decides which targets exist for an initiator. A target that is not admitted looks absent, in SendTargets as at login.
pub trait Admission: Debug + Send + Sync {
    /// Whether this initiator may see and use this target.
    fn admits(&self, initiator: &str, target: &str, is_authenticated: bool) -> bool;

    /// What an initiator has to prove before it learns anything of this target, or, in a discovery session, of any.
    fn authentication(&self, _initiator: &str, _target: Option<&str>) -> Authentication {
        Authentication::default()
    }
}

/// What an initiator has to prove.
#[derive(Debug, Clone, Default)]
pub struct Authentication {
    /// Nothing is said to this initiator before it has proved who it is.
    pub is_required: bool,
    /// What it has to know; none if nobody knows it, which it is not told.
    pub credentials: Option<Credentials>,
}

/// How initiators prove who they are.
#[derive(Debug, Clone)]
pub struct Chap {
    /// The algorithms that are allowed.
    pub algorithms: Vec<ChapAlgorithm>,
    /// Issues challenges, for all connections.
    pub challenges: ChallengeBook,
}

/// Every target exists for every initiator.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdmitAll;

/// How much a peer may use. Every length that a peer names is checked against one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Our MaxRecvDataSegmentLength.
    pub max_recv_data_segment_bytes: u32,
    /// The most that is agreed on as MaxBurstLength.
    pub max_burst_bytes: u32,
    /// The most that is agreed on as FirstBurstLength.
    pub first_burst_bytes: u32,
    /// The most that is agreed on as MaxOutstandingR2T.
    pub max_outstanding_r2t: u16,
    /// Commands that an initiator may have under way, immediate ones not counted.
    pub max_commands: u32,
    /// Immediate commands under way.
    pub max_immediate_commands: usize,
    /// Data-out of one command that is asked for. A command that announces more is delivered with what came unasked.
    pub max_data_out_bytes: usize,
    /// Data-out for which R2Ts are under way or which waits for its answer, over the whole session. One command is always
    /// served, whatever its size.
    pub max_solicited_bytes: usize,
    /// Text of one exchange, over all its PDUs.
    pub max_text_bytes: usize,
    /// Bytes waiting to be sent above which nothing more should be received. Commands that may read more than is left of it
    /// wait with their delivery.
    pub max_backlog_bytes: usize,
}

/// How long a peer may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// From the beginning of a connection to the end of its login.
    pub login: Duration,
    /// Silence after which the initiator is asked whether it is still there.
    pub nop_interval: Duration,
    /// Silence after that question which ends the connection.
    pub nop: Duration,
    /// While others wait for memory: without a command that ended, after which the connection is cut that holds some.
    pub hoarding: Duration,
    /// For the peer to take our last words before the connection is cut.
    pub drain: Duration,
}

impl TargetConfig {
    /// These targets, for everybody, with default limits.
    pub fn new(targets: Vec<TargetDescription>) -> Self {
        Self {
            targets,
            admission: Arc::new(AdmitAll),
            chap: Chap::default(),
            limits: Limits::default(),
            budget: Budget::new(BUDGET_BYTES),
            timeouts: Timeouts::default(),
            accepts_header_crc32c: true,
            accepts_data_crc32c: true,
        }
    }

    /// The targets that exist for this initiator.
    pub(crate) fn visible_targets<'a>(
        &'a self,
        initiator: &'a str,
        is_authenticated: bool,
    ) -> impl Iterator<Item = &'a TargetDescription> {
        let admits = move |target: &str| self.admission.admits(initiator, target, is_authenticated);
        self.targets.iter().filter(move |target| admits(&target.name))
    }

    /// The target of this name, if it exists for this initiator. Names are compared without regard to case, as their
    /// normal form is lower case (RFC 7143 §4.2.7.2).
    pub(crate) fn find_target(
        &self,
        initiator: &str,
        is_authenticated: bool,
        name: &str,
    ) -> Option<&TargetDescription> {
        let is_named = |target: &&TargetDescription| target.name.eq_ignore_ascii_case(name);
        self.targets
            .iter()
            .filter(is_named)
            .find(|target| self.admission.admits(initiator, &target.name, is_authenticated))
    }
}

impl TargetDescription {
    /// A target in portal group 1 without an alias.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), alias: None, portals: Vec::new(), portal_group_tag: 1 }
    }
}

impl Admission for AdmitAll {
    fn admits(&self, _initiator: &str, _target: &str, _is_authenticated: bool) -> bool {
        true
    }
}

impl Default for Chap {
    /// All algorithms, and no challenges: randomness has to be given.
    fn default() -> Self {
        Self { algorithms: ChapAlgorithm::ALL.to_vec(), challenges: ChallengeBook::closed() }
    }
}

impl Default for Limits {
    /// A block of 256 KiB travels with its command, one of 1 MiB with a single R2T.
    fn default() -> Self {
        Self {
            max_recv_data_segment_bytes: 1 << 20,
            max_burst_bytes: 1 << 20,
            first_burst_bytes: 256 << 10,
            max_outstanding_r2t: 4,
            max_commands: 64,
            max_immediate_commands: 16,
            max_data_out_bytes: (16 << 20) + (64 << 10),
            max_solicited_bytes: 64 << 20,
            max_text_bytes: 64 << 10,
            max_backlog_bytes: 16 << 20,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            login: Duration::from_secs(10),
            nop_interval: Duration::from_secs(15),
            nop: Duration::from_secs(15),
            hoarding: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}
