//! The journal on a real disk: appending up to a sync point, and reading back.

#![allow(missing_docs, reason = "criterion's macros make items without documentation")]
#![allow(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::path::Path;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use uuid::Uuid;
use vtl_media::disk::{Disk, RealDisk};
use vtl_media::{Barcode, Cartridge, CartridgeSpec, LoadOptions, Payload, ReadOutcome};
use vtl_scsi::BufferPool;

const BLOCKS: u32 = 64;

/// Data as a transport leaves it: in an aligned region, with room in front.
#[derive(Debug)]
struct Data(vtl_scsi::Buffer);

impl Payload for Data {
    fn data(&self) -> &[u8] {
        &self.0
    }

    fn frame(&mut self) -> Option<&mut [u8]> {
        Some(self.0.frame())
    }
}

fn cartridge(directory: &Path) -> Cartridge {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let barcode = Barcode::new("VTL001L9").expect("a barcode");
    let spec = CartridgeSpec::new(Uuid::new_v4(), barcode, "lto9", 18_000_000_000_000);
    let directory = directory.join("cartridge");
    Cartridge::create(&disk, &directory, &spec, Timestamp::now()).expect("a new cartridge");
    Cartridge::load(disk, &directory, LoadOptions::default()).expect("a cartridge")
}

fn write(cartridge: &mut Cartridge, pool: &BufferPool, block_bytes: usize) {
    for number in 0..BLOCKS {
        let mut buffer = pool.take(block_bytes);
        buffer.fill(u8::try_from(number % 251).unwrap_or(0));
        let length = u32::try_from(block_bytes).unwrap_or(u32::MAX);
        cartridge.write(Box::new(Data(buffer)), length, 1).expect("room");
    }
    cartridge.sync().expect("a sync point");
}

fn journal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal");
    let pool = BufferPool::new(64 << 20);
    for kib in [64_usize, 256, 1024] {
        let block_bytes = kib << 10;
        group.throughput(Throughput::Bytes(
            u64::from(BLOCKS) * u64::try_from(block_bytes).unwrap_or(0),
        ));
        let folder = tempfile::tempdir_in(".").expect("a folder");
        let mut cartridge = cartridge(folder.path());
        group.bench_function(BenchmarkId::new("append 64 blocks and sync, KiB", kib), |bencher| {
            bencher.iter(|| {
                cartridge.rewind().expect("the beginning");
                write(&mut cartridge, &pool, block_bytes);
            });
        });
        group.bench_function(BenchmarkId::new("read 64 blocks, KiB", kib), |bencher| {
            bencher.iter(|| {
                cartridge.rewind().expect("the beginning");
                for _ in 0..BLOCKS {
                    assert!(matches!(cartridge.read(), Ok(ReadOutcome::Block(_))));
                }
            });
        });
        group.bench_function(BenchmarkId::new("locate, KiB", kib), |bencher| {
            let mut object = 0;
            bencher.iter(|| {
                object = (object + 37) % u64::from(BLOCKS);
                cartridge.locate(vtl_media::ObjectNumber(object)).expect("an object");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, journal);
criterion_main!(benches);
