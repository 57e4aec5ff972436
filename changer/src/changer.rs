//! The changer: its elements, and what it has been told.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use vtl_scsi::device::{Command, Device, Refusal};
use vtl_scsi::log::{LogPage, LogParameter};
use vtl_scsi::mode::{ModeHeader, ModeParameters};
use vtl_scsi::sense::Sense;
use vtl_scsi::vpd::Identity;
use vtl_scsi::{Clock, ItNexus, LogicalUnit, Lun, NexusName, Task, spc};

use crate::element::ElementType;
use crate::{ElementMap, Profile, Robot, commands, mode_page};

/// A media changer logical unit.
pub struct Changer {
    pub(crate) map: ElementMap,
    pub(crate) robot: Box<dyn Robot>,
    pub(crate) prevented_by: BTreeSet<ItNexus>,
    /// Import/export elements whose door a host has opened.
    pub(crate) open_import_export: BTreeSet<u16>,
    pub(crate) profile: Profile,
    unit: LogicalUnit,
    identity: Identity,
    mode: ModeParameters,
}

const PAGE_TAPE_ALERT: u8 = 0x2e;

impl Changer {
    /// A changer just after power on.
    pub fn new(
        profile: &Profile,
        map: ElementMap,
        serial: &str,
        naa: u64,
        luns: Arc<[Lun]>,
        robot: Box<dyn Robot>,
    ) -> Self {
        Self {
            map,
            robot,
            profile: *profile,
            prevented_by: BTreeSet::new(),
            open_import_export: BTreeSet::new(),
            unit: LogicalUnit::new(luns),
            identity: profile.identity(serial, naa),
            mode: mode_page::all(&map),
        }
    }

    /// The changer goes by this clock.
    pub fn set_clock(&mut self, clock: Clock) {
        *self.unit.clock_mut() = clock;
    }

    /// A session began.
    pub fn nexus_begins(&mut self, nexus: ItNexus, name: NexusName) {
        self.unit.nexus_begins(nexus);
        self.unit.nexus_is(nexus, name);
    }

    /// A session ended: its reservation and its PREVENT go with it.
    pub fn nexus_ends(&mut self, nexus: ItNexus) {
        self.unit.nexus_ends(nexus);
        self.prevented_by.remove(&nexus);
    }

    /// LOGICAL UNIT RESET: everything that initiators had set is as after power on. Every medium stays where it is.
    pub fn reset(&mut self) {
        self.unit.reset();
        self.mode.reset();
        self.prevented_by.clear();
        self.open_import_export.clear();
    }

    /// Whether this task has to wait for the disk: a move, or a reservation that outlives the program, is durable before it is answered.
    pub fn would_block(&self, task: &Task) -> bool {
        let code = task.cdb.operation_code();
        commands::MOVES.contains(&code) || code == spc::PERSISTENT_RESERVE_OUT
    }

    /// Whether a nexus forbids the operator to use the import/export elements.
    pub fn is_removal_prevented(&self) -> bool {
        !self.prevented_by.is_empty()
    }

    /// The operator put media into import/export elements, or took them out.
    pub fn import_export_accessed(&mut self) {
        self.unit.raise(Sense::import_export_accessed());
    }

    /// The inventory of storage elements changed without a MOVE MEDIUM.
    pub fn inventory_changed(&mut self) {
        self.unit.raise(Sense::medium_may_have_changed());
    }
}

impl fmt::Debug for Changer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changer")
            .field("map", &self.map)
            .field("unit", &self.unit)
            .finish_non_exhaustive()
    }
}

impl Device for Changer {
    fn commands() -> &'static [Command<Self>] {
        commands::COMMANDS
    }

    fn unit(&self) -> &LogicalUnit {
        &self.unit
    }

    fn unit_mut(&mut self) -> &mut LogicalUnit {
        &mut self.unit
    }

    fn not_ready(&self) -> Option<Sense> {
        None
    }

    fn inquiry_data(&self) -> Vec<u8> {
        self.identity.inquiry_data()
    }

    fn vital_product_data(&self, page: u8) -> Option<Vec<u8>> {
        self.profile.vital_product_data(&self.identity, page)
    }

    fn mode_parameters(&mut self) -> &mut ModeParameters {
        &mut self.mode
    }

    fn mode_header(&self) -> ModeHeader {
        ModeHeader::default()
    }

    fn select_header(
        &mut self,
        device_specific: u8,
        descriptor: Option<[u8; 8]>,
        offset: u16,
    ) -> Result<(), Refusal> {
        if device_specific != 0 {
            return Err(Sense::invalid_field_in_parameter_list(
                if offset == 4 { 2 } else { 3 },
                Some(7),
            )
            .into());
        }
        if descriptor.is_some() {
            return Err(Sense::invalid_field_in_parameter_list(offset, None).into());
        }
        Ok(())
    }

    fn self_test(&mut self) -> Result<(), Sense> {
        // The arm works if it sees every drive.
        let drives = self.map.groups().into_iter().filter(|group| group.kind == ElementType::Drive);
        let mut numbers = drives.flat_map(|group| 0..group.count);
        if numbers.all(|number| self.robot.drive(number).is_some()) {
            return Ok(());
        }
        Err(Sense::self_test_failed())
    }

    fn log_page_codes(&self) -> Vec<(u8, u8)> {
        vec![(PAGE_TAPE_ALERT, 0)]
    }

    fn log_page(&mut self, page: u8, subpage: u8, _nexus: ItNexus) -> Option<LogPage> {
        // TapeAlert (SMC-3 §7.2.3): none of its flags has a cause in an arm that is not there.
        let flags = || (1..=64).map(|code| LogParameter::binary(code, vec![0])).collect();
        ((page, subpage) == (PAGE_TAPE_ALERT, 0)).then(|| LogPage::new(PAGE_TAPE_ALERT, flags()))
    }

    fn reset_log_page(&mut self, _page: u8, _subpage: u8) {}

    fn log_page_was_read(&mut self, _page: u8, _nexus: ItNexus) {}
}
