//! The drive: what is in it, and what it has been told.

use std::collections::BTreeSet;
use std::sync::Arc;

use vtl_media::{CartridgeFacts, MediumError, Volume};
use vtl_scsi::device::Refusal;
use vtl_scsi::mode::ModeParameters;
use vtl_scsi::sense::Sense;
use vtl_scsi::vpd::Identity;
use vtl_scsi::{Clock, ItNexus, LogicalUnit, Lun, NexusName, Task, spc};

use crate::access_order::AccessOrder;
use crate::append_only::{self, AppendOnly};
use crate::block_protection::BlockProtection;
use crate::encryption::{self, Encryption};
use crate::failure::OnFailure;
use crate::log_page::Thermometer;
use crate::profile::{Access, Generation, Profile};
use crate::statistics::Statistics;
use crate::tape_alert::TapeAlerts;
use crate::vital_product_data::LibraryBay;
use crate::{commands, log_page, mode_page, partition, tape_alert};

/// The longest block, in bytes: READ BLOCK LIMITS announces it.
pub(crate) const MAX_BLOCK_BYTES: u32 = 8 << 20;

/// The most bytes that one command may move.
pub(crate) const MAX_TRANSFER_BYTES: u64 = 16 << 20;

/// A sequential-access logical unit.
#[derive(Debug)]
pub struct Drive {
    pub(crate) unit: LogicalUnit,
    pub(crate) profile: &'static Profile,
    pub(crate) bay: Bay,
    pub(crate) mode: ModeParameters,
    /// Block length for fixed block transfers, 0 for variable ones.
    // Invariant: block_length_bytes <= MAX_BLOCK_BYTES
    pub(crate) block_length_bytes: u32,
    /// Mode 1: a WRITE is answered when it is in the buffer; mode 0: when it is on disk.
    pub(crate) is_buffered: bool,
    pub(crate) prevented_by: BTreeSet<ItNexus>,
    pub(crate) tape_alerts: TapeAlerts,
    pub(crate) statistics: Statistics,
    /// Who wrote last: a deferred error is theirs.
    pub(crate) last_writer: Option<ItNexus>,
    pub(crate) append_only: AppendOnly,
    pub(crate) encryption: Encryption,
    pub(crate) block_protection: BlockProtection,
    /// How MODE SELECT has asked the next FORMAT MEDIUM to divide the cartridge, in bytes.
    pub(crate) prepared_sizes: Option<Vec<u64>>,
    pub(crate) on_failure: Option<OnFailure>,
    pub(crate) identity: Identity,
    cleaning_until_ms: Option<u64>,
    pub(crate) access_order: AccessOrder,
    pub(crate) thermometer: Thermometer,
    pub(crate) library_bay: Option<LibraryBay>,
}

/// What is in the drive.
#[derive(Debug)]
pub(crate) enum Bay {
    /// Nothing.
    Empty,
    /// A cartridge, threaded and ready.
    Ready(Loaded),
    /// A cartridge that a host has unloaded: it waits for the changer, or to be loaded again.
    Unloaded(Loaded),
    /// A cartridge that cannot be used here.
    Refused(NotLoaded),
}

/// A cartridge that the drive can work with.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) cartridge: Volume,
    pub(crate) generation: &'static Generation,
    /// An older generation, which this drive only reads.
    pub(crate) is_read_only: bool,
}

impl Loaded {
    /// Whether what is written on it may never be overwritten.
    pub(crate) fn is_worm(&self) -> bool {
        self.cartridge.label().worm
    }
}

/// Why a cartridge that lies in the drive is not loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotLoaded {
    /// It is a cleaning cartridge, which cleans or has done so.
    Cleaning,
    /// It is a cleaning cartridge that has been used as often as it can be.
    CleaningUsedUp,
    /// It is of a generation that this model neither reads nor writes.
    WrongGeneration,
    /// It is encrypted at rest, and nobody has unlocked the key of its pool.
    Locked,
    /// Its label or journal cannot be made sense of.
    Damaged,
}

/// What a changer and an operator want to know of a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediumState {
    /// There is no cartridge.
    Empty,
    /// The cartridge is threaded: only an unload lets the robot take it.
    Ready,
    /// The cartridge lies in the door.
    Unloaded,
    /// The cartridge was not taken in.
    Refused(NotLoaded),
}

