//! What hosts have written into the memory of a cartridge, on its way to a tape and back.

use vtl_media::{Volume, with_causes};
use vtl_vault::{Attribute, ExportError, LeftOut, Tape, TapeError};

/// All of them, by partition. One that a host has taken away is none.
pub(crate) fn of_hosts(cartridge: &Volume) -> Vec<Attribute> {
    let of_partition = |partition| {
        let there = cartridge.mam().attributes_of(partition);
        there.filter(|(_, attribute)| !attribute.value.is_empty()).map(
            move |(identifier, attribute)| {
                Attribute::new(partition, identifier, attribute.format, &attribute.value)
            },
        )
    };
    (0..cartridge.partition_count()).flat_map(of_partition).collect()
}

/// Takes those of a tape into a cartridge, but for its barcode, which the cartridge has of its own; `None` if the drive does not read them.
pub(crate) fn take_in(
    tape: &mut dyn Tape,
    cartridge: &mut Volume,
) -> Result<Option<Vec<Attribute>>, ExportError> {
    let mut taken = Vec::new();
    for partition in 0..cartridge.partition_count() {
        let mut there = match tape.attributes(partition) {
            Ok(there) => there,
            Err(TapeError::Refused(_)) => return Ok(None),
            // The chip of an old tape wears out before the tape does, and what is on the tape has come.
            Err(error) => {
                tracing::warn!(%error, "the tape's memory cannot be read: its attributes do not come along");
                return Ok(None);
            }
        };
        there.retain(|there| there.identifier != BARCODE);
        let changes = there.iter().filter_map(|there| {
            let (format, value) = (there.format?, there.bytes()?);
            Some((there.identifier, Some(vtl_media::Attribute { format, value })))
        });
        match cartridge.change_attributes(partition, changes.collect()) {
            Ok(()) => taken.extend(there),
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(
                    error,
                    "the cartridge does not take the tape's attributes: they do not come along"
                );
                return Ok(None);
            }
        }
    }
    Ok(Some(taken))
}

/// Their identifiers for people.
pub(crate) fn names(attributes: &[Attribute]) -> Vec<String> {
    attributes.iter().map(|there| name(there.partition, there.identifier)).collect()
}

/// Those that are not on the tape, each with its reason.
pub(crate) fn left_out(left_out: &[LeftOut]) -> Vec<String> {
    let one = |left: &LeftOut| format!("{}: {}", name(left.partition, left.identifier), left.why);
    left_out.iter().map(one).collect()
}

fn name(partition: u8, identifier: u16) -> String {
    match partition {
        0 => format!("{identifier:04X}h"),
        _ => format!("{identifier:04X}h of partition {partition}"),
    }
}

const BARCODE: u16 = 0x0806;
