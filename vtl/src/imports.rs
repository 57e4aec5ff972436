//! `vtl import`: a physical tape becomes a cartridge.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vtl_media::disk::{read_whole, replace_whole};
use vtl_media::{
    Barcode, CartridgeEntry, CopyRecord, ImportSource, LoadOptions, NewCartridge, PARTITIONS_MAX,
    Place, Store, Volume, WriteOutcome, with_causes,
};
use vtl_vault::{
    Attribute, ExportError, Intake, Listed, Medium, PartitionDigest, Tape, root_of_all, take_in,
};

use crate::attributes;
use crate::exports::Watched;
use crate::fences;
use crate::library::Library;
use crate::lineage;
use crate::physical_tape::PhysicalTape;
use crate::request::{Failure, FailureKind};
use crate::stacks;

/// While an import is under way the barcode and the UUID of its cartridge are in this file, so that one that was cut short leaves no half
/// cartridge.
const MARK: &str = "importing";
const MARK_BYTES_MAX: u64 = 256;
/// It is loaded to be filled; whoever loads it afterwards takes it for a whole one.
const LOADS_OF_AN_IMPORT: u64 = 1;

/// The tape that becomes a cartridge.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ImportChoice {
    /// The drive with the tape in it: /dev/nstN, or its /dev/sgN (`vtl physical list`).
    #[arg(long, value_name = "DEVICE")]
    pub(crate) from: String,
    /// The barcode of the new cartridge (default: what the tape's memory says).
    #[arg(long)]
    pub(crate) barcode: Option<String>,
    /// Of a tape with several cartridges: the one that is to be made. Without it, what is on the tape is said.
    #[arg(long, value_name = "BARCODE")]
    pub(crate) member: Option<String>,
    /// The media type of the new cartridge.
    #[arg(long = "type", value_name = "TYPE", default_value = "lto9")]
    pub(crate) media_type: String,
}

/// Makes a cartridge of the tape in a drive, in the shelf, with everything that is on it.
pub(crate) fn import(
    library: &Library,
    choice: &ImportChoice,
    actor: &str,
    is_given_up: &AtomicBool,
) -> Result<Value, Failure> {
    let mut tape = PhysicalTape::open(Path::new(&choice.from))?;
    import_from(library, &mut tape, choice, actor, is_given_up)
}

/// The same, from a drive that is open.
pub(crate) fn import_from(
    library: &Library,
    tape: &mut dyn Tape,
    choice: &ImportChoice,
    actor: &str,
    is_given_up: &AtomicBool,
) -> Result<Value, Failure> {
    let store = &library.store;
    let _one = library.transfers.import_alone()?;
    forget_half_imports(store);
    tape.ready().map_err(|error| Failure::failed(format!("{}: {error}", choice.from)))?;
    let medium = tape.medium();
    check_partitions(choice, &medium)?;
    // One that an earlier program has left on would put checksums into the index.
    tape.protect();
    let stack = stacks::wanted(tape, choice);
    tape.unprotect();
    let stack = stack?;
    let member = stack.as_ref().map(|(_, member)| member);
    let barcode = barcode_for(store, choice, (&medium, member))?;
    let watched = Watched::new(&library.transfers, barcode.as_str(), 0, is_given_up);
    let mut region = stack
        .as_ref()
        .and_then(|(index, member)| Some(index.member(&mut *tape, member.barcode.as_str())?.1));
    let tape: &mut dyn Tape = match &mut region {
        Some(region) => region,
        None => tape,
    };
    let _filling = library.transfers.filling(&barcode);
    let entry = create(store, &barcode, choice, actor)?;
    let read = {
        let _reserved = store.reserve(entry.uuid);
        let taken =
            mark(store, &entry).and_then(|()| fill(store, &entry, (tape, &medium), &watched));
        taken.and_then(|taken| stacks::check_member(member, &taken.digests).map(|()| taken))
    };
    let identity = tape.identity();
    let known = known_copy(store, &medium, member);
    // It is in the ledger before the mark goes: a cartridge that stays is never without its origin.
    let read = read.and_then(|taken| {
        let of_tape = (&medium, &identity);
        let source = lineage::source(library, of_tape, &taken.digests, known.as_ref());
        store.note_import(entry.uuid, source.clone(), actor).map_err(|error| {
            ExportError::Failed(format!("its origin cannot be recorded: {}", with_causes(&error)))
        })?;
        Ok((taken, source))
    });
    // While the mark is there the next start takes the cartridge away: it is not there to stay before.
    let (taken, source) = match read.and_then(|read| unmark(store).map(|()| read)) {
        Ok(read) => read,
        Err(error) => {
            let at =
                (identity.serial.as_str(), medium.serial.as_deref().or(Some(barcode.as_str())));
            let fenced = fences::note(store, at, &error, actor);
            match store.delete_cartridge(entry.uuid, actor) {
                Ok(()) => warn_of(unmark(store)),
                Err(why) => {
                    tracing::warn!(%barcode, %why, "what was not imported to its end is still there");
                }
            }
            return Err(explain(&error, choice, &barcode, fenced));
        }
    };
    let twins = lineage::twins(library, entry.uuid, &source);
    Ok(row(&barcode, &taken, &source, &twins))
}

