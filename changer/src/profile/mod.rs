//! What distinguishes one library model from another, as data: a file per vendor.

mod hp;
mod ibm;
mod quantum;
mod spectra;
mod stk;

use vtl_scsi::vpd::{Identity, padded};

use crate::ElementMap;

/// A library model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// The name in the configuration.
    pub name: &'static str,
    /// T10 vendor identification.
    pub vendor: &'static str,
    /// Product identification.
    pub product: &'static str,
    /// Product revision level.
    pub revision: &'static str,
    /// The first element address of each type: transport, storage, import/export, data transfer.
    pub first_addresses: [u16; 4],
    /// The drive model that it gets where none is named.
    pub default_drive: &'static str,
    /// How a drive is named in READ ELEMENT STATUS.
    pub identifier: DriveIdentifier,
    /// What standard INQUIRY data says beyond the names.
    pub inquiry: InquiryForm,
    /// How vital product data page 80h gives the serial number.
    pub serial_form: SerialForm,
    /// Whether it has vital product data page 83h at all: old ones have not.
    pub has_device_identification: bool,
    /// NAA identifiers begin with this. The rest comes from the serial number.
    pub naa_base: u64,
    /// Vital product data pages of this vendor's own.
    pub vendor_pages: &'static [VendorPage],
}

/// How the drive in a data transfer element is named (SMC-3 §6.11, DVCID): backup software finds out by it which tape device
/// is which drive of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriveIdentifier {
    /// What is in it.
    pub form: IdentifierForm,
    /// Whether it is there even if the CDB does not ask for it.
    pub is_always_sent: bool,
}

/// What is in a drive's identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentifierForm {
    /// Type 1, 34 bytes: vendor, product and ten characters of the serial number.
    VendorProductSerial,
    /// Type 0: the serial number alone, filled up with spaces.
    Serial {
        /// Bytes of it.
        length: u8,
    },
}

/// Vendor-specific bytes of standard INQUIRY data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InquiryForm {
    /// Bytes 38 to 49 are the serial number.
    pub has_serial: bool,
    /// Bytes 50 and 51 are this, behind the serial number.
    pub behind_serial: &'static str,
    /// Bytes 36 to 54 are the full firmware revision.
    pub has_full_revision: bool,
    /// Bit 0 of byte 55: there is a bar code reader.
    pub has_bar_code_bit: bool,
    /// Bit 5 of byte 6 says the same.
    pub has_bar_code_flag: bool,
}

/// How page 80h gives the serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SerialForm {
    /// As it is.
    Plain,
    /// Behind the vendor identification, filled up with spaces to 24 bytes.
    BehindVendor,
    /// Twelve characters, and the name of the logical library behind them.
    LogicalLibrary,
}

/// A vital product data page of a vendor's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VendorPage {
    /// The page code.
    pub code: u8,
    /// What is behind the four bytes of its header.
    pub body: &'static [u8],
}

/// Elements of each type that a model has addresses for, if the others have as many as they can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Storage elements.
    pub storage: u32,
    /// Import/export elements.
    pub import_export: u32,
    /// Data transfer elements.
    pub drives: u32,
}

impl Profile {
    /// All models.
    pub const ALL: [&'static Self; 9] = [
        &ibm::L32,
        &ibm::TL3573,
        &stk::L700,
        &stk::SL150,
        &hp::MSL_G3,
        &quantum::SCALAR_I500,
        &quantum::SCALAR_I6000,
        &spectra::PYTHON,
        &spectra::GATOR,
    ];

    /// The model of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    /// The addresses of a library of this model and this size; `None` if that many elements do not fit: see
    /// [`Profile::limits`].
    pub fn element_map(&self, storage: u16, import_export: u16, drives: u16) -> Option<ElementMap> {
        let limits = self.limits();
        let fits = u32::from(storage) <= limits.storage
            && u32::from(import_export) <= limits.import_export
            && u32::from(drives) <= limits.drives;
        let [transport_first, storage_first, import_export_first, drive_first] =
            self.first_addresses;
        fits.then_some(ElementMap {
            transport: (transport_first, 1),
            storage: (storage_first, storage),
            import_export: (import_export_first, import_export),
            drive: (drive_first, drives),
        })
    }

    /// How many elements of each type there can be: their addresses end where those of the next type begin.
    pub fn limits(&self) -> Limits {
        let [_, storage, import_export, drives] = self.first_addresses;
        let room = |first: u16| {
            let next = self.first_addresses.into_iter().filter(|other| *other > first).min();
            next.map_or(0x1_0000, u32::from) - u32::from(first)
        };
        Limits { storage: room(storage), import_export: room(import_export), drives: room(drives) }
    }

    /// Who a changer of this model is.
    pub(crate) fn identity(&self, serial: &str, naa: u64) -> Identity {
        const BAR_CODE_FLAG: u8 = 0x20;
        Identity {
            device_type: 0x08,
            protects: false,
            vendor: self.vendor.into(),
            product: self.product.into(),
            revision: self.revision.into(),
            serial: serial.into(),
            naa,
            flags: if self.inquiry.has_bar_code_flag { BAR_CODE_FLAG } else { 0 },
            vendor_specific: self.inquiry.vendor_specific(self.revision, serial),
            // SAM-5, SPC-4, SMC-3, iSCSI
            version_descriptors: vec![0x00a0, 0x0460, 0x0480, 0x0960],
        }
    }

