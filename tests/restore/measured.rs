//! What is measured by hand, with a release build, and takes long:
//!
//! ```sh
//! cargo build --release -p vtl
//! VTL_BINARY=target/release/vtl cargo test --release -p vtl-tests --test restore -- --ignored --nocapture measured
//! ```
//!
//! `GIB=1` and `FILE_MIB=16` make it smaller; a cartridge of 20 GiB needs as much room in the temporary directory.

use std::fs;
use std::time::Instant;

use vtl_tests::{Scene, cdb, noise};

const BLOCK_BYTES: usize = 256 << 10;
const MIB: u64 = 1 << 20;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Bytes that a process has read so far: from files, wherever they came from, and from the disk.
fn read_so_far(process: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{process}/io")).unwrap();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    (of("rchar:"), of("read_bytes:"))
}

fn header(path: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(path).unwrap();
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
#[ignore = "it writes 20 GiB: by hand, with a release build"]
fn one_file_of_a_long_tape_costs_twice_its_length_and_the_way_there() {
    one_file(setting("GIB", 20) << 30, setting("FILE_MIB", 1024) * MIB);
}

/// With each piece of a file all of the last segment was read anew, as if the moment had to be found that is the newest one; and what was read
/// ahead was many times what was wanted.
#[test]
fn one_file_of_a_short_tape_costs_no_more() {
    one_file(256 * MIB, 16 * MIB);
}

fn one_file(total: u64, file: u64) {
    let scene = Scene::loaded();
    let content = noise(1, 32 << 20);
    let wanted = noise(2, 1 << 20);
    let mut session = scene.session("host");
    let mut held: Vec<u8> = Vec::new();
    let (mut written, mut count) = (0, 0);
    let begun = Instant::now();
    let mut send = |held: &mut Vec<u8>, is_end: bool| {
        let length = held.len() - if is_end { 0 } else { held.len() % BLOCK_BYTES };
        for block in held.drain(..length).as_slice().chunks(BLOCK_BYTES) {
            session.write_block(block).good();
        }
    };
    while written < total {
        held.extend(header(&format!("file {count:06}"), file));
        let mut left = file;
        while left > 0 {
            let piece = left.min(content.len() as u64);
            held.extend_from_slice(&content[..usize::try_from(piece).unwrap()]);
            left -= piece;
            send(&mut held, false);
        }
        if written <= total / 2 && written + file > total / 2 {
            held.extend(header("wanted", MIB));
            held.extend_from_slice(&wanted);
        }
        (written, count) = (written + file, count + 1);
    }
    held.extend([0; 1024]);
    send(&mut held, true);
    session.run(1, &cdb::write_filemarks(1)).good();
    session.logout();
    scene.daemon().vtl(&["unload", "0"]).done();
    eprintln!("{count} files of {} MiB in {:?}", file / MIB, begun.elapsed());
    let process = scene.daemon().pid();
    let measured = |what: &str, arguments: &[&str]| {
        let (before, begun) = (read_so_far(process), Instant::now());
        scene.daemon().vtl(arguments).done();
        let (after, took) = (read_so_far(process), begun.elapsed());
        let (read, disk) = (after.0 - before.0, after.1 - before.1);
        eprintln!("{what}: {read} bytes read, {disk} of them from the disk, in {took:?}");
        read.max(disk)
    };
    let way = measured("vtl browse", &["browse", "VTL001L9"]);
    let to = scene.beside("to");
    fs::create_dir(&to).unwrap();
    let read = measured("vtl restore", &["restore", "VTL001L9:wanted", "-C", to.to_str().unwrap()]);
    assert!(fs::read(to.join("wanted")).unwrap() == wanted);
    assert!(
        read <= 2 * MIB + way + MIB / 4,
        "{read} bytes for one MiB, and {way} for the way there"
    );
}

#[test]
#[ignore = "it makes a thousand cartridges: by hand, with a release build"]
fn a_thousand_cartridges_go_back_to_one_moment_in_a_minute() {
    let count = setting("CARTRIDGES", 1000);
    let scene = Scene::new();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments).done();
    vtl(&[
        "tape",
        "create",
        "--count",
        &count.to_string(),
        "--capacity",
        "100MiB",
        "--prefix",
        "R",
    ]);
    vtl(&["group", "create", "all", "R*"]);
    let listed = vtl(&["inventory", "R*", "--format", "json"]).json();
    let barcodes: Vec<String> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["barcode"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(barcodes.len() as u64, count);
    let begun = Instant::now();
    let each = |work: &mut dyn FnMut(&mut vtl_tests::Initiator, u64)| {
        for (number, barcode) in (0..).zip(&barcodes) {
            vtl(&["load", barcode, "0"]);
            let mut session = scene.session("host");
            work(&mut session, number);
            session.logout();
            vtl(&["unload", "0"]);
        }
    };
    let write = |session: &mut vtl_tests::Initiator, seed: u64| {
        session.run(1, &cdb::REWIND).good();
        session.write_block(&noise(seed, 4096)).good();
        session.run(1, &cdb::write_filemarks(1)).good();
    };
    each(&mut |session, number| write(session, number));
    let moment = jiff::Timestamp::now().to_string();
    each(&mut |session, number| write(session, 1_000_000 + number));
    eprintln!("{count} cartridges written twice in {:?}", begun.elapsed());
    let begun = Instant::now();
    vtl(&["tape", "rewind", "--group", "all", "--to", &moment]);
    let took = begun.elapsed();
    eprintln!("vtl tape rewind --group of {count} cartridges: {took:?}");
    each(&mut |session, number| {
        session.run(1, &cdb::REWIND).good();
        let read = session.read_block(4096).good();
        assert!(read.data == noise(number, 4096), "cartridge {number}");
    });
    assert!(took.as_secs() < 60, "{took:?}");
}
