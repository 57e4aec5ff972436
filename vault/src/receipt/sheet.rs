//! How to read a tape without this program: a sheet of plain text that is a shell script in its lines without `#`.

use std::fmt::{self, Write};

use super::{Attribute, Manifest, Source, Target};
use crate::digest::{PartitionDigest, Section, SectionEnd};

/// As many sections have lines of their own; the hashes of the others are in the manifest.
const SECTIONS_MAX: usize = 1000;
/// Blocks that are longer than this cannot be read with some host adapters.
const LONG_BLOCK_BYTES: u32 = 1 << 20;

/// The sheet for a tape: what to type, and what has to come out. It becomes `how_to_read` of the same manifest.
pub fn how_to_read(manifest: &Manifest) -> String {
    let mut sheet = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut sheet, manifest);
    sheet
}

fn write_all(out: &mut String, manifest: &Manifest) -> fmt::Result {
    let Manifest { source, target, partitions, .. } = manifest;
    write_head(out, source, target)?;
    let first_file = write_stack(out, manifest)?;
    let is_partitioned = partitions.len() > 1;
    if is_partitioned {
        writeln!(
            out,
            "# The tape has {} partitions, which the kernel has to be told to use:",
            partitions.len()
        )?;
        writeln!(out, "mt -f /dev/nst0 stsetoptions can-partitions\n")?;
    }
    let mut room = SECTIONS_MAX;
    for partition in partitions {
        write_partition(out, partition, (is_partitioned, first_file), &mut room)?;
    }
    write_memory(out, manifest)?;
    writeln!(
        out,
        "# Whatever prints another hash is not what was written: compare the receipt first (`vtl receipt verify`),"
    )?;
    writeln!(out, "# then clean the drive or take another one, and read that section again.")
}

fn write_head(out: &mut String, source: &Source, target: &Target) -> fmt::Result {
    writeln!(out, "# HOW TO READ THIS TAPE WITHOUT THE SOFTWARE THAT WROTE IT")?;
    writeln!(out, "#")?;
    let label = target.barcode.as_deref().unwrap_or("not known");
    writeln!(out, "# Label on the tape:    {}", printable(label))?;
    if let Some(serial) = &target.medium_serial {
        writeln!(out, "# Serial of the medium: {}", printable(serial))?;
    }
    writeln!(
        out,
        "# Copy {} of cartridge {} ({})",
        target.copy,
        printable(&source.barcode),
        source.uuid
    )?;
    writeln!(out, "# Written as:           {}", printable(&source.media_type))?;
    writeln!(out, "#")?;
    writeln!(
        out,
        "# The blocks and filemarks on it are those that the backup software wrote: it can read the tape in any drive of that"
    )?;
    writeln!(
        out,
        "# kind, on any machine. To check and copy it with the tools of Linux (mt-st, coreutils) alone, type the lines without"
    )?;
    writeln!(
        out,
        "# a #. /dev/nst0 is the drive, with n: it does not rewind by itself. What each line must print stands below it."
    )?;
    writeln!(
        out,
        "# To keep a section in a file, write `> FILE` for `| sha256sum`. \"Cannot allocate memory\" says that a block is longer"
    )?;
    writeln!(out, "# than bs=: then this is not the tape that the sheet belongs to.\n")?;
    writeln!(out, "# Blocks of any length, as they are on the tape:")?;
    writeln!(out, "mt -f /dev/nst0 setblk 0\n")
}

/// Says which of several cartridges it is; the number of its first tape file.
fn write_stack(out: &mut String, manifest: &Manifest) -> Result<u64, fmt::Error> {
    let Some(stack) = &manifest.stack else { return Ok(0) };
    let first = stack.first_file;
    let last = first.saturating_add(stack.files).saturating_sub(1);
    writeln!(
        out,
        "# This tape has {} cartridges, one behind the other. This one is number {}, in the tape files {first} to {last}.",
        stack.members.len(),
        stack.position
    )?;
    let names: Vec<String> = stack.members.iter().map(|m| printable(&m.barcode)).collect();
    writeln!(out, "# All of them: {}", names.join(" "))?;
    writeln!(
        out,
        "# Tape file 0 is a plain text with what is where: mt -f /dev/nst0 rewind; dd if=/dev/nst0 bs=64k"
    )?;
    writeln!(
        out,
        "# Behind each cartridge there is one filemark more than it has, so that the last tape file may be an empty one.\n"
    )?;
    Ok(first)
}

