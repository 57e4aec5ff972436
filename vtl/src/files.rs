//! Files that a command names: new ones are written, others are read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::request::{Failure, FailureKind};

/// Writes a new file, or says what is wrong with it.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::usage(format!("{} is there already: name a new file", path.display()))
        }
        _ => Failure::failed(format!("cannot write {}: {error}", path.display())),
    })
}

/// Reads a file that a command names: whoever carries the command out may not be allowed to.
pub(crate) fn read_text(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => FailureKind::NotFound,
            _ => FailureKind::Failed,
        };
        Failure::new(kind, format!("{}: {error}", file.display()))
    })
}
