//! Twins and moments of divided cartridges: all partitions as they were, whatever becomes of the one that they were made from.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use uuid::Uuid;

use super::partitions::{state, write};
use super::*;
use crate::label::{Moment, Origin};
use crate::layout::uuid_of;

/// What is on each partition.
type State = Vec<(u64, Vec<Option<Vec<u8>>>)>;

const CAPACITY: u64 = 1 << 30;

struct Shelf {
    disk: MemoryDisk,
    now: Arc<AtomicI64>,
}

fn home(uuid: Uuid) -> PathBuf {
    PathBuf::from("/store").join(uuid.to_string())
}

fn numbered(number: u128) -> Uuid {
    Uuid::from_u128(0x5eed_0000_0000_4000_8000_0000_0000_0000 + number)
}

impl Shelf {
    fn new() -> Self {
        let shelf = Self { disk: MemoryDisk::new(), now: Arc::new(AtomicI64::new(1_800_000_000)) };
        shelf.disk.create_dir(Path::new("/store")).unwrap();
        shelf.make(1, None, false);
        shelf
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }

    fn options(&self) -> LoadOptions {
        let now = Arc::clone(&self.now);
        let clock = move || Timestamp::from_second(now.fetch_add(1, Ordering::Relaxed)).unwrap();
        LoadOptions { clock: Arc::new(clock), ..options() }
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_second(self.now.fetch_add(1, Ordering::Relaxed)).unwrap()
    }

    fn make(&self, number: u128, moment: Option<&Moment>, read_only: bool) {
        let spec = CartridgeSpec {
            uuid: numbered(number),
            origin: moment.map(|moment| moment.origin),
            parts: moment.map(|moment| moment.parts.clone()).unwrap_or_default(),
            facts: moment.map(Moment::facts).unwrap_or_default(),
            read_only,
            ..spec(CAPACITY)
        };
        Volume::create(&self.disk(), &home(spec.uuid), &spec, self.time()).unwrap();
    }

    fn load(&self, number: u128) -> Volume {
        Volume::load(self.disk(), &home(numbered(number)), self.options()).unwrap()
    }

    fn at(&self, moment: &Moment) -> State {
        let options = self.options().at_moment(moment.clone());
        let directory = home(moment.origin.cartridge);
        let mut volume = Volume::load(self.disk(), &directory, options).unwrap();
        assert!(volume.writer.is_none());
        let verified = volume.verifier(None);
        assert!(verified.so_far().is_good());
        state(&mut volume)
    }
}

/// The moment of a time, with what was there.
fn moment(volume: &Volume, time: Timestamp) -> Option<Moment> {
    let point = volume.find_point(WantedPoint::Time(time)).unwrap()?;
    Some(volume.moment_at(&point, time).unwrap())
}

/// A history with several layouts; each moment with its time and what was there.
fn history(shelf: &Shelf) -> Vec<(Timestamp, State)> {
    let mut moments = Vec::new();
    let mut volume = shelf.load(1);
    let mut note = |volume: &mut Volume| moments.push((shelf.time(), state(volume)));
    write(&mut volume, 0, b"whole");
    note(&mut volume);
    volume.format(&[200_000, 300_000, 400_000]).unwrap();
    note(&mut volume);
    for (seed, partition) in [(1, 2), (2, 0), (3, 1), (10, 1), (11, 1), (4, 2)] {
        write(&mut volume, partition, &block(seed, 70_000));
        note(&mut volume);
    }
    volume.change_partition(2).unwrap();
    volume.rewind().unwrap();
    write_block(&mut volume, &block(5, 70_000));
    volume.sync().unwrap();
    note(&mut volume);
    volume.format(&[500_000, 600_000]).unwrap();
    for seed in 6..9 {
        write(&mut volume, 1, &block(seed, 70_000));
    }
    note(&mut volume);
    volume.unload().unwrap();
    moments
}

#[test]
fn every_moment_of_a_divided_cartridge_makes_a_twin_and_can_be_shown() {
    let shelf = Shelf::new();
    let moments = history(&shelf);
    for (number, (time, wanted)) in (2..).zip(&moments) {
        let original = shelf.load(1);
        let moment = moment(&original, *time).unwrap();
        assert_eq!(shelf.at(&moment), *wanted, "shown, {number}");
        // While the original is loaded.
        shelf.make(number, Some(&moment), number % 2 == 0);
        let inspected = Volume::inspect(&shelf.disk(), &home(numbered(number))).unwrap();
        let mut twin = shelf.load(number);
        assert_eq!(state(&mut twin), *wanted, "twin {number}");
        let facts = twin.facts();
        assert_eq!(facts.written_bytes, moment.facts().written_bytes);
        assert_eq!(inspected.written_bytes, facts.written_bytes, "never loaded");
        assert_eq!(inspected.block_count, facts.block_count);
        twin.unload().unwrap();
        original.unload().unwrap();
    }
    // Clones go their own way, and twins of those theirs.
    let (_, wanted) = &moments[7];
    let mut clone = shelf.load(9);
    assert_eq!(state(&mut clone), *wanted);
    write(&mut clone, 2, b"of the clone");
    let mut with_more = wanted.clone();
    with_more[2].1.push(Some(b"of the clone".to_vec()));
    assert_eq!(state(&mut clone), with_more);
    let last = clone.last_moment().unwrap().unwrap();
    // Partition 0 is still as on the original, partition 2 is the clone's own.
    assert_eq!(last.origin.cartridge, numbered(1));
    assert_eq!(last.parts[1].origin.cartridge, uuid_of(numbered(1), 1));
    assert_eq!(last.parts[2].origin.cartridge, uuid_of(numbered(9), 2));
    assert_eq!(shelf.at(&last), with_more);
    shelf.make(20, Some(&last), true);
    clone.format(&[1000, 2000]).unwrap();
    write(&mut clone, 1, b"new");
    clone.unload().unwrap();
    assert_eq!(state(&mut shelf.load(20)), with_more);
    assert_eq!(shelf.load(9).partition_sizes(), [1000, 2000]);
    // The original has seen nothing of it.
    assert_eq!(state(&mut shelf.load(1)), moments.last().unwrap().1);
}

#[test]
fn what_twins_rest_on_is_not_pruned_from_any_partition() {
    let shelf = Shelf::new();
    let moments = history(&shelf);
    let original = shelf.load(1);
    let kept: Vec<Moment> =
        moments.iter().filter_map(|(time, _)| moment(&original, *time)).collect();
    original.unload().unwrap();
    assert_eq!(kept.len(), moments.len());
    let origins = |moment: &Moment| -> Vec<Origin> {
        std::iter::once(moment.origin)
            .chain(moment.parts.iter().skip(1).map(|part| part.origin))
            .filter(|origin| origin.sequence > 0)
            .collect()
    };
    let all: Vec<Origin> = kept.iter().flat_map(origins).collect();
    let mut volume = shelf.load(1);
    volume.prune(Timestamp::MAX, &all).unwrap();
    volume.unload().unwrap();
    for (moment, (_, wanted)) in kept.iter().zip(&moments) {
        assert_eq!(shelf.at(moment), *wanted);
    }
    // Only one is needed any more: something goes, and that one stays.
    let (needed, (_, wanted)) = (&kept[3], &moments[3]);
    let mut volume = shelf.load(1);
    let pruned = volume.prune(Timestamp::MAX, &origins(needed)).unwrap();
    volume.unload().unwrap();
    assert!(pruned.segments > 0, "{pruned:?}");
    assert_eq!(shelf.at(needed), *wanted);
    assert_eq!(state(&mut shelf.load(1)), moments.last().unwrap().1);
}
