//! Partitions: what is on one is not on another, and whatever ends formatting or going back early, the cartridge is as it was
//! or as it is to be.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::disk::{Call, Fault, FaultDisk, Reaction};

pub(super) type Objects = Vec<Option<Vec<u8>>>;

const CAPACITY: u64 = 1 << 30;

/// Goes on by a second with each look at it, from the same time on with each load of a test.
fn clocked(now: &Arc<AtomicI64>) -> LoadOptions {
    let now = Arc::clone(now);
    let clock = move || Timestamp::from_second(now.fetch_add(1, Ordering::Relaxed)).unwrap();
    LoadOptions { clock: Arc::new(clock), ..options() }
}

struct Shelf {
    disk: MemoryDisk,
    now: Arc<AtomicI64>,
}

impl Shelf {
    fn new() -> Self {
        let disk = MemoryDisk::new();
        create(&disk, CAPACITY);
        Self { disk, now: Arc::new(AtomicI64::new(1_800_000_000)) }
    }

    fn load(&self) -> Volume {
        self.load_from(Arc::new(self.disk.clone()))
    }

    fn load_from(&self, disk: Arc<dyn Disk>) -> Volume {
        Volume::load(disk, &directory(), clocked(&self.now)).unwrap()
    }

    /// The time that comes next.
    fn time(&self) -> Timestamp {
        Timestamp::from_second(self.now.fetch_add(1, Ordering::Relaxed)).unwrap()
    }
}

pub(super) fn write(volume: &mut Volume, partition: u8, data: &[u8]) {
    assert!(volume.change_partition(partition).unwrap());
    volume.space_to_end_of_data().unwrap();
    write_block(volume, data);
    volume.sync().unwrap();
}

/// Sizes and objects of all partitions.
pub(super) fn state(volume: &mut Volume) -> Vec<(u64, Objects)> {
    let sizes = volume.partition_sizes();
    let mut found = Vec::new();
    for (partition, size) in (0..).zip(sizes) {
        assert!(volume.change_partition(partition).unwrap());
        volume.rewind().unwrap();
        found.push((size, read_all(volume)));
    }
    volume.rewind_to_first().unwrap();
    found
}

fn blank(sizes: &[u64]) -> Vec<(u64, Objects)> {
    sizes.iter().map(|size| (*size, Objects::new())).collect()
}

/// One that was divided in three, with a block on each, and then in two, with a block on each.
fn divided_twice(shelf: &Shelf) -> Volume {
    let mut volume = shelf.load();
    write(&mut volume, 0, b"whole");
    volume.format(&[100_000, 200_000, 300_000]).unwrap();
    for partition in 0..3 {
        write(&mut volume, partition, &[b'a' + partition; 1000]);
    }
    volume.format(&[400_000, 500_000]).unwrap();
    for partition in 0..2 {
        write(&mut volume, partition, &[b'x' + partition; 1000]);
    }
    volume
}

#[test]
fn formatting_is_undone_with_what_was_on_every_partition() {
    let shelf = Shelf::new();
    let mut volume = shelf.load();
    let mut moments = vec![(shelf.time(), state(&mut volume))];
    let mut note = |volume: &mut Volume| moments.push((shelf.time(), state(volume)));
    write(&mut volume, 0, b"whole");
    note(&mut volume);
    volume.format(&[100_000, 200_000, 300_000]).unwrap();
    note(&mut volume);
    for partition in [2, 0, 1, 2] {
        write(&mut volume, partition, &[b'a' + partition; 1000]);
        note(&mut volume);
    }
    volume.format(&[400_000, 500_000]).unwrap();
    note(&mut volume);
    write(&mut volume, 1, b"other");
    note(&mut volume);
    volume.change_partition(1).unwrap();
    volume.rewind().unwrap();
    write_block(&mut volume, b"overwritten");
    volume.sync().unwrap();
    note(&mut volume);
    volume.format(&[CAPACITY]).unwrap();
    note(&mut volume);
    volume.unload().unwrap();
    // To each moment, in an order that goes back and forth, and each time through an unload.
    for turn in 0..moments.len() * 3 {
        let (time, wanted) = &moments[turn * 7 % moments.len()];
        let mut volume = shelf.load();
        let point = volume.find_point(WantedPoint::Time(*time)).unwrap();
        volume.revert_to(point.as_ref(), *time).unwrap();
        assert_eq!(&state(&mut volume), wanted, "turn {turn}");
        volume.unload().unwrap();
        let mut volume = shelf.load();
        assert_eq!(&state(&mut volume), wanted, "turn {turn}, loaded again");
        assert!(volume.verifier(None).so_far().is_good());
        let facts = volume.unload().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(shelf.disk.clone());
        assert_eq!(Volume::inspect(&disk, &directory()).unwrap(), facts);
    }
}

