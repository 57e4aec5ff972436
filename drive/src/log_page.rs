//! Log pages of a drive.

use vtl_media::Volume;
use vtl_scsi::log::{LogPage, LogParameter};

use crate::{Drive, mode_page};

/// TapeAlert (SSC-5 §8.5.3).
pub(crate) const PAGE_TAPE_ALERT: u8 = 0x2e;
/// Data compression (SSC-5 §8.5).
const PAGE_DATA_COMPRESSION: u8 = 0x1b;
/// The same, where LTO drives have had it from the beginning.
const PAGE_DATA_COMPRESSION_VENDOR: u8 = 0x32;
const MEGABYTE: u64 = 1_000_000;
const TAPE_ALERT_FLAGS: u16 = 64;
/// Reading and writing fail with an unrecoverable error.
pub(crate) const ALERT_HARD_ERROR: u16 = 0x03;
/// The medium is at fault.
pub(crate) const ALERT_MEDIA: u16 = 0x04;
/// A write was refused because of write protection.
pub(crate) const ALERT_WRITE_PROTECT: u16 = 0x09;
/// A write was refused because it would have overwritten what is on a WORM medium.
pub(crate) const ALERT_WORM_OVERWRITE: u16 = 0x3c;
/// A write failed.
pub(crate) const ALERT_WRITE_FAILURE: u16 = 0x06;
/// The cartridge is of a format that the drive does not know.
pub(crate) const ALERT_UNSUPPORTED_FORMAT: u16 = 0x0d;

/// All pages but 00h, as they are now.
pub(crate) fn all(drive: &Drive) -> Vec<LogPage> {
    vec![
        data_compression(drive, PAGE_DATA_COMPRESSION),
        tape_alert(drive),
        data_compression(drive, PAGE_DATA_COMPRESSION_VENDOR),
    ]
}

// 0000h, 0001h ratios of reading and writing; then pairs of megabytes and the bytes beyond them: to and from the host what
// blocks are long, from and to the tape what they take there. Page 1Bh (SSC-5 §8.5) also says whether compression is on.
fn data_compression(drive: &Drive, page: u8) -> LogPage {
    const BINARY: u8 = 0x03;
    const IS_ON: u16 = 0x0100;
    let traffic = drive.cartridge().map(Volume::traffic).unwrap_or_default();
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
    let parameter = |(code, value)| LogParameter { code, control: BINARY, value };
    let mut parameters: Vec<_> = (0..).zip(values).map(parameter).collect();
    if page == PAGE_DATA_COMPRESSION {
        let is_on = u8::from(mode_page::compresses(&drive.mode));
        parameters.push(parameter((IS_ON, vec![is_on])));
    }
    LogPage { page, subpage: 0, parameters }
}

/// A hundred times how much longer data is than what it takes; 0 where nothing has gone that way.
fn ratio(data_bytes: u64, stored_bytes: u64) -> u16 {
    if data_bytes == 0 {
        return 0;
    }
    let ratio = data_bytes.saturating_mul(100).checked_div(stored_bytes);
    ratio.and_then(|ratio| u16::try_from(ratio).ok()).unwrap_or(u16::MAX)
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
