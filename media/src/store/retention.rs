//! Locks and holds: the ledger says which are in force, and the labels say it too.

use jiff::Timestamp;
use uuid::Uuid;

use super::error::UndoError;
use super::{Store, lock};
use crate::cartridge::{LoadError, MediumError, Volume};
use crate::label::LabelError;
use crate::ledger::Event;
use crate::retention::{ComplianceClock, Retention};

/// Writes the labels of a cartridge that is loaded.
pub type WriteLabels<'a> = dyn FnMut(&Retention) -> Result<(), MediumError> + 'a;

/// How the protection of a cartridge changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetentionChange {
    /// Locked until then; never earlier than it is already.
    LockUntil(Timestamp),
    /// Locked until then in governance mode; not earlier than it is already.
    GovernUntil(Timestamp),
    /// What governance mode keeps is let go of, for this reason. A lock that nobody can shorten stays, and so does a hold.
    LiftGovernance(String),
    /// To be disposed of from then on, or not at all.
    Dispose(Option<Timestamp>),
    /// Held, for this reason.
    Hold(String),
    /// The hold is lifted. A lock stays.
    Lift,
}

impl Store {
    /// The clock that locks end by.
    pub fn compliance_clock(&self) -> &ComplianceClock {
        &self.compliance
    }

    /// What keeps a cartridge as it is.
    pub fn retention(&self, uuid: Uuid) -> Retention {
        self.inventory().retention(uuid)
    }

    /// Changes what keeps a cartridge as it is, in the ledger and on its labels, and says what that is then. `in_drive` writes the labels of a cartridge that is loaded.
    pub fn change_retention(
        &self,
        uuid: Uuid,
        change: &RetentionChange,
        in_drive: Option<&mut WriteLabels<'_>>,
        actor: &str,
    ) -> Result<Retention, UndoError> {
        let _retaining = lock(&self.retaining);
        let entry = self.cartridge(uuid).ok_or(UndoError::NoCartridge(uuid))?;
        let before = self.retention(uuid);
        let after = changed(&before, change)
            .map_err(|reason| UndoError::Locked { barcode: entry.barcode.clone(), reason })?;
        let mut in_drive = in_drive;
        let mut label = |after: &Retention| match in_drive.as_mut() {
            Some(write) => write(after)
                .map_err(|source| UndoError::Medium { barcode: entry.barcode.clone(), source }),
            None => self.label_retention(uuid, after),
        };
        let reason = match change {
            RetentionChange::LiftGovernance(reason) => Some(reason.clone()),
            _ => None,
        };
        let event = Event::RetentionSet { reason, cartridge: uuid, retention: after.clone() };
        let record = || {
            let _changing = self.begin_change();
            self.record_changes(&[event], actor)
        };
        // Whatever is cut off in between, the cartridge is rather kept than given up.
        if matches!(change, RetentionChange::Lift | RetentionChange::LiftGovernance(_)) {
            record()?;
            label(&after)?;
        } else {
            label(&after)?;
            record()?;
        }
        if let Err(error) = self.compliance.keep() {
            tracing::warn!(%error, "the compliance clock cannot be kept: locks last longer by the time of this run");
        }
        Ok(after)
    }

    fn label_retention(&self, uuid: Uuid, retention: &Retention) -> Result<(), UndoError> {
        let (entry, _reserved) = self.for_work(uuid)?;
        let medium = |source| UndoError::Medium { barcode: entry.barcode.clone(), source };
        let label_alone = || {
            let failed = |source: LabelError| UndoError::Load {
                barcode: entry.barcode.clone(),
                source: source.into(),
            };
            let closed = self.open_cartridge(&entry, true)?;
            closed.label_retention(retention).map_err(failed)
        };
        if entry.read_only {
            return label_alone();
        }
        let mut cartridge = match self.open_cartridge(&entry, false) {
            Err(UndoError::Load { source: LoadError::AtRest(_), .. }) => return label_alone(),
            opened => opened?,
        };
        cartridge.set_retention(retention).map_err(medium)?;
        let facts = Volume::unload(cartridge).map_err(medium)?;
        Ok(self.update_facts(uuid, &facts)?)
    }
}

/// What is in force after a change, or why it must not be made.
fn changed(before: &Retention, change: &RetentionChange) -> Result<Retention, String> {
    let mut after = before.clone();
    match change {
        RetentionChange::LockUntil(until) => {
            if let Some(earlier) = before.until.filter(|earlier| earlier > until) {
                return Err(format!(
                    "it is locked until {earlier}, and nobody can make that earlier"
                ));
            }
            after.until = Some(*until);
        }
        RetentionChange::GovernUntil(until) => {
            if let Some(earlier) = before.governed_until.filter(|earlier| earlier > until) {
                return Err(format!(
                    "it is locked until {earlier} in governance mode: lift that first, with a reason, to make it earlier"
                ));
            }
            after.governed_until = Some(*until);
        }
        RetentionChange::LiftGovernance(_) => after.governed_until = None,
        RetentionChange::Dispose(time) => after.dispose_after = *time,
        RetentionChange::Hold(reason) => after.hold = Some(reason.clone()),
        RetentionChange::Lift => after.hold = None,
    }
    Ok(after)
}
