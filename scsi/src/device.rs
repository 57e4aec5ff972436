//! What a device type provides, and what this room does with it.
//!
//! A device type has one table of [`Command`]s. Looking a CDB up, checking it against the table's usage mask, reservation
//! conflicts, unit attentions, the check for a medium, and REPORT SUPPORTED OPERATION CODES all come from that table and
//! are written once, in [`execute`] and in [`spc`](crate::spc).

use crate::sense::Sense;
use crate::{Completion, LogicalUnit, ReservationType, Status, Task};

/// A command was refused before anything was done about it. Not an error of the program: it becomes a CHECK CONDITION.
///
/// Outcomes of work that has begun are [`Completion`]s and never pass through here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub Sense);

impl From<Sense> for Refusal {
    fn from(sense: Sense) -> Self {
        Self(sense)
    }
}

/// What a command function returns.
pub type Executed = Result<Completion, Refusal>;

/// How a command stands to a reservation that another nexus holds (SPC-2 §5.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnderReservation {
    /// Carried out all the same.
    Allowed,
    /// Ends in RESERVATION CONFLICT.
    Conflicts,
    /// Carried out unless the named CDB byte has one of these bits set (PREVENT ALLOW MEDIUM REMOVAL).
    AllowedUnless {
        /// The byte, counted from 0.
        byte: u8,
        /// Its bits.
        mask: u8,
    },
    /// Carried out only if the named CDB byte has one of these bits set (READ ELEMENT STATUS with CURDATA).
    AllowedIf {
        /// The byte, counted from 0.
        byte: u8,
        /// Its bits.
        mask: u8,
    },
}

/// How a command stands to a persistent reservation that is in its nexus' way (SPC-5 §5.14.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnderPersistentReservation {
    /// As it does to one made by RESERVE.
    AsReservation,
    /// Carried out all the same.
    Allowed,
    /// Carried out if the reservation is for writing only.
    AllowedToRead,
}

/// Whether a command changes what is on a medium, or gets ready for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangesMedium {
    /// Whatever it is asked for.
    Always,
    /// Never.
    Never,
    /// Unless these bytes of the CDB are all zero: how much is to be written.
    Unless {
        /// The first of the bytes, counted from 0.
        first: usize,
        /// How many.
        count: usize,
    },
    /// MODE SELECT, if it has one of the pages that [`Device::page_changes_medium`] names.
    WithPages,
}

/// One row of a device type's command table.
pub struct Command<D: 'static> {
    /// The standard's name of the command.
    pub name: &'static str,
    /// CDB usage data (SPC-5 §6.35.3): one byte per CDB byte, so that its length is the length of the CDB. The first is the
    /// operation code; in the others, a bit is set where the device looks at the CDB's bit, save that the service action
    /// stands as it is.
    pub usage: &'static [u8],
    /// For operation codes that have them: the low five bits of byte 1.
    pub service_action: Option<u8>,
    /// Whether a medium has to be there and ready.
    pub needs_medium: bool,
    /// Whether a pending unit attention or deferred error is reported instead of doing the command.
    pub reports_attention: bool,
    /// What happens while another nexus holds the logical unit reserved.
    pub under_reservation: UnderReservation,
    /// What happens while a persistent reservation is in the way.
    pub under_persistent_reservation: UnderPersistentReservation,
    /// Whether it is refused where the nexus may only read.
    pub changes_medium: ChangesMedium,
    /// How long an initiator should wait, in seconds.
    pub timeout_seconds: u32,
    /// What does it.
    pub execute: fn(&mut D, &mut Task) -> Executed,
}

// By hand, as the derived ones would ask the same of the device.
impl<D> Clone for Command<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Command<D> {}

impl<D> std::fmt::Debug for Command<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl<D> Command<D> {
    /// A row with the usual answers: no medium needed, attentions reported, conflicts with a reservation, 60 s.
    pub const fn new(
        name: &'static str,
        usage: &'static [u8],
        execute: fn(&mut D, &mut Task) -> Executed,
    ) -> Self {
        Self {
            name,
            usage,
            service_action: None,
            needs_medium: false,
            reports_attention: true,
            under_reservation: UnderReservation::Conflicts,
            under_persistent_reservation: UnderPersistentReservation::AsReservation,
            changes_medium: ChangesMedium::Never,
            timeout_seconds: 60,
            execute,
        }
    }

    /// With this service action in byte 1.
    #[must_use]
    pub const fn service_action(mut self, service_action: u8) -> Self {
        self.service_action = Some(service_action);
        self
    }

    /// Only with a medium that is ready.
    #[must_use]
    pub const fn needs_medium(mut self) -> Self {
        self.needs_medium = true;
        self
    }

    /// Done even while unit attentions are pending.
    #[must_use]
    pub const fn passes_attention(mut self) -> Self {
        self.reports_attention = false;
        self
    }

