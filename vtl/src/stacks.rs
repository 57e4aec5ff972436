//! `vtl export --stack`: several cartridges to one tape; and one cartridge of such a tape for `vtl import --member`.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};
use vtl_media::{CartridgeEntry, CartridgeKind, Verification};
use vtl_vault::{
    Attribute, Contents, ExportError, Exported, Listed, PartitionDigest, StackIndex, StackOrder,
    StackedCartridge, Tape,
};

use crate::attributes;
use crate::bays::{self, DriveIs, Job, Undone};
use crate::exports::{Watched, copy_row, explain, nothing_on, open_contents, speed, standing};
use crate::fences;
use crate::library::Library;
use crate::operations::find;
use crate::physical_library::PhysicalLibrary;
use crate::physical_tape::PhysicalTape;
use crate::request::{ExportChoice, Failure, FailureKind, ImportChoice};

/// All of these cartridges to the tape in a drive, or to one that the library's arm brings.
pub(crate) fn export(
    library: &Library,
    choice: &ExportChoice,
    barcodes: &[String],
    actor: &str,
    is_given_up: &AtomicBool,
) -> Result<Value, Failure> {
    let Some(first) = barcodes.first() else {
        return Err(Failure::usage("--stack wants two cartridges or more"));
    };
    if let Some(done) = done_before(library, choice, barcodes)? {
        return Ok(done);
    }
    // One job for all of them: the first one stands for the others.
    let job = Job { barcode: first.clone(), copy: choice.copy, is_for_scratch: true, bay: None };
    let write = |_: &Job, drive: &str, label: Option<&str>| {
        let open = || open(drive, label);
        export_to(library, (barcodes, drive), open, choice, actor, is_given_up)
    };
    if let Some(path) = &choice.library {
        check_scratch(library, choice)?;
        let mut arm = PhysicalLibrary::open(path)?;
        arm.leave_out(fences::fenced(&library.store));
        let is_stopping = || library.transfers.is_stopping(is_given_up);
        let one = std::slice::from_ref(&job);
        let rows = bays::by_arm(library, choice, one, (arm, &[]), &write, &is_stopping)?;
        return Ok(rows.as_array().and_then(|rows| rows.first()).cloned().unwrap_or(rows));
    }
    let [to] = choice.to.as_slice() else {
        return Err(Failure::usage("a stack goes to one tape: say --to once, or --library"));
    };
    write(&job, to, None).map_err(|undone| undone.failure)
}

fn open(drive: &str, label: Option<&str>) -> Result<PhysicalTape, Undone> {
    let mut tape = PhysicalTape::open(Path::new(drive))
        .map_err(|failure| Undone::of_drive(failure, DriveIs::Unusable))?;
    if let Some(label) = label {
        tape.set_label(label);
    }
    Ok(tape)
}

/// No tape has the barcode of a stack, so that it has to be said which ones are free.
fn check_scratch(library: &Library, choice: &ExportChoice) -> Result<(), Failure> {
    let Some(pattern) = &choice.scratch else {
        return Err(Failure::usage(
            "--stack with --library wants --scratch: the barcode of the tape to be taken, or a pattern such as 'SCR*'",
        ));
    };
    match library.store.find(pattern) {
        Some(entry) => Err(Failure::refused(format!(
            "--scratch {pattern}: there is a cartridge {}, so that nobody would know which of both a tape of this name is: take one with a barcode of its own",
            entry.barcode
        ))),
        None => Ok(()),
    }
}

/// The same command may be given again: where all of them have their copies on one tape, that is the answer.
fn done_before(
    library: &Library,
    choice: &ExportChoice,
    barcodes: &[String],
) -> Result<Option<Value>, Failure> {
    let mut copies = Vec::new();
    for barcode in barcodes {
        copies.extend(standing(library, barcode, choice)?);
    }
    let tape = |copy: &vtl_media::CopyRecord| {
        (copy.facts.medium_serial.clone(), copy.facts.volume.clone())
    };
    let first = copies.first().map(tape);
    let is_all =
        copies.len() == barcodes.len() && copies.iter().map(tape).all(|one| Some(one) == first);
    let members = || copies.iter().map(copy_row).collect::<Vec<_>>();
    Ok(is_all.then(|| {
        let (serial, volume) = first.clone().unwrap_or_default();
        json!({
            "barcode": barcodes.join(" "),
            "state": copies.first().map(|copy| copy.state),
            "volume": volume,
            "medium_serial": serial,
            "members": members(),
        })
    }))
}

