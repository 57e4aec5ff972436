//! Random work of a host, as it follows from the seed. It goes on until the daemon is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use anyhow::{Context, ensure};

use crate::host::Host;
use crate::model::{Model, is_drive, lun};
use crate::tape::{Block, Object};
use vtl_tools::random::Random;

/// Long blocks are written in a round until it has come to so many bytes; then short ones.
const ROUND_BYTES: usize = 32 << 20;
const SHORT_BLOCK_BYTES: u64 = 512;
const MAX_BURST_BLOCKS: u64 = 24;
const MAX_QUEUE_DEPTH: u64 = 8;

/// The work of one round.
#[derive(Debug)]
pub(crate) struct Workload<'a> {
    model: &'a mut Model,
    random: Random,
    seed: u64,
    round: u32,
    /// Blocks that were sent.
    blocks: u32,
    bytes: usize,
    /// Drives in which each WRITE is a sync point.
    unbuffered: BTreeSet<u16>,
}

/// What is done next.
#[derive(Debug, Clone, Copy)]
enum Step {
    Write,
    Filemarks,
    NoFilemarks,
    ImmediateFilemarks,
    Append,
    Locate,
    Rewind,
    Erase,
    Mode,
    Move,
    Logout,
}

/// How often each of them is done, of 1000.
const STEPS: [(Step, u64); 11] = [
    (Step::Write, 540),
    (Step::Filemarks, 120),
    (Step::NoFilemarks, 50),
    (Step::ImmediateFilemarks, 40),
    (Step::Append, 50),
    (Step::Locate, 40),
    (Step::Rewind, 10),
    (Step::Erase, 10),
    (Step::Mode, 15),
    (Step::Move, 110),
    (Step::Logout, 15),
];

impl<'a> Workload<'a> {
    /// The work of this round; the same for the same seed, until the kill.
    pub(crate) fn new(model: &'a mut Model, seed: u64, round: u32) -> Self {
        let random = Random::new(seed, u64::from(round) << 32 | 0xffff_fffe);
        Self { model, random, seed, round, blocks: 0, bytes: 0, unbuffered: BTreeSet::new() }
    }

