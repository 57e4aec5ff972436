//! Makes the golden data directory of the current format: `cargo run -p vtl-media --example make_golden DIR`.
//!
//! It is made once for each format version, and once more for each codec that is new to one, and then kept in `tests/golden/`:
//! every later program has to open it. `tests/golden/1` has records as they come, `tests/golden/2` has zero-fill and zstd too, `tests/golden/3` partitions,
//! `tests/golden/5` twins of divided cartridges (`make_golden DIR divided-twins`). So this is only run again for something new, into a new directory.
#![allow(clippy::print_stdout, reason = "a program for developers")]

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use vtl_media::disk::RealDisk;
use vtl_media::{
    Barcode, Cartridge, Event, LibrarySpec, LoadOptions, NewCartridge, NewTwin, Place, Store,
    StoreOptions, Volume, WantedPoint,
};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("which directory?")?;
    let options = StoreOptions {
        catalogue: vtl_media::store::CatalogueKind::Memory,
        ..StoreOptions::default()
    };
    let store = Store::open(Arc::new(RealDisk::new()), Path::new(&directory), options)?;
    if std::env::args().nth(2).is_some_and(|what| what == "divided-twins") {
        divided_twins(&store)?;
        store.close()?;
        println!("made {directory}");
        return Ok(());
    }
    let cartridges = ["GOLD01L9", "GOLD02L9", "GOLD03L9"]
        .into_iter()
        .map(|text| Ok(NewCartridge::new(Barcode::new(text)?, "lto9")))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    store.initialize(LibrarySpec { cartridges, ..LibrarySpec::default() })?;
    // Two segments, an overwritten generation, blocks of several lengths, filemarks one behind the other.
    // Blocks that are stored in less than they are long, in the two ways that there are, and others between them.
    write(&store, "GOLD02L9", |cartridge| {
        cartridge.set_compression(true);
        for n in 0..30_u32 {
            block(cartridge, &golden_block(n))?;
        }
        cartridge.write_filemarks(1)?;
        cartridge.write(Box::new(golden_block(4).repeat(3)), 5_000, 3)?;
        cartridge.write(Box::new(vec![0; 4 * 700]), 700, 4)?;
        cartridge.set_compression(false);
        block(cartridge, &golden_block(4))?;
        cartridge.write_filemarks(1)?;
        Ok(())
    })?;
    write(&store, "GOLD03L9", divided)?;
    write(&store, "GOLD01L9", |cartridge| {
        for n in 0..40_u8 {
            block(cartridge, &vec![n; 3000])?;
        }
        cartridge.write_filemarks(1)?;
        Ok(())
    })?;
    write(&store, "GOLD01L9", |cartridge| {
        cartridge.space_filemarks(1)?;
        cartridge.write(Box::new(vec![7; 4 * 512]), 512, 4)?;
        cartridge.write_filemarks(2)?;
        cartridge.sync()?;
        cartridge.locate(vtl_media::ObjectNumber(2))?;
        block(cartridge, b"overwritten from object 2 on")?;
        cartridge.write_filemarks(1)?;
        Ok(())
    })?;
    let uuid = store.find("GOLD01L9").ok_or("no cartridge")?.uuid;
    let points = store.history(uuid, 10)?.points;
    let first = points.first().ok_or("no point")?.sequence;
    let twin = NewTwin { barcode: Barcode::new("TWIN01L9")?, read_only: true, to: None };
    store.make_twin(uuid, WantedPoint::Sequence(first), twin, "golden")?;
    store.create_snapshot("golden", &[uuid], &HashMap::new(), "golden")?;
    let second = points.get(1).ok_or("no second point")?.sequence;
    store.rewind_in_place(uuid, WantedPoint::Sequence(second), "golden")?;
    let mut verification = store.begin_verification(uuid, None)?;
    while verification.verifier.step(u64::MAX)? {}
    let as_of = verification.as_of;
    store.note_verified(uuid, as_of, &verification.verifier.finish(), "golden")?;
    store.move_cartridge(&Place::slot(2), &Place::mail(1), "golden")?;
    store.exchange(&Place::slot(1), &Place::mail(1), &Place::slot(1), "golden")?;
    let fault = Event::Fault { cartridge: None, place: None, message: "none, really".to_owned() };
    store.record(&fault, "golden")?;
    store.close()?;
    println!("made {directory}");
    Ok(())
}

