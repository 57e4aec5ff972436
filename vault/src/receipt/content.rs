//! What a manifest and a proof say.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vtl_media::AttributeFormat;

use crate::digest::{Hash, PartitionDigest};
use crate::hex;

/// The first phase: what was written, computed from the cartridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Names the copy, and its receipt.
    pub id: Uuid,
    /// When it was made.
    pub time: Timestamp,
    /// What was copied.
    pub source: Source,
    /// What it was copied to.
    pub target: Target,
    /// All partitions in their order.
    pub partitions: Vec<PartitionDigest>,
    /// Attributes of the medium auxiliary memory that went with it.
    pub attributes: Vec<Attribute>,
    /// Those that did not: the drive refuses them, or the tape has its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes_left_out: Vec<LeftOut>,
    /// The protection group's members at that time, by barcode; empty if there is none.
    pub group_members: Vec<String>,
    /// Where it lies on a tape that has several cartridges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackPlace>,
    /// The newest entry of the ledger, which anchors it outside of the machine.
    pub ledger: Option<LedgerPoint>,
    /// Who ordered it.
    pub operator: String,
    /// The program and its version.
    pub software: String,
    /// How to read the tape without this program, in words.
    pub how_to_read: String,
}

/// One cartridge of several on a tape. Its sections are counted as on the cartridge; `first_file` says where they begin on the tape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackPlace {
    /// Which of the members it is, from 1.
    pub position: u64,
    /// The tape file in which its first section is; tape file 0 is the index.
    pub first_file: u64,
    /// How many tape files it has: one more than it has filemarks.
    pub files: u64,
    /// All cartridges on the tape, in their order.
    pub members: Vec<StackMember>,
    /// SHA-256 of the index in tape file 0.
    pub index_sha256: Hash,
}

/// A cartridge on the same tape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackMember {
    /// Its barcode.
    pub barcode: String,
    /// Its identity.
    pub uuid: Uuid,
    /// Its copy, and the name of its receipt.
    pub copy: Uuid,
}

/// A place in the ledger's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerPoint {
    /// The entry's number.
    pub entry: u64,
    /// Its hash in the chain.
    pub hash: Hash,
}

/// The cartridge that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its identity.
    pub uuid: Uuid,
    /// Its barcode.
    pub barcode: String,
    /// For example `lto9`.
    pub media_type: String,
    /// The generation of its journal.
    pub generation: u32,
    /// The moment that was copied.
    pub as_of: Option<Timestamp>,
    /// Whether it can be written only once.
    pub worm: bool,
    /// Its pool.
    pub pool: Option<String>,
    /// Its protection group.
    pub group: Option<String>,
}

/// The tape that it was copied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What is to be read on it, if anybody knows.
    pub barcode: Option<String>,
    /// The medium's serial number from its memory (SPC-5 §7.4.2.3, attribute 0401h).
    pub medium_serial: Option<String>,
    /// The medium's maker (attribute 0400h).
    pub medium_maker: Option<String>,
    /// Which of several copies, from 1.
    pub copy: u32,
}

/// An attribute of the medium auxiliary memory (SPC-5 §7.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Its identifier.
    pub identifier: u16,
    /// The partition that it belongs to; 0 also for those of the whole medium.
    #[serde(default, skip_serializing_if = "is_first")]
    pub partition: u8,
    /// How the value is to be understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<AttributeFormat>,
    /// Its value in hexadecimal digits.
    pub value: String,
}

impl Attribute {
    /// One with this value.
    pub fn new(partition: u8, identifier: u16, format: AttributeFormat, value: &[u8]) -> Self {
        Self { identifier, partition, format: Some(format), value: hex::encode(value) }
    }

    /// Its value; `None` if the digits are none.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let (pairs, rest) = self.value.as_bytes().as_chunks::<2>();
        let one =
            |pair: &[u8; 2]| hex::decode::<1>(std::str::from_utf8(pair).ok()?).map(|[byte]| byte);
        let bytes: Option<Vec<u8>> = pairs.iter().map(one).collect();
        bytes.filter(|_| rest.is_empty())
    }

    /// Its value as a line for people; `None` if it is no text.
    pub fn text(&self) -> Option<String> {
        let is_text = self.format.is_some_and(|format| format != AttributeFormat::Binary);
        let text = String::from_utf8(self.bytes().filter(|_| is_text)?).ok()?;
        let text = text.trim_end_matches([' ', '\0']);
        (!text.chars().any(char::is_control)).then(|| text.to_owned())
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_first(partition: &u8) -> bool {
    *partition == 0
}

/// An attribute that is not on the tape as it was on the cartridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Its identifier.
    pub identifier: u16,
    /// Its partition.
    #[serde(default, skip_serializing_if = "is_first")]
    pub partition: u8,
    /// Why, in words.
    pub why: String,
}

/// A physical drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriveIdentity {
    /// INQUIRY: T10 vendor identification.
    pub vendor: String,
    /// INQUIRY: product identification.
    pub product: String,
    /// INQUIRY: product revision level.
    pub revision: String,
    /// The unit serial number.
    pub serial: String,
}

/// What a drive says of its errors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Errors that were corrected (log page 02h or 03h), if the drive tells.
    pub corrected: Option<u64>,
    /// Errors that were not (the same page).
    pub uncorrected: Option<u64>,
    /// TapeAlert flags that are set (log page 2Eh, SSC-5 §8.2.5), by their numbers.
    pub tape_alerts: Vec<u8>,
}

/// One way through the tape, writing or reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pass {
    /// The drive.
    pub drive: DriveIdentity,
    /// When it began and ended.
    pub begun: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How long it took by a clock that nobody sets, in milliseconds.
    pub elapsed_ms: u64,
    /// Bytes of blocks.
    pub bytes: u64,
    /// The logical block protection that was in use: `none`, `crc32c` or `reed-solomon` (SSC-5 §8.3.10).
    pub protection: String,
    /// What the drive said before.
    pub before: Counters,
    /// What the drive said afterwards.
    pub after: Counters,
}

/// The second phase: what came back from the tape after it had been unloaded and loaded again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// When it was made.
    pub time: Timestamp,
    /// How it was written.
    pub written: Pass,
    /// How it was read back.
    pub read: Pass,
    /// What was found on the tape, computed from it alone.
    pub partitions: Vec<PartitionDigest>,
    /// Those of the manifest's attributes that were read back; none if there are none, or the drive does not read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<Attribute>>,
    /// Whether that is what the manifest says.
    pub is_equal: bool,
    /// Where it is not.
    pub mismatches: Vec<Mismatch>,
    /// What was not looked at; never empty by omission.
    pub not_checked: Vec<String>,
    /// Who ordered it.
    pub operator: String,
}

/// A section that is not what the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mismatch {
    /// The partition.
    pub partition: u8,
    /// The section.
    pub section: u64,
    /// Its first object on the cartridge.
    pub first_object: u64,
    /// What is different, in words.
    pub what: String,
}
