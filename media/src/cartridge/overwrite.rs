//! Where may be written without giving up a block: on WORM media, and for drives that only append.

use super::{Cartridge, MediumError};

impl Cartridge {
    /// Whether writing at the position gives up no block: at the end of the data, or where nothing but filemarks follows and a
    /// filemark stands right before. So a tape that was closed with filemarks can be appended to as hosts do it. The filemark
    /// closest to the beginning stays, unless `may_be_first` says that all of them may go.
    pub fn is_append_point(&mut self, may_be_first: bool) -> Result<bool, MediumError> {
        if self.is_end_missing {
            return Ok(false);
        }
        let behind = self.end.objects.saturating_sub(self.position.objects);
        let marks_behind = self.end.filemarks.saturating_sub(self.position.filemarks);
        if behind == 0 {
            return Ok(true);
        }
        if behind != marks_behind {
            return Ok(false);
        }
        if self.position.objects == 0 {
            return Ok(may_be_first);
        }
        let Some(last) = self.position.filemarks.checked_sub(1) else { return Ok(false) };
        // Filemarks that are not on disk yet are not in the index.
        self.sync()?;
        Ok(self.before_mark(last)?.objects.saturating_add(1) == self.position.objects)
    }

    /// Refuses to give up what was written on WORM media, or what is locked or held. Where nothing is given up nobody is asked.
    pub(super) fn check_overwrite(&mut self) -> Result<(), MediumError> {
        if self.is_appending() {
            return Ok(());
        }
        match self.check_kept() {
            Err(kept) if !self.is_append_point(false)? => Err(kept),
            _ => Ok(()),
        }
    }

    /// The same, for what gives up everything from the position on, filemarks as well.
    pub(super) fn check_erase(&self) -> Result<(), MediumError> {
        if self.is_appending() { Ok(()) } else { self.check_kept() }
    }

    fn check_kept(&self) -> Result<(), MediumError> {
        if self.label.worm { Err(MediumError::Worm) } else { self.check_retention() }
    }
}
