//! Taking it back: history, rewind, twins, snapshots, proofs, and the ransom drill.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests say what they expect"
)]

mod group;
mod locks;
mod partitions;
mod ransom;
mod rewind;
mod snapshot;
mod space;
mod verify;

use vtl_tests::{Initiator, Scene, cdb};

/// Overwrites the tape in drive 0 with blocks, a filemark behind them: a sync point.
fn write_tape(session: &mut Initiator, blocks: &[Vec<u8>]) {
    session.run(1, &cdb::REWIND).good();
    for block in blocks {
        session.write_block(block).good();
    }
    session.run(1, &cdb::write_filemarks(1)).good();
}

/// The blocks of the first tape file in drive 0.
fn read_tape(session: &mut Initiator) -> Vec<Vec<u8>> {
    session.run(1, &cdb::REWIND).good();
    let mut blocks = Vec::new();
    loop {
        let done = session.read_in(1, &cdb::read_any_length(1 << 20), 1 << 20);
        match done.sense.map(|sense| sense.code) {
            None => blocks.push(done.good().data),
            Some((0, 0, 1) | (8, 0, 5)) => return blocks,
            Some(code) => panic!("block {}: {code:?}", blocks.len()),
        }
    }
}

/// The recovery points of a cartridge, oldest first, as they are named.
fn points(scene: &Scene, barcode: &str) -> Vec<String> {
    let history =
        scene.daemon().vtl(&["tape", "history", barcode, "--format", "json"]).done().json();
    let points = history["points"].as_array().unwrap().iter();
    points.map(|point| point["point"].as_str().unwrap().to_owned()).collect()
}