/// What is done to a cartridge, and what it was before and is to be afterwards.
struct Step {
    name: &'static str,
    work: fn(&mut Volume, Timestamp) -> Result<(), MediumError>,
    after: Vec<(u64, Objects)>,
}

fn format_in_four(volume: &mut Volume, _: Timestamp) -> Result<(), MediumError> {
    volume.format(&[1_000, 2_000, 3_000, 4_000])
}

fn format_in_one(volume: &mut Volume, _: Timestamp) -> Result<(), MediumError> {
    volume.format(&[CAPACITY])
}

fn go_back(volume: &mut Volume, time: Timestamp) -> Result<(), MediumError> {
    let point = volume.find_point(WantedPoint::Time(time))?;
    volume.revert_to(point.as_ref(), time)
}

/// Lets each call fail that a step makes, and all that come behind it, and then the power.
fn fail_each_call(step: &Step, prepared: &MemoryDisk, (now, time): (i64, Timestamp)) {
    let shelf = |disk| Shelf { disk, now: Arc::new(AtomicI64::new(now)) };
    let before = state(&mut shelf(prepared.snapshot()).load());
    let (mut number, mut was_done) = (0, 0);
    loop {
        let shelf = shelf(prepared.snapshot());
        let disk = FaultDisk::over(shelf.disk.clone());
        let mut volume = shelf.load_from(Arc::new(disk.clone()));
        disk.trace();
        let fault = Fault::forever(Call::Write, "", Reaction::Errno(5)).after(number);
        disk.inject(Fault { call: None, ..fault });
        let done = (step.work)(&mut volume, time);
        let has_failed = !disk.failed_sites().is_empty();
        drop(volume);
        disk.release();
        shelf.disk.power_cut();
        // Whoever only reads sees the same as whoever puts it in order.
        let options = LoadOptions { read_only: true, ..clocked(&shelf.now) };
        let reader = Arc::new(shelf.disk.clone());
        let seen = state(&mut Volume::load(reader, &directory(), options).unwrap());
        let mut volume = shelf.load();
        let found = state(&mut volume);
        assert_eq!(seen, found, "{}, call {number}", step.name);
        let is_after = found == step.after;
        assert!(is_after || (found == before && done.is_err()), "{}, call {number}", step.name);
        was_done += u64::from(is_after);
        // It can be worked with, whichever it is.
        volume.format(&[7_000, 8_000]).unwrap();
        assert_eq!(state(&mut volume), blank(&[7_000, 8_000]));
        write(&mut volume, 1, b"new");
        volume.unload().unwrap();
        assert_eq!(state(&mut shelf.load())[1].1, [Some(b"new".to_vec())]);
        if !has_failed {
            break;
        }
        number += 1;
    }
    assert!(number > 10 && was_done > 1, "{}: {number} calls, done {was_done} times", step.name);
}

#[test]
fn formatting_and_going_back_are_done_or_not_done_whatever_fails() {
    let shelf = Shelf::new();
    let mut volume = shelf.load();
    write(&mut volume, 0, b"whole");
    let (whole, then) = (state(&mut volume), shelf.time());
    volume.unload().unwrap();
    divided_twice_on(&shelf).unload().unwrap();
    let steps = [
        Step {
            name: "four partitions",
            work: format_in_four,
            after: blank(&[1_000, 2_000, 3_000, 4_000]),
        },
        Step { name: "one partition", work: format_in_one, after: blank(&[CAPACITY]) },
        Step { name: "back", work: go_back, after: whole },
    ];
    for step in &steps {
        fail_each_call(step, &shelf.disk, (shelf.now.load(Ordering::Relaxed), then));
    }
}

