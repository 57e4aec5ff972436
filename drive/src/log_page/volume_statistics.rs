//! Volume statistics: page 17h (SSC-5 §8.2), and what IBM drives had before it: usage 30h and capacity 31h.

use vtl_media::Volume;
use vtl_scsi::log::{LogPage, LogParameter};

use super::compression::ratio;
use super::{CAPACITY, MEGABYTE, USAGE, VOLUME_STATISTICS};
use crate::Drive;
use crate::drive::Loaded;
use crate::mode_page::{is_write_protected, loaded};

const MEBIBYTE: u64 = 1 << 20;

// 0000h page valid, 0001h loads, 0003h retries and 0005h, 0006h suspended writes: a disk has none; 0008h, 000Ah, 000Bh the same
// of reading; since the load 000Ch, 000Dh errors, 000Eh, 000Fh megabytes written and read, 0012h, 0013h compression;
// 0016h, 0017h megabytes of capacity and use; 0042h barcode, 0045h personality; 0080h write protection, 0081h WORM; a record a
// partition: 0202h capacity, 0203h use, 0204h what is left until early warning. Without a medium only that the page is not valid.
pub(super) fn page(drive: &Drive) -> LogPage {
    let Some(loaded) = loaded(drive) else {
        return LogPage::new(VOLUME_STATISTICS, vec![LogParameter::binary(0x0000, vec![0])]);
    };
    let counters = drive.statistics.since_load(drive.cartridge());
    let traffic = counters.traffic;
    let cartridge = &loaded.cartridge;
    let sizes = Size::of_each(cartridge);
    let whole = Size::whole(&sizes);
    let counter = LogParameter::counter;
    let mut parameters = vec![
        LogParameter::binary(0x0000, vec![1]),
        counter(0x0001, 4, cartridge.label().facts.load_count),
    ];
    parameters.extend(never_on_a_disk());
    parameters.extend([
        counter(0x000c, 2, counters.hard_write_errors),
        counter(0x000d, 2, counters.hard_read_errors),
        counter(0x000e, 4, traffic.accepted_bytes / MEGABYTE),
        counter(0x000f, 4, traffic.given_bytes / MEGABYTE),
        counter(0x0012, 2, ratio(traffic.laid_out_bytes, traffic.written_bytes).into()),
        counter(0x0013, 2, ratio(traffic.unpacked_bytes, traffic.read_bytes).into()),
        counter(0x0016, 4, whole.capacity / MEGABYTE),
        counter(0x0017, 4, whole.used / MEGABYTE),
        LogParameter::text(0x0042, 32, cartridge.label().barcode.as_str()),
        LogParameter::text(0x0045, 9, &personality(loaded)),
        LogParameter::binary(0x0080, vec![u8::from(is_write_protected(drive))]),
        LogParameter::binary(0x0081, vec![u8::from(cartridge.label().worm)]),
        LogParameter::binary(0x0202, partitions(&sizes, |size| size.capacity)),
        LogParameter::binary(0x0203, partitions(&sizes, |size| size.used)),
        LogParameter::binary(0x0204, partitions(&sizes, |size| size.until_early_warning)),
    ]);
    LogPage::new(VOLUME_STATISTICS, parameters)
}

// The same codes as in page 17h: 0001h loads; retries and suspended writes and reads, of which a disk has none.
pub(super) fn usage(drive: &Drive) -> LogPage {
    let loads = loaded(drive).map_or(0, |loaded| loaded.cartridge.label().facts.load_count);
    let mut parameters = vec![LogParameter::counter(0x0001, 4, loads)];
    parameters.extend(never_on_a_disk());
    LogPage::new(USAGE, parameters)
}

// Mebibytes: 0001h, 0002h what is left in the main and the alternate partition, 0003h, 0004h how long they are.
pub(super) fn capacity(drive: &Drive) -> LogPage {
    let sizes = loaded(drive).map(|loaded| Size::of_each(&loaded.cartridge)).unwrap_or_default();
    let capacity = |partition: usize| sizes.get(partition).map_or(0, |size| size.capacity);
    let left = |partition: usize| {
        sizes.get(partition).map_or(0, |size| size.capacity.saturating_sub(size.used))
    };
    let values = [left(0), left(1), capacity(0), capacity(1)].map(|bytes| bytes / MEBIBYTE);
    let parameters = (1..).zip(values).map(|(code, value)| LogParameter::counter(code, 4, value));
    LogPage::new(CAPACITY, parameters.collect())
}

/// Bytes.
struct Size {
    capacity: u64,
    used: u64,
    until_early_warning: u64,
}

impl Size {
    fn of_each(cartridge: &Volume) -> Vec<Self> {
        let of = |partition: u8| {
            let capacity = cartridge.partition_bytes(partition);
            let left = cartridge.remaining_bytes(partition);
            let until_early_warning = left.saturating_sub(cartridge.early_warning_bytes());
            Self { capacity, used: capacity.saturating_sub(left), until_early_warning }
        };
        (0..cartridge.partition_count()).map(of).collect()
    }

    fn whole(sizes: &[Self]) -> Self {
        let sum = |of: fn(&Self) -> u64| sizes.iter().map(of).fold(0, u64::saturating_add);
        Self {
            capacity: sum(|size| size.capacity),
            used: sum(|size| size.used),
            until_early_warning: sum(|size| size.until_early_warning),
        }
    }
}

fn never_on_a_disk() -> [LogParameter; 6] {
    [(0x0003, 4), (0x0005, 2), (0x0006, 2), (0x0008, 4), (0x000a, 2), (0x000b, 2)]
        .map(|(code, length)| LogParameter::counter(code, length, 0))
}

fn personality(loaded: &Loaded) -> String {
    format!("Ultrium-{}", loaded.generation.name.trim_start_matches("LTO-"))
}

// A record a partition: 0 length behind this byte, 2-3 partition, 4-7 megabytes.
fn partitions(sizes: &[Size], value: fn(&Size) -> u64) -> Vec<u8> {
    let mut records = Vec::new();
    for (number, size) in (0..).zip(sizes) {
        let megabytes = u32::try_from(value(size) / MEGABYTE).unwrap_or(u32::MAX);
        records.extend([7, 0, 0, number]);
        records.extend(megabytes.to_be_bytes());
    }
    records
}
