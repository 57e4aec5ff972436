//! The libraries of one data directory while they run, as each of them knows the others.
//!
//! A cartridge may go from one library to another. Who moves it holds the arms of both ends, so that nobody else moves it
//! meanwhile, and a drive that is stuck in one library holds up no other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use vtl_media::{LibraryId, Place};

use crate::library::Library;
use crate::models::Models;

/// All libraries that show the cartridges of one store.
#[derive(Debug, Default)]
pub(crate) struct Site {
    /// Sorted by name.
    members: Mutex<Vec<Member>>,
    /// Whoever takes a cartridge from a place that is no element, or puts one there.
    shelf: Arc<Mutex<()>>,
    models: Arc<Models>,
}

#[derive(Debug)]
struct Member {
    id: LibraryId,
    library: Weak<Library>,
    arm: Arc<Mutex<()>>,
}

impl Site {
    pub(crate) fn new(models: Arc<Models>) -> Arc<Self> {
        Arc::new(Self { models, ..Self::default() })
    }

    /// The models that libraries and drives can have here.
    pub(crate) fn models(&self) -> &Arc<Models> {
        &self.models
    }

    /// A library begins to run.
    pub(crate) fn join(&self, library: &Arc<Library>) {
        let id = library.record.id.clone();
        let mut members = lock(&self.members);
        members.retain(|member| member.id != id);
        members.push(Member { id, library: Arc::downgrade(library), arm: Arc::default() });
        members.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// The library of this name, if it runs.
    pub(crate) fn library(&self, id: &LibraryId) -> Option<Arc<Library>> {
        let members = lock(&self.members);
        members.iter().find(|member| member.id == *id)?.library.upgrade()
    }

    /// What has to be held to move something between these places, in the order in which everybody takes it.
    pub(crate) fn arms(&self, places: &[&Place]) -> Vec<Arc<Mutex<()>>> {
        let members = lock(&self.members);
        let is_wanted =
            |member: &&Member| places.iter().any(|place| place.library() == Some(&member.id));
        let leaves_elements = places.iter().any(|place| !place.is_element());
        let arms = members.iter().filter(is_wanted).map(|member| Arc::clone(&member.arm));
        leaves_elements.then(|| Arc::clone(&self.shelf)).into_iter().chain(arms).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
