//! Going back, twins and pruning: whatever is done to a cartridge, all that was promised to stay can be read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::label::Origin;

type Objects = Vec<Option<Vec<u8>>>;

const FIRST: Uuid = Uuid::from_u128(0x00c0_ffee);

fn home(uuid: Uuid) -> PathBuf {
    PathBuf::from(format!("/{uuid}"))
}

/// Cartridges on one disk, and a clock that goes on by a second with each look at it.
struct Shelf {
    disk: MemoryDisk,
    now: Arc<AtomicI64>,
}

impl Shelf {
    fn new() -> Self {
        let shelf = Self { disk: MemoryDisk::new(), now: Arc::new(AtomicI64::new(1_800_000_000)) };
        let disk: Arc<dyn Disk> = Arc::new(shelf.disk.clone());
        Cartridge::create(&disk, &home(FIRST), &spec(1 << 40), Timestamp::UNIX_EPOCH).unwrap();
        shelf
    }

    fn options(&self) -> LoadOptions {
        let now = Arc::clone(&self.now);
        let clock = move || Timestamp::from_second(now.fetch_add(1, Ordering::Relaxed)).unwrap();
        LoadOptions { clock: Arc::new(clock), ..options() }
    }

    fn load(&self, uuid: Uuid) -> Cartridge {
        Cartridge::load(Arc::new(self.disk.clone()), &home(uuid), self.options()).unwrap()
    }

    /// The objects that there were at a moment.
    fn objects_at(&self, origin: Origin) -> Objects {
        let options = LoadOptions { at: Some(origin), ..self.options() };
        let disk = Arc::new(self.disk.clone());
        let mut cartridge = Cartridge::load(disk, &home(origin.cartridge), options).unwrap();
        assert!(cartridge.is_read_only());
        read_all(&mut cartridge)
    }

    fn twin(&self, uuid: Uuid, origin: Origin, read_only: bool) {
        let barcode = Barcode::new("TWIN01L9").unwrap();
        let spec = CartridgeSpec {
            origin: Some(origin),
            read_only,
            ..CartridgeSpec::new(uuid, barcode, "lto9", 1 << 40)
        };
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        Cartridge::create(&disk, &home(uuid), &spec, Timestamp::UNIX_EPOCH).unwrap();
    }
}

fn write_tape(cartridge: &mut Cartridge, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        write_block(cartridge, &block(seed, 5000));
    }
    cartridge.write_filemarks(1).unwrap();
    cartridge.sync().unwrap();
}

fn read_from_start(cartridge: &mut Cartridge) -> Objects {
    cartridge.rewind().unwrap();
    read_all(cartridge)
}

#[test]
fn an_overwritten_tape_comes_back_and_going_back_can_be_taken_back() {
    let shelf = Shelf::new();
    let mut cartridge = shelf.load(FIRST);
    write_tape(&mut cartridge, 0..30);
    let good = read_from_start(&mut cartridge);
    let before = cartridge.last_point().unwrap().unwrap();
    assert!(before.is_sync && before.is_current);
    cartridge.rewind().unwrap();
    write_tape(&mut cartridge, 100..103);
    let bad = read_from_start(&mut cartridge);
    let after = cartridge.last_point().unwrap().unwrap();
    cartridge.unload().unwrap();

    let mut cartridge = shelf.load(FIRST);
    cartridge.revert_to(&before).unwrap();
    assert_eq!(read_all(&mut cartridge), good);
    assert_eq!(cartridge.facts().block_count, 30);
    cartridge.unload().unwrap();

    let mut cartridge = shelf.load(FIRST);
    assert_eq!(read_all(&mut cartridge), good);
    write_tape(&mut cartridge, 200..205);
    assert_eq!(read_from_start(&mut cartridge).len(), good.len() + 6);
    cartridge.revert_to(&after).unwrap();
    assert_eq!(read_all(&mut cartridge), bad);
    let reasons: Vec<_> =
        cartridge.generations().unwrap().into_iter().map(|generation| generation.reason).collect();
    assert_eq!(reasons, ["overwritten", "rewound", "rewound"]);
    drop(cartridge);
    // The same after a crash, from the records alone.
    shelf.disk.power_cut();
    assert_eq!(read_all(&mut shelf.load(FIRST)), bad);
}

