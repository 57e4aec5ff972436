//! Sequential-access device: page 0Ch (SSC-5 §8.2).

use vtl_scsi::log::{LogPage, LogParameter};

use super::{MEGABYTE, SEQUENTIAL_ACCESS};
use crate::Drive;

// 0000h bytes from hosts with WRITE, 0001h what they take on the medium, 0002h read from the medium, 0003h bytes to hosts;
// native megabytes: 0004h from the beginning to the end of data, 0005h to early warning, 0006h from there to the end,
// 0007h from the beginning to the position; all ones without a medium. 0100h cleaning requested: never, as nothing gets dirty.
pub(super) fn page(drive: &Drive) -> LogPage {
    const UNKNOWN: u64 = u32::MAX as u64;
    const CLEANING_REQUESTED: u16 = 0x0100;
    let traffic = drive.statistics.of_page(SEQUENTIAL_ACCESS, drive.cartridge()).traffic;
    let amounts =
        [traffic.accepted_bytes, traffic.written_bytes, traffic.read_bytes, traffic.given_bytes];
    let capacities = drive.cartridge().map_or([UNKNOWN; 4], |cartridge| {
        let early_warning = cartridge.early_warning_bytes();
        let end_of_data = cartridge.facts().written_bytes;
        [
            end_of_data,
            cartridge.capacity_bytes().saturating_sub(early_warning),
            early_warning,
            cartridge.position_bytes(),
        ]
        .map(|bytes| bytes / MEGABYTE)
    });
    let amounts = (0..).zip(amounts).map(|(code, bytes)| LogParameter::counter(code, 8, bytes));
    let capacities =
        (4..).zip(capacities).map(|(code, megabytes)| LogParameter::counter(code, 4, megabytes));
    let cleaning = LogParameter::counter(CLEANING_REQUESTED, 1, 0);
    LogPage::new(SEQUENTIAL_ACCESS, amounts.chain(capacities).chain([cleaning]).collect())
}
