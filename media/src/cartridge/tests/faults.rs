//! A disk that fails while a cartridge is in use.

use super::*;
use crate::disk::{Call, Fault, FaultDisk, Reaction};

const EIO: i32 = 5;

fn faulty() -> (MemoryDisk, FaultDisk, Cartridge) {
    let (memory, cartridge) = created(1 << 40);
    drop(cartridge);
    let disk = FaultDisk::new(Arc::new(memory.clone()));
    let cartridge = Cartridge::load(Arc::new(disk.clone()), &directory(), options()).unwrap();
    (memory, disk, compressing(cartridge))
}

fn expected(count: u64) -> Vec<Option<Vec<u8>>> {
    (0..count).map(|n| Some(mixed(n, 20_000))).collect()
}

/// Three blocks that are promised and two that are not.
fn with_blocks(cartridge: &mut Cartridge) {
    (0..3)
        .for_each(|n| assert_eq!(write_block(cartridge, &mixed(n, 20_000)), WriteOutcome::Written));
    cartridge.sync().unwrap();
    (3..5)
        .for_each(|n| assert_eq!(write_block(cartridge, &mixed(n, 20_000)), WriteOutcome::Written));
}

#[test]
fn a_failed_sync_fences_until_the_next_load() {
    let (memory, disk, mut cartridge) = faulty();
    with_blocks(&mut cartridge);
    disk.inject(Fault::once(Call::SyncData, ".seg", Reaction::Errno(EIO)));
    let failed = cartridge.write_filemarks(1).and_then(|_| cartridge.sync());
    let Err(MediumError::WriteFailed { objects_not_written, bytes_not_written, source }) = failed
    else {
        panic!("{failed:?}");
    };
    assert_eq!(
        (objects_not_written, bytes_not_written, source.raw_os_error()),
        (3, 40_000, Some(EIO))
    );
    // The same descriptor would say that all is well now; it must not be asked.
    let syncs = disk.count(Call::SyncData);
    assert!(matches!(cartridge.write(Box::new(vec![1]), 1, 1), Err(MediumError::Fenced)));
    assert!(matches!(cartridge.write_filemarks(1), Err(MediumError::Fenced)));
    assert!(matches!(cartridge.erase(), Err(MediumError::Fenced)));
    assert!(cartridge.take_deferred().is_none() && cartridge.is_read_only());
    assert_eq!(disk.count(Call::SyncData), syncs);
    // What was promised can still be read, and the end is not passed off as the end of the data.
    cartridge.rewind().unwrap();
    for n in 0..3 {
        assert_eq!(cartridge.read().unwrap(), ReadOutcome::Block(mixed(n, 20_000).into()));
    }
    assert!(matches!(cartridge.space_to_end_of_data(), Err(MediumError::EndOfDataMissing { .. })));
    assert!(matches!(cartridge.read(), Err(MediumError::EndOfDataMissing { .. })));
    assert!(cartridge.unload().is_err());
    memory.power_cut();
    let mut cartridge = load(&memory);
    assert_eq!(read_all(&mut cartridge), expected(3));
    assert_eq!(write_block(&mut cartridge, &mixed(3, 20_000)), WriteOutcome::Written);
    cartridge.unload().unwrap();
}

#[test]
fn a_write_that_fails_once_is_done_elsewhere() {
    // The first two of these meet the write in a different state: nothing written, and half of it.
    for reaction in [Some(Reaction::Short(1536)), None] {
        let (memory, disk, mut cartridge) = faulty();
        with_blocks(&mut cartridge);
        if let Some(reaction) = reaction {
            disk.inject(Fault::once(Call::Write, ".seg", reaction));
        }
        disk.inject(Fault::once(Call::Write, ".seg", Reaction::Errno(EIO)));
        cartridge.sync().unwrap();
        write_block(&mut cartridge, &mixed(5, 20_000));
        cartridge.rewind().unwrap();
        assert_eq!(read_all(&mut cartridge), expected(6));
        memory.power_cut();
        let mut after = load(&memory.snapshot());
        assert_eq!(read_all(&mut after), expected(6), "{reaction:?}");
        after.unload().unwrap();
        cartridge.unload().unwrap();
        assert_eq!(read_all(&mut load(&memory)), expected(6), "{reaction:?}");
    }
}

#[test]
fn half_written_records_do_not_come_twice() {
    // Many small records in one write of which the first part reaches the disk before the error.
    for written in [512, 1024, 5 * 512, 5 * 512 + 100] {
        let (memory, disk, mut cartridge) = faulty();
        (0..20).for_each(|n| {
            assert_eq!(write_block(&mut cartridge, &mixed(n, 300)), WriteOutcome::Written);
        });
        disk.inject(Fault::once(Call::Write, ".seg", Reaction::Short(written)));
        disk.inject(Fault::once(Call::Write, ".seg", Reaction::Errno(EIO)));
        cartridge.sync().unwrap();
        let all: Vec<_> = (0..20).map(|n| Some(mixed(n, 300))).collect();
        assert_eq!(read_all(&mut load(&memory.after_power_cut())), all, "{written}");
        cartridge.rewind().unwrap();
        assert_eq!(read_all(&mut cartridge), all, "{written}");
    }
}

