//! A library and its first drive as a host sees them: over iSCSI, with nothing that only this program could know.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::attached::{Element, ElementKind, parse_status};
use crate::measure::{Done, Initiator, good};

const CHANGER: u64 = 0;
const DRIVE: u64 = 1;
const GOOD: u8 = 0x00;
/// Sense keys (SPC-5 §4.5.6).
const NOT_READY: u8 = 0x2;
const MEDIUM_ERROR: u8 = 0x3;
const HARDWARE_ERROR: u8 = 0x4;
const ILLEGAL_REQUEST: u8 = 0x5;
const UNIT_ATTENTION: u8 = 0x6;
const DATA_PROTECT: u8 = 0x7;
const BLANK_CHECK: u8 = 0x8;
/// In byte 2 of the sense data.
const FILEMARK: u8 = 0x80;
const ILI: u8 = 0x20;
/// A drive that is not ready by then has something wrong with it.
const READY_LIMIT: Duration = Duration::from_mins(2);
const READY_PAUSE: Duration = Duration::from_millis(20);
/// Room for what 60,000 elements say.
const ELEMENTS_BYTES: u32 = 8 << 20;
const FIRST_BLOCK_BYTES: u32 = 256 << 10;
const BLOCK_BYTES_MAX: u32 = (1 << 24) - 1;
/// Places that are named one by one.
pub(super) const DAMAGE_TOLD_MAX: usize = 100;

/// What could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Damage {
    pub(super) partition: u8,
    /// The object's number in its partition.
    pub(super) object: u64,
    /// Filemarks before it.
    pub(super) tape_file: u64,
    /// The member of an archive in which it lies, where that is known.
    pub(super) file: Option<String>,
    pub(super) why: String,
}

/// What was read of a cartridge so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) blocks: u64,
    pub(super) filemarks: u64,
    pub(super) bytes: u64,
    pub(super) damage: Vec<Damage>,
    /// Objects that could not be read, also those that are not named.
    pub(super) damaged_objects: u64,
    /// Blocks that a host has encrypted: without its key they are counted, and nothing else.
    pub(super) encrypted_blocks: u64,
}

/// What a READ brought.
#[derive(Debug)]
pub(super) enum Step {
    Block(Vec<u8>),
    Filemark,
    End,
    /// It is in the tally, and what follows can be read.
    Damaged,
    /// It is a block that cannot be read without a key.
    Encrypted,
}

/// The host.
pub(super) struct Host {
    initiator: Initiator,
    drive: u16,
    slots: BTreeMap<String, u16>,
    length: u32,
    partition: u8,
    object: u64,
    tape_file: u64,
    tally: Tally,
    /// Told of each block.
    progress: Box<dyn FnMut(u64)>,
}

impl Host {
    /// Logs in and looks where everything is.
    pub(super) fn login(
        portal: &str,
        name: &str,
        target: &str,
        progress: impl FnMut(u64) + 'static,
    ) -> anyhow::Result<Self> {
        let mut host = Self {
            initiator: Initiator::login(portal, name, target)?,
            drive: 0,
            slots: BTreeMap::new(),
            length: FIRST_BLOCK_BYTES,
            partition: 0,
            object: 0,
            tape_file: 0,
            tally: Tally::default(),
            progress: Box::new(progress),
        };
        host.wait_ready(CHANGER)?;
        let drives = host.elements(ElementKind::Drive)?;
        host.drive = drives.first().context("the library has no drive")?.address;
        let full = |element: Element| Some((element.barcode?, element.address));
        host.slots = host.elements(ElementKind::Storage)?.into_iter().filter_map(full).collect();
        Ok(host)
    }

    /// Puts a cartridge into the drive and waits until it can be read.
    pub(super) fn load(&mut self, barcode: &str) -> anyhow::Result<()> {
        let slot = self.slots.get(barcode).copied();
        let slot = slot.with_context(|| format!("the library does not show {barcode}"))?;
        self.move_medium(slot, self.drive)?;
        (self.partition, self.object, self.tape_file) = (0, 0, 0);
        self.tally = Tally::default();
        self.wait_ready(DRIVE)
    }