#[test]
fn points_tell_who_wrote_when_and_how_much() {
    let shelf = Shelf::new();
    let mut cartridge = shelf.load(FIRST);
    cartridge.set_writer("iqn.2026-01.org.example:backup");
    write_tape(&mut cartridge, 0..2);
    write_block(&mut cartridge, &block(9, 700));
    cartridge.write_filemarks(2).unwrap();
    write_block(&mut cartridge, &block(9, 700));
    cartridge.sync().unwrap();
    let points = cartridge.recovery_points(10).unwrap();
    let seen: Vec<_> =
        points.iter().map(|p| (p.objects, p.filemarks, p.written_bytes, p.is_sync)).collect();
    assert_eq!(seen, [(3, 1, 10_000, true), (6, 3, 10_700, false), (7, 3, 11_400, true)]);
    assert_eq!(points[0].initiator.as_deref(), Some("iqn.2026-01.org.example:backup"));
    assert!(points.windows(2).all(|pair| pair[0].time < pair[1].time));
    assert_eq!(points.iter().filter(|point| point.is_current).count(), 1);
    let at = |wanted| cartridge_point(&mut shelf_reload(&shelf), wanted);
    drop(cartridge);
    let time = points[1].time;
    assert_eq!(at(WantedPoint::Time(time)).map(|p| p.objects), Some(6));
    assert_eq!(at(WantedPoint::Sequence(points[0].sequence)).map(|p| p.objects), Some(3));
    assert_eq!(at(WantedPoint::Sequence(1)), None);
    assert_eq!(at(WantedPoint::Time(Timestamp::UNIX_EPOCH)), None);
}

fn shelf_reload(shelf: &Shelf) -> Cartridge {
    shelf.load(FIRST)
}

fn cartridge_point(cartridge: &mut Cartridge, wanted: WantedPoint) -> Option<RecoveryPoint> {
    cartridge.find_point(wanted).unwrap()
}

#[test]
fn a_twin_stays_what_it_was_while_the_original_goes_on() {
    let shelf = Shelf::new();
    let mut cartridge = shelf.load(FIRST);
    write_tape(&mut cartridge, 0..40);
    let good = read_from_start(&mut cartridge);
    let point = cartridge.last_point().unwrap().unwrap();
    let origin = cartridge.origin_at(&point).unwrap();
    let (twin, clone) = (Uuid::from_u128(1), Uuid::from_u128(2));
    // While the original is loaded and written.
    shelf.twin(twin, origin, true);
    shelf.twin(clone, origin, false);
    cartridge.rewind().unwrap();
    write_tape(&mut cartridge, 100..140);
    assert_eq!(read_all(&mut shelf.load(twin)), good);
    assert!(matches!(shelf.load(twin).write_filemarks(1), Err(MediumError::ReadOnly)));
    let mut other = shelf.load(clone);
    other.space_to_end_of_data().unwrap();
    write_tape(&mut other, 200..240);
    let longer = read_from_start(&mut other);
    assert_eq!(longer.len(), good.len() + 41);
    let second_point = other.last_point().unwrap().unwrap();
    let second = other.origin_at(&second_point).unwrap();
    assert_eq!(second.cartridge, clone);
    other.rewind().unwrap();
    write_tape(&mut other, 300..301);
    other.unload().unwrap();
    cartridge.unload().unwrap();
    // A twin of the clone rests on both.
    shelf.twin(Uuid::from_u128(3), second, true);
    assert_eq!(read_all(&mut shelf.load(Uuid::from_u128(3))), longer);
    assert_eq!(read_all(&mut shelf.load(clone)).len(), 2);
    let mut other = shelf.load(clone);
    let points = other.recovery_points(100).unwrap();
    let first = points.first().unwrap();
    assert_eq!((first.sequence, first.objects), (origin.sequence, origin.objects));
    other.revert_to(first).unwrap();
    assert_eq!(read_all(&mut other), good);
}

