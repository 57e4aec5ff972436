//! The attributes as they are now: what hosts have written, and what the drive knows of the cartridge.

use vtl_media::{Attribute, AttributeFormat, Label, Mam, Volume};
use vtl_scsi::device::Refusal;
use vtl_scsi::vpd::padded;

use super::memory;
use super::table::{self, ALL, Definition, find};
use crate::Drive;
use crate::drive::Loaded;

/// One attribute that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) identifier: u16,
    is_read_only: bool,
    format: AttributeFormat,
    bytes: Vec<u8>,
}

impl Value {
    // 0-1 identifier, 2 READ ONLY (bit 7), FORMAT (bits 1-0), 3-4 length, value
    pub(super) fn encode(&self) -> Vec<u8> {
        let format = match self.format {
            AttributeFormat::Binary => 0,
            AttributeFormat::Ascii => 1,
            AttributeFormat::Text => 2,
        };
        let mut data = self.identifier.to_be_bytes().to_vec();
        data.push(u8::from(self.is_read_only) << 7 | format);
        data.extend(u16::try_from(self.bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
        data.extend(&self.bytes);
        data
    }
}

/// All attributes of a partition, ascending.
pub(super) fn all(drive: &mut Drive, partition: u8) -> Result<Vec<Value>, Refusal> {
    let alerts = alert_flags(drive);
    let loaded = memory(drive)?;
    let told = ALL.iter().filter_map(|known| {
        let bytes = told(loaded, partition, known, alerts)?;
        let format = known.format.unwrap_or(AttributeFormat::Binary);
        Some(Value {
            identifier: known.identifier,
            is_read_only: known.is_read_only,
            format,
            bytes,
        })
    });
    let mut values: Vec<_> = told.collect();
    values.extend(written(loaded.cartridge.mam(), partition));
    values.sort_by_key(|value| value.identifier);
    Ok(values)
}

/// What hosts have written; an empty value is one that was removed.
fn written(mam: &Mam, partition: u8) -> impl Iterator<Item = Value> {
    mam.attributes_of(partition).filter(|(_, attribute)| !attribute.value.is_empty()).map(
        |(identifier, Attribute { format, value })| Value {
            identifier,
            is_read_only: find(identifier).is_none_or(|known| known.is_read_only),
            format: *format,
            bytes: value.clone(),
        },
    )
}

/// The value of an attribute that the drive tells; `None` for those that only hosts write.
fn told(loaded: &Loaded, partition: u8, known: &Definition, alerts: u64) -> Option<Vec<u8>> {
    let cartridge = &loaded.cartridge;
    let label = cartridge.label();
    let traffic = cartridge.traffic();
    let life = cartridge.life();
    let density = vec![loaded.generation.density];
    Some(match known.identifier {
        table::REMAINING_CAPACITY => mebibytes(cartridge.remaining_bytes(partition)),
        table::MAXIMUM_CAPACITY => mebibytes(cartridge.partition_bytes(partition)),
        table::TAPE_ALERT_FLAGS => alerts.to_be_bytes().to_vec(),
        table::LOAD_COUNT => cartridge.facts().load_count.to_be_bytes().to_vec(),
        table::MEMORY_SPACE_REMAINING => count(cartridge.mam().free_bytes()),
        table::ASSIGNING_ORGANIZATION | table::MEDIUM_ORGANIZATION => padded("LTO-CVE", 8),
        table::FORMATTED_DENSITY | table::DENSITY | table::SUPPORTED_DENSITIES => density,
        table::INITIALIZATION_COUNT => cartridge.initialization_count().to_be_bytes().to_vec(),
        table::VOLUME_CHANGE_REFERENCE => {
            cartridge.volume_change_reference().to_be_bytes().to_vec()
        }
        at if (0..4).any(|back| at == table::LAST_DRIVES + back) => {
            let back = usize::from(at - table::LAST_DRIVES);
            padded(cartridge.drives().get(back).map_or("", String::as_str), 40)
        }
        table::WRITTEN_IN_LIFE => mebibytes(life.written_bytes),
        table::READ_IN_LIFE => mebibytes(life.read_bytes),
        table::WRITTEN_IN_LOAD => mebibytes(traffic.accepted_bytes),
        table::READ_IN_LOAD => mebibytes(traffic.given_bytes),
        // Nothing is encrypted.
        table::FIRST_ENCRYPTED | table::FIRST_UNENCRYPTED => u64::MAX.to_be_bytes().to_vec(),
        table::MANUFACTURER => padded(MANUFACTURER, 8),
        table::SERIAL_NUMBER => serial_number(label),
        table::LENGTH => length_metres(label.media_type.as_str()).to_be_bytes().to_vec(),
        table::WIDTH => u32::from(loaded.generation.width_tenths_mm).to_be_bytes().to_vec(),
        table::MANUFACTURE_DATE => padded(&label.created.strftime("%Y%m%d").to_string(), 8),
        table::MEMORY_CAPACITY => count(Mam::CAPACITY_BYTES),
        table::MEDIUM_TYPE => vec![if loaded.is_worm() { MEDIUM_TYPE_WORM } else { 0 }],
        table::MEDIUM_TYPE_INFORMATION => vec![0, 0],
        table::BARCODE if cartridge.mam().attribute_of(partition, table::BARCODE).is_none() => {
            padded(label.barcode.as_str(), 32)
        }
        table::UNIQUE_IDENTITY => identity(cartridge, loaded.generation.density, 28),
        table::ALTERNATIVE_IDENTITY => identity(cartridge, loaded.generation.density, 24),
        _ => return None,
    })
}

/// Flag 1 is the highest bit.
fn alert_flags(drive: &Drive) -> u64 {
    let bits = drive.lit_tape_alerts().into_iter().filter(|flag| (1..=64).contains(flag));
    bits.fold(0, |flags, flag| flags | 1_u64 << (64 - u32::from(flag)))
}

/// What tells this cartridge from all others, as attribute 0401h says it.
pub(super) fn serial_number(label: &Label) -> Vec<u8> {
    padded(&label.uuid.simple().to_string().to_uppercase(), 32)
}

fn mebibytes(bytes: u64) -> Vec<u8> {
    (bytes >> 20).to_be_bytes().to_vec()
}

fn count(bytes: usize) -> Vec<u8> {
    u64::try_from(bytes).unwrap_or(u64::MAX).to_be_bytes().to_vec()
}

/// The identity, the manufacturer and the density: what no other cartridge has.
fn identity(cartridge: &Volume, density: u8, length: usize) -> Vec<u8> {
    let mut bytes = cartridge.label().uuid.as_bytes().to_vec();
    bytes.extend(padded(MANUFACTURER, 7));
    bytes.push(density);
    bytes.resize(length, 0);
    bytes
}

/// As long as the tape of that generation is.
fn length_metres(media_type: &str) -> u32 {
    match media_type {
        "lto3" => 680,
        "lto4" => 820,
        "lto5" | "lto6" => 846,
        "lto7" | "lto8" => 960,
        "lto9" => 1035,
        _ => 0,
    }
}

const MANUFACTURER: &str = "VTL";
const MEDIUM_TYPE_WORM: u8 = 0x80;
