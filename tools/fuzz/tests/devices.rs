//! Every command descriptor block with any data, at a drive and at a changer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bolero::{TypeGenerator, check};
use jiff::Timestamp;
use uuid::Uuid;
use vtl_changer::{Changer, DriveStatus, Element, MoveFailure, Occupant, Robot};
use vtl_drive::Drive;
use vtl_media::disk::{Disk, MemoryDisk};
use vtl_media::{Barcode, Cartridge, CartridgeSpec, LoadOptions, Volume};
use vtl_scsi::device::{self, Device};
use vtl_scsi::{Completion, ItNexus, Lun, NexusName, Status, Task};

/// Operation codes that do something at one device or the other; random ones come beside.
const CODES: [u8; 51] = [
    0x00, 0x01, 0x03, 0x05, 0x08, 0x0a, 0x10, 0x11, 0x12, 0x15, 0x16, 0x17, 0x19, 0x1a, 0x1b, 0x1e,
    0x2b, 0x34, 0x44, 0x4c, 0x4d, 0x55, 0x56, 0x57, 0x5a, 0x5e, 0x5f, 0x91, 0x92, 0xa0, 0xa3, 0xa4,
    0xa5, 0xa6, 0xb5, 0xb6, 0xb8, 0x07, 0x37, 0xe7, 0x8c, 0x8d, 0x04, 0x2c, 0x0b, 0x82, 0x1c, 0x1d,
    0x3b, 0x3c, 0xa2,
];

#[derive(Debug, Clone, TypeGenerator)]
struct Command {
    code: Code,
    nexus: bool,
    /// The bytes behind the operation code; most are made small or zero, as most fields are reserved.
    cdb: [u8; 15],
    keep: u16,
    data: Vec<u8>,
    /// A parameter list whose first bytes are a mode parameter header and a page of this number.
    page: Option<(u8, u8)>,
    limit: Option<u16>,
}

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Code {
    Known(u8),
    KnownToo(u8),
    Any(u8),
}

impl Command {
    fn task(&self) -> Task {
        let code = match self.code {
            Code::Known(index) | Code::KnownToo(index) => CODES[usize::from(index) % CODES.len()],
            Code::Any(code) => code,
        };
        let mut cdb = [0; 16];
        cdb[0] = code;
        for (index, byte) in self.cdb.iter().enumerate() {
            if self.keep >> index & 1 == 1 {
                cdb[index + 1] = *byte;
            }
        }
        let mut data = self.data.clone();
        if let Some((page, length)) = self.page {
            // MODE SELECT of six and of ten bytes with PF: header, then the page.
            let header: &[u8] = if code == 0x55 { &[0; 8] } else { &[0; 4] };
            data = [header, &[page & 0x3f, length & 0x1f], &self.data].concat();
            if matches!(code, 0x15 | 0x55) {
                cdb[1] = 0x10;
                let [high, low] = u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes();
                (cdb[4], cdb[7], cdb[8]) =
                    if code == 0x15 { (low, cdb[7], cdb[8]) } else { (cdb[4], high, low) };
            }
        }
        // A WRITE whose transfer length is that of the data is one that works.
        if code == 0x0a && self.keep & 0x8000 != 0 {
            let [_, high, middle, low] = u32::try_from(data.len()).unwrap_or(0).to_be_bytes();
            cdb[1..5].copy_from_slice(&[0, high, middle, low]);
        }
        let mut task = Task::new(ItNexus(1 + u64::from(self.nexus)), &cdb).with_data_out(&data);
        if let Some(limit) = self.limit {
            task.data_in_limit_bytes = limit.into();
        }
        task
    }
}

fn names(number: u64) -> NexusName {
    NexusName {
        initiator: format!("iqn.2026-11.example:{number}").into(),
        initiator_port: "0".into(),
    }
}

fn drive() -> Drive {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::with_capacity(64 << 20));
    let directory = Path::new("/cartridge");
    let barcode = Barcode::new("VTL001L9").unwrap();
    let spec = CartridgeSpec::new(Uuid::from_u128(1), barcode, "lto9", 4 << 20);
    Cartridge::create(&disk, directory, &spec, Timestamp::UNIX_EPOCH).unwrap();
    let options = LoadOptions {
        segment_bytes: 1 << 20,
        write_buffer_bytes: 1 << 20,
        reserve_bytes: Some(0),
        ..LoadOptions::default()
    };
    let cartridge = Volume::load(disk, directory, options).unwrap();
    let profile = vtl_drive::Profile::find("ibm-ult3580-td9").unwrap();
    let mut drive = Drive::new(profile, "1013000001", 5, Arc::from([Lun(0), Lun(1)]));
    drive.insert(cartridge);
    for number in 1..=2 {
        drive.nexus_begins(ItNexus(number), names(number));
    }
    drive
}

/// What has to hold of every answer.
fn sound(completion: &Completion) {
    match completion.status {
        Status::CHECK_CONDITION => {
            assert!(completion.sense.is_some(), "CHECK CONDITION without sense")
        }
        _ => assert!(completion.sense.is_none(), "sense without CHECK CONDITION"),
    }
    assert!(completion.data_in.len() <= 32 << 20, "more data than any command has");
}

/// Runs the commands, and then looks whether the device still is what it was.
fn run<D: Device>(device: &mut D, commands: &[Command], kind: u8) {
    for command in commands {
        sound(&device::execute(device, command.task()));
    }
    let inquiry = device::execute(device, Task::new(ItNexus(1), &[0x12, 0, 0, 0, 96, 0]));
    assert_eq!(inquiry.status, Status::GOOD);
    assert_eq!(inquiry.data_in.first().map(|byte| byte & 0x1f), Some(kind));
}

#[test]
fn drive_commands() {
    vtl_fuzz::watch();
    check!().with_type::<Vec<Command>>().for_each(|commands| run(&mut drive(), commands, 1));
    vtl_fuzz::check();
}

#[test]
fn drive_mode_select() {
    vtl_fuzz::watch();
    check!().with_type::<(u8, Vec<u8>)>().for_each(|(page, data)| {
        let mut drive = drive();
        for code in [0x15, 0x55] {
            let command = Command {
                code: Code::Any(code),
                nexus: false,
                cdb: [0; 15],
                keep: 0,
                data: data.clone(),
                page: Some((*page, data.len().try_into().unwrap_or(0x1f))),
                limit: None,
            };
            run(&mut drive, &[command], 1);
        }
    });
    vtl_fuzz::check();
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

fn changer() -> Changer {
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
    changer
}

#[test]
fn changer_commands() {
    vtl_fuzz::watch();
    check!().with_type::<Vec<Command>>().for_each(|commands| run(&mut changer(), commands, 8));
    vtl_fuzz::check();
}
