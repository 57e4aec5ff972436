//! A cartridge that the disk has spoilt: each bit flipped in turn, sectors lost, old, or in the place of others. Every change is
//! found where it matters: nothing wrong is ever read as good, and what is not spoilt can be read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use jiff::Timestamp;
use uuid::Uuid;
use vtl_media::disk::{Disk, MemoryDisk, OpenMode, read_exact_at, write_all_at};
use vtl_media::{
    Barcode, Cartridge, CartridgeSpec, LoadOptions, MediumError, ObjectNumber, ReadOutcome,
};

use crate::host::load_options;
use crate::tape::content;
use vtl_tools::random::Random;

/// Blocks and filemarks of one cartridge, in several segments. `None` is a filemark.
type Contents = Vec<Option<Vec<u8>>>;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    changes: u64,
    /// Changes that no reading could notice: in padding, or in what is kept twice.
    harmless: u64,
    damaged: u64,
    refused: u64,
    /// All objects are there, and that nothing is missing behind them cannot be told.
    end_in_doubt: u64,
}

/// A small set of cartridges that were closed in order.
struct Set {
    disk: MemoryDisk,
    /// The same files at an earlier moment.
    earlier: MemoryDisk,
    contents: Contents,
}

const SECTOR_BYTES: usize = 512;

/// Spoils every `stride`th bit, and every sector in every other way.
pub(crate) fn run(seed: u64, stride: u64) -> anyhow::Result<Report> {
    let set = Set::new(seed)?;
    let mut report = Report::default();
    let files = files(&set.disk, Path::new(FIRST))?;
    for path in &files {
        let bytes = read(&set.disk, path)?;
        let bits = bytes.len() as u64 * 8;
        for bit in (0..bits).step_by(usize::try_from(stride)?) {
            let at = usize::try_from(bit / 8)?;
            let byte = bytes.get(at).copied().unwrap_or(0) ^ 1 << (bit % 8);
            let what = || format!("bit {bit} of {}", path.display());
            set.spoil(path, at, &[byte], &mut report).with_context(what)?;
        }
        for at in (0..bytes.len()).step_by(SECTOR_BYTES) {
            for (name, sector) in set.wrong_sectors(path, at, &files)? {
                let what = || format!("{name} at byte {at} of {}", path.display());
                set.spoil(path, at, &sector, &mut report).with_context(what)?;
            }
        }
    }
    Ok(report)
}

impl Set {
    fn new(seed: u64) -> anyhow::Result<Self> {
        let mut random = Random::new(seed, 0xf11b);
        let memory = MemoryDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        for (number, directory) in (1..).zip([FIRST, SECOND]) {
            let barcode = Barcode::new(&format!("A{number:05}L9"))?;
            let uuid = Uuid::from_u128(number);
            let spec = CartridgeSpec::new(uuid, barcode, "lto9", 1 << 40);
            Cartridge::create(&disk, Path::new(directory), &spec, Timestamp::UNIX_EPOCH)?;
        }
        let mut contents = Contents::new();
        let mut earlier = memory.snapshot();
        // Two sessions: the second one overwrites the end of the first.
        for session in 0..2 {
            let mut all = Vec::new();
            for directory in [FIRST, SECOND] {
                let mut written = contents.clone();
                let mut cartridge = load(&memory, directory, false)?;
                let keep = written.len().saturating_sub(3);
                written.truncate(keep);
                cartridge.set_compression(true);
                cartridge.locate(ObjectNumber(keep as u64))?;
                for _ in 0..8 {
                    let length = 1 + u32::try_from(random.below(3500))?;
                    let block = content(random.next(), length);
                    cartridge.write(Box::new(block.clone()), length, 1)?;
                    cartridge.write_filemarks(1)?;
                    written.extend([Some(block), None]);
                }
                cartridge.unload()?;
                all.push(written);
            }
            contents = all.swap_remove(0);
            if session == 0 {
                earlier = memory.snapshot();
            }
        }
        Ok(Self { disk: memory, earlier, contents })
    }

