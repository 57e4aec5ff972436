//! What is on a tape, as hashes: computed once from the cartridge and once from the tape, and compared.

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A hash of 32 bytes; hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash(pub [u8; 32]);

/// What lies between two filemarks, or between a filemark and an end: what `dd` reads as one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Counts from 0 in its partition.
    pub number: u64,
    /// The object number of its first block; that of its filemark if it has none.
    pub first_object: u64,
    /// Logical blocks.
    pub blocks: u64,
    /// Bytes of all blocks.
    pub bytes: u64,
    /// Length of the shortest block in bytes; 0 if there is none.
    pub shortest_block_bytes: u32,
    /// Length of the longest block in bytes: what `dd bs=` has to be at least.
    pub longest_block_bytes: u32,
    /// CRC-32C of all bytes one after the other.
    pub crc32c: u32,
    /// SHA-256 of the same bytes, which `sha256sum` can check.
    pub sha256: Hash,
    /// BLAKE3 over each block's length (8 bytes, little-endian) and its bytes: other blocks of the same bytes are another section.
    pub framed: Hash,
    /// What follows the last block.
    pub end: SectionEnd,
}

/// What follows the last block of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SectionEnd {
    /// A filemark.
    Filemark,
    /// The end of the data.
    EndOfData,
}

/// All sections of one partition, and the root of the tree over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionDigest {
    /// The partition's number.
    pub partition: u8,
    /// In the order in which they are on the tape. Sections with no block are there too: two filemarks in a row are two sections.
    pub sections: Vec<Section>,
    /// Blocks of all sections.
    pub blocks: u64,
    /// Filemarks.
    pub filemarks: u64,
    /// Bytes of all blocks.
    pub bytes: u64,
    /// The root of the tree over the sections (RFC 6962 §2.1, with BLAKE3): a leaf is 00h and the section's `framed`, number, blocks, bytes
    /// (8 bytes little-endian each) and end (one byte, 0 filemark, 1 end of data); a node is 01h and its two children.
    pub root: Hash,
}

/// Takes the blocks and filemarks of one partition in their order.
#[derive(Debug)]
pub struct Digester {
    partition: u8,
    next_object: u64,
    sections: Vec<Section>,
    open: Open,
}

/// The section that is being read.
struct Open {
    first_object: u64,
    blocks: u64,
    bytes: u64,
    shortest: u32,
    longest: u32,
    crc32c: u32,
    sha256: Context,
    framed: blake3::Hasher,
}

impl Digester {
    /// At the beginning of a partition.
    pub fn new(partition: u8) -> Self {
        Self { partition, next_object: 0, sections: Vec::new(), open: Open::new(0) }
    }

    /// Behind sections that are known already.
    pub fn resume(partition: u8, sections: Vec<Section>) -> Self {
        let objects = sections.iter().map(|section| section.blocks.saturating_add(1)).sum();
        Self { partition, next_object: objects, sections, open: Open::new(objects) }
    }

    /// The next object is a block.
    pub fn block(&mut self, data: &[u8]) {
        self.open.take(data);
        self.next_object += 1;
    }

    /// The next object is a filemark.
    pub fn filemark(&mut self) {
        self.next_object += 1;
        self.close(SectionEnd::Filemark);
    }

    /// The number of the next object.
    pub fn next_object(&self) -> u64 {
        self.next_object
    }

    /// Sections that have ended.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// There is no further object.
    pub fn finish(mut self) -> PartitionDigest {
        if self.open.blocks > 0 {
            self.close(SectionEnd::EndOfData);
        }
        PartitionDigest::of(self.partition, self.sections)
    }

    fn close(&mut self, end: SectionEnd) {
        let open = std::mem::replace(&mut self.open, Open::new(self.next_object));
        let number = u64::try_from(self.sections.len()).unwrap_or(u64::MAX);
        self.sections.push(open.close(number, end));
    }
}

impl PartitionDigest {
    /// Sums the sections of a partition up.
    pub fn of(partition: u8, sections: Vec<Section>) -> Self {
        let filemarks = sections.iter().filter(|section| section.end == SectionEnd::Filemark);
        Self {
            partition,
            blocks: total(&sections, |section| section.blocks),
            filemarks: u64::try_from(filemarks.count()).unwrap_or(u64::MAX),
            bytes: total(&sections, |section| section.bytes),
            root: root(&sections.iter().map(Section::leaf).collect::<Vec<_>>()),
            sections,
        }
    }
}

// A receipt that somebody has made up says what it likes.
fn total(sections: &[Section], of: impl Fn(&Section) -> u64) -> u64 {
    sections.iter().map(of).fold(0, u64::saturating_add)
}

/// One hash for all partitions of a tape: the root of the only one, else BLAKE3 over 02h and the roots in their order.
pub fn root_of_all(partitions: &[PartitionDigest]) -> Hash {
    if let [only] = partitions {
        return only.root;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[2]);
    for partition in partitions {
        hasher.update(&partition.root.0);
    }
    Hash(*hasher.finalize().as_bytes())
}