    /// Vital product data (SPC-5 §7.7); `None` for a page that this model has not.
    pub(crate) fn vital_product_data(&self, identity: &Identity, page: u8) -> Option<Vec<u8>> {
        if let Some(own) = self.vendor_pages.iter().find(|own| own.code == page) {
            return Some(identity.page(page, own.body));
        }
        match page {
            0x00 => Some(identity.page(0x00, &self.page_codes())),
            0x80 => {
                Some(identity.page(0x80, &self.serial_form.encode(self.vendor, &identity.serial)))
            }
            0x83 if self.has_device_identification => Some(identity.device_identification(1)),
            0x86 => Some(identity.extended_inquiry()),
            _ => None,
        }
    }

    fn page_codes(&self) -> Vec<u8> {
        let mut codes = vec![0x00, 0x80, 0x86];
        codes.extend(self.has_device_identification.then_some(0x83));
        codes.extend(self.vendor_pages.iter().map(|page| page.code));
        codes.sort_unstable();
        codes.dedup();
        codes
    }
}

impl DriveIdentifier {
    /// Vendor, product and serial number, where the CDB asks for it: most have it so.
    pub(crate) const FULL: Self =
        Self { form: IdentifierForm::VendorProductSerial, is_always_sent: false };

    /// Bytes of an identifier.
    pub(crate) fn length(self) -> u8 {
        match self.form {
            IdentifierForm::VendorProductSerial => 34,
            IdentifierForm::Serial { length } => length,
        }
    }
}

impl InquiryForm {
    /// Nothing beyond the names.
    pub const PLAIN: Self = Self {
        has_serial: false,
        behind_serial: "",
        has_full_revision: false,
        has_bar_code_bit: false,
        has_bar_code_flag: false,
    };

    // Bytes 36 to 55.
    fn vendor_specific(&self, revision: &str, serial: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.has_full_revision {
            bytes.extend(padded(revision, 19));
        } else if self.has_serial {
            bytes.extend([0, 0]);
            bytes.extend(padded(serial, 12));
            bytes.extend(self.behind_serial.bytes());
        }
        bytes.resize(19, 0);
        bytes.push(u8::from(self.has_bar_code_bit));
        bytes
    }
}

impl SerialForm {
    fn encode(self, vendor: &str, serial: &str) -> Vec<u8> {
        match self {
            Self::Plain => serial.as_bytes().to_vec(),
            Self::BehindVendor => padded(&format!("{vendor}{serial}"), 24),
            Self::LogicalLibrary => format!("{serial:0>12}_LL0").into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_addresses_are_those_of_the_models() {
        let first = |name: &str| Profile::find(name).unwrap().first_addresses;
        assert_eq!(first("ibm-03584l32"), [0x0001, 0x0400, 0x0300, 0x0101]);
        assert_eq!(first("ibm-3573-tl"), [0x0001, 0x1000, 0x0010, 0x0100]);
        assert_eq!(first("stk-l700"), [1, 1000, 10, 500]);
        assert_eq!(first("stk-sl150"), [0, 1000, 10, 500]);
        assert_eq!(first("hp-msl-g3"), [0x0001, 0x0020, 0x01c0, 0x01e0]);
        assert_eq!(first("quantum-scalar-i500"), [0x0001, 0x1000, 0x0010, 0x0100]);
        assert_eq!(first("spectra-python"), [0x0001, 0x1000, 0x0010, 0x0100]);
        assert_eq!(first("spectra-gator"), [0x02c3, 0x001e, 0x0001, 0x02a3]);
        for profile in Profile::ALL {
            assert!(profile.vendor.len() <= 8 && profile.product.len() <= 16);
            assert_eq!(profile.revision.len(), 4, "{}", profile.name);
            assert_eq!(Profile::find(profile.name), Some(profile));
            assert!(profile.inquiry.vendor_specific("", "0123456789").len() == 20);
            assert_eq!(profile.naa_base & 0xffff_ffff, 0, "there is room for the serial number");
            assert!(profile.element_map(24, 4, 4).is_some(), "{}", profile.name);
        }
    }

    #[test]
    fn a_library_larger_than_its_addresses_is_refused() {
        let large = |name: &str| Profile::find(name).unwrap().element_map(60_000, 200, 256);
        for roomy in ["ibm-03584l32", "stk-l700", "quantum-scalar-i500", "spectra-python"] {
            let map = large(roomy).unwrap_or_else(|| panic!("{roomy} has room"));
            let mut end = 0;
            for group in map.groups() {
                assert!(u32::from(group.first) >= end, "{roomy} overlaps");
                end = u32::from(group.first) + u32::from(group.count);
            }
            assert!(end <= 0x1_0000);
        }
        assert_eq!(large("hp-msl-g3"), None);
        let limits = Profile::find("hp-msl-g3").unwrap().limits();
        assert_eq!((limits.storage, limits.import_export), (416, 32));
        assert!(Profile::find("hp-msl-g3").unwrap().element_map(416, 32, 24).is_some());
        assert!(Profile::find("hp-msl-g3").unwrap().element_map(417, 32, 24).is_none());
    }
}