    /// Puts it back; what was read of it.
    pub(super) fn unload(&mut self, barcode: &str) -> anyhow::Result<Tally> {
        let slot = self.slots.get(barcode).copied().context("nothing is loaded")?;
        self.move_medium(self.drive, slot)?;
        Ok(std::mem::take(&mut self.tally))
    }

    /// The last that is asked of a cartridge: from the next partition's beginning on. False if there is none.
    pub(super) fn next_partition(&mut self) -> anyhow::Result<bool> {
        let number = self.partition.saturating_add(1);
        let done = self.run(DRIVE, &[0x2b, 0x02, 0, 0, 0, 0, 0, 0, number, 0], 0)?;
        if done.status != GOOD && key(&done) == ILLEGAL_REQUEST {
            return Ok(false);
        }
        good(&done)?;
        (self.partition, self.object, self.tape_file) = (number, 0, 0);
        Ok(true)
    }

    /// Reads on.
    pub(super) fn next(&mut self) -> anyhow::Result<Step> {
        loop {
            let [_, high, middle, low] = self.length.to_be_bytes();
            // SILI: a block that is shorter is nothing to be told.
            let done = self.run(DRIVE, &[0x08, 0x02, high, middle, low, 0], self.length)?;
            let flags = done.sense.get(2).copied().unwrap_or(0);
            match key(&done) {
                _ if done.status == GOOD => return Ok(self.block(done)),
                0 if flags & FILEMARK != 0 => {
                    self.tally.filemarks += 1;
                    (self.object, self.tape_file) = (self.object + 1, self.tape_file + 1);
                    return Ok(Step::Filemark);
                }
                0 if flags & ILI != 0 => self.read_again(&done)?,
                BLANK_CHECK => return Ok(Step::End),
                MEDIUM_ERROR | HARDWARE_ERROR => return self.damaged(&done),
                DATA_PROTECT if done.sense.get(12) == Some(&0x74) => {
                    self.tally.encrypted_blocks += 1;
                    self.tally.blocks += 1;
                    self.pass_by()?;
                    return Ok(Step::Encrypted);
                }
                _ => good(&done).with_context(|| format!("object {}", self.object))?,
            }
        }
    }

    /// Gives the block's memory back.
    pub(super) fn recycle(&mut self, block: Vec<u8>) {
        self.initiator.recycle(block);
    }

    pub(super) fn logout(self) -> anyhow::Result<()> {
        self.initiator.logout()
    }

    /// The member of an archive in which the last damage lies.
    pub(super) fn name_damage(&mut self, file: &str) {
        if let Some(damage) = self.tally.damage.last_mut().filter(|damage| damage.file.is_none()) {
            damage.file = Some(file.to_owned());
        }
    }

    fn block(&mut self, done: Done) -> Step {
        self.object += 1;
        self.tally.blocks += 1;
        self.tally.bytes += done.data.len() as u64;
        (self.progress)(done.data.len() as u64);
        Step::Block(done.data)
    }

    /// The block is longer than was asked for: back, and all of it.
    fn read_again(&mut self, done: &Done) -> anyhow::Result<()> {
        let number = done.sense.get(3..7).and_then(|bytes| bytes.try_into().ok());
        let missing = number.map_or(0, i32::from_be_bytes);
        let length = self.length.saturating_add(missing.min(0).unsigned_abs());
        ensure!(missing < 0 && length <= BLOCK_BYTES_MAX, "a block whose length cannot be told");
        self.length = length;
        good(&self.run(DRIVE, &[0x11, 0, 0xff, 0xff, 0xff, 0], 0)?)
    }

    /// Notes an object that cannot be read, and goes on behind it.
    fn damaged(&mut self, done: &Done) -> anyhow::Result<Step> {
        let byte = |at: usize| done.sense.get(at).copied().unwrap_or(0);
        let why = format!("sense {:x}/{:02x}/{:02x}", key(done), byte(12), byte(13));
        self.tally.damaged_objects += 1;
        if self.tally.damage.len() < DAMAGE_TOLD_MAX {
            self.tally.damage.push(Damage {
                partition: self.partition,
                object: self.object,
                tape_file: self.tape_file,
                file: None,
                why,
            });
        }
        self.pass_by()?;
        Ok(Step::Damaged)
    }

