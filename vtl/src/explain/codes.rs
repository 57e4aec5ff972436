//! Additional sense codes and their qualifiers (SPC-5 Annex F) that tape drives and media changers of all makers report, beside
//! those that this library reports itself, whose words are where it makes them ([`Asc::text`]).

use vtl_scsi::sense::Asc;

/// The standard's words for a code, or whose business it is.
pub(super) fn words(code: u8, qualifier: u8) -> String {
    const FIRST_OF_VENDORS: u8 = 0x80;
    if let Some(text) = known(code, qualifier) {
        return text.to_owned();
    }
    match (code, qualifier) {
        (FIRST_OF_VENDORS.., _) => "A code of the vendor's own".to_owned(),
        // SPC-5 Annex F: the qualifier is a number.
        (0x40, FIRST_OF_VENDORS..) => format!("Diagnostic failure on component {qualifier:02X}h"),
        (0x4d, _) => format!("Tagged overlapped commands (task tag {qualifier:02X}h)"),
        (0x70, _) => format!("Decompression exception, short algorithm ID {qualifier:02X}h"),
        (_, FIRST_OF_VENDORS..) => match known(code, 0) {
            Some(text) => format!("{text} (a qualifier of the vendor's own)"),
            None => "A code of the vendor's own".to_owned(),
        },
        _ => match known(code, 0) {
            Some(text) => format!("{text} (with a qualifier that is not in the table)"),
            None => "A code that is not in the table".to_owned(),
        },
    }
}

/// The code that has these words, whatever their case: how a kernel's log gives it.
pub(super) fn find(words: &str) -> Option<(u8, u8)> {
    let is_it = |text: &str| text.eq_ignore_ascii_case(words);
    let own = || {
        let all =
            (0..=u8::MAX).flat_map(|code| (0..=u8::MAX).map(move |qualifier| (code, qualifier)));
        all.into_iter().find(|(code, qualifier)| Asc(*code, *qualifier).text().is_some_and(is_it))
    };
    CODES.iter().find(|row| is_it(row.2)).map(|row| (row.0, row.1)).or_else(own)
}

fn known(code: u8, qualifier: u8) -> Option<&'static str> {
    let row = || CODES.iter().find(|row| (row.0, row.1) == (code, qualifier)).map(|row| row.2);
    Asc(code, qualifier).text().or_else(row)
}

