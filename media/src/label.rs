//! The label: what a cartridge says of itself, in two copies that are written in turn.
//!
//! FORMAT.md has the byte map. A write replaces the older copy and is durable before it returns, so that a power cut at any
//! moment leaves at least one whole copy.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nom::bytes::complete::take;
use nom::number::complete::{le_u32, le_u64};
use nom::{IResult, Parser};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::at_rest::WrappedKey;
use crate::barcode::Barcode;
use crate::cartridge::{CartridgeFacts, CartridgeSpec, MediumLife};
use crate::disk::{Disk, DiskFile, OpenMode, read_exact_at, write_all_at};
use crate::layout::{self, Layout};
use crate::mam::Mam;

mod origin;

pub(crate) use self::origin::origins_of;
pub use self::origin::{Moment, Origin, PartOrigin};

/// The newest format of labels that this program reads.
pub const FORMAT_VERSION: u32 = 2;
/// The format of labels of cartridges that are not encrypted at rest: older programs read those.
const PLAIN_VERSION: u32 = 1;

/// What a cartridge is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CartridgeKind {
    /// Holds data.
    Data,
    /// Cleans a drive; cannot be read or written.
    Cleaning,
}

/// How far the journal was known to be durable when a label was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DurableMark {
    /// The last record that had been synced; 0 before the first one.
    pub sequence: u64,
    /// The live objects that there were then.
    pub object_count: u64,
}

/// Where undo ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoHorizon {
    /// The record of the oldest recovery point that is left.
    pub sequence: u64,
    /// Its time.
    pub time: Timestamp,
}

/// Everything that a cartridge says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// How often the label has been written; the copy with the higher number counts.
    #[serde(skip)]
    pub sequence: u64,
    /// The cartridge's identity.
    #[serde(skip)]
    pub uuid: Uuid,
    /// The barcode.
    pub barcode: Barcode,
    /// For data or for cleaning.
    pub kind: CartridgeKind,
    /// The kind of medium as configuration names it, such as `lto9`.
    pub media_type: String,
    /// The native capacity.
    pub capacity_bytes: u64,
    /// Whether written objects may never be overwritten.
    pub worm: bool,
    /// The pool it belongs to.
    #[serde(default)]
    pub pool: Option<String>,
    /// The protection group it belongs to.
    #[serde(default)]
    pub group: Option<String>,
    /// Until when nothing may be removed.
    #[serde(default)]
    pub retained_until: Option<Timestamp>,
    /// Why nothing may be removed until somebody lifts the hold.
    #[serde(default)]
    pub hold: Option<String>,
    /// Until when nothing may be removed unless somebody takes that back and says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governed_until: Option<Timestamp>,
    /// When it is to be disposed of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispose_after: Option<Timestamp>,
    /// The journal's generation when the label was written.
    pub generation: u32,
    /// How often the cartridge has been taken for writing. Records of an older owner are refused after a newer one's.
    pub owner_epoch: u32,
    /// Where it was last, in words that mean something to the catalogue.
    #[serde(default)]
    pub last_element: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Whether the cartridge was unloaded in order after the last change, so that `facts` holds.
    pub is_clean: bool,
    /// What was on it at the last clean unload.
    pub facts: CartridgeFacts,
    /// The last recovery point at the last clean unload.
    #[serde(default)]
    pub last_moment: Option<Origin>,
    /// How far the journal was durable; less being found there is damage, not a torn tail.
    pub durable: DurableMark,
    /// The attributes.
    #[serde(default)]
    pub mam: Mam,
    /// Which partition of a cartridge this is: those behind the first one have a label each.
    #[serde(default)]
    pub partition: u8,
    /// How the cartridge is divided, from which generation of partition 0 on; one partition over everything where there is none.
    // Invariant: crate::layout::are_sound(&layouts)
    #[serde(default)]
    pub layouts: Vec<Layout>,
    /// How much of the capacity is to be used, where that is not all of it.
    #[serde(default)]
    pub scaled_bytes: Option<u64>,
    /// How often it has been formatted since it was made.
    #[serde(default)]
    pub format_count: u16,
    /// How many loads have changed what is on it (SSC-5, attribute 0009h).
    #[serde(default)]
    pub volume_change_reference: u32,
    /// Which drives have loaded it, the last one first: 8 characters of vendor and 32 of serial number.
    // Invariant: drives.len() <= DRIVES_MAX
    #[serde(default)]
    pub drives: Vec<String>,
    /// What has gone through drives in its life, until the last orderly unload.
    #[serde(default)]
    pub life: MediumLife,
    /// The moment of another cartridge that this one was made from; what was live then is read from there.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// Whether nothing may ever be written on it.
    #[serde(default)]
    pub read_only: bool,
    /// Segments that have been removed because nothing needed them any more: ranges of numbers, both ends included.
    // Invariant: pruned.len() <= PRUNED_RANGES_MAX
    #[serde(default)]
    pub pruned: Vec<(u32, u32)>,
    /// The oldest recovery point that can still be gone back to, where older ones have been given up.
    #[serde(default)]
    pub undo_horizon: Option<UndoHorizon>,
    /// The key of its own, if it is encrypted at rest. Partitions behind the first one have that of the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_rest: Option<WrappedKey>,
    /// The first segment that was written with that key. What was there before is not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_rest_since: Option<u32>,
    /// Whether only one of the two copies could be read; then `is_clean` proves nothing, as this may be the older one.
    #[serde(skip)]
    pub is_single_copy: bool,
}

