//! How well a group could be recovered, now: measured, and against what was asked for.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use vtl_media::{CartridgeEntry, CartridgeKind, CartridgeState, CopyRecord, CopyState};

use crate::facts::Situation;
use crate::group::Group;
use crate::size::size;

/// A drill older than this tells little of today.
const DRILL_DAYS: i64 = 30;

/// One rehearsal of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// When it ended.
    pub time: Timestamp,
    /// Whether everything came back.
    pub is_passed: bool,
    /// How long the recovery took, where something was recovered.
    pub recovery: Option<Duration>,
    /// What was on each of the cartridges, in bytes; nothing where that is not known.
    pub members: HashMap<Uuid, u64>,
}

impl Rehearsal {
    /// Whether a cartridge was among them, as far as that is known.
    fn has(&self, cartridge: Uuid) -> bool {
        self.members.is_empty() || self.members.contains_key(&cartridge)
    }
}

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    /// Whatever was asked for is so.
    Green,
    /// Something is not known, or not as it should be.
    Amber,
    /// It could not be recovered as it was asked for.
    Red,
}

/// 3 copies, on 2 kinds of media, 1 off-site, 1 that nobody can change from here, 0 errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rule32110 {
    /// There are three copies of everything, that on disk among them.
    pub three_copies: bool,
    /// One is on tape.
    pub two_media: bool,
    /// One is at another site.
    pub one_offsite: bool,
    /// One lies in no drive, or is locked.
    pub one_offline: bool,
    /// Everything was read back, nothing is damaged, and the last drill has passed.
    pub zero_errors: bool,
}

/// The newest moment that all of a group can be brought back to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Points {
    /// From the disk.
    pub disk: Option<Timestamp>,
    /// From physical tape, wherever that is.
    pub tape: Option<Timestamp>,
    /// From physical tape at another site.
    pub offsite: Option<Timestamp>,
}

/// A group's posture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Posture {
    /// The group.
    pub group: String,
    /// What it comes to.
    pub light: Light,
    /// Why it is not green, the worst first; each with what to do.
    pub reasons: Vec<String>,
    /// Cartridges with something on them.
    pub cartridges: usize,
    /// Bytes on these.
    pub bytes: u64,
    /// Recovery points.
    pub points: Points,
    /// How long the last drill that has passed took.
    pub recovery: Option<Duration>,
    /// When that was.
    pub rehearsed: Option<Timestamp>,
    /// The rule, point by point.
    pub rule: Rule32110,
    /// The cheapest thing to do that brings another point of the rule.
    pub next: Option<String>,
}

impl Rule32110 {
    /// How many of the five points are there.
    pub fn score(&self) -> u8 {
        let points = [
            self.three_copies,
            self.two_media,
            self.one_offsite,
            self.one_offline,
            self.zero_errors,
        ];
        points.into_iter().map(u8::from).sum()
    }
}

impl fmt::Display for Rule32110 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |is_there: bool, digit: char| if is_there { digit } else { '-' };
        write!(
            f,
            "{}·{}·{}·{}·{}",
            digit(self.three_copies, '3'),
            digit(self.two_media, '2'),
            digit(self.one_offsite, '1'),
            digit(self.one_offline, '1'),
            digit(self.zero_errors, '0')
        )
    }
}

/// A group's posture at this moment. `rehearsals` are its drills, the newest last.
pub fn posture(
    name: &str,
    group: &Group,
    situation: &Situation,
    rehearsals: &[Rehearsal],
) -> Posture {
    let is_member =
        |entry: &&CartridgeEntry| entry.kind == CartridgeKind::Data && group.has(&entry.barcode);
    let all: Vec<&CartridgeEntry> = situation.cartridges.iter().filter(is_member).collect();
    let written: Vec<&CartridgeEntry> =
        all.iter().copied().filter(|entry| entry.written_bytes > 0).collect();
    let passed = rehearsals.iter().rev().find(|it| it.is_passed && it.recovery.is_some());
    let rule = rule(situation, &written, rehearsals.last());
    let mut posture = Posture {
        group: name.to_owned(),
        light: Light::Green,
        reasons: Vec::new(),
        cartridges: written.len(),
        bytes: written.iter().map(|entry| entry.written_bytes).fold(0, u64::saturating_add),
        points: points(situation, &written),
        recovery: passed.and_then(|it| it.recovery),
        rehearsed: passed.map(|it| it.time),
        rule,
        next: next(name, rule, situation, &written),
    };
    posture.judge_coverage(&all, passed);
    posture.judge(group, situation, &all, rehearsals.last());
    posture
}

