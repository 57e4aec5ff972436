//! Random operations on a cartridge and on a `Vec` must agree, in what they answer and in what is left.

use proptest::prelude::*;

use super::*;

/// A tape as anybody would write it down.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    /// A block, or `None` for a filemark.
    objects: Vec<Option<Vec<u8>>>,
    position: usize,
}

impl Model {
    fn write(&mut self, block: &[u8]) {
        self.objects.truncate(self.position);
        self.objects.push(Some(block.to_vec()));
        self.position += 1;
    }

    fn write_filemarks(&mut self, count: u32) {
        if count > 0 {
            self.objects.truncate(self.position);
            self.objects.extend((0..count).map(|_| None));
            self.position = self.objects.len();
        }
    }

    fn read(&mut self) -> ReadOutcome {
        match self.objects.get(self.position) {
            None => ReadOutcome::EndOfData,
            Some(object) => {
                self.position += 1;
                object.clone().map_or(ReadOutcome::Filemark, |data| ReadOutcome::Block(data.into()))
            }
        }
    }

    fn filemarks_before(&self) -> u64 {
        self.objects[..self.position].iter().filter(|object| object.is_none()).count() as u64
    }

    fn locate(&mut self, object: u64) -> SpaceOutcome {
        let end = self.objects.len() as u64;
        self.position = usize::try_from(object.min(end)).unwrap();
        if object > end {
            SpaceOutcome::EndOfData { residual: object - end }
        } else {
            SpaceOutcome::Done
        }
    }

    fn locate_filemark(&mut self, count: u64) -> SpaceOutcome {
        self.position = 0;
        self.space_filemarks(i64::try_from(count).unwrap())
    }

    /// One object after the other, as a drive without an index would do it.
    fn space_blocks(&mut self, count: i64) -> SpaceOutcome {
        for done in 0..count.unsigned_abs() {
            let residual = count.unsigned_abs() - done;
            let passed = if count > 0 {
                if self.position == self.objects.len() {
                    return SpaceOutcome::EndOfData { residual };
                }
                self.position += 1;
                self.position - 1
            } else {
                if self.position == 0 {
                    return SpaceOutcome::BeginningOfPartition { residual };
                }
                self.position -= 1;
                self.position
            };
            if self.objects[passed].is_none() {
                return SpaceOutcome::Filemark { residual };
            }
        }
        SpaceOutcome::Done
    }

    fn space_filemarks(&mut self, count: i64) -> SpaceOutcome {
        let mut residual = count.unsigned_abs();
        while residual > 0 {
            if count > 0 {
                if self.position == self.objects.len() {
                    return SpaceOutcome::EndOfData { residual };
                }
                self.position += 1;
                residual -= u64::from(self.objects[self.position - 1].is_none());
            } else {
                if self.position == 0 {
                    return SpaceOutcome::BeginningOfPartition { residual };
                }
                self.position -= 1;
                residual -= u64::from(self.objects[self.position].is_none());
            }
        }
        SpaceOutcome::Done
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Write { length: usize, count: u32 },
    Filemarks(u32),
    Read(usize),
    Rewind,
    Locate(u64),
    LocateFilemark(u64),
    SpaceBlocks(i64),
    SpaceFilemarks(i64),
    SpaceEnd,
    Erase,
    Sync,
    Reload,
    PowerCut(Option<u64>),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => (prop_oneof![1_usize..600, 3000_usize..40_000], 1_u32..5)
            .prop_map(|(length, count)| Operation::Write { length, count }),
        1 => Just(Operation::Write { length: 80_000, count: 2 }),
        1 => Just(Operation::Write { length: 300_000, count: 2 }),
        3 => (0_u32..4).prop_map(Operation::Filemarks),
        5 => (1_usize..12).prop_map(Operation::Read),
        1 => Just(Operation::Rewind),
        3 => (0_u64..80).prop_map(Operation::Locate),
        2 => (0_u64..12).prop_map(Operation::LocateFilemark),
        3 => (-20_i64..20).prop_map(Operation::SpaceBlocks),
        3 => (-5_i64..5).prop_map(Operation::SpaceFilemarks),
        3 => Just(Operation::SpaceEnd),
        1 => Just(Operation::Erase),
        2 => Just(Operation::Sync),
        2 => Just(Operation::Reload),
        1 => Just(Operation::PowerCut(None)),
        2 => any::<u64>().prop_map(|seed| Operation::PowerCut(Some(seed))),
    ]
}

struct Pair {
    disk: MemoryDisk,
    cartridge: Option<Cartridge>,
    model: Model,
    /// What a power cut must keep.
    synced: Vec<Option<Vec<u8>>>,
    seed: u64,
}

