//! Mode pages, MODE SENSE and MODE SELECT (SPC-5 §6.11 – §6.14, §7.5).

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};

use crate::cdb::bit;
use crate::device::{Device, Executed, Refusal};
use crate::sense::{Sense, SenseFormat};
use crate::{Completion, Task};

const PAGE_ALL: u8 = 0x3f;
const SUBPAGE_ALL: u8 = 0xff;
/// The control mode page, whose D_SENSE bit this room itself obeys.
const PAGE_CONTROL: u8 = 0x0a;

/// One mode page or subpage: its parameters without the page header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModePage {
    /// The page code.
    pub page: u8,
    /// The subpage code; 0 for a page without subpage header.
    pub subpage: u8,
    /// The values in force.
    pub current: Vec<u8>,
    /// The values after power on.
    pub default: Vec<u8>,
    /// A bit is set where MODE SELECT may change it.
    // Invariant: all three have the same length.
    pub changeable: Vec<u8>,
    /// How much of it MODE SELECT has to bring at least: all of it, but for lists that may end early.
    // Invariant: shortest <= current.len()
    pub shortest: usize,
}

/// All mode pages of a logical unit, ascending by page and subpage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModeParameters {
    /// The pages.
    pub pages: Vec<ModePage>,
}

/// What stands in front of the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModeHeader {
    /// The medium type byte.
    pub medium_type: u8,
    /// The device-specific parameter byte.
    pub device_specific: u8,
    /// The block descriptor, for device types that have one.
    pub block_descriptor: Option<[u8; 8]>,
}

impl ModePage {
    /// A page whose values after power on are these.
    pub fn new(page: u8, subpage: u8, default: Vec<u8>, changeable: Vec<u8>) -> Self {
        let shortest = default.len();
        Self { page, subpage, current: default.clone(), default, changeable, shortest }
    }

    /// The same, of which MODE SELECT may leave out what lies behind so many bytes.
    #[must_use]
    pub fn at_least(self, shortest: usize) -> Self {
        Self { shortest: shortest.min(self.current.len()), ..self }
    }

    /// A page that nobody can change.
    pub fn fixed(page: u8, values: Vec<u8>) -> Self {
        let changeable = vec![0; values.len()];
        Self::new(page, 0, values, changeable)
    }

    // 0 PS, SPF, page code; then either 1 length, or 1 subpage code, 2-3 length
    fn encode(&self, values: &[u8]) -> Vec<u8> {
        let mut bytes = if self.subpage == 0 {
            vec![self.page, u8::try_from(values.len()).unwrap_or(u8::MAX)]
        } else {
            let [high, low] = u16::try_from(values.len()).unwrap_or(u16::MAX).to_be_bytes();
            vec![0x40 | self.page, self.subpage, high, low]
        };
        bytes.extend(values);
        bytes
    }

    /// Which byte and bit of `wanted` differs where it may not.
    fn first_fixed_difference(&self, wanted: &[u8]) -> Option<(usize, u8)> {
        let bytes = self.current.iter().zip(&self.changeable).zip(wanted).enumerate();
        bytes.into_iter().find_map(|(index, ((current, changeable), wanted))| {
            let fixed = (current ^ wanted) & !changeable;
            (fixed != 0).then(|| (index, u8::try_from(fixed.ilog2()).unwrap_or_default()))
        })
    }
}

impl ModeParameters {
    /// The page with this code.
    pub fn page(&self, page: u8, subpage: u8) -> Option<&ModePage> {
        self.pages.iter().find(|found| (found.page, found.subpage) == (page, subpage))
    }

    /// The page with this code.
    pub fn page_mut(&mut self, page: u8, subpage: u8) -> Option<&mut ModePage> {
        self.pages.iter_mut().find(|found| (found.page, found.subpage) == (page, subpage))
    }

    /// All pages back to their values after power on.
    pub fn reset(&mut self) {
        for page in &mut self.pages {
            page.current.clone_from(&page.default);
        }
    }

    /// The pages that a MODE SENSE for these codes gets, encoded; `None` if there is none.
    fn sense(&self, page: u8, subpage: u8, control: u8) -> Option<Vec<u8>> {
        let chosen: Vec<_> = self
            .pages
            .iter()
            .filter(|found| page == PAGE_ALL || found.page == page)
            .filter(|found| subpage == SUBPAGE_ALL || found.subpage == subpage)
            .collect();
        if chosen.is_empty() || !matches!(subpage, 0 | SUBPAGE_ALL) && page == PAGE_ALL {
            return None;
        }
        let values = |page: &ModePage| match control {
            1 => page.encode(&page.changeable),
            2 => page.encode(&page.default),
            _ => page.encode(&page.current),
        };
        Some(chosen.into_iter().flat_map(values).collect())
    }
}