/// A cartridge that is read.
struct Opened {
    entry: CartridgeEntry,
    verification: Verification,
    as_of: jiff::Timestamp,
    attributes: Vec<Attribute>,
}

fn opened(library: &Library, barcode: &str) -> Result<Opened, Failure> {
    let mut entry = find(library, barcode)?;
    if entry.kind == CartridgeKind::Cleaning {
        return Err(Failure::usage(format!("{} is a cleaning cartridge", entry.barcode)));
    }
    let (verification, as_of) = open_contents(library, &entry)?;
    let facts = verification.cartridge.facts();
    if facts.is_blank() {
        return Err(nothing_on(&entry.barcode));
    }
    let partitions = verification.cartridge.partition_count();
    if partitions > 1 {
        return Err(Failure::refused(format!(
            "{} has {partitions} partitions: only cartridges with one go on a tape with others",
            entry.barcode
        )));
    }
    entry.set_facts(&facts);
    let attributes = attributes::of_hosts(&verification.cartridge);
    Ok(Opened { entry, verification, as_of, attributes })
}

/// To the tape in a drive that is opened once all cartridges are known to be ones that can be exported.
pub(crate) fn export_to<T: Tape>(
    library: &Library,
    (barcodes, to): (&[String], &str),
    open: impl FnOnce() -> Result<T, Undone>,
    choice: &ExportChoice,
    actor: &str,
    is_given_up: &AtomicBool,
) -> Result<Value, Undone> {
    let opened = barcodes.iter().map(|barcode| opened(library, barcode));
    let mut opened: Vec<Opened> = opened.collect::<Result<_, _>>()?;
    let mut tape = open()?;
    let serial = tape.identity().serial;
    fences::check(&library.store, &serial)
        .map_err(|failure| Undone::of_drive(failure, DriveIs::Unusable))?;
    let bytes = opened.iter().map(|one| one.entry.written_bytes).fold(0, u64::saturating_add);
    let names = barcodes.join(" ");
    // Written once, and read once.
    let total_bytes = bytes.saturating_mul(2);
    let watched = Watched::new(&library.transfers, &names, total_bytes, is_given_up).on(to);
    let (mut cartridges, mut contents) = (Vec::new(), Vec::new());
    for Opened { entry, verification, as_of, attributes } in &mut opened {
        cartridges.push(StackedCartridge { entry, as_of: *as_of, attributes });
        contents.push(&mut verification.cartridge as &mut dyn Contents);
    }
    let order = StackOrder {
        store: &library.store,
        receipts: &library.receipts,
        cartridges: &cartridges,
        number: choice.copy,
        overwrites: choice.overwrite,
        begins_anew: choice.anew,
        actor,
        software: concat!("vtl ", env!("CARGO_PKG_VERSION")),
    };
    let exported = order.run(&library.transfers.exports, &mut tape, &mut contents, &watched);
    let exported = exported.map_err(|error| {
        let failure = explain(&error, (to, choice), &format!("{names} --stack"));
        let medium = tape.medium();
        let name = medium.serial.or(medium.barcode);
        let fenced = fences::note(&library.store, (&serial, name.as_deref()), &error, actor);
        match fenced {
            Some(fenced) => {
                let failure = Failure::new(failure.kind, format!("{failure}; {fenced}"));
                Undone::of_drive(failure, DriveIs::Unusable)
            }
            None => Undone::after(&error, failure),
        }
    })?;
    Ok(answer(&names, &exported))
}

