//! Parameter lists: what a device says of itself, changed and sent back, and lists that are built field by field.

use bolero::{TypeGenerator, check};
use vtl_fuzz::command::{Change, change, name_length};
use vtl_fuzz::device::{Medium, changer, drive, key_page, run_all, security_out};
use vtl_scsi::device::{self, Device};
use vtl_scsi::{ItNexus, Status, Task};

const TAPE: u8 = 1;
const CHANGER: u8 = 8;

/// A command with a list whose length it names.
fn with_list(nexus: u64, cdb: &[u8], list: &[u8]) -> Task {
    let mut whole = [0; 16];
    whole[..cdb.len()].copy_from_slice(cdb);
    name_length(&mut whole, list.len());
    Task::new(ItNexus(nexus), &whole).with_data_out(list)
}

fn ask<D: Device>(device: &mut D, cdb: &[u8]) -> Vec<u8> {
    let answer = device::execute(device, Task::new(ItNexus(1), cdb));
    if answer.status == Status::GOOD { answer.data_in.to_vec() } else { Vec::new() }
}

/// MODE SELECT with a page that MODE SENSE has shown.
#[derive(Debug, Clone, TypeGenerator)]
struct Select {
    is_long: bool,
    nexus: bool,
    flags: u8,
    header: [u8; 3],
    descriptor: Option<[u8; 8]>,
    pages: Vec<(u8, Vec<Change>)>,
    changes: Vec<Change>,
    /// Random bytes behind a page's header.
    raw: Option<(u8, Vec<u8>)>,
}

impl Select {
    fn task(&self, shown: &[Vec<u8>]) -> Task {
        let code = if self.is_long { 0x55 } else { 0x15 };
        let descriptor: &[u8] = self.descriptor.as_ref().map_or(&[], |descriptor| descriptor);
        let length = u8::try_from(descriptor.len()).unwrap();
        // The mode data length is reserved; medium type, device-specific parameter, descriptor length.
        let [first, medium_type, specific] = self.header;
        let mut list = if self.is_long {
            vec![0, first, medium_type, specific, 0, 0, 0, length]
        } else {
            vec![first, medium_type, specific, length]
        };
        list.extend(descriptor);
        for (index, changes) in self.pages.iter().take(4) {
            let mut page = shown[usize::from(*index) % shown.len()].clone();
            change(&mut page, changes);
            list.extend(page);
        }
        if let Some((page, raw)) = &self.raw {
            list.extend([*page & 0x7f, u8::try_from(raw.len()).unwrap_or(0xff)]);
            list.extend(raw);
        }
        change(&mut list, &self.changes);
        with_list(1 + u64::from(self.nexus), &[code, 0x10 ^ (self.flags & self.flags >> 4)], &list)
    }
}

/// The mode pages of a device, each with its header.
fn pages<D: Device>(device: &mut D) -> Vec<Vec<u8>> {
    let all = ask(device, &[0x5a, 0x08, 0x3f, 0xff, 0, 0, 0, 0xff, 0xff, 0]);
    let mut rest = all.get(8..).expect("a header");
    let mut pages = Vec::new();
    while let [first, second, third, fourth, ..] = *rest {
        let length = match first & 0x40 {
            0 => 2 + usize::from(second),
            _ => 4 + usize::from(u16::from_be_bytes([third, fourth])),
        };
        let (page, behind) = rest.split_at(length);
        pages.push([&[page[0] & 0x7f], &page[1..]].concat());
        rest = behind;
    }
    assert!(pages.len() > 3, "{pages:?}");
    pages
}

