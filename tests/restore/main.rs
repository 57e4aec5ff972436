//! `vtl browse` and `vtl restore`: what lies on a cartridge, and one file of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests say what they expect"
)]

mod archives;
mod at_rest;
mod cpio;
mod drill;
mod hostile;
mod measured;
mod twenty;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vtl_tests::{Initiator, Scene, cdb};

/// Writes tape files into drive 0, from the beginning: blocks of the length that is given with each, the last one shorter.
fn write_files(session: &mut Initiator, files: &[(&[u8], usize)]) {
    session.run(1, &cdb::REWIND).good();
    for (bytes, block_bytes) in files {
        for block in bytes.chunks(*block_bytes) {
            session.write_block(block).good();
        }
        session.run(1, &cdb::write_filemarks(1)).good();
    }
}

/// Writes an archive into drive 0, and makes an empty directory for what is restored of it.
fn written(scene: &Scene, archive: &[u8]) -> PathBuf {
    let mut session = scene.session("host");
    write_files(&mut session, &[(archive, 10_240)]);
    session.logout();
    let to = scene.beside("to");
    fs::create_dir(&to).unwrap();
    to
}

/// What `tar` makes of a directory.
fn tar(directory: &Path, options: &[&str]) -> Vec<u8> {
    let output = Command::new("tar")
        .arg("-C")
        .arg(directory)
        .args(options)
        .args(["-cf", "-", "."])
        .output()
        .expect("tar is a part of every Debian");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