fn answer(names: &str, exported: &[Exported]) -> Value {
    let first = exported.first();
    let facts = first.map(|one| &one.copy.facts);
    let proof = first.map(|one| &one.proof);
    json!({
        "barcode": names,
        "state": first.map(|one| one.copy.state),
        "volume": facts.map(|facts| &facts.volume),
        "medium_serial": facts.map(|facts| &facts.medium_serial),
        "drive": proof.map(|proof| &proof.read.drive),
        "write_bytes_per_second": proof.map(|proof| speed(&proof.written)),
        "read_bytes_per_second": proof.map(|proof| speed(&proof.read)),
        "tape_alerts": proof.map(|proof| &proof.read.after.tape_alerts),
        "members": exported.iter().map(member).collect::<Vec<_>>(),
    })
}

fn member(exported: &Exported) -> Value {
    let mut row = copy_row(&exported.copy);
    let manifest = &exported.manifest;
    let (partition, stack) = (manifest.partitions.first(), manifest.stack.as_ref());
    let more = json!({
        "blocks": partition.map(|partition| partition.blocks),
        "filemarks": partition.map(|partition| partition.filemarks),
        "root": partition.map(|partition| partition.root),
        "first_file": stack.map(|stack| stack.first_file),
        "files": stack.map(|stack| stack.files),
        "attributes_not_on_tape": attributes::left_out(&manifest.attributes_left_out),
    });
    if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
        row.extend(more);
    }
    row
}

/// The index is written before the cartridges are: one whose export was stopped has only the beginning of what it says.
pub(crate) fn check_member(
    member: Option<&Listed>,
    read: &[PartitionDigest],
) -> Result<(), ExportError> {
    let Some(Listed { barcode, blocks, filemarks, bytes, .. }) = member else { return Ok(()) };
    let sum = |of: fn(&PartitionDigest) -> u64| read.iter().map(of).fold(0, u64::saturating_add);
    let found = (sum(|one| one.blocks), sum(|one| one.filemarks), sum(|one| one.bytes));
    if found == (*blocks, *filemarks, *bytes) {
        return Ok(());
    }
    Err(ExportError::Different(format!(
        "the index says that {barcode} has {blocks} blocks, {filemarks} filemarks and {bytes} bytes, and there are {}, {} and {}: its \
         export was not finished, or the index is damaged",
        found.0, found.1, found.2
    )))
}

/// What an import is to read of the tape: none if it is an ordinary one, which is read as a whole.
pub(crate) fn wanted(
    tape: &mut dyn Tape,
    choice: &ImportChoice,
) -> Result<Option<(StackIndex, Listed)>, Failure> {
    let from = &choice.from;
    let index = match StackIndex::read(tape) {
        Ok(index) => index,
        // What is wrong with it shows when it is read from its beginning to its end.
        Err(_) if choice.member.is_none() => None,
        Err(error) => {
            let kind = if error.is_final() { FailureKind::Damaged } else { FailureKind::Failed };
            return Err(Failure::new(kind, format!("{from}: {error}")));
        }
    };
    match (index, &choice.member) {
        (None, None) => Ok(None),
        (None, Some(member)) => Err(Failure::refused(format!(
            "the tape in {from} has one cartridge, without an index of several: import it without --member {member}"
        ))),
        (Some(index), member) => {
            let is_it = |listed: &&Listed| {
                let name = member.as_deref();
                name.is_some_and(|name| listed.barcode.as_str().eq_ignore_ascii_case(name))
            };
            let found = index.members.iter().find(is_it).cloned();
            found.map(|listed| Some((index.clone(), listed))).ok_or_else(|| {
                let count = index.members.len();
                let text = format!(
                    "the tape in {from} has {count} cartridges: say with --member which one is to be imported\n{}",
                    lines(&index)
                );
                match member {
                    Some(member) => Failure::not_found(format!("no cartridge {member}: {text}")),
                    None => Failure::refused(text),
                }
            })
        }
    }
}

fn lines(index: &StackIndex) -> String {
    let line = |one: &Listed| {
        format!(
            "  {} {} blocks, {} filemarks, {} bytes, from tape file {} on",
            one.barcode, one.blocks, one.filemarks, one.bytes, one.first_file
        )
    };
    index.members.iter().map(line).collect::<Vec<_>>().join("\n")
}
