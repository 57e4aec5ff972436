//! Which attributes there are: the only home of their identifiers, formats and lengths (SPC-5 §7.4.2, SSC-5 §4.2.22).

use vtl_media::{AttributeFormat, Mam};

/// An attribute, whether it is there or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Definition {
    pub(super) identifier: u16,
    /// Hosts may read it, and not write it.
    pub(super) is_read_only: bool,
    /// Any format if there is none.
    pub(super) format: Option<AttributeFormat>,
    pub(super) length: Length,
}

/// How long a value is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    Exactly(usize),
    UpTo(usize),
}

impl Length {
    pub(super) fn allows(self, length: usize) -> bool {
        match self {
            Self::Exactly(wanted) => length == wanted,
            Self::UpTo(most) => length <= most,
        }
    }
}

/// What is known of an identifier. Hosts may use those of their vendors as they like.
pub(super) fn find(identifier: u16) -> Option<Definition> {
    let known = ALL.iter().find(|known| known.identifier == identifier).copied();
    let is_vendors = HOST_VENDOR_SPECIFIC.contains(&identifier);
    known.or_else(|| {
        is_vendors.then_some(Definition {
            identifier,
            is_read_only: false,
            format: None,
            length: UpTo(Mam::VALUE_BYTES_MAX),
        })
    })
}

const HOST_VENDOR_SPECIFIC: std::ops::RangeInclusive<u16> = 0x1400..=0x17ff;

const fn told(identifier: u16, format: AttributeFormat, length: usize) -> Definition {
    let length = Exactly(length);
    Definition { identifier, is_read_only: true, format: Some(format), length }
}

const fn host(identifier: u16, format: AttributeFormat, length: Length) -> Definition {
    Definition { identifier, is_read_only: false, format: Some(format), length }
}

use AttributeFormat::{Ascii, Binary, Text};
use Length::{Exactly, UpTo};

pub(super) const REMAINING_CAPACITY: u16 = 0x0000;
pub(super) const MAXIMUM_CAPACITY: u16 = 0x0001;
pub(super) const TAPE_ALERT_FLAGS: u16 = 0x0002;
pub(super) const LOAD_COUNT: u16 = 0x0003;
pub(super) const MEMORY_SPACE_REMAINING: u16 = 0x0004;
pub(super) const ASSIGNING_ORGANIZATION: u16 = 0x0005;
pub(super) const FORMATTED_DENSITY: u16 = 0x0006;
pub(super) const INITIALIZATION_COUNT: u16 = 0x0007;
pub(super) const VOLUME_CHANGE_REFERENCE: u16 = 0x0009;
pub(super) const LAST_DRIVES: u16 = 0x020a;
pub(super) const WRITTEN_IN_LIFE: u16 = 0x0220;
pub(super) const READ_IN_LIFE: u16 = 0x0221;
pub(super) const WRITTEN_IN_LOAD: u16 = 0x0222;
pub(super) const READ_IN_LOAD: u16 = 0x0223;
pub(super) const FIRST_ENCRYPTED: u16 = 0x0224;
pub(super) const FIRST_UNENCRYPTED: u16 = 0x0225;
pub(super) const MANUFACTURER: u16 = 0x0400;
pub(super) const SERIAL_NUMBER: u16 = 0x0401;
pub(super) const LENGTH: u16 = 0x0402;
pub(super) const WIDTH: u16 = 0x0403;
pub(super) const MEDIUM_ORGANIZATION: u16 = 0x0404;
pub(super) const DENSITY: u16 = 0x0405;
pub(super) const MANUFACTURE_DATE: u16 = 0x0406;
pub(super) const MEMORY_CAPACITY: u16 = 0x0407;
pub(super) const MEDIUM_TYPE: u16 = 0x0408;
pub(super) const MEDIUM_TYPE_INFORMATION: u16 = 0x0409;
pub(super) const SUPPORTED_DENSITIES: u16 = 0x040b;
pub(super) const BARCODE: u16 = 0x0806;
pub(super) const UNIQUE_IDENTITY: u16 = 0x1000;
pub(super) const ALTERNATIVE_IDENTITY: u16 = 0x1001;

/// All of them, ascending.
pub(super) const ALL: &[Definition] = &[
    told(REMAINING_CAPACITY, Binary, 8),
    told(MAXIMUM_CAPACITY, Binary, 8),
    told(TAPE_ALERT_FLAGS, Binary, 8),
    told(LOAD_COUNT, Binary, 8),
    told(MEMORY_SPACE_REMAINING, Binary, 8),
    told(ASSIGNING_ORGANIZATION, Ascii, 8),
    told(FORMATTED_DENSITY, Binary, 1),
    told(INITIALIZATION_COUNT, Binary, 2),
    told(VOLUME_CHANGE_REFERENCE, Binary, 4),
    told(LAST_DRIVES, Ascii, 40),
    told(LAST_DRIVES + 1, Ascii, 40),
    told(LAST_DRIVES + 2, Ascii, 40),
    told(LAST_DRIVES + 3, Ascii, 40),
    told(WRITTEN_IN_LIFE, Binary, 8),
    told(READ_IN_LIFE, Binary, 8),
    told(WRITTEN_IN_LOAD, Binary, 8),
    told(READ_IN_LOAD, Binary, 8),
    told(FIRST_ENCRYPTED, Binary, 8),
    told(FIRST_UNENCRYPTED, Binary, 8),
    told(MANUFACTURER, Ascii, 8),
    told(SERIAL_NUMBER, Ascii, 32),
    told(LENGTH, Binary, 4),
    told(WIDTH, Binary, 4),
    told(MEDIUM_ORGANIZATION, Ascii, 8),
    told(DENSITY, Binary, 1),
    told(MANUFACTURE_DATE, Ascii, 8),
    told(MEMORY_CAPACITY, Binary, 8),
    told(MEDIUM_TYPE, Binary, 1),
    told(MEDIUM_TYPE_INFORMATION, Binary, 2),
    told(SUPPORTED_DENSITIES, Binary, 1),
    // application vendor, name and version, user medium text label, date and time last written, text localization
    host(0x0800, Ascii, Exactly(8)),
    host(0x0801, Ascii, Exactly(32)),
    host(0x0802, Ascii, Exactly(8)),
    host(0x0803, Text, Exactly(160)),
    host(0x0804, Ascii, Exactly(12)),
    host(0x0805, Binary, Exactly(1)),
    host(BARCODE, Ascii, Exactly(32)),
    // owning host textual name, media pool, application format version, volume coherency information
    host(0x0807, Text, Exactly(80)),
    host(0x0808, Text, Exactly(160)),
    host(0x080b, Ascii, Exactly(16)),
    host(0x080c, Binary, UpTo(Mam::VALUE_BYTES_MAX)),
    // medium globally unique identifier, media pool globally unique identifier
    host(0x0820, Binary, Exactly(36)),
    host(0x0821, Binary, Exactly(36)),
    told(UNIQUE_IDENTITY, Binary, 28),
    told(ALTERNATIVE_IDENTITY, Binary, 24),
    // volume locked, as LTFS writes it
    host(0x1623, Binary, Exactly(1)),
];
