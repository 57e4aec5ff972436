//! The plain text on a stacked tape that says what is on it, at its beginning and, with hashes, at its end.

use std::fmt::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;
use vtl_media::Barcode;

use super::super::ExportError;
use super::super::tape::{Tape, TapeRead};
use super::region::Region;
use crate::digest::PartitionDigest;

/// One cartridge on the tape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Which one it is, from 1.
    pub position: u64,
    /// Its barcode.
    pub barcode: Barcode,
    /// Its identity.
    pub uuid: Uuid,
    /// Its copy.
    pub copy: Uuid,
    /// Its first tape file.
    pub first_file: u64,
    /// Its blocks.
    pub blocks: u64,
    /// Its filemarks; one more follows on the tape.
    pub filemarks: u64,
    /// Bytes of its blocks.
    pub bytes: u64,
}

impl Listed {
    /// Its tape files.
    pub fn files(&self) -> u64 {
        self.filemarks.saturating_add(1)
    }

    /// Its own objects, without the filemark that closes it.
    pub(super) fn objects(&self) -> u64 {
        self.blocks.saturating_add(self.filemarks)
    }
}

/// What is on a stacked tape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackIndex {
    /// All cartridges in their order.
    pub members: Vec<Listed>,
    /// Objects in front of the first of them.
    pub(super) objects_before: u64,
}

impl StackIndex {
    /// The object with which each member begins, and behind them the one with which the last index does.
    pub(super) fn firsts(&self) -> Vec<u64> {
        let mut next = self.objects_before;
        let mut all = vec![next];
        for member in &self.members {
            next = next.saturating_add(member.objects()).saturating_add(1);
            all.push(next);
        }
        all
    }

    /// The tape file of the last index.
    pub(super) fn last_file(&self) -> u64 {
        self.members.iter().map(Listed::files).sum::<u64>().saturating_add(1)
    }

    /// What is on a tape; `None` if it is no stacked one.
    pub fn read(tape: &mut dyn Tape) -> Result<Option<Self>, ExportError> {
        let failed = |object| move |error| ExportError::Tape { partition: 0, object, error };
        tape.enter(0).map_err(failed(0))?;
        let (mut text, mut block, mut objects) = (Vec::new(), Vec::new(), 0_u64);
        while tape.read(&mut block).map_err(failed(objects))? == TapeRead::Block {
            text.extend_from_slice(&block);
            objects += 1;
            if !text.starts_with(FIRST_LINE.as_bytes()) || text.len() > INDEX_BYTES_MAX {
                return Ok(None);
            }
        }
        let members = std::str::from_utf8(&text).ok().and_then(parsed);
        let members = members.filter(|members| !members.is_empty());
        Ok(members.map(|members| Self { members, objects_before: objects.saturating_add(1) }))
    }

    /// One cartridge of the tape as a tape of its own.
    pub fn member<'a>(
        &self,
        tape: &'a mut dyn Tape,
        barcode: &str,
    ) -> Option<(&Listed, Region<'a>)> {
        let is_it = |member: &Listed| member.barcode.as_str().eq_ignore_ascii_case(barcode);
        let at = self.members.iter().position(is_it)?;
        let (member, first) = (self.members.get(at)?, self.firsts().get(at).copied()?);
        Some((member, Region::new(tape, first, member.objects())))
    }
}

/// The text at the beginning of the tape.
pub(super) fn front(label: Option<&str>, members: &[Listed], time: Timestamp) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_front(&mut text, label, members, time);
    text
}

/// The same at its end, with the hashes of what was written.
pub(super) fn back(front: &str, members: &[Listed], digests: &[PartitionDigest]) -> String {
    let mut text = front.to_owned();
    let _ = write_hashes(&mut text, members, digests);
    text
}

fn write_front(
    out: &mut String,
    label: Option<&str>,
    members: &[Listed],
    time: Timestamp,
) -> fmt::Result {
    out.push_str(FIRST_LINE);
    out.push_str(HOW);
    writeln!(out, "tape {}", label.unwrap_or("-"))?;
    writeln!(out, "begun {time}")?;
    for member in members {
        let Listed { position, barcode, uuid, copy, first_file, blocks, filemarks, bytes } = member;
        let files = member.files();
        writeln!(
            out,
            "member {position} {barcode} first-file {first_file} files {files} blocks {blocks} filemarks {filemarks} bytes {bytes} cartridge {uuid} copy {copy}"
        )?;
    }
    Ok(())
}

