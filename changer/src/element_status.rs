//! READ ELEMENT STATUS and INITIALIZE ELEMENT STATUS (SMC-3 §6.11, §6.5).

use nom::number::complete::{be_u8, be_u16, be_u24};

use vtl_scsi::cdb::bit;
use vtl_scsi::device::Executed;
use vtl_scsi::sense::{Asc, Sense};
use vtl_scsi::vpd::padded;
use vtl_scsi::{Completion, Task};

use crate::element::{ElementType, Group};
use crate::{Changer, Element};

/// A medium in an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupant {
    /// The barcode on it, as the scanner reads it.
    pub volume_tag: String,
    /// It cleans and cannot be written.
    pub is_cleaning: bool,
    /// The element that it was moved here from.
    pub source: Option<Element>,
    /// In an import/export element: put there by the operator, not by the arm.
    pub is_import: bool,
}

/// The drive in a data transfer element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriveStatus {
    /// Its T10 vendor identification.
    pub vendor: String,
    /// Its product identification.
    pub product: String,
    /// Its unit serial number.
    pub serial: String,
    /// Whether the arm can reach into it: it is empty, or has let go of the medium.
    pub is_accessible: bool,
    /// What is wrong with the medium in it.
    pub exception: Option<Asc>,
}

const VOLUME_TAG_BYTES: usize = 36;
/// Everything of a descriptor up to the volume tags, and the four bytes in front of an identifier.
const FIXED_BYTES: usize = 16;
/// Vendor, product, serial.
const IDENTIFIER_BYTES: usize = 34;

const FULL: u8 = 0x01;
const IMPEXP: u8 = 0x02;
const EXCEPT: u8 = 0x04;
const ACCESS: u8 = 0x08;
const EXENAB: u8 = 0x10;
const INENAB: u8 = 0x20;

/// What the CDB asks to be in each descriptor.
#[derive(Clone, Copy)]
struct Wanted {
    volume_tags: bool,
    drive_identifiers: bool,
}

/// READ ELEMENT STATUS: everything is known at any time, so CURDATA makes no difference.
pub(crate) fn read_element_status(changer: &mut Changer, task: &mut Task) -> Executed {
    let (flags, start, count, options, allocation_length, ..) =
        task.cdb.fields((be_u8, be_u16, be_u16, be_u8, be_u24, be_u8, be_u8))?;
    let kind = flags & 0x0f;
    if kind > ElementType::Drive as u8 {
        return Err(Sense::invalid_field_in_cdb(1, Some(3)).into());
    }
    let wanted = Wanted { volume_tags: bit(flags, 4), drive_identifiers: bit(options, 0) };
    let mut left = count;
    let mut pages = Vec::new();
    let mut first_address = None;
    for group in changer.map.groups() {
        if kind != 0 && kind != group.kind as u8 {
            continue;
        }
        let skipped = start.saturating_sub(group.first).min(group.count);
        let taken = left.min(group.count - skipped);
        if taken == 0 {
            continue;
        }
        left -= taken;
        first_address.get_or_insert(group.first + skipped);
        pages.extend(page(changer, group, skipped..skipped + taken, wanted));
    }
    // 0-1 first element, 2-3 number of elements, 5-7 bytes of everything that was selected, whatever fits
    let mut data = first_address.unwrap_or_default().to_be_bytes().to_vec();
    data.extend((count - left).to_be_bytes());
    data.extend(u32::try_from(pages.len()).unwrap_or(u32::MAX).to_be_bytes());
    data.extend(pages);
    Ok(Completion::data_in_allocated(data, allocation_length))
}

/// INITIALIZE ELEMENT STATUS: the inventory is always that of the catalogue, and nothing has to be scanned.
pub(crate) fn initialize(_changer: &mut Changer, _task: &mut Task) -> Executed {
    Ok(Completion::good())
}

/// INITIALIZE ELEMENT STATUS WITH RANGE.
pub(crate) fn initialize_with_range(changer: &mut Changer, task: &mut Task) -> Executed {
    let (flags, start, ..) = task.cdb.fields((be_u8, be_u16, be_u16, be_u16, be_u8, be_u8))?;
    let has_range = bit(flags, 1) || bit(flags, 0);
    if has_range && start != 0 && changer.map.element(start).is_none() {
        return Err(Sense::invalid_element_address().into());
    }
    Ok(Completion::good())
}

