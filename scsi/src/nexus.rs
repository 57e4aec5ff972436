//! I_T nexuses: who is asking (SAM-5 §4.8).

use std::fmt;
use std::sync::Arc;

/// A handle for one I_T nexus. The transport gives the same handle to the same initiator port and target port for as long
/// as the program runs, so that a logical unit can tell a nexus that came back from one it has never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItNexus(pub u64);

impl fmt::Display for ItNexus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nexus {}", self.0)
    }
}

/// The names of the two ports of an I_T nexus, as they are logged and noted beside what was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NexusName {
    /// The initiator's name; for iSCSI its iqn.
    pub initiator: Arc<str>,
    /// What tells several ports of one initiator apart; for iSCSI the ISID in hexadecimal digits.
    pub initiator_port: Arc<str>,
}
