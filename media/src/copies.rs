//! Copies of cartridges on physical tape: the states that each goes through, none of which can be skipped.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::barcode::Barcode;
use crate::inventory::CartridgeEntry;

/// Where a copy is on its way.
///
/// ```text
/// STAGED → MANIFESTED → WRITTEN → PROVED → RECEIPTED → EJECTED → COURIER → OFFSITE → RECALLED → RETURNED
///    └──────────┴──────────┴─────────┴── any but LOST and RETIRED ──┴─────────┴──► FAILED ──► RETIRED
/// from EJECTED to RECALLED ──► LOST ──► RETURNED            RETURNED ──► EJECTED (it goes out again)
/// RECEIPTED, EJECTED, OFFSITE, RETURNED, LOST ──► RETIRED                  RECALLED ──► OFFSITE (the recall is called off)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyState {
    /// It is to be made.
    Staged,
    /// What is to be on the tape was computed from the cartridge, and signed.
    Manifested,
    /// The tape has it, as far as the drive says.
    Written,
    /// The tape was unloaded, loaded and read back, and is what the manifest says.
    Proved,
    /// A signed receipt says so. From here on the disk's copy may be given up.
    Receipted,
    /// The tape is out of the drive, ready to be packed.
    Ejected,
    /// Somebody has it on the way to the other site.
    Courier,
    /// The other site has said that it is there.
    Offsite,
    /// It was asked back.
    Recalled,
    /// It is here again.
    Returned,
    /// The tape, or its content, is not to be relied on. It is never written again without being asked for.
    Failed,
    /// Nobody knows where it is.
    Lost,
    /// It does not count any more: its tape may be used for something else.
    Retired,
}

impl CopyState {
    /// All states in the order of the walk.
    pub const ALL: [Self; 13] = [
        Self::Staged,
        Self::Manifested,
        Self::Written,
        Self::Proved,
        Self::Receipted,
        Self::Ejected,
        Self::Courier,
        Self::Offsite,
        Self::Recalled,
        Self::Returned,
        Self::Failed,
        Self::Lost,
        Self::Retired,
    ];

    /// Whether a copy in this state may be in that one next.
    pub fn may_become(self, next: Self) -> bool {
        use CopyState::{
            Courier, Ejected, Failed, Lost, Manifested, Offsite, Proved, Recalled, Receipted,
            Retired, Returned, Staged, Written,
        };
        let is_forward = matches!(
            (self, next),
            (Staged, Manifested)
                | (Manifested, Written)
                | (Written, Proved)
                | (Proved, Receipted)
                | (Receipted | Returned, Ejected)
                | (Ejected, Courier)
                | (Courier | Recalled, Offsite)
                | (Offsite, Recalled)
                | (Recalled | Lost, Returned)
                | (Ejected | Courier | Offsite | Recalled, Lost)
                | (Receipted | Ejected | Returned | Failed, Retired)
        );
        is_forward || (next == Failed && !self.is_over())
    }

    /// Whether somebody may say that it does not count any more. One that is being made fails or is finished, and what became of one that is on
    /// its way is noted when its container is opened.
    pub fn may_retire(self) -> bool {
        matches!(
            self,
            Self::Receipted
                | Self::Ejected
                | Self::Offsite
                | Self::Returned
                | Self::Failed
                | Self::Lost
        )
    }

    /// Whether the copy was read back, has a receipt, and is not known to be bad or gone: what the disk's copy may be given up for.
    pub fn is_receipted(self) -> bool {
        matches!(
            self,
            Self::Receipted
                | Self::Ejected
                | Self::Courier
                | Self::Offsite
                | Self::Recalled
                | Self::Returned
        )
    }

    /// Whether it does not count any more, and makes room for another one of its number.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Failed | Self::Lost | Self::Retired)
    }

    /// Whether the copy is still being made.
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Staged | Self::Manifested | Self::Written | Self::Proved)
    }

    /// Whether the tape is not on this site, as far as anybody knows.
    pub fn is_away(self) -> bool {
        matches!(self, Self::Courier | Self::Offsite | Self::Recalled)
    }

    /// The name as it is written: `offsite`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Manifested => "manifested",
            Self::Written => "written",
            Self::Proved => "proved",
            Self::Receipted => "receipted",
            Self::Ejected => "ejected",
            Self::Courier => "courier",
            Self::Offsite => "offsite",
            Self::Recalled => "recalled",
            Self::Returned => "returned",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for CopyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a step says of a copy beside its state. What is not said stays as it was, but for `expected` and `reason`, which are those of the last step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CopyFacts {
    /// The barcode on the physical tape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// The medium's serial number, which its memory tells (attribute 0401h).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium_serial: Option<String>,
    /// The generation of the cartridge's journal that was copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// The moment of the cartridge that was copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// Bytes of all blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// SHA-256 of the receipt's file, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// The container that it travels in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The container's seal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
    /// The other site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// When the next step is expected: at the other site, or here again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Timestamp>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A copy, as the ledger's entries add up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyRecord {
    /// Its identity; that of its receipt too.
    pub id: Uuid,
    /// The cartridge that it is a copy of. It may be gone.
    pub cartridge: Uuid,
    /// The barcode that the cartridge had.
    pub barcode: Barcode,
    /// Which of several copies, from 1.
    pub number: u32,
    /// Where it is on its way.
    pub state: CopyState,
    /// Since when.
    pub since: Timestamp,
    /// When it was asked for.
    pub staged: Timestamp,
    /// When it was last read back as a whole.
    pub proved: Option<Timestamp>,
    /// What else is known.
    #[serde(flatten)]
    pub facts: CopyFacts,
}

