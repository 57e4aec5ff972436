//! Making, loading, unloading and looking at cartridges.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

use super::capacity::Capacity;
use super::memory::count_unclean_load;
use super::origin::layers_of;
use super::rest::keys_of;
use super::{
    Cartridge, CartridgeFacts, CartridgeSpec, CreateError, LoadError, LoadOptions, MediumError,
    Writer,
};
use crate::disk::Disk;
use crate::journal::{
    Appender, AppenderOptions, Flow, Point, Promise, Queue, ReadAhead, Reader, Recovered,
    SpaceOptions, SummaryWriter, Timing, View, recover, set_aside, start, time_from_us,
};
use crate::label::{CartridgeKind, DurableMark, Label};
use crate::layout::layout_at;

impl Cartridge {
    /// Makes a new cartridge in `directory`, whose parent must be there. All of it is durable when this returns.
    pub fn create(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        spec: &CartridgeSpec,
        now: Timestamp,
    ) -> Result<(), CreateError> {
        Self::create_partition(disk, directory, spec, now, 0)
    }

    /// The same for a partition of a cartridge.
    pub(super) fn create_partition(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        spec: &CartridgeSpec,
        now: Timestamp,
        partition: u8,
    ) -> Result<(), CreateError> {
        disk.create_dir(directory)?;
        if !disk.list(directory)?.is_empty() {
            return Err(CreateError::Exists);
        }
        disk.create_dir(&directory.join(JOURNAL))?;
        disk.sync_dir(&directory.join(JOURNAL))?;
        // Both copies, so that from now on a copy that cannot be read is a reason to look closer.
        let mut label = Label { partition, ..Label::new(spec, now) };
        label.write(disk.as_ref(), directory)?;
        label.write(disk.as_ref(), directory)?;
        disk.sync_dir(directory)?;
        if let Some(parent) = directory.parent() {
            disk.sync_dir(parent)?;
        }
        Ok(())
    }

    /// What is on a cartridge that is not loaded: from its label after a clean unload, else by reading the end of its
    /// journal. Nothing is changed.
    pub fn inspect(disk: &Arc<dyn Disk>, directory: &Path) -> Result<CartridgeFacts, LoadError> {
        let label = Label::read(disk.as_ref(), directory)?;
        if label.kind == CartridgeKind::Cleaning || (label.is_clean && !label.is_single_copy) {
            return Ok(label.facts);
        }
        let layers = layers_of(disk.as_ref(), directory, &label, None)?;
        let promised = promised(disk.as_ref(), directory, &label)?;
        let recovered = recover(disk, &layers, promised)?;
        Ok(facts_of(&recovered, &label))
    }

    /// Loads a cartridge at its beginning. Unless it is for reading only, what an unclean end left behind is put in order,
    /// and the label names a new owner.
    pub fn load(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: LoadOptions,
    ) -> Result<Self, LoadError> {
        let as_read = Label::read(disk.as_ref(), directory)?;
        let mut label = as_read.clone();
        let layers = layers_of(disk.as_ref(), directory, &label, options.at.as_ref())?;
        let promised = match &options.at {
            Some(moment) => moment.sequence,
            None => promised(disk.as_ref(), directory, &label)?,
        };
        let mut recovered = recover(&disk, &layers, promised)?;
        let facts = facts_of(&recovered, &label);
        let is_journal_short = recovered.is_end_missing;
        recovered.is_end_missing &= !is_all_there(&facts, &label);
        if recovered.is_end_missing {
            tracing::error!(cartridge = %label.uuid, found = recovered.sequence, promised,
                "records that were durable are missing at the end of the journal");
        }
        let end = recovered.view.end();
        // What was to take effect with a generation that has never begun, has not.
        let begun = recovered.view.generation();
        label.layouts.retain(|layout| recovered.is_end_missing || layout.generation <= begun);
        let is_writable = !options.read_only
            && !label.read_only
            && options.at.is_none()
            && label.kind == CartridgeKind::Data;
        let place = (disk.as_ref(), directory);
        let (keys, seals) = keys_of(place, &mut label, &options, is_writable)?;
        let view = Arc::new(Mutex::new(std::mem::take(&mut recovered.view)));
        let (generation, generation_start, is_reverted) = {
            let view = view.lock().unwrap_or_else(PoisonError::into_inner);
            (view.generation(), view.generation_start(), view.is_reverted())
        };
        let writer = if is_writable {
            let taken = (&disk, directory, &options);
            let is_at_rest = seals.sealer().is_some();
            let labels = (&as_read, &mut label, is_at_rest);
            Some(take_over(taken, labels, &recovered, &facts, &view)?)
        } else {
            None
        };
        Ok(Self {
            reader: Reader::new(Arc::clone(&disk), Arc::clone(&layers), Arc::clone(&view), keys),
            disk,
            directory: directory.to_owned(),
            capacity: Capacity::new(label.capacity_bytes),
            label,
            options,
            layers,
            view,
            ahead: ReadAhead::new(),
            current: None,
            is_sparing: false,
            sequential_count: 0,
            writer,
            position: Point::default(),
            end,
            generation,
            generation_start,
            is_reverted,
            recovered_sequence: recovered.sequence,
            missing_segments: recovered.missing,
            is_journal_short,
            is_end_missing: recovered.is_end_missing,
            initiator_name: String::new(),
            is_compressing: false,
            seals,
            read_flow: Flow::default(),
            given_bytes: 0,
            last_written_us: recovered.last_written_us,
        })
    }

