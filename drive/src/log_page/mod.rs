//! Log pages of a drive, one page a file (SSC-5 §8.2).
//!
//! Left out is a page whose figures would have to be made up: IBM's performance characteristics (37h).

mod compression;
mod device_statistics;
mod device_status;
mod diagnostic_data;
mod error_counters;
mod sequential_access;
mod tape_alert;
mod temperature;
mod volume_statistics;

use vtl_scsi::ItNexus;
use vtl_scsi::log::LogPage;

use crate::Drive;

pub use temperature::Thermometer;

const WRITE_ERROR_COUNTERS: u8 = 0x02;
const READ_ERROR_COUNTERS: u8 = 0x03;
const SEQUENTIAL_ACCESS: u8 = 0x0c;
const TEMPERATURE: u8 = 0x0d;
const DEVICE_STATUS: u8 = 0x11;
const TAPE_ALERT_RESPONSE: u8 = 0x12;
const DEVICE_STATISTICS: u8 = 0x14;
const SERVICE_BUFFERS: u8 = 0x15;
const DIAGNOSTIC_DATA: u8 = 0x16;
const VOLUME_STATISTICS: u8 = 0x17;
const DATA_COMPRESSION: u8 = 0x1b;
/// TapeAlert.
pub(crate) const TAPE_ALERT: u8 = 0x2e;
const USAGE: u8 = 0x30;
const CAPACITY: u8 = 0x31;
const DATA_COMPRESSION_VENDOR: u8 = 0x32;

const MEGABYTE: u64 = 1_000_000;

/// Pages that begin anew with each cartridge.
pub(crate) const OF_THE_LOAD: [u8; 2] = [DATA_COMPRESSION, DATA_COMPRESSION_VENDOR];

/// Every LTO drive has these.
const COMMON: [u8; 14] = [
    WRITE_ERROR_COUNTERS,
    READ_ERROR_COUNTERS,
    SEQUENTIAL_ACCESS,
    TEMPERATURE,
    DEVICE_STATUS,
    TAPE_ALERT_RESPONSE,
    DEVICE_STATISTICS,
    SERVICE_BUFFERS,
    DIAGNOSTIC_DATA,
    VOLUME_STATISTICS,
    DATA_COMPRESSION,
    TAPE_ALERT,
    CAPACITY,
    DATA_COMPRESSION_VENDOR,
];
/// Only IBM's have this.
const IBM: [u8; 1] = [USAGE];

/// The pages that this model has, ascending.
pub(crate) fn codes(drive: &Drive) -> Vec<(u8, u8)> {
    let of_vendor: &[u8] = if drive.profile.vendor == "IBM" { &IBM } else { &[] };
    let mut codes: Vec<_> = COMMON.iter().chain(of_vendor).map(|page| (*page, 0)).collect();
    codes.sort_unstable();
    codes
}

/// One page, as it is now for this nexus.
pub(crate) fn page(drive: &Drive, page: u8, subpage: u8, nexus: ItNexus) -> Option<LogPage> {
    if !codes(drive).contains(&(page, subpage)) {
        return None;
    }
    match page {
        WRITE_ERROR_COUNTERS | READ_ERROR_COUNTERS => Some(error_counters::page(drive, page)),
        SEQUENTIAL_ACCESS => Some(sequential_access::page(drive)),
        TEMPERATURE => Some(temperature::page(drive)),
        DEVICE_STATUS => Some(device_status::page(drive)),
        TAPE_ALERT_RESPONSE => Some(tape_alert::response(drive)),
        DEVICE_STATISTICS => Some(device_statistics::page(drive)),
        // One parameter for each buffer that a service tool can have (ADC-3 §6.1.5): there is none.
        SERVICE_BUFFERS => Some(LogPage::new(page, Vec::new())),
        DIAGNOSTIC_DATA => Some(diagnostic_data::page(drive)),
        VOLUME_STATISTICS => Some(volume_statistics::page(drive)),
        DATA_COMPRESSION | DATA_COMPRESSION_VENDOR => Some(compression::page(drive, page)),
        TAPE_ALERT => Some(tape_alert::page(drive, nexus)),
        USAGE => Some(volume_statistics::usage(drive)),
        CAPACITY => Some(volume_statistics::capacity(drive)),
        _ => None,
    }
}

/// What a page counts begins anew. What says how things are, such as page 11h, stays.
pub(crate) fn reset(drive: &mut Drive, page: u8) {
    match page {
        TAPE_ALERT | TAPE_ALERT_RESPONSE => drive.tape_alerts.clear(),
        DIAGNOSTIC_DATA => drive.statistics.forget_errors(),
        WRITE_ERROR_COUNTERS
        | READ_ERROR_COUNTERS
        | SEQUENTIAL_ACCESS
        | DEVICE_STATISTICS
        | DATA_COMPRESSION
        | DATA_COMPRESSION_VENDOR => {
            let cartridge = match &drive.bay {
                crate::drive::Bay::Ready(loaded) | crate::drive::Bay::Unloaded(loaded) => {
                    Some(&loaded.cartridge)
                }
                crate::drive::Bay::Empty | crate::drive::Bay::Refused(_) => None,
            };
            drive.statistics.set_back(page, cartridge);
        }
        _ => {}
    }
}