/// MODE SENSE(6) (SPC-5 §6.13).
pub fn mode_sense_6<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let (flags, page, subpage, allocation_length, _control) =
        task.cdb.fields((be_u8, be_u8, be_u8, be_u8, be_u8))?;
    device.show_own_mode_pages(task.nexus);
    let (header, pages) = sense(device, task, flags, page, subpage)?;
    let descriptor = header.block_descriptor.unwrap_or_default();
    let descriptor = if header.block_descriptor.is_some() { &descriptor[..] } else { &[] };
    let Ok(length) = u8::try_from(3 + descriptor.len() + pages.len()) else {
        // More than the six-byte form can say: ask with the ten-byte form.
        return Err(Sense::invalid_field_in_cdb(2, Some(5)).into());
    };
    let mut data = vec![
        length,
        header.medium_type,
        header.device_specific,
        u8::try_from(descriptor.len()).unwrap_or(0),
    ];
    data.extend(descriptor);
    data.extend(pages);
    Ok(Completion::data_in_allocated(data, allocation_length.into()))
}

/// MODE SENSE(10) (SPC-5 §6.14).
pub fn mode_sense_10<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let (flags, page, subpage, _, allocation_length, _control) =
        task.cdb.fields((be_u8, be_u8, be_u8, take(3_usize), be_u16, be_u8))?;
    device.show_own_mode_pages(task.nexus);
    let (header, pages) = sense(device, task, flags, page, subpage)?;
    let descriptor = header.block_descriptor.unwrap_or_default();
    let descriptor = if header.block_descriptor.is_some() { &descriptor[..] } else { &[] };
    let mut data = Vec::new();
    data.extend(
        u16::try_from(6 + descriptor.len() + pages.len()).unwrap_or(u16::MAX).to_be_bytes(),
    );
    data.extend([header.medium_type, header.device_specific, 0, 0]);
    data.extend(u16::try_from(descriptor.len()).unwrap_or(0).to_be_bytes());
    data.extend(descriptor);
    data.extend(pages);
    Ok(Completion::data_in_allocated(data, allocation_length.into()))
}

/// MODE SELECT(6) (SPC-5 §6.11).
pub fn mode_select_6<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let (flags, _, length, _control) = task.cdb.fields((be_u8, take(2_usize), be_u8, be_u8))?;
    select(device, task, flags, length.into(), ListHeader::six)
}

/// MODE SELECT(10) (SPC-5 §6.12).
pub fn mode_select_10<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let (flags, _, length, _control) = task.cdb.fields((be_u8, take(5_usize), be_u16, be_u8))?;
    select(device, task, flags, length.into(), ListHeader::ten)
}

fn sense<D: Device>(
    device: &mut D,
    task: &Task,
    flags: u8,
    page: u8,
    subpage: u8,
) -> Result<(ModeHeader, Vec<u8>), Refusal> {
    let disables_descriptor = bit(flags, 3);
    let (control, page) = (page >> 6, page & 0x3f);
    if control == 3 {
        return Err(Sense::saving_not_supported().into());
    }
    let mut header = device.mode_header();
    if task.rights.is_read_only {
        header.device_specific |= device.write_protect_bits();
    }
    if disables_descriptor {
        header.block_descriptor = None;
    }
    // Page 0 asks for nothing but header and block descriptor.
    let pages = if page == 0 && subpage == 0 {
        Vec::new()
    } else {
        let byte = if device.mode_parameters().pages.iter().any(|found| found.page == page) {
            (3, 7)
        } else {
            (2, 5)
        };
        device
            .mode_parameters()
            .sense(page, subpage, control)
            .ok_or(Refusal(Sense::invalid_field_in_cdb(byte.0, Some(byte.1))))?
    };
    Ok((header, pages))
}

/// The header of a parameter list: how long it is, and how long the block descriptors behind it are.
struct ListHeader {
    length: usize,
    device_specific: u8,
    descriptors_length: usize,
}

impl ListHeader {
    fn six(input: &[u8]) -> IResult<&[u8], Self> {
        let (rest, (_, device_specific, descriptors)) =
            (take(2_usize), be_u8, be_u8).parse(input)?;
        Ok((rest, Self { length: 4, device_specific, descriptors_length: descriptors.into() }))
    }

    fn ten(input: &[u8]) -> IResult<&[u8], Self> {
        let (rest, (_, device_specific, _, descriptors)) =
            (take(3_usize), be_u8, be_u16, be_u16).parse(input)?;
        Ok((rest, Self { length: 8, device_specific, descriptors_length: descriptors.into() }))
    }
}

/// One page of a parameter list, with its place in it.
struct Wanted {
    page: u8,
    subpage: u8,
    offset: usize,
    values_offset: usize,
    values: Vec<u8>,
}

