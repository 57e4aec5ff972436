//! The bytes of one file: as they are read, as they are on the medium, and which sectors differ.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::random::Random;

/// One version of a file. What is in no page is zero.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) length: u64,
    pub(super) pages: BTreeMap<u64, Arc<Page>>,
}

/// A file with what was written to it and not synced.
#[derive(Debug, Clone, Default)]
pub(super) struct FileData {
    pub(super) current: Content,
    durable: Content,
    /// The sectors of each page that were written since the last sync, one bit each.
    dirty: BTreeMap<u64, u8>,
    /// What unsynced sectors held before they were written once more: that may have reached the medium, too.
    // Invariant: older.len() <= OLDER_MAX
    older: Vec<Older>,
    /// A sync has failed: sectors that count as clean are not on the medium.
    is_divergent: bool,
}

#[derive(Debug, Clone)]
struct Older {
    page: u64,
    sectors: u8,
    bytes: Option<Arc<Page>>,
}

pub(super) type Page = [u8; PAGE_BYTES];

impl FileData {
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let available = self.current.length.saturating_sub(offset);
        let length = buffer.len().min(usize::try_from(available).unwrap_or(usize::MAX));
        let mut done = 0;
        while done < length {
            let (page, start, count) = piece(offset.saturating_add(done as u64), length - done);
            let Some(target) = buffer.get_mut(done..done + count) else { break };
            match self.current.pages.get(&page).and_then(|page| page.get(start..start + count)) {
                Some(source) => target.copy_from_slice(source),
                None => target.fill(0),
            }
            done += count;
        }
        length
    }

    /// Writes below `current.length`.
    pub(super) fn write(&mut self, buffer: &[u8], offset: u64) {
        let mut done = 0;
        while done < buffer.len() {
            let (number, start, count) =
                piece(offset.saturating_add(done as u64), buffer.len() - done);
            self.soil(number, sectors(start, start + count));
            let page =
                self.current.pages.entry(number).or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            let target = Arc::make_mut(page).get_mut(start..start + count);
            if let (Some(target), Some(source)) = (target, buffer.get(done..done + count)) {
                target.copy_from_slice(source);
            }
            done += count;
        }
    }

    pub(super) fn set_length(&mut self, length: u64) {
        let (last, within, _) = piece(length, 1);
        let cut: Vec<u64> = self.current.pages.range(last..).map(|(number, _)| *number).collect();
        for number in cut {
            let from = if number == last { within } else { 0 };
            self.soil(number, sectors(from, PAGE_BYTES));
        }
        self.current.length = length;
        self.current.clip();
    }

    /// Puts everything on the medium that is known not to be there. After a failed sync that is less than everything.
    pub(super) fn sync(&mut self) {
        for (number, sectors) in std::mem::take(&mut self.dirty) {
            let source = self.current.pages.get(&number);
            let sectors = if self.is_divergent { sectors } else { ALL_SECTORS };
            self.durable.put(number, sectors, source);
        }
        self.older.clear();
        self.durable.length = self.current.length;
        self.durable.clip();
    }

    /// A sync that fails: some of the data got there, and all of it counts as clean from now on. Whether it can still be
    /// read depends on whether the pages stay in memory.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        self.tear(random);
        if random.coin() {
            self.current.pages = self.durable.pages.clone();
            self.current.clip();
        } else {
            self.is_divergent = true;
        }
    }

    /// Lets any part of what was not synced reach the medium: each sector in any of its versions, and a length between the
    /// old and the new one.
    pub(super) fn tear(&mut self, random: &mut Random) {
        let (old, new) = (self.durable.length, self.current.length);
        self.durable.length = match random.below(3) {
            0 => old,
            1 => new,
            _ if new > old => old.saturating_add(random.below(new - old) / 512 * 512),
            _ => new,
        };
        let manner = random.below(4);
        let dirty = std::mem::take(&mut self.dirty);
        let bound = random.below(dirty.len() as u64 + 1);
        for (at, (number, sectors)) in (0..).zip(dirty) {
            for sector in (0..8).filter(|sector| sectors & (1 << sector) != 0) {
                let survives = match manner {
                    0 => false,
                    1 => true,
                    2 => at < bound || at == bound && random.coin(),
                    _ => random.coin(),
                };
                if survives {
                    let source = self.version(number, 1 << sector, random);
                    self.durable.put(number, 1 << sector, source.as_ref());
                }
            }
        }
        self.older.clear();
        self.durable.clip();
    }

    /// What is on the medium is all there is.
    pub(super) fn forget_unsynced(&mut self) {
        self.current = self.durable.clone();
        self.dirty.clear();
        self.older.clear();
        self.is_divergent = false;
    }

    /// One of the versions that a sector has had since the last sync.
    fn version(&self, page: u64, sector: u8, random: &mut Random) -> Option<Arc<Page>> {
        let current = self.current.pages.get(&page).cloned();
        let mut older =
            self.older.iter().filter(|older| older.page == page && older.sectors & sector != 0);
        let count = older.clone().count() as u64;
        match usize::try_from(random.below(2 * count + 1)) {
            Ok(at) if (at as u64) < count => older.nth(at).and_then(|older| older.bytes.clone()),
            _ => current,
        }
    }

    /// Notes that sectors are about to be written.
    fn soil(&mut self, page: u64, sectors: u8) {
        let dirty = self.dirty.entry(page).or_default();
        let again = *dirty & sectors;
        *dirty |= sectors;
        if again != 0 {
            let bytes = self.current.pages.get(&page).cloned();
            if self.older.len() >= OLDER_MAX {
                self.older.remove(0);
            }
            self.older.push(Older { page, sectors: again, bytes });
        }
    }
}