    /// With another rule for reservations.
    #[must_use]
    pub const fn under_reservation(mut self, rule: UnderReservation) -> Self {
        self.under_reservation = rule;
        self
    }

    /// With a rule of its own for persistent reservations.
    #[must_use]
    pub const fn under_persistent_reservation(mut self, rule: UnderPersistentReservation) -> Self {
        self.under_persistent_reservation = rule;
        self
    }

    /// A command that only reads: a persistent reservation for writing does not keep others from it.
    #[must_use]
    pub const fn only_reads(self) -> Self {
        self.under_persistent_reservation(UnderPersistentReservation::AllowedToRead)
    }

    /// A command that changes what is on the medium.
    #[must_use]
    pub const fn changes_medium(mut self, when: ChangesMedium) -> Self {
        self.changes_medium = when;
        self
    }

    /// With another timeout.
    #[must_use]
    pub const fn timeout_seconds(mut self, seconds: u32) -> Self {
        self.timeout_seconds = seconds;
        self
    }

    /// The operation code.
    pub fn operation_code(&self) -> u8 {
        self.usage.first().copied().unwrap_or_default()
    }
}

/// A logical unit of some device type.
pub trait Device: Sized + 'static {
    /// The table of all commands that the device type knows.
    fn commands() -> &'static [Command<Self>];
    /// Whether this model has the command; the table is that of all models.
    fn supports(&self, _row: &Command<Self>) -> bool {
        true
    }
    /// The state that all device types have.
    fn unit(&self) -> &LogicalUnit;
    /// The state that all device types have.
    fn unit_mut(&mut self) -> &mut LogicalUnit;
    /// Why a command that needs a medium cannot be done now, if so.
    fn not_ready(&self) -> Option<Sense>;
    /// Standard INQUIRY data (SPC-5 §6.6.2).
    fn inquiry_data(&self) -> Vec<u8>;
    /// The vital product data page with this code, whole, if there is one (SPC-5 §7.7).
    fn vital_product_data(&self, page: u8) -> Option<Vec<u8>>;
    /// The mode pages and what goes with them.
    fn mode_parameters(&mut self) -> &mut crate::mode::ModeParameters;
    /// The block descriptor, medium type and device-specific parameter of a mode parameter header, as they are now.
    fn mode_header(&self) -> crate::mode::ModeHeader;
    /// Checks what a MODE SELECT says beside its pages, and takes it over: the device-specific parameter byte, and the
    /// block descriptor if there is one, which begins at this byte of the parameter list.
    fn select_header(
        &mut self,
        device_specific: u8,
        descriptor: Option<[u8; 8]>,
        descriptor_offset: u16,
    ) -> Result<(), Refusal>;
    /// Checks the values of a page that MODE SELECT may change, which begin at this byte of the parameter list.
    fn check_mode_page(
        &self,
        _page: (u8, u8),
        _values: &[u8],
        _values_offset: u16,
    ) -> Result<(), Refusal> {
        Ok(())
    }
    /// Takes such a page for itself, so that what MODE SENSE shows stays as it is; `false` for those that MODE SELECT changes.
    fn takes_mode_page(&mut self, _page: (u8, u8), _values: &[u8]) -> bool {
        false
    }
    /// Whether MODE SELECT with this page and these values gets ready for a change of the medium, or lets others make one.
    fn page_changes_medium(&self, _page: (u8, u8), _values: &[u8]) -> bool {
        false
    }
    /// The bits of the device-specific parameter of a mode parameter header that show write protection.
    fn write_protect_bits(&self) -> u8 {
        0
    }
    /// MODE SENSE or MODE SELECT of this nexus begins: the pages that each nexus has for itself are to show its own values.
    fn show_own_mode_pages(&mut self, _nexus: crate::ItNexus) {}
    /// Whether each nexus has this page for itself, so that a change of it is no news to others.
    fn is_own_mode_page(&self, _page: (u8, u8)) -> bool {
        false
    }
    /// MODE SELECT of a nexus has changed pages, which were like this before: pages that say the same thing have to agree.
    fn mode_pages_selected(
        &mut self,
        _before: &crate::mode::ModeParameters,
        _nexus: crate::ItNexus,
    ) {
    }
    /// Finds out whether the device works (SEND DIAGNOSTIC), without changing anything.
    fn self_test(&mut self) -> Result<(), Sense>;
    /// Called before attentions are looked at: the place to find out about failures behind earlier commands.
    fn collect_attentions(&mut self) {}
    /// Which log pages and subpages there are, page 00h left out; ascending.
    fn log_page_codes(&self) -> Vec<(u8, u8)>;
    /// One log page as it is now for this nexus; `None` where [`Device::log_page_codes`] does not name it.
    fn log_page(
        &mut self,
        page: u8,
        subpage: u8,
        nexus: crate::ItNexus,
    ) -> Option<crate::log::LogPage>;
    /// LOG SELECT sets the counters of a page back that [`Device::log_page_codes`] names.
    fn reset_log_page(&mut self, page: u8, subpage: u8);
    /// Told after every log page that was read to its end, so that what is reset by reading can be, for this nexus.
    fn log_page_was_read(&mut self, page: u8, nexus: crate::ItNexus);
}

