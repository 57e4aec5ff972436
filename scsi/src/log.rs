//! Log pages and LOG SENSE (SPC-5 §6.7, §7.3).

use nom::number::complete::{be_u8, be_u16};

use crate::cdb::bit;
use crate::device::{Device, Executed};
use crate::sense::Sense;
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

impl LogPage {
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
    let pages = device.log_pages();
    let data = if page == PAGE_SUPPORTED {
        supported(&pages, subpage)
    } else {
        pages
            .iter()
            .find(|found| (found.page, found.subpage) == (page, subpage))
            .map(|page| page.encode(from_parameter))
    };
    let Some(data) = data else {
        let byte =
            if pages.iter().any(|found| found.page == page) { (3, Some(7)) } else { (2, Some(5)) };
        return Err(Sense::invalid_field_in_cdb(byte.0, byte.1).into());
    };
    if usize::from(allocation_length) >= data.len() {
        device.log_page_was_read(page);
    }
    Ok(Completion::data_in_allocated(data, allocation_length.into()))
}

/// Page 00h: the codes of all pages, or of all pages and subpages.
fn supported(pages: &[LogPage], subpage: u8) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    match subpage {
        0 => {
            body.push(PAGE_SUPPORTED);
            body.extend(pages.iter().filter(|page| page.subpage == 0).map(|page| page.page));
        }
        SUBPAGE_ALL => {
            body.extend([PAGE_SUPPORTED, 0, PAGE_SUPPORTED, SUBPAGE_ALL]);
            body.extend(pages.iter().flat_map(|page| [page.page, page.subpage]));
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
