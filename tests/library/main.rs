//! Several libraries in one daemon, their models, and a large one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod large;
mod per_device;
mod profile_file;
mod several;

use serde_json::Value;
use vtl_tests::{Daemon, Initiator, Login};

/// What `vtl library show` says.
#[track_caller]
fn shown(daemon: &Daemon, name: &str) -> Value {
    daemon.vtl(&["library", "show", name, "--format", "json"]).done().json()
}

/// A session with a library's target, with nothing left to be told by the changer.
#[track_caller]
fn session(daemon: &Daemon, library: &str) -> Initiator {
    let library = shown(daemon, library);
    let target = library["target"].as_str().unwrap();
    let mut session = Login::new(daemon.portal, target, "several").open();
    session.settle(0);
    session
}

/// READ ELEMENT STATUS with volume tags and drive identifiers.
fn element_status(
    session: &mut Initiator,
    kind: u8,
    start: u16,
    count: u16,
    room: usize,
) -> Vec<u8> {
    let ([s1, s0], [c1, c0]) = (start.to_be_bytes(), count.to_be_bytes());
    let [_, a2, a1, a0] = u32::try_from(room).unwrap().to_be_bytes();
    let cdb = [0xb8, 0x10 | kind, s1, s0, c1, c0, 0x01, a2, a1, a0, 0, 0];
    session.read_in(0, &cdb, room).good().data
}

/// Vendor, product and revision.
fn names(session: &mut Initiator, lun: u8) -> String {
    let data = session.read_in(lun, &vtl_tests::cdb::inquiry(96), 96).good().data;
    String::from_utf8(data[8..36].to_vec()).unwrap()
}

fn serial(session: &mut Initiator, lun: u8) -> String {
    let data = session.read_in(lun, &[0x12, 1, 0x80, 0, 255, 0], 255).good().data;
    String::from_utf8(data[4..].to_vec()).unwrap()
}