    /// Makes everything durable, closes the journal and says so in the label. After an error the next load recovers.
    pub fn unload(mut self) -> Result<CartridgeFacts, MediumError> {
        let synced = self.sync();
        self.close_memory();
        let Some(mut writer) = self.writer.take() else { return synced.map(|()| self.facts()) };
        writer.queue.stop();
        let appender = writer.worker.take().and_then(|worker| worker.join().ok());
        synced?;
        if writer.queue.state().failure.is_some() {
            return Err(MediumError::Fenced);
        }
        let mut appender = appender
            .ok_or_else(|| std::io::Error::other("the cartridge's thread ended in disorder"))?;
        appender.seal()?;
        self.recovered_sequence = appender.durable_sequence();
        // Only a short cut for snapshots; where it cannot be read, the journal is asked.
        let last = self.last_point().ok().flatten();
        let is_whole = layout_at(&self.label.layouts, self.generation)
            .is_none_or(|layout| layout.parts.len() == 1);
        let last = last.filter(|_| is_whole);
        self.label.last_moment = last.and_then(|point| self.origin_at(&point).ok());
        self.label.is_clean = !self.is_end_missing;
        self.label.generation = self.generation;
        self.label.facts = self.facts();
        if !self.is_end_missing {
            let (sequence, object_count) = (appender.durable_sequence(), self.end.objects);
            self.label.durable = DurableMark { sequence, object_count };
        }
        self.label.write(self.disk.as_ref(), &self.directory)?;
        Ok(self.label.facts.clone())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            self.queue.stop();
            if worker.join().is_err() {
                tracing::error!("a cartridge's thread ended in disorder");
            }
        }
    }
}

/// The highest record that anything outside of the journal itself says was durable.
fn promised(disk: &dyn Disk, directory: &Path, label: &Label) -> Result<u64, LoadError> {
    let kept = Promise::read(disk, &directory.join(JOURNAL), label.uuid)?;
    let origin = label.origin.map_or(0, |origin| origin.sequence);
    Ok(label.durable.sequence.max(kept).max(origin))
}

