//! One file out of a big archive: how much is read from the disk for it.
//!
//! ```sh
//! cargo run --release -p vtl-benches --example big_archive -- DIR GIB VTL
//! ```
//!
//! Makes a library in the new directory DIR whose first cartridge holds a tar archive of files of 1 MiB, GIB of them together, has the program VTL serve it,
//! lists the archive and gets one file out of its middle, and says what the daemon has read for each (`/proc/PID/io`).

#![allow(clippy::expect_used, reason = "where nothing can be set up, nothing can be measured")]
#![allow(clippy::print_stdout, reason = "the figures are the result")]

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use vtl_media::disk::RealDisk;
use vtl_media::{LibrarySpec, LoadOptions, Store, StoreOptions, Volume};

const FILE_BYTES: usize = 1 << 20;
const BLOCK_BYTES: usize = 256 << 10;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, gib, vtl] = arguments.as_slice() else {
        return println!("DIR GIB VTL");
    };
    let (directory, count) = (Path::new(directory), gib.parse::<u64>().expect("a number") << 10);
    let begun = Instant::now();
    write(directory, count);
    println!("{count} files of 1 MiB written in {:?}", begun.elapsed());
    let mut daemon = serve(vtl, directory);
    let middle = count / 2;
    let out = directory.join("out");
    std::fs::create_dir_all(&out).expect("a directory");
    let named = format!("VTL001L9:{}", name(middle));
    let out_text = out.display().to_string();
    ask(&daemon, "browse", vtl, directory, &["browse", "VTL001L9"]);
    ask(&daemon, "restore", vtl, directory, &["restore", &named, "--file", "0", "-C", &out_text]);
    let restored = std::fs::read(out.join(name(middle))).expect("the file");
    assert!(restored == content(middle), "it is what was written");
    daemon.kill().expect("the daemon ends");
    daemon.wait().expect("the daemon ends");
}

fn name(number: u64) -> String {
    format!("mail/{:03}/{number:07}.bin", number / 1000)
}

fn content(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..FILE_BYTES / 8).flat_map(|_| next()).collect()
}

/// What tar writes, in blocks.
struct Blocks {
    volume: Volume,
    held: Vec<u8>,
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BLOCK_BYTES - self.held.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.held.extend_from_slice(taken);
        if self.held.len() == BLOCK_BYTES {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.held.is_empty() {
            let block = std::mem::replace(&mut self.held, Vec::with_capacity(BLOCK_BYTES));
            let length = u32::try_from(block.len()).map_err(io::Error::other)?;
            self.volume.write(Box::new(block), length, 1).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

fn write(directory: &Path, count: u64) {
    let disk = Arc::new(RealDisk::new());
    let store = Store::open(disk, directory, StoreOptions::default()).expect("a new directory");
    store.initialize(LibrarySpec::default()).expect("a library");
    let uuid = store.find("VTL001L9").expect("a cartridge").uuid;
    let volume = Volume::load(store.disk(), &store.directory_of(uuid), LoadOptions::default());
    let blocks = Blocks { volume: volume.expect("a cartridge"), held: Vec::new() };
    let mut archive = tar::Builder::new(blocks);
    for number in 0..count {
        let mut header = tar::Header::new_gnu();
        header.set_size(FILE_BYTES as u64);
        header.set_mode(0o644);
        let data = content(number);
        archive.append_data(&mut header, name(number), data.as_slice()).expect("room");
    }
    let mut blocks = archive.into_inner().expect("room");
    blocks.flush().expect("room");
    blocks.volume.write_filemarks(1).expect("room");
    let facts = blocks.volume.unload().expect("an orderly end");
    store.update_facts(uuid, &facts).expect("a record");
    store.close().expect("an orderly end");
}

fn serve(vtl: &str, directory: &Path) -> Child {
    let mut child = Command::new(vtl)
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    let mut line = String::new();
    let output = child.stdout.take().expect("a pipe");
    BufReader::new(output).read_line(&mut line).expect("a line");
    assert!(line.starts_with("ready"), "{line}");
    child
}

/// Bytes that a process has read with calls, and those of them that came from a disk.
fn read_bytes(child: &Child) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{}/io", child.id())).expect("the figures");
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse().ok()).expect("a figure")
    };
    (field("rchar:"), field("read_bytes:"))
}

fn ask(daemon: &Child, what: &str, vtl: &str, directory: &Path, arguments: &[&str]) {
    let (calls, disk) = read_bytes(daemon);
    let begun = Instant::now();
    let done = Command::new(vtl).args(arguments).arg("--data").arg(directory).output();
    let done = done.expect("the program");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (calls_after, disk_after) = read_bytes(daemon);
    println!(
        "{what}: {:?}, {:.2} MiB read with calls, {:.2} MiB from the disk",
        begun.elapsed(),
        mib(calls_after.saturating_sub(calls)),
        mib(disk_after.saturating_sub(disk)),
    );
}

#[allow(clippy::cast_precision_loss, reason = "some gigabytes at most")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
