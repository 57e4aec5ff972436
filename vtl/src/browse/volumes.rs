//! Files that go on from one volume of an archive to the next (`tar -M`).

use std::path::Path;

use vtl_vault::archive::{Member, MemberKind, Part};

use super::restore::{Listed, ListedFile};
use super::source::{Rest, Source};

/// A part that comes with the file that it is of: on which cartridge, and where it begins there.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) barcode: String,
    pub(super) begin: u64,
}

/// With what a member goes on that does not end on its own volume, which is so long; or what is missing, as words that go on a sentence.
pub(super) fn rest_of<'a>(
    data: &'a Path,
    member: &Member,
    length: u64,
    following: &[Listed],
) -> Result<(Vec<Rest<'a>>, Vec<Joined>), String> {
    let size = member.size_bytes;
    if member.kind != MemberKind::File || member.part.is_some() {
        return Err(String::new());
    }
    let (mut rest, mut joined) = (Vec::new(), Vec::new());
    let mut done = length.saturating_sub(member.data_begin());
    while done < size {
        let is_next = |part: &Part| {
            part.offset_bytes == done
                && part.offset_bytes.checked_add(part.left_bytes) == Some(size)
        };
        let part_in = |file: &ListedFile| -> Option<(u64, u64)> {
            let is_it = |other: &&Member| {
                other.name() == member.name() && other.part.as_ref().is_some_and(is_next)
            };
            let part = file.members.iter().find(is_it)?;
            let begin = part.data_begin();
            let end = begin.checked_add(part.size_bytes)?.min(file.bytes);
            (end > begin).then_some((part.begin, end))
        };
        let found = following.iter().find_map(|listed| {
            listed.files.iter().rev().find_map(|file| Some((listed, file, part_in(file)?)))
        });
        let Some((listed, file, (part_begin, end))) = found else {
            return Err(format!(
                "; if the archive has several volumes, it goes on at byte {done} of {size} on another cartridge: name all of them \
                 in their order, as in A00001L9,A00002L9:PATH"
            ));
        };
        let begin = file.members.iter().find(|one| one.begin == part_begin).map(Member::data_begin);
        let begin = begin.unwrap_or(end);
        done = done.saturating_add(end.saturating_sub(begin));
        rest.push(Rest { source: Source::new(data, listed.piece(file), &[]), begin, end });
        joined.push(Joined { barcode: listed.barcode.clone(), begin: part_begin });
    }
    Ok((rest, joined))
}

/// Why a part of a file is not restored alone.
pub(super) fn without_beginning(part: &Part) -> String {
    if part.offset_bytes == 0 {
        // `tar -M` has written its header in two pieces, and the second one lies in what looks like its data.
        return "its header is divided between two volumes, which only `tar -M -x` itself joins: read the tape files from the drive with it"
            .to_owned();
    }
    format!(
        "it is the rest of a file, from byte {} on, that begins on another cartridge: name all of them in their order, as in \
         A00001L9,A00002L9:PATH",
        part.offset_bytes
    )
}