/// What an earlier program began to import and did not finish is taken away.
pub(crate) fn forget_half_imports(store: &Store) {
    let (disk, path) = (store.disk(), store.directory().join(MARK));
    if !disk.exists(&path).unwrap_or(false) {
        return;
    }
    let text = read_whole(&*disk, &path, MARK_BYTES_MAX).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let Some(entry) = marked(store, &text) else {
        tracing::warn!(
            text,
            "an import was cut short, and what there was of the cartridge is gone or is somebody's by now: nothing was deleted"
        );
        return warn_of(unmark(store));
    };
    let barcode = entry.barcode;
    if let Err(error) = store.delete_cartridge(entry.uuid, "import") {
        tracing::warn!(%barcode, %error, "a cartridge that was not imported to its end is still there: delete it");
        return;
    }
    tracing::warn!(
        %barcode,
        "an import was cut short: what there was of the cartridge is gone; import it again"
    );
    warn_of(unmark(store));
}

/// The cartridge that the mark is about: the very one that was made for the import, and that nobody has moved or loaded since. The barcode alone
/// says nothing, for somebody may have made another cartridge of it.
fn marked(store: &Store, text: &str) -> Option<CartridgeEntry> {
    let (barcode, uuid) = text.trim().split_once(' ')?;
    let entry = store.cartridge(uuid.parse().ok()?)?;
    let is_it = entry.barcode.as_str() == barcode && entry.place == Place::Shelf;
    (is_it && entry.load_count <= LOADS_OF_AN_IMPORT).then_some(entry)
}

/// Only once the cartridge is there: if the program ends before, an empty cartridge stays, which costs nobody anything.
fn mark(store: &Store, entry: &CartridgeEntry) -> Result<(), ExportError> {
    let path = store.directory().join(MARK);
    let text = format!("{} {}", entry.barcode, entry.uuid);
    replace_whole(&*store.disk(), &path, text.as_bytes()).map_err(|error| of_mark(&path, &error))
}

/// It is gone for good when this returns.
fn unmark(store: &Store) -> Result<(), ExportError> {
    let (disk, path) = (store.disk(), store.directory().join(MARK));
    let removed = disk.remove(&path).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    removed.and_then(|()| disk.sync_dir(store.directory())).map_err(|error| of_mark(&path, &error))
}

fn of_mark(path: &Path, error: &std::io::Error) -> ExportError {
    ExportError::Failed(format!(
        "{}, which says that an import is under way: {error}",
        path.display()
    ))
}

fn warn_of(done: Result<(), ExportError>) {
    if let Err(error) = done {
        tracing::warn!(%error, "remove this file");
    }
}

