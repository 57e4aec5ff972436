//! A member of a cpio archive, put in its place.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use vtl_vault::archive::{CpioHeader, MemberKind};

use super::place::{self, Stamp};

/// The header of the member that is next.
pub(super) fn header(stream: &mut impl Read) -> io::Result<CpioHeader> {
    CpioHeader::read(stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

pub(super) fn stamp(header: &CpioHeader) -> Stamp {
    Stamp { mode: Some(header.mode), owner: Some(header.owner), modified: Some(header.modified) }
}

/// Makes what the header says, with the data that follows it.
pub(super) fn content(
    header: &CpioHeader,
    data: &mut impl Read,
    target: &Path,
    is_overwritten: bool,
) -> io::Result<()> {
    match header.kind {
        MemberKind::Directory => place::directory(target),
        MemberKind::SymbolicLink => {
            let to = header.link_target(data)?;
            place::symbolic_link(
                Path::new(OsStr::from_bytes(&to)),
                target,
                is_overwritten,
                stamp(header),
            )
        }
        MemberKind::File => place::new_file(target, is_overwritten, stamp(header), |file| {
            header.copy_data(data, file)
        }),
        _ => Err(place::not_made()),
    }
}
