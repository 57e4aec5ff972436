//! Device statistics: page 14h (SSC-5 §8.2).

use vtl_scsi::log::{LogPage, LogParameter};

use super::DEVICE_STATISTICS;
use crate::Drive;

// 000Dh volume loads since the parameter was set back, 000Eh hard write errors, 000Fh hard read errors, 0040h the
// manufacturer's serial number of the drive, 0041h the drive's serial number, 0080h whether removal is prevented. What counts
// for a lifetime is left out: nothing in the drive outlives the program.
pub(super) fn page(drive: &Drive) -> LogPage {
    let counters = drive.statistics.of_page(DEVICE_STATISTICS, drive.cartridge());
    let serial = drive.serial();
    let parameters = vec![
        LogParameter::counter(0x000d, 4, counters.volume_loads),
        LogParameter::counter(0x000e, 4, counters.hard_write_errors),
        LogParameter::counter(0x000f, 4, counters.hard_read_errors),
        LogParameter::text(0x0040, serial.len(), serial),
        LogParameter::text(0x0041, serial.len(), serial),
        LogParameter::binary(0x0080, vec![u8::from(drive.is_removal_prevented())]),
    ];
    LogPage::new(DEVICE_STATISTICS, parameters)
}
