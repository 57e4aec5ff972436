//! What the drive counts: what log pages tell, and what LOG SELECT sets back.
//!
//! Nothing here is counted on the way of a READ or a WRITE: what went through is the cartridge's own account, and errors are
//! rare. Everything counts from power on, as there is no memory in the drive that outlives the program; log pages claim no more.

use std::collections::{BTreeMap, VecDeque};

use vtl_media::{Traffic, Volume};
use vtl_scsi::sense::{Asc, SenseKey};

/// As many errors are remembered.
const MAX_EVENTS: usize = 16;

/// Counts since power on, or what has been added since some moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// What went through, all cartridges together.
    pub(crate) traffic: Traffic,
    /// How often a cartridge was threaded.
    pub(crate) volume_loads: u64,
    /// Writes that failed for good.
    pub(crate) hard_write_errors: u64,
    /// Reads that failed for good.
    pub(crate) hard_read_errors: u64,
}

/// An error that could not be helped.
#[derive(Debug, Clone)]
pub(crate) struct HardError {
    pub(crate) density: u8,
    pub(crate) medium_type: u8,
    pub(crate) key: SenseKey,
    pub(crate) asc: Asc,
    pub(crate) operation_code: u8,
    pub(crate) barcode: String,
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    /// All but what went through the cartridge that is in the drive.
    counted: Counters,
    /// What had been counted when LOG SELECT set a page back, or where the page begins anew with each cartridge.
    set_back: BTreeMap<u8, Counters>,
    /// What had been counted when the cartridge that is in the drive was loaded.
    at_load: Counters,
    /// The newest first.
    // Invariant: errors.len() <= MAX_EVENTS
    errors: VecDeque<HardError>,
}

impl Statistics {
    /// A cartridge was threaded. These pages begin anew.
    pub(crate) fn loaded(&mut self, pages: &[u8]) {
        self.counted.volume_loads += 1;
        self.at_load = self.counted;
        for page in pages {
            self.set_back.insert(*page, self.counted);
        }
    }

    /// What went through this cartridge stays counted when it is gone, or read anew.
    pub(crate) fn keep_traffic_of(&mut self, cartridge: &Volume) {
        self.counted.traffic = with(self.counted.traffic, cartridge.traffic(), u64::saturating_add);
    }

    /// An error that could not be helped.
    pub(crate) fn hard_error(&mut self, error: HardError, is_of_writing: bool) {
        if is_of_writing {
            self.counted.hard_write_errors += 1;
        } else {
            self.counted.hard_read_errors += 1;
        }
        self.errors.truncate(MAX_EVENTS - 1);
        self.errors.push_front(error);
    }

    /// The newest errors, the newest first.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &HardError> {
        self.errors.iter()
    }

    /// Nothing is remembered of them.
    pub(crate) fn forget_errors(&mut self) {
        self.errors.clear();
    }

    /// The counters of a page begin anew.
    pub(crate) fn set_back(&mut self, page: u8, cartridge: Option<&Volume>) {
        self.set_back.insert(page, self.now(cartridge));
    }

    /// What this page tells: everything since power on, since it was set back, or since it began anew.
    pub(crate) fn of_page(&self, page: u8, cartridge: Option<&Volume>) -> Counters {
        let begin = self.set_back.get(&page).copied().unwrap_or_default();
        self.now(cartridge).since(begin)
    }

    /// What was counted since the cartridge that is in the drive was loaded.
    pub(crate) fn since_load(&self, cartridge: Option<&Volume>) -> Counters {
        self.now(cartridge).since(self.at_load)
    }

    fn now(&self, cartridge: Option<&Volume>) -> Counters {
        let current = cartridge.map(Volume::traffic).unwrap_or_default();
        let traffic = with(self.counted.traffic, current, u64::saturating_add);
        Counters { traffic, ..self.counted }
    }
}

impl Counters {
    fn since(self, begin: Self) -> Self {
        Self {
            traffic: with(self.traffic, begin.traffic, u64::saturating_sub),
            volume_loads: self.volume_loads.saturating_sub(begin.volume_loads),
            hard_write_errors: self.hard_write_errors.saturating_sub(begin.hard_write_errors),
            hard_read_errors: self.hard_read_errors.saturating_sub(begin.hard_read_errors),
        }
    }
}

fn with(a: Traffic, b: Traffic, join: fn(u64, u64) -> u64) -> Traffic {
    Traffic {
        accepted_bytes: join(a.accepted_bytes, b.accepted_bytes),
        laid_out_bytes: join(a.laid_out_bytes, b.laid_out_bytes),
        written_bytes: join(a.written_bytes, b.written_bytes),
        given_bytes: join(a.given_bytes, b.given_bytes),
        unpacked_bytes: join(a.unpacked_bytes, b.unpacked_bytes),
        read_bytes: join(a.read_bytes, b.read_bytes),
    }
}
