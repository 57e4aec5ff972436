//! The writer on a disk that fails while the next records are on their way.

use std::path::Path;

use super::*;
use crate::disk::{Call, Fault, FaultDisk, MemoryDisk, Reaction};
use crate::journal::{Found, Key, Layer, Layers, Point, Reader, recover};

const EIO: i32 = 5;
const JOURNAL: &str = "/journal";

/// A payload as the portal makes them: aligned, with room before and behind.
#[derive(Debug)]
struct Framed {
    storage: Vec<u8>,
    start: usize,
    length: usize,
}

impl Framed {
    fn new(data: &[u8]) -> Self {
        let mut storage = vec![0xee; data.len() + 3 * 4096];
        let start = storage.as_ptr().align_offset(4096);
        storage[start + HEADROOM_BYTES..start + HEADROOM_BYTES + data.len()].copy_from_slice(data);
        Self { storage, start, length: data.len() }
    }
}

impl Payload for Framed {
    fn data(&self) -> &[u8] {
        let start = self.start + HEADROOM_BYTES;
        &self.storage[start..start + self.length]
    }

    fn frame(&mut self) -> Option<&mut [u8]> {
        let end = self.start + (HEADROOM_BYTES + self.length).next_multiple_of(512);
        self.storage.get_mut(self.start..end)
    }
}

fn data(number: u64, length: usize) -> Vec<u8> {
    (number..).take(length).map(|at| (at * 7 + at / 251).to_le_bytes()[0]).collect()
}

/// Lengths of the blocks, a write for each row: records that are copied together, and some that go from where they are.
const WRITES: [&[usize]; 6] = [
    &[3_000, 70_000],
    &[500],
    &[FRAME_BYTES_MIN],
    &[FRAME_BYTES_MIN + 512, 9_000],
    &[1],
    &[40_000],
];

fn lengths() -> impl Iterator<Item = usize> {
    WRITES.iter().flat_map(|lengths| lengths.iter().copied())
}

fn item(number: u64, start: Point, length: usize) -> Item {
    Item {
        is_reverted: false,
        kind: Kind::DATA,
        generation: 0,
        generation_start: 0,
        start,
        block_length: u32::try_from(length).unwrap(),
        block_count: 1,
        time_us: 0,
        is_compressed: false,
        sealer: None,
        content: Content::Data { payload: Box::new(Framed::new(&data(number, length))), length },
        claim_bytes: 0,
    }
}

struct Scene {
    memory: MemoryDisk,
    disk: FaultDisk,
    appender: Appender,
    view: Arc<Mutex<View>>,
}

fn scene() -> Scene {
    let memory = MemoryDisk::new();
    memory.create_dir(Path::new(JOURNAL)).unwrap();
    memory.sync_dir(Path::new("/")).unwrap();
    let disk = FaultDisk::new(Arc::new(memory.clone()));
    let view = Arc::new(Mutex::new(View::default()));
    let options = AppenderOptions {
        disk: Arc::new(disk.clone()),
        directory: JOURNAL.into(),
        partition: 0,
        cartridge: Uuid::from_u128(7),
        owner_epoch: 1,
        segment_bytes: 256 << 20,
    };
    let appender = Appender::new(options, Arc::clone(&view), (0, 0), 1);
    Scene { memory, disk, appender, view }
}

/// Appends everything without waiting for any of it, and makes it durable.
fn write_all(appender: &mut Appender) -> io::Result<()> {
    let (mut number, mut start) = (0, Point::default());
    for lengths in WRITES {
        for &length in lengths {
            appender.append(item(number, start, length), 1 << 20, 16 << 20)?;
            number += 1;
            start = Point { objects: number, bytes: start.bytes + length as u64, ..start };
        }
        appender.flush()?;
    }
    appender.sync()
}