/// Nobody else may have it (F20).
fn barcode_for(
    store: &Store,
    choice: &ImportChoice,
    (medium, member): (&Medium, Option<&Listed>),
) -> Result<Barcode, Failure> {
    let of_tape = member.map(|member| member.barcode.to_string()).or(medium.barcode.clone());
    let text = choice.barcode.clone().or(of_tape).ok_or_else(|| {
        Failure::usage("the tape does not tell its barcode: say it with --barcode")
    })?;
    let barcode = Barcode::new(&text.to_ascii_uppercase());
    let barcode = barcode.map_err(|error| Failure::usage(format!("{text}: {error}")))?;
    if let Some(there) = store.find(barcode.as_str()) {
        return Err(Failure::refused(format!(
            "there is a cartridge {barcode} already ({}): import the tape under another barcode with --barcode, or delete that cartridge before",
            there.place
        )));
    }
    Ok(barcode)
}

fn create(
    store: &Store,
    barcode: &Barcode,
    choice: &ImportChoice,
    actor: &str,
) -> Result<CartridgeEntry, Failure> {
    // In the shelf no host sees it before it is whole.
    let mut new = NewCartridge::new(barcode.clone(), &choice.media_type);
    new.to = Some(Place::Shelf);
    let made = store.create_cartridges(vec![new], actor);
    let made =
        made.map_err(|error| Failure::failed(format!("{barcode}: {}", with_causes(&error))))?;
    made.into_iter().next().ok_or_else(|| Failure::failed(format!("{barcode} was not made")))
}

fn fill(
    store: &Store,
    entry: &CartridgeEntry,
    (tape, medium): (&mut dyn Tape, &Medium),
    watched: &Watched<'_>,
) -> Result<TakenIn, ExportError> {
    let wrong = |text: String| ExportError::Cartridge(text);
    let options = LoadOptions {
        keys: store.keys().clone(),
        pool: entry.pool.clone(),
        ..LoadOptions::default()
    };
    let volume = Volume::load(store.disk(), &store.directory_of(entry.uuid), options);
    let mut filling = Filling(volume.map_err(|error| wrong(with_causes(&error)))?);
    if medium.additional_partitions > 0 {
        let sizes = sizes_for(medium, filling.0.usable_bytes());
        filling.0.format(&sizes).map_err(|error| wrong(with_causes(&error)))?;
    }
    let digests = take_in(tape, &mut filling, watched)?;
    let mut volume = filling.0;
    let attributes = attributes::take_in(tape, &mut volume)?;
    volume.sync().map_err(|error| wrong(with_causes(&error)))?;
    let facts = volume.unload().map_err(|error| wrong(with_causes(&error)))?;
    if (facts.written_bytes, facts.block_count, facts.filemark_count) != amount(&digests) {
        return Err(wrong("it has not what was read from the tape".to_owned()));
    }
    store.update_facts(entry.uuid, &facts).map_err(|error| wrong(with_causes(&error)))?;
    Ok(TakenIn { digests, attributes })
}

/// Bytes, blocks and filemarks in all partitions.
fn amount(digests: &[PartitionDigest]) -> (u64, u64, u64) {
    let sum = |of: fn(&PartitionDigest) -> u64| digests.iter().map(of).sum();
    (sum(|digest| digest.bytes), sum(|digest| digest.blocks), sum(|digest| digest.filemarks))
}

/// A cartridge of this type would not have had so many partitions in a drive either.
fn check_partitions(choice: &ImportChoice, medium: &Medium) -> Result<(), Failure> {
    let most = match choice.media_type.as_str() {
        "lto3" | "lto4" => 1,
        "lto5" => 2,
        _ => PARTITIONS_MAX,
    };
    let count = usize::from(medium.additional_partitions).saturating_add(1);
    if count <= most {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "the tape in {} has {count} partitions, and a cartridge of type {} has {most} at most: say another --type, such as lto9",
        choice.from, choice.media_type
    )))
}