impl Drive {
    /// A drive just after power on, empty.
    pub fn new(profile: &'static Profile, serial: &str, naa: u64, luns: Arc<[Lun]>) -> Self {
        let identity = Identity {
            device_type: 0x01,
            vendor: profile.vendor.into(),
            product: profile.product.into(),
            revision: profile.revision.into(),
            serial: serial.into(),
            naa,
            // PROTECT: blocks can be protected.
            protects: true,
            flags: 0,
            vendor_specific: Vec::new(),
            // SAM-5, SPC-4, SSC-4, iSCSI
            version_descriptors: vec![0x00a0, 0x0460, 0x0520, 0x0960],
        };
        let mut drive = Self {
            unit: LogicalUnit::new(luns),
            profile,
            bay: Bay::Empty,
            mode: mode_page::all(profile.vendor),
            block_length_bytes: 0,
            is_buffered: true,
            prevented_by: BTreeSet::new(),
            tape_alerts: TapeAlerts::default(),
            statistics: Statistics::default(),
            last_writer: None,
            append_only: AppendOnly::default(),
            encryption: Encryption::default(),
            block_protection: BlockProtection::default(),
            prepared_sizes: None,
            on_failure: None,
            identity,
            library_bay: None,
            cleaning_until_ms: None,
            access_order: AccessOrder::default(),
            thermometer: Thermometer::default(),
        };
        drive.show_medium();
        drive
    }

    /// The drive goes by this clock.
    pub fn set_clock(&mut self, clock: Clock) {
        *self.unit.clock_mut() = clock;
    }

    /// The drive has a temperature.
    pub fn set_thermometer(&mut self, thermometer: Thermometer) {
        self.thermometer = thermometer;
    }

    /// The drive is put into a library, which it names in vital product data from then on.
    pub fn join_library(&mut self, bay: LibraryBay) {
        self.library_bay = Some(bay);
    }

