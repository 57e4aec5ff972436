//! Reading ahead: it may only be noticed by the time that it saves.

use std::time::Instant;

use super::*;
use crate::disk::{Call, Fault, FaultDisk, Reaction};

const BLOCK_BYTES: usize = 2_000;
const LIMIT: Duration = Duration::from_secs(20);

/// Blocks of one length in several segments, with a filemark behind every 50th.
fn objects(count: u64) -> Vec<Option<Vec<u8>>> {
    let object = |n: u64| (n % 51 != 50).then(|| block(n, BLOCK_BYTES));
    (0..count).map(object).collect()
}

/// A cartridge with these objects at its beginning, and the disk's faults.
fn written(objects: &[Option<Vec<u8>>]) -> (FaultDisk, Cartridge) {
    let (disk, cartridge) = created(1 << 40);
    cartridge.unload().unwrap();
    let disk = FaultDisk::new(Arc::new(disk));
    let mut cartridge = Cartridge::load(Arc::new(disk.clone()), &directory(), options()).unwrap();
    for object in objects {
        match object {
            Some(data) => drop(write_block(&mut cartridge, data)),
            None => drop(cartridge.write_filemarks(1)),
        }
    }
    cartridge.rewind().unwrap();
    (disk, cartridge)
}

fn read_one(cartridge: &mut Cartridge) -> Option<Vec<u8>> {
    match cartridge.read().unwrap() {
        ReadOutcome::Block(data) => Some(data.to_vec()),
        ReadOutcome::Filemark => None,
        ReadOutcome::EndOfData => panic!("the data ends"),
    }
}

fn wait_until(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "it does not happen");
        std::thread::yield_now();
    }
}

/// Reads the first two objects, the second from memory, so that the next call that reads is that of reading ahead; before, the
/// fault is prepared.
fn begin(disk: &FaultDisk, cartridge: &mut Cartridge, fault: Option<Fault>) {
    let before = disk.count(Call::Read);
    read_one(cartridge);
    let first = disk.count(Call::Read);
    assert!(first > before);
    if let Some(fault) = fault {
        disk.inject(fault);
    }
    read_one(cartridge);
    wait_until(|| disk.count(Call::Read) > first);
}

#[test]
fn what_is_read_ahead_is_what_is_there() {
    let objects = objects(500);
    let (disk, mut cartridge) = written(&objects);
    assert!(disk.list(&directory().join(life::JOURNAL)).unwrap().len() > 5);
    assert_eq!(read_all(&mut cartridge), objects);
    // Behind the end nothing is read ahead, and what comes to be there is found.
    write_block(&mut cartridge, b"more");
    cartridge.sync().unwrap();
    cartridge.locate(ObjectNumber(490)).unwrap();
    let mut expected = objects[490..].to_vec();
    expected.push(Some(b"more".to_vec()));
    assert_eq!(read_all(&mut cartridge), expected);
}

#[test]
fn a_read_of_what_is_in_memory_need_not_wait() {
    let objects = objects(200);
    let (disk, mut cartridge) = written(&objects);
    assert!(cartridge.read_would_block());
    begin(&disk, &mut cartridge, None);
    for object in &objects[2..] {
        wait_until(|| !cartridge.read_would_block());
        assert_eq!(&read_one(&mut cartridge), object);
    }
    assert!(matches!(cartridge.read(), Ok(ReadOutcome::EndOfData)));
}

#[test]
fn any_change_of_the_position_is_followed() {
    let objects = objects(400);
    let (_disk, mut cartridge) = written(&objects);
    let mut at = 0;
    for step in 0..200_usize {
        for object in objects.iter().skip(at).take(step % 7) {
            assert_eq!(&read_one(&mut cartridge), object);
        }
        at = (at * 31 + step * 97) % 390;
        cartridge.locate(ObjectNumber(at as u64)).unwrap();
    }
}

