//! REPORT DENSITY SUPPORT (SSC-5 §7.10).

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};

use vtl_scsi::cdb::bit;
use vtl_scsi::device::Executed;
use vtl_scsi::vpd::padded;
use vtl_scsi::{Completion, Task};

use crate::Drive;
use crate::profile::Generation;

/// The densities of the drive, or of the cartridge in it.
pub(crate) fn report_density_support(drive: &mut Drive, task: &mut Task) -> Executed {
    let (flags, _, allocation_length, _control) =
        task.cdb.fields((be_u8, take(5_usize), be_u16, be_u8))?;
    let descriptors = if bit(flags, 0) {
        let loaded = drive.loaded()?;
        descriptor(loaded.generation, !loaded.is_read_only, true)
    } else {
        supported(drive)
    };
    // 0-1 available density support length, which counts from byte 2 on
    let mut data = u16::try_from(descriptors.len() + 2).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    data.extend([0, 0]);
    data.extend(descriptors);
    Ok(Completion::data_in_allocated(data, allocation_length.into()))
}

/// Ascending by density code.
fn supported(drive: &Drive) -> Vec<u8> {
    let profile = drive.profile;
    let older = profile.also_reads.iter().map(|generation| (*generation, false));
    let written = profile.also_writes.iter().map(|generation| (*generation, true));
    let all = older.chain(written).chain([(profile.generation, true)]);
    all.flat_map(|(generation, is_written)| {
        descriptor(generation, is_written, generation == profile.generation)
    })
    .collect()
}

// 0 primary code, 1 secondary code, 2 WRTOK (bit 7), DUP, DEFLT (bit 5), 5-7 bits per mm, 8-9 width in tenths of a mm,
// 10-11 tracks, 12-15 capacity in MB, 16-23 organisation, 24-31 name, 32-51 description
fn descriptor(generation: &Generation, is_written: bool, is_default: bool) -> Vec<u8> {
    let [_, bits @ ..] = generation.bits_per_mm.to_be_bytes();
    let mut descriptor = vec![generation.density, generation.density];
    descriptor.push(u8::from(is_written) << 7 | u8::from(is_default) << 5);
    descriptor.extend([0, 0]);
    descriptor.extend(bits);
    descriptor.extend(generation.width_tenths_mm.to_be_bytes());
    descriptor.extend(generation.tracks.to_be_bytes());
    descriptor.extend(
        u32::try_from(generation.capacity_bytes / 1_000_000).unwrap_or(u32::MAX).to_be_bytes(),
    );
    descriptor.extend(padded("LTO-CVE", 8));
    descriptor.extend(padded(generation.density_name, 8));
    descriptor.extend(padded(generation.description, 20));
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_52_bytes() {
        for generation in Generation::ALL {
            assert_eq!(descriptor(generation, true, true).len(), 52);
        }
    }
}