/// Ascending.
#[rustfmt::skip]
const CODES: &[(u8, u8, &str)] = &[
    (0x00, 0x03, "Setmark detected"),
    (0x00, 0x06, "I/O process terminated"),
    (0x00, 0x16, "Operation in progress"),
    (0x00, 0x17, "Cleaning requested"),
    (0x00, 0x18, "Erase operation in progress"),
    (0x00, 0x19, "Locate operation in progress"),
    (0x00, 0x1a, "Rewind operation in progress"),
    (0x00, 0x1b, "Set capacity operation in progress"),
    (0x00, 0x1c, "Verify operation in progress"),
    (0x00, 0x1e, "Conflicting SA creation request"),
    (0x03, 0x00, "Peripheral device write fault"),
    (0x03, 0x01, "No write current"),
    (0x03, 0x02, "Excessive write errors"),
    (0x04, 0x04, "Logical unit not ready, format in progress"),
    (0x04, 0x07, "Logical unit not ready, operation in progress"),
    (0x04, 0x09, "Logical unit not ready, self-test in progress"),
    (0x04, 0x0a, "Logical unit not accessible, asymmetric access state transition"),
    (0x04, 0x0b, "Logical unit not accessible, target port in standby state"),
    (0x04, 0x0c, "Logical unit not accessible, target port in unavailable state"),
    (0x04, 0x0d, "Logical unit not ready, structure check required"),
    (0x04, 0x0e, "Logical unit not ready, security session in progress"),
    (0x04, 0x10, "Logical unit not ready, auxiliary memory not accessible"),
    (0x04, 0x11, "Logical unit not ready, notify (enable spinup) required"),
    (0x04, 0x12, "Logical unit not ready, offline"),
    (0x04, 0x13, "Logical unit not ready, SA creation in progress"),
    (0x04, 0x1c, "Logical unit not ready, additional power use not yet granted"),
    (0x04, 0x1d, "Logical unit not ready, configuration in progress"),
    (0x04, 0x1e, "Logical unit not ready, microcode activation required"),
    (0x04, 0x1f, "Logical unit not ready, microcode download required"),
    (0x04, 0x20, "Logical unit not ready, logical unit reset required"),
    (0x04, 0x21, "Logical unit not ready, hard reset required"),
    (0x04, 0x22, "Logical unit not ready, power cycle required"),
    (0x04, 0x26, "Logical unit not ready, depopulation in progress"),
    (0x05, 0x00, "Logical unit does not respond to selection"),
    (0x07, 0x00, "Multiple peripheral devices selected"),
    (0x08, 0x00, "Logical unit communication failure"),
    (0x08, 0x01, "Logical unit communication time-out"),
    (0x08, 0x02, "Logical unit communication parity error"),
    (0x09, 0x00, "Track following error"),
    (0x09, 0x04, "Head select fault"),
    (0x0a, 0x00, "Error log overflow"),
    (0x0b, 0x00, "Warning"),
    (0x0b, 0x01, "Warning - specified temperature exceeded"),
    (0x0b, 0x02, "Warning - enclosure degraded"),
    (0x0b, 0x03, "Warning - background self-test failed"),
    (0x0b, 0x08, "Warning - power loss expected"),
    (0x0c, 0x04, "Compression check miscompare error"),
    (0x0c, 0x05, "Data expansion occurred during compression"),
    (0x0c, 0x06, "Block not compressible"),
    (0x0c, 0x0b, "Auxiliary memory write error"),
    (0x0c, 0x0c, "Write error - unexpected unsolicited data"),
    (0x0c, 0x0d, "Write error - not enough unsolicited data"),
    (0x0e, 0x00, "Invalid information unit"),
    (0x0e, 0x01, "Information unit too short"),
    (0x0e, 0x02, "Information unit too long"),
    (0x10, 0x00, "ID CRC or ECC error"),
    (0x10, 0x02, "Logical block application tag check failed"),
    (0x10, 0x03, "Logical block reference tag check failed"),
    (0x10, 0x04, "Logical block protection error on recover buffered data"),
    (0x10, 0x05, "Logical block protection method error"),
    (0x11, 0x01, "Read retries exhausted"),
    (0x11, 0x02, "Error too long to correct"),
    (0x11, 0x03, "Multiple read errors"),
    (0x11, 0x08, "Incomplete block read"),
    (0x11, 0x09, "No gap found"),
    (0x11, 0x0a, "Miscorrected error"),
    (0x11, 0x0d, "De-compression CRC error"),
    (0x11, 0x0e, "Cannot decompress using declared algorithm"),
    (0x11, 0x12, "Auxiliary memory read error"),
    (0x11, 0x13, "Read error - failed retransmission request"),
    (0x14, 0x00, "Recorded entity not found"),
    (0x14, 0x01, "Record not found"),
    (0x14, 0x02, "Filemark or setmark not found"),
    (0x14, 0x04, "Block sequence error"),
    (0x15, 0x00, "Random positioning error"),
    (0x15, 0x01, "Mechanical positioning error"),
    (0x15, 0x02, "Positioning error detected by read of medium"),
    (0x17, 0x00, "Recovered data with no error correction applied"),
    (0x17, 0x01, "Recovered data with retries"),
    (0x17, 0x02, "Recovered data with positive head offset"),
    (0x17, 0x03, "Recovered data with negative head offset"),
    (0x18, 0x00, "Recovered data with error correction applied"),
    (0x1b, 0x00, "Synchronous data transfer error"),
    (0x1d, 0x00, "Miscompare during verify operation"),
    (0x20, 0x01, "Access denied - initiator pending-enrolled"),
    (0x20, 0x02, "Access denied - no access rights"),
    (0x20, 0x03, "Access denied - invalid mgmt ID key"),
    (0x20, 0x04, "Illegal command while in write capable state"),
    (0x20, 0x06, "Illegal command while in explicit address mode"),
    (0x20, 0x07, "Illegal command while in implicit address mode"),
    (0x20, 0x08, "Access denied - enrollment conflict"),
    (0x20, 0x09, "Access denied - invalid LU identifier"),
    (0x20, 0x0a, "Access denied - invalid proxy token"),
    (0x20, 0x0b, "Access denied - ACL LUN conflict"),
    (0x21, 0x00, "Logical block address out of range"),
    (0x21, 0x02, "Invalid address for write"),
    (0x24, 0x01, "CDB decryption error"),
    (0x24, 0x04, "Security audit value frozen"),
    (0x24, 0x05, "Security working key frozen"),
    (0x24, 0x06, "Nonce not unique"),
    (0x24, 0x07, "Nonce timestamp out of range"),
    (0x24, 0x08, "Invalid XCDB"),
    (0x26, 0x01, "Parameter not supported"),
    (0x26, 0x02, "Parameter value invalid"),
    (0x26, 0x03, "Threshold parameters not supported"),
    (0x26, 0x05, "Data decryption error"),
    (0x26, 0x0f, "Inline data length exceeded"),
    (0x26, 0x10, "Incomplete key-associated data set"),
    (0x26, 0x11, "Vendor specific key reference not found"),
    (0x26, 0x12, "Application tag mode page is invalid"),
    (0x27, 0x01, "Hardware write protected"),
    (0x27, 0x02, "Logical unit software write protected"),
    (0x27, 0x03, "Associated write protect"),
    (0x27, 0x04, "Persistent write protect"),
    (0x27, 0x05, "Permanent write protect"),
    (0x27, 0x06, "Conditional write protect"),
    (0x28, 0x02, "Format-layer may have changed"),
    (0x29, 0x02, "SCSI bus reset occurred"),
    (0x29, 0x04, "Device internal reset"),
    (0x29, 0x05, "Transceiver mode changed to single-ended"),
    (0x29, 0x06, "Transceiver mode changed to LVD"),
    (0x2a, 0x00, "Parameters changed"),
    (0x2a, 0x06, "Asymmetric access state changed"),
    (0x2a, 0x07, "Implicit asymmetric access state transition failed"),
    (0x2a, 0x08, "Priority changed"),
    (0x2a, 0x09, "Capacity data has changed"),
    (0x2a, 0x0a, "Error history I_T nexus cleared"),
    (0x2a, 0x0b, "Error history snapshot released"),
    (0x2a, 0x0d, "Data encryption capabilities changed"),
    (0x2a, 0x12, "Data encryption parameters changed by vendor specific event"),
    (0x2a, 0x14, "SA creation capabilities data has changed"),
    (0x2a, 0x15, "Medium removal prevention preempted"),
    (0x2b, 0x00, "Copy cannot execute since host cannot disconnect"),
    (0x2c, 0x05, "Illegal power condition request"),
    (0x2c, 0x07, "Previous busy status"),
    (0x2c, 0x08, "Previous task set full status"),
    (0x2c, 0x09, "Previous reservation conflict status"),
    (0x2c, 0x0b, "Not reserved"),
    (0x2d, 0x00, "Overwrite error on update in place"),
    (0x2e, 0x00, "Insufficient time for operation"),
    (0x2f, 0x01, "Commands cleared by power loss notification"),
    (0x2f, 0x02, "Commands cleared by device server"),
    (0x30, 0x04, "Cannot write medium - unknown format"),
    (0x30, 0x06, "Cannot format medium - incompatible medium"),
    (0x30, 0x08, "Cannot write - application code mismatch"),
    (0x30, 0x0d, "WORM medium - integrity check"),
    (0x30, 0x10, "Medium not formatted"),
    (0x31, 0x01, "Format command failed"),
    (0x33, 0x00, "Tape length error"),
    (0x34, 0x00, "Enclosure failure"),
    (0x35, 0x00, "Enclosure services failure"),
    (0x37, 0x00, "Rounded parameter"),
    (0x3a, 0x01, "Medium not present - tray closed"),
    (0x3a, 0x02, "Medium not present - tray open"),
    (0x3a, 0x03, "Medium not present - loadable"),
    (0x3a, 0x04, "Medium not present - medium auxiliary memory accessible"),
    (0x3b, 0x01, "Tape position error at beginning-of-medium"),
    (0x3b, 0x02, "Tape position error at end-of-medium"),
    (0x3b, 0x08, "Reposition error"),
    (0x3b, 0x12, "Medium magazine removed"),
    (0x3b, 0x13, "Medium magazine inserted"),
    (0x3b, 0x14, "Medium magazine locked"),
    (0x3b, 0x15, "Medium magazine unlocked"),
    (0x3b, 0x16, "Mechanical positioning or changer error"),
    (0x3b, 0x17, "Read past end of user object"),
    (0x3b, 0x18, "Element disabled"),
    (0x3b, 0x19, "Element enabled"),
    (0x3b, 0x1a, "Data transfer device removed"),
    (0x3b, 0x1b, "Data transfer device inserted"),
    (0x3b, 0x1c, "Too many logical objects on partition to support operation"),
    (0x3d, 0x00, "Invalid bits in identify message"),
    (0x3e, 0x00, "Logical unit has not self-configured yet"),
    (0x3e, 0x01, "Logical unit failure"),
    (0x3e, 0x02, "Timeout on logical unit"),
    (0x3e, 0x04, "Logical unit unable to update self-test log"),
    (0x3f, 0x00, "Target operating conditions have changed"),
    (0x3f, 0x01, "Microcode has been changed"),
    (0x3f, 0x02, "Changed operating definition"),
    (0x3f, 0x03, "INQUIRY data has changed"),
    (0x3f, 0x04, "Component device attached"),
    (0x3f, 0x05, "Device identifier changed"),
    (0x3f, 0x10, "Medium loadable"),
    (0x3f, 0x11, "Medium auxiliary memory accessible"),
    (0x3f, 0x12, "iSCSI IP address added"),
    (0x3f, 0x13, "iSCSI IP address removed"),
    (0x3f, 0x14, "iSCSI IP address changed"),
    (0x41, 0x00, "Data path failure"),
    (0x43, 0x00, "Message error"),
    (0x45, 0x00, "Select or reselect failure"),
    (0x46, 0x00, "Unsuccessful soft reset"),
    (0x47, 0x00, "SCSI parity error"),
    (0x47, 0x01, "Data phase CRC error detected"),
    (0x47, 0x03, "Information unit iuCRC error detected"),
    (0x48, 0x00, "Initiator detected error message received"),
    (0x49, 0x00, "Invalid message error"),
    (0x4a, 0x00, "Command phase error"),
    (0x4b, 0x00, "Data phase error"),
    (0x4b, 0x01, "Invalid target port transfer tag received"),
    (0x4b, 0x02, "Too much write data"),
    (0x4b, 0x03, "ACK/NAK timeout"),
    (0x4b, 0x05, "Data offset error"),
    (0x4b, 0x06, "Initiator response timeout"),
    (0x4c, 0x00, "Logical unit failed self-configuration"),
    (0x50, 0x00, "Write append error"),
    (0x50, 0x01, "Write append position error"),
    (0x50, 0x02, "Position error related to timing"),
    (0x51, 0x00, "Erase failure"),
    (0x51, 0x01, "Erase failure - incomplete erase operation detected"),
    (0x52, 0x00, "Cartridge fault"),
    (0x53, 0x03, "Medium removal prevented by data transfer element"),
    (0x53, 0x04, "Medium thread or unthread failure"),
    (0x53, 0x05, "Volume identifier invalid"),
    (0x53, 0x06, "Volume identifier missing"),
    (0x53, 0x07, "Duplicate volume identifier"),
    (0x53, 0x08, "Element status unknown"),
    (0x53, 0x09, "Data transfer device error - load failed"),
    (0x53, 0x0a, "Data transfer device error - unload failed"),
    (0x53, 0x0b, "Data transfer device error - unload missing"),
    (0x53, 0x0c, "Data transfer device error - eject failed"),
    (0x53, 0x0d, "Data transfer device error - library communication failed"),
    (0x54, 0x00, "SCSI to host system interface failure"),
    (0x55, 0x00, "System resource failure"),
    (0x55, 0x01, "System buffer full"),
    (0x55, 0x02, "Insufficient reservation resources"),
    (0x55, 0x03, "Insufficient resources"),
    (0x55, 0x05, "Insufficient access control resources"),
    (0x55, 0x07, "Quota error"),
    (0x55, 0x08, "Maximum number of supplemental decryption keys exceeded"),
    (0x55, 0x09, "Medium auxiliary memory not accessible"),
    (0x55, 0x0a, "Data currently unavailable"),
    (0x55, 0x0b, "Insufficient power for operation"),
    (0x57, 0x00, "Unable to recover table-of-contents"),
    (0x5a, 0x00, "Operator request or state change input"),
    (0x5a, 0x01, "Operator medium removal request"),
    (0x5a, 0x03, "Operator selected write permit"),
    (0x5b, 0x00, "Log exception"),
    (0x5b, 0x01, "Threshold condition met"),
    (0x5b, 0x02, "Log counter at maximum"),
    (0x5b, 0x03, "Log list codes exhausted"),
    (0x5d, 0x00, "Failure prediction threshold exceeded"),
    (0x5d, 0x01, "Media failure prediction threshold exceeded"),
    (0x5d, 0x02, "Logical unit failure prediction threshold exceeded"),
    (0x5d, 0xff, "Failure prediction threshold exceeded (false)"),
    (0x5e, 0x00, "Low power condition on"),
    (0x65, 0x00, "Voltage fault"),
    (0x67, 0x00, "Configuration failure"),
    (0x71, 0x00, "Decompression exception long algorithm ID"),
    (0x74, 0x04, "Cryptographic integrity validation failed"),
    (0x74, 0x05, "Error decrypting data"),
    (0x74, 0x06, "Unknown signature verification key"),
    (0x74, 0x07, "Encryption parameters not useable"),
    (0x74, 0x08, "Digital signature validation failure"),
    (0x74, 0x09, "Encryption mode mismatch on read"),
    (0x74, 0x0a, "Encrypted block not raw read enabled"),
    (0x74, 0x0b, "Incorrect encryption parameters"),
    (0x74, 0x0c, "Unable to decrypt parameter list"),
    (0x74, 0x0d, "Encryption algorithm disabled"),
    (0x74, 0x10, "SA creation parameter value invalid"),
    (0x74, 0x11, "SA creation parameter value rejected"),
    (0x74, 0x12, "Invalid SA usage"),
    (0x74, 0x21, "Data encryption configuration prevented"),
    (0x74, 0x30, "SA creation parameter not supported"),
    (0x74, 0x40, "Authentication failed"),
    (0x74, 0x61, "External data encryption key manager access error"),
    (0x74, 0x62, "External data encryption key manager error"),
    (0x74, 0x63, "External data encryption key not found"),
    (0x74, 0x64, "External data encryption request not authorized"),
    (0x74, 0x6e, "External data encryption control timeout"),
    (0x74, 0x6f, "External data encryption control error"),
    (0x74, 0x71, "Logical unit access not authorized"),
    (0x74, 0x79, "Security conflict in translated device"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ascends_and_repeats_nothing_that_the_devices_know() {
        assert!(CODES.windows(2).all(|pair| (pair[0].0, pair[0].1) < (pair[1].0, pair[1].1)));
        for (code, qualifier, text) in CODES {
            assert_eq!(Asc(*code, *qualifier).text(), None, "{code:02x}/{qualifier:02x} {text}");
        }
    }

    #[test]
    fn words_lead_back_to_their_code() {
        for (code, qualifier) in [(0x74, 0x01), (0x3b, 0x0d), (0x53, 0x04), (0x04, 0x07)] {
            assert_eq!(find(&words(code, qualifier).to_uppercase()), Some((code, qualifier)));
        }
        assert_eq!(find("Out of cheese"), None);
    }

    #[test]
    fn what_is_not_in_the_table_is_not_made_up() {
        assert_eq!(words(0x82, 0x84), "A code of the vendor's own");
        assert_eq!(words(0x40, 0x85), "Diagnostic failure on component 85h");
        assert_eq!(
            words(0x04, 0x83),
            "Logical unit not ready, cause not reportable (a qualifier of the vendor's own)"
        );
        assert_eq!(
            words(0x24, 0x77),
            "Invalid field in CDB (with a qualifier that is not in the table)"
        );
        assert_eq!(words(0x7f, 0x00), "A code that is not in the table");
    }
}
