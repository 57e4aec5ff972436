//! Vital product data pages that all device types have (SPC-5 §7.7), and standard INQUIRY data (§6.6.2).

/// Who a logical unit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The peripheral device type: 01h sequential access, 08h media changer.
    pub device_type: u8,
    /// T10 vendor identification, at most 8 characters.
    pub vendor: String,
    /// Product identification, at most 16 characters.
    pub product: String,
    /// Product revision level, at most 4 characters.
    pub revision: String,
    /// The unit serial number.
    pub serial: String,
    /// The NAA identifier of the logical unit, the same for ever.
    pub naa: u64,
    /// PROTECT in byte 5 of standard INQUIRY data: blocks can be protected on their way.
    pub protects: bool,
    /// Byte 6 of standard INQUIRY data, such as MCHNGR.
    pub flags: u8,
    /// Vendor-specific bytes from byte 36 on.
    pub vendor_specific: Vec<u8>,
    /// Version descriptors (SPC-5 §6.6.2.2): which standards the device claims.
    pub version_descriptors: Vec<u16>,
}

/// Where the version descriptors begin in standard INQUIRY data.
const VERSION_DESCRIPTORS_OFFSET: usize = 58;
const MAX_VERSION_DESCRIPTORS: usize = 8;

impl Identity {
    // 0 qualifier and type, 1 RMB, 2 version, 3 HISUP and format, 4 additional length, 5-7 flags, 8-15 vendor,
    // 16-31 product, 32-35 revision, 36-55 vendor specific, 56-57 reserved, 58-73 version descriptors.
    /// Standard INQUIRY data.
    pub fn inquiry_data(&self) -> Vec<u8> {
        const REMOVABLE: u8 = 0x80;
        const VERSION_SPC_4: u8 = 0x06;
        const HISUP_FORMAT_2: u8 = 0x12;
        const CMDQUE: u8 = 0x02;
        let mut data = vec![
            self.device_type,
            REMOVABLE,
            VERSION_SPC_4,
            HISUP_FORMAT_2,
            0,
            u8::from(self.protects),
            self.flags,
            CMDQUE,
        ];
        data.extend(padded(&self.vendor, 8));
        data.extend(padded(&self.product, 16));
        data.extend(padded(&self.revision, 4));
        data.extend(&self.vendor_specific);
        data.resize(VERSION_DESCRIPTORS_OFFSET, 0);
        for descriptor in self.version_descriptors.iter().take(MAX_VERSION_DESCRIPTORS) {
            data.extend(descriptor.to_be_bytes());
        }
        data.resize(VERSION_DESCRIPTORS_OFFSET + 2 * MAX_VERSION_DESCRIPTORS, 0);
        let additional = u8::try_from(data.len().saturating_sub(5)).unwrap_or(u8::MAX);
        if let Some(length) = data.get_mut(4) {
            *length = additional;
        }
        data
    }

    /// Page 80h: the unit serial number (SPC-5 §7.7.19).
    pub fn unit_serial_number(&self) -> Vec<u8> {
        self.page(0x80, self.serial.as_bytes())
    }

    /// Page 83h: T10 vendor id with product and serial, NAA of the logical unit, and the target's port (SPC-5 §7.7.6).
    pub fn device_identification(&self, relative_port: u16) -> Vec<u8> {
        let mut designators = Vec::new();
        let mut t10 = padded(&self.vendor, 8);
        t10.extend(padded(&self.product, 16));
        t10.extend(self.serial.bytes());
        designators.extend([0x02, 0x01, 0, u8::try_from(t10.len()).unwrap_or(0)]); // ASCII, of the logical unit
        designators.extend(t10);
        designators.extend([0x01, 0x03, 0, 8]); // binary, NAA
        designators.extend(self.naa.to_be_bytes());
        designators.extend([0x51, 0x94, 0, 4, 0, 0]); // iSCSI, PIV, of the port: relative target port
        designators.extend(relative_port.to_be_bytes());
        self.page(0x83, &designators)
    }

    /// Page 86h: extended INQUIRY data (SPC-5 §7.7.7): nothing beyond head of queue, ordered and simple tasks.
    pub fn extended_inquiry(&self) -> Vec<u8> {
        let mut body = [0_u8; 60];
        body[1] = 0x07; // ORDSUP, HEADSUP, SIMPSUP
        self.page(0x86, &body)
    }

    /// Any page: its header and body.
    pub fn page(&self, code: u8, body: &[u8]) -> Vec<u8> {
        let mut page = vec![self.device_type, code];
        page.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
        page.extend(body);
        page
    }
}

/// Text as the standards keep it: left-aligned, filled with spaces, printable ASCII only.
pub fn padded(text: &str, length: usize) -> Vec<u8> {
    let printable = text
        .chars()
        .map(|c| u8::try_from(c).ok().filter(|c| (0x20..0x7f).contains(c)).unwrap_or(b'?'));
    printable.chain(std::iter::repeat(b' ')).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            device_type: 1,
            vendor: "IBM".into(),
            product: "ULT3580-TD9".into(),
            revision: "Q3F5".into(),
            serial: "1013000001".into(),
            naa: 0x5005_0763_0000_0001,
            protects: false,
            flags: 0,
            vendor_specific: vec![],
            version_descriptors: vec![0x00a0],
        }
    }

    #[test]
    fn standard_inquiry_data_is_74_bytes_and_says_so() {
        let data = identity().inquiry_data();
        assert_eq!(data.len(), 74);
        assert_eq!(data[4], 69);
        assert_eq!(&data[8..36], b"IBM     ULT3580-TD9     Q3F5");
        assert_eq!(data[58..60], [0x00, 0xa0]);
    }

    #[test]
    fn device_identification_names_unit_and_port() {
        let page = identity().device_identification(1);
        assert_eq!(usize::from(u16::from_be_bytes([page[2], page[3]])), page.len() - 4);
        assert_eq!(&page[8..42], b"IBM     ULT3580-TD9     1013000001");
        assert_eq!(page[42..46], [1, 3, 0, 8]);
    }
}
