//! Data directories with damage in any of their files: the marker, the ledger and its head, labels, journals, the catalogue.

use std::path::Path;
use std::sync::Arc;

use bolero::check;
use vtl_fuzz::disk_damage::{Damage, damage, files_below};
use vtl_fuzz::scene;

use vtl_media::disk::Disk;
use vtl_media::store::CatalogueKind;
use vtl_media::{EntryFilter, Store, StoreOptions};

#[test]
fn damaged_store() {
    vtl_fuzz::watch();
    let seed = scene::recorded();
    check!().with_type::<Vec<Damage>>().for_each(|damages| {
        let memory = seed.snapshot();
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        for one in damages.iter().take(6) {
            damage(&memory, &files_below(&memory, Path::new(scene::DIRECTORY)), one);
        }
        let options = StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() };
        // Whether it opens is the damage's business.
        if let Ok(store) = Store::open(disk, Path::new(scene::DIRECTORY), options) {
            let _ = store.ledger().verify();
            let _ = store.ledger().list(&EntryFilter::default());
            let _ = store.check_catalogue();
            let _ = store.rebuild_catalogue();
            let _ = store.close();
        }
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}