fn check(disk: &MemoryDisk, view: Arc<Mutex<View>>, case: &str) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut reader = Reader::new(disk, layers(), view, Arc::default());
    for (number, length) in (0..).zip(lengths()) {
        let Found::Record(header, _) = reader.find(Key::Object(number)).unwrap() else {
            panic!("{case}: {number} is lost")
        };
        let found = reader.data(&header).unwrap();
        assert!(found.as_deref() == Some(&data(number, length)[..]), "{case}: {number}");
    }
}

/// A write that failed used to leave the record that went to the disk from where it was, right behind it, with the place
/// and the chain that it would have had without the failure. Now every record that is on its way or prepared moves along.
fn layers() -> Arc<Layers> {
    let cartridge = Uuid::from_u128(7);
    let directory = PathBuf::from(JOURNAL);
    Layers::new(Vec::new(), Layer { directory, cartridge, until: None, pruned: Vec::new() })
}

#[test]
fn what_follows_a_failed_write_moves_with_it() {
    for failing in 0..WRITES.len() as u64 + 4 {
        let Scene { memory, disk, mut appender, view } = scene();
        disk.inject(Fault::once(Call::Write, ".seg", Reaction::Errno(EIO)).after(failing));
        write_all(&mut appender).unwrap();
        let case = format!("write {failing}");
        check(&memory, view, &case);
        // And after a power cut the scan finds its way over the gap.
        let after: Arc<dyn Disk> = Arc::new(memory.after_power_cut());
        let durable = appender.durable_sequence();
        let recovered = recover(&after, &layers(), durable).unwrap();
        assert!(!recovered.is_end_missing && recovered.torn.is_empty(), "{case}");
        assert_eq!(recovered.sequence, durable, "{case}");
        check(&memory.after_power_cut(), Arc::new(Mutex::new(recovered.view)), &case);
    }
}

/// A failure is found out one write later. Nothing behind it may count, and nothing may be written after it.
#[test]
fn a_write_that_fails_twice_ends_all_writing() {
    for failing in 0..WRITES.len() as u64 {
        let Scene { memory, disk, mut appender, view } = scene();
        let fault = Fault::once(Call::Write, ".seg", Reaction::Errno(EIO)).after(failing);
        disk.inject(Fault { hit_count: 2, ..fault });
        let error = write_all(&mut appender).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(EIO), "write {failing}");
        let writes = disk.count(Call::Write);
        assert!(appender.append(item(0, Point::default(), 10), 1 << 20, 16 << 20).is_err());
        assert!(appender.sync().is_err());
        assert_eq!((disk.count(Call::Write), disk.count(Call::SyncData)), (writes, 0));
        assert_eq!(appender.durable_sequence(), 0);
        // What was written before is known, and no more.
        let known = view.lock().unwrap().end().objects;
        let after: Arc<dyn Disk> = Arc::new(memory.clone());
        let recovered = recover(&after, &layers(), 0).unwrap();
        assert_eq!(recovered.view.end().objects, known, "write {failing}");
    }
}

/// Two writes are never under way at once, or a failed one could not be done again before the one behind it.
#[test]
fn nothing_is_synced_before_all_of_it_is_written() {
    let Scene { disk, mut appender, .. } = scene();
    disk.inject(Fault::once(Call::Write, ".seg", Reaction::Hang));
    let writing = std::thread::spawn(move || write_all(&mut appender));
    while disk.hanging() == 0 {
        std::thread::yield_now();
    }
    // One write hangs; the next one is prepared and waits for it.
    for _ in 0..20_000 {
        assert_eq!((disk.count(Call::Write), disk.count(Call::SyncData)), (1, 0));
        std::thread::yield_now();
    }
    disk.release();
    writing.join().unwrap().unwrap();
    assert_eq!(disk.count(Call::SyncData), 1);
}

