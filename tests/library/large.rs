//! A library of 60,000 storage elements, 200 import/export elements and 256 drives.

use std::time::{Duration, Instant};

use vtl_tests::{Scene, cdb};

use crate::{element_status, session};

const CREATE: [&str; 9] =
    ["library", "create", "large", "--drives", "256", "--slots", "60000", "--mail", "200"];
const STORAGE: u16 = 0x400;

/// Cartridges in the first storage elements: as many as `VTL_LARGE_CARTRIDGES` says, else 1,000.
fn fill(scene: &Scene) {
    let wanted = std::env::var("VTL_LARGE_CARTRIDGES");
    let mut left: u32 = wanted.map_or(1_000, |count| count.parse().expect("a number"));
    for letter in 'A'..='Z' {
        let (count, prefix) = (left.min(10_000), letter.to_string());
        if count == 0 {
            break;
        }
        let create = ["tape", "create", "--library", "large", "--capacity", "10MiB"];
        let which = ["--prefix", &prefix, "--count", &count.to_string()];
        scene.daemon().vtl(&[&create[..], &which].concat()).done();
        left -= count;
    }
}

#[test]
fn it_starts_answers_and_moves_as_a_small_one_does() {
    let mut scene = Scene::new();
    scene.daemon().vtl(&CREATE).done();
    fill(&scene);
    scene.take_daemon().stop();
    let begun = Instant::now();
    scene.start();
    let started = begun.elapsed();
    let daemon = scene.daemon();
    let mut session = session(daemon, "large");
    let luns = session.read_in(0, &[0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0], 4096).good().data;
    assert_eq!(luns.len(), 8 + 257 * 8);
    assert_eq!(luns[8 + 256 * 8..8 + 256 * 8 + 2], [0x41, 0x00], "flat space addressing");

    let begun = Instant::now();
    let whole = element_status(&mut session, 0, 0, 0xffff, 8 << 20);
    let whole_took = begun.elapsed();
    assert_eq!(u16::from_be_bytes([whole[2], whole[3]]), 60_000 + 200 + 256 + 1);
    let bytes = usize::try_from(u32::from_be_bytes([0, whole[5], whole[6], whole[7]])).unwrap();
    assert_eq!(whole.len(), 8 + bytes);

    // In pieces of what fits into 4 KiB, as long as there is any.
    let begun = Instant::now();
    let mut next = STORAGE;
    let mut seen = 0_usize;
    let mut pieces = 0;
    while seen < 60_000 {
        let piece = element_status(&mut session, 2, next, 0xffff, 4096);
        let complete = (piece.len() - 16) / 52;
        let first = u16::from_be_bytes([piece[16], piece[17]]);
        assert_eq!(first, next);
        seen += complete;
        next = first.saturating_add(u16::try_from(complete).unwrap());
        pieces += 1;
    }
    let pieces_took = begun.elapsed();

    // The last drive can be used, and the arm is not slower for all the elements.
    session.run(0, &cdb::move_medium(STORAGE, 0x101 + 255)).good();
    session.run(0, &cdb::move_medium(0x101 + 255, 0x300 + 199)).good();
    let moves = |session: &mut vtl_tests::Initiator, from: u16, to: u16| {
        let begun = Instant::now();
        for _ in 0..10 {
            session.run(0, &cdb::move_medium(from, to)).good();
            session.run(0, &cdb::move_medium(to, from)).good();
        }
        begun.elapsed()
    };
    let large_moves = moves(&mut session, 0x300 + 199, STORAGE);
    let mut small = crate::session(daemon, "library");
    let small_moves = moves(&mut small, STORAGE, 0x300 + 3);
    println!(
        "start {started:?}, all elements {whole_took:?}, in {pieces} pieces {pieces_took:?}, 20 moves {large_moves:?}, \
         in a small library {small_moves:?}"
    );
    // Far beyond what is measured: an unoptimised build on a busy machine must not fail, and a quadratic one must.
    assert!(started < Duration::from_secs(30), "{started:?}");
    assert!(whole_took < Duration::from_secs(10) && pieces_took < Duration::from_secs(20));
    assert!(large_moves < 5 * small_moves + Duration::from_secs(2));
}
