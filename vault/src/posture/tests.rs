//! Postures against a plain count, and word by word.

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
                members: HashMap::new(),
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
    let drill = passed(&situation, &[]);
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

fn passed(situation: &Situation, members: &[(&CartridgeEntry, u64)]) -> Rehearsal {
    Rehearsal {
        time: situation.now,
        is_passed: true,
        recovery: Some(Duration::from_secs(10)),
        members: members.iter().map(|(entry, bytes)| (entry.uuid, *bytes)).collect(),
    }
}

/// A host had erased a cartridge of the group after its drill, and the group was as good as before: with one cartridge less. And one that had come
/// to the group was as good as rehearsed.
#[test]
fn what_was_rehearsed_has_to_be_there_and_what_came_later_was_not_rehearsed() {
    let written = Some("2026-11-28T19:00:00Z");
    let mut entries = [test_entry("A00001L9", written), test_entry("A00002L9", written)];
    for entry in &mut entries {
        entry.state = CartridgeState::Proved;
    }
    let mail = group("members = ['A*']");
    let both = test_situation(entries.to_vec());
    let drill = passed(&both, &[(&entries[0], 5), (&entries[1], 5)]);
    let of = |situation: &Situation, drill: &Rehearsal| {
        posture("mail", &mail, situation, std::slice::from_ref(drill))
    };
    assert!(of(&both, &drill).rule.zero_errors);
    let one = passed(&both, &[(&entries[0], 5)]);
    let newer = of(&both, &one);
    assert!(!newer.rule.zero_errors);
    let told = "not in the last drill that passed: A00002L9";
    assert!(newer.reasons.iter().any(|reason| reason.contains(told)), "{newer:?}");
    let mut erased = both.clone();
    erased.cartridges[1].written_bytes = 0;
    let erased = of(&erased, &drill);
    assert_eq!(erased.light, Light::Red);
    assert!(erased.reasons[0].starts_with("EMPTY now"), "{erased:?}");
}

/// What a policy had freed from the disk was called not recoverable though its copies were good; and when the last of them was lost, a group with a
/// pattern said nothing.
#[test]
fn what_is_on_tape_only_is_told_and_what_is_lost_is_red() {
    let entry = test_entry("A00001L9", Some("2026-11-28T19:00:00Z"));
    let mut situation = test_situation(Vec::new());
    let copy = |state| CopyRecord {
        id: Uuid::from_u128(1),
        cartridge: entry.uuid,
        barcode: entry.barcode.clone(),
        number: 1,
        state,
        since: situation.now,
        staged: situation.now,
        proved: Some(situation.now),
        facts: CopyFacts::default(),
    };
    let states = [
        (CopyState::Offsite, Light::Amber, "on tape only: A00001L9"),
        (CopyState::Lost, Light::Red, "LOST: A00001L9"),
        (CopyState::Failed, Light::Red, "LOST: A00001L9"),
    ];
    let copies = states.map(|(state, ..)| copy(state));
    for members in ["members = ['A00001L9']", "members = ['A*']"] {
        for ((_, light, told), copy) in states.iter().zip(&copies) {
            situation.copies = vec![copy.clone()];
            let found = posture("mail", &group(members), &situation, &[]);
            assert_eq!(found.light, *light, "{found:?}");
            assert!(found.reasons[0].starts_with(told), "{found:?}");
        }
    }
}

/// The 1 of "offline" means what nobody here can change: a lock of governance goes with a word.
#[test]
fn only_a_lock_that_nobody_can_lift_is_as_good_as_a_tape_elsewhere() {
    let entry = test_entry("A00001L9", Some("2026-11-28T19:00:00Z"));
    let mut situation = test_situation(vec![entry.clone()]);
    let is_offline = |situation: &Situation| {
        posture("mail", &group("members = ['A*']"), situation, &[]).rule.one_offline
    };
    situation.locked.insert(entry.uuid, "governed".to_owned());
    assert!(!is_offline(&situation));
    situation.fixed.insert(entry.uuid);
    assert!(is_offline(&situation));
}
