//! What has been acknowledged at one moment, and what may be found beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use vtl_media::Place;

use crate::tape::Objects;

/// Where each cartridge is, by its barcode.
pub(crate) type Places = BTreeMap<String, Place>;

/// What a power cut at this moment may leave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Promise {
    /// For each cartridge everything that may be on it: what was there at the last sync point, and what each command since
    /// then has made of it, the one under way included.
    pub(crate) tapes: BTreeMap<String, Vec<Arc<Objects>>>,
    /// The places as they are, and as the move under way would make them.
    pub(crate) places: Vec<Arc<Places>>,
}

impl Promise {
    /// Nothing is under way.
    pub(crate) fn new(tapes: &BTreeMap<String, Objects>, places: &Places) -> Self {
        let tapes = tapes
            .iter()
            .map(|(barcode, objects)| (barcode.clone(), vec![Arc::new(objects.clone())]))
            .collect();
        Self { tapes, places: vec![Arc::new(places.clone())] }
    }

    /// A command is under way that may leave this.
    pub(crate) fn may_be(&mut self, barcode: &str, objects: Objects) {
        self.tapes.entry(barcode.to_owned()).or_default().push(Arc::new(objects));
    }

    /// Everything on this cartridge was acknowledged as durable.
    pub(crate) fn is_synced(&mut self, barcode: &str) {
        if let Some(states) = self.tapes.get_mut(barcode) {
            states.drain(..states.len().saturating_sub(1));
        }
    }
}