    /// Goes on behind the object that cannot be read.
    fn pass_by(&mut self) -> anyhow::Result<()> {
        self.object += 1;
        let cdb = [&[0x92, 0, 0, 0][..], &self.object.to_be_bytes(), &[0; 4]].concat();
        good(&self.run(DRIVE, &cdb, 0)?).with_context(|| {
            format!("nothing behind object {} can be reached", self.object.saturating_sub(1))
        })
    }

    fn move_medium(&mut self, from: u16, to: u16) -> anyhow::Result<()> {
        let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
        let cdb = [0xa5, 0, 0, 0, a, b, c, d, 0, 0, 0, 0];
        self.wait_ready(CHANGER)?;
        good(&self.run(CHANGER, &cdb, 0)?).context("the library does not move it")
    }

    /// Takes what there is of unit attentions, and waits for what takes its time.
    fn wait_ready(&mut self, lun: u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let done = self.run(lun, &[0; 6], 0)?;
            match key(&done) {
                _ if done.status == GOOD => return Ok(()),
                UNIT_ATTENTION => {}
                NOT_READY if done.sense.get(12..14) == Some(&[4, 1]) => {
                    std::thread::sleep(READY_PAUSE);
                }
                _ => return good(&done),
            }
            if begun.elapsed() > READY_LIMIT {
                bail!("it does not become ready");
            }
        }
    }

    /// READ ELEMENT STATUS with volume tags (SMC-3 §6.11): addresses, and the barcodes in them.
    fn elements(&mut self, kind: ElementKind) -> anyhow::Result<Vec<Element>> {
        let [_, high, middle, low] = ELEMENTS_BYTES.to_be_bytes();
        let cdb = [0xb8, 0x10 | kind as u8, 0, 0, 0xff, 0xff, 0, high, middle, low, 0, 0];
        let done = self.run(CHANGER, &cdb, ELEMENTS_BYTES)?;
        good(&done)?;
        Ok(parse_status(&done.data))
    }

    fn run(&mut self, lun: u64, cdb: &[u8], data_in_bytes: u32) -> anyhow::Result<Done> {
        self.initiator.run(lun, cdb, Vec::new(), data_in_bytes)
    }
}

fn key(done: &Done) -> u8 {
    done.sense.get(2).map_or(0, |byte| byte & 0x0f)
}

/// What is left of a tape file, as a stream that ends at its filemark.
pub(super) struct FileStream<'a> {
    host: &'a mut Host,
    block: io::Cursor<Vec<u8>>,
    /// Whether the filemark was passed, or nothing follows.
    pub(super) ended: Option<Ended>,
}

/// Why a tape file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Filemark,
    End,
}

impl<'a> FileStream<'a> {
    /// With the block that was read of it already.
    pub(super) fn new(host: &'a mut Host, first: Vec<u8>) -> Self {
        Self { host, block: io::Cursor::new(first), ended: None }
    }

    /// Reads to its end; damage is in the tally.
    pub(super) fn drain(mut self) -> anyhow::Result<Ended> {
        loop {
            if let Some(ended) = self.ended {
                return Ok(ended);
            }
            match self.host.next()? {
                Step::Block(block) => self.host.recycle(block),
                Step::Filemark => self.ended = Some(Ended::Filemark),
                Step::End => self.ended = Some(Ended::End),
                Step::Damaged | Step::Encrypted => {}
            }
        }
    }

    /// The member of an archive in which the last damage lies.
    pub(super) fn name_damage(&mut self, file: &str) {
        self.host.name_damage(file);
    }
}

impl Read for FileStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.block.read(buffer)?;
            if count > 0 || buffer.is_empty() || self.ended.is_some() {
                return Ok(count);
            }
            self.host.recycle(std::mem::take(&mut self.block).into_inner());
            match self.host.next().map_err(io::Error::other)? {
                Step::Block(block) => self.block = io::Cursor::new(block),
                Step::Filemark => self.ended = Some(Ended::Filemark),
                Step::End => self.ended = Some(Ended::End),
                Step::Damaged => return Err(io::Error::other("an object cannot be read")),
                Step::Encrypted => return Err(io::Error::other("what follows is encrypted")),
            }
        }
    }
}