impl Posture {
    fn judge(
        &mut self,
        group: &Group,
        situation: &Situation,
        all: &[&CartridgeEntry],
        last: Option<&Rehearsal>,
    ) {
        let name = self.group.clone();
        let plain = |member: &&str| !member.contains(['*', '?']);
        let members = group.members.iter().map(|member| member.as_ref().as_str()).filter(plain);
        let is_there = |member: &&str| all.iter().any(|entry| entry.barcode.as_str() == *member);
        let on_disk = identities(&situation.cartridges);
        let is_gone =
            |copy: &&CopyRecord| group.has(&copy.barcode) && !on_disk.contains(&copy.cartridge);
        let gone = Gone::of(situation.copies.iter().filter(is_gone));
        let is_known = |member: &&str| is_there(member) || gone.has(member);
        let missing: Vec<&str> = members.filter(|member| !is_known(member)).collect();
        if !missing.is_empty() {
            self.add(
                Light::Red,
                format!("NOT RECOVERABLE: there is no cartridge {}", missing.join(", ")),
            );
        }
        let is_bad = |entry: &&&CartridgeEntry| {
            matches!(entry.state, CartridgeState::Damaged | CartridgeState::Missing)
        };
        let bad: Vec<&str> =
            all.iter().filter(is_bad).map(|entry| entry.barcode.as_str()).collect();
        if !bad.is_empty() {
            self.add(
                Light::Red,
                format!("damaged: {}; `vtl tape show` says where their copies are", bad.join(", ")),
            );
        }
        gone.judge(self);
        if self.cartridges == 0 && missing.is_empty() && gone.is_nothing() {
            self.add(Light::Red, "nothing was ever written on it".to_owned());
        }
        if last.is_some_and(|last| !last.is_passed) {
            self.add(
                Light::Red,
                format!("the last drill FAILED; `vtl drill show {name}` says why"),
            );
        }
        self.judge_targets(group, situation.now);
        let old = SignedDuration::from_hours(24 * DRILL_DAYS);
        match self.rehearsed {
            None if last.is_none_or(|last| last.is_passed) => {
                self.add(Light::Amber, format!("recovery was never measured: `vtl drill run {name}`"));
            }
            Some(at) if situation.now.duration_since(at) > old => self.add(
                Light::Amber,
                format!("the last drill that passed is over {DRILL_DAYS} days old: `vtl drill run {name}`"),
            ),
            _ => {}
        }
        if self.rule.score() < 5 && self.cartridges > 0 {
            let next = self.next.clone().map(|next| format!(": {next}")).unwrap_or_default();
            self.add(Light::Amber, format!("{} of 3-2-1-1-0{next}", self.rule));
        }
    }

    /// A rehearsal says nothing about what was not in it, and what was in it has to be there still.
    fn judge_coverage(&mut self, all: &[&CartridgeEntry], passed: Option<&Rehearsal>) {
        let Some(passed) = passed else { return };
        let had = |entry: &&&CartridgeEntry| {
            entry.written_bytes == 0
                && passed.members.get(&entry.uuid).is_some_and(|then| *then > 0)
        };
        let names = |entries: Vec<&&CartridgeEntry>| {
            entries.iter().map(|entry| entry.barcode.as_str()).collect::<Vec<_>>().join(", ")
        };
        let emptied: Vec<_> = all.iter().filter(had).collect();
        if !emptied.is_empty() {
            self.rule.zero_errors = false;
            self.add(
                Light::Red,
                format!(
                    "EMPTY now, and not when it was rehearsed: {}; `vtl tape history` says since when",
                    names(emptied)
                ),
            );
        }
        let is_new = |entry: &&&CartridgeEntry| entry.written_bytes > 0 && !passed.has(entry.uuid);
        let new: Vec<_> = all.iter().filter(is_new).collect();
        if !new.is_empty() {
            let name = self.group.clone();
            self.add(
                Light::Amber,
                format!(
                    "not in the last drill that passed: {}: `vtl drill run {name}`",
                    names(new)
                ),
            );
        }
    }

