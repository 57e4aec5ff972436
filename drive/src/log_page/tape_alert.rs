//! TapeAlert: page 2Eh and the response page 12h (SSC-5 §8.2).

use vtl_scsi::ItNexus;
use vtl_scsi::log::{LogPage, LogParameter};

use super::{TAPE_ALERT, TAPE_ALERT_RESPONSE};
use crate::Drive;
use crate::tape_alert::TAPE_ALERT_FLAGS;

// 64 parameters of one byte: bit 0 is the flag.
pub(super) fn page(drive: &Drive, nexus: ItNexus) -> LogPage {
    let lit = drive.unread_tape_alerts(nexus);
    let parameters = (1..=TAPE_ALERT_FLAGS)
        .map(|flag| LogParameter::binary(flag, vec![u8::from(lit.contains(&flag))]));
    LogPage::new(TAPE_ALERT, parameters.collect())
}

// One parameter of 64 bits: flag 1 is the first. Reading it leaves the flags as they are.
pub(super) fn response(drive: &Drive) -> LogPage {
    let lit = drive.lit_tape_alerts();
    let flags = (1..=TAPE_ALERT_FLAGS)
        .fold(0_u64, |flags, flag| flags << 1 | u64::from(lit.contains(&flag)));
    let parameter = LogParameter::binary(0x0000, flags.to_be_bytes().to_vec());
    LogPage::new(TAPE_ALERT_RESPONSE, vec![parameter])
}
