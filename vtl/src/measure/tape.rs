//! A drive as a host sees it: what is written to it, read from it and compared, and how long that takes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use super::figures::mb;
use super::initiator::{Done, Initiator};

const GOOD: u8 = 0;
const CHECK_CONDITION: u8 = 2;
const UNIT_ATTENTION: u8 = 6;
/// More unit attentions than a target keeps for one nexus.
const ATTENTIONS_MAX: u32 = 40;

/// A drive with a cartridge in it.
#[derive(Debug)]
pub struct Tape {
    initiator: Initiator,
    lun: u64,
    /// Commands that may be under way at once while it is written.
    queue_depth: usize,
    is_given_up: Arc<AtomicBool>,
}

/// One measurement.
#[derive(Debug)]
pub struct Sample {
    /// From the first command to the last answer.
    pub mb_per_second: f64,
    /// How long each command took.
    pub times: Vec<Duration>,
}

impl Tape {
    /// Logs in under a name, and takes what there is of unit attentions.
    pub fn attach(portal: &str, name: &str, target: &str, lun: u64) -> anyhow::Result<Self> {
        let initiator = Initiator::login(portal, name, target)?;
        let mut tape = Self { initiator, lun, queue_depth: 1, is_given_up: Arc::default() };
        tape.settle()?;
        Ok(tape)
    }

    /// How many commands are to be under way at once while it is written.
    #[must_use]
    pub fn with_queue_depth(self, queue_depth: usize) -> Self {
        Self { queue_depth: queue_depth.max(1), ..self }
    }

    /// Whatever it does ends soon after this has been set.
    #[must_use]
    pub fn until(self, is_given_up: Arc<AtomicBool>) -> Self {
        Self { is_given_up, ..self }
    }

    /// Takes what there is of unit attentions, until the drive is ready.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        for _ in 0..ATTENTIONS_MAX {
            let done = self.initiator.run(self.lun, &[0; 6], Vec::new(), 0)?;
            match (done.status, done.sense.get(2).map(|key| key & 0x0f)) {
                (GOOD, _) => return Ok(()),
                (CHECK_CONDITION, Some(UNIT_ATTENTION)) => {}
                _ => return good(&done),
            }
        }
        bail!("the drive does not become ready")
    }

    /// Back to the beginning.
    pub fn rewind(&mut self) -> anyhow::Result<()> {
        self.plain(&[0x01, 0, 0, 0, 0, 0])
    }

    /// Writes `count` blocks that are all different, and a filemark. Memory is used again: fresh memory would be measured instead.
    pub fn write(&mut self, pattern: &[u8], count: usize) -> anyhow::Result<Sample> {
        let [_, high, middle, low] = u32::try_from(pattern.len())?.to_be_bytes();
        let cdb = [0x0a, 0, high, middle, low, 0];
        let mut spare = vec![pattern.to_vec(); self.queue_depth];
        let (mut times, mut started) = (Vec::with_capacity(count), HashMap::new());
        let begin = Instant::now();
        for number in 0..count {
            if spare.is_empty() {
                spare.push(self.finish(&mut started, &mut times)?);
            }
            let Some(mut data) = spare.pop() else { bail!("no memory to write from") };
            stamp(&mut data, number);
            let start = Instant::now();
            self.check()?;
            let tag = self.initiator.send(self.lun, &cdb, data, 0)?;
            started.insert(tag, start);
        }
        while !started.is_empty() {
            spare.push(self.finish(&mut started, &mut times)?);
        }
        // The filemark is the sync point: without it, some of the data is only in the drive's buffer.
        self.plain(&[0x10, 0, 0, 0, 1, 0])?;
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Sample { mb_per_second: mb(pattern.len() * count) / seconds, times })
    }

    /// Reads `count` blocks, one command after the other without a pause in which the drive could get ahead.
    pub fn read(&mut self, block_bytes: usize, count: usize) -> anyhow::Result<Sample> {
        let mut times = Vec::with_capacity(count);
        let begin = Instant::now();
        for _ in 0..count {
            let start = Instant::now();
            let data = self.read_one(block_bytes)?;
            times.push(start.elapsed());
            self.initiator.recycle(data);
        }
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Sample { mb_per_second: mb(block_bytes * count) / seconds, times })
    }

    /// Reads once more, and compares each byte; that takes the time of the client, and so is not measured.
    pub fn verify(&mut self, pattern: &[u8], count: usize) -> anyhow::Result<()> {
        let mut expected = pattern.to_vec();
        for number in 0..count {
            self.expect(&mut expected, number)?;
        }
        Ok(())
    }

    /// Finds blocks by their numbers: the time from LOCATE to the block itself, for each of them.
    pub fn locate(&mut self, pattern: &[u8], blocks: &[usize]) -> anyhow::Result<Vec<Duration>> {
        let mut expected = pattern.to_vec();
        let mut times = Vec::with_capacity(blocks.len());
        for number in blocks {
            let [first, second, third, fourth] = u32::try_from(*number)?.to_be_bytes();
            let start = Instant::now();
            self.plain(&[0x2b, 0, 0, first, second, third, fourth, 0, 0, 0])?;
            let data = self.read_one(expected.len())?;
            times.push(start.elapsed());
            stamp(&mut expected, *number);
            ensure!(data == expected, "LOCATE to block {number} led to another one");
            self.initiator.recycle(data);
        }
        Ok(times)
    }

    /// Ends the session.
    pub fn detach(self) -> anyhow::Result<()> {
        self.initiator.logout()
    }

    fn expect(&mut self, expected: &mut [u8], number: usize) -> anyhow::Result<()> {
        let data = self.read_one(expected.len())?;
        stamp(expected, number);
        ensure!(data == expected, "block {number} is not what was written");
        self.initiator.recycle(data);
        Ok(())
    }

    fn read_one(&mut self, block_bytes: usize) -> anyhow::Result<Vec<u8>> {
        self.check()?;
        let bytes = u32::try_from(block_bytes)?;
        let [_, high, middle, low] = bytes.to_be_bytes();
        let cdb = [0x08, 0, high, middle, low, 0];
        let done = self.initiator.run(self.lun, &cdb, Vec::new(), bytes)?;
        good(&done)?;
        Ok(done.data)
    }

    fn plain(&mut self, cdb: &[u8]) -> anyhow::Result<()> {
        self.check()?;
        good(&self.initiator.run(self.lun, cdb, Vec::new(), 0)?)
    }

    /// Waits for a command; its memory comes back.
    fn finish(
        &mut self,
        started: &mut HashMap<u32, Instant>,
        times: &mut Vec<Duration>,
    ) -> anyhow::Result<Vec<u8>> {
        let done = self.initiator.wait()?;
        good(&done)?;
        if let Some(start) = started.remove(&done.tag) {
            times.push(start.elapsed());
        }
        Ok(done.data_out)
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.is_given_up.load(Ordering::Relaxed), "interrupted");
        Ok(())
    }
}

/// An error unless a command ended in GOOD.
pub fn good(done: &Done) -> anyhow::Result<()> {
    if done.status == GOOD {
        return Ok(());
    }
    let byte = |at: usize| done.sense.get(at).copied().unwrap_or(0);
    bail!(
        "status {:02x}, sense {:x}/{:02x}/{:02x}",
        done.status,
        byte(2) & 0x0f,
        byte(12),
        byte(13)
    )
}

/// Bytes that no compression makes smaller (xorshift64*).
pub fn incompressible(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Each block is another one.
fn stamp(block: &mut [u8], number: usize) {
    for (to, from) in block.iter_mut().zip(number.to_le_bytes()) {
        *to = from;
    }
}
