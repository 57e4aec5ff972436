//! The ransom drill: everything is overwritten, erased or relabelled, and comes back.

use std::time::{Duration, Instant};

use vtl_tests::{Initiator, Scene, cdb, noise};

use crate::{read_tape, write_tape};

/// How many cartridges, unless `VTL_RANSOM_CARTRIDGES` says otherwise; `tools/ransom` runs it with a thousand.
const CARTRIDGES: usize = 40;
/// However many there are, all have to be back within this time.
const BACK_LIMIT: Duration = Duration::from_mins(1);

fn tapes() -> Vec<String> {
    let count = std::env::var("VTL_RANSOM_CARTRIDGES").ok();
    let count = count.map_or(CARTRIDGES, |count| count.parse().expect("a number"));
    (1..=count)
        .map(|number| format!("RAN{number:03}L9"))
        .map(
            |text| {
                if text.len() == 8 { text } else { format!("RA{:>04}L9", &text[3..text.len() - 2]) }
            },
        )
        .collect()
}

/// What is on the nth cartridge before the attack; every fifth one is blank.
fn content(n: usize) -> Vec<Vec<u8>> {
    let seed = n as u64 * 100;
    if n.is_multiple_of(5) { Vec::new() } else { vec![noise(seed, 80), noise(seed + 1, 64 << 10)] }
}

fn with_each(
    scene: &Scene,
    session: &mut Initiator,
    tapes: &[String],
    work: fn(&mut Initiator, usize),
) {
    for (n, barcode) in tapes.iter().enumerate() {
        scene.daemon().vtl(&["load", barcode, "0"]).done();
        session.settle(1);
        work(session, n);
        scene.daemon().vtl(&["move", "drive:0", "shelf"]).done();
    }
}

#[test]
fn a_whole_library_comes_back_from_an_attack() {
    let scene = Scene::new();
    let tapes = tapes();
    let mut create = vec!["tape", "create", "--to", "shelf", "--capacity", "100MiB"];
    create.extend(tapes.iter().map(String::as_str));
    scene.daemon().vtl(&create).done();
    let mut session = scene.session("backup");
    with_each(&scene, &mut session, &tapes, |session, n| {
        if !content(n).is_empty() {
            write_tape(session, &content(n));
        }
    });
    let before = jiff::Timestamp::now().to_string();
    with_each(&scene, &mut session, &tapes, |session, n| match n % 3 {
        0 => write_tape(session, &[b"pay".repeat(3000)]),
        1 => {
            session.run(1, &cdb::REWIND).good();
            session.run(1, &[0x19, 0, 0, 0, 0, 0]).good();
        }
        // A new label at the beginning makes the rest of the tape unreachable.
        _ => write_tape(session, &[b"VOL1RANSOM".to_vec()]),
    });
    session.logout();
    let begun = Instant::now();
    let rows = scene
        .daemon()
        .vtl(&["tape", "rewind", "--all", "--to", &before, "--format", "json"])
        .done()
        .json();
    let took = begun.elapsed();
    assert!(took < BACK_LIMIT, "{took:?}");
    println!("{} cartridges came back in {took:?}", tapes.len());
    let rows = rows.as_array().unwrap();
    let result_of = |barcode: &str| {
        let row = rows.iter().find(|row| row["barcode"] == barcode).unwrap();
        row["result"].as_str().unwrap()
    };
    assert_eq!(result_of("VTL001L9"), "was so already");
    assert_eq!(result_of(&tapes[1]), "rewound");
    assert_eq!(result_of(&tapes[0]), "blank again");
    let mut session = scene.session("restore");
    with_each(&scene, &mut session, &tapes, |session, n| {
        assert!(read_tape(session) == content(n), "cartridge {n}");
    });
    session.logout();
    scene.daemon().vtl(&["audit", "verify"]).done();
}
