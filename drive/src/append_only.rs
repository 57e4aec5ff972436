//! What page 10h, subpage 01h, asks of a drive: to append only, and to warn of the end earlier (SSC-5 §4.2.7, §4.2.20, §8.3.8).
//!
//! In append-only mode a drive refuses to write where blocks would be given up, unless ALLOW OVERWRITE has named the place right
//! before. The sense is IBM's, 7/5A/02, as the INQUIRY data is.

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u64};

use vtl_scsi::cdb::bit;
use vtl_scsi::device::{Executed, Refusal};
use vtl_scsi::mode::{ModePage, ModeParameters};
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, Task};

use crate::Drive;
use crate::sense::of_medium_error;
use crate::tape_alert::WRITE_PROTECT;

const PAGE: u8 = 0x10;
const SUBPAGE: u8 = 0x01;
/// Where the page says how writing is to be done, behind its header: WRITE MODE in the upper half.
const WRITE_MODE_AT: usize = 1;
/// The size of the programmable early-warning zone, in megabytes.
const ZONE_AT: std::ops::Range<usize> = 2..4;
const MEGABYTE: u64 = 1_000_000;

const ALLOW_NOTHING: u8 = 0;
const ALLOW_CURRENT_POSITION: u8 = 1;
const ALLOW_FORMAT: u8 = 2;

/// What the page says, and what follows from it.
#[derive(Debug, Default)]
pub(crate) struct AppendOnly {
    is_on: bool,
    allowed: Allowed,
    /// How long the zone is that is told of before early warning; 0 for none.
    zone_bytes: u64,
    /// Whether it has been told that the zone was entered.
    is_zone_told: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Allowed {
    #[default]
    Nothing,
    Overwrite,
    Format,
}

impl AppendOnly {
    /// The position has changed, or the medium: what was allowed is not any more.
    pub(crate) fn forget(&mut self) {
        self.allowed = Allowed::Nothing;
    }

    /// Another medium.
    pub(crate) fn begin_medium(&mut self) {
        self.forget();
        self.is_zone_told = false;
    }

    /// Whether the position is in the zone, or behind it.
    pub(crate) fn zone_bytes(&self) -> u64 {
        self.zone_bytes
    }
}

/// ALLOW OVERWRITE: the next command may overwrite here, or format.
pub(crate) fn allow_overwrite(drive: &mut Drive, task: &mut Task) -> Executed {
    let (_, allows, partition, object, _) =
        task.cdb.fields((be_u8, be_u8, be_u8, be_u64, take(4_usize)))?;
    drive.append_only.forget();
    if !drive.append_only.is_on {
        return Err(Sense::not_in_append_only_mode().into());
    }
    let position = drive.loaded()?.cartridge.position();
    if (position.partition.0, position.object.0) != (partition, object) {
        return Err(Sense::sequential_positioning_error().into());
    }
    drive.append_only.allowed = match allows & 0x0f {
        ALLOW_NOTHING => Allowed::Nothing,
        ALLOW_CURRENT_POSITION => Allowed::Overwrite,
        ALLOW_FORMAT => Allowed::Format,
        _ => return Err(Sense::invalid_field_in_cdb(2, Some(3)).into()),
    };
    Ok(Completion::good())
}

/// Whether writing at the position is allowed by append-only mode.
pub(crate) fn check_write(drive: &mut Drive) -> Result<(), Refusal> {
    if !drive.append_only.is_on {
        return Ok(());
    }
    let allowed = std::mem::take(&mut drive.append_only.allowed);
    let is_allowed = match drive.loaded()?.cartridge.is_append_point(true) {
        Ok(is_append_point) => is_append_point || allowed == Allowed::Overwrite,
        Err(error) => {
            drive.note_failure(&error);
            return Err(of_medium_error(&error, None).into());
        }
    };
    refuse_unless(drive, is_allowed)
}

/// Whether formatting is allowed by append-only mode.
pub(crate) fn check_format(drive: &mut Drive) -> Result<(), Refusal> {
    let allowed = std::mem::take(&mut drive.append_only.allowed);
    let is_allowed = !drive.append_only.is_on || allowed == Allowed::Format;
    refuse_unless(drive, is_allowed)
}

/// Whether the command that was done now is the one that has to tell that the zone was entered.
pub(crate) fn tells_zone(drive: &mut Drive) -> bool {
    let zone_bytes = drive.append_only.zone_bytes;
    if zone_bytes == 0 {
        return false;
    }
    let is_inside =
        drive.loaded().is_ok_and(|loaded| loaded.cartridge.is_near_early_warning(zone_bytes));
    let was_told = std::mem::replace(&mut drive.append_only.is_zone_told, is_inside);
    is_inside && !was_told
}

// 10h/01h device configuration extension (SSC-5 §8.3.8): 4 TARPF, TASER, TARPC; 5 WRITE MODE (bits 7-4: 0 overwriting is allowed,
// 1 append only), SHORT ERASE MODE (bits 3-0: 2 the data ends there); 6-7 PEWS; 8 VCELBRE
pub(crate) fn page() -> ModePage {
    let mut values = vec![0, 0x02];
    values.resize(28, 0);
    let mut changeable = vec![0, 0x10, 0xff, 0xff];
    changeable.resize(28, 0);
    ModePage::new(PAGE, SUBPAGE, values, changeable)
}

/// Whether a page switches append-only mode on or off. It is how whoever writes guards himself against others who wind the medium.
pub(crate) fn is_switched(append_only: &AppendOnly, page: (u8, u8), values: &[u8]) -> bool {
    page == (PAGE, SUBPAGE)
        && values.get(WRITE_MODE_AT).is_some_and(|mode| bit(*mode, 4) != append_only.is_on)
}

/// Does as the page says from now on.
pub(crate) fn take_over(append_only: &mut AppendOnly, mode: &ModeParameters) {
    let Some(page) = mode.page(PAGE, SUBPAGE) else { return };
    let is_on = page.current.get(WRITE_MODE_AT).is_some_and(|mode| bit(*mode, 4));
    let size = page.current.get(ZONE_AT).and_then(|size| size.try_into().ok());
    let zone_bytes = u64::from(u16::from_be_bytes(size.unwrap_or_default())) * MEGABYTE;
    if is_on != append_only.is_on || zone_bytes != append_only.zone_bytes {
        *append_only = AppendOnly { is_on, zone_bytes, ..AppendOnly::default() };
    }
}

fn refuse_unless(drive: &mut Drive, is_allowed: bool) -> Result<(), Refusal> {
    if is_allowed {
        return Ok(());
    }
    drive.tape_alerts.insert(WRITE_PROTECT);
    Err(Sense::operator_selected_write_protect().into())
}
