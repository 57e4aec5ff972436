//! Drives and a changer, on disks in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use jiff::Timestamp;
use uuid::Uuid;
use vtl_changer::{Changer, DriveStatus, Element, MoveFailure, Occupant, Robot};
use vtl_drive::Drive;
use vtl_media::disk::{Disk, MemoryDisk};
use vtl_media::{Barcode, Cartridge, CartridgeSpec, LoadOptions, Volume};
use vtl_scsi::device::{self, Device};
use vtl_scsi::{Completion, ItNexus, Lun, NexusName, Status, Task};

/// What is in the drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Nothing was ever written.
    Blank,
    /// Blocks and filemarks.
    Written,
    /// Blocks and filemarks that cannot be overwritten.
    Worm,
    /// Blocks that a key of the first nexus has encrypted, which it still has.
    Encrypted,
    /// Two partitions with blocks in each.
    Partitioned,
}

const MEDIA: [Medium; 5] =
    [Medium::Blank, Medium::Written, Medium::Worm, Medium::Encrypted, Medium::Partitioned];

/// The page that sets the key of `encrypted` drives.
pub fn key_page(key: u8) -> Vec<u8> {
    let mut page = vec![0, 0x10, 0, 48, 1 << 5, 0x40, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32];
    page.extend([key; 32]);
    page
}

/// SECURITY PROTOCOL OUT with a page of tape data encryption.
pub fn security_out(nexus: ItNexus, number: u8, page: &[u8]) -> Task {
    let [_, _, high, low] = u32::try_from(page.len()).expect("a short page").to_be_bytes();
    Task::new(nexus, &[0xb5, 0x20, 0, number, 0, 0, 0, 0, high, low, 0, 0]).with_data_out(page)
}

/// A drive with such a medium, which both nexuses know of.
pub fn drive(medium: Medium) -> Drive {
    static DISKS: OnceLock<Vec<(Medium, MemoryDisk)>> = OnceLock::new();
    let made =
        DISKS.get_or_init(|| MEDIA.iter().map(|medium| (*medium, record(*medium))).collect());
    let (_, disk) = made.iter().find(|(made, _)| *made == medium).expect("all are made");
    let mut drive = drive_on(&disk.snapshot());
    if medium == Medium::Encrypted {
        good(&device::execute(&mut drive, security_out(ItNexus(1), 0x10, &key_page(7))));
        settle(&mut drive);
    }
    drive
}

