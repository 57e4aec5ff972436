//! The owner of a drive and of a few cartridges, who knows what has to be on them.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use vtl::measure::{Done, good};

use crate::host::{Host, Shared, is_attention};
use vtl_tools::random::Random;

/// Cartridges of each owner.
pub(crate) const CARTRIDGES: u16 = 3;
const BLOCK_BYTES: usize = 64 << 10;
/// A cartridge that has so many objects is written anew from its beginning.
const MAX_OBJECTS: usize = 3000;
/// The first storage element and the first drive of an IBM 03584L32.
const FIRST_SLOT: u16 = 0x0400;
const FIRST_DRIVE: u16 = 0x0101;

/// One drive's owner.
#[derive(Debug)]
pub(crate) struct Owner {
    drive: u16,
    random: Random,
    host: Host,
    cartridges: Vec<Cartridge>,
    /// Which of them is in the drive.
    loaded: Option<usize>,
    /// Whether the tape is behind the last object that is acknowledged.
    is_at_end: bool,
}

/// What a filemark has acknowledged.
#[derive(Debug)]
struct Cartridge {
    slot: u16,
    /// Counts how often it was written from its beginning.
    epoch: u64,
    /// For each object, whether it is a filemark.
    objects: Vec<bool>,
}

impl Owner {
    pub(crate) fn new(drive: u16, seed: u64) -> Self {
        let slots = (0..CARTRIDGES).map(|number| FIRST_SLOT + drive * CARTRIDGES + number);
        Self {
            drive,
            random: Random::new(seed, 1000 + u64::from(drive)),
            host: Host::new(&format!("owner{drive}")),
            cartridges: slots
                .map(|slot| Cartridge { slot, epoch: 0, objects: Vec::new() })
                .collect(),
            loaded: None,
            is_at_end: false,
        }
    }

    /// Works until it is over.
    pub(crate) fn work(&mut self, shared: &Shared) -> anyhow::Result<()> {
        while !shared.is_over() {
            let choice = self.random.below(100);
            {
                let _calm = shared.calm();
                self.step(shared, choice).with_context(|| format!("drive {}", self.drive))?;
            }
            thread::sleep(Duration::from_millis(self.random.below(60)));
        }
        self.host.log_out()
    }

    /// Reads everything that has to be there, on all cartridges; how many objects.
    pub(crate) fn verify_all(&mut self, shared: &Shared) -> anyhow::Result<usize> {
        let mut count = 0;
        for index in 0..self.cartridges.len() {
            self.load(shared, index)?;
            let objects = self.cartridge()?.objects.len();
            self.locate(shared, 0)?;
            self.check(shared, 0, objects)
                .with_context(|| format!("drive {}, cartridge {index}", self.drive))?;
            count += objects;
        }
        self.host.log_out()?;
        Ok(count)
    }

    fn step(&mut self, shared: &Shared, choice: u64) -> anyhow::Result<()> {
        if self.loaded.is_none() || choice < 6 {
            let index = usize::try_from(self.random.below(u64::from(CARTRIDGES)))?;
            return self.load(shared, index);
        }
        match choice {
            6..=9 => self.host.log_out(),
            10..=13 => {
                // What is written in the middle would end the tape there.
                let end = self.cartridge()?.objects.len();
                self.locate(shared, end)?;
                self.is_at_end = false;
                // It may come to be on the tape or not: nobody was told.
                let block = vec![0xee; BLOCK_BYTES];
                self.host.cut(shared, self.lun(), &write_cdb(BLOCK_BYTES)?, block)
            }
            14..=29 => self.read_some(shared),
            _ => {
                self.host.time_ready(shared, self.lun())?;
                self.write_some(shared)
            }
        }
    }

    /// Writes a few blocks and a filemark. Whatever disturbs that has it begin anew behind the last filemark.
    fn write_some(&mut self, shared: &Shared) -> anyhow::Result<()> {
        self.host.settle(shared, self.lun())?;
        if self.cartridge()?.objects.len() > MAX_OBJECTS {
            let cartridge = self.cartridge_mut()?;
            cartridge.epoch += 1;
            cartridge.objects.clear();
            self.is_at_end = false;
        }
        if !self.is_at_end {
            let end = self.cartridge()?.objects.len();
            self.locate(shared, end)?;
        }
        self.is_at_end = false;
        let count = 8 + usize::try_from(self.random.below(56))?;
        let begin = self.cartridge()?.objects.len();
        let mut times = Vec::with_capacity(count);
        for number in begin..begin + count {
            let block = self.cartridge()?.block(number);
            let start = Instant::now();
            let done = self.run(shared, &write_cdb(BLOCK_BYTES)?, block, 0)?;
            times.push(start.elapsed());
            if is_attention(&done) {
                return Ok(());
            }
            good(&done).with_context(|| format!("WRITE of object {number}"))?;
        }
        let done = self.run(shared, &[0x10, 0, 0, 0, 1, 0], Vec::new(), 0)?;
        if is_attention(&done) {
            return Ok(());
        }
        good(&done).context("WRITE FILEMARKS")?;
        let objects = &mut self.cartridge_mut()?.objects;
        objects.extend(std::iter::repeat_n(false, count));
        objects.push(true);
        self.is_at_end = true;
        shared.times().write.extend(times);
        shared.counts().written.fetch_add(u64::try_from(count)?, Ordering::Relaxed);
        Ok(())
    }

