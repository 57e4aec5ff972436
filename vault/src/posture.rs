//! How well a group could be recovered, now: measured, and against what was asked for.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use vtl_media::{CartridgeEntry, CartridgeKind, CartridgeState, CopyRecord, CopyState};

use crate::facts::Situation;
use crate::group::Group;

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
        let missing: Vec<&str> = members.filter(|member| !is_there(member)).collect();
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
        if self.cartridges == 0 && missing.is_empty() {
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
            copies.iter().any(is_out) || situation.locked.contains_key(&entry.uuid)
        }),
        zero_errors: all(&|entry, _| entry.state == CartridgeState::Proved)
            && last.is_some_and(|last| last.is_passed),
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
    Some(format!(
        "{count} cartridges with {} to physical tape: `vtl export --group {name} --copy {number} --library CHANGER`",
        size(bytes)
    ))
}

/// In the largest unit that says enough.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    let unit = UNITS.into_iter().find(|(_, length)| bytes >= *length);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(name, length)| format!("{}.{} {name}", bytes / length, bytes % length * 10 / length),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;
    use vtl_media::{Barcode, CopyFacts};

    use super::*;
    use crate::facts::{test_entry, test_situation};

    const START: i64 = 1_700_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(START + second).unwrap()
    }

    fn group(text: &str) -> Group {
        toml::from_str(text).unwrap()
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }
    }

    /// A copy as the simulation knows it: how much had been written when it was made, and where it went.
    struct Tape {
        member: usize,
        made: i64,
        writes: usize,
        state: CopyState,
    }

    /// A history, second by second, and what is to be known of it without any of the code above.
    struct History {
        now: i64,
        /// Of each cartridge, when it was written.
        writes: Vec<Vec<i64>>,
        proved: Vec<bool>,
        damaged: Vec<bool>,
        tapes: Vec<Tape>,
        drills: Vec<(i64, bool, u64)>,
    }

    impl History {
        fn random(random: &mut Random) -> Self {
            let members = 1 + usize::try_from(random.below(4)).unwrap();
            let mut history = Self {
                now: 0,
                writes: vec![Vec::new(); members],
                proved: vec![false; members],
                damaged: vec![false; members],
                tapes: Vec::new(),
                drills: Vec::new(),
            };
            for _ in 0..random.below(40) {
                history.now += 1 + i64::try_from(random.below(5)).unwrap();
                let member = usize::try_from(random.below(members as u64)).unwrap();
                let tape = random.below(history.tapes.len().max(1) as u64);
                let tape = history.tapes.get_mut(usize::try_from(tape).unwrap());
                match random.below(12) {
                    0..4 => {
                        history.writes[member].push(history.now);
                        history.proved[member] = false;
                    }
                    4..8 => history.tapes.push(Tape {
                        member,
                        made: history.now,
                        writes: history.writes[member].len(),
                        state: CopyState::Receipted,
                    }),
                    8 | 9 => {
                        if let Some(tape) = tape {
                            use CopyState::{Courier, Ejected, Lost, Offsite, Receipted};
                            tape.state = match tape.state {
                                Receipted => Ejected,
                                Ejected => Courier,
                                Courier if random.below(4) == 0 => Lost,
                                Courier => Offsite,
                                other => other,
                            };
                        }
                    }
                    10 => {
                        history.damaged[member] |= random.below(8) == 0;
                        history.proved[member] = !history.damaged[member];
                    }
                    _ => history.drills.push((history.now, random.below(4) > 0, random.below(90))),
                }
            }
            history.now += 1;
            history
        }

        /// What the library would know.
        fn situation(&self) -> Situation {
            let entry = |(number, writes): (usize, &Vec<i64>)| {
                let mut entry = test_entry(&format!("A0000{number}L9"), None);
                entry.uuid = Uuid::from_u128(number as u128);
                entry.written_bytes = writes.len() as u64;
                entry.last_written = writes.last().map(|second| at(*second));
                entry.state = match (self.damaged[number], self.proved[number], writes.is_empty()) {
                    (true, ..) => CartridgeState::Damaged,
                    (_, _, true) => CartridgeState::Empty,
                    (_, true, _) => CartridgeState::Proved,
                    _ => CartridgeState::Written,
                };
                entry
            };
            let copy = |(number, tape): (usize, &Tape)| CopyRecord {
                id: Uuid::from_u128(1000 + number as u128),
                cartridge: Uuid::from_u128(tape.member as u128),
                barcode: Barcode::new(&format!("A0000{}L9", tape.member)).unwrap(),
                number: 1,
                state: tape.state,
                since: at(tape.made),
                staged: at(tape.made),
                proved: Some(at(tape.made)),
                facts: CopyFacts {
                    as_of: Some(at(tape.made)),
                    bytes: Some(tape.writes as u64),
                    ..CopyFacts::default()
                },
            };
            let mut situation = test_situation(self.writes.iter().enumerate().map(entry).collect());
            situation.now = at(self.now);
            situation.copies = self.tapes.iter().enumerate().map(copy).collect();
            situation
        }

        fn members(&self) -> impl Iterator<Item = usize> {
            (0..self.writes.len()).filter(|member| !self.writes[*member].is_empty())
        }

        /// Every second is tried, from the end: is everything that had been written by then on tapes of this kind?
        fn point(&self, is_counted: fn(CopyState) -> bool) -> Option<i64> {
            let newest = self.members().filter_map(|member| self.writes[member].last()).max()?;
            (0..=*newest).rev().find(|second| {
                self.members().all(|member| {
                    self.tapes.iter().any(|tape| {
                        let has_all = tape.writes == self.writes[member].len();
                        tape.member == member
                            && is_counted(tape.state)
                            && (has_all || tape.made >= *second)
                    })
                })
            })
        }

        fn light(&self, target: i64) -> Light {
            let is_damaged = self.damaged.iter().any(|damaged| *damaged);
            let newest = self.members().filter_map(|member| self.writes[member].last()).max();
            let Some(newest) = newest else { return Light::Red };
            let last_failed = self.drills.last().is_some_and(|drill| !drill.1);
            let passed = self.drills.iter().rev().find(|drill| drill.1);
            let is_slow = passed.is_some_and(|drill| drill.2 > 60);
            if is_damaged || last_failed || is_slow || self.now - newest > target {
                return Light::Red;
            }
            let is_full = |wanted: usize, is_counted: fn(CopyState) -> bool| {
                self.members().all(|member| {
                    let has_all = |tape: &&Tape| {
                        tape.member == member
                            && tape.writes == self.writes[member].len()
                            && is_counted(tape.state)
                    };
                    self.tapes.iter().filter(has_all).count() >= wanted
                })
            };
            let is_proved = self.members().all(|member| self.proved[member]);
            let is_green = passed.is_some()
                && is_proved
                && is_full(2, is_there)
                && is_full(1, |state| state == CopyState::Offsite);
            if is_green { Light::Green } else { Light::Amber }
        }
    }

    fn is_there(state: CopyState) -> bool {
        state != CopyState::Lost
    }

    #[test]
    fn a_thousand_histories_come_to_what_a_plain_count_says() {
        let mut random = Random(20_261_129);
        let group = group("members = ['A*']\nrecovery-time = '60s'\nrecovery-point = '12s'");
        let mut seen = BTreeMap::new();
        for number in 0..1000 {
            let history = History::random(&mut random);
            let rehearsals: Vec<Rehearsal> = history
                .drills
                .iter()
                .map(|(second, is_passed, took)| Rehearsal {
                    time: at(*second),
                    is_passed: *is_passed,
                    recovery: Some(Duration::from_secs(*took)),
                })
                .collect();
            let found = posture("mail", &group, &history.situation(), &rehearsals);
            let second = |time: Option<Timestamp>| time.map(|time| time.as_second() - START);
            assert_eq!(second(found.points.tape), history.point(is_there), "history {number}");
            let offsite = history.point(|state| state == CopyState::Offsite);
            assert_eq!(second(found.points.offsite), offsite, "history {number}");
            assert_eq!(found.light, history.light(12), "history {number}: {found:#?}");
            assert_eq!(found.light == Light::Green, found.reasons.is_empty());
            *seen.entry(found.light).or_insert(0) += 1;
        }
        assert!(seen[&Light::Red] > 50 && seen[&Light::Amber] > 50, "{seen:?}");
    }

    #[test]
    fn a_group_that_has_everything_is_green_and_each_lack_is_named() {
        let mut entry = test_entry("A00001L9", Some("2026-11-28T19:00:00Z"));
        entry.state = CartridgeState::Proved;
        let mut situation = test_situation(vec![entry.clone()]);
        let copy = |number: u32, state| CopyRecord {
            id: Uuid::from_u128(number.into()),
            cartridge: entry.uuid,
            barcode: entry.barcode.clone(),
            number,
            state,
            since: situation.now,
            staged: situation.now,
            proved: Some(situation.now),
            facts: CopyFacts { as_of: Some(situation.now), ..CopyFacts::default() },
        };
        let copies = vec![copy(1, CopyState::Offsite), copy(2, CopyState::Receipted)];
        situation.copies = copies;
        let drill = Rehearsal {
            time: situation.now,
            is_passed: true,
            recovery: Some(Duration::from_secs(10)),
        };
        let mail = group("members = ['A00001L9']\nrecovery-time = '1m'\nrecovery-point = '1d'");
        let whole = posture("mail", &mail, &situation, std::slice::from_ref(&drill));
        assert_eq!((whole.light, whole.rule.to_string().as_str()), (Light::Green, "3·2·1·1·0"));
        let never = posture("mail", &mail, &situation, &[]);
        assert!(
            never.light == Light::Amber && never.reasons[0].contains("drill run mail"),
            "{never:?}"
        );
        let lacking = group("members = ['A00001L9', 'A00002L9']");
        let lacking = posture("mail", &lacking, &situation, std::slice::from_ref(&drill));
        assert!(lacking.light == Light::Red && lacking.reasons[0].contains("A00002L9"));
        situation.copies.truncate(1);
        let one = posture("mail", &mail, &situation, std::slice::from_ref(&drill));
        assert_eq!(one.rule.to_string(), "-·2·1·1·0");
        assert!(one.next.unwrap().contains("--copy 2"));
    }
}