fn record(medium: Medium) -> MemoryDisk {
    let memory = MemoryDisk::with_capacity(64 << 20);
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let barcode = Barcode::new("VTL001L9").unwrap();
    let spec = CartridgeSpec::new(Uuid::from_u128(1), barcode, "lto9", 4 << 20);
    let spec = CartridgeSpec { worm: medium == Medium::Worm, ..spec };
    Cartridge::create(&disk, Path::new(DIRECTORY), &spec, Timestamp::UNIX_EPOCH).unwrap();
    if medium == Medium::Blank {
        return memory;
    }
    let mut drive = drive_on(&memory);
    match medium {
        Medium::Encrypted => {
            good(&device::execute(&mut drive, security_out(ItNexus(1), 0x10, &key_page(7))));
            settle(&mut drive);
        }
        Medium::Partitioned => {
            // IDP with one partition more, of 1 MB; then FORMAT MEDIUM.
            const LIST: [u8; 16] = [0, 0, 0x10, 0, 0x11, 10, 3, 1, 0x34, 3, 0, 0, 0, 1, 0xff, 0xff];
            let select = Task::new(ItNexus(1), &[0x15, 0x10, 0, 0, 16, 0]);
            good(&device::execute(&mut drive, select.with_data_out(&LIST)));
            run(&mut drive, &[0x04, 0, 1, 0, 0, 0]);
            fill(&mut drive);
            run(&mut drive, &[0x92, 0x02, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        _ => {}
    }
    fill(&mut drive);
    run(&mut drive, &[0x1b, 0, 0, 0, 0, 0]);
    memory
}

fn fill(drive: &mut Drive) {
    for number in 0..6 {
        let block = vec![number; 100 + 400 * usize::from(number)];
        let [high, low] = u16::try_from(block.len()).unwrap().to_be_bytes();
        let write = Task::new(ItNexus(1), &[0x0a, 0, 0, high, low, 0]).with_data_out(&block);
        good(&device::execute(drive, write));
        if number % 2 == 1 {
            run(drive, &[0x10, 0, 0, 0, 1, 0]);
        }
    }
}

fn run(drive: &mut Drive, cdb: &[u8]) {
    good(&device::execute(drive, Task::new(ItNexus(1), cdb)));
}

fn good(completion: &Completion) {
    assert_eq!(completion.status, Status::GOOD, "{completion:?}");
}

fn drive_on(disk: &MemoryDisk) -> Drive {
    let options = LoadOptions {
        segment_bytes: 1 << 20,
        write_buffer_bytes: 1 << 20,
        reserve_bytes: Some(0),
        ..LoadOptions::default()
    };
    let cartridge = Volume::load(Arc::new(disk.clone()), Path::new(DIRECTORY), options).unwrap();
    let profile = vtl_drive::Profile::find("ibm-ult3580-td9").unwrap();
    let mut drive = Drive::new(profile, "1013000001", 5, Arc::from([Lun(0), Lun(1)]));
    drive.insert(cartridge);
    for number in 1..=2 {
        drive.nexus_begins(ItNexus(number), names(number));
    }
    settle(&mut drive);
    drive
}

/// Takes what waits to be told to the two nexuses, so that the first command of an input is not the one that is told.
fn settle<D: Device>(device: &mut D) {
    for number in 1..=2 {
        for _ in 0..8 {
            let completion = device::execute(device, Task::new(ItNexus(number), &[0; 6]));
            if completion.status == Status::GOOD {
                break;
            }
        }
    }
}

fn names(number: u64) -> NexusName {
    NexusName {
        initiator: format!("iqn.2026-11.example:{number}").into(),
        initiator_port: "0".into(),
    }
}

type Elements = Arc<Mutex<BTreeMap<Element, Occupant>>>;

struct Map(Elements);

impl Robot for Map {
    fn occupant(&self, element: Element) -> Option<Occupant> {
        self.0.lock().unwrap().get(&element).cloned()
    }

    fn drive(&self, number: u16) -> Option<DriveStatus> {
        Some(DriveStatus {
            vendor: "IBM".into(),
            product: "ULT3580-TD9".into(),
            serial: format!("101300000{number}"),
            is_accessible: number == 1,
            exception: None,
        })
    }

    fn move_medium(&mut self, from: Element, to: Element) -> Result<(), MoveFailure> {
        let mut elements = self.0.lock().unwrap();
        if elements.contains_key(&to) {
            return Err(MoveFailure::DestinationFull);
        }
        let occupant = elements.remove(&from).ok_or(MoveFailure::SourceEmpty)?;
        elements.insert(to, occupant);
        Ok(())
    }

    fn exchange_medium(
        &mut self,
        from: Element,
        to: Element,
        second_to: Element,
    ) -> Result<(), MoveFailure> {
        let mut elements = self.0.lock().unwrap();
        let first = elements.remove(&from).ok_or(MoveFailure::SourceEmpty)?;
        let second = elements.insert(to, first).ok_or(MoveFailure::SourceEmpty)?;
        elements.insert(second_to, second);
        Ok(())
    }
}

/// A changer with three cartridges, which both nexuses know of.
pub fn changer() -> Changer {
    let elements: Elements = Arc::default();
    let occupant = |tag: &str| Occupant {
        volume_tag: tag.into(),
        is_cleaning: false,
        source: None,
        is_import: false,
    };
    elements.lock().unwrap().extend([
        (Element::Storage(0), occupant("VTL001L9")),
        (Element::Storage(1), occupant("VTL002L9")),
        (Element::Drive(0), occupant("VTL003L9")),
    ]);
    let profile = vtl_changer::Profile::find("ibm-03584l32").unwrap();
    let map = profile.element_map(3, 2, 2).unwrap();
    let robot = Box::new(Map(elements));
    let mut changer = Changer::new(profile, map, "LIB0000001", 7, Arc::from([Lun(0)]), robot);
    for number in 1..=2 {
        changer.nexus_begins(ItNexus(number), names(number));
    }
    settle(&mut changer);
    changer
}

/// What has to hold of every answer.
pub fn sound(completion: &Completion) {
    match completion.status {
        Status::CHECK_CONDITION => {
            assert!(completion.sense.is_some(), "CHECK CONDITION without sense")
        }
        _ => assert!(completion.sense.is_none(), "sense without CHECK CONDITION"),
    }
    assert!(completion.data_in.len() <= 32 << 20, "more data than any command has");
}

/// Does the tasks, and then looks whether the device still is what it was.
pub fn run_all<D: Device>(device: &mut D, tasks: impl IntoIterator<Item = Task>, kind: u8) {
    for task in tasks {
        sound(&device::execute(device, task));
    }
    let inquiry = device::execute(device, Task::new(ItNexus(1), &[0x12, 0, 0, 0, 96, 0]));
    assert_eq!(inquiry.status, Status::GOOD);
    assert_eq!(inquiry.data_in.first().map(|byte| byte & 0x1f), Some(kind));
}

const DIRECTORY: &str = "/cartridge";