    /// Reads a part of what has to be there.
    fn read_some(&mut self, shared: &Shared) -> anyhow::Result<()> {
        let objects = self.cartridge()?.objects.len();
        if objects == 0 {
            return Ok(());
        }
        self.host.settle(shared, self.lun())?;
        let from = usize::try_from(self.random.below(u64::try_from(objects)?))?;
        self.locate(shared, from)?;
        self.check(shared, from, objects.min(from + 64))
    }

    /// Reads these objects and compares them.
    fn check(&mut self, shared: &Shared, from: usize, to: usize) -> anyhow::Result<()> {
        self.is_at_end = false;
        let bytes = u32::try_from(BLOCK_BYTES)?;
        let cdb = [0x08, 0, 1, 0, 0, 0];
        for number in from..to {
            let is_filemark = self.cartridge()?.objects.get(number).copied().unwrap_or(false);
            let done = self.run(shared, &cdb, Vec::new(), bytes)?;
            if is_filemark {
                let is_met =
                    done.status == 2 && done.sense.get(2).is_some_and(|byte| byte & 0x80 != 0);
                ensure!(is_met, "object {number} is no filemark: {:02x?}", done.sense);
                continue;
            }
            good(&done).with_context(|| format!("READ of object {number}"))?;
            ensure!(done.data == self.cartridge()?.block(number), "object {number} is another one");
            shared.counts().read.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Puts a cartridge into the drive, and the one that is there back.
    fn load(&mut self, shared: &Shared, index: usize) -> anyhow::Result<()> {
        self.is_at_end = false;
        self.host.settle(shared, 0)?;
        let drive = FIRST_DRIVE + self.drive;
        if let Some(slot) = self.loaded.and_then(|old| self.cartridges.get(old)).map(|old| old.slot)
        {
            self.move_medium(shared, drive, slot)?;
            self.loaded = None;
        }
        let slot = self.cartridges.get(index).context("no such cartridge")?.slot;
        self.move_medium(shared, slot, drive)?;
        self.loaded = Some(index);
        self.host.settle(shared, self.lun())?;
        let end = self.cartridge()?.objects.len();
        self.locate(shared, end)?;
        self.is_at_end = true;
        Ok(())
    }

    /// Whether there is a cartridge in the drive, which somebody else is about to put back.
    pub(crate) fn give_up_cartridge(&mut self) -> bool {
        self.loaded.take().is_some()
    }

    fn move_medium(&mut self, shared: &Shared, from: u16, to: u16) -> anyhow::Result<()> {
        let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
        let cdb = [0xa5, 0, 0, 0, a, b, c, d, 0, 0, 0, 0];
        // Others move cartridges, too, and the changer may have that to tell.
        for _ in 0..10 {
            let done = self.host.session(shared)?.run(0, &cdb, Vec::new(), 0)?;
            if !is_attention(&done) {
                shared.counts().moves.fetch_add(1, Ordering::Relaxed);
                return good(&done).with_context(|| format!("MOVE MEDIUM {from:04x} {to:04x}"));
            }
        }
        bail!("the changer never settles")
    }

    /// LOCATE(10).
    fn locate(&mut self, shared: &Shared, object: usize) -> anyhow::Result<()> {
        self.host.settle(shared, self.lun())?;
        let [a, b, c, d] = u32::try_from(object)?.to_be_bytes();
        let done = self.run(shared, &[0x2b, 0, 0, a, b, c, d, 0, 0, 0], Vec::new(), 0)?;
        good(&done).with_context(|| format!("LOCATE to object {object}"))
    }

    fn run(
        &mut self,
        shared: &Shared,
        cdb: &[u8],
        data: Vec<u8>,
        bytes: u32,
    ) -> anyhow::Result<Done> {
        let lun = self.lun();
        self.host.session(shared)?.run(lun, cdb, data, bytes)
    }

    fn lun(&self) -> u64 {
        u64::from(self.drive) + 1
    }

    fn cartridge(&self) -> anyhow::Result<&Cartridge> {
        self.loaded.and_then(|index| self.cartridges.get(index)).context("nothing is loaded")
    }

    fn cartridge_mut(&mut self) -> anyhow::Result<&mut Cartridge> {
        self.loaded.and_then(|index| self.cartridges.get_mut(index)).context("nothing is loaded")
    }
}

impl Cartridge {
    /// What an object holds: noise that is there often enough to be compressed, so that hours of it fit on a disk.
    fn block(&self, number: usize) -> Vec<u8> {
        let purpose = self.epoch << 32 ^ u64::try_from(number).unwrap_or(u64::MAX);
        let mut random = Random::new(u64::from(self.slot), purpose);
        let part: Vec<u8> = (0..64).flat_map(|_| random.next().to_le_bytes()).collect();
        part.iter().copied().cycle().take(BLOCK_BYTES).collect()
    }
}

fn write_cdb(length: usize) -> anyhow::Result<[u8; 6]> {
    let [_, high, middle, low] = u32::try_from(length)?.to_be_bytes();
    Ok([0x0a, 0, high, middle, low, 0])
}