impl CopyRecord {
    /// Whether it holds what is on its cartridge now, or would if it were finished.
    pub fn holds(&self, entry: &CartridgeEntry) -> bool {
        let facts = &self.facts;
        // A clock that was set back must not make an old copy one of what is there now.
        let is_same = facts.generation.is_none_or(|number| number == entry.generation)
            && facts.bytes.is_none_or(|bytes| bytes == entry.written_bytes);
        is_same
            && facts.as_of.unwrap_or(self.staged) >= entry.last_written.unwrap_or(Timestamp::MIN)
    }

    pub(crate) fn new(
        id: Uuid,
        cartridge: Uuid,
        barcode: Barcode,
        number: u32,
        time: Timestamp,
    ) -> Self {
        Self {
            id,
            cartridge,
            barcode,
            number,
            state: CopyState::Staged,
            since: time,
            staged: time,
            proved: None,
            facts: CopyFacts::default(),
        }
    }

    /// Takes the step, which the caller knows to be one of the walk.
    pub(crate) fn advance(&mut self, state: CopyState, facts: &CopyFacts, time: Timestamp) {
        (self.state, self.since) = (state, time);
        if state == CopyState::Proved {
            self.proved = Some(time);
        }
        let known = &mut self.facts;
        let keep = |old: &mut Option<String>, new: &Option<String>| {
            if new.is_some() {
                old.clone_from(new);
            }
        };
        keep(&mut known.volume, &facts.volume);
        keep(&mut known.medium_serial, &facts.medium_serial);
        keep(&mut known.receipt, &facts.receipt);
        keep(&mut known.container, &facts.container);
        keep(&mut known.seal, &facts.seal);
        keep(&mut known.site, &facts.site);
        known.generation = facts.generation.or(known.generation);
        known.as_of = facts.as_of.or(known.as_of);
        known.bytes = facts.bytes.or(known.bytes);
        known.expected = facts.expected;
        known.reason.clone_from(&facts.reason);
    }

    /// Whether the step that was expected has not come.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.facts.expected.is_some_and(|expected| expected < now)
    }
}

/// What the copies of one cartridge come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopySummary {
    /// Copies that were read back, have a receipt, are not known to be bad or gone, and hold what is on the cartridge now.
    pub good: u32,
    /// Those that hold what was on it before, and are as good otherwise.
    pub stale: u32,
    /// The best state that one of them is in: the furthest of those with a receipt, else of those that are being made, else what became
    /// of the others.
    pub best: Option<CopyState>,
    /// When a good one was last read back.
    pub proved: Option<Timestamp>,
}

impl CopySummary {
    /// Adds one copy; of a cartridge that is gone, its last content is all that there is.
    pub fn add(&mut self, copy: &CopyRecord, entry: Option<&CartridgeEntry>) {
        if copy.state.is_receipted() {
            let is_stale = entry.is_some_and(|entry| !copy.holds(entry));
            let count = if is_stale { &mut self.stale } else { &mut self.good };
            *count = count.saturating_add(1);
            self.proved = self.proved.max(copy.proved);
        }
        let rank = |state: CopyState| (state.is_receipted(), state.is_under_way(), state);
        if self.best.is_none_or(|best| rank(best) < rank(copy.state)) {
            self.best = Some(copy.state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The disk's copy depends on it: nothing is receipted that was not proved, whichever way it came.
    #[test]
    fn no_way_to_a_receipt_goes_past_the_proof() {
        let reached_without = |forbidden: CopyState| {
            let mut reached = vec![CopyState::Staged];
            let mut at = 0;
            while let Some(state) = reached.get(at).copied() {
                for next in CopyState::ALL {
                    if state.may_become(next) && next != forbidden && !reached.contains(&next) {
                        reached.push(next);
                    }
                }
                at += 1;
            }
            reached
        };
        for step in [CopyState::Manifested, CopyState::Written, CopyState::Proved] {
            assert!(reached_without(step).iter().all(|state| !state.is_receipted()), "{step}");
        }
        let all = reached_without(CopyState::Staged);
        assert_eq!(all.len(), CopyState::ALL.len(), "a state that nothing leads to");
        let without_receipt = reached_without(CopyState::Receipted);
        assert!(
            !without_receipt.contains(&CopyState::Courier),
            "it left the house without a receipt"
        );
    }

    #[test]
    fn a_copy_that_is_good_counts_before_one_that_is_not() {
        let time: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let barcode = Barcode::new("VTL001L9").unwrap();
        let mut summary = CopySummary::default();
        let mut add = |state| {
            let mut copy = CopyRecord::new(Uuid::nil(), Uuid::nil(), barcode.clone(), 1, time);
            (copy.state, copy.proved) = (state, Some(time));
            summary.add(&copy, None);
            summary
        };
        assert_eq!(add(CopyState::Lost).best, Some(CopyState::Lost));
        assert_eq!(add(CopyState::Staged).best, Some(CopyState::Staged));
        let good = add(CopyState::Offsite);
        assert_eq!((good.good, good.best, good.proved), (1, Some(CopyState::Offsite), Some(time)));
        let more = add(CopyState::Proved);
        assert_eq!((more.good, more.best), (1, Some(CopyState::Offsite)));
        assert_eq!(add(CopyState::Receipted).good, 2);
    }

    #[test]
    fn nothing_stays_where_it_is_or_comes_back_from_the_dead() {
        for state in CopyState::ALL {
            assert!(!state.may_become(state), "{state}");
            assert!(!state.may_become(CopyState::Staged));
            assert!(!CopyState::Retired.may_become(state));
            assert_eq!(CopyState::Failed.may_become(state), state == CopyState::Retired);
        }
    }
}
