//! Tape diagnostic data: page 16h (SSC-5 §8.2): the errors that could not be helped, the newest first.

use vtl_scsi::log::{LogPage, LogParameter};
use vtl_scsi::vpd::padded;

use super::DIAGNOSTIC_DATA;
use crate::Drive;
use crate::statistics::HardError;

pub(super) fn page(drive: &Drive) -> LogPage {
    let revision = drive.profile.revision;
    let parameters = (0..)
        .zip(drive.statistics.errors())
        .map(|(code, error)| LogParameter::binary(code, entry(error, revision)));
    LogPage::new(DIAGNOSTIC_DATA, parameters.collect())
}

// 2 density, 3 medium type, 4-7 lifetime medium motion hours, 9 REPEAT and sense key, 10 code, 11 qualifier,
// 12-15 vendor's qualifier, 16-19 revision, 20-23 hours since the last cleaning, 24 operation code, 25 service action,
// 28-59 medium, 60-67 time: origin 0 and zero, as errors have none
fn entry(error: &HardError, revision: &str) -> Vec<u8> {
    let mut entry = vec![0, 0, error.density, error.medium_type];
    entry.extend([0, 0, 0, 0]);
    entry.extend([0, error.key as u8, error.asc.code(), error.asc.qualifier()]);
    entry.extend([0, 0, 0, 0]);
    entry.extend(padded(revision, 4));
    entry.extend([0, 0, 0, 0]);
    entry.extend([error.operation_code, 0, 0, 0]);
    entry.extend(padded(&error.barcode, 32));
    entry.extend([0; 8]);
    entry
}
