//! The ledger against everything that can happen to its files.

mod changed;

use std::path::Path;
use std::sync::Arc;

use super::frame::{Frame, SEGMENT_HEADER_BYTES, encode_frame};
use super::*;
use crate::disk::{Call, Fault, FaultDisk, MemoryDisk, OpenMode, Reaction, write_all_at};
use crate::whole::read_whole;

const DIRECTORY: &str = "/ledger";
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn options() -> LedgerOptions {
    LedgerOptions {
        id: Uuid::from_u128(42),
        segment_bytes: 900,
        clock: Clock(Arc::new(|| "2026-07-01T12:00:00Z".parse().unwrap())),
    }
}

fn event(number: u64) -> Event {
    Event::Fault { cartridge: None, place: None, message: format!("event {number}") }
}

fn new_disk() -> MemoryDisk {
    let disk = MemoryDisk::new();
    disk.create_dir(Path::new(DIRECTORY)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    Ledger::create(&disk, Path::new(DIRECTORY), options().id).unwrap();
    disk
}

struct Opened {
    ledger: Ledger,
    torn: Option<TornTail>,
    entries: Vec<Entry>,
}

fn open(disk: Arc<dyn Disk>) -> Result<Opened, LedgerError> {
    let mut entries = Vec::new();
    let (ledger, torn) =
        Ledger::open(disk, Path::new(DIRECTORY), options(), |entry| entries.push(entry.clone()))?;
    Ok(Opened { ledger, torn, entries })
}

/// A closed ledger with single entries and groups, in several segments.
fn sample() -> MemoryDisk {
    let disk = new_disk();
    let ledger = open(Arc::new(disk.clone())).unwrap().ledger;
    for number in [1, 2, 3, 6, 7, 8, 9] {
        if number == 3 {
            ledger.append_all(&[event(3), event(4), event(5)], "a group").unwrap();
        } else {
            ledger.append(&event(number), "somebody").unwrap();
        }
    }
    ledger.close().unwrap();
    disk
}

fn segments(disk: &MemoryDisk) -> Vec<u32> {
    scan::segment_numbers(disk, Path::new(DIRECTORY)).unwrap()
}

fn path_of(number: u32) -> PathBuf {
    segment_path(Path::new(DIRECTORY), number)
}

fn content(disk: &MemoryDisk, path: &Path) -> Vec<u8> {
    read_whole(disk, path, u64::MAX).unwrap()
}

fn put(disk: &MemoryDisk, path: &Path, bytes: &[u8]) {
    let file = disk.open(path, OpenMode::Create).unwrap();
    file.set_length(0).unwrap();
    write_all_at(&*file, bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new(DIRECTORY)).unwrap();
}

/// The header of a segment and its entries, each as bytes.
fn pieces(bytes: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (header, mut rest) = bytes.split_at(SEGMENT_HEADER_BYTES);
    let mut entries = Vec::new();
    while let Some((after, _)) = Frame::parse(rest) {
        entries.push(rest[..rest.len() - after.len()].to_vec());
        rest = after;
    }
    (header.to_vec(), entries)
}

#[test]
fn entries_come_back_in_order_and_the_log_goes_on() {
    let disk = sample();
    assert!(segments(&disk).len() >= 3);
    let opened = open(Arc::new(disk.clone())).unwrap();
    assert_eq!(opened.torn, None);
    let sequences: Vec<u64> = opened.entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (1..=9).collect::<Vec<_>>());
    assert_eq!(opened.entries[3].event, RecordedEvent::Known(Box::new(event(4))));
    assert_eq!(opened.entries[3].actor, "a group");
    assert_eq!(opened.ledger.verify().unwrap(), opened.ledger.head());
    assert_eq!(opened.ledger.append(&event(10), "x").unwrap().head.sequence, 10);
    assert_eq!(open(Arc::new(disk)).unwrap().entries.len(), 10);
}

