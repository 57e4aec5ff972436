//! TapeAlert flags and what lights them (SSC-5 §4.2.20 and Annex A).
//!
//! A flag is lit until LOG SELECT sets it back or the next cartridge comes in: all of them are about the cartridge, or about work
//! on it. Log page 2Eh shows it to each nexus once; the response page 12h as long as it is lit.

use std::collections::{BTreeMap, BTreeSet};

use vtl_media::MediumError;
use vtl_scsi::ItNexus;
use vtl_scsi::sense::Sense;

use crate::Drive;
use crate::statistics::HardError;

/// There are as many.
pub(crate) const TAPE_ALERT_FLAGS: u16 = 64;

/// Writing is near failing: the disk behind the cartridge is nearly full.
const WRITE_WARNING: u16 = 0x02;
/// Reading or writing failed with an error that cannot be corrected.
const HARD_ERROR: u16 = 0x03;
/// The medium is at fault.
pub(crate) const MEDIA: u16 = 0x04;
/// Reading failed.
const READ_FAILURE: u16 = 0x05;
/// Writing failed.
const WRITE_FAILURE: u16 = 0x06;
/// A host wanted to write on what is write protected.
pub(crate) const WRITE_PROTECT: u16 = 0x09;
/// Somebody wanted to take the cartridge out while a host prevents it.
const NO_REMOVAL: u16 = 0x0a;
/// A cleaning cartridge is in the drive.
pub(crate) const CLEANING_MEDIA: u16 = 0x0b;
/// The cartridge is of a format that the drive does not know.
pub(crate) const UNSUPPORTED_FORMAT: u16 = 0x0c;
/// A host wanted to write on a cartridge that this drive only reads.
const READ_ONLY_FORMAT: u16 = 0x11;
/// The cleaning cartridge is used up.
pub(crate) const CLEANING_EXPIRED: u16 = 0x16;
/// A host wanted to overwrite what is on a WORM medium.
pub(crate) const WORM_OVERWRITE: u16 = 0x3c;

/// Flags that a drive can light, as VPD page B2h tells.
pub(crate) const SUPPORTED: [u16; 12] = [
    WRITE_WARNING,
    HARD_ERROR,
    MEDIA,
    READ_FAILURE,
    WRITE_FAILURE,
    WRITE_PROTECT,
    NO_REMOVAL,
    CLEANING_MEDIA,
    UNSUPPORTED_FORMAT,
    READ_ONLY_FORMAT,
    CLEANING_EXPIRED,
    WORM_OVERWRITE,
];

/// Which flags are lit, and who has seen them.
#[derive(Debug, Default)]
pub(crate) struct TapeAlerts {
    lit: BTreeSet<u16>,
    /// What each nexus has read since it was lit last.
    read: BTreeMap<ItNexus, BTreeSet<u16>>,
}

impl TapeAlerts {
    /// Lights a flag: everybody is shown it again.
    pub(crate) fn insert(&mut self, flag: u16) {
        self.lit.insert(flag);
        self.read.values_mut().for_each(|read| {
            read.remove(&flag);
        });
    }

    /// Lights several.
    pub(crate) fn extend(&mut self, flags: impl IntoIterator<Item = u16>) {
        flags.into_iter().for_each(|flag| self.insert(flag));
    }

    /// Puts one out.
    pub(crate) fn remove(&mut self, flag: u16) {
        self.lit.remove(&flag);
    }

    /// Puts all out.
    pub(crate) fn clear(&mut self) {
        self.lit.clear();
        self.read.clear();
    }

    /// A session ended; it is shown everything when it comes back.
    pub(crate) fn nexus_ends(&mut self, nexus: ItNexus) {
        self.read.remove(&nexus);
    }
}

const READ_6: u8 = 0x08;
const WRITE_6: u8 = 0x0a;

impl Drive {
    /// Whether a host holds the cartridge in, now that somebody wants to have it: that lights a flag.
    pub fn refuses_removal(&mut self) -> bool {
        let is_prevented = self.is_removal_prevented();
        if is_prevented {
            self.tape_alerts.insert(NO_REMOVAL);
        }
        is_prevented
    }

    /// Something could not be read.
    pub(crate) fn note_read_failure(&mut self, error: &MediumError) {
        self.tape_alerts.extend([HARD_ERROR, READ_FAILURE]);
        if matches!(error, MediumError::Damaged { .. } | MediumError::EndOfDataMissing { .. }) {
            self.tape_alerts.insert(MEDIA);
        }
        self.note_hard_error(error, READ_6);
    }

    /// Something could not be written.
    pub(crate) fn note_write_failure(&mut self, error: &MediumError) {
        self.tape_alerts.extend([HARD_ERROR, WRITE_FAILURE]);
        self.note_hard_error(error, WRITE_6);
    }

    /// The flags that are lit. The one that says that the disk is nearly full is so as long as the disk is.
    pub(crate) fn lit_tape_alerts(&self) -> BTreeSet<u16> {
        let mut lit = self.tape_alerts.lit.clone();
        if self.cartridge().is_some_and(|volume| volume.is_space_low()) {
            lit.insert(WRITE_WARNING);
        }
        lit
    }

    /// The flags that are lit and that this nexus has not read.
    pub(crate) fn unread_tape_alerts(&self, nexus: ItNexus) -> BTreeSet<u16> {
        let mut unread = self.lit_tape_alerts();
        if let Some(read) = self.tape_alerts.read.get(&nexus) {
            unread.retain(|flag| !read.contains(flag));
        }
        unread
    }

    /// This nexus has read all of them.
    pub(crate) fn tape_alerts_were_read(&mut self, nexus: ItNexus) {
        let lit = self.lit_tape_alerts();
        self.tape_alerts.read.insert(nexus, lit);
    }

    /// A command that would write was refused for this.
    pub(crate) fn note_refused_write(&mut self, sense: Sense) {
        if sense == Sense::write_protected() {
            self.tape_alerts.insert(WRITE_PROTECT);
        } else if sense == Sense::cannot_write_format() {
            self.tape_alerts.insert(READ_ONLY_FORMAT);
        }
    }

    fn note_hard_error(&mut self, error: &MediumError, operation_code: u8) {
        let sense = crate::sense::of_medium_error(error, None);
        let header = crate::mode_page::header(self);
        let barcode = self.cartridge().map(|cartridge| cartridge.label().barcode.to_string());
        let error = HardError {
            density: crate::mode_page::density(self),
            medium_type: header.medium_type,
            key: sense.key,
            asc: sense.asc,
            operation_code,
            barcode: barcode.unwrap_or_default(),
        };
        self.statistics.hard_error(error, operation_code == WRITE_6);
    }
}
