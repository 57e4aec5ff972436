//! Text through the journal beside zstd's first level alone on one core, with the same blocks.

#![allow(missing_docs, reason = "criterion's macros make items without documentation")]
#![allow(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::path::Path;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use uuid::Uuid;
use vtl_media::disk::{Disk, RealDisk};
use vtl_media::{Barcode, Cartridge, CartridgeSpec, LoadOptions, ReadOutcome};

const BLOCKS: usize = 64;

/// Words and numbers, as in a log: zstd's first level makes two fifths of it.
fn text(length: usize) -> Vec<u8> {
    const WORDS: [&str; 15] = [
        "the", "backup", "of", "a", "volume", "was", "written", "to", "tape", "and", "verified",
        "in", "session", "library", "drive",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut text = String::new();
    while text.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let value = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let word = usize::from(value.to_le_bytes()[7] % 32);
        match WORDS.get(word) {
            Some(word) => text.push_str(word),
            None => text.push_str(&(value % 1_000_000).to_string()),
        }
        text.push(' ');
    }
    text.truncate(length);
    text.into_bytes()
}

/// Bytes that no compression makes smaller.
fn random(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(word).take(length.div_ceil(8)).flatten().take(length).collect()
}

fn cartridge(directory: &Path) -> Cartridge {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let barcode = Barcode::new("VTL001L9").expect("a barcode");
    let spec = CartridgeSpec::new(Uuid::new_v4(), barcode, "lto9", 18_000_000_000_000);
    let directory = directory.join("cartridge");
    Cartridge::create(&disk, &directory, &spec, Timestamp::now()).expect("a new cartridge");
    Cartridge::load(disk, &directory, LoadOptions::default()).expect("a cartridge")
}

fn write(cartridge: &mut Cartridge, block: &[u8]) {
    let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
    cartridge.rewind().expect("the beginning");
    for _ in 0..BLOCKS {
        cartridge.write(Box::new(block.to_vec()), length, 1).expect("room");
    }
    cartridge.sync().expect("a sync point");
}

fn compression(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compression");
    for kib in [64_usize, 256, 1024] {
        let block = text(kib << 10);
        let all = u64::try_from(BLOCKS * block.len()).unwrap_or(0);
        group.throughput(Throughput::Bytes(all));
        let mut target = vec![0; block.len()];
        let mut compressor = zstd::bulk::Compressor::new(1).expect("a compressor");
        let compressed = zstd::bulk::compress(&block, 1).expect("compressed text");
        group.bench_function(BenchmarkId::new("zstd -1 compresses, KiB", kib), |bencher| {
            bencher.iter(|| {
                for _ in 0..BLOCKS {
                    compressor.compress_to_buffer(&block, &mut target[..]).expect("room");
                }
            });
        });
        let mut decompressor = zstd::bulk::Decompressor::new().expect("a decompressor");
        group.bench_function(BenchmarkId::new("zstd -1 decompresses, KiB", kib), |bencher| {
            bencher.iter(|| {
                for _ in 0..BLOCKS {
                    decompressor.decompress_to_buffer(&compressed, &mut target[..]).expect("text");
                }
            });
        });
        let folder = tempfile::tempdir_in(".").expect("a folder");
        let mut cartridge = cartridge(folder.path());
        cartridge.set_compression(true);
        group.bench_function(BenchmarkId::new("append 64 blocks and sync, KiB", kib), |bencher| {
            bencher.iter(|| {
                write(&mut cartridge, &block);
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
        // What looking for data that shrinks costs where there is none.
        let block = random(kib << 10);
        for is_on in [false, true] {
            cartridge.set_compression(is_on);
            let name = format!(
                "append 64 random blocks, compression {}, KiB",
                if is_on { "on" } else { "off" }
            );
            group.bench_function(BenchmarkId::new(name, kib), |bencher| {
                bencher.iter(|| write(&mut cartridge, &block));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, compression);
criterion_main!(benches);
