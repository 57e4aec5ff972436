//! A cleaning cartridge, from its storage element into the drive and back, and over restarts.

use std::time::Instant;

use vtl_changer::MoveFailure;
use vtl_media::{CLEANINGS_MAX, Cartridge, CartridgeKind};
use vtl_scsi::sense::Asc;

use super::*;

const CLEANING: &str = "CLN001L9";
const LIMIT: Duration = Duration::from_secs(30);

fn scene() -> Scene {
    let memory = MemoryDisk::new();
    let made = store(Arc::new(FaultDisk::over(memory.clone())));
    let barcode = Barcode::new(CLEANING).unwrap();
    let kind = CartridgeKind::of(&barcode);
    made.initialize(LibrarySpec {
        drives: 1,
        storage_elements: 2,
        import_export_elements: 1,
        cartridges: vec![NewCartridge { kind, ..NewCartridge::new(barcode, "lto9") }],
        ..LibrarySpec::default()
    })
    .unwrap();
    made.close().unwrap();
    Scene::boot(memory, options())
}

impl Scene {
    fn cleaning_cartridge(&self) -> vtl_media::CartridgeEntry {
        self.library.holdings().find(CLEANING).unwrap()
    }

    fn move_it(&self, to: &Place) -> Result<(), MoveFailure> {
        self.library.move_cartridge(&self.cleaning_cartridge().place, to, "test")
    }

    /// What the drive says that it is not ready for.
    fn asc(&self) -> Asc {
        sense(&self.send(A, &TEST_UNIT_READY)).asc
    }

    /// READ ELEMENT STATUS of the drive: its flags, and what is wrong with what is in it.
    fn drive_element(&self) -> (u8, [u8; 2]) {
        let cdb = [0xb8, 0x04, 0, 0, 0xff, 0xff, 0, 0, 4, 0, 0, 0];
        let unit = self.library.unit(Lun(0)).unwrap();
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        let ask = || {
            let no_reply = || -> Reply { Box::new(|_| panic!("a changer answers at once")) };
            unit.submit(ticket, Task::new(A, &cdb), no_reply)
        };
        // The first answer after a start is that there was one.
        let data = poll(|| ask().map(|done| done.data_in).filter(|data| !data.is_empty()));
        (data[18], [data[20], data[21]])
    }
}

/// Asks until there is an answer.
fn poll<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < LIMIT);
        std::thread::yield_now();
    }
}

#[test]
fn it_cleans_then_the_arm_can_have_it_and_the_use_is_counted_for_good() {
    const FULL_EXCEPT: u8 = 0x05;
    const ACCESS: u8 = 0x08;
    let scene = scene();
    let home = scene.cleaning_cartridge().place;
    scene.move_it(&Place::drive(0)).unwrap();
    // While it cleans nobody gets it out; whoever is late is told that it is done.
    if scene.asc() == Asc::CLEANING_CARTRIDGE_INSTALLED
        && scene.drive_element() == (FULL_EXCEPT, [0x30, 0x03])
    {
        assert!(matches!(scene.move_it(&home), Err(MoveFailure::DriveHoldsMedium) | Ok(())));
    }
    let scene = if scene.cleaning_cartridge().place == home { return } else { scene };
    poll(|| (scene.asc() == Asc::NOT_READY_CAUSE_NOT_REPORTABLE).then_some(()));
    assert_eq!(scene.drive_element(), (FULL_EXCEPT | ACCESS, [0x30, 0x03]));
    assert_eq!(scene.cleaning_cartridge().load_count, 1);
    assert_eq!(scene.tape_alerts(), [0x0b]);
    // The program is started again while it lies there: that is no use, and the drive is not cleaned again.
    let memory = scene.memory.clone();
    scene.library.power_off();
    drop(scene);
    let scene = Scene::boot(memory, options());
    assert_eq!(scene.asc(), Asc::NOT_READY_CAUSE_NOT_REPORTABLE);
    assert_eq!(scene.cleaning_cartridge().load_count, 1);
    scene.move_it(&home).unwrap();
    assert_eq!(scene.asc(), Asc::MEDIUM_NOT_PRESENT);
    scene.move_it(&Place::drive(0)).unwrap();
    assert_eq!(scene.cleaning_cartridge().load_count, 2);
}

/// The one who waited for a drive to be emptied used to be woken before the drive's state could be seen, so READ ELEMENT STATUS right after
/// the move could still tell of what had been in it.
#[test]
fn one_that_is_used_up_comes_out_again_at_once_and_stays_used_up() {
    let mut scene = scene();
    let home = scene.cleaning_cartridge().place;
    let store = scene.library.store();
    let directory = store.directory_of(scene.cleaning_cartridge().uuid);
    for _ in 0..CLEANINGS_MAX {
        Cartridge::use_for_cleaning(store.disk().as_ref(), &directory, false).unwrap();
    }
    for _ in 0..2 {
        scene.move_it(&Place::drive(0)).unwrap();
        assert_eq!(scene.asc(), Asc::CLEANING_FAILED);
        assert_eq!(scene.tape_alerts(), [0x16]);
        assert_eq!(scene.drive_element(), (0x0d, [0x30, 0x07]));
        assert_eq!(scene.cleaning_cartridge().load_count, CLEANINGS_MAX);
        scene.move_it(&home).unwrap();
        assert_eq!(scene.drive_element(), (0x08, [0, 0]));
        let memory = scene.memory.clone();
        scene.library.power_off();
        drop(scene);
        scene = Scene::boot(memory, options());
    }
}