fn select<D: Device>(
    device: &mut D,
    task: &Task,
    flags: u8,
    length: usize,
    header: fn(&[u8]) -> IResult<&[u8], ListHeader>,
) -> Executed {
    if bit(flags, 0) {
        return Err(Sense::invalid_field_in_cdb(1, Some(0)).into());
    }
    let done = Completion::good().after_data_out(u64::try_from(length).unwrap_or(u64::MAX));
    if length == 0 {
        return Ok(done);
    }
    let cut_off = Refusal(Sense::parameter_list_length_error());
    let list = task.parameter_list(length)?;
    let (rest, header) = header(list).map_err(|_| cut_off)?;
    let descriptors = rest.get(..header.descriptors_length).ok_or(cut_off)?;
    let descriptor = match descriptors.len() {
        0 => None,
        8 => Some(descriptors.try_into().map_err(|_| cut_off)?),
        _ => {
            return Err(Sense::invalid_field_in_parameter_list(
                if header.length == 4 { 3 } else { 6 },
                None,
            )
            .into());
        }
    };
    let pages_offset = header.length + header.descriptors_length;
    let wanted = parse_pages(list.get(pages_offset..).unwrap_or_default(), pages_offset)?;
    if task.rights.is_read_only
        && wanted
            .iter()
            .any(|page| device.page_changes_medium((page.page, page.subpage), &page.values))
    {
        return Err(Sense::write_protected().into());
    }
    device.show_own_mode_pages(task.nexus);
    for page in &wanted {
        check_page(device.mode_parameters(), page)?;
        let offset = u16::try_from(page.values_offset).unwrap_or(u16::MAX);
        device.check_mode_page((page.page, page.subpage), &page.values, offset)?;
    }
    let header_before = device.mode_header();
    let is_own = |page: &Wanted| device.is_own_mode_page((page.page, page.subpage));
    let is_all_own = !wanted.is_empty() && wanted.iter().all(is_own);
    device.select_header(
        header.device_specific,
        descriptor,
        u16::try_from(header.length).unwrap_or(0),
    )?;
    let before = device.mode_parameters().clone();
    for page in wanted {
        if device.takes_mode_page((page.page, page.subpage), &page.values) {
            continue;
        }
        if let Some(found) = device.mode_parameters().page_mut(page.page, page.subpage) {
            for (value, wanted) in found.current.iter_mut().zip(page.values) {
                *value = wanted;
            }
        }
    }
    device.mode_pages_selected(&before, task.nexus);
    take_over_sense_format(device);
    if !is_all_own || device.mode_header() != header_before {
        device.unit_mut().raise_for_others(task.nexus, Sense::mode_parameters_changed());
    }
    Ok(done)
}

fn take_over_sense_format<D: Device>(device: &mut D) {
    const D_SENSE: u8 = 2;
    let control = device
        .mode_parameters()
        .page(PAGE_CONTROL, 0)
        .and_then(|page| page.current.first().copied());
    if let Some(flags) = control {
        let format = if bit(flags, D_SENSE) { SenseFormat::Descriptor } else { SenseFormat::Fixed };
        device.unit_mut().sense_format = format;
    }
}

fn parse_pages(mut input: &[u8], mut offset: usize) -> Result<Vec<Wanted>, Refusal> {
    let mut pages = Vec::new();
    while !input.is_empty() {
        let before = input.len();
        let (rest, mut page) =
            wanted_page(input).map_err(|_| Refusal(Sense::parameter_list_length_error()))?;
        page.offset = offset;
        page.values_offset += offset;
        offset += before - rest.len();
        input = rest;
        pages.push(page);
    }
    Ok(pages)
}

fn wanted_page(input: &[u8]) -> IResult<&[u8], Wanted> {
    let (rest, code) = be_u8(input)?;
    let (rest, subpage, length, values_offset) = if bit(code, 6) {
        let (rest, (subpage, length)) = (be_u8, be_u16).parse(rest)?;
        (rest, subpage, length, 4)
    } else {
        let (rest, length) = be_u8(rest)?;
        (rest, 0, length.into(), 2)
    };
    let (rest, values) = take(length)(rest)?;
    Ok((
        rest,
        Wanted { page: code & 0x3f, subpage, offset: 0, values_offset, values: values.to_vec() },
    ))
}

/// A page may come back unchanged or with changes where it is changeable, whole.
fn check_page(parameters: &ModeParameters, wanted: &Wanted) -> Result<(), Refusal> {
    let at = |byte: usize, bit| {
        Sense::invalid_field_in_parameter_list(u16::try_from(byte).unwrap_or(u16::MAX), bit)
    };
    let Some(page) = parameters.page(wanted.page, wanted.subpage) else {
        return Err(at(wanted.offset, Some(5)).into());
    };
    if !(page.shortest..=page.current.len()).contains(&wanted.values.len()) {
        return Err(at(wanted.values_offset - 1, None).into());
    }
    match page.first_fixed_difference(&wanted.values) {
        Some((index, bit)) => Err(at(wanted.values_offset + index, Some(bit)).into()),
        None => Ok(()),
    }
}
