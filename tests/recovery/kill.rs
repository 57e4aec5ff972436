//! kill -9 at any moment after an acknowledgement.

use vtl_tests::{Scene, cdb, noise};

#[test]
fn moves_and_loads_are_kept() {
    let mut scene = Scene::new();
    let orders: [&[&str]; 8] = [
        &["move", "slot:1", "mail:1"],
        &["load", "VTL002L9", "0"],
        &["load", "VTL003L9", "3"],
        &["tape", "create", "--count", "3"],
        &["tape", "eject", "VTL004L9"],
        &["unload", "3"],
        &["tape", "delete", "VTL005L9"],
        &["tape", "insert", "VTL001L9", "--to", "slot:24"],
    ];
    for order in orders {
        scene.daemon().vtl(order).done();
        let ask =
            |scene: &Scene| scene.daemon().vtl(&["inventory", "--format", "json"]).done().stdout;
        let before = ask(&scene);
        scene.take_daemon().kill();
        scene.start();
        assert_eq!(ask(&scene), before, "after {order:?}");
    }
    // The drive has its cartridge ready for use, as one that was switched off and on has.
    let mut session = scene.session("writer");
    session.run(1, &cdb::TEST_UNIT_READY).good();
    session.write_block(b"still writable").good();
    scene.daemon().vtl(&["audit", "verify"]).done();
}

#[test]
fn a_move_by_a_host_is_kept() {
    let mut scene = Scene::new();
    let mut session = scene.session("robot");
    session.run(0, &cdb::move_medium(0x0400, 0x0101)).good();
    session.run(0, &cdb::move_medium(0x0401, 0x0300)).good();
    scene.take_daemon().kill();
    scene.start();
    let place = |barcode| {
        let ran = scene.daemon().vtl(&["inventory", barcode, "--format", "json"]).done();
        ran.json()[0]["location"].as_str().unwrap().to_owned()
    };
    assert_eq!((place("VTL001L9"), place("VTL002L9")), ("drive:0".into(), "mail:1".into()));
}

#[test]
fn data_before_a_filemark_reads_back_as_it_was() {
    let mut scene = Scene::loaded();
    let lengths = [1, 512, 65_536, 1_000_003, 0x40000, 3, 2 << 20];
    let mut files: Vec<Vec<Vec<u8>>> = Vec::new();
    for round in 0..3 {
        let mut session = scene.session("writer");
        session.run(1, &cdb::SPACE_END_OF_DATA).good();
        let blocks: Vec<_> =
            (0..).zip(lengths).map(|(seed, length)| noise(round * 100 + seed, length)).collect();
        for block in &blocks {
            session.write_block(block).good();
        }
        session.run(1, &cdb::write_filemarks(1)).good();
        files.push(blocks);
        // Acknowledged but not synced: may be there or not, but never in part.
        let extra = noise(777, 300_000);
        session.write_block(&extra).good();
        scene.take_daemon().kill();
        drop(session);
        scene.start();
        let mut session = scene.session("reader");
        session.run(1, &cdb::REWIND).good();
        for (file, blocks) in files.iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                let done = session.read_block(block.len()).good();
                assert!(done.data == *block, "file {file}, block {index}");
            }
            assert!(session.read_block(10).sense(0, 0, 1).filemark);
        }
        let end = session.position();
        let last = session.read_block(extra.len());
        if last.status == 0 {
            assert!(last.data == extra, "a block in part");
            session.read_block(10).sense(8, 0, 5);
        } else {
            last.sense(8, 0, 5);
        }
        // The next round writes behind the last filemark.
        session.run(1, &cdb::REWIND).good();
        session.run(1, &cdb::space_blocks(0)).good();
        session.run(1, &[0x2b, 0, 0, 0, 0, 0, u8::try_from(end).unwrap(), 0, 0, 0]).good();
        session.run(1, &[0x19, 0, 0, 0, 0, 0]).good();
        session.logout();
    }
}

#[test]
fn unbuffered_writes_need_no_filemark() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("writer");
    // MODE SELECT(6): header with buffered mode 0 and a block descriptor of variable length.
    let list = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    session.write_out(1, &[0x15, 0x10, 0, 0, 12, 0], &list).good();
    for seed in 0..5 {
        session.write_block(&noise(seed, 50_000)).good();
    }
    scene.take_daemon().kill();
    scene.start();
    let mut session = scene.session("reader");
    session.run(1, &cdb::REWIND).good();
    for seed in 0..5 {
        assert!(session.read_block(50_000).good().data == noise(seed, 50_000), "block {seed}");
    }
}

#[test]
fn logout_is_a_sync_point() {
    // The kill loop (seed 5, round 16) lost 67 objects: the session that had written them had logged out, the response had
    // been sent, and only then were they brought to disk.
    let mut scene = Scene::loaded();
    let mut blocks = 0;
    for round in 0..6_u32 {
        let mut session = scene.session("writer");
        session.run(1, &cdb::SPACE_END_OF_DATA).good();
        for _ in 0..20 {
            session.write_block(&noise(u64::from(blocks), 70_000)).good();
            blocks += 1;
        }
        session.ask_for_logout();
        scene.take_daemon().kill();
        scene.start();
        let mut session = scene.session("reader");
        session.run(1, &cdb::SPACE_END_OF_DATA).good();
        assert_eq!(session.position(), blocks, "round {round}");
        session.logout();
    }
    let mut session = scene.session("reader");
    session.run(1, &cdb::REWIND).good();
    for seed in 0..blocks {
        let done = session.read_block(70_000).good();
        assert!(done.data == noise(u64::from(seed), 70_000), "block {seed}");
    }
}