#[test]
fn a_write_that_fails_for_good_is_told_once_and_fences() {
    let (memory, disk, mut cartridge) = faulty();
    with_blocks(&mut cartridge);
    disk.inject(Fault::forever(Call::Write, ".seg", Reaction::Errno(EIO)));
    // More than the buffer holds, so that it fails behind the writer's back.
    let told = (5..40).find_map(|n| cartridge.write(Box::new(mixed(n, 20_000)), 20_000, 1).err());
    let Some(MediumError::WriteFailed { objects_not_written, .. }) = told else {
        panic!("{told:?}")
    };
    assert!(objects_not_written >= 2);
    assert!(cartridge.take_deferred().is_none(), "it has been told");
    assert!(matches!(cartridge.write_filemarks(1), Err(MediumError::Fenced)));
    disk.release();
    drop(cartridge);
    assert_eq!(read_all(&mut load(&memory.after_power_cut())), expected(3));
}

#[test]
fn a_failure_behind_the_back_is_deferred() {
    let (_memory, disk, mut cartridge) = faulty();
    with_blocks(&mut cartridge);
    disk.inject(Fault::forever(Call::Write, ".seg", Reaction::Errno(EIO)));
    while cartridge.writer.as_ref().unwrap().queue.state().failure.is_none() {
        // Fill the buffer until the thread has to write.
        let queue = &cartridge.writer.as_ref().unwrap().queue;
        queue.nudge();
        std::thread::yield_now();
    }
    let deferred = cartridge.take_deferred();
    assert!(
        matches!(deferred, Some(MediumError::WriteFailed { objects_not_written: 2, .. })),
        "{deferred:?}"
    );
    assert!(cartridge.take_deferred().is_none());
}

#[test]
fn every_failing_call_ends_in_an_error_or_in_nothing_lost() {
    const ENOSPC: i32 = 28;
    const EROFS: i32 = 30;
    const EINTR: i32 = 4;
    for errno in [EIO, ENOSPC, EROFS, EINTR] {
        for hit_count in [1, u64::MAX] {
            let sites = fail_every_call(&Fault {
                call: None,
                hit_count,
                ..Fault::once(Call::Open, "", Reaction::Errno(errno))
            });
            assert!(sites > 90, "{sites} sites for error {errno}");
        }
    }
}

/// Lets each call of a session fail in turn, and says how many there are.
fn fail_every_call(fault: &Fault) -> u64 {
    let (template, cartridge) = created(1 << 40);
    cartridge.unload().unwrap();
    for at in 0_u64.. {
        let memory = template.snapshot();
        let disk = FaultDisk::new(Arc::new(memory.clone()));
        disk.inject(fault.clone().after(at));
        let mut promised = 0;
        let finished = exercise(&disk, &mut promised);
        let is_hit = disk.count_all() > at;
        disk.release();
        let case = format!("call {at}, {fault:?}, {finished:?}");
        // Both after a power cut and without one, nothing that was promised may be missing, and nothing may be wrong.
        for disk in [memory.after_power_cut(), memory] {
            let mut after = load(&disk);
            let found = read_all(&mut after);
            assert!(found.len() as u64 >= promised, "{case}: {} of {promised}", found.len());
            assert!(
                found.iter().zip(0..).all(|(object, n)| *object == Some(mixed(n, 9_000))),
                "{case}"
            );
            assert_eq!(write_block(&mut after, b"goes on"), WriteOutcome::Written, "{case}");
            after.unload().unwrap();
        }
        if !is_hit {
            assert!(finished.is_ok() && promised == 40, "{case}");
            return at;
        }
    }
    0
}

/// A session with sync points, several segments, and an unload; `promised` counts what was acknowledged.
fn exercise(disk: &FaultDisk, promised: &mut u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut cartridge = Cartridge::load(Arc::new(disk.clone()), &directory(), options())?;
    for n in 0..40 {
        let outcome = cartridge.write(Box::new(mixed(n, 9_000)), 9_000, 1)?;
        if matches!(outcome, WriteOutcome::EndOfPartition { .. }) {
            return Err("the disk is full".into());
        }
        if n % 7 == 6 {
            cartridge.sync()?;
            *promised = n + 1;
        }
    }
    cartridge.unload()?;
    *promised = 40;
    Ok(())
}