/// A divided cartridge that went on after it was cloned, a clone that went another way, and a snapshot of both.
fn divided_twins(store: &Store) -> Result<(), Box<dyn Error>> {
    let first = NewCartridge::new(Barcode::new("GOLD01L9")?, "lto9");
    store.initialize(LibrarySpec { cartridges: vec![first], ..LibrarySpec::default() })?;
    write(store, "GOLD01L9", divided)?;
    let uuid = store.find("GOLD01L9").ok_or("no cartridge")?.uuid;
    let clone = NewTwin { barcode: Barcode::new("COPY01L9")?, read_only: false, to: None };
    store.make_twin(uuid, WantedPoint::Time(jiff::Timestamp::MAX), clone, "golden")?;
    let append = |text: &'static [u8]| {
        move |volume: &mut Volume| -> Result<(), Box<dyn Error>> {
            volume.change_partition(1)?;
            volume.space_to_end_of_data()?;
            block(volume, text)?;
            volume.write_filemarks(1)?;
            Ok(())
        }
    };
    write(store, "GOLD01L9", append(b"of the original"))?;
    write(store, "COPY01L9", append(b"of the clone"))?;
    let copy = store.find("COPY01L9").ok_or("no cartridge")?.uuid;
    store.create_snapshot("golden", &[uuid, copy], &HashMap::new(), "golden")?;
    write(store, "COPY01L9", |volume| Ok(volume.format(&[1_000_000])?))?;
    Ok(())
}

/// Three partitions once, two now.
fn divided(volume: &mut Volume) -> Result<(), Box<dyn Error>> {
    block(volume, b"undivided")?;
    volume.format(&[100_000_000, 200_000_000, 300_000_000])?;
    block(volume, b"the first of three")?;
    volume.change_partition(2)?;
    block(volume, b"the last of three")?;
    volume.format(&[400_000_000, 500_000_000])?;
    block(volume, b"the first of two")?;
    volume.change_partition(1)?;
    for n in 0..20_u32 {
        block(volume, &golden_block(n))?;
    }
    volume.write_filemarks(1)?;
    Ok(())
}

fn block(cartridge: &mut Cartridge, data: &[u8]) -> Result<(), Box<dyn Error>> {
    cartridge.write(Box::new(data.to_vec()), u32::try_from(data.len())?, 1)?;
    Ok(())
}

/// Zeros, text, and what does not shrink, of which the lengths are all different.
fn golden_block(number: u32) -> Vec<u8> {
    let length = 5_000 + number * 97 * u32::from(number != 4);
    let mut state = number.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    match number % 3 {
        0 => (0..length).map(|_| 0).collect(),
        1 => (0..length).map(|_| b'a' + next()[1] % 16).collect(),
        _ => (0..length).map(|_| next()[1]).collect(),
    }
}

fn write(
    store: &Store,
    barcode: &str,
    work: impl FnOnce(&mut Volume) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let uuid = store.find(barcode).ok_or("no cartridge")?.uuid;
    let options = LoadOptions { segment_bytes: 64 * 1024, ..LoadOptions::default() };
    let mut cartridge = Volume::load(store.disk(), &store.directory_of(uuid), options)?;
    cartridge.set_writer("iqn.2026-11.org.example:golden");
    work(&mut cartridge)?;
    let facts = cartridge.unload()?;
    store.update_facts(uuid, &facts)?;
    Ok(())
}
