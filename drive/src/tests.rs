//! Commands as byte arrays against a drive on a disk in memory: data, status, sense, position.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;
use vtl_media::disk::{Call, Disk, Fault, FaultDisk, MemoryDisk, Reaction};
use vtl_media::{Barcode, Cartridge, CartridgeSpec, LoadOptions, Volume};
use vtl_scsi::sense::{Asc, Sense, SenseKey};
use vtl_scsi::{Completion, ItNexus, Lun, NexusName, Status, Task, device};

use crate::{Drive, Profile};

mod access_order;
mod append_only;
mod attribute;
mod block_protection;
mod buffers_and_clock;
mod checks;
mod cleaning;
mod compression;
mod encryption;
mod explicit_address;
mod locate;
mod log_pages;
mod medium;
mod mode_pages;
mod partition;
mod persistent_reservations;
mod profiles;
mod read_6;
mod read_only;
mod space;
mod verify;
mod vital_product_data;
mod worm;
mod write_6;

const A: ItNexus = ItNexus(1);
const B: ItNexus = ItNexus(2);

const EIO: i32 = 5;

const REWIND: [u8; 6] = [0x01, 0, 0, 0, 0, 0];
const TEST_UNIT_READY: [u8; 6] = [0; 6];

fn cartridge(media_type: &str, capacity_bytes: u64) -> Volume {
    load(&created(&spec(media_type, capacity_bytes)))
}

fn spec(media_type: &str, capacity_bytes: u64) -> CartridgeSpec {
    let barcode = Barcode::new("VTL001L9").unwrap();
    CartridgeSpec::new(Uuid::from_u128(1), barcode, media_type, capacity_bytes)
}

fn created(spec: &CartridgeSpec) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Cartridge::create(&shared, Path::new("/cartridge"), spec, Timestamp::UNIX_EPOCH).unwrap();
    disk
}

fn load(disk: &MemoryDisk) -> Volume {
    let options =
        LoadOptions { segment_bytes: 1 << 20, reserve_bytes: Some(0), ..LoadOptions::default() };
    Volume::load(Arc::new(disk.clone()), Path::new("/cartridge"), options).unwrap()
}

/// A drive with the cartridge of that disk, which everybody knows to be there.
fn drive_on(disk: &MemoryDisk) -> Drive {
    let mut drive = empty_drive();
    drive.insert(load(disk));
    for nexus in [A, B] {
        assert_eq!(
            sense(&run(&mut drive, nexus, &TEST_UNIT_READY)),
            Sense::medium_may_have_changed()
        );
    }
    drive
}

fn empty_drive() -> Drive {
    let mut drive = Drive::new(
        Profile::find("ibm-ult3580-td9").unwrap(),
        "1013000001",
        5,
        Arc::from([Lun(0), Lun(1)]),
    );
    for nexus in [A, B] {
        let name = NexusName { initiator: "iqn.2026-11.test:a".into(), initiator_port: "0".into() };
        drive.nexus_begins(nexus, name);
        assert_eq!(sense(&run(&mut drive, nexus, &TEST_UNIT_READY)), Sense::power_on());
    }
    drive
}

fn drive_with(media_type: &str, capacity_bytes: u64) -> Drive {
    let mut drive = empty_drive();
    drive.insert(cartridge(media_type, capacity_bytes));
    for nexus in [A, B] {
        if drive.medium_state() == crate::MediumState::Ready {
            assert_eq!(
                sense(&run(&mut drive, nexus, &TEST_UNIT_READY)),
                Sense::medium_may_have_changed()
            );
        }
    }
    drive
}

fn drive() -> Drive {
    drive_with("lto9", 1 << 30)
}

/// A drive with a cartridge whose disk can be made to fail.
fn drive_on_a_faulty_disk() -> (FaultDisk, Drive) {
    let faulty = FaultDisk::over(MemoryDisk::new());
    let disk: Arc<dyn Disk> = Arc::new(faulty.clone());
    let directory = Path::new("/cartridge");
    let barcode = Barcode::new("VTL001L9").unwrap();
    let spec = CartridgeSpec::new(Uuid::from_u128(1), barcode, "lto9", 1 << 30);
    Cartridge::create(&disk, directory, &spec, Timestamp::UNIX_EPOCH).unwrap();
    let options = LoadOptions { reserve_bytes: Some(0), ..LoadOptions::default() };
    let mut drive = empty_drive();
    drive.insert(Volume::load(disk, directory, options).unwrap());
    for nexus in [A, B] {
        run(&mut drive, nexus, &TEST_UNIT_READY);
    }
    (faulty, drive)
}

fn run(drive: &mut Drive, nexus: ItNexus, cdb: &[u8]) -> Completion {
    device::execute(drive, Task::new(nexus, cdb))
}

fn run_with(drive: &mut Drive, cdb: &[u8], data: &[u8]) -> Completion {
    device::execute(drive, Task::new(A, cdb).with_data_out(data))
}

fn good(completion: &Completion) {
    assert_eq!((completion.status, completion.sense), (Status::GOOD, None));
}

fn sense(completion: &Completion) -> Sense {
    assert_eq!(completion.status, Status::CHECK_CONDITION);
    completion.sense.unwrap()
}

fn length(bytes: usize) -> [u8; 3] {
    let [_, high, middle, low] = u32::try_from(bytes).unwrap().to_be_bytes();
    [high, middle, low]
}

fn write(drive: &mut Drive, data: &[u8]) -> Completion {
    let [high, middle, low] = length(data.len());
    run_with(drive, &[0x0a, 0, high, middle, low, 0], data)
}

fn read(drive: &mut Drive, flags: u8, count: usize) -> Completion {
    let [high, middle, low] = length(count);
    run(drive, A, &[0x08, flags, high, middle, low, 0])
}

fn filemarks(drive: &mut Drive, count: u8) -> Completion {
    run(drive, A, &[0x10, 0, 0, 0, count, 0])
}

fn space(drive: &mut Drive, code: u8, count: i32) -> Completion {
    let [_, high, middle, low] = count.to_be_bytes();
    run(drive, A, &[0x11, code, high, middle, low, 0])
}

fn select_block_length(drive: &mut Drive, bytes: usize) {
    let [high, middle, low] = length(bytes);
    good(&run_with(
        drive,
        &[0x15, 0x10, 0, 0, 12, 0],
        &[0, 0, 0x10, 8, 0, 0, 0, 0, 0, high, middle, low],
    ));
}

/// The object number of READ POSITION, long form.
fn position(drive: &mut Drive) -> u64 {
    let completion = run(drive, A, &[0x34, 0x06, 0, 0, 0, 0, 0, 0, 0, 0]);
    good(&completion);
    assert_eq!(completion.data_in.len(), 32);
    u64::from_be_bytes(completion.data_in[8..16].try_into().unwrap())
}

/// Blocks of 100, 200 and 300 bytes with a filemark behind the second; at the beginning.
fn recorded() -> Drive {
    let mut drive = drive();
    good(&write(&mut drive, &[1; 100]));
    good(&write(&mut drive, &[2; 200]));
    good(&filemarks(&mut drive, 1));
    good(&write(&mut drive, &[3; 300]));
    good(&run(&mut drive, A, &REWIND));
    drive
}