fn write_hashes(out: &mut String, members: &[Listed], digests: &[PartitionDigest]) -> fmt::Result {
    writeln!(out, "# SHA-256 of what `dd` reads of each tape file, and the longest block in it:")?;
    for (member, digest) in members.iter().zip(digests) {
        for section in &digest.sections {
            let file = member.first_file.saturating_add(section.number);
            let (longest, bytes) = (section.longest_block_bytes, section.bytes);
            let (barcode, hash) = (&member.barcode, section.sha256);
            writeln!(
                out,
                "file {file} of {barcode} bytes {bytes} longest {longest} sha256 {hash}"
            )?;
        }
    }
    writeln!(out, "end")
}

pub(super) fn parsed(text: &str) -> Option<Vec<Listed>> {
    let lines = text.strip_prefix(FIRST_LINE)?.lines();
    let members = lines.filter(|line| line.starts_with("member ")).map(listed);
    let members: Vec<Listed> = members.collect::<Option<_>>()?;
    let is_in_order = |(at, member): (u64, &Listed)| member.position == at;
    (1..).zip(&members).all(is_in_order).then_some(members)
}

fn listed(line: &str) -> Option<Listed> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, position, barcode, rest @ ..] = words.as_slice() else { return None };
    let value = |name: &str| {
        let at = rest.iter().step_by(2).position(|word| *word == name)?;
        rest.get(at * 2 + 1).copied()
    };
    let number = |name: &str| value(name)?.parse::<u64>().ok();
    Some(Listed {
        position: position.parse().ok()?,
        barcode: Barcode::new(barcode).ok()?,
        uuid: value("cartridge")?.parse().ok()?,
        copy: value("copy")?.parse().ok()?,
        first_file: number("first-file")?,
        blocks: number("blocks")?,
        filemarks: number("filemarks")?,
        bytes: number("bytes")?,
    })
}

const FIRST_LINE: &str = "VTL STACK 1\n";
const HOW: &str = "\
# Several cartridges of a tape library on one tape, one behind the other, each as the tape files that the backup software wrote.
# Any drive reads them without the software that wrote the tape. /dev/nst0 is the drive, with n: it does not rewind by itself.
#   mt -f /dev/nst0 setblk 0                                    blocks of any length, as they are on the tape
#   mt -f /dev/nst0 rewind; dd if=/dev/nst0 bs=64k              this text, which is tape file 0
#   mt -f /dev/nst0 rewind; mt -f /dev/nst0 fsf FILE            to a tape file: `first-file` is a cartridge's first one
#   dd if=/dev/nst0 bs=2M of=NAME; or if tar wrote it: dd if=/dev/nst0 bs=2M | tar -xf -     whatever its blocks' length
# Each cartridge has `files` tape files: one more than its `filemarks`, as one filemark closes it. Where the cartridge itself ended with a
# filemark the last of them is empty. The last tape file of the tape is this text once more, with the SHA-256 of each tape file.
";
/// No index is longer: more than any number of members comes to.
const INDEX_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_and_nothing_else_is_taken_for_it() {
        let member = |position: u64, first_file: u64| Listed {
            position,
            barcode: Barcode::new(&format!("A0000{position}L9")).unwrap(),
            uuid: Uuid::from_u128(position.into()),
            copy: Uuid::from_u128(7),
            first_file,
            blocks: 5,
            filemarks: 2,
            bytes: 99,
        };
        let members = [member(1, 1), member(2, 4)];
        let text = front(Some("STK001L9"), &members, Timestamp::UNIX_EPOCH);
        assert_eq!(parsed(&text).unwrap(), members);
        assert!(text.lines().all(|line| line.len() < 300 && line.is_ascii()));
        for wrong in [
            text.replace("VTL STACK 1", "VTL STACK 2"),
            text.replace("blocks 5", "blocks five"),
            text.replace("member 2", "member 3"),
            text.replace("A00002L9", "a b"),
        ] {
            assert_eq!(parsed(&wrong), None, "{wrong}");
        }
        let index = StackIndex { members: members.to_vec(), objects_before: 3 };
        assert_eq!((index.firsts(), index.last_file()), (vec![3, 11, 19], 7));
    }
}
