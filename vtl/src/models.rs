//! The models that libraries and drives can have: those that are built in, and those that a file describes.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vtl_media::disk::{DirectoryDisk, Disk};

use crate::profile_file::{FileError, ProfileFile};

/// Where the files of a data directory's own models are.
pub(crate) const DIRECTORY_NAME: &str = "profiles";

/// All models that are known here.
#[derive(Debug, Default)]
pub(crate) struct Models(Mutex<Own>);

/// Models from files. They live as long as the program, as those do that are built in.
#[derive(Debug, Default)]
struct Own {
    libraries: Vec<&'static vtl_changer::Profile>,
    drives: Vec<&'static vtl_drive::Profile>,
}

impl Models {
    /// The models that are built in, and those whose files are in the data directory.
    pub(crate) fn of_directory(directory: &Path) -> Result<Self, FileError> {
        let models = Self::default();
        let disk = DirectoryDisk::new(directory);
        let directory = directory.join(DIRECTORY_NAME);
        let names = match disk.list(&directory) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(models),
            Err(source) => return Err(FileError::io(&directory, source)),
        };
        for name in names.iter().filter(|name| name.extension().is_some_and(|end| end == "toml")) {
            models.add(&ProfileFile::read_kept(&disk, &directory.join(name))?);
        }
        Ok(models)
    }

    /// Knows what a file describes from now on.
    pub(crate) fn add(&self, file: &ProfileFile) {
        let mut own = self.own();
        if let Some(library) = file.library {
            own.libraries.push(library);
        }
        own.drives.extend(&file.drives);
    }

    /// Whether everything is known that a file describes.
    pub(crate) fn has_all_of(&self, file: &ProfileFile) -> bool {
        file.library.is_none_or(|library| self.library(library.name) == Some(library))
            && file.drives.iter().all(|drive| self.drive(drive.name) == Some(*drive))
    }

    /// The library model of this name.
    pub(crate) fn library(&self, name: &str) -> Option<&'static vtl_changer::Profile> {
        let own = || self.own().libraries.iter().copied().find(|profile| profile.name == name);
        vtl_changer::Profile::find(name).or_else(own)
    }

    /// The drive model of this name.
    pub(crate) fn drive(&self, name: &str) -> Option<&'static vtl_drive::Profile> {
        let own = || self.own().drives.iter().copied().find(|profile| profile.name == name);
        vtl_drive::Profile::find(name).or_else(own)
    }

    /// All library models.
    pub(crate) fn libraries(&self) -> Vec<&'static vtl_changer::Profile> {
        let mut all = vtl_changer::Profile::ALL.to_vec();
        all.extend(&self.own().libraries);
        all
    }

    /// All drive models.
    pub(crate) fn drives(&self) -> Vec<&'static vtl_drive::Profile> {
        let mut all = vtl_drive::Profile::ALL.to_vec();
        all.extend(&self.own().drives);
        all
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
