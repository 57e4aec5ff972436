//! After a power cut: everything that was acknowledged is there, and nothing else than what may be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};

use anyhow::{Context, bail};
use vtl_media::disk::{FaultDisk, MemoryDisk};
use vtl_media::{LoadOptions, Place, ReadOutcome, Volume};
use vtl_scsi::Status;
use vtl_scsi::sense::{Sense, SenseKey};

use crate::cut::{self, Cut, Rate};
use crate::host::{Host, expect_good, load_options};
use crate::promise::{Places, Promise};
use crate::tape::{Object, Objects, content};
use vtl_tools::random::Random;

/// Blocks are known by their content.
struct Library {
    places: Places,
    tapes: BTreeMap<String, Objects>,
}

/// Cuts the power, starts again and looks at everything. Says how many cuts that were.
pub(crate) fn check(cut: Cut) -> anyhow::Result<u64> {
    let mut random = Random::new(cut.seed, 0xcde);
    let disk = cut.disk;
    if random.percent(20) {
        disk.power_cut();
    } else {
        disk.torn_power_cut(random.next());
    }
    let (sender, receiver) = mpsc::sync_channel(RECOVERY_CUTS);
    let faulty = FaultDisk::over(disk.clone());
    if !cut.is_in_recovery && random.percent(30) {
        let rate = Rate { syncs_percent: 40, others_percent: 4, limit: RECOVERY_CUTS as u64 };
        let promise = Arc::new(Mutex::new(cut.promise.clone()));
        cut::watch(&faulty, disk.clone(), promise, random.next(), rate, sender, true);
    } else {
        drop(sender);
    }
    let result = recover(&faulty, &disk, &cut.promise, &mut random);
    // The watcher holds the other end of the channel.
    drop(faulty);
    let mut count = 1;
    result.with_context(|| format!("cut before {}", cut.name))?;
    for nested in receiver {
        count += check(nested)
            .with_context(|| format!("cut before {}, and again while recovering", cut.name))?;
    }
    Ok(count)
}

/// Starts on what the cut has left, and goes on from there.
fn recover(
    faulty: &FaultDisk,
    disk: &MemoryDisk,
    promise: &Promise,
    random: &mut Random,
) -> anyhow::Result<()> {
    let host = Host::boot(Arc::new(faulty.clone()), load_options(), 0).context("cannot start")?;
    let mut found = read_library(&host, promise)?;
    compare(&found, promise)?;
    faulty.watch(Arc::new(|_, _| {}));
    // What has been found is found again, whatever happens: it has been read.
    if random.percent(50) {
        write_on(&host, &mut found, random).context("going on after recovery")?;
    }
    let is_orderly = random.percent(25);
    let after = if is_orderly {
        host.shut_down().context("ending after recovery")?;
        disk.snapshot()
    } else {
        let after = disk.snapshot();
        after.torn_power_cut(random.next());
        host.abandon();
        after
    };
    let promise = Promise::new(&found.tapes, &found.places);
    let host = Host::boot(Arc::new(after), load_options(), 0).context("cannot start once more")?;
    let again = read_library(&host, &promise)?;
    compare(&again, &promise).context("after another cut")?;
    host.abandon();
    Ok(())
}

fn compare(found: &Library, promise: &Promise) -> anyhow::Result<()> {
    if !promise.places.iter().any(|places| **places == found.places) {
        bail!("places {:?} instead of {:?}", found.places, promise.places);
    }
    for (barcode, objects) in &found.tapes {
        let states = promise.tapes.get(barcode).context("an unknown cartridge")?;
        if !states.iter().any(|state| **state == *objects) {
            let lengths: Vec<usize> = states.iter().map(|state| state.len()).collect();
            bail!(
                "{barcode} holds {objects:?}, {} objects; it may hold one of {lengths:?}, first {:?}",
                objects.len(),
                states.first()
            );
        }
    }
    Ok(())
}

/// Reads everything: what is in drives by SCSI, the rest from the disk.
fn read_library(host: &Host, promise: &Promise) -> anyhow::Result<Library> {
    host.expect_sound()?;
    let places = host.places()?;
    let mut tapes = BTreeMap::new();
    for (barcode, place) in &places {
        let known = known_blocks(promise, barcode);
        let objects = match place {
            Place::Drive { number, .. } => read_drive(host, u16::try_from(*number)?, &known),
            _ => read_on_disk(host, barcode, &known),
        };
        tapes.insert(barcode.clone(), objects.with_context(|| format!("reading {barcode}"))?);
    }
    Ok(Library { places, tapes })
}