impl Section {
    /// Its leaf in the tree.
    pub fn leaf(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[0]);
        hasher.update(&self.framed.0);
        for number in [self.number, self.blocks, self.bytes] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&[match self.end {
            SectionEnd::Filemark => 0,
            SectionEnd::EndOfData => 1,
        }]);
        Hash(*hasher.finalize().as_bytes())
    }
}

impl Open {
    fn new(first_object: u64) -> Self {
        Self {
            first_object,
            blocks: 0,
            bytes: 0,
            shortest: 0,
            longest: 0,
            crc32c: 0,
            sha256: Context::new(&SHA256),
            framed: blake3::Hasher::new(),
        }
    }

    fn take(&mut self, data: &[u8]) {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.shortest = if self.blocks == 0 { length } else { self.shortest.min(length) };
        self.longest = self.longest.max(length);
        self.blocks += 1;
        self.bytes += u64::from(length);
        self.crc32c = crc32c::crc32c_append(self.crc32c, data);
        self.sha256.update(data);
        self.framed.update(&u64::from(length).to_le_bytes());
        self.framed.update(data);
    }

    fn close(self, number: u64, end: SectionEnd) -> Section {
        let mut sha256 = Hash::default();
        sha256.0.copy_from_slice(self.sha256.finish().as_ref());
        Section {
            number,
            first_object: self.first_object,
            blocks: self.blocks,
            bytes: self.bytes,
            shortest_block_bytes: self.shortest,
            longest_block_bytes: self.longest,
            crc32c: self.crc32c,
            sha256,
            framed: Hash(*self.framed.finalize().as_bytes()),
            end,
        }
    }
}

/// The root over leaves in their order (RFC 6962 §2.1); that of no leaf is the hash of nothing.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash(*blake3::hash(&[]).as_bytes()),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            let mut hasher = blake3::Hasher::new();
            hasher.update(&[1]);
            hasher.update(&root(left).0);
            hasher.update(&root(right).0);
            Hash(*hasher.finalize().as_bytes())
        }
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("first_object", &self.first_object)
            .field("blocks", &self.blocks)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_hex =
            text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let mut hash = Self::default();
        for (place, at) in hash.0.iter_mut().zip((0..text.len()).step_by(2)) {
            *place = text
                .get(at..at + 2)
                .filter(|_| is_hex)
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                .ok_or_else(|| serde::de::Error::custom("64 lower-case hexadecimal digits"))?;
        }
        if is_hex {
            Ok(hash)
        } else {
            Err(serde::de::Error::custom("64 lower-case hexadecimal digits"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receipt that anybody can make up and sign brought the program that verifies it to its end.
    #[test]
    fn sums_that_nobody_could_have_written_are_no_panic() {
        let mut one = Digester::new(0);
        one.block(b"x");
        let section = one.finish().sections.remove(0);
        let huge = Section { blocks: u64::MAX, bytes: u64::MAX, ..section };
        let sum = PartitionDigest::of(0, vec![huge.clone(), huge]);
        assert_eq!((sum.blocks, sum.bytes), (u64::MAX, u64::MAX));
    }

    /// The SHA-256 of a section is what `dd | sha256sum` prints, and the same bytes in other blocks are another section.
    #[test]
    fn sections_know_their_blocks() {
        let mut one = Digester::new(0);
        one.block(b"ab");
        one.block(b"c");
        one.filemark();
        one.filemark();
        one.block(b"x");
        let mut other = Digester::new(0);
        other.block(b"abc");
        other.filemark();
        other.filemark();
        other.block(b"x");
        let (one, other) = (one.finish(), other.finish());
        assert_eq!(
            one.sections[0].sha256.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(one.sections[0].sha256, other.sections[0].sha256);
        assert_ne!(one.root, other.root);
        assert_eq!((one.blocks, one.filemarks, one.bytes, one.sections.len()), (3, 2, 4, 3));
        assert_eq!(one.sections[2].first_object, 4);
        assert_eq!(one.sections[2].end, SectionEnd::EndOfData);
    }

    /// The tree has the shape of RFC 6962: with three leaves, two on the left.
    #[test]
    fn tree_is_split_at_a_power_of_two() {
        let leaves = [Hash([1; 32]), Hash([2; 32]), Hash([3; 32])];
        let node = |left: &Hash, right: &Hash| {
            let mut bytes = vec![1];
            bytes.extend(left.0);
            bytes.extend(right.0);
            Hash(*blake3::hash(&bytes).as_bytes())
        };
        assert_eq!(root(&leaves), node(&node(&leaves[0], &leaves[1]), &leaves[2]));
    }

    /// A hash survives being text, and nothing else is taken for one.
    #[test]
    fn hash_is_text() {
        let hash = Hash([0xa5; 32]);
        let text = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<Hash>(&text).unwrap(), hash);
        for wrong in ["", "a5", &"A5".repeat(32), &"é".repeat(32), &"a5".repeat(33)] {
            assert!(serde_json::from_str::<Hash>(&format!("\"{wrong}\"")).is_err(), "{wrong}");
        }
    }
}