    fn judge_targets(&mut self, group: &Group, now: Timestamp) {
        if let (Some(target), Some(took)) = (&group.recovery_time, self.recovery)
            && SignedDuration::try_from(took).is_ok_and(|took| took > target.duration())
        {
            self.add(
                Light::Red,
                format!("recovery took {} s where {target} are allowed", took.as_secs()),
            );
        }
        let Some(target) = &group.recovery_point else { return };
        if let Some(point) = self.points.disk
            && now.duration_since(point) > target.duration()
        {
            self.add(
                Light::Red,
                format!(
                    "the newest backup is of {} where at most {target} may be lost",
                    crate::age::moment(point)
                ),
            );
        }
    }

    fn add(&mut self, light: Light, reason: String) {
        self.light = self.light.max(light);
        self.reasons.push(reason);
    }
}

/// What is not on the disk any more, and was once copied.
struct Gone<'a> {
    /// Copies of it are good.
    on_tape: BTreeSet<&'a str>,
    /// All of them are lost or damaged, and nobody has said that they do not count.
    lost: BTreeSet<&'a str>,
}

/// The barcodes of cartridges that are not on disk any more and have been copied, and of which no copy is good.
pub fn lost<'a>(copies: &'a [CopyRecord], cartridges: &[CartridgeEntry]) -> Vec<&'a str> {
    let on_disk = identities(cartridges);
    Gone::of(copies.iter().filter(|copy| !on_disk.contains(&copy.cartridge)))
        .lost
        .into_iter()
        .collect()
}

fn identities(cartridges: &[CartridgeEntry]) -> HashSet<Uuid> {
    cartridges.iter().map(|entry| entry.uuid).collect()
}