// Page header: 0 element type, 1 PVOLTAG (bit 7), 2-3 descriptor length, 5-7 bytes of descriptors.
fn page(changer: &Changer, group: Group, numbers: std::ops::Range<u16>, wanted: Wanted) -> Vec<u8> {
    let has_identifier = wanted.drive_identifiers && group.kind == ElementType::Drive;
    let descriptor_length = FIXED_BYTES
        + if wanted.volume_tags { VOLUME_TAG_BYTES } else { 0 }
        + if has_identifier { IDENTIFIER_BYTES } else { 0 };
    let mut page = vec![group.kind as u8, u8::from(wanted.volume_tags) << 7];
    page.extend(u16::try_from(descriptor_length).unwrap_or(0).to_be_bytes());
    page.extend(u32::try_from(descriptor_length * numbers.len()).unwrap_or(u32::MAX).to_be_bytes());
    for number in numbers {
        page.extend(descriptor(changer, group.element(number), wanted));
    }
    page
}

// 0-1 address, 2 flags, 4-5 what is wrong, 9 SVALID (bit 7), ED (bit 3), medium type; 10-11 source; volume tag;
// then code set, identifier type, reserved, identifier length, identifier.
fn descriptor(changer: &Changer, element: Element, wanted: Wanted) -> Vec<u8> {
    const MEDIUM_DATA: u8 = 1;
    const MEDIUM_CLEANING: u8 = 2;
    const SVALID: u8 = 0x80;
    let occupant = changer.robot.occupant(element);
    let drive = match element {
        Element::Drive(number) => changer.robot.drive(number),
        _ => None,
    };
    let exception = drive.as_ref().and_then(|drive| drive.exception);
    let source = occupant.as_ref().and_then(|occupant| occupant.source);
    let medium = match &occupant {
        None => 0,
        Some(occupant) if occupant.is_cleaning => MEDIUM_CLEANING,
        Some(_) => MEDIUM_DATA,
    };
    let mut bytes = changer.map.address(element).to_be_bytes().to_vec();
    bytes.push(flags(changer, element, occupant.as_ref(), drive.as_ref()));
    bytes.push(0);
    bytes.extend(exception.map_or([0, 0], |asc| [asc.code(), asc.qualifier()]));
    bytes.extend([0, 0, 0, if source.is_some() { SVALID | medium } else { medium }]);
    bytes.extend(source.map_or(0, |source| changer.map.address(source)).to_be_bytes());
    if wanted.volume_tags {
        // 32 characters, two reserved bytes, and a volume sequence number of 0.
        let tag = occupant.as_ref().map(|occupant| padded(&occupant.volume_tag, 32));
        bytes.extend(tag.unwrap_or_else(|| vec![0; 32]));
        bytes.extend([0; 4]);
    }
    match drive.filter(|_| wanted.drive_identifiers) {
        Some(drive) => bytes.extend(identifier(&drive)),
        None => bytes.extend([0; 4]),
    }
    bytes
}

fn identifier(drive: &DriveStatus) -> Vec<u8> {
    const CODE_SET_ASCII: u8 = 2;
    const TYPE_T10_VENDOR_ID: u8 = 1;
    let mut bytes =
        vec![CODE_SET_ASCII, TYPE_T10_VENDOR_ID, 0, u8::try_from(IDENTIFIER_BYTES).unwrap_or(0)];
    bytes.extend(padded(&drive.vendor, 8));
    bytes.extend(padded(&drive.product, 16));
    bytes.extend(padded(&drive.serial, 10));
    bytes
}

fn flags(
    changer: &Changer,
    element: Element,
    occupant: Option<&Occupant>,
    drive: Option<&DriveStatus>,
) -> u8 {
    let full = if occupant.is_some() { FULL } else { 0 };
    let access = |is_accessible| if is_accessible { ACCESS } else { 0 };
    match element {
        Element::Transport(_) => full,
        Element::Storage(_) => full | ACCESS,
        Element::ImportExport(number) => {
            let import =
                if occupant.is_some_and(|occupant| occupant.is_import) { IMPEXP } else { 0 };
            full | import | INENAB | EXENAB | access(!changer.open_import_export.contains(&number))
        }
        Element::Drive(_) => {
            let except =
                if drive.is_some_and(|drive| drive.exception.is_some()) { EXCEPT } else { 0 };
            full | except | access(drive.is_some_and(|drive| drive.is_accessible))
        }
    }
}