#[test]
fn one_copy_of_the_head_may_be_lost_and_not_both() {
    let names = ["/ledger/head.a", "/ledger/head.b"].map(Path::new);
    for name in names {
        let disk = sample();
        let mut bytes = content(&disk, name);
        bytes[30] ^= 1;
        put(&disk, name, &bytes);
        assert_eq!(open(Arc::new(disk)).unwrap().entries.len(), 9);
    }
    let both_changed =
        |disk: &MemoryDisk| names.iter().for_each(|name| put(disk, name, b"nonsense"));
    for change in [
        &both_changed,
        &(|disk: &MemoryDisk| disk.remove(names[0]).unwrap()) as &dyn Fn(&MemoryDisk),
    ] {
        let disk = sample();
        change(&disk);
        let error = open(Arc::new(disk)).map(|opened| opened.entries.len()).unwrap_err();
        assert!(matches!(error, LedgerError::Damaged { damage: Damage::Head, .. }), "{error}");
    }
}

#[test]
fn a_torn_append_is_put_aside_whatever_is_left_of_it() {
    // Both as a continuation of a segment and as the first append to a new one.
    for count in 1..=9 {
        let disk = new_disk();
        let ledger = open(Arc::new(disk.clone())).unwrap().ledger;
        for number in 1..=count {
            ledger.append(&event(number), "x").unwrap();
        }
        drop(ledger);
        let before = disk.snapshot();
        let last = *segments(&before).last().unwrap();
        let kept = content(&before, &path_of(last)).len();
        let ledger = open(Arc::new(disk.clone())).unwrap().ledger;
        ledger.append_all(&[event(90), event(91), event(92)], "y").unwrap();
        let torn_segment = *segments(&disk).last().unwrap();
        let full = content(&disk, &path_of(torn_segment));
        let start = if torn_segment == last { kept } else { 0 };
        for length in start..full.len() {
            let torn = before.snapshot();
            put(&torn, &path_of(torn_segment), &full[..length]);
            let opened = open(Arc::new(torn.clone())).unwrap();
            assert_eq!(opened.entries.len() as u64, count, "all of a group or nothing");
            let whole_header = start == 0 && length == SEGMENT_HEADER_BYTES;
            if length > start && !whole_header {
                let tail = opened.torn.unwrap();
                let begin = if start == 0 && length > SEGMENT_HEADER_BYTES {
                    SEGMENT_HEADER_BYTES
                } else {
                    start
                };
                assert_eq!(
                    content(&torn, &tail.kept_in),
                    full[begin..length],
                    "what was dropped is kept"
                );
            }
            opened.ledger.append(&event(93), "z").unwrap();
            drop(opened.ledger);
            let again = open(Arc::new(torn.after_power_cut())).unwrap();
            assert_eq!((again.entries.len() as u64, again.torn), (count + 1, None));
        }
        // The first of three entries lost, the others written: still one append, and none of it acknowledged.
        let torn = before.snapshot();
        let mut hole = full.clone();
        let begin = start.max(SEGMENT_HEADER_BYTES);
        hole[begin..begin + 40].fill(0);
        put(&torn, &path_of(torn_segment), &hole);
        assert_eq!(open(Arc::new(torn)).unwrap().entries.len() as u64, count);
    }
}

#[test]
fn a_hole_before_a_later_append_is_damage_even_if_the_head_is_old() {
    let disk = new_disk();
    let ledger = open(Arc::new(disk.clone())).unwrap().ledger;
    ledger.append(&event(1), "x").unwrap();
    let old_head = content(&disk, Path::new("/ledger/head.a"));
    ledger.append(&event(2), "x").unwrap();
    ledger.append(&event(3), "x").unwrap();
    drop(ledger);
    put(&disk, Path::new("/ledger/head.a"), &old_head);
    let mut bytes = content(&disk, &path_of(1));
    let (header, entries) = pieces(&bytes);
    let second = header.len() + entries[0].len();
    bytes[second + 3] ^= 1;
    put(&disk, &path_of(1), &bytes);
    let error = open(Arc::new(disk)).map(|opened| opened.entries.len()).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { segment: 1, sequence: 2, .. }), "{error}");
}

