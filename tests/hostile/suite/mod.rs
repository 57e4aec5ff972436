//! The suite of hostile peers: a table of cases, each a few bytes that no initiator should send and what has to come of them.
//!
//! The daemon is the same for all cases. After each of them a session that was there all the time writes a block and reads it back,
//! somebody new logs in, and the daemon's memory, descriptors and threads are what they were before the first case. The table is
//! docs/hostile.md, which this test compares and, with `UPDATE_HOSTILE` in the environment, writes.

mod commands;
mod data;
mod framing;
mod keys;
mod login;
mod see;
mod session;
mod tasks;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use vtl_tests::{Initiator, Scene, Usage, cdb, noise};

use self::see::quiet_unit;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/hostile.md");
/// Fewer cases than this are not the suite.
const CASES_MIN: usize = 60;
/// A case that takes longer hangs.
const CASE_LIMIT: Duration = Duration::from_secs(30);
/// What the daemon may have more than before the first case: what pools and allocators keep.
const KEPT_BYTES: u64 = 32 << 20;
/// Threads that come and go with the disk's work.
const KEPT_THREADS: usize = 4;
const BACK_LIMIT: Duration = Duration::from_secs(20);
/// The well-behaved session has a drive of its own.
const STEADY_LUN: u8 = 2;

/// One case.
struct Case {
    name: &'static str,
    /// In words.
    sent: &'static str,
    /// What has to come back, as [`see`] puts it.
    happens: &'static str,
    /// Does it, and says what came back.
    run: fn(&Scene) -> String,
}

const SECTIONS: [(&str, &[Case]); 7] = [
    ("Login", login::CASES),
    ("Text keys", keys::CASES),
    ("Framing, lengths and digests", framing::CASES),
    ("Numbers, pings, text and logout", session::CASES),
    ("Data of writes", data::CASES),
    ("Task management", tasks::CASES),
    ("Commands", commands::CASES),
];

/// The session that behaves well.
struct Steady {
    session: Initiator,
    count: u64,
}

impl Steady {
    fn new(scene: &Scene) -> Self {
        scene.daemon().vtl(&["load", "VTL002L9", "1"]).done();
        let mut steady = Self { session: scene.session("steady"), count: 0 };
        steady.works();
        steady
    }

    /// Writes a block and reads it back.
    fn works(&mut self) {
        quiet_unit(&mut self.session, STEADY_LUN);
        self.count += 1;
        let block = noise(self.count, 70_000);
        self.session.write_out(STEADY_LUN, &cdb::write(block.len()), &block).good();
        // One block back.
        self.session.run(STEADY_LUN, &[0x11, 0, 0xff, 0xff, 0xff, 0]).good();
        let read = self.session.read_in(STEADY_LUN, &cdb::read(block.len()), block.len()).good();
        assert!(read.data == block, "another block than was written");
    }
}

#[test]
fn what_no_initiator_should_send() {
    let mut scene = Scene::loaded();
    let mut steady = Steady::new(&scene);
    // The first block that is written opens a file.
    let mut rude = scene.session("rude");
    rude.write_block(b"first").good();
    rude.logout();
    scene.assert_serves();
    let pid = scene.daemon().pid();
    let before = Usage::of(pid);
    let (mut table, mut number, mut wrong) = (String::new(), 0, Vec::new());
    for (section, cases) in SECTIONS {
        write!(table, "\n## {section}\n\n| | case | sent | what happens |\n|---|---|---|---|\n")
            .unwrap();
        for case in cases {
            number += 1;
            let started = Instant::now();
            eprintln!("{number}: {}", case.name);
            let happened = (case.run)(&scene);
            let took = started.elapsed();
            assert!(took < CASE_LIMIT, "{}: {took:?}", case.name);
            if happened != case.happens {
                wrong
                    .push(format!("{}: {happened}\n    but expected: {}", case.name, case.happens));
            }
            writeln!(table, "| {number} | {} | {} | {} |", case.name, case.sent, case.happens)
                .unwrap();
            steady.works();
            scene.session("newcomer").logout();
            Usage::wait_back(pid, &before, KEPT_BYTES, KEPT_THREADS, BACK_LIMIT);
        }
    }
    scene.assert_serves();
    assert!(wrong.is_empty(), "{} of {number} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(number >= CASES_MIN, "{number} cases");
    compare(&text(number, &table));
}

fn text(number: usize, table: &str) -> String {
    format!(
        "# Hostile peers\n\n\
        {number} cases over real TCP against the real daemon, made by `tests/hostile/suite`: `UPDATE_HOSTILE=1 cargo test -p vtl-tests --test hostile`\n\
        writes this file anew, and without it the test fails where the file differs. Floods and limits are in `tests/hostile/limits.rs`.\n\n\
        After each case a session that has been there all the time writes a block and reads it back, somebody new logs in, and the daemon\n\
        has as many descriptors as before the first case, at most {KEPT_THREADS} threads more and at most {} MiB more memory: 0 hung, 0 dead.\n\n\
        What happens is all that the peer gets until the connection is closed or, where it \"goes on\", until a ping is answered. Reject reasons\n\
        and login statuses are those of RFC 7143 in hexadecimal; sense data are key/code/qualifier.\n{table}",
        KEPT_BYTES >> 20,
    )
}

fn compare(text: &str) {
    let found = std::fs::read_to_string(FILE).unwrap_or_default();
    if found == text {
        return;
    }
    if std::env::var_os("UPDATE_HOSTILE").is_some() {
        std::fs::write(FILE, text).unwrap();
        return;
    }
    panic!("docs/hostile.md is not what happens; UPDATE_HOSTILE=1 writes it anew");
}
