//! Log pages of a drive.

use vtl_scsi::log::{LogPage, LogParameter};

use crate::Drive;

/// TapeAlert (SSC-5 §8.5.3).
pub(crate) const PAGE_TAPE_ALERT: u8 = 0x2e;
const TAPE_ALERT_FLAGS: u16 = 64;
/// Reading and writing fail with an unrecoverable error.
pub(crate) const ALERT_HARD_ERROR: u16 = 0x03;
/// The medium is at fault.
pub(crate) const ALERT_MEDIA: u16 = 0x04;
/// A write failed.
pub(crate) const ALERT_WRITE_FAILURE: u16 = 0x06;
/// The cartridge is of a format that the drive does not know.
pub(crate) const ALERT_UNSUPPORTED_FORMAT: u16 = 0x0d;

/// All pages but 00h, as they are now.
pub(crate) fn all(drive: &Drive) -> Vec<LogPage> {
    vec![tape_alert(drive)]
}

// 64 parameters of one byte: bit 0 is the flag.
fn tape_alert(drive: &Drive) -> LogPage {
    const BINARY_LIST: u8 = 0x03;
    let parameters = (1..=TAPE_ALERT_FLAGS).map(|flag| LogParameter {
        code: flag,
        control: BINARY_LIST,
        value: vec![u8::from(drive.tape_alerts.contains(&flag))],
    });
    LogPage { page: PAGE_TAPE_ALERT, subpage: 0, parameters: parameters.collect() }
}