impl Pair {
    fn run(&mut self, operation: &Operation) {
        let cartridge = self.cartridge.as_mut().unwrap();
        match *operation {
            Operation::Write { length, count } => self.write(length, count),
            Operation::Filemarks(count) => {
                assert_eq!(cartridge.write_filemarks(count).unwrap(), WriteOutcome::Written);
                self.model.write_filemarks(count);
            }
            Operation::Read(count) => {
                for _ in 0..count {
                    assert_eq!(cartridge.read().unwrap(), self.model.read());
                }
            }
            Operation::Rewind => {
                cartridge.rewind().unwrap();
                self.model.position = 0;
            }
            Operation::Locate(object) => {
                assert_eq!(
                    cartridge.locate(ObjectNumber(object)).unwrap(),
                    self.model.locate(object)
                );
            }
            Operation::LocateFilemark(count) => {
                assert_eq!(
                    cartridge.locate_filemark(count).unwrap(),
                    self.model.locate_filemark(count)
                );
            }
            Operation::SpaceBlocks(count) => {
                assert_eq!(cartridge.space_blocks(count).unwrap(), self.model.space_blocks(count));
            }
            Operation::SpaceFilemarks(count) => {
                assert_eq!(
                    cartridge.space_filemarks(count).unwrap(),
                    self.model.space_filemarks(count)
                );
            }
            Operation::SpaceEnd => {
                assert_eq!(cartridge.space_to_end_of_data().unwrap(), SpaceOutcome::Done);
                self.model.position = self.model.objects.len();
            }
            Operation::Erase => {
                cartridge.erase().unwrap();
                self.model.objects.truncate(self.model.position);
            }
            Operation::Sync => cartridge.sync().unwrap(),
            Operation::Reload => {
                self.cartridge.take().unwrap().unload().unwrap();
                self.cartridge = Some(compressing(load(&self.disk)));
                self.model.position = 0;
            }
            Operation::PowerCut(seed) => self.cut(seed),
        }
        let cartridge = self.cartridge.as_ref().unwrap();
        if !cartridge.has_unsynced() {
            self.synced.clone_from(&self.model.objects);
        }
        self.compare();
    }

    fn write(&mut self, length: usize, count: u32) {
        let blocks: Vec<Vec<u8>> =
            (0..count).map(|n| mixed(self.seed * 17 + u64::from(n), length)).collect();
        self.seed += 1;
        let outcome = self.cartridge.as_mut().unwrap().write(
            Box::new(blocks.concat()),
            u32::try_from(length).unwrap(),
            count,
        );
        assert_eq!(outcome.unwrap(), WriteOutcome::Written);
        for block in &blocks {
            self.model.write(block);
        }
    }

    /// What is left must be what was synced, and what was written since then up to some moment.
    fn cut(&mut self, seed: Option<u64>) {
        let is_overwritten = !self.model.objects.starts_with(&self.synced);
        let disk = self.disk.snapshot();
        seed.map_or_else(|| disk.power_cut(), |seed| disk.torn_power_cut(seed));
        self.cartridge = None;
        self.disk = disk;
        let mut cartridge = compressing(load(&self.disk));
        let found = read_all(&mut cartridge);
        let is_kept = found.starts_with(&self.synced) && self.model.objects.starts_with(&found);
        // Overwriting may have become durable before the next sync point, or not.
        let is_given_up =
            is_overwritten && (found == self.synced || self.model.objects.starts_with(&found));
        assert!(is_kept || is_given_up, "{} of {} objects", found.len(), self.synced.len());
        self.model = Model { position: found.len(), objects: found };
        self.cartridge = Some(cartridge);
    }

    fn compare(&self) {
        let position = self.cartridge.as_ref().unwrap().position();
        assert_eq!(position.object.0, self.model.position as u64);
        assert_eq!(position.filemarks, self.model.filemarks_before());
        assert_eq!(position.is_at_end_of_data, self.model.position == self.model.objects.len());
        assert_eq!(position.is_at_beginning, self.model.position == 0);
        let facts = self.cartridge.as_ref().unwrap().facts();
        let bytes: usize = self.model.objects.iter().flatten().map(Vec::len).sum();
        assert_eq!(facts.written_bytes, bytes as u64);
        assert_eq!(facts.block_count + facts.filemark_count, self.model.objects.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cartridge_does_what_a_list_does(
        operations in prop::collection::vec(operation(), 1..60),
        alignment in prop::sample::select(vec![1_usize, 512, 4096]),
    ) {
        let disk = MemoryDisk::new().with_alignment(alignment);
        create(&disk, 1 << 40);
        let cartridge = compressing(load(&disk));
        let mut pair =
            Pair { disk, cartridge: Some(cartridge), model: Model::default(), synced: Vec::new(), seed: 1 };
        for operation in &operations {
            pair.run(operation);
        }
        pair.run(&Operation::Reload);
        pair.run(&Operation::Read(1000));
    }
}
