//! What a library is: its elements and the identities that clients see.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cartridges::NewCartridge;
use crate::barcode::Barcode;
use crate::label::CartridgeKind;
use crate::place::{LibraryId, Place};

/// A library as it was made. Serial numbers and the target's name never change: clients recognise devices by them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryRecord {
    /// Its name in this data directory.
    pub id: LibraryId,
    /// The name of its iSCSI target.
    pub iqn: String,
    /// The medium changer.
    pub changer: DeviceRecord,
    /// The drives; drive 0 comes first.
    pub drives: Vec<DeviceRecord>,
    /// How many storage elements; they count from 1.
    pub storage_elements: u32,
    /// How many import/export elements; they count from 1.
    pub import_export_elements: u32,
    /// When it was made.
    pub created: Timestamp,
}

/// One device of a library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// Which product it looks like, for example `ibm-ult3580-td9`.
    pub profile: String,
    /// Ten characters, `0`–`9` and `A`–`Z`.
    pub serial: String,
}

impl LibraryRecord {
    /// Whether the library has this element.
    pub fn has(&self, place: &Place) -> bool {
        if place.library() != Some(&self.id) {
            return false;
        }
        match place {
            Place::Storage { number, .. } => (1..=self.storage_elements).contains(number),
            Place::ImportExport { number, .. } => {
                (1..=self.import_export_elements).contains(number)
            }
            Place::Drive { number, .. } => {
                usize::try_from(*number).is_ok_and(|index| index < self.drives.len())
            }
            Place::Shelf | Place::Offsite(_) => false,
        }
    }

    /// All storage elements in order.
    pub fn storage(&self) -> impl Iterator<Item = Place> + '_ {
        (1..=self.storage_elements)
            .map(|number| Place::Storage { library: self.id.clone(), number })
    }

    /// All import/export elements in order.
    pub fn import_export(&self) -> impl Iterator<Item = Place> + '_ {
        (1..=self.import_export_elements)
            .map(|number| Place::ImportExport { library: self.id.clone(), number })
    }
}

/// What a new library is to have. The default is what an empty data directory becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibrarySpec {
    /// Its name.
    pub id: LibraryId,
    /// The target's name; one with a random part is made up if there is none.
    pub iqn: Option<String>,
    /// The changer's profile.
    pub changer_profile: String,
    /// The profile of the first drives.
    pub drive_profile: String,
    /// How many of those.
    pub drives: u32,
    /// The profiles of the drives behind them, for a library that mixes models; 1 to [`MAX_DRIVES`] with those before.
    pub other_drives: Vec<String>,
    /// 1 to [`MAX_ELEMENTS`]
    pub storage_elements: u32,
    /// At most [`MAX_ELEMENTS`]
    pub import_export_elements: u32,
    /// The first cartridges; those without a place go to storage elements in order.
    pub cartridges: Vec<NewCartridge>,
}

impl Default for LibrarySpec {
    fn default() -> Self {
        let data = (1..=20).filter_map(|number| Barcode::new(&format!("VTL{number:03}L9")).ok());
        let mut cartridges: Vec<NewCartridge> =
            data.map(|barcode| NewCartridge::new(barcode, "lto9")).collect();
        if let Ok(barcode) = Barcode::new("CLN001L9") {
            cartridges.push(NewCartridge {
                kind: CartridgeKind::Cleaning,
                ..NewCartridge::new(barcode, "lto9")
            });
        }
        Self {
            id: LibraryId::default(),
            iqn: None,
            changer_profile: "ibm-03584l32".to_owned(),
            drive_profile: "ibm-ult3580-td9".to_owned(),
            drives: 4,
            other_drives: Vec::new(),
            storage_elements: 24,
            import_export_elements: 4,
            cartridges,
        }
    }
}

impl LibrarySpec {
    /// The profile of each drive, drive 0 first.
    fn drive_profiles(&self) -> impl Iterator<Item = &str> {
        (0..self.drives)
            .map(|_| self.drive_profile.as_str())
            .chain(self.other_drives.iter().map(String::as_str))
    }
}

/// Fills a buffer with random bytes.
type FillRandom = dyn Fn(&mut [u8]) -> io::Result<()> + Send + Sync;

/// Where identities come from.
#[derive(Clone)]
pub struct RandomSource(pub Arc<FillRandom>);

impl RandomSource {
    /// The operating system's generator.
    pub fn system() -> Self {
        Self(Arc::new(|buffer| getrandom::fill(buffer).map_err(io::Error::other)))
    }

    /// A random UUID.
    pub(super) fn uuid(&self) -> io::Result<uuid::Uuid> {
        let mut bytes = [0; 16];
        (self.0)(&mut bytes)?;
        Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// Ten characters that make a serial number. Two equal ones among thousands are out of the question (36¹⁰).
    fn serial(&self) -> io::Result<String> {
        let mut bytes = [0; 8];
        (self.0)(&mut bytes)?;
        let mut rest = u64::from_le_bytes(bytes);
        let digits = (0..SERIAL_CHARACTERS).map(|_| {
            let digit = u32::try_from(rest % 36).ok().and_then(|digit| char::from_digit(digit, 36));
            rest /= 36;
            digit.unwrap_or('0').to_ascii_uppercase()
        });
        Ok(digits.collect())
    }
}

impl std::fmt::Debug for RandomSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RandomSource")
    }
}

/// Gives a library its identities.
pub(super) fn make_record(
    spec: &LibrarySpec,
    random: &RandomSource,
    now: Timestamp,
) -> io::Result<LibraryRecord> {
    let device = |profile: &str| {
        Ok::<_, io::Error>(DeviceRecord { profile: profile.to_owned(), serial: random.serial()? })
    };
    let iqn = match &spec.iqn {
        Some(iqn) => iqn.clone(),
        None => format!(
            "{IQN_PREFIX}:{}.{}",
            spec.id.0.to_ascii_lowercase().replace('_', "-"),
            random.serial()?.to_ascii_lowercase()
        ),
    };
    Ok(LibraryRecord {
        id: spec.id.clone(),
        iqn,
        changer: device(&spec.changer_profile)?,
        drives: spec.drive_profiles().map(device).collect::<io::Result<_>>()?,
        storage_elements: spec.storage_elements,
        import_export_elements: spec.import_export_elements,
        created: now,
    })
}

/// As many drives as a library has that is larger than any that was built. LUN 0 is the changer.
pub const MAX_DRIVES: u32 = 256;
/// Element addresses have 16 bits, and all kinds of element share them: there is always an arm and a drive, too.
pub const MAX_ELEMENTS: u32 = 65_533;
const SERIAL_CHARACTERS: usize = 10;
const IQN_PREFIX: &str = "iqn.2026-07.io.vtl";