#[test]
fn pruning_keeps_the_window_and_what_others_rest_on() {
    let shelf = Shelf::new();
    let mut moments = Vec::new();
    for round in 0..6 {
        let mut cartridge = shelf.load(FIRST);
        write_tape(&mut cartridge, round * 100..round * 100 + 40);
        let point = cartridge.last_point().unwrap().unwrap();
        moments.push((point.clone(), cartridge.origin_at(&point).unwrap()));
        cartridge.unload().unwrap();
    }
    let objects: Vec<Objects> = moments.iter().map(|(_, o)| shelf.objects_at(*o)).collect();
    let mut cartridge = shelf.load(FIRST);
    let before = cartridge.facts();
    assert!(before.undo_bytes > before.journal_bytes / 2, "{before:?}");
    // Back to the fourth at most; and somebody rests on the second.
    let kept = [moments[1].1];
    let pruned = cartridge.prune(moments[3].0.time, &kept).unwrap();
    assert!(pruned.segments >= 4 && pruned.bytes > 300_000, "{pruned:?}");
    assert!(cartridge.facts().journal_bytes <= before.journal_bytes - pruned.bytes);
    assert_eq!(cartridge.prune(moments[3].0.time, &kept).unwrap(), Pruned::default());
    let points = cartridge.recovery_points(100).unwrap();
    assert_eq!(points.first().unwrap().sequence, moments[3].0.sequence);
    cartridge.unload().unwrap();
    for at in [1, 3, 4, 5] {
        assert_eq!(shelf.objects_at(moments[at].1), objects[at], "{at}");
    }
    let mut cartridge = shelf.load(FIRST);
    assert_eq!(read_all(&mut cartridge), objects[5]);
    assert!(cartridge.missing_segments.is_empty());
    cartridge.revert_to(&moments[3].0).unwrap();
    assert_eq!(read_all(&mut cartridge), objects[3]);
    let oldest = cartridge.oldest_undo(&kept).unwrap().unwrap();
    assert!(cartridge.prune(oldest, &kept).unwrap().bytes > 0);
    assert_eq!(read_from_start(&mut cartridge), objects[3]);
}

#[test]
fn a_held_cartridge_keeps_everything() {
    let shelf = Shelf::new();
    for round in 0..3 {
        let mut cartridge = shelf.load(FIRST);
        write_tape(&mut cartridge, round * 100..round * 100 + 40);
        cartridge.unload().unwrap();
    }
    let mut cartridge = shelf.load(FIRST);
    let never = Timestamp::MAX;
    cartridge.label.hold = Some("case 7".to_owned());
    assert_eq!(cartridge.prune(never, &[]).unwrap(), Pruned::default());
    cartridge.label.hold = None;
    cartridge.label.retained_until = Some(Timestamp::from_second(1_900_000_000).unwrap());
    assert_eq!(cartridge.oldest_undo(&[]).unwrap(), None);
    assert_eq!(cartridge.prune(never, &[]).unwrap(), Pruned::default());
    cartridge.label.retained_until = Some(Timestamp::UNIX_EPOCH);
    assert!(cartridge.prune(never, &[]).unwrap().bytes > 0);
}

#[test]
fn a_power_cut_at_any_step_of_going_back_or_pruning_leaves_either_or() {
    // Each call of the disk is the last one before the cut, in turn.
    for step in 0_u64.. {
        let shelf = Shelf::new();
        for round in 0..3 {
            let mut cartridge = shelf.load(FIRST);
            write_tape(&mut cartridge, round * 100..round * 100 + 20);
            cartridge.unload().unwrap();
        }
        let newest = read_all(&mut shelf.load(FIRST));
        let faulty = crate::disk::FaultDisk::new(Arc::new(shelf.disk.clone()));
        let mut cartridge =
            Cartridge::load(Arc::new(faulty.clone()), &home(FIRST), shelf.options()).unwrap();
        let point = cartridge.recovery_points(2).unwrap().remove(0);
        let older = shelf.objects_at(cartridge.origin_at(&point).unwrap());
        let made = faulty.count_all();
        faulty.inject(crate::disk::Fault {
            call: None,
            hit_count: u64::MAX,
            ..crate::disk::Fault::once(crate::disk::Call::Open, "", crate::disk::Reaction::Errno(5))
                .after(step)
        });
        let reverted = cartridge.revert_to(&point);
        let pruned = cartridge.prune(Timestamp::MAX, &[]);
        let is_over = faulty.count_all() <= made + step;
        faulty.release();
        drop(cartridge);
        shelf.disk.torn_power_cut(step);
        let found = read_all(&mut shelf.load(FIRST));
        if reverted.is_ok() {
            assert_eq!(found, older, "step {step}");
        } else {
            assert!(found == older || found == newest, "step {step}: neither old nor new");
        }
        if is_over {
            pruned.unwrap();
            assert!(step > 10);
            return;
        }
    }
}