/// Which block a content is. A block that was never written here has no content to compare with, and is wrong.
fn known_blocks(promise: &Promise, barcode: &str) -> BTreeMap<Vec<u8>, Object> {
    let states = promise.tapes.get(barcode).into_iter().flatten();
    let blocks = states.flat_map(|state| state.iter()).filter_map(|object| match *object {
        Object::Block { id, length } => Some((content(id, length), *object)),
        Object::Mark => None,
    });
    blocks.collect()
}

/// Reads everything on a cartridge that is in a drive.
pub(crate) fn read_in_drive(
    host: &Host,
    drive: u16,
    promise: &Promise,
    barcode: &str,
) -> anyhow::Result<Objects> {
    read_drive(host, drive, &known_blocks(promise, barcode))
}

fn read_drive(
    host: &Host,
    drive: u16,
    known: &BTreeMap<Vec<u8>, Object>,
) -> anyhow::Result<Objects> {
    let lun = drive + 1;
    expect_good(&host.send(lun, &[0x01, 0, 0, 0, 0, 0], &[])?, "REWIND")?;
    let mut objects = Objects::new();
    loop {
        // Without a block length in the mode, a shorter block is no incident with SILI.
        let answer = host.send(lun, &[0x08, 0x02, 0x10, 0, 0, 0], &[])?;
        match answer.sense {
            None if answer.status == Status::GOOD => {
                objects.push(identify(&answer.data_in, known)?);
            }
            Some(sense) if sense.filemark => objects.push(Object::Mark),
            Some(sense) if sense.key == SenseKey::BlankCheck => {
                let expected = Sense::end_of_data().with_information(0x10_0000);
                return if sense == expected { Ok(objects) } else { bail!("{sense} at the end") };
            }
            Some(sense) => bail!("{sense} behind {} objects", objects.len()),
            None => bail!("{:?} behind {} objects", answer.status, objects.len()),
        }
    }
}

fn read_on_disk(
    host: &Host,
    barcode: &str,
    known: &BTreeMap<Vec<u8>, Object>,
) -> anyhow::Result<Objects> {
    let store = host.library.store();
    let entry = store.find(barcode).context("not in the inventory")?;
    let options = LoadOptions { read_only: true, ..load_options() };
    let mut cartridge = Volume::load(store.disk(), &store.directory_of(entry.uuid), options)?;
    let mut objects = Objects::new();
    loop {
        match cartridge.read()? {
            ReadOutcome::Block(data) => objects.push(identify(&data, known)?),
            ReadOutcome::Filemark => objects.push(Object::Mark),
            ReadOutcome::EndOfData => return Ok(objects),
        }
    }
}

fn identify(data: &[u8], known: &BTreeMap<Vec<u8>, Object>) -> anyhow::Result<Object> {
    known.get(data).copied().with_context(|| format!("{} bytes that nobody wrote here", data.len()))
}

/// A block and a filemark more at the end of everything that is in a drive.
fn write_on(host: &Host, found: &mut Library, random: &mut Random) -> anyhow::Result<()> {
    for (barcode, place) in &found.places {
        let Place::Drive { number, .. } = place else { continue };
        let lun = u16::try_from(*number)? + 1;
        let (id, length) = (random.next(), 1 + u32::try_from(random.below(3000))?);
        let [_, high, middle, low] = length.to_be_bytes();
        let space_to_end = host.send(lun, &[0x11, 3, 0, 0, 0, 0], &[])?;
        expect_good(&space_to_end, "SPACE to end of data")?;
        let write = host.send(lun, &[0x0a, 0, high, middle, low, 0], &content(id, length))?;
        expect_good(&write, "WRITE")?;
        expect_good(&host.send(lun, &[0x10, 0, 0, 0, 1, 0], &[])?, "WRITE FILEMARKS")?;
        if let Some(objects) = found.tapes.get_mut(barcode) {
            objects.extend([Object::Block { id, length }, Object::Mark]);
        }
    }
    Ok(())
}

/// Cuts during one recovery, at most.
const RECOVERY_CUTS: usize = 2;
