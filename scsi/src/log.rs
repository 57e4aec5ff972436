//! Log pages, LOG SENSE and LOG SELECT (SPC-5 §6.6, §6.7, §7.3).

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};

use crate::cdb::bit;
use crate::device::{Device, Executed, Refusal};
use crate::sense::Sense;
use crate::vpd::padded;
use crate::{Completion, Task};

const PAGE_SUPPORTED: u8 = 0x00;
const SUBPAGE_ALL: u8 = 0xff;

/// One parameter of a log page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogParameter {
    /// The parameter code.
    pub code: u16,
    /// DU, TSD, ETC, TMC and FORMAT AND LINKING (SPC-5 §7.3.2.1).
    pub control: u8,
    /// The value.
    // Invariant: value.len() <= 255
    pub value: Vec<u8>,
}

/// One log page with its parameters, ascending by code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The page code.
    pub page: u8,
    /// The subpage code.
    pub subpage: u8,
    /// The parameters.
    pub parameters: Vec<LogParameter>,
}

impl LogParameter {
    /// A count that stays at its highest value (bounded data counter), and that no power cycle keeps (TSD); as long as the
    /// standard wants it, at most eight bytes.
    pub fn counter(code: u16, length: usize, count: u64) -> Self {
        const BOUNDED: u8 = 0x20;
        let most = u64::MAX.checked_shr(64 - 8 * u32::try_from(length).unwrap_or(8)).unwrap_or(0);
        let bytes = count.min(most).to_be_bytes();
        let value = bytes.get(bytes.len().saturating_sub(length)..).unwrap_or(&bytes).to_vec();
        Self { code, control: BOUNDED, value }
    }

    /// Anything else that is not text: a list of bytes (binary format list).
    pub fn binary(code: u16, value: Vec<u8>) -> Self {
        const BINARY_LIST: u8 = 0x03;
        Self { code, control: BINARY_LIST, value }
    }

    /// Text, as long as the standard wants it (ASCII format list).
    pub fn text(code: u16, length: usize, text: &str) -> Self {
        const ASCII_LIST: u8 = 0x01;
        Self { code, control: ASCII_LIST, value: padded(text, length) }
    }
}

impl LogPage {
    /// A page without subpages.
    pub fn new(page: u8, parameters: Vec<LogParameter>) -> Self {
        Self { page, subpage: 0, parameters }
    }

    // Header: 0 DS, SPF, page code; 1 subpage code; 2-3 length of what follows. Parameter: 0-1 code, 2 control, 3 length.
    fn encode(&self, from_parameter: u16) -> Vec<u8> {
        let mut body = Vec::new();
        for parameter in self.parameters.iter().filter(|parameter| parameter.code >= from_parameter)
        {
            body.extend(parameter.code.to_be_bytes());
            body.extend([parameter.control, u8::try_from(parameter.value.len()).unwrap_or(0)]);
            body.extend(&parameter.value);
        }
        with_header(self.page, self.subpage, body)
    }
}

/// LOG SENSE: cumulative values of one page, or which pages there are.
pub fn log_sense<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let (flags, page, subpage, _, from_parameter, allocation_length, _control) =
        task.cdb.fields((be_u8, be_u8, be_u8, be_u8, be_u16, be_u16, be_u8))?;
    if bit(flags, 0) {
        // SP: nothing is saved.
        return Err(Sense::invalid_field_in_cdb(1, Some(0)).into());
    }
    let page_control = page >> 6;
    if page_control != 1 {
        return Err(Sense::invalid_field_in_cdb(2, Some(7)).into());
    }
    let page = page & 0x3f;
    let data = if page == PAGE_SUPPORTED {
        supported(&device.log_page_codes(), subpage)
    } else {
        device.log_page(page, subpage, task.nexus).map(|page| page.encode(from_parameter))
    };
    let data = data.ok_or_else(|| no_such_page(device, page))?;
    if usize::from(allocation_length) >= data.len() {
        device.log_page_was_read(page, task.nexus);
    }
    Ok(Completion::data_in_allocated(data, allocation_length.into()))
}