/// Does one task: finds its command, checks it, does it.
pub fn execute<D: Device>(device: &mut D, mut task: Task) -> Completion {
    let mut completion = match refuse_or_execute(device, &mut task) {
        Ok(completion) => completion,
        Err(Refusal(sense)) => Completion::check_condition(sense),
    };
    completion.sense_format = device.unit().sense_format;
    completion
}

/// The row of the table that this task asks for.
pub fn find<D: Device>(task: &Task) -> Option<&'static Command<D>> {
    let code = task.cdb.operation_code();
    let service_action = task.cdb.bytes().get(1).map(|byte| byte & 0x1f);
    D::commands().iter().find(|row| {
        row.operation_code() == code
            && (row.service_action.is_none() || row.service_action == service_action)
    })
}

fn refuse_or_execute<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let Some(row) = find::<D>(task).filter(|row| device.supports(row)) else {
        return Err(Refusal(no_such_command::<D>(task)));
    };
    device.collect_attentions();
    let unit = device.unit_mut();
    let persistent = unit.persistent().in_the_way_of(task.nexus);
    if (unit.conflicts(task.nexus) && is_conflict(row.under_reservation, task))
        || persistent.is_some_and(|kind| is_persistent_conflict(row, kind, task))
    {
        return Ok(Completion::with_status(Status::RESERVATION_CONFLICT));
    }
    if row.reports_attention
        && let Some(sense) = unit.take_attention(task.nexus)
    {
        return Err(Refusal(sense));
    }
    check_usage(row, task)?;
    if row.needs_medium
        && let Some(sense) = device.not_ready()
    {
        return Err(Refusal(sense));
    }
    if task.rights.is_read_only && is_change(row, task) {
        return Err(Refusal(device.not_ready().unwrap_or(Sense::write_protected())));
    }
    (row.execute)(device, task)
}

/// Whether a command changes a medium whatever comes with it. Pages of MODE SELECT are looked at where they are read.
fn is_change<D>(row: &Command<D>, task: &Task) -> bool {
    match row.changes_medium {
        ChangesMedium::Never | ChangesMedium::WithPages => false,
        ChangesMedium::Always => true,
        ChangesMedium::Unless { first, count } => {
            task.cdb.bytes().iter().skip(first).take(count).any(|byte| *byte != 0)
        }
    }
}

/// An operation code that is known with other service actions is an invalid field, not an invalid operation code.
fn no_such_command<D: Device>(task: &Task) -> Sense {
    if D::commands().iter().any(|row| row.operation_code() == task.cdb.operation_code()) {
        return Sense::invalid_field_in_cdb(1, Some(4));
    }
    Sense::invalid_operation_code()
}

/// Refuses a CDB that is cut short or has bits set that the device does not look at.
fn check_usage<D>(row: &Command<D>, task: &Task) -> Result<(), Refusal> {
    let cdb = task.cdb.bytes();
    if cdb.len() < row.usage.len() {
        return Err(Sense::invalid_field_in_cdb(0, None).into());
    }
    for (index, (byte, mask)) in cdb.iter().zip(row.usage).enumerate().skip(1) {
        let mask = if index == 1 && row.service_action.is_some() { *mask | 0x1f } else { *mask };
        let reserved = byte & !mask;
        if reserved != 0 {
            let bit = u8::try_from(7 - reserved.leading_zeros().min(7)).unwrap_or_default();
            return Err(Sense::invalid_field_in_cdb(
                u16::try_from(index).unwrap_or_default(),
                Some(bit),
            )
            .into());
        }
    }
    Ok(())
}

fn is_persistent_conflict<D>(row: &Command<D>, kind: ReservationType, task: &Task) -> bool {
    match row.under_persistent_reservation {
        UnderPersistentReservation::AsReservation => is_conflict(row.under_reservation, task),
        UnderPersistentReservation::Allowed => false,
        UnderPersistentReservation::AllowedToRead => {
            !kind.lets_others_read() && is_conflict(row.under_reservation, task)
        }
    }
}

fn is_conflict(rule: UnderReservation, task: &Task) -> bool {
    let has = |byte: u8, mask: u8| {
        task.cdb.bytes().get(usize::from(byte)).is_some_and(|value| value & mask != 0)
    };
    match rule {
        UnderReservation::Allowed => false,
        UnderReservation::Conflicts => true,
        UnderReservation::AllowedUnless { byte, mask } => has(byte, mask),
        UnderReservation::AllowedIf { byte, mask } => !has(byte, mask),
    }
}
