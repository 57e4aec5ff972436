//! Damage of files: some bits, fields, parts, lengths; with and without checksums that fit.

use std::path::{Path, PathBuf};

use bolero::TypeGenerator;
use vtl_media::disk::{Disk, OpenMode, read_up_to_at, write_all_at};

/// One change of one file.
#[derive(Debug, Clone, TypeGenerator)]
pub struct Damage {
    file: u8,
    place: u32,
    kind: Kind,
    /// Puts the checksum of the record or the label right again, so that what it names is looked at.
    mends_checksum: bool,
}

#[derive(Debug, Clone, TypeGenerator)]
enum Kind {
    Flip(u8),
    /// In the header of a record: a field of four bytes becomes this.
    Field {
        at: u8,
        value: u32,
    },
    Bytes(Vec<u8>),
    Cut,
    Extend(u16),
    /// Another part of the file, such as a whole record, comes here.
    Copy {
        from: u32,
        length: u16,
    },
    /// The body of a label: bytes that JSON is made of.
    Json(Vec<u8>),
    Remove,
    /// Another file has its name.
    Exchange(u8),
}

/// Every file below a directory, in order.
pub fn files_below(disk: &dyn Disk, directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in disk.list(directory).unwrap_or_default() {
        let path = directory.join(name);
        match disk.open(&path, OpenMode::Read) {
            Ok(_) => files.push(path),
            Err(_) => files.extend(files_below(disk, &path)),
        }
    }
    files
}

/// Does the damage to one of the files.
pub fn damage(disk: &dyn Disk, files: &[PathBuf], damage: &Damage) {
    // The damages before may have removed all of them.
    let Some(number) = usize::from(damage.file).checked_rem(files.len()) else { return };
    let path = &files[number];
    let Ok(file) = disk.open(path, OpenMode::ReadWrite) else { return };
    let mut bytes = vec![0; usize::try_from(file.length_bytes().unwrap()).unwrap()];
    read_up_to_at(file.as_ref(), &mut bytes, 0).unwrap();
    if bytes.is_empty() {
        return;
    }
    let is_label = path.file_stem().is_some_and(|stem| stem == "label");
    let place = damage.place as usize % bytes.len();
    // A record begins at a multiple of 512.
    let record = place & !511;
    match &damage.kind {
        Kind::Flip(bit) => bytes[place] ^= 1 << (bit % 8),
        Kind::Field { at, value } => {
            let start = if is_label { 0 } else { record } + usize::from(at % 31) * 4;
            for (to, from) in bytes.iter_mut().skip(start).zip(value.to_le_bytes()) {
                *to = from;
            }
        }
        Kind::Bytes(new) => {
            for (to, from) in bytes.iter_mut().skip(place).zip(new) {
                *to = *from;
            }
        }
        Kind::Cut => bytes.truncate(place),
        Kind::Extend(count) => bytes.resize(bytes.len() + usize::from(*count), 0),
        Kind::Copy { from, length } => {
            let from = (*from as usize % bytes.len()) & !511;
            let part: Vec<_> = bytes[from..].iter().copied().take(usize::from(*length)).collect();
            for (to, from) in bytes.iter_mut().skip(record).zip(part) {
                *to = from;
            }
        }
        Kind::Json(new) if is_label => {
            const ALPHABET: &[u8] = b"{}[]\":,0123456789-eE.truefalsn\\u";
            for (to, from) in bytes.iter_mut().skip(64 + place % 1024).zip(new) {
                *to = ALPHABET[usize::from(*from) % ALPHABET.len()];
            }
        }
        Kind::Json(_) => {}
        Kind::Remove => {
            disk.remove(path).unwrap();
            return;
        }
        Kind::Exchange(other) => {
            let other = &files[usize::from(*other) % files.len()];
            if disk.exists(other).unwrap() {
                disk.rename(other, path).unwrap();
            }
            return;
        }
    }
    if damage.mends_checksum {
        if is_label { mend_label(&mut bytes) } else { mend(&mut bytes, record) }
    }
    file.set_length(bytes.len() as u64).unwrap();
    write_all_at(file.as_ref(), &bytes, 0).unwrap();
}

/// Makes the checksums of a label fit its bytes.
// 12 length of the body, 40 its CRC32C, 60 CRC32C of bytes 0 to 59, 64 body
pub fn mend_label(bytes: &mut [u8]) {
    if bytes.len() < 64 {
        return;
    }
    let length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    if let Some(body) = bytes.get(64..64_usize.saturating_add(length)) {
        let crc = crc32c::crc32c(body);
        bytes[40..44].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
}

/// Makes the checksums of a record fit, or of a small file in two copies.
// 10 payload offset, 96 stored length, 100 CRC32C of what is behind the header, 124 CRC32C of bytes 0 to 123
fn mend(bytes: &mut [u8], at: usize) {
    if bytes.len() == 512 && !bytes.starts_with(b"VTLR") {
        let crc = crc32c::crc32c(&bytes[..508]);
        bytes[508..].copy_from_slice(&crc.to_le_bytes());
        return;
    }
    let Some(record) = bytes.get_mut(at..).filter(|record| record.len() >= 128) else { return };
    let offset = usize::from(u16::from_le_bytes(record[10..12].try_into().unwrap()));
    let stored = u32::from_le_bytes(record[96..100].try_into().unwrap()) as usize;
    let end = offset.saturating_add(stored).next_multiple_of(512);
    if let Some(body) = record.get(128..end) {
        let crc = crc32c::crc32c(body);
        record[100..104].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32c::crc32c(&record[..124]);
    record[124..128].copy_from_slice(&crc.to_le_bytes());
}