/// Why a label cannot be read or written.
#[derive(Debug, Error)]
pub enum LabelError {
    /// A call to the disk failed.
    #[error("the label cannot be read or written")]
    Io(#[from] io::Error),
    /// There is neither copy.
    #[error("there is no cartridge label in {0}")]
    Missing(PathBuf),
    /// Neither copy is whole.
    #[error("both copies of the cartridge label in {0} are damaged")]
    Damaged(PathBuf),
    /// A newer program has written it; it is left alone.
    #[error(
        "the cartridge has format {found}, this program reads up to {supported}: use a newer version"
    )]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest that is understood.
        supported: u32,
    },
    /// The label does not fit: a text is too long.
    #[error("the label would take {length} bytes of at most {LABEL_BYTES_MAX}")]
    TooLarge {
        /// The length that it would have.
        length: usize,
    },
}

impl Label {
    /// The label of a cartridge that has never been loaded.
    pub fn new(spec: &CartridgeSpec, now: Timestamp) -> Self {
        Self {
            sequence: 0,
            uuid: spec.uuid,
            barcode: spec.barcode.clone(),
            kind: spec.kind,
            media_type: spec.media_type.clone(),
            capacity_bytes: spec.capacity_bytes,
            worm: spec.worm,
            pool: spec.pool.clone(),
            group: spec.group.clone(),
            retained_until: None,
            hold: None,
            governed_until: None,
            dispose_after: None,
            generation: 0,
            owner_epoch: 0,
            last_element: spec.last_element.clone(),
            created: now,
            is_clean: true,
            facts: spec.facts.clone(),
            last_moment: None,
            durable: DurableMark::default(),
            mam: spec.mam.clone(),
            partition: 0,
            layouts: Layout::of_parts(&spec.parts),
            scaled_bytes: None,
            format_count: 0,
            volume_change_reference: 0,
            drives: Vec::new(),
            life: MediumLife::default(),
            origin: spec.origin,
            read_only: spec.read_only,
            pruned: Vec::new(),
            undo_horizon: None,
            at_rest: None,
            at_rest_since: None,
            is_single_copy: false,
        }
    }

    /// Reads the newer of the two copies in a cartridge's directory.
    pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Self, LabelError> {
        let copies =
            [read_copy(disk, &directory.join(COPY_A))?, read_copy(disk, &directory.join(COPY_B))?];
        if copies.iter().all(|copy| matches!(copy, Copy::Missing)) {
            return Err(LabelError::Missing(directory.to_owned()));
        }
        let mut whole = Vec::new();
        for copy in copies {
            match copy {
                Copy::Whole(label) => whole.push(*label),
                Copy::NewerFormat(found) => {
                    return Err(LabelError::NewerFormat { found, supported: FORMAT_VERSION });
                }
                Copy::Missing | Copy::Damaged => {}
            }
        }
        let is_single_copy = whole.len() < 2;
        let newest = whole.into_iter().max_by_key(|label| label.sequence);
        let mut label = newest.ok_or_else(|| LabelError::Damaged(directory.to_owned()))?;
        label.is_single_copy = is_single_copy;
        Ok(label)
    }

    /// Replaces the older copy. The new one is durable when this returns; after an error the newer one still stands.
    pub fn write(&mut self, disk: &dyn Disk, directory: &Path) -> Result<(), LabelError> {
        let sequence = self.sequence.saturating_add(1);
        let bytes = self.encode(sequence)?;
        let path = directory.join(if sequence % 2 == 1 { COPY_A } else { COPY_B });
        let is_new = !disk.exists(&path)?;
        let file = disk.open(&path, OpenMode::Create)?;
        if is_new {
            // Room for a label of usual size, so that a full disk cannot keep a cartridge from being closed.
            file.allocate(0, LABEL_BYTES_NOMINAL)?;
        }
        write_all_at(file.as_ref(), &bytes, 0)?;
        file.sync_data()?;
        if is_new {
            disk.sync_dir(directory)?;
        }
        self.sequence = sequence;
        Ok(())
    }

    /// Writes the newer copy once more, as it was read. After a sync that failed the kernel may hold it in memory only and count
    /// it as written; the older copy, which is the durable one then, must not be given up before.
    pub(crate) fn confirm(&self, disk: &dyn Disk, directory: &Path) -> Result<(), LabelError> {
        let bytes = self.encode(self.sequence)?;
        let name = if self.sequence % 2 == 1 { COPY_A } else { COPY_B };
        let file = disk.open(&directory.join(name), OpenMode::ReadWrite)?;
        write_all_at(file.as_ref(), &bytes, 0)?;
        file.sync_data()?;
        Ok(())
    }