impl Content {
    /// Takes over sectors of a page; without a page they are zeros.
    fn put(&mut self, number: u64, sectors: u8, source: Option<&Arc<Page>>) {
        match source {
            Some(page) if sectors == ALL_SECTORS => {
                self.pages.insert(number, Arc::clone(page));
            }
            None if sectors == ALL_SECTORS => {
                self.pages.remove(&number);
            }
            _ => {
                let page = self.pages.entry(number).or_insert_with(|| Arc::new([0; PAGE_BYTES]));
                let page = Arc::make_mut(page);
                for sector in (0..8).filter(|sector| sectors & (1 << sector) != 0) {
                    let range = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
                    let Some(target) = page.get_mut(range.clone()) else { continue };
                    match source.and_then(|source| source.get(range)) {
                        Some(source) => target.copy_from_slice(source),
                        None => target.fill(0),
                    }
                }
            }
        }
    }

    /// Drops what lies behind the end, so that it is zeros when the file grows again.
    fn clip(&mut self) {
        let (last, within, _) = piece(self.length, 1);
        let cut = self.pages.split_off(&last);
        if within > 0
            && let Some(mut page) = cut.get(&last).cloned()
        {
            Arc::make_mut(&mut page).iter_mut().skip(within).for_each(|byte| *byte = 0);
            self.pages.insert(last, page);
        }
    }
}

/// The sectors of a page that hold the bytes from `start` to before `end`.
fn sectors(start: usize, end: usize) -> u8 {
    (0..8)
        .filter(|sector| start < (sector + 1) * SECTOR_BYTES && sector * SECTOR_BYTES < end)
        .fold(0, |sectors, sector| sectors | 1 << sector)
}

/// The page that holds `offset`, the place in it, and how many of `length` bytes are in that page.
fn piece(offset: u64, length: usize) -> (u64, usize, usize) {
    let page = PAGE_BYTES as u64;
    let start = usize::try_from(offset % page).unwrap_or(0);
    (offset / page, start, length.min(PAGE_BYTES - start))
}

pub(super) const PAGE_BYTES: usize = 4096;
/// What is written as a whole or not at all.
const SECTOR_BYTES: usize = 512;
const ALL_SECTORS: u8 = 0xff;
const OLDER_MAX: usize = 256;