/// The cartridge is divided as the tape is, in the same proportions; alike where the drive does not tell them.
fn sizes_for(medium: &Medium, usable: u64) -> Vec<u64> {
    let count = usize::from(medium.additional_partitions).saturating_add(1);
    let known = medium.partition_bytes.len() == count && !medium.partition_bytes.contains(&0);
    let of_tape = if known { medium.partition_bytes.clone() } else { vec![1; count] };
    let total: u128 = of_tape.iter().map(|bytes| u128::from(*bytes)).sum();
    let share = |bytes: &u64| {
        let share = u128::from(usable) * u128::from(*bytes) / total.max(1);
        u64::try_from(share).unwrap_or(usable).max(1)
    };
    of_tape.iter().map(share).collect()
}

/// What was read from the tape.
struct TakenIn {
    /// Of each partition.
    digests: Vec<PartitionDigest>,
    /// `None` if the drive does not read them.
    attributes: Option<Vec<Attribute>>,
}

/// The cartridge that is filled.
struct Filling(Volume);

impl Intake for Filling {
    fn partition(&mut self, number: u8) -> Result<(), String> {
        let is_there = self.0.change_partition(number).map_err(|error| with_causes(&error))?;
        // Each partition is a journal of its own.
        self.0.set_compression(true);
        if is_there { Ok(()) } else { Err(format!("it has no partition {number}")) }
    }

    fn block(&mut self, data: &[u8]) -> Result<(), String> {
        let length = u32::try_from(data.len()).map_err(|_| "a block is too long".to_owned())?;
        let written = self.0.write(Box::new(data.to_vec()), length, 1);
        self.taken(written)
    }

    fn filemark(&mut self) -> Result<(), String> {
        let written = self.0.write_filemarks(1);
        self.taken(written)
    }
}

impl Filling {
    fn taken(&self, written: Result<WriteOutcome, vtl_media::MediumError>) -> Result<(), String> {
        match written.map_err(|error| with_causes(&error))? {
            WriteOutcome::EndOfPartition { .. } => {
                Err("it is full: a cartridge of another --type takes more".to_owned())
            }
            _ if self.0.is_space_low() => {
                Err("the disk is nearly full: make room, then import again".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// What is known of the tape: the copy that was made on it, or that of the cartridge of several on it.
fn known_copy(store: &Store, medium: &Medium, member: Option<&Listed>) -> Option<CopyRecord> {
    if let Some(member) = member {
        return store.copy(member.copy);
    }
    let serial = medium.serial.as_ref()?;
    let copies = store.copies().into_iter();
    copies
        .filter(|copy| copy.facts.medium_serial.as_ref() == Some(serial))
        .max_by_key(|copy| copy.staged)
}

fn explain(
    error: &ExportError,
    choice: &ImportChoice,
    barcode: &Barcode,
    fenced: Option<String>,
) -> Failure {
    let kind = match error {
        error if error.is_final() => FailureKind::Damaged,
        ExportError::Refused(_) => FailureKind::Refused,
        _ => FailureKind::Failed,
    };
    let what = match error {
        ExportError::Cartridge(why) => format!("the new cartridge could not be written: {why}"),
        other => other.to_string(),
    };
    let fenced = fenced.map(|fenced| format!("; {fenced}")).unwrap_or_default();
    let from = &choice.from;
    Failure::new(kind, format!("{barcode} from {from}: {what}; nothing was kept of it{fenced}"))
}

fn row(
    barcode: &Barcode,
    TakenIn { digests, attributes }: &TakenIn,
    source: &ImportSource,
    twins: &[Barcode],
) -> Value {
    let (bytes, blocks, filemarks) = amount(digests);
    json!({
        "barcode": barcode,
        "location": Place::Shelf,
        "bytes": bytes,
        "blocks": blocks,
        "filemarks": filemarks,
        "root": root_of_all(digests),
        "partitions": digests.len(),
        "medium_serial": source.medium_serial,
        "attributes": attributes.as_deref().map(attributes::names),
        "copy_of": source.copy_of,
        "copy": source.copy,
        "is_what_receipt_says": source.is_what_receipt_says,
        "also_imported_as": twins,
    })
}
