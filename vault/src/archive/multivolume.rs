//! Files of tar archives that go on from one volume to the next: what `tar -M` writes at the beginning of each volume but the first.

use std::io::{self, Read};

use super::Kind;
use super::members::Part;

/// The name of the file that goes on, where it is not in the header, and which part of it follows.
pub type Continued = (Option<Vec<u8>>, Part);

/// In GNU's own format it is a kind of member, with the offset in its header.
#[must_use]
pub fn of_header(header: &tar::Header) -> Option<Continued> {
    if header.entry_type().as_byte() != b'M' {
        return None;
    }
    // Such a header has no mark of its format.
    let field = header.as_bytes().get(OFFSET_AT..)?.first_chunk()?;
    let offset_bytes = number(field)?;
    Some((None, Part { offset_bytes, left_bytes: header.entry_size().ok()? }))
}

/// Whether a volume in GNU's own format begins with a file, and not in its middle: the one before ended right where its header was to come. Such a
/// header comes all the same, but what follows it is the file's own.
#[must_use]
pub fn begins_with_whole_file(first: &[u8]) -> bool {
    let Some((header, behind)) = first.split_first_chunk::<BLOCK_BYTES>() else { return false };
    let part = of_header(tar::Header::from_byte_slice(header));
    part.is_some_and(|(_, part)| part.offset_bytes == 0) && Kind::of(behind) == Kind::Tar
}

/// In the pax format it is said in a header for all that follows, of which there is nothing else to be known.
///
/// # Errors
///
/// What reading the header has met with.
pub fn of_global(entry: &mut impl Read) -> io::Result<Option<Continued>> {
    let mut records = Vec::new();
    entry.take(RECORDS_BYTES_MAX).read_to_end(&mut records)?;
    let (mut name, mut offset_bytes, mut left_bytes) = (None, None, None);
    for record in tar::PaxExtensions::new(&records) {
        let record = record?;
        let number = || record.value().ok().and_then(|text| text.parse().ok());
        match record.key_bytes() {
            b"GNU.volume.filename" => name = Some(record.value_bytes().to_vec()),
            b"GNU.volume.offset" => offset_bytes = number(),
            b"GNU.volume.size" => left_bytes = number(),
            _ => {}
        }
    }
    let part = offset_bytes.zip(left_bytes);
    Ok(name
        .zip(part)
        .map(|(name, (offset_bytes, left_bytes))| (Some(name), Part { offset_bytes, left_bytes })))
}

/// In octal digits; or, if the first bit is set, as a number of 95 bits.
fn number(field: &[u8; 12]) -> Option<u64> {
    let [first, rest @ ..] = field;
    if first & 0x80 != 0 {
        return rest
            .iter()
            .try_fold(0u64, |value, byte| value.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let text = std::str::from_utf8(field).ok()?;
    u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
}

const BLOCK_BYTES: usize = 512;
const OFFSET_AT: usize = 369;
const RECORDS_BYTES_MAX: u64 = 64 << 10;