    /// What a disk may give instead of a sector: nothing, what was there before, and what belongs somewhere else.
    fn wrong_sectors(
        &self,
        path: &Path,
        at: usize,
        files: &[PathBuf],
    ) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
        let mut wrong = vec![("a lost write", vec![0; SECTOR_BYTES])];
        let sector = |disk: &MemoryDisk, path: &Path, at: usize| {
            read(disk, path).ok()?.get(at..at + SECTOR_BYTES).map(<[u8]>::to_vec)
        };
        wrong.extend(sector(&self.earlier, path, at).map(|old| ("an old sector", old)));
        wrong.extend(sector(&self.disk, path, at + 1024).map(|far| ("a later sector", far)));
        wrong.extend(
            sector(&self.disk, path, at / 2 / 512 * 512).map(|near| ("an earlier sector", near)),
        );
        let twin = Path::new(SECOND).join(path.strip_prefix(FIRST)?);
        wrong.extend(sector(&self.disk, &twin, at).map(|other| ("another cartridge's", other)));
        let elsewhere = files.iter().filter(|other| *other != path);
        wrong.extend(
            elsewhere.filter_map(|other| Some(("another file's", sector(&self.disk, other, at)?))),
        );
        let now = sector(&self.disk, path, at);
        wrong.retain(|(_, sector)| Some(sector) != now.as_ref());
        Ok(wrong)
    }

    /// Puts bytes into one file, and looks at the cartridge.
    fn spoil(
        &self,
        path: &Path,
        at: usize,
        bytes: &[u8],
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let file = self.disk.open(path, OpenMode::ReadWrite)?;
        let length = usize::try_from(file.length_bytes()?)?;
        let bytes = bytes.get(..bytes.len().min(length - at)).unwrap_or_default();
        let mut good = vec![0; bytes.len()];
        read_exact_at(file.as_ref(), &mut good, at as u64)?;
        write_all_at(file.as_ref(), bytes, at as u64)?;
        report.changes += 1;
        let result = self.look(report);
        write_all_at(file.as_ref(), &good, at as u64)?;
        result
    }

    fn look(&self, report: &mut Report) -> anyhow::Result<()> {
        let mut cartridge = match load(&self.disk, FIRST, true) {
            Ok(cartridge) => cartridge,
            // A single change must not cost more than one of the two labels; a newer version in one is a reason to refuse.
            Err(error) if error.to_string().contains("format") => {
                report.refused += 1;
                return Ok(());
            }
            Err(error) => return Err(error.context("it cannot be loaded")),
        };
        let mut damaged = Vec::new();
        for (number, expected) in self.contents.iter().enumerate() {
            let object = ObjectNumber(number as u64);
            let found = cartridge.locate(object).and_then(|_| cartridge.read());
            match (found, expected) {
                (Ok(ReadOutcome::Block(data)), Some(block)) if data == *block => {}
                (Ok(ReadOutcome::Filemark), None) => {}
                (Ok(found), _) => bail!("object {object} is read as {found:?}"),
                (Err(MediumError::Damaged { .. } | MediumError::EndOfDataMissing { .. }), _) => {
                    damaged.push(number);
                }
                (Err(error), _) => return Err(error).context(format!("object {object}")),
            }
        }
        let spread = damaged.last().zip(damaged.first()).map_or(0, |(last, first)| last - first);
        if spread > 1 || damaged.len() > 2 {
            bail!("objects {damaged:?} of {} are lost by one change", self.contents.len());
        }
        let end = cartridge.locate(ObjectNumber(self.contents.len() as u64));
        let is_end_lost = damaged.last() == Some(&(self.contents.len() - 1));
        match end.and_then(|_| cartridge.read()) {
            Ok(ReadOutcome::EndOfData) => {}
            Err(MediumError::EndOfDataMissing { .. }) if is_end_lost => {}
            // The seal of the last segment was promised, too: without it nobody knows that nothing is missing.
            Err(MediumError::EndOfDataMissing { .. }) if damaged.is_empty() => {
                report.end_in_doubt += 1;
                return Ok(());
            }
            other => bail!("at the end: {other:?}"),
        }
        if damaged.is_empty() {
            report.harmless += 1;
        } else {
            report.damaged += 1;
        }
        Ok(())
    }
}

fn load(disk: &MemoryDisk, directory: &str, read_only: bool) -> anyhow::Result<Cartridge> {
    let options = LoadOptions { read_only, segment_bytes: 16 * 1024, ..load_options() };
    Ok(Cartridge::load(Arc::new(disk.clone()), Path::new(directory), options)?)
}

fn read(disk: &MemoryDisk, path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; usize::try_from(file.length_bytes()?)?];
    read_exact_at(file.as_ref(), &mut bytes, 0)?;
    Ok(bytes)
}

/// All files of a cartridge.
fn files(disk: &MemoryDisk, directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for name in disk.list(directory)? {
        let path = directory.join(name);
        match disk.list(&path) {
            Ok(names) => files.extend(names.into_iter().map(|name| path.join(name))),
            Err(_) => files.push(path),
        }
    }
    Ok(files)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changes, harmless, damaged, refused, end_in_doubt } = self;
        write!(
            f,
            "{changes} changes: {damaged} told as damage, {end_in_doubt} leave the end in doubt, {refused} refused, {harmless} without effect, no wrong byte read"
        )
    }
}

const FIRST: &str = "/00000000-0000-0000-0000-000000000001";
const SECOND: &str = "/00000000-0000-0000-0000-000000000002";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_wrong_is_read_from_a_spoilt_cartridge() {
        let report = run(20_261_124, 4999).unwrap();
        assert!(report.damaged > 500 && report.harmless > 500, "{report:?}");
    }
}