/// Puts in order what an unclean end has left, names a new owner in the label, and gets ready to write.
fn take_over(
    (disk, directory, options): (&Arc<dyn Disk>, &Path, &LoadOptions),
    (as_read, label, is_at_rest): (&Label, &mut Label, bool),
    recovered: &Recovered,
    facts: &CartridgeFacts,
    view: &Arc<Mutex<View>>,
) -> Result<Writer, LoadError> {
    let journal = directory.join(JOURNAL);
    set_aside(disk.as_ref(), &journal, label.uuid, &recovered.torn, (options.clock)())?;
    let owner_epoch = label.owner_epoch.max(recovered.owner_epoch).saturating_add(1);
    let sequence = recovered.sequence.max(label.durable.sequence);
    let appender_options = AppenderOptions {
        disk: Arc::clone(disk),
        directory: journal.clone(),
        cartridge: label.uuid,
        partition: label.partition,
        owner_epoch,
        segment_bytes: options.segment_bytes,
    };
    let next_segment = recovered.last_file.saturating_add(1);
    if is_at_rest && label.at_rest_since.is_none() {
        label.at_rest_since = Some(next_segment);
    }
    let mut appender = Appender::new(
        appender_options,
        Arc::clone(view),
        (sequence, recovered.chain),
        next_segment,
    );
    let known = (&recovered.summary, recovered.read.as_slice());
    appender.sum_up(SummaryWriter::resume(disk.as_ref(), &journal, label.uuid, known));
    // A seal would count as the end that was promised; what is missing has to stay missing.
    if let Some(tail) = recovered.open.as_ref().filter(|_| !recovered.is_end_missing) {
        appender.close_recovered(tail, recovered.last_written_us)?;
    }
    as_read.confirm(disk.as_ref(), directory)?;
    count_unclean_load(label, recovered.sequence);
    label.owner_epoch = owner_epoch;
    label.is_clean = false;
    let load_count = facts.load_count.saturating_add(u64::from(!options.is_resumed));
    label.facts = CartridgeFacts { load_count, ..facts.clone() };
    if !recovered.is_end_missing {
        let object_count = facts.block_count.saturating_add(facts.filemark_count);
        label.durable = DurableMark { sequence: appender.last_sequence(), object_count };
    }
    label.write(disk.as_ref(), directory)?;
    if as_read.at_rest != label.at_rest {
        // A key that is in one copy alone would be lost with it, and with the key everything.
        label.write(disk.as_ref(), directory)?;
    }
    Ok(start_writer(appender, disk, &journal, label.uuid, options)?)
}

/// Whether the label of a clean unload says that nothing but the end of the journal itself, its last seal, is missing.
fn is_all_there(facts: &CartridgeFacts, label: &Label) -> bool {
    let known = &label.facts;
    label.is_clean
        && !label.is_single_copy
        && facts.generation == known.generation
        && facts.written_bytes == known.written_bytes
        && facts.block_count == known.block_count
        && facts.filemark_count == known.filemark_count
}

fn facts_of(recovered: &Recovered, label: &Label) -> CartridgeFacts {
    let end = recovered.view.end();
    CartridgeFacts {
        generation: recovered.view.generation(),
        written_bytes: end.bytes,
        block_count: end.objects.saturating_sub(end.filemarks),
        filemark_count: end.filemarks,
        last_written: recovered.last_written_us.and_then(time_from_us).or(label.facts.last_written),
        load_count: label.facts.load_count,
        journal_bytes: recovered.view.journal_bytes(),
        undo_bytes: recovered.view.undo_bytes(),
        stored_bytes: if end.bytes == 0 { 0 } else { recovered.view.live_bytes() },
        pool_key: label.pool_key(),
    }
}

fn start_writer(
    appender: Appender,
    disk: &Arc<dyn Disk>,
    journal: &Path,
    cartridge: Uuid,
    options: &LoadOptions,
) -> std::io::Result<Writer> {
    let timing = Timing {
        idle: options.idle_flush,
        dirty: options.background_sync,
        dirty_bytes: options.background_sync_bytes,
    };
    let queue = Arc::new(Queue::new(options.write_buffer_bytes, timing));
    let total_bytes = disk.total_bytes(journal)?;
    let reserve_bytes = options.reserve_bytes.unwrap_or_else(|| reserve_bytes(total_bytes));
    let step_bytes =
        STEP_BYTES_MAX.min(options.segment_bytes / 4).min(total_bytes / 16).max(STEP_BYTES_MIN);
    let (disk, directory) = (Arc::clone(disk), journal.to_owned());
    let space = SpaceOptions { disk, directory, reserve_bytes, step_bytes };
    let promise = Promise::open(space.disk.as_ref(), journal, cartridge)?;
    let worker = Some(start(appender, promise, Arc::clone(&queue), space)?);
    Ok(Writer { queue, worker, is_failure_told: false })
}

/// With less than this free on a file system of that size, a full disk is told of as early warning.
pub fn low_space_bytes(total_bytes: u64) -> u64 {
    reserve_bytes(total_bytes).max(STEP_BYTES_MAX.min(total_bytes / 16))
}

fn reserve_bytes(total_bytes: u64) -> u64 {
    (total_bytes / 100).min(RESERVE_BYTES_MAX)
}

/// The name of the journal's directory.
pub(super) const JOURNAL: &str = "journal";
const RESERVE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const STEP_BYTES_MAX: u64 = 32 * 1024 * 1024;
const STEP_BYTES_MIN: u64 = 64 * 1024;
