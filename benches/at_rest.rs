//! What encryption at rest costs: writing up to a sync point and reading back, with it and without it.

#![allow(missing_docs, reason = "criterion's macros make items without documentation")]
#![allow(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::path::Path;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vtl_media::disk::RealDisk;
use vtl_media::{
    Barcode, LoadOptions, NewCartridge, Payload, Protection, ReadOutcome, Store, StoreOptions,
    Volume,
};
use vtl_scsi::BufferPool;

const BLOCKS: u32 = 256;
const BLOCK_BYTES: usize = 256 << 10;

/// Data as a transport leaves it.
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

/// A cartridge of a pool that has a key, or of none.
fn cartridge(directory: &Path, is_encrypted: bool) -> Volume {
    let disk = Arc::new(RealDisk::new());
    let store =
        Store::open(disk, &directory.join("data"), StoreOptions::default()).expect("a store");
    let barcode = Barcode::new("VTL001L9").expect("a barcode");
    let new = NewCartridge { pool: Some("mail".to_owned()), ..NewCartridge::new(barcode, "lto9") };
    let made = store.create_cartridges(vec![new], "bench").expect("a cartridge");
    let lock = Protection::KeyFile { path: directory.join("key") };
    if is_encrypted {
        store.create_pool_key("mail", (lock, &[1; 32]), "bench").expect("a key");
    }
    let options = LoadOptions {
        keys: store.keys().clone(),
        pool: Some("mail".to_owned()),
        ..LoadOptions::default()
    };
    let directory = store.directory_of(made.first().expect("one").uuid);
    Volume::load(store.disk(), &directory, options).expect("a cartridge")
}

fn at_rest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("at rest");
    let pool = BufferPool::new(64 << 20);
    let noise: Vec<u8> = (0..BLOCK_BYTES as u64 / 8)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).to_le_bytes())
        .collect();
    group.throughput(Throughput::Bytes(u64::from(BLOCKS) * BLOCK_BYTES as u64));
    for (name, is_encrypted) in [("plain", false), ("encrypted", true)] {
        let folder = tempfile::tempdir_in(".").expect("a folder");
        let mut cartridge = cartridge(folder.path(), is_encrypted);
        let write = |cartridge: &mut Volume| {
            cartridge.rewind().expect("the beginning");
            for _ in 0..BLOCKS {
                let mut buffer = pool.take(BLOCK_BYTES);
                buffer.copy_from_slice(&noise);
                let length = u32::try_from(BLOCK_BYTES).unwrap_or(u32::MAX);
                cartridge.write(Box::new(Data(buffer)), length, 1).expect("room");
            }
            cartridge.sync().expect("a sync point");
        };
        write(&mut cartridge);
        group.bench_function(BenchmarkId::new("read 64 MiB", name), |bencher| {
            bencher.iter(|| {
                cartridge.rewind().expect("the beginning");
                for _ in 0..BLOCKS {
                    assert!(matches!(cartridge.read(), Ok(ReadOutcome::Block(_))));
                }
            });
        });
        group.bench_function(BenchmarkId::new("write 64 MiB and sync", name), |bencher| {
            bencher.iter(|| write(&mut cartridge));
        });
    }
    group.finish();
}

criterion_group!(benches, at_rest);
criterion_main!(benches);
