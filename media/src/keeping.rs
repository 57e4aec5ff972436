//! What the media manager remembers beside cartridges and copies: which policies ran by themselves, which tapes cartridges were made of,
//! and which physical drives are not to be trusted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// So many tapes that a drive finds bad within thirty days are not the tapes' fault.
pub const BAD_TAPES_MAX: usize = 3;
/// How long a failure is held against a drive.
const FAILURES_WINDOW: SignedDuration = SignedDuration::from_hours(30 * 24);

/// One run of a policy that nobody asked for but its calendar.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PolicyRun {
    /// The policy.
    pub policy: String,
    /// Its calendar at that time.
    pub calendar: String,
    /// Moments of the calendar up to this one are done with.
    pub until: Timestamp,
    /// Actions that were carried out.
    #[serde(default)]
    pub done: u64,
    /// Actions that failed.
    #[serde(default)]
    pub failed: u64,
    /// Actions that were left for the next time.
    #[serde(default)]
    pub left: u64,
    /// What went wrong, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A rehearsal of a group's recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillRecord {
    /// The group.
    pub group: String,
    /// The identity of its report, which is a file.
    pub report: uuid::Uuid,
    /// SHA-256 of that file, in hexadecimal digits.
    pub sha256: String,
    /// How deep it went: 1 to 4.
    pub level: u8,
    /// Whether everything came back.
    pub is_passed: bool,
    /// How long the recovery took, in milliseconds; none where nothing was recovered.
    #[serde(default)]
    pub recovery_ms: Option<u64>,
    /// Bytes that were recovered.
    #[serde(default)]
    pub bytes: u64,
    /// The snapshot that keeps what was shown to be good.
    #[serde(default)]
    pub known_good: Option<String>,
    /// The cartridges; older drills do not say.
    #[serde(default)]
    pub members: Vec<DrillMember>,
}

/// A cartridge whose recovery was rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillMember {
    /// Its identity.
    pub cartridge: uuid::Uuid,
    /// Its barcode then.
    pub barcode: String,
    /// What was on it then.
    pub written_bytes: u64,
}

/// The physical tape that a cartridge was made of, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportSource {
    /// When it was read.
    pub time: Option<Timestamp>,
    /// The medium's serial number.
    pub medium_serial: Option<String>,
    /// The barcode on the tape.
    pub barcode: Option<String>,
    /// The serial number of the drive that read it.
    pub drive_serial: Option<String>,
    /// The copy of ours that the ledger knows on this tape: the identity of its receipt.
    pub copy: Option<uuid::Uuid>,
    /// The barcode of the cartridge that this is a copy of.
    pub copy_of: Option<String>,
    /// SHA-256 of that receipt's file.
    pub receipt: Option<String>,
    /// Whether what was read is what the receipt says, if there is one.
    pub is_what_receipt_says: Option<bool>,
    /// The root over all that was read, in hexadecimal digits.
    pub root: String,
    /// Bytes of all blocks.
    pub bytes: u64,
}

/// A physical drive that has failed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DriveRecord {
    /// Why nothing is written to it any more.
    pub fenced: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What it said last.
    pub last_failure: Option<String>,
    /// When it failed with which tape, the last time with each.
    pub tapes: BTreeMap<String, Timestamp>,
}

impl DriveRecord {
    /// How many tapes it has found bad of late.
    pub fn bad_tapes(&self, now: Timestamp) -> usize {
        let is_recent = |time: &&Timestamp| now.duration_since(**time).abs() <= FAILURES_WINDOW;
        self.tapes.values().filter(is_recent).count()
    }
}