#[test]
fn drive_mode_select() {
    vtl_fuzz::watch();
    let shown = pages(&mut drive(Medium::Blank));
    check!().with_type::<(Vec<Select>, bool)>().for_each(|(selects, is_partitioned)| {
        let mut drive = drive(if *is_partitioned { Medium::Partitioned } else { Medium::Blank });
        for select in selects.iter().take(8) {
            run_all(&mut drive, [select.task(&shown)], TAPE);
            // What was set must hold of what comes: FORMAT MEDIUM, a block, and the pages again.
            ask(&mut drive, &[0x04, 0, select.flags & 3, 0, 0, 0]);
            run_all(&mut drive, [with_list(1, &[0x0a], &[7; 100])], TAPE);
            assert!(!ask(&mut drive, &[0x5a, 0x08, 0x3f, 0xff, 0, 0, 0, 0xff, 0xff, 0]).is_empty());
        }
        drop(drive);
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}

#[test]
fn changer_mode_select() {
    vtl_fuzz::watch();
    let shown = pages(&mut changer());
    check!().with_type::<Vec<Select>>().for_each(|selects| {
        let mut changer = changer();
        run_all(&mut changer, selects.iter().take(8).map(|select| select.task(&shown)), CHANGER);
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}

/// PERSISTENT RESERVE OUT.
#[derive(Debug, Clone, TypeGenerator)]
struct Persistent {
    nexus: bool,
    action: u8,
    scope_and_type: u8,
    key: u8,
    action_key: u8,
    flags: u8,
    obsolete: [u8; 4],
    transport_ids: Vec<TransportId>,
    changes: Vec<Change>,
    /// A command of the other nexus in between.
    between: Option<u8>,
}

#[derive(Debug, Clone, TypeGenerator)]
struct TransportId {
    form: u8,
    name: Name,
    wrong_length: Option<u16>,
}

#[derive(Debug, Clone, TypeGenerator)]
enum Name {
    First,
    Second,
    WithPort,
    Raw(Vec<u8>),
}

impl TransportId {
    fn bytes(&self) -> Vec<u8> {
        let (form, mut name) = match &self.name {
            Name::First => (0x05, b"iqn.2026-11.example:1".to_vec()),
            Name::Second => (0x05, b"iqn.2026-11.example:2".to_vec()),
            Name::WithPort => (0x45, b"iqn.2026-11.example:2,i,0x000000000000".to_vec()),
            Name::Raw(raw) => (self.form, raw.clone()),
        };
        name.push(0);
        name.resize(name.len().next_multiple_of(4).max(20), 0);
        let length = self.wrong_length.unwrap_or(u16::try_from(name.len()).unwrap_or(u16::MAX));
        [&[form, 0][..], &length.to_be_bytes(), &name].concat()
    }
}

impl Persistent {
    fn task(&self) -> Task {
        let action = self.action & 0x0f;
        let mut list = Vec::new();
        // Few keys, so that they are often those of somebody.
        for key in [self.key, self.action_key] {
            list.extend([0; 7]);
            list.push(key & 3);
        }
        let ids: Vec<u8> = self.transport_ids.iter().take(3).flat_map(TransportId::bytes).collect();
        let length = u32::try_from(ids.len()).unwrap().to_be_bytes();
        if action == 7 {
            // REGISTER AND MOVE: reserved, flags, relative target port, length, TransportID.
            list.extend([0, self.flags & 3, 0, self.obsolete[3] & 1]);
            list.extend(length);
            list.extend(ids);
        } else {
            list.extend(self.obsolete.map(|byte| byte & 0x80));
            list.extend([self.flags & 0x0d, 0, 0, 0]);
            if self.flags & 0x08 != 0 {
                list.extend(length);
                list.extend(ids);
            }
        }
        change(&mut list, &self.changes);
        let cdb = [0x5f, action, self.scope_and_type & 0x1f, 0, 0, 0, 0, 0, 0, 0];
        with_list(1 + u64::from(self.nexus), &cdb, &list)
    }
}

fn persistent<D: Device>(device: &mut D, orders: &[Persistent], kind: u8) {
    for order in orders.iter().take(20) {
        run_all(device, [order.task()], kind);
        if let Some(code) = order.between {
            let nexus = ItNexus(2 - u64::from(order.nexus));
            run_all(device, [Task::new(nexus, &[code, 0, 0, 0, 0, 0])], kind);
        }
        for action in 0..4 {
            ask(device, &[0x5e, action, 0, 0, 0, 0, 0, 0xff, 0xff, 0]);
        }
    }
}

#[test]
fn persistent_reserve_out() {
    vtl_fuzz::watch();
    check!().with_type::<(Vec<Persistent>, bool)>().for_each(|(orders, is_changer)| {
        if *is_changer {
            persistent(&mut changer(), orders, CHANGER);
        } else {
            persistent(&mut drive(Medium::Blank), orders, TAPE);
        }
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}

#[derive(Debug, Clone, TypeGenerator)]
struct LogSelect {
    flags: u8,
    control: u8,
    page: u8,
    subpage: u8,
    shown: Option<u8>,
    raw: Vec<u8>,
    changes: Vec<Change>,
}

#[test]
fn log_select() {
    vtl_fuzz::watch();
    let supported = ask(&mut drive(Medium::Written), &[0x4d, 0, 0x40, 0, 0, 0, 0, 0xff, 0xff, 0]);
    let codes = supported.get(4..).expect("a header").to_vec();
    check!().with_type::<Vec<LogSelect>>().for_each(|selects| {
        let mut drive = drive(Medium::Written);
        for select in selects.iter().take(8) {
            let mut list = select.raw.clone();
            if let Some(index) = select.shown {
                let code = 0x40 | codes[usize::from(index) % codes.len()];
                list = ask(&mut drive, &[0x4d, 0, code, 0, 0, 0, 0, 0xff, 0xff, 0]);
            }
            change(&mut list, &select.changes);
            list.truncate(0xffff);
            let flags = select.flags & 3;
            let page = (select.control & 0xc0) | (select.page & 0x3f);
            let cdb = [0x4c, flags, page, select.subpage & select.control, 0, 0, 0, 0, 0, 0];
            run_all(&mut drive, [with_list(1, &cdb, &list)], TAPE);
            ask(&mut drive, &[0x4d, 0, page, 0, 0, 0, 0, 0xff, 0xff, 0]);
        }
        drop(drive);
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}

/// SECURITY PROTOCOL OUT, and what comes of it.
#[derive(Debug, Clone, TypeGenerator)]
struct SetKey {
    nexus: bool,
    scope: u8,
    flags: u8,
    modes: (u8, u8),
    algorithm: u8,
    key_format: u8,
    key_bytes: Option<u8>,
    descriptors: Vec<(u8, u8, Vec<u8>)>,
    changes: Vec<Change>,
    number: Option<u8>,
    behind: Behind,
}

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Behind {
    Write,
    Read,
    Rewind,
    Verify,
    Ask(u8),
}

impl SetKey {
    fn task(&self) -> Task {
        let key = vec![self.scope; usize::from(self.key_bytes.unwrap_or(32))];
        let mut page = key_page(0);
        page.truncate(20);
        page[4] = self.scope & 0xe1;
        page[5] = self.flags & 0xf7;
        (page[6], page[7]) = (self.modes.0 & 3, self.modes.1 & 3);
        page[8] = 1 + (self.algorithm & self.algorithm >> 4);
        page[9] = self.key_format & 3 & self.key_format >> 4;
        page[18..20].copy_from_slice(&u16::try_from(key.len()).unwrap().to_be_bytes());
        page.extend(key);
        for (kind, flags, value) in self.descriptors.iter().take(4) {
            let [high, low] = u16::try_from(value.len()).unwrap().to_be_bytes();
            page.extend([kind & 3, flags & 7, high, low]);
            page.extend(value);
        }
        let length = u16::try_from(page.len() - 4).unwrap().to_be_bytes();
        page[2..4].copy_from_slice(&length);
        change(&mut page, &self.changes);
        security_out(ItNexus(1 + u64::from(self.nexus)), self.number.unwrap_or(0x10), &page)
    }
}

#[test]
fn security_protocol_out() {
    vtl_fuzz::watch();
    check!().with_type::<Vec<SetKey>>().for_each(|keys| {
        let mut drive = drive(Medium::Encrypted);
        for key in keys.iter().take(10) {
            let nexus = 1 + u64::from(key.nexus);
            let behind = match key.behind {
                Behind::Write => with_list(nexus, &[0x0a], &[3; 500]),
                Behind::Read => Task::new(ItNexus(nexus), &[0x08, 0, 0, 4, 0, 0]),
                Behind::Rewind => Task::new(ItNexus(nexus), &[0x01, 0, 0, 0, 0, 0]),
                Behind::Verify => Task::new(ItNexus(nexus), &[0x13, 0, 0, 0, 1, 0]),
                Behind::Ask(page) => {
                    let page = if page & 1 == 0 { page & 0x2f } else { 0x20 | page & 1 };
                    let cdb = [0xa2, 0x20, 0, page, 0, 0, 0, 0, 0xff, 0xff, 0, 0];
                    Task::new(ItNexus(nexus), &cdb)
                }
            };
            run_all(&mut drive, [key.task(), behind], TAPE);
        }
        drop(drive);
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}

/// An attribute of the cartridge's memory.
#[derive(Debug, Clone, TypeGenerator)]
struct Attribute {
    identifier: Identifier,
    format: Option<u8>,
    value: Vec<u8>,
    length: Option<u16>,
}

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Identifier {
    /// Of hosts: names, dates, messages.
    Host(u8),
    /// Of hosts' vendors.
    Vendor(u16),
    Any(u16),
}

impl Attribute {
    /// Identifiers with the format and the length that they have.
    const HOST: [(u16, u8, usize); 11] = [
        (0x0800, 1, 8),
        (0x0801, 1, 32),
        (0x0802, 1, 8),
        (0x0803, 2, 160),
        (0x0804, 1, 12),
        (0x0805, 0, 1),
        (0x0806, 1, 32),
        (0x0807, 2, 80),
        (0x0808, 2, 160),
        (0x080b, 1, 16),
        (0x080c, 0, 23),
    ];

    fn bytes(&self) -> Vec<u8> {
        let mut value = self.value.clone();
        let (identifier, format) = match self.identifier {
            Identifier::Host(index) => {
                let (identifier, format, length) =
                    Self::HOST[usize::from(index) % Self::HOST.len()];
                if self.length.is_none() {
                    value.resize(length, b' ');
                }
                (identifier, format)
            }
            Identifier::Vendor(number) => (0x1400 + number % 0x400, 0),
            Identifier::Any(identifier) => (identifier, 0),
        };
        let length = self.length.unwrap_or(u16::try_from(value.len()).unwrap());
        let format = self.format.unwrap_or(format);
        [&identifier.to_be_bytes()[..], &[format], &length.to_be_bytes(), &value].concat()
    }
}

#[test]
fn write_attribute() {
    vtl_fuzz::watch();
    check!().with_type::<Vec<(Vec<Attribute>, Vec<Change>, u8, u16)>>().for_each(|lists| {
        let mut drive = drive(Medium::Partitioned);
        for (attributes, changes, partition, first) in lists.iter().take(6) {
            let body: Vec<u8> = attributes.iter().take(8).flat_map(Attribute::bytes).collect();
            let mut list = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
            list.extend(body);
            change(&mut list, changes);
            let cdb = [0x8d, 0, 0, 0, 0, 0, 0, *partition & 3, 0, 0, 0, 0, 0, 0, 0, 0];
            let [high, low] = first.to_be_bytes();
            let read = [0x8c, 0, 0, 0, 0, 0, 0, *partition & 3, high, low, 0, 0, 0xff, 0xff, 0, 0];
            let tasks = [with_list(1, &cdb, &list), Task::new(ItNexus(1), &read)];
            run_all(&mut drive, tasks, TAPE);
        }
        drop(drive);
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}