    /// The model.
    pub fn profile(&self) -> &'static Profile {
        self.profile
    }

    /// The unit serial number.
    pub fn serial(&self) -> &str {
        &self.identity.serial
    }

    /// What is in the drive.
    pub fn medium_state(&self) -> MediumState {
        match &self.bay {
            Bay::Empty => MediumState::Empty,
            Bay::Ready(_) => MediumState::Ready,
            Bay::Unloaded(_) => MediumState::Unloaded,
            Bay::Refused(why) => MediumState::Refused(*why),
        }
    }

    /// The robot puts a cleaning cartridge in, which cleans for a while and lies in the door then.
    pub fn clean(&mut self) {
        const CLEANING_MS: u64 = 2000;
        self.refuse(NotLoaded::Cleaning);
        self.cleaning_until_ms = Some(self.unit.clock().now_ms().saturating_add(CLEANING_MS));
    }

    /// Until when the drive is being cleaned by its clock, if it is or was with the cartridge that is in it.
    pub fn cleaning_until_ms(&self) -> Option<u64> {
        self.cleaning_until_ms
    }

    /// Whether it is being cleaned.
    pub fn is_cleaning(&self) -> bool {
        self.cleaning_until_ms.is_some_and(|until| self.unit.clock().now_ms() < until)
    }

    /// Whether some nexus prevents the removal of the medium.
    pub fn is_removal_prevented(&self) -> bool {
        !self.prevented_by.is_empty()
    }

    /// The robot puts a cartridge in. Whoever asks next is told that the medium may have changed.
    pub fn insert(&mut self, mut cartridge: Volume) {
        cartridge.note_drive(self.profile.vendor, &self.identity.serial);
        let generation = match self.profile.access(&cartridge.label().media_type) {
            Access::Write(generation) => Some((generation, false)),
            Access::Read(generation) => Some((generation, true)),
            Access::None => None,
        };
        // Nobody has written to this one yet.
        self.last_writer = None;
        self.append_only.begin_medium();
        self.tape_alerts.clear();
        self.access_order = AccessOrder::default();
        match generation {
            Some((generation, is_read_only)) => {
                self.bay = Bay::Ready(Loaded { cartridge, generation, is_read_only });
                self.show_medium();
                self.statistics.loaded(&log_page::OF_THE_LOAD);
                self.unit.raise(Sense::medium_may_have_changed());
            }
            None => self.refuse(NotLoaded::WrongGeneration),
        }
    }

    /// The robot puts a cartridge in that cannot be loaded.
    pub fn refuse(&mut self, why: NotLoaded) {
        self.bay = Bay::Refused(why);
        self.show_medium();
        self.access_order = AccessOrder::default();
        self.cleaning_until_ms = None;
        self.tape_alerts.clear();
        let alert = match why {
            NotLoaded::Cleaning => Some(tape_alert::CLEANING_MEDIA),
            NotLoaded::CleaningUsedUp => Some(tape_alert::CLEANING_EXPIRED),
            NotLoaded::WrongGeneration => Some(tape_alert::UNSUPPORTED_FORMAT),
            NotLoaded::Damaged => Some(tape_alert::MEDIA),
            // Nothing is wrong with it.
            NotLoaded::Locked => None,
        };
        if let Some(alert) = alert {
            self.tape_alerts.insert(alert);
        }
    }

    /// The robot takes the cartridge out, whatever state it is in: everything written is brought to disk first.
    ///
    /// On an error the cartridge is out all the same, with what had been synced.
    pub fn remove(&mut self) -> Result<Option<CartridgeFacts>, MediumError> {
        let bay = std::mem::replace(&mut self.bay, Bay::Empty);
        self.cleaning_until_ms = None;
        self.prevented_by.clear();
        self.encryption.demounted();
        self.show_medium();
        match bay {
            Bay::Ready(loaded) | Bay::Unloaded(loaded) => {
                self.statistics.keep_traffic_of(&loaded.cartridge);
                let unloaded = loaded.cartridge.unload();
                if let Err(error @ MediumError::WriteFailed { .. }) = &unloaded {
                    self.defer(error);
                }
                unloaded.map(Some)
            }
            Bay::Empty | Bay::Refused(_) => Ok(None),
        }
    }

    /// A session began.
    pub fn nexus_begins(&mut self, nexus: ItNexus, name: NexusName) {
        self.unit.nexus_begins(nexus);
        self.unit.nexus_is(nexus, name);
    }

    /// A session ended: its reservation and its PREVENT go with it, and what it wrote is brought to disk.
    pub fn nexus_ends(&mut self, nexus: ItNexus) {
        self.unit.nexus_ends(nexus);
        self.tape_alerts.nexus_ends(nexus);
        self.prevented_by.remove(&nexus);
        self.encryption.nexus_ends(nexus);
        encryption::forget_keys(self);
        self.block_protection.nexus_ends(nexus);
        if self.last_writer == Some(nexus) {
            self.sync_or_defer();
        }
    }

    /// Who wrote last. What is not on disk yet is theirs.
    pub fn last_writer(&self) -> Option<ItNexus> {
        self.last_writer
    }

    /// LOGICAL UNIT RESET: everything that initiators had set is as after power on. The medium and its position stay.
    pub fn reset(&mut self) {
        self.unit.reset();
        self.mode.reset();
        append_only::take_over(&mut self.append_only, &self.mode);
        self.show_medium();
        self.block_length_bytes = 0;
        self.is_buffered = true;
        self.prevented_by.clear();
        self.encryption = Encryption::default();
        encryption::forget_keys(self);
        self.block_protection = BlockProtection::default();
    }

    /// Brings what was written to disk, outside of any command. A failure is told to the writer with its next command.
    pub fn sync_or_defer(&mut self) {
        if let Bay::Ready(loaded) | Bay::Unloaded(loaded) = &mut self.bay
            && let Err(error) = loaded.cartridge.sync()
        {
            self.defer(&error);
        }
    }

    /// Before the robot takes the cartridge: brings everything to disk while the drive still has it. A failure is told to
    /// the writer as well as to whoever wants the cartridge moved.
    pub fn prepare_removal(&mut self) -> Result<(), MediumError> {
        let rewound = match &mut self.bay {
            Bay::Ready(loaded) | Bay::Unloaded(loaded) => {
                loaded.cartridge.rewind_to_first().map(drop)
            }
            Bay::Empty | Bay::Refused(_) => Ok(()),
        };
        if let Err(error) = &rewound {
            self.defer(error);
        }
        rewound
    }

    /// Whether this task may have to wait for the disk. Where the answer is no, it is done in the time that memory takes.
    pub fn would_block(&self, task: &Task) -> bool {
        // What outlives the program is durable before it is answered.
        if task.cdb.operation_code() == spc::PERSISTENT_RESERVE_OUT {
            return true;
        }
        let (Bay::Ready(loaded) | Bay::Unloaded(loaded)) = &self.bay else {
            return false;
        };
        match task.cdb.operation_code() {
            commands::WRITE_6 => {
                !self.is_buffered
                    || loaded.cartridge.write_would_block(task.data_out.len())
                    || self.takes_over(task.nexus)
            }
            commands::READ_6 => loaded.cartridge.read_would_block(),
            commands::WRITE_FILEMARKS_6 => {
                task.cdb.bytes().get(1).is_none_or(|flags| flags & 0x01 == 0)
                    || self.takes_over(task.nexus)
            }
            code => commands::MOVES_THE_MEDIUM.contains(&code) || spc::is_self_test(task),
        }
    }

    /// The cartridge, where one is loaded.
    pub fn cartridge(&self) -> Option<&Volume> {
        match &self.bay {
            Bay::Ready(loaded) | Bay::Unloaded(loaded) => Some(&loaded.cartridge),
            Bay::Empty | Bay::Refused(_) => None,
        }
    }

    /// The same, to be looked after between commands. What hosts see of it must stay as it is.
    pub fn cartridge_mut(&mut self) -> Option<&mut Volume> {
        match &mut self.bay {
            Bay::Ready(loaded) | Bay::Unloaded(loaded) => Some(&mut loaded.cartridge),
            Bay::Empty | Bay::Refused(_) => None,
        }
    }

    /// The loaded cartridge; the command table has made sure that there is one.
    pub(crate) fn loaded(&mut self) -> Result<&mut Loaded, Refusal> {
        match &mut self.bay {
            Bay::Ready(loaded) => Ok(loaded),
            _ => Err(Sense::medium_not_present().into()),
        }
    }

    /// Lets mode page 11h show how the medium is divided; what was to be made of it, or of another one, is forgotten.
    pub(crate) fn show_medium(&mut self) {
        self.prepared_sizes = None;
        self.append_only.forget();
        let page = partition::page(self);
        if let Some(shown) = self.mode.page_mut(partition::PAGE, 0) {
            *shown = page;
        }
    }

    /// Whether another nexus has written what is not on disk yet.
    fn takes_over(&self, nexus: ItNexus) -> bool {
        self.last_writer.is_some_and(|writer| writer != nexus)
            && self.cartridge().is_some_and(|cartridge| cartridge.has_unsynced())
    }

    /// The loaded cartridge, for a command that changes it.
    pub(crate) fn writable(&mut self, nexus: ItNexus) -> Result<&mut Volume, Refusal> {
        if let Err(refusal) = self.prepare_writing(nexus) {
            self.note_refused_write(refusal.0);
            return Err(refusal);
        }
        Ok(&mut self.loaded()?.cartridge)
    }

    /// Makes sure that the cartridge can be written, and that what fails later on is the failure of one nexus.
    fn prepare_writing(&mut self, nexus: ItNexus) -> Result<(), Refusal> {
        let is_new_writer = self.last_writer != Some(nexus);
        let takes_over = self.takes_over(nexus);
        let loaded = self.loaded()?;
        if loaded.is_read_only {
            return Err(Sense::cannot_write_format().into());
        }
        // What fails later on has to be the failure of one nexus.
        let mut failure = if takes_over { loaded.cartridge.sync().err() } else { None };
        let is_read_only = loaded.cartridge.is_read_only();
        if is_read_only && failure.is_none() {
            failure = loaded.cartridge.take_deferred();
        }
        if let Some(error) = failure {
            self.defer(&error);
        }
        if is_read_only {
            // It may have become so since deferred errors were looked for: then it is that what there is to be told.
            let deferred = self.unit.take_deferred(nexus);
            return Err(deferred.unwrap_or(Sense::write_protected()).into());
        }
        if is_new_writer {
            if let Some(name) = self.unit.name(nexus) {
                self.loaded()?.cartridge.set_writer(&name.initiator);
            }
            self.last_writer = Some(nexus);
        }
        Ok(())
    }
}