#[test]
fn after_any_failing_call_all_acknowledged_entries_are_there() {
    for (errno, forever) in [(EIO, false), (ENOSPC, false), (EIO, true), (ENOSPC, true)] {
        for skip in 0..200 {
            let disk = new_disk();
            let faulty = FaultDisk::new(Arc::new(disk.clone()));
            let ledger = open(Arc::new(faulty.clone())).unwrap().ledger;
            let hit_count = if forever { u64::MAX } else { 1 };
            faulty.inject(Fault {
                call: None,
                path_part: String::new(),
                skip_count: skip,
                hit_count,
                reaction: Reaction::Errno(errno),
            });
            let before = faulty.count_all();
            let mut acknowledged = Vec::new();
            for number in 1..=12 {
                if ledger.append(&event(number), "x").is_ok() {
                    acknowledged.push(event(number));
                }
            }
            let calls = faulty.count_all() - before;
            let is_fenced = ledger.is_fenced();
            if !forever && !is_fenced {
                assert!(
                    acknowledged.len() >= 11,
                    "one failure that was taken back costs one entry at most"
                );
            }
            drop(ledger);
            for left in [disk.snapshot(), disk.after_power_cut()] {
                let opened = open(Arc::new(left)).unwrap();
                let found: Vec<Event> = opened.entries.iter().map(known).collect();
                let rest: Vec<&Event> =
                    found.iter().filter(|event| !acknowledged.contains(event)).collect();
                assert!(acknowledged.iter().all(|event| found.contains(event)), "skip {skip}");
                assert!(rest.len() <= 1, "at most the append in doubt: {rest:?}");
            }
            if skip >= calls {
                assert_eq!(acknowledged.len(), 12);
                break;
            }
        }
    }
}

fn known(entry: &Entry) -> Event {
    match &entry.event {
        RecordedEvent::Known(event) => (**event).clone(),
        RecordedEvent::Unknown(value) => panic!("{value}"),
    }
}

#[test]
fn a_failed_sync_fences_and_a_full_disk_does_not() {
    let disk = MemoryDisk::new();
    disk.create_dir(Path::new(DIRECTORY)).unwrap();
    Ledger::create(&disk, Path::new(DIRECTORY), options().id).unwrap();
    let faulty = FaultDisk::new(Arc::new(disk));
    let ledger = open(Arc::new(faulty.clone())).unwrap().ledger;
    ledger.append(&event(1), "x").unwrap();
    faulty.inject(Fault::once(Call::Write, ".log", Reaction::Errno(ENOSPC)));
    assert!(matches!(ledger.append(&event(2), "x"), Err(LedgerError::Io { .. })));
    ledger.append(&event(3), "x").unwrap();
    faulty.inject(Fault::once(Call::SyncData, ".log", Reaction::Errno(EIO)));
    assert!(matches!(ledger.append(&event(4), "x"), Err(LedgerError::Io { .. })));
    assert!(ledger.is_fenced());
    assert!(matches!(ledger.append(&event(5), "x"), Err(LedgerError::Fenced)));
    assert_eq!(ledger.list(&EntryFilter::default()).unwrap().len(), 2, "reading goes on");
}

