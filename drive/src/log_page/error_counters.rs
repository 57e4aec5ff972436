//! Write and read error counters: pages 02h and 03h (SPC-5 §7.3.7).

use vtl_scsi::log::{LogPage, LogParameter};

use super::WRITE_ERROR_COUNTERS;
use crate::Drive;

// 0000h corrected without delay, 0001h with delay, 0002h rewrites or rereads, 0003h corrected, 0004h times corrected: a disk
// does none of it. 0005h bytes processed, 0006h uncorrected errors.
pub(super) fn page(drive: &Drive, page: u8) -> LogPage {
    const BYTES: u16 = 0x0005;
    const UNCORRECTED: u16 = 0x0006;
    let counters = drive.statistics.of_page(page, drive.cartridge());
    let (bytes, errors) = if page == WRITE_ERROR_COUNTERS {
        (counters.traffic.accepted_bytes, counters.hard_write_errors)
    } else {
        (counters.traffic.given_bytes, counters.hard_read_errors)
    };
    let corrected = (0..BYTES).map(|code| LogParameter::counter(code, 4, 0));
    let counted =
        [LogParameter::counter(BYTES, 8, bytes), LogParameter::counter(UNCORRECTED, 4, errors)];
    LogPage::new(page, corrected.chain(counted).collect())
}
