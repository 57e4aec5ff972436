//! Directories as a whole, and bytes that look random.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Every file under a directory with its mode and its content, to see whether anything was touched.
pub fn tree(directory: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = fs::symlink_metadata(&path).expect("what was listed is there");
        let content = if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else if metadata.file_type().is_socket() {
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        let name = path.strip_prefix(directory).unwrap().to_owned();
        files.insert(name, (metadata.permissions().mode(), content));
    }
    files
}

/// A copy of a directory at a place that is not there yet.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Bytes without a pattern, the same for the same seed (xorshift64*).
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Flips one bit where these bytes are in a file below a directory, as a disk does that forgets.
pub fn flip_bit_of(directory: &Path, needle: &[u8]) {
    let is_planted = tree(directory).into_iter().any(|(path, (_, bytes))| {
        let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) else {
            return false;
        };
        let file = File::options().write(true).open(directory.join(path)).unwrap();
        file.write_all_at(&[bytes[at] ^ 4], at as u64).unwrap();
        true
    });
    assert!(is_planted, "the bytes are in no file");
}