#[test]
fn later_events_are_kept_and_later_formats_refused_untouched() {
    let disk = new_disk();
    let ledger = open(Arc::new(disk.clone())).unwrap().ledger;
    let head = ledger.append(&event(1), "x").unwrap().head;
    drop(ledger);
    let before = disk.snapshot();
    let append_body = |disk: &MemoryDisk, body: &[u8]| {
        let mut bytes = content(disk, &path_of(1));
        encode_frame(&mut bytes, head.hash, 2, (2, 2), body).unwrap();
        put(disk, &path_of(1), &bytes);
    };
    append_body(&disk, br#"{"v":1,"time":"2030-01-01T00:00:00Z","actor":"later","event":{"type":"pool_set","pool":"p"}}"#);
    let opened = open(Arc::new(disk)).unwrap();
    assert_eq!(opened.entries[1].event.name(), "pool_set");
    assert_eq!(opened.ledger.append(&event(3), "x").unwrap().head.sequence, 3);

    // One later than whatever is the newest one.
    let later = envelope::ENVELOPE_VERSION + 1;
    append_body(&before, format!(r#"{{"v":{later},"anything":"else"}}"#).as_bytes());
    let bytes = content(&before, &path_of(1));
    let error = open(Arc::new(before.clone())).map(|opened| opened.entries.len()).unwrap_err();
    let is_later = matches!(error, LedgerError::NewerFormat { found, supported } if found == later && supported + 1 == later);
    assert!(is_later, "{error}");
    assert_eq!(content(&before, &path_of(1)), bytes);
}

#[test]
fn lists_are_filtered_and_limited() {
    let disk = sample();
    let ledger = open(Arc::new(disk)).unwrap().ledger;
    let uuid = Uuid::from_u128(5);
    let step = MoveStep {
        cartridge: uuid,
        from: crate::place::Place::slot(1),
        to: crate::place::Place::slot(2),
        source: None,
        motion: Motion::Move,
    };
    ledger.append(&Event::MoveIntended { id: 7, step }, "mover").unwrap();
    ledger.append(&Event::MoveCommitted { id: 7 }, "mover").unwrap();
    ledger.append(&Event::MoveCommitted { id: 8 }, "mover").unwrap();
    let sequences = |filter: EntryFilter| -> Vec<u64> {
        ledger.list(&filter).unwrap().iter().map(|entry| entry.sequence).collect()
    };
    assert_eq!(
        sequences(EntryFilter {
            from_sequence: Some(8),
            to_sequence: Some(9),
            ..Default::default()
        }),
        [8, 9]
    );
    assert_eq!(sequences(EntryFilter { limit: Some(2), ..Default::default() }), [1, 2]);
    assert_eq!(
        sequences(EntryFilter { actor: Some("a group".into()), ..Default::default() }),
        [3, 4, 5]
    );
    assert_eq!(
        sequences(EntryFilter { event: Some("move_intended".into()), ..Default::default() }),
        [10]
    );
    assert_eq!(
        sequences(EntryFilter { cartridge: Some(uuid), ..Default::default() }),
        [10, 11],
        "with its commit"
    );
    let time = "2026-07-01T12:00:00Z".parse().ok();
    assert_eq!(sequences(EntryFilter { until: time, ..Default::default() }), [0; 0]);
    assert_eq!(sequences(EntryFilter { since: time, ..Default::default() }).len(), 12);
}

#[test]
fn what_is_too_long_is_refused_and_nothing_is_written() {
    let disk = new_disk();
    let ledger = open(Arc::new(disk)).unwrap().ledger;
    let long =
        Event::Fault { cartridge: None, place: None, message: "x".repeat(frame::MAX_BODY_BYTES) };
    assert!(matches!(ledger.append(&long, "x"), Err(LedgerError::TooLong { .. })));
    assert_eq!(ledger.append(&event(1), &"x".repeat(100_000)).unwrap().head.sequence, 1);
}

#[test]
fn an_entry_whose_sync_failed_is_written_again_before_it_counts() {
    let disk = new_disk();
    let faulty = FaultDisk::new(Arc::new(disk.clone()));
    let ledger = open(Arc::new(faulty.clone())).unwrap().ledger;
    ledger.append(&event(1), "x").unwrap();
    faulty.inject(Fault::once(Call::SyncData, ".log", Reaction::Errno(EIO)));
    assert!(ledger.append(&event(2), "x").is_err());
    drop(ledger);
    let writes = faulty.count(Call::Write);
    let opened = open(Arc::new(faulty.clone())).unwrap();
    assert_eq!(opened.entries.len(), 2, "it is in the page cache");
    assert_eq!(faulty.count(Call::Write), writes + 1);
    drop(opened);
    assert_eq!(open(Arc::new(disk.after_power_cut())).unwrap().entries.len(), 2);
}
