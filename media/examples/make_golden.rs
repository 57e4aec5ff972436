//! Makes the golden data directory of the current format: `cargo run -p vtl-media --example make_golden DIR`.
//!
//! It is made once for each format version and then kept in `tests/golden/`: every later program has to open it. So this is only
//! run again for a new version, into a new directory.
#![allow(clippy::print_stdout, reason = "a program for developers")]

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use vtl_media::disk::RealDisk;
use vtl_media::{
    Barcode, Cartridge, Event, LibrarySpec, LoadOptions, NewCartridge, NewTwin, Place, Store,
    StoreOptions, WantedPoint,
};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("which directory?")?;
    let options = StoreOptions {
        catalogue: vtl_media::store::CatalogueKind::Memory,
        ..StoreOptions::default()
    };
    let store = Store::open(Arc::new(RealDisk::new()), Path::new(&directory), options)?;
    let cartridges = ["GOLD01L9", "GOLD02L9"]
        .into_iter()
        .map(|text| Ok(NewCartridge::new(Barcode::new(text)?, "lto9")))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    store.initialize(LibrarySpec { cartridges, ..LibrarySpec::default() })?;
    // Two segments, an overwritten generation, blocks of several lengths, filemarks one behind the other.
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

fn block(cartridge: &mut Cartridge, data: &[u8]) -> Result<(), Box<dyn Error>> {
    cartridge.write(Box::new(data.to_vec()), u32::try_from(data.len())?, 1)?;
    Ok(())
}

fn write(
    store: &Store,
    barcode: &str,
    work: impl FnOnce(&mut Cartridge) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let uuid = store.find(barcode).ok_or("no cartridge")?.uuid;
    let options = LoadOptions { segment_bytes: 64 * 1024, ..LoadOptions::default() };
    let mut cartridge = Cartridge::load(store.disk(), &store.directory_of(uuid), options)?;
    cartridge.set_writer("iqn.2026-11.org.example:golden");
    work(&mut cartridge)?;
    let facts = cartridge.unload()?;
    store.update_facts(uuid, &facts)?;
    Ok(())
}