#[test]
fn what_is_given_up_meanwhile_is_not_read() {
    let objects = objects(400);
    let (disk, mut cartridge) = written(&objects);
    begin(&disk, &mut cartridge, Some(Fault::forever(Call::Read, "journal", Reaction::Hang)));
    wait_until(|| disk.hanging() == 1);
    // The thread is in the middle of reading what follows, and that is overwritten now.
    let new: Vec<_> = (0..50).map(|n| Some(block(10_000 + n, BLOCK_BYTES))).collect();
    for object in &new {
        write_block(&mut cartridge, object.as_ref().unwrap());
    }
    cartridge.sync().unwrap();
    disk.release();
    cartridge.locate(ObjectNumber(2)).unwrap();
    // What the thread brings must never be taken; it gets the time to bring it.
    for _ in 0..20_000 {
        assert!(cartridge.read_would_block());
        std::thread::yield_now();
    }
    cartridge.rewind().unwrap();
    let mut expected = objects[..2].to_vec();
    expected.extend(new);
    assert_eq!(read_all(&mut cartridge), expected);
}

#[test]
fn what_was_read_ahead_is_forgotten_when_it_is_overwritten() {
    let objects = objects(100);
    let (disk, mut cartridge) = written(&objects);
    begin(&disk, &mut cartridge, None);
    wait_until(|| !cartridge.read_would_block());
    write_block(&mut cartridge, b"new");
    write_block(&mut cartridge, b"newer");
    cartridge.locate(ObjectNumber(2)).unwrap();
    let expected = [Some(b"new".to_vec()), Some(b"newer".to_vec())];
    assert_eq!(read_all(&mut cartridge), expected);
}

#[test]
fn damage_is_told_when_it_is_read_and_not_before() {
    let objects = objects(60);
    let (disk, cartridge) = created(1 << 40);
    drop(cartridge);
    let mut cartridge = load(&disk);
    for object in objects.iter().take(40) {
        write_block(&mut cartridge, object.as_ref().unwrap());
    }
    cartridge.unload().unwrap();
    let path = segments(&disk).remove(0);
    // In the data of the sixth and of the tenth block.
    let damaged = [5, 9];
    for number in damaged {
        flip(&disk, &path, number * 2560 + 700, 4);
    }
    let mut cartridge = load(&disk);
    for number in 0..40 {
        let position = cartridge.position().object;
        assert_eq!(position.0, number);
        match cartridge.read() {
            Ok(ReadOutcome::Block(data)) => {
                assert!(!damaged.contains(&number));
                assert_eq!(Some(data.to_vec()), objects[usize::try_from(number).unwrap()]);
            }
            Err(MediumError::Damaged { object }) => {
                assert!(damaged.contains(&number) && object == position);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_error_in_reading_ahead_is_not_kept() {
    const ENOMEM: i32 = 12;
    let objects = objects(200);
    let (disk, mut cartridge) = written(&objects);
    begin(&disk, &mut cartridge, Some(Fault::once(Call::Read, "journal", Reaction::Errno(ENOMEM))));
    // It met the thread; whoever reads never hears of it.
    assert_eq!(read_all(&mut cartridge), objects[2..]);

    cartridge.rewind().unwrap();
    let fault = Fault::forever(Call::Read, "journal", Reaction::Errno(ENOMEM));
    disk.inject(fault);
    let failed = loop {
        match cartridge.read() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, MediumError::Io(_)), "{failed}");
    // It is told again for as long as it is so, and not any longer.
    let at = usize::try_from(cartridge.position().object.0).unwrap();
    assert!(matches!(cartridge.read(), Err(MediumError::Io(_))));
    disk.release();
    assert_eq!(read_all(&mut cartridge), objects[at..]);
}

#[test]
fn a_cartridge_can_be_given_up_while_it_is_read() {
    let objects = objects(400);
    let (disk, mut cartridge) = written(&objects);
    begin(&disk, &mut cartridge, Some(Fault::once(Call::Read, "journal", Reaction::Hang)));
    wait_until(|| disk.hanging() == 1);
    let unloading = std::thread::spawn(move || cartridge.unload());
    disk.release();
    unloading.join().unwrap().unwrap();
    let mut cartridge = Cartridge::load(Arc::new(disk), &directory(), options()).unwrap();
    assert_eq!(read_all(&mut cartridge), objects);
}