    /// How many bytes each copy has, and its path; `None` for one that cannot be read.
    pub(crate) fn copies(disk: &dyn Disk, directory: &Path) -> [(PathBuf, Option<u64>); 2] {
        [COPY_A, COPY_B].map(|name| {
            let path = directory.join(name);
            let length = match read_copy(disk, &path) {
                Ok(Copy::Whole(label)) => {
                    label.encode(label.sequence).ok().map(|all| all.len() as u64)
                }
                _ => None,
            };
            (path, length)
        })
    }

    fn encode(&self, sequence: u64) -> Result<Vec<u8>, LabelError> {
        let body = serde_json::to_vec(self).map_err(io::Error::other)?;
        let length = HEADER_BYTES.saturating_add(body.len());
        let too_large = LabelError::TooLarge { length };
        if length > LABEL_BYTES_MAX {
            return Err(too_large);
        }
        let Ok(body_length) = u32::try_from(body.len()) else { return Err(too_large) };
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&MAGIC);
        let is_plain = self.at_rest.is_none() && self.at_rest_since.is_none();
        let version = if is_plain { PLAIN_VERSION } else { FORMAT_VERSION };
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&body_length.to_le_bytes());
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(self.uuid.as_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        bytes.resize(HEADER_BYTES - 4, 0);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }
}

/// What was found under the name of one copy.
enum Copy {
    Missing,
    Damaged,
    NewerFormat(u32),
    Whole(Box<Label>),
}

/// The fixed part of a label; its layout and its checksum are the same in all formats to come.
struct Header {
    version: u32,
    body_length: u32,
    sequence: u64,
    uuid: Uuid,
    body_crc: u32,
}

fn read_copy(disk: &dyn Disk, path: &Path) -> Result<Copy, LabelError> {
    if !disk.exists(path)? {
        return Ok(Copy::Missing);
    }
    let file = disk.open(path, OpenMode::Read)?;
    let bytes = read_whole(file.as_ref())?;
    match decode(&bytes) {
        Copy::Whole(label) if !belongs(label.uuid, path) => {
            tracing::error!(path = %path.display(), found = %label.uuid, "the label of another cartridge is in this one's place");
            Ok(Copy::Damaged)
        }
        copy => Ok(copy),
    }
}

/// Whether a label may be where it is: a directory that is named like a cartridge holds that one and no other.
fn belongs(uuid: Uuid, path: &Path) -> bool {
    let name = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    name.and_then(|name| Uuid::try_parse(name).ok()).is_none_or(|named| named == uuid)
}

fn read_whole(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.length_bytes()?).unwrap_or(usize::MAX).min(LABEL_BYTES_MAX);
    let mut bytes = vec![0; length];
    read_exact_at(file, &mut bytes, 0)?;
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Copy {
    let Some((header_bytes, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Copy::Damaged;
    };
    let Some(header) = decode_header(header_bytes) else { return Copy::Damaged };
    if header.version > FORMAT_VERSION {
        return Copy::NewerFormat(header.version);
    }
    let Some(body) = usize::try_from(header.body_length).ok().and_then(|length| rest.get(..length))
    else {
        return Copy::Damaged;
    };
    if crc32c::crc32c(body) != header.body_crc {
        return Copy::Damaged;
    }
    match serde_json::from_slice::<Label>(body) {
        Ok(label) if label.mam.is_within_limits() && layout::are_sound(&label.layouts) => {
            Copy::Whole(Box::new(Label { sequence: header.sequence, uuid: header.uuid, ..label }))
        }
        Ok(_) | Err(_) => Copy::Damaged,
    }
}

fn decode_header(bytes: &[u8]) -> Option<Header> {
    let (covered, stored) = bytes.split_at_checked(HEADER_BYTES - 4)?;
    if stored != crc32c::crc32c(covered).to_le_bytes() {
        return None;
    }
    let parsed: IResult<&[u8], _> =
        (take(8_usize), le_u32, le_u32, le_u64, take(16_usize), le_u32).parse(covered);
    let (_, (magic, version, body_length, sequence, uuid, body_crc)) = parsed.ok()?;
    if magic != MAGIC {
        return None;
    }
    Some(Header { version, body_length, sequence, uuid: Uuid::from_slice(uuid).ok()?, body_crc })
}

const COPY_A: &str = "label.a";
const COPY_B: &str = "label.b";
const MAGIC: [u8; 8] = *b"VTLLABEL";
const HEADER_BYTES: usize = 64;
/// What both copies get at creation.
const LABEL_BYTES_NOMINAL: u64 = 16 * 1024;
/// The longest label: the attributes as text, twice their size, and as much again for everything else.
pub(crate) const LABEL_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
