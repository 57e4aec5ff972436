//! Pages about the transport, power and recovery from errors: none of what they could tell the drive can be changed.

use vtl_scsi::mode::ModePage;

/// iSCSI (SPC-5 §7.6.1).
const PROTOCOL_ISCSI: u8 = 0x05;

// 01h read-write error recovery (SSC-5 §8.3.5): 2 TB, EER, PER, DTE, DCR; 3 read retries; 8 write retries: a disk is read and
// written once.
pub(super) fn read_write_error_recovery() -> ModePage {
    ModePage::fixed(0x01, vec![0; 10])
}

// 02h disconnect-reconnect (SPC-5 §7.5.12): 2-3 buffer ratios; 4-9 time limits; 10-11 maximum burst size; 12 EMDP; 14-15 first
// burst size, both in units of 512 bytes: 0 is no limit but that of the session (RFC 7143 §13).
pub(super) fn disconnect_reconnect() -> ModePage {
    ModePage::fixed(0x02, vec![0; 14])
}

// 18h, 19h protocol-specific logical unit and port (SPC-5 §7.5.16, §7.5.17): 2 protocol. iSCSI has nothing to say in them.
pub(super) fn protocol_specific(page: u8) -> ModePage {
    ModePage::fixed(page, vec![PROTOCOL_ISCSI, 0, 0, 0, 0, 0])
}

// 1Ah power condition (SPC-5 §7.5.15): 2-3 which timers are on: none; 4-39 timers.
pub(super) fn power_condition() -> ModePage {
    ModePage::fixed(0x1a, vec![0; 38])
}
