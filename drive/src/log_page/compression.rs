//! Data compression: page 1Bh (SSC-5 §8.5), and page 32h, where LTO drives have had the same from the beginning.

use vtl_scsi::log::{LogPage, LogParameter};

use super::{DATA_COMPRESSION, MEGABYTE};
use crate::{Drive, mode_page};

// 0000h, 0001h ratios of reading and writing; then pairs of megabytes and the bytes beyond them: to and from the host what
// blocks are long, from and to the tape what they take there. Page 1Bh also says whether compression is on.
pub(super) fn page(drive: &Drive, page: u8) -> LogPage {
    const IS_ON: u16 = 0x0100;
    let traffic = drive.statistics.of_page(page, drive.cartridge()).traffic;
    let ratios = [
        ratio(traffic.unpacked_bytes, traffic.read_bytes),
        ratio(traffic.laid_out_bytes, traffic.written_bytes),
    ];
    let amounts =
        [traffic.given_bytes, traffic.read_bytes, traffic.accepted_bytes, traffic.written_bytes];
    let amounts = amounts.into_iter().flat_map(|bytes| [bytes / MEGABYTE, bytes % MEGABYTE]);
    let amounts = amounts.map(|amount| u32::try_from(amount).unwrap_or(u32::MAX).to_be_bytes());
    let values = ratios.into_iter().map(|ratio| ratio.to_be_bytes().to_vec());
    let values = values.chain(amounts.map(|amount| amount.to_vec()));
    let mut parameters: Vec<_> =
        (0..).zip(values).map(|(code, value)| LogParameter::binary(code, value)).collect();
    if page == DATA_COMPRESSION {
        let is_on = u8::from(mode_page::compresses(&drive.mode));
        parameters.push(LogParameter::binary(IS_ON, vec![is_on]));
    }
    LogPage::new(page, parameters)
}

/// A hundred times how much longer data is than what it takes; 0 where nothing has gone that way.
pub(super) fn ratio(data_bytes: u64, stored_bytes: u64) -> u16 {
    if data_bytes == 0 {
        return 0;
    }
    let ratio = data_bytes.saturating_mul(100).checked_div(stored_bytes);
    ratio.and_then(|ratio| u16::try_from(ratio).ok()).unwrap_or(u16::MAX)
}