fn write_partition(
    out: &mut String,
    partition: &PartitionDigest,
    (is_partitioned, first_file): (bool, u64),
    room: &mut usize,
) -> fmt::Result {
    let PartitionDigest { partition: number, sections, blocks, filemarks, bytes, .. } = partition;
    writeln!(out, "# PARTITION {number}: {blocks} blocks, {filemarks} filemarks, {bytes} bytes")?;
    if is_partitioned {
        writeln!(out, "mt -f /dev/nst0 setpartition {number}")?;
    }
    if sections.is_empty() {
        return writeln!(out, "# Nothing is on it.\n");
    }
    for section in sections.iter().take(*room) {
        write_section(out, section, first_file)?;
    }
    if let Some(left) = sections.len().checked_sub(*room).filter(|left| *left > 0) {
        writeln!(
            out,
            "# {left} more sections follow. Their hashes are in the receipt: manifest, partitions, sections, sha256.\n"
        )?;
    }
    *room = room.saturating_sub(sections.len());
    Ok(())
}

fn write_section(out: &mut String, section: &Section, first_file: u64) -> fmt::Result {
    let Section { number, blocks, bytes, longest_block_bytes, shortest_block_bytes, .. } = section;
    let end = match section.end {
        SectionEnd::Filemark => "then a filemark",
        SectionEnd::EndOfData if first_file > 0 => "then the end of this cartridge",
        SectionEnd::EndOfData => "then the end of the data",
    };
    if *blocks == 0 {
        return writeln!(out, "# Section {number}: no block, {end}\n");
    }
    writeln!(
        out,
        "# Section {number}: {blocks} blocks of {shortest_block_bytes} to {longest_block_bytes} bytes, {bytes} bytes, {end}"
    )?;
    if *longest_block_bytes > LONG_BLOCK_BYTES {
        writeln!(
            out,
            "# (long blocks: if they cannot be read, try another host adapter, or a kernel that lets st have large buffers)"
        )?;
    }
    writeln!(out, "mt -f /dev/nst0 rewind")?;
    let file = first_file.saturating_add(*number);
    if file > 0 {
        writeln!(out, "mt -f /dev/nst0 fsf {file}")?;
    }
    // A block of no bytes cannot be on a tape; dd would not take the number either.
    writeln!(out, "dd if=/dev/nst0 bs={} | sha256sum", (*longest_block_bytes).max(1))?;
    writeln!(out, "#   {}  -\n", section.sha256)
}

/// What hosts had written into the cartridge's memory, and whether it is in the tape's.
fn write_memory(out: &mut String, manifest: &Manifest) -> fmt::Result {
    let Manifest { attributes, attributes_left_out: left_out, .. } = manifest;
    if !attributes.is_empty() {
        writeln!(
            out,
            "# ATTRIBUTES in the memory of the tape (sg3-utils: sg_read_attr /dev/sg0):"
        )?;
    }
    for attribute in attributes {
        write_attribute(out, attribute)?;
    }
    if !left_out.is_empty() {
        writeln!(out, "# NOT ON THE TAPE: these attributes of the cartridge's memory")?;
    }
    for left in left_out {
        let of = partition_of(left.partition);
        writeln!(out, "#   {:04X}h{of}: {}", left.identifier, printable(&left.why))?;
    }
    if attributes.is_empty() && left_out.is_empty() { Ok(()) } else { writeln!(out) }
}

fn write_attribute(out: &mut String, attribute: &Attribute) -> fmt::Result {
    let of = partition_of(attribute.partition);
    let text = attribute.text().unwrap_or_else(|| format!("hexadecimal {}", attribute.value));
    writeln!(out, "#   {:04X}h{of}: {}", attribute.identifier, printable(&text))
}

fn partition_of(partition: u8) -> String {
    if partition == 0 { String::new() } else { format!(" of partition {partition}") }
}

