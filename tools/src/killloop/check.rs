//! What has to hold after the daemon was killed and started again.

use anyhow::{Context, anyhow};

use crate::daemon::Installation;
use crate::host::Host;
use crate::model::{Model, is_drive, is_storage, lun};
use crate::workload::{relocate, take_all_attentions, take_changer_attentions};

/// What was looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Checked {
    pub(crate) cartridges: usize,
    pub(crate) objects: usize,
}

/// Every cartridge is in one element, each acknowledged move is kept, and what was touched reads back.
pub(crate) fn library(
    host: &mut Host,
    model: &mut Model,
    seed: u64,
    everything: bool,
) -> anyhow::Result<Checked> {
    take_changer_attentions(host)?;
    let elements = host.elements()?;
    model.check_elements(&elements)?;
    take_all_attentions(host, model)?;
    let touched = model.touched(everything);
    // First those that are in drives: others need the drives.
    let (in_drives, others): (Vec<_>, Vec<_>) =
        touched.iter().partition(|barcode| model.place_of(barcode.as_str()).is_some_and(is_drive));
    let mut checked = Checked::default();
    for barcode in in_drives.into_iter().chain(others) {
        let drive = bring(host, model, barcode)?;
        checked.objects +=
            read_back(host, model, drive, seed).with_context(|| format!("cartridge {barcode}"))?;
        checked.cartridges += 1;
    }
    Ok(checked)
}

/// The command line finds everything in order, too.
pub(crate) fn command_line(installation: &Installation, model: &Model) -> anyhow::Result<()> {
    installation.run(&["audit", "verify"])?;
    installation.run(&["catalog", "check"])?;
    model.check_inventory(&installation.inventory()?)
}

/// Brings a cartridge into a drive, and another one out of it where none is free.
fn bring(host: &mut Host, model: &mut Model, barcode: &str) -> anyhow::Result<u16> {
    let place = |model: &Model| {
        model.place_of(barcode).with_context(|| format!("{barcode} is in no element"))
    };
    if is_drive(place(model)?) {
        return place(model);
    }
    let drives = model.drives();
    let free = drives.iter().copied().find(|drive| model.at(*drive).is_none());
    let drive = free.or(drives.first().copied()).context("no drive")?;
    if let Some(occupant) = model.at(drive).map(str::to_owned) {
        let storage = model.free_for(&occupant).into_iter().find(|address| is_storage(*address));
        relocate(host, model, drive, storage.context("no free storage element")?)?;
    }
    relocate(host, model, place(model)?, drive)?;
    Ok(drive)
}

/// Reads a cartridge from its beginning to the end of its data, and again the end.
fn read_back(host: &mut Host, model: &mut Model, drive: u16, seed: u64) -> anyhow::Result<usize> {
    let barcode = model.at(drive).context("an empty drive")?.to_owned();
    host.rewind(lun(drive))?;
    let tape = model.tape(&barcode)?;
    let mut comparison = tape.compare(seed);
    loop {
        let count = comparison.count();
        let object = host.read(lun(drive)).with_context(|| format!("object {count}"))?;
        let Some(object) = object else { break };
        comparison.next(&object).map_err(|why| anyhow!("{why}"))?;
    }
    let objects = comparison.end().map_err(|why| anyhow!("{why}"))?;
    let more = host.read(lun(drive))?;
    anyhow::ensure!(more.is_none(), "behind the end of the data there is more");
    let count = objects.len();
    tape.found(objects);
    Ok(count)
}