/// Records that another thread compresses stand where they would stand without it, whether they shrink or not, are stored as
/// zeros or short, and whatever the disk does meanwhile.
#[test]
fn what_another_thread_compresses_keeps_its_place() {
    const TEXT: usize = 20_000;
    let lengths = [TEXT, TEXT, TEXT, 700, TEXT, 40_000, TEXT, 300, 3 << 20, TEXT];
    let content = |number: u64, length: usize| match length {
        // What does not shrink.
        40_000 => (0..length as u64)
            .map(|at| {
                ((at + number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).to_le_bytes()[0]
            })
            .collect(),
        _ => data(number, length),
    };
    for failing in 0..4 {
        let Scene { memory, disk, mut appender, view } = scene();
        disk.inject(Fault::once(Call::Write, ".seg", Reaction::Errno(EIO)).after(failing));
        let mut pressed = 0;
        let mut start = Point::default();
        for (number, &length) in (0..).zip(&lengths) {
            let payload = Box::new(Framed::new(&content(number, length)));
            let mut next = Item {
                is_compressed: true,
                content: Content::Data { payload, length },
                ..item(number, start, length)
            };
            appender.prepare(&mut next);
            pressed += usize::from(matches!(next.content, Content::Pressing { .. }));
            appender.append(next, 8 << 20, 16 << 20).unwrap();
            if number % 3 == 2 {
                appender.flush().unwrap();
            }
            start = Point { objects: number + 1, bytes: start.bytes + length as u64, ..start };
        }
        appender.sync().unwrap();
        // The one behind what did not shrink is not prepared, nor is what begins with a zero.
        assert!(pressed >= lengths.len() - 3, "{pressed}");
        assert!(appender.stored().stored_bytes < appender.stored().data_bytes / 2);
        let after: Arc<dyn Disk> = Arc::new(memory.after_power_cut());
        let mut reader = Reader::new(after, layers(), view, Arc::default());
        for (number, &length) in (0..).zip(&lengths) {
            let Found::Record(header, _) = reader.find(Key::Object(number)).unwrap() else {
                panic!("{failing}: {number} is lost")
            };
            let found = reader.data(&header).unwrap();
            assert!(found.as_deref() == Some(&content(number, length)[..]), "{failing}: {number}");
        }
    }
}

/// What another thread, or this one, had compressed lay behind the end of a batch whose memory was too short by the padding of the record: the
/// batch moved to other memory without it, and the record held zeros, which was an unrecovered read error when Bacula read its backup.
#[test]
fn what_is_compressed_stays_wherever_the_memory_ends() {
    let random = |length: usize| -> Vec<u8> {
        let mut state = length as u64 | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        // The first byte is none of zeros'.
        std::iter::once(1).chain((1..length).map(|_| next())).collect()
    };
    // Where the heap gives memory decides how long it is behind the 64 KiB that are asked for.
    let mut kept = Vec::new();
    for length in (64_940..65_060).step_by(3).chain((65_060..69_300).step_by(43)) {
        for is_prepared in [false, true] {
            kept.push(vec![0_u8; length * 7 % 3_000 + 16]);
            let Scene { memory, mut appender, view, .. } = scene();
            // Its memory serves the next one.
            appender.append(item(0, Point::default(), 10), 8 << 20, 16 << 20).unwrap();
            appender.sync().unwrap();
            let data = [random(length), vec![7; 40_000]].concat();
            let start = Point { objects: 1, bytes: 10, ..Point::default() };
            let content =
                Content::Data { payload: Box::new(Framed::new(&data)), length: data.len() };
            let mut next = Item { is_compressed: true, content, ..item(1, start, data.len()) };
            if is_prepared {
                appender.prepare(&mut next);
                assert!(matches!(next.content, Content::Pressing { .. }));
            }
            appender.append(next, 8 << 20, 16 << 20).unwrap();
            appender.sync().unwrap();
            let disk: Arc<dyn Disk> = Arc::new(memory.clone());
            let mut reader = Reader::new(disk, layers(), view, Arc::default());
            let Found::Record(header, _) = reader.find(Key::Object(1)).unwrap() else { panic!() };
            assert_eq!(header.codec, Codec::ZSTD);
            let found = reader.data(&header).unwrap();
            assert!(found.as_deref() == Some(&data[..]), "{length} {is_prepared}");
        }
    }
    assert!(!kept.is_empty());
}