/// A name that somebody has chosen cannot become a line of the script.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};
    use proptest::prelude::*;

    use super::super::tests::{manifest_of, partition, tape};
    use super::*;
    use crate::hex;

    type Tape = Vec<Vec<Option<Vec<u8>>>>;

    /// A drive that understands what is on the sheet and nothing else, as mt(1) and st(4) say.
    struct Drive<'a> {
        tape: &'a Tape,
        partition: usize,
        object: usize,
        is_variable: bool,
        has_partitions: bool,
    }

    impl Drive<'_> {
        fn objects(&self) -> &[Option<Vec<u8>>] {
            &self.tape[self.partition]
        }

        fn mt(&mut self, words: &[&str]) {
            match words {
                ["setblk", "0"] => self.is_variable = true,
                ["stsetoptions", "can-partitions"] => self.has_partitions = true,
                ["setpartition", number] => {
                    assert!(self.has_partitions);
                    (self.partition, self.object) = (number.parse().unwrap(), 0);
                }
                ["rewind"] => self.object = 0,
                ["fsf", count] => {
                    for _ in 0..count.parse::<u32>().unwrap() {
                        let rest = &self.objects()[self.object..];
                        self.object += 1 + rest.iter().position(Option::is_none).unwrap();
                    }
                }
                other => panic!("mt {other:?}"),
            }
        }

        fn dd(&mut self, words: &[&str]) -> String {
            let ["if=/dev/nst0", size, "|", "sha256sum"] = words else { panic!("dd {words:?}") };
            let size: usize = size.strip_prefix("bs=").unwrap().parse().unwrap();
            assert!(size > 0 && self.is_variable);
            let mut read = Vec::new();
            while let Some(object) = self.objects().get(self.object) {
                let object = object.clone();
                self.object += 1;
                let Some(block) = object else { break };
                assert!(block.len() <= size, "ENOMEM");
                read.extend(block);
            }
            format!("#   {}  -", hex::encode(digest(&SHA256, &read).as_ref()))
        }
    }

    /// Types the sheet, and gives how many sections were read and found to be right.
    fn follow(sheet: &str, tape: &Tape) -> usize {
        let mut drive =
            Drive { tape, partition: 0, object: 0, is_variable: false, has_partitions: false };
        let mut right = 0;
        let mut lines = sheet.lines();
        while let Some(line) = lines.next() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                [""] | ["#", ..] => {}
                ["mt", "-f", "/dev/nst0", rest @ ..] => drive.mt(rest),
                ["dd", rest @ ..] => {
                    assert_eq!(lines.next(), Some(drive.dd(rest).as_str()), "after {line}");
                    right += 1;
                }
                _ => panic!("{line}"),
            }
        }
        right
    }

    fn sheet_of(tape: &Tape) -> String {
        let mut manifest = manifest_of(&[]);
        manifest.partitions =
            (0..).zip(tape).map(|(number, tape)| partition(number, tape)).collect();
        how_to_read(&manifest)
    }

    #[test]
    fn what_the_sheet_says_finds_each_section() {
        let tape = vec![tape(), vec![Some(vec![1; 10])]];
        let sheet = sheet_of(&tape);
        assert_eq!(follow(&sheet, &tape), 3, "{sheet}");
        let one = vec![super::super::tests::tape()];
        assert!(!sheet_of(&one).contains("setpartition"));
    }

    #[test]
    #[should_panic(expected = "after dd")]
    fn another_tape_is_noticed() {
        let mut other = vec![tape()];
        other[0][0] = Some(b"lebel".to_vec());
        follow(&sheet_of(&vec![tape()]), &other);
    }

    #[test]
    fn names_are_no_commands() {
        let mut manifest = manifest_of(&tape());
        manifest.target.barcode = Some("A\nmt -f /dev/nst0 erase".to_owned());
        assert!(
            how_to_read(&manifest).lines().all(|line| !line.starts_with("mt -f /dev/nst0 erase"))
        );
    }

    #[test]
    fn a_tape_of_very_many_sections_has_a_short_sheet() {
        let many = std::iter::repeat_n([Some(vec![1]), None], SECTIONS_MAX + 5).flatten();
        let tape = vec![many.collect(), vec![Some(vec![2])]];
        let sheet = sheet_of(&tape);
        assert_eq!(follow(&sheet, &tape), SECTIONS_MAX);
        assert!(sheet.contains("# 5 more sections") && sheet.contains("# 1 more sections"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn any_tape_can_be_read_by_its_sheet(
            tape in proptest::collection::vec(
                proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 1..40)), 0..15),
                1..4,
            )
        ) {
            let with_blocks: usize = (0..).zip(&tape).map(|(number, tape)| {
                partition(number, tape).sections.iter().filter(|section| section.blocks > 0).count()
            }).sum();
            prop_assert_eq!(follow(&sheet_of(&tape), &tape), with_blocks);
        }
    }
}
