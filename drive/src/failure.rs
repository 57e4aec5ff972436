//! Writes that failed: who is told of them, and how.
//!
//! A cartridge tells each failure once, to whichever call meets it first. If that is a command that had to bring everything
//! to disk itself, the failure is its own: current sense, with the number of objects that are not on the medium. Else it
//! belongs to commands that have been answered GOOD, and is deferred: the nexus that wrote gets it with its next command,
//! which is not carried out (SSC-5 §4.2.12, SPC-5 §4.4.7). The operator is told either way.

use vtl_media::MediumError;
use vtl_scsi::{Completion, ItNexus};

use crate::Drive;
use crate::sense::of_medium_error;

/// Tells the operator.
pub(crate) struct OnFailure(Box<dyn Fn(&MediumError) + Send>);

impl std::fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnFailure")
    }
}

impl Drive {
    /// Whoever looks after the cartridges is told once of each failure that has cost accepted data, while the cartridge is
    /// still in the drive.
    pub fn on_failure(&mut self, tell: impl Fn(&MediumError) + Send + 'static) {
        self.on_failure = Some(OnFailure(Box::new(tell)));
    }

    /// Keeps a failure behind an answered command for the nexus that wrote.
    pub(crate) fn defer(&mut self, error: &MediumError) {
        self.note_failure(error);
        if let Some(nexus) = self.last_writer {
            self.unit.defer(nexus, of_medium_error(error, None));
        }
    }

    /// The end of a command that has met a failure of its own. Where another nexus has written, it is told as well.
    pub(crate) fn failed(&mut self, nexus: ItNexus, error: &MediumError) -> Completion {
        if let MediumError::WriteFailed { .. } = error {
            self.note_failure(error);
            if let Some(writer) = self.last_writer.filter(|writer| *writer != nexus) {
                self.unit.defer(writer, of_medium_error(error, None));
            }
        }
        of_medium_error(error, None).into()
    }

    /// Lights the TapeAlert flags, and tells the operator where data was lost.
    pub(crate) fn note_failure(&mut self, error: &MediumError) {
        self.note_write_failure(error);
        if let (MediumError::WriteFailed { .. }, Some(OnFailure(tell))) = (error, &self.on_failure)
        {
            tell(error);
        }
    }
}
