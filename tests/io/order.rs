//! Commands of a logical unit run in the order of their numbers, whether or not their data has arrived.

use vtl_tests::{Initiator, Login, Scene, cdb, noise, opcode};

const BLOCK_BYTES: usize = 256 << 10;
/// A filemark every 1 MiB.
const BLOCKS_PER_FILE: u64 = 4;
const FILES: u64 = 12;

/// All four ways in which two sides can agree on when data is sent.
fn ways(scene: &Scene) -> impl Iterator<Item = Login> {
    [(true, false), (true, true), (false, false), (false, true)].into_iter().map(
        |(immediate_data, initial_r2t)| {
            let mut login = scene.login("order");
            (login.immediate_data, login.initial_r2t) = (immediate_data, initial_r2t);
            login
        },
    )
}

fn rewound(login: &Login) -> Initiator {
    let mut session = login.open();
    session.settle(1);
    session.run(1, &cdb::REWIND).good();
    session
}

/// Reads from the beginning, and panics unless each block and each filemark is at its place and nothing follows.
#[track_caller]
fn assert_files(session: &mut Initiator, first_seed: u64, files: u64, how: &str) {
    session.run(1, &cdb::REWIND).good();
    for file in 0..files {
        for block in 0..BLOCKS_PER_FILE {
            let done = session.read_block(BLOCK_BYTES).good();
            let expected = noise(first_seed + file * BLOCKS_PER_FILE + block, BLOCK_BYTES);
            assert!(done.data == expected, "block {block} of file {file}, {how}");
        }
        let sense = session.read_block(BLOCK_BYTES).sense(0, 0, 1);
        assert!(sense.filemark, "the filemark behind file {file}, {how}");
    }
    session.read_block(BLOCK_BYTES).sense(8, 0, 5);
}

/// Seen elsewhere: with InitialR2T=Yes, WRITE FILEMARKS of the same queue overtook a WRITE whose data was still being asked for, and
/// the block came to lie behind the mark.
#[test]
fn blocks_and_filemarks_of_one_queue_stay_in_order_however_the_data_comes() {
    let scene = Scene::loaded();
    let mut first_seed = 1;
    for login in ways(&scene) {
        for depth in [4, 16] {
            let how = format!("queue depth {depth}, {login:?}");
            let mut session = rewound(&login);
            let mut outstanding = 0;
            for file in 0..FILES {
                for block in 0..=BLOCKS_PER_FILE {
                    if outstanding == depth {
                        session.wait().good();
                        outstanding -= 1;
                    }
                    if block == BLOCKS_PER_FILE {
                        session.send(1, &cdb::write_filemarks(1), Vec::new(), 0);
                    } else {
                        let data = noise(first_seed + file * BLOCKS_PER_FILE + block, BLOCK_BYTES);
                        session.send(1, &cdb::write(BLOCK_BYTES), data, 0);
                    }
                    outstanding += 1;
                }
            }
            for _ in 0..outstanding {
                session.wait().good();
            }
            assert_files(&mut session, first_seed, FILES, &how);
            session.logout();
            first_seed += FILES * BLOCKS_PER_FILE;
        }
    }
}

/// The same with an initiator that takes its time for the older commands: their data comes last.
#[test]
fn data_that_comes_in_reverse_does_not_change_the_order() {
    let scene = Scene::loaded();
    let mut login = scene.login("reverse");
    (login.immediate_data, login.initial_r2t) = (false, true);
    let mut session = rewound(&login);
    let mut tags = Vec::new();
    for block in 0..BLOCKS_PER_FILE {
        let data = noise(900 + block, BLOCK_BYTES);
        tags.push(session.send(1, &cdb::write(BLOCK_BYTES), data, 0));
    }
    tags.push(session.send(1, &cdb::write_filemarks(1), Vec::new(), 0));
    let r2ts: Vec<_> = (0..BLOCKS_PER_FILE).map(|_| session.wire.expect(opcode::R2T)).collect();
    for r2t in r2ts.iter().rev() {
        session.answer_r2t(r2t);
    }
    let ended: Vec<_> = tags.iter().map(|_| session.wait().good().tag).collect();
    assert_eq!(ended, tags, "commands end in their order");
    assert_files(&mut session, 900, 1, "data in reverse");
}