impl<'a> Gone<'a> {
    fn of(copies: impl Iterator<Item = &'a CopyRecord>) -> Self {
        let copies: Vec<&CopyRecord> = copies.collect();
        let names = |is_such: fn(&CopyRecord) -> bool| {
            let copies = copies.iter().filter(|copy| is_such(copy));
            copies.map(|copy| (copy.cartridge, copy.barcode.as_str())).collect::<BTreeSet<_>>()
        };
        let good = names(|copy| copy.state.is_receipted());
        let bad = names(|copy| {
            copy.state == CopyState::Lost
                || (copy.state == CopyState::Failed && copy.proved.is_some())
        });
        let barcodes =
            |of: Vec<(Uuid, &'a str)>| of.into_iter().map(|(_, barcode)| barcode).collect();
        Self {
            lost: barcodes(bad.difference(&good).copied().collect()),
            on_tape: barcodes(good.into_iter().collect()),
        }
    }

    fn has(&self, barcode: &str) -> bool {
        self.on_tape.contains(barcode) || self.lost.contains(barcode)
    }

    fn is_nothing(&self) -> bool {
        self.on_tape.is_empty() && self.lost.is_empty()
    }

    fn judge(&self, posture: &mut Posture) {
        let names = |of: &BTreeSet<&str>| of.iter().copied().collect::<Vec<_>>().join(", ");
        if !self.lost.is_empty() {
            let reason = format!(
                "LOST: {}: not on disk any more, and no copy on tape is good; `vtl vault list` says what became of them",
                names(&self.lost)
            );
            posture.add(Light::Red, reason);
        }
        if !self.on_tape.is_empty() {
            let reason = format!(
                "on tape only: {}: no drill reads them; `vtl import` brings them back to the disk",
                names(&self.on_tape)
            );
            posture.add(Light::Amber, reason);
        }
    }
}

/// What a copy brings back of a cartridge: everything, or what was there until some time.
fn reach(situation: &Situation, entry: &CartridgeEntry, copy: &CopyRecord) -> Timestamp {
    let is_current = situation.current_copies(entry).any(|current| current.id == copy.id);
    if is_current { Timestamp::MAX } else { copy.facts.as_of.unwrap_or(copy.staged) }
}

fn points(situation: &Situation, written: &[&CartridgeEntry]) -> Points {
    let newest = written.iter().filter_map(|entry| entry.last_written).max();
    let of = |is_counted: fn(&CopyRecord) -> bool| {
        let reached = |entry: &&CartridgeEntry| {
            let copies = situation.standing_copies(entry.uuid).filter(|copy| is_counted(copy));
            copies.map(|copy| reach(situation, entry, copy)).max()
        };
        // All or none: what one cartridge lacks, the group lacks.
        let reached: Option<Vec<Timestamp>> = written.iter().map(reached).collect();
        reached?.into_iter().min().min(newest)
    };
    let is_readable = |entry: &&CartridgeEntry| {
        !matches!(entry.state, CartridgeState::Damaged | CartridgeState::Missing)
    };
    Points {
        disk: newest.filter(|_| written.iter().all(is_readable)),
        tape: of(|copy| copy.state.is_receipted()),
        offsite: of(|copy| copy.state == CopyState::Offsite),
    }
}

/// The copies that bring back all that is on a cartridge.
fn good<'a>(situation: &'a Situation, entry: &'a CartridgeEntry) -> Vec<&'a CopyRecord> {
    situation.current_copies(entry).filter(|copy| copy.state.is_receipted()).collect()
}

fn rule(situation: &Situation, written: &[&CartridgeEntry], last: Option<&Rehearsal>) -> Rule32110 {
    if written.is_empty() {
        return Rule32110::default();
    }
    let all = |has: &dyn Fn(&CartridgeEntry, &[&CopyRecord]) -> bool| {
        written.iter().all(|entry| has(entry, &good(situation, entry)))
    };
    let is_out = |copy: &&CopyRecord| copy.state != CopyState::Receipted;
    Rule32110 {
        three_copies: all(&|_, copies| copies.len() >= 2),
        two_media: all(&|_, copies| !copies.is_empty()),
        one_offsite: all(&|_, copies| copies.iter().any(|copy| copy.state == CopyState::Offsite)),
        one_offline: all(&|entry, copies| {
            copies.iter().any(is_out) || situation.fixed.contains(&entry.uuid)
        }),
        zero_errors: all(&|entry, _| {
            entry.state == CartridgeState::Proved
                && last.is_some_and(|last| last.is_passed && last.has(entry.uuid))
        }),
    }
}

/// The cheapest step first: carrying a tape costs no writing, and reading less than that.
fn next(
    name: &str,
    rule: Rule32110,
    situation: &Situation,
    written: &[&CartridgeEntry],
) -> Option<String> {
    if written.is_empty() {
        return None;
    }
    if !rule.zero_errors {
        return Some(format!("`vtl drill run {name}` reads all of it and proves what is good"));
    }
    let lacks = |count: usize| {
        let is_short = |entry: &&&CartridgeEntry| good(situation, entry).len() < count;
        let short: Vec<&&CartridgeEntry> = written.iter().filter(is_short).collect();
        let bytes = short.iter().map(|entry| entry.written_bytes).fold(0, u64::saturating_add);
        (short.len(), bytes)
    };
    if rule.two_media && !rule.one_offsite {
        return Some("the tapes are written: take them to the other site with `vtl vault run` and `vtl vault ship`".to_owned());
    }
    let number = match (rule.two_media, rule.three_copies) {
        (false, _) => 1,
        (true, false) => 2,
        _ => return None,
    };
    let (count, bytes) = lacks(number);
    let cartridges = if count == 1 { "cartridge" } else { "cartridges" };
    Some(format!(
        "{count} {cartridges} with {} to physical tape: `vtl export --group {name} --copy {number} --library CHANGER`",
        size(bytes)
    ))
}

#[cfg(test)]
mod tests;