/// LOG SELECT: sets counters back, of one page or of all. No parameter can be given another value, and there are no thresholds.
pub fn log_select<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    const CUMULATIVE_CURRENT: u8 = 1;
    const CUMULATIVE_DEFAULT: u8 = 3;
    let (flags, page, subpage, _, length, _control) =
        task.cdb.fields((be_u8, be_u8, be_u8, take(3_usize), be_u16, be_u8))?;
    if bit(flags, 0) {
        // SP: nothing is saved.
        return Err(Sense::invalid_field_in_cdb(1, Some(0)).into());
    }
    let resets = bit(flags, 1);
    let (page_control, page) = (page >> 6, page & 0x3f);
    if length > 0 {
        if resets {
            return Err(Sense::invalid_field_in_cdb(1, Some(1)).into());
        }
        return Err(refuse_list(device, task, length.into())?.into());
    }
    let wanted: Vec<_> = device
        .log_page_codes()
        .into_iter()
        .filter(|found| *found == (page, subpage) || (page, subpage) == (PAGE_SUPPORTED, 0))
        .collect();
    if wanted.is_empty() {
        return Err(no_such_page(device, page).into());
    }
    match page_control {
        _ if resets => {}
        CUMULATIVE_DEFAULT => {}
        // What is in force stays in force.
        CUMULATIVE_CURRENT => return Ok(Completion::good()),
        _ => return Err(Sense::invalid_field_in_cdb(2, Some(7)).into()),
    }
    for (page, subpage) in wanted {
        device.reset_log_page(page, subpage);
    }
    device.unit_mut().raise_for_others(task.nexus, Sense::log_parameters_changed());
    Ok(Completion::good())
}

/// Why a list of parameters is not taken: it is cut off, it names a page that is not there, or a parameter, none of which can
/// be changed.
fn refuse_list<D: Device>(device: &D, task: &Task, length: usize) -> Result<Sense, Refusal> {
    const HEADER_BYTES: u16 = 4;
    let list = task.parameter_list(length)?;
    let header: IResult<&[u8], _> = (be_u8, be_u8, be_u16).parse(list);
    let Ok((parameters, (page, subpage, page_length))) = header else {
        return Ok(Sense::parameter_list_length_error());
    };
    if !device.log_page_codes().contains(&(page & 0x3f, subpage)) {
        return Ok(Sense::invalid_field_in_parameter_list(0, Some(5)));
    }
    if usize::from(page_length) != parameters.len() {
        return Ok(Sense::parameter_list_length_error());
    }
    Ok(Sense::invalid_field_in_parameter_list(HEADER_BYTES, None))
}

fn no_such_page<D: Device>(device: &D, page: u8) -> Sense {
    if device.log_page_codes().iter().any(|found| found.0 == page) {
        return Sense::invalid_field_in_cdb(3, Some(7));
    }
    Sense::invalid_field_in_cdb(2, Some(5))
}

/// Page 00h: the codes of all pages, or of all pages and subpages.
fn supported(pages: &[(u8, u8)], subpage: u8) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    match subpage {
        0 => {
            body.push(PAGE_SUPPORTED);
            body.extend(pages.iter().filter(|(_, subpage)| *subpage == 0).map(|(page, _)| *page));
        }
        SUBPAGE_ALL => {
            body.extend([PAGE_SUPPORTED, 0, PAGE_SUPPORTED, SUBPAGE_ALL]);
            body.extend(pages.iter().flat_map(|(page, subpage)| [*page, *subpage]));
        }
        _ => return None,
    }
    Some(with_header(PAGE_SUPPORTED, subpage, body))
}

fn with_header(page: u8, subpage: u8, body: Vec<u8>) -> Vec<u8> {
    let has_subpage = u8::from(subpage != 0) << 6;
    let mut data = vec![has_subpage | page, subpage];
    data.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    data.extend(body);
    data
}