fn divided_twice_on(shelf: &Shelf) -> Volume {
    let mut volume = shelf.load();
    volume.format(&[CAPACITY / 2]).unwrap();
    volume.unload().unwrap();
    divided_twice(shelf)
}

#[test]
fn a_partition_that_was_cut_short_while_it_was_made_is_made_anew() {
    let shelf = Shelf::new();
    let left = directory().join("partition-1");
    shelf.disk.create_dir(&left).unwrap();
    shelf.disk.create_dir(&left.join(life::JOURNAL)).unwrap();
    let file = shelf.disk.open(&left.join("label.a"), crate::disk::OpenMode::Create).unwrap();
    crate::disk::write_all_at(file.as_ref(), b"half of a label", 0).unwrap();
    let mut volume = shelf.load();
    volume.format(&[1_000, 2_000]).unwrap();
    assert_eq!(state(&mut volume), blank(&[1_000, 2_000]));
}

#[test]
fn every_partition_is_read_back() {
    let shelf = Shelf::new();
    divided_twice(&shelf).unload().unwrap();
    let verify = |shelf: &Shelf| {
        let mut verifier = shelf.load().verifier(None);
        let total = verifier.total_bytes();
        while verifier.step(1 << 20).unwrap() {}
        assert!(verifier.done_bytes() >= total && total > 0);
        verifier.finish()
    };
    let verified = verify(&shelf);
    assert!(verified.is_good(), "{verified:?}");
    assert_eq!(verified.partitions.len(), 1);
    assert!(verified.bytes > verified.partitions[0].bytes);
    // The data of the block that is live in partition 1, which is the last one with those bytes.
    let journal = directory().join("partition-1").join(life::JOURNAL);
    for name in shelf.disk.list(&journal).unwrap() {
        let path = journal.join(name);
        let bytes = contents(&shelf.disk, &path);
        if let Some(at) = bytes.windows(1000).position(|window| *window == [b'y'; 1000]) {
            flip(&shelf.disk, &path, at as u64, 1);
        }
    }
    let verified = verify(&shelf);
    assert_eq!((verified.is_good(), verified.damaged_objects()), (false, 1));
    assert_eq!(verified.partitions[0].damaged, [(0, 0)]);
}

#[test]
fn history_names_the_partition_and_pruning_gives_up_what_lies_before() {
    let shelf = Shelf::new();
    let mut volume = divided_twice(&shelf);
    let points = volume.recovery_points(100).unwrap();
    assert!(points.is_sorted_by_key(|point| point.time));
    assert!(points.iter().any(|point| point.partition == 1 && point.objects == 1));
    assert_eq!(volume.recovery_points(2).unwrap(), points[points.len() - 2..]);
    let generations: Vec<_> =
        volume.generations().unwrap().into_iter().map(|begun| begun.reason).collect();
    assert_eq!(generations, ["formatted", "formatted"]);
    let now = state(&mut volume);
    let time = shelf.time();
    volume.prune(time, &[]).unwrap();
    assert_eq!(state(&mut volume), now);
    let last = volume.last_point().unwrap().unwrap();
    assert_eq!(volume.moment_at(&last, time).unwrap().parts.len(), 2);
    let first = volume.find_point(WantedPoint::Sequence(points[0].sequence)).unwrap();
    assert!(first.is_none_or(|first| volume.moment_at(&first, first.time).is_ok()));
    volume.unload().unwrap();
    assert_eq!(state(&mut shelf.load()), now);
}

#[test]
fn sizes_have_to_fit_and_worm_stays_whole() {
    let shelf = Shelf::new();
    let mut volume = shelf.load();
    for sizes in [&[][..], &[CAPACITY + 1], &[CAPACITY, 1], &[1; 5], &[u64::MAX, u64::MAX]] {
        assert!(matches!(volume.format(sizes), Err(MediumError::DoesNotFit)));
    }
    assert_eq!(volume.initialization_count(), 1);
    assert!(!volume.change_partition(1).unwrap());
    volume.label.worm = true;
    assert!(matches!(volume.format(&[1]), Err(MediumError::Worm)));
}
