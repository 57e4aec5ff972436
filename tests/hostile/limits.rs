//! How much strangers and initiators may use: of time, of places, of memory, of descriptors and threads.

use std::io;
use std::time::{Duration, Instant};

use vtl_tests::{
    Daemon, Initiator, Login, Pdu, Scene, Usage, Wire, cdb, login_pdu, noise, opcode, poll,
};

const ISID: [u8; 6] = [0x80, 1, 2, 3, 0, 9];
/// What hostile peers may make the daemon grow by.
const GROWTH_BYTES: u64 = 64 << 20;
/// What may stay: what allocators and pools keep.
const KEPT_BYTES: u64 = 32 << 20;
const KEPT_THREADS: usize = 8;
const BACK_LIMIT: Duration = Duration::from_secs(20);
const LOGICAL_UNIT_RESET: u8 = 5;
const OUT_OF_RESOURCES: &str = "login status [03, 02]";

fn connect(scene: &Scene) -> Wire {
    Wire::connect(scene.daemon().portal).unwrap()
}

/// A login that has to come through at once.
#[track_caller]
fn good_login(login: &Login) -> Initiator {
    let started = Instant::now();
    let session = login.open();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    session
}

/// Sends a byte each time that nothing has come for a moment, until the target closes the connection.
fn trickle(mut wire: Wire, bytes: &[u8]) -> Duration {
    let started = Instant::now();
    wire.set_limit(Duration::from_millis(100));
    for byte in bytes {
        if wire.send_bytes(&[*byte]).is_err() {
            break;
        }
        match wire.receive() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    started.elapsed()
}

#[test]
fn a_login_that_comes_byte_by_byte_is_over_after_ten_seconds() {
    let mut scene = Scene::new();
    let pdu = login_pdu(0, 1, ISID, &scene.login("slow").security_keys()).encode();
    let took = trickle(connect(&scene), &pdu);
    assert!((9..14).contains(&took.as_secs()), "{took:?}");
    scene.assert_serves();
}

// The clock was looked at only while nothing came, so that a peer that never paused was in login for ever.
#[test]
fn a_login_that_never_pauses_is_over_after_ten_seconds() {
    let mut scene = Scene::new();
    let mut wire = connect(&scene);
    let pdu = login_pdu(0, 0, ISID, &[]).with(1, &[0x40]);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(14) {
        if wire.send(&pdu).is_err() || wire.receive().is_err() {
            break;
        }
    }
    let took = started.elapsed();
    assert!((9..14).contains(&took.as_secs()), "{took:?}");
    scene.assert_serves();
}

// Sixteen strangers who said nothing kept everybody out for ten seconds, and could do so again and again.
#[test]
fn strangers_who_hold_all_places_lock_nobody_out() {
    let mut scene = Scene::loaded();
    let login = scene.login("good");
    let mut silent: Vec<Wire> = Vec::new();
    for _ in 0..10 {
        silent.extend((0..20).map(|_| connect(&scene)));
        good_login(&login).logout();
    }
    // Only as many as there are places are left of them, and not for long.
    let started = Instant::now();
    for mut wire in silent {
        wire.set_limit(Duration::from_secs(20));
        assert!(wire.expect_closed().is_empty());
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    scene.assert_serves();
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    let mut scene = Scene::loaded();
    scene.assert_serves();
    let pid = scene.daemon().pid();
    let login = scene.login("good");
    let mut session = scene.session("steady");
    session.write_block(b"opens a file").good();
    let before = Usage::of(pid);
    let mut held = Vec::new();
    let mut most = before;
    for number in 0..10_000_u64 {
        let mut wire = connect(&scene);
        match number % 4 {
            0 => drop(wire),
            1 => held.push(wire),
            2 => {
                let _sent = wire.send_bytes(&noise(number, 700));
                held.push(wire);
            }
            _ => {
                let _sent = wire.send_bytes(&login_pdu(0, 1, ISID, &[]).encode()[..20]);
                wire.finish();
            }
        }
        if held.len() > 200 {
            held.clear();
        }
        if number % 500 == 0 {
            good_login(&login).logout();
            session.write_block(&noise(number, 5000)).good();
            let now = Usage::of(pid);
            most.resident_bytes = most.resident_bytes.max(now.resident_bytes);
            most.descriptors = most.descriptors.max(now.descriptors);
            most.threads = most.threads.max(now.threads);
        }
    }
    assert!(
        most.is_back(&Usage { descriptors: usize::MAX, ..before }, GROWTH_BYTES, KEPT_THREADS),
        "{most:?}, {before:?}"
    );
    assert!(most.descriptors < before.descriptors + 150, "{most:?}, {before:?}");
    drop(held);
    Usage::wait_back(pid, &before, KEPT_BYTES, KEPT_THREADS, BACK_LIMIT);
    session.ping();
    scene.assert_serves();
}

#[test]
fn a_name_has_as_many_sessions_as_it_needs_and_no_more() {
    let mut scene = Scene::loaded();
    let mut login = scene.login("crowd");
    let mut sessions = Vec::new();
    for number in 0..32 {
        login.isid[5] = number;
        sessions.push(login.open());
    }
    login.isid[5] = 32;
    assert_eq!(login.try_open().unwrap_err().to_string(), OUT_OF_RESOURCES);
    // A session that takes its own place is no additional one, and somebody else is not concerned.
    login.isid[5] = 7;
    let again = login.open();
    assert!(sessions[7].wire.expect_closed().is_empty());
    sessions[7] = again;
    good_login(&scene.login("other")).logout();
    sessions.pop().unwrap().logout();
    login.isid[5] = 32;
    login.open().logout();
    scene.assert_serves();
}

#[test]
fn who_pings_and_does_not_listen_is_stopped_and_then_let_go() {
    let mut scene = Scene::loaded();
    let pid = scene.daemon().pid();
    let mut steady = scene.session("steady");
    steady.write_block(b"opens a file").good();
    let before = Usage::of(pid);
    let mut rude = scene.session("rude");
    // One kind needs answers, the other none and keeps the connection looking alive.
    let ping = |tag: u32, length: usize| {
        let pdu = Pdu::new(opcode::NOP_OUT, 0x80).with_word(16, tag).with_word(20, u32::MAX);
        pdu.with_data(&vec![0x55; length]).encode()
    };
    rude.wire.set_limit(Duration::from_secs(2));
    let (big, small) = (ping(5, 1 << 20), ping(u32::MAX, 0));
    let mut sent = 0;
    while rude.wire.send_bytes(&big).is_ok() {
        sent += big.len();
        assert!(sent < 200 << 20, "answers are kept without end");
    }
    let usage = Usage::of(pid);
    assert!(usage.resident_bytes < before.resident_bytes + GROWTH_BYTES, "{usage:?}, {before:?}");
    steady.write_block(&noise(1, 100_000)).good();
    let started = Instant::now();
    while !matches!(rude.wire.send_bytes(&small), Err(error) if error.kind() != io::ErrorKind::WouldBlock)
    {
        assert!(started.elapsed() < Duration::from_secs(50), "it is kept for ever");
    }
    steady.ping();
    Usage::wait_back(pid, &before, KEPT_BYTES, KEPT_THREADS, BACK_LIMIT);
    scene.assert_serves();
}

// Each reset had a thread of its own, hundreds of them in the end.
#[test]
fn resets_without_number_take_no_threads() {
    let mut scene = Scene::loaded();
    let pid = scene.daemon().pid();
    scene.assert_serves();
    let before = Usage::of(pid);
    let mut most = 0;
    let mut rude: Vec<_> = (0..20).map(|number| scene.session(&format!("rude{number}"))).collect();
    for round in 0..100 {
        for session in &mut rude {
            for function in [LOGICAL_UNIT_RESET, 1, 4, 6] {
                let pdu = Pdu::new(opcode::TASK_MANAGEMENT, 0x80 | function)
                    .with(8, &[0, 1])
                    .with_word(16, session.new_tag())
                    .with_word(20, u32::MAX)
                    .with_word(24, session.cmd_sn);
                session.wire.send(&pdu).unwrap();
            }
        }
        if round % 10 == 0 {
            most = most.max(Usage::of(pid).threads);
        }
    }
    assert!(most <= before.threads + KEPT_THREADS, "{most} threads, and {before:?}");
    // Each of them is answered, or refused as one too many.
    for session in &mut rude {
        for _ in 0..400 {
            let answer = session.wire.receive().unwrap();
            match answer.opcode() {
                opcode::TASK_MANAGEMENT_RESPONSE => assert!(answer.bhs[2] <= 1, "{answer:02x?}"),
                opcode::REJECT => assert_eq!(answer.bhs[2], 6, "too many immediate commands"),
                _ => panic!("{answer:02x?}"),
            }
        }
    }
    drop(rude);
    scene.assert_serves();
    Usage::wait_back(pid, &before, KEPT_BYTES, KEPT_THREADS, BACK_LIMIT);
}

// Sixty-four READs of four megabytes were all carried out for a peer that took none of them.
#[test]
fn who_reads_and_does_not_listen_holds_up_nobody() {
    const BLOCK: usize = 4 << 20;
    let mut scene = Scene::loaded();
    let pid = scene.daemon().pid();
    let mut steady = scene.session("steady");
    let mut rude = scene.session("rude");
    for number in 0..20 {
        rude.write_block(&noise(number, BLOCK)).good();
    }
    for session in [&mut rude, &mut steady] {
        session.run(1, &cdb::REWIND).good();
        session.read_block(BLOCK).good();
        session.run(1, &cdb::REWIND).good();
    }
    let before = Usage::of(pid);
    for _ in 0..60 {
        let (_, pdu) = rude.command_pdu(1, &cdb::read(BLOCK), 0, BLOCK);
        rude.wire.send(&pdu).unwrap();
    }
    for _ in 0..50 {
        steady.run(1, &cdb::TEST_UNIT_READY).good();
        let usage = Usage::of(pid);
        assert!(
            usage.resident_bytes < before.resident_bytes + GROWTH_BYTES,
            "{usage:?}, {before:?}"
        );
    }
    steady.position();
    // Whoever says nothing for half a minute is let go as well, and on a busy machine it takes longer.
    let took = wait_cut(&mut rude.wire, || drop(steady.run(1, &cdb::TEST_UNIT_READY).good()));
    assert!(took < Duration::from_secs(50), "{took:?}");
    steady.run(1, &cdb::REWIND).good();
    assert_eq!(steady.read_block(BLOCK).good().data, noise(0, BLOCK));
    scene.assert_serves();
}

/// Waits until the target has given a connection up of which nothing is read; how long that took. Only what is sent can tell.
fn wait_cut(wire: &mut Wire, mut meanwhile: impl FnMut()) -> Duration {
    let started = Instant::now();
    wire.set_limit(Duration::from_millis(100));
    let answer =
        Pdu::new(opcode::NOP_OUT, 0x80).with_word(16, u32::MAX).with_word(20, u32::MAX).encode();
    poll("the end of the connection", Duration::from_mins(2), || {
        meanwhile();
        let sent = wire.send_bytes(&answer);
        sent.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock).then_some(())
    });
    started.elapsed()
}

// Each session had its limit, 64 MiB of asked-for data, and a thousand of them had sixty-four gibibytes.
#[test]
fn data_that_never_ends_is_bounded_over_all_sessions() {
    const BLOCK: usize = 16 << 20;
    let mut scene = Scene::loaded();
    let pid = scene.daemon().pid();
    let mut steady = scene.session("steady");
    let before = Usage::of(pid);
    let mut rude: Vec<_> = (0..36).map(|number| scene.session(&format!("rude{number}"))).collect();
    let part = noise(3, 1 << 20);
    for session in &mut rude {
        for _ in 0..3 {
            let (_, pdu) = session.command_pdu(2, &cdb::write(BLOCK - 1), BLOCK - 1, 0);
            session.wire.send(&pdu).unwrap();
        }
        // Everything but the last part of the first, as far as it is asked for.
        session.wire.set_limit(Duration::from_millis(300));
        while let Ok(r2t) = session.wire.receive() {
            if r2t.opcode() != opcode::R2T || r2t.word(40) as usize + (1 << 20) >= BLOCK - 1 {
                break;
            }
            let data = Pdu::new(opcode::DATA_OUT, 0x80)
                .with(8, &[0, 2])
                .with_word(16, r2t.word(16))
                .with_word(20, r2t.word(20))
                .with_word(40, r2t.word(40))
                .with_data(&part[..r2t.word(44) as usize]);
            session.wire.send(&data).unwrap();
        }
    }
    let usage = Usage::of(pid);
    assert!(usage.resident_bytes < before.resident_bytes + (600 << 20), "{usage:?}, {before:?}");
    // A large block waits for those who get nothing done to be let go.
    let block = noise(4, 8 << 20);
    let started = Instant::now();
    steady.wire.set_limit(Duration::from_mins(2));
    steady.write_block(&block).good();
    assert!(started.elapsed() < Duration::from_secs(75), "{:?}", started.elapsed());
    drop(rude);
    steady.run(1, &cdb::REWIND).good();
    assert!(steady.read_block(8 << 20).good().data == block);
    scene.assert_serves();
}

#[test]
fn without_descriptors_logins_are_refused_and_cartridges_work() {
    let directory = tempfile::TempDir::with_prefix("vtl-test-").unwrap();
    let daemon = Daemon::start_limited(&directory.path().join("data"), "ulimit -n 120").unwrap();
    let login = |name: String| Login::new(daemon.portal, &daemon.target, &name);
    let mut first = login("first".into()).open();
    let mut sessions = Vec::new();
    let refusal = loop {
        match login(format!("s{}", sessions.len())).try_open() {
            Ok(session) => sessions.push(session),
            Err(error) => break error.to_string(),
        }
        assert!(sessions.len() < 60, "half of the descriptors are for cartridges");
    };
    assert_eq!(refusal, OUT_OF_RESOURCES);
    let idle: Vec<_> = (0..100).filter_map(|_| Wire::connect(daemon.portal).ok()).collect();
    // What is needed for a cartridge is still there.
    daemon.vtl(&["load", "VTL001L9", "0"]).done();
    first.settle(1);
    first.write_block(b"still here").good();
    first.run(1, &cdb::write_filemarks(1)).good();
    drop((idle, sessions));
    poll("a login", Duration::from_secs(20), || login("last".into()).try_open().ok());
    daemon.stop();
}
