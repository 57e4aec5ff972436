//! READ ELEMENT STATUS and INITIALIZE ELEMENT STATUS (SMC-3 §6.11, §6.5).

use std::ops::Range;

use nom::number::complete::{be_u8, be_u16, be_u24};

use vtl_scsi::cdb::bit;
use vtl_scsi::device::Executed;
use vtl_scsi::sense::{Asc, Sense};
use vtl_scsi::vpd::padded;
use vtl_scsi::{Completion, Rights, Task};

use crate::element::{ElementType, Group};
use crate::profile::{DriveIdentifier, IdentifierForm};
use crate::{Changer, Element, moves};

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
const PAGE_HEADER_BYTES: usize = 8;

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

/// Elements of one type that the CDB selects: one page.
struct Page {
    group: Group,
    numbers: Range<u16>,
    descriptor_bytes: usize,
}

impl Page {
    fn bytes(&self) -> usize {
        PAGE_HEADER_BYTES + self.descriptor_bytes * self.numbers.len()
    }
}

/// READ ELEMENT STATUS: everything is known at any time, so CURDATA makes no difference.
///
/// Only what the initiator has room for is looked up: one that reads a library of 60,000 elements in small pieces would wait
/// for all of them with each piece.
pub(crate) fn read_element_status(changer: &mut Changer, task: &mut Task) -> Executed {
    let (flags, start, count, options, allocation_length, ..) =
        task.cdb.fields((be_u8, be_u16, be_u16, be_u8, be_u24, be_u8, be_u8))?;
    let kind = flags & 0x0f;
    if kind > ElementType::Drive as u8 {
        return Err(Sense::invalid_field_in_cdb(1, Some(3)).into());
    }
    let wanted = Wanted {
        volume_tags: bit(flags, 4),
        drive_identifiers: bit(options, 0) || changer.profile.identifier.is_always_sent,
    };
    let pages = selected(changer, kind, start, count, wanted);
    let elements: usize = pages.iter().map(|page| page.numbers.len()).sum();
    let bytes: usize = pages.iter().map(Page::bytes).sum();
    let first = pages.first().map_or(0, |page| page.group.first + page.numbers.start);
    // 0-1 first element, 2-3 number of elements, 5-7 bytes of everything that was selected, whatever fits
    let mut data = first.to_be_bytes().to_vec();
    data.extend(u16::try_from(elements).unwrap_or(u16::MAX).to_be_bytes());
    data.extend(u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes());
    let room = usize::try_from(allocation_length).unwrap_or(usize::MAX);
    for page in pages {
        put_page(changer, &task.rights, page, wanted, room, &mut data);
    }
    Ok(Completion::data_in_allocated(data, allocation_length))
}

/// What a CDB selects, ascending by address: up to `count` elements from address `start` on.
fn selected(changer: &Changer, kind: u8, start: u16, count: u16, wanted: Wanted) -> Vec<Page> {
    let mut left = count;
    let mut pages = Vec::new();
    for group in changer.map.groups() {
        let skipped = start.saturating_sub(group.first).min(group.count);
        let taken = left.min(group.count - skipped);
        if taken == 0 || (kind != 0 && kind != group.kind as u8) {
            continue;
        }
        left -= taken;
        let numbers = skipped..skipped + taken;
        let descriptor_bytes = descriptor_bytes(changer, group.kind, wanted);
        pages.push(Page { group, numbers, descriptor_bytes });
    }
    pages
}