    /// Works until something fails, and says what.
    pub(crate) fn until_failure(
        &mut self,
        host: Host,
        portal: &str,
        target: &str,
    ) -> anyhow::Error {
        match self.sessions(host, portal, target) {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    /// How many blocks were sent.
    pub(crate) fn blocks(&self) -> u32 {
        self.blocks
    }

    fn sessions(&mut self, host: Host, portal: &str, target: &str) -> anyhow::Result<Infallible> {
        let mut host = host;
        loop {
            while let Some(step) = self.next_step() {
                self.act(&mut host, step).with_context(|| format!("at a step {step:?}"))?;
            }
            host.logout().context("logging out")?;
            self.model.all_synced()?;
            host = Host::login(portal, target).context("logging in again")?;
            take_all_attentions(&mut host, self.model)?;
        }
    }

    /// `None` ends the session.
    fn next_step(&mut self) -> Option<Step> {
        let mut number = self.random.below(STEPS.iter().map(|(_, share)| share).sum());
        let step = STEPS.iter().find(|(_, share)| {
            let is_here = number < *share;
            number = number.saturating_sub(*share);
            is_here
        });
        step.map(|(step, _)| *step).filter(|step| !matches!(step, Step::Logout))
    }

    fn act(&mut self, host: &mut Host, step: Step) -> anyhow::Result<()> {
        let loaded = self.model.loaded();
        let index = self.random.index(loaded.len());
        let Some((drive, barcode)) = loaded.get(index).filter(|_| !matches!(step, Step::Move))
        else {
            return self.move_some(host);
        };
        let (drive, barcode) = (*drive, barcode.as_str());
        match step {
            Step::Write => self.write(host, drive, barcode),
            Step::Filemarks => {
                let count = if self.random.percent(80) { 1 } else { 2 };
                self.filemarks(host, drive, barcode, count)
            }
            Step::NoFilemarks => self.filemarks(host, drive, barcode, 0),
            Step::ImmediateFilemarks => {
                self.model.tape(barcode)?.sending(Object::Filemark);
                host.write_filemarks(lun(drive), 1, true)
            }
            Step::Append => self.append(host, drive, barcode),
            Step::Locate => self.locate(host, drive, barcode),
            Step::Rewind => {
                host.rewind(lun(drive))?;
                self.arrived(barcode, 0)
            }
            Step::Erase => {
                self.model.tape(barcode)?.erasing();
                host.erase(lun(drive))?;
                self.model.synced(barcode)
            }
            Step::Mode => self.change_mode(host, drive, barcode),
            Step::Move | Step::Logout => Ok(()),
        }
    }

    /// Some blocks, several of them under way at once.
    fn write(&mut self, host: &mut Host, drive: u16, barcode: &str) -> anyhow::Result<()> {
        let count = 1 + self.random.below(MAX_BURST_BLOCKS);
        let depth = 1 + self.random.index(usize::try_from(MAX_QUEUE_DEPTH)?);
        let mut under_way = BTreeMap::new();
        for _ in 0..count {
            let block = self.next_block();
            let tape = self.model.tape(barcode)?;
            tape.sending(Object::Block(block));
            let end = tape.position();
            under_way.insert(host.send_write(lun(drive), block.content(self.seed))?, end);
            if under_way.len() >= depth {
                self.finish_write(host, drive, barcode, &mut under_way)?;
            }
        }
        while !under_way.is_empty() {
            self.finish_write(host, drive, barcode, &mut under_way)?;
        }
        Ok(())
    }

    fn finish_write(
        &mut self,
        host: &mut Host,
        drive: u16,
        barcode: &str,
        under_way: &mut BTreeMap<u32, usize>,
    ) -> anyhow::Result<()> {
        let end = under_way.remove(&host.wait_for_write()?).context("an answer to no WRITE")?;
        if self.unbuffered.contains(&drive) {
            self.model.tape(barcode)?.synced_before(end);
            self.model.sync_points += 1;
        }
        Ok(())
    }

    fn filemarks(
        &mut self,
        host: &mut Host,
        drive: u16,
        barcode: &str,
        count: u8,
    ) -> anyhow::Result<()> {
        for _ in 0..count {
            self.model.tape(barcode)?.sending(Object::Filemark);
        }
        host.write_filemarks(lun(drive), count, false)?;
        self.model.synced(barcode)
    }

    fn append(&mut self, host: &mut Host, drive: u16, barcode: &str) -> anyhow::Result<()> {
        if self.random.percent(50) {
            host.rewind(lun(drive))?;
            self.arrived(barcode, 0)?;
        }
        host.space_to_end_of_data(lun(drive))?;
        let end = self.model.tape(barcode)?.end();
        self.arrived(barcode, end)
    }

    /// Goes somewhere; what is written next overwrites what is there.
    fn locate(&mut self, host: &mut Host, drive: u16, barcode: &str) -> anyhow::Result<()> {
        let end = self.model.tape(barcode)?.end();
        let object = self.random.index(end.saturating_add(1));
        host.locate(lun(drive), object)?;
        self.arrived(barcode, object)
    }

    fn change_mode(&mut self, host: &mut Host, drive: u16, barcode: &str) -> anyhow::Result<()> {
        let is_buffered = self.unbuffered.contains(&drive);
        if !is_buffered {
            // What was written before is not the unbuffered writes' concern.
            self.filemarks(host, drive, barcode, 0)?;
        }
        host.set_buffered(lun(drive), is_buffered)?;
        if is_buffered {
            self.unbuffered.remove(&drive);
        } else {
            self.unbuffered.insert(drive);
        }
        Ok(())
    }

    /// A cartridge into a drive, out of one, or somewhere.
    fn move_some(&mut self, host: &mut Host) -> anyhow::Result<()> {
        let mut from = self.model.occupied();
        let kind = self.random.below(100);
        let loads = kind < 45 || self.model.loaded().is_empty();
        if loads {
            from.retain(|address| !is_drive(*address));
        } else if kind < 80 {
            from.retain(|address| is_drive(*address));
        }
        // Cartridges with some history are the more interesting ones.
        let known: Vec<_> =
            from.iter().copied().filter(|address| self.model.has_history(*address)).collect();
        if known.len() >= 4 && self.random.percent(75) {
            from = known;
        }
        let Some(source) = self.random.pick(&from) else { return Ok(()) };
        let barcode = self.model.at(source).context("an empty source")?.to_owned();
        let mut to = self.model.free_for(&barcode);
        if loads && to.iter().any(|address| is_drive(*address)) {
            to.retain(|address| is_drive(*address));
        }
        let Some(destination) = self.random.pick(&to) else { return Ok(()) };
        relocate(host, self.model, source, destination)
    }

    fn arrived(&mut self, barcode: &str, position: usize) -> anyhow::Result<()> {
        self.model.synced(barcode)?;
        self.model.tape(barcode)?.moved_to(position);
        Ok(())
    }

    fn next_block(&mut self) -> Block {
        let longest = match self.random.below(100) {
            _ if self.bytes >= ROUND_BYTES => SHORT_BLOCK_BYTES,
            0..25 => SHORT_BLOCK_BYTES,
            25..85 => 64 << 10,
            85..97 => 256 << 10,
            _ => 1 << 20,
        };
        let length = 1 + self.random.index(usize::try_from(longest).unwrap_or(1));
        let block = Block { round: self.round, number: self.blocks, length };
        self.blocks += 1;
        self.bytes += length;
        block
    }
}

/// MOVE MEDIUM, noted before and after.
pub(crate) fn relocate(
    host: &mut Host,
    model: &mut Model,
    from: u16,
    to: u16,
) -> anyhow::Result<()> {
    model.moving(from, to)?;
    host.move_medium(from, to).with_context(|| format!("from {from:#06x} to {to:#06x}"))?;
    model.moved()?;
    if is_drive(to) {
        take_drive_attentions(host, model, to)?;
    }
    Ok(())
}

/// Takes all unit attentions. Drives with a cartridge have to be ready, and the changer too.
pub(crate) fn take_all_attentions(host: &mut Host, model: &Model) -> anyhow::Result<()> {
    take_changer_attentions(host)?;
    model.drives().into_iter().try_for_each(|drive| take_drive_attentions(host, model, drive))
}

/// Takes the changer's unit attentions.
pub(crate) fn take_changer_attentions(host: &mut Host) -> anyhow::Result<()> {
    let state = host.take_attentions(0)?;
    ensure!(state.is_none(), "the changer is not ready: {state:x?}");
    Ok(())
}

fn take_drive_attentions(host: &mut Host, model: &Model, drive: u16) -> anyhow::Result<()> {
    let state = host.take_attentions(lun(drive))?;
    let content = model.at(drive);
    match (state, content) {
        (None, Some(_)) => Ok(()),
        (Some(sense), None) if (sense.key, sense.asc) == (0x02, 0x3a) => Ok(()),
        _ => anyhow::bail!("drive {drive:#06x} with {content:?} in it is in state {state:x?}"),
    }
}