#[test]
fn a_lost_record_of_going_back_costs_data_and_never_lies() {
    // Without its base, what lies before the generation is not known: it once would have been what was live until then.
    let shelf = Shelf::new();
    let mut cartridge = shelf.load(FIRST);
    write_tape(&mut cartridge, 0..20);
    let point = cartridge.last_point().unwrap().unwrap();
    let good = read_from_start(&mut cartridge);
    cartridge.rewind().unwrap();
    write_tape(&mut cartridge, 100..120);
    cartridge.unload().unwrap();
    let mut cartridge = shelf.load(FIRST);
    cartridge.revert_to(&point).unwrap();
    cartridge.space_to_end_of_data().unwrap();
    write_tape(&mut cartridge, 200..203);
    cartridge.unload().unwrap();
    let journal = home(FIRST).join(life::JOURNAL);
    let last = shelf
        .disk
        .list(&journal)
        .unwrap()
        .into_iter()
        .filter(|name| name.extension().is_some_and(|extension| extension == "seg"));
    let last = journal.join(last.max().unwrap());
    let bytes = contents(&shelf.disk, &last);
    let mut damaged = 0;
    // The record itself, the index that says the same, and both.
    let kinds: Vec<usize> = (0..bytes.len())
        .step_by(512)
        .filter(|at| bytes[*at..].starts_with(b"VTLR") && matches!(bytes[at + 5], 4 | 7))
        .collect();
    assert_eq!(kinds.len(), 2);
    for broken in [&kinds[..1], &kinds[1..], &kinds[..]] {
        for at in broken {
            flip(&shelf.disk, &last, *at as u64 + 60, 1);
        }
        let mut cartridge = shelf.load_read_only(FIRST);
        for (n, expected) in good.iter().enumerate() {
            match cartridge.read() {
                Ok(ReadOutcome::Block(data)) => assert_eq!(Some(data.to_vec()), *expected, "{n}"),
                Ok(ReadOutcome::Filemark) => assert_eq!(None, *expected),
                Ok(ReadOutcome::EndOfData) => panic!("a short tape at {n}"),
                Err(MediumError::Damaged { .. }) => damaged += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(cartridge.read().unwrap(), ReadOutcome::Block(block(200, 5000).into()));
        for at in broken {
            flip(&shelf.disk, &last, *at as u64 + 60, 1);
        }
    }
    assert_eq!(damaged, good.len(), "only when both are broken");
}

impl Shelf {
    fn load_read_only(&self, uuid: Uuid) -> Cartridge {
        let options = LoadOptions { read_only: true, ..self.options() };
        Cartridge::load(Arc::new(self.disk.clone()), &home(uuid), options).unwrap()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64),
    Filemark,
    Sync,
    Locate(u64),
    Erase,
    Reload,
    PowerCut,
    Revert(prop::sample::Index),
    Prune(prop::sample::Index),
    Twin(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1_u64..8).prop_map(Step::Write),
        3 => Just(Step::Filemark),
        4 => Just(Step::Sync),
        3 => (0_u64..40).prop_map(Step::Locate),
        1 => Just(Step::Erase),
        3 => Just(Step::Reload),
        1 => Just(Step::PowerCut),
        3 => any::<prop::sample::Index>().prop_map(Step::Revert),
        2 => any::<prop::sample::Index>().prop_map(Step::Prune),
        2 => any::<prop::sample::Index>().prop_map(Step::Twin),
    ]
}

/// What has to be there: the tape, and every point in its history.
struct History {
    shelf: Shelf,
    objects: Objects,
    points: BTreeMap<u64, (Origin, Objects)>,
    /// Moments that somebody rests on.
    kept: Vec<u64>,
    seed: u64,
}

impl History {
    fn run(&mut self, cartridge: &mut Option<Cartridge>, step: &Step) {
        let tape = cartridge.as_mut().unwrap();
        match step {
            Step::Write(count) => {
                let at = usize::try_from(tape.position().object.0).unwrap();
                self.objects.truncate(at);
                for _ in 0..*count {
                    self.seed += 1;
                    let data = block(self.seed, 9000);
                    write_block(tape, &data);
                    self.objects.push(Some(data));
                }
            }
            Step::Filemark => {
                let at = usize::try_from(tape.position().object.0).unwrap();
                self.objects.truncate(at);
                tape.write_filemarks(1).unwrap();
                self.objects.push(None);
            }
            Step::Sync => tape.sync().unwrap(),
            Step::Locate(object) => drop(tape.locate(ObjectNumber(*object)).unwrap()),
            Step::Erase => {
                self.objects.truncate(usize::try_from(tape.position().object.0).unwrap());
                tape.erase().unwrap();
            }
            Step::Reload => {
                cartridge.take().unwrap().unload().unwrap();
                *cartridge = Some(self.shelf.load(FIRST));
            }
            Step::PowerCut => {
                // Everything was synced after the last step.
                let disk = self.shelf.disk.snapshot();
                disk.torn_power_cut(self.seed);
                *cartridge = None;
                self.shelf.disk = disk;
                *cartridge = Some(self.shelf.load(FIRST));
            }
            Step::Revert(index) => {
                let points = tape.recovery_points(1000).unwrap();
                if !points.is_empty() {
                    let point = &points[index.index(points.len())];
                    tape.revert_to(point).unwrap();
                    self.objects = self.points[&point.sequence].1.clone();
                }
            }
            Step::Prune(index) => {
                let points = tape.recovery_points(1000).unwrap();
                if !points.is_empty() {
                    let kept: Vec<Origin> =
                        self.kept.iter().map(|sequence| self.points[sequence].0).collect();
                    tape.prune(points[index.index(points.len())].time, &kept).unwrap();
                }
            }
            Step::Twin(index) => {
                let points = tape.recovery_points(1000).unwrap();
                if !points.is_empty() {
                    self.kept.push(points[index.index(points.len())].sequence);
                }
            }
        }
        self.note(cartridge.as_mut().unwrap());
    }

    /// Makes all of it durable, and writes down what the newest point is.
    fn note(&mut self, tape: &mut Cartridge) {
        tape.sync().unwrap();
        if let Some(point) = tape.last_point().unwrap().filter(|point| point.is_current) {
            let origin = tape.origin_at(&point).unwrap();
            self.points.entry(point.sequence).or_insert_with(|| (origin, self.objects.clone()));
        }
    }

    fn check(&self, tape: &mut Cartridge) {
        assert_eq!(read_from_start(tape), self.objects);
        let points = tape.recovery_points(1000).unwrap();
        let listed = points.iter().map(|point| point.sequence);
        for sequence in listed.chain(self.kept.iter().copied()) {
            if let Some((origin, objects)) = self.points.get(&sequence) {
                assert_eq!(self.shelf.objects_at(*origin), *objects, "point {sequence}");
            }
        }
        assert!(points.iter().all(|point| self.points.contains_key(&point.sequence)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_every_point_in_the_window_can_be_read(
        steps in prop::collection::vec(step(), 1..50),
    ) {
        let shelf = Shelf::new();
        let mut cartridge = Some(shelf.load(FIRST));
        let mut history = History {
            shelf, objects: Vec::new(), points: BTreeMap::new(), kept: Vec::new(), seed: 0,
        };
        for step in &steps {
            history.run(&mut cartridge, step);
        }
        history.check(cartridge.as_mut().unwrap());
        cartridge.take().unwrap().unload().unwrap();
        history.check(&mut history.shelf.load_read_only(FIRST));
        history.check(&mut history.shelf.load(FIRST));
    }
}