fn descriptor_bytes(changer: &Changer, kind: ElementType, wanted: Wanted) -> usize {
    let has_identifier = wanted.drive_identifiers && kind == ElementType::Drive;
    FIXED_BYTES
        + if wanted.volume_tags { VOLUME_TAG_BYTES } else { 0 }
        + if has_identifier { usize::from(changer.profile.identifier.length()) } else { 0 }
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
fn put_page(
    changer: &Changer,
    rights: &Rights,
    page: Page,
    wanted: Wanted,
    room: usize,
    data: &mut Vec<u8>,
) {
    let Page { group, numbers, descriptor_bytes } = page;
    let all = descriptor_bytes * numbers.len();
    data.extend([group.kind as u8, u8::from(wanted.volume_tags) << 7]);
    data.extend(u16::try_from(descriptor_bytes).unwrap_or(0).to_be_bytes());
    data.extend(u32::try_from(all).unwrap_or(u32::MAX).to_be_bytes());
    for number in numbers {
        if data.len() >= room {
            break;
        }
        put_descriptor(changer, rights, group.element(number), wanted, data);
    }
}

// 0-1 address, 2 flags, 4-5 what is wrong, 9 SVALID (bit 7), ED (bit 3), medium type; 10-11 source; volume tag;
// then code set, identifier type, reserved, identifier length, identifier.
fn put_descriptor(
    changer: &Changer,
    rights: &Rights,
    element: Element,
    wanted: Wanted,
    bytes: &mut Vec<u8>,
) {
    const MEDIUM_DATA: u8 = 1;
    const MEDIUM_CLEANING: u8 = 2;
    const SVALID: u8 = 0x80;
    let occupant = changer.robot.occupant(element);
    let drive = match element {
        // The element has its number, and what lies in it is part of the inventory; the drive itself is absent, as its logical unit is.
        Element::Drive(number) if rights.sees(moves::lun_of_drive(number)) => {
            changer.robot.drive(number)
        }
        _ => None,
    };
    let exception = drive.as_ref().and_then(|drive| drive.exception);
    let source = occupant.as_ref().and_then(|occupant| occupant.source);
    let medium = match &occupant {
        None => 0,
        Some(occupant) if occupant.is_cleaning => MEDIUM_CLEANING,
        Some(_) => MEDIUM_DATA,
    };
    bytes.extend(changer.map.address(element).to_be_bytes());
    bytes.push(flags(changer, element, occupant.as_ref(), drive.as_ref()));
    bytes.push(0);
    bytes.extend(exception.map_or([0, 0], |asc| [asc.code(), asc.qualifier()]));
    bytes.extend([0, 0, 0, if source.is_some() { SVALID | medium } else { medium }]);
    bytes.extend(source.map_or(0, |source| changer.map.address(source)).to_be_bytes());
    if wanted.volume_tags {
        // 32 characters, two reserved bytes, and a volume sequence number of 0.
        match &occupant {
            Some(occupant) => bytes.extend(padded(&occupant.volume_tag, 32)),
            None => bytes.extend([0; 32]),
        }
        bytes.extend([0; 4]);
    }
    let is_named = wanted.drive_identifiers && matches!(element, Element::Drive(_));
    if is_named {
        put_identifier(changer.profile.identifier, drive.as_ref(), bytes);
    } else {
        bytes.extend([0; 4]);
    }
}

/// A drive that cannot be asked has an identifier of spaces: descriptors of a page are all of one length.
fn put_identifier(form: DriveIdentifier, drive: Option<&DriveStatus>, bytes: &mut Vec<u8>) {
    const CODE_SET_ASCII: u8 = 2;
    const TYPE_VENDOR_SPECIFIC: u8 = 0;
    const TYPE_T10_VENDOR_ID: u8 = 1;
    let serial = drive.map_or("", |drive| drive.serial.as_str());
    match form.form {
        IdentifierForm::VendorProductSerial => {
            bytes.extend([CODE_SET_ASCII, TYPE_T10_VENDOR_ID, 0, form.length()]);
            bytes.extend(padded(drive.map_or("", |drive| &drive.vendor), 8));
            bytes.extend(padded(drive.map_or("", |drive| &drive.product), 16));
            bytes.extend(padded(serial, 10));
        }
        IdentifierForm::Serial { length } => {
            bytes.extend([CODE_SET_ASCII, TYPE_VENDOR_SPECIFIC, 0, length]);
            bytes.extend(padded(serial, length.into()));
        }
    }
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
