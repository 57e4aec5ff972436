//! CONFORMANCE.md says which commands and pages there are. It is compared with the command tables and with what devices answer,
//! so that it cannot drift; with `UPDATE_CONFORMANCE` in the environment its tables are written anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use vtl_changer::Changer;
use vtl_drive::{Drive, LibraryBay, Profile};
use vtl_scsi::device::{self, Command, Device as _};

use super::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../CONFORMANCE.md");

/// The table stands between these lines.
fn compare(name: &str, table: &str) {
    let (begin, end) = (format!("<!-- {name}: made by a test -->\n"), "<!-- end -->\n");
    let text = std::fs::read_to_string(FILE).unwrap();
    let (before, rest) = text.split_once(&begin).expect("a place for the table");
    let (found, behind) = rest.split_once(end).expect("the end of the table");
    if found == table {
        return;
    }
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        std::fs::write(FILE, format!("{before}{begin}{table}{end}{behind}")).unwrap();
        return;
    }
    panic!(
        "CONFORMANCE.md says of {name}:\n{found}\nbut it is so:\n{table}\nUPDATE_CONFORMANCE=1 writes it anew"
    );
}

type Key = (u8, Option<u8>);

fn names<D>(table: &[Command<D>]) -> BTreeMap<Key, &'static str> {
    table.iter().map(|row| ((row.operation_code(), row.service_action), row.name)).collect()
}

#[test]
fn every_command_is_named_and_no_other() {
    let (drive, changer) = (names(Drive::commands()), names(Changer::commands()));
    assert_eq!(drive.len(), Drive::commands().len(), "a row of the drive's table is there twice");
    assert_eq!(changer.len(), Changer::commands().len(), "a row of the changer's is there twice");
    // The same code is another command at the other device type.
    let all: BTreeSet<_> = drive.iter().chain(&changer).collect();
    let mut table = "| code | command | drive | changer |\n|---|---|---|---|\n".to_owned();
    for (key, name) in all {
        let (code, action) = key;
        let action = action.map(|action| format!("/{action:02X}")).unwrap_or_default();
        let has = |names: &BTreeMap<Key, &str>| {
            if names.get(key) == Some(name) { "yes" } else { "" }
        };
        writeln!(table, "| {code:02X}{action} | {name} | {} | {} |", has(&drive), has(&changer))
            .unwrap();
    }
    compare("commands", &table);
}

/// What a device answers to a command, unit attentions aside.
type Ask<'a> = &'a mut dyn FnMut(&[u8]) -> Vec<u8>;

/// The pages that a device names itself: vital product data, mode and log.
fn pages(ask: Ask<'_>) -> [Vec<String>; 3] {
    let one = |code: &u8| format!("{code:02X}");
    let vital = ask(&[0x12, 1, 0, 0xff, 0xff, 0])[4..].iter().map(one).collect();
    let log =
        ask(&[0x4d, 0, 0x40, 0xff, 0, 0, 0, 0xff, 0xff, 0])[4..]
            .chunks(2)
            .filter(|pair| pair != &[0, 0xff])
            .map(|pair| {
                if pair[1] == 0 {
                    one(&pair[0])
                } else {
                    format!("{:02X}/{:02X}", pair[0], pair[1])
                }
            })
            .collect();
    let modes = ask(&[0x5a, 0x08, 0x3f, 0xff, 0, 0, 0, 0xff, 0xff, 0]);
    let mut rest = &modes[8..];
    let mut mode = Vec::new();
    while let [code, second, ..] = rest {
        let page = code & 0x3f;
        let length = if code & 0x40 == 0 {
            mode.push(one(&page));
            2 + usize::from(*second)
        } else {
            mode.push(format!("{page:02X}/{second:02X}"));
            4 + usize::from(u16::from_be_bytes([rest[2], rest[3]]))
        };
        rest = &rest[length..];
    }
    [vital, mode, log]
}

#[test]
fn every_page_is_named_and_no_other() {
    let mut rows: Vec<(Vec<&str>, [Vec<String>; 3])> = Vec::new();
    for profile in Profile::ALL {
        let mut drive = Drive::new(profile, "1", 1, Arc::from([Lun(1)]));
        let bay = LibraryBay { changer_serial: "2".into(), element_address: 1 };
        drive.join_library(bay);
        let found =
            pages(&mut |cdb| device::execute(&mut drive, Task::new(A, cdb)).data_in.to_vec());
        match rows.iter_mut().find(|(_, other)| *other == found) {
            Some((products, _)) => products.push(profile.product),
            None => rows.push((vec![profile.product], found)),
        }
    }
    let scene = Scene::new();
    let changer = scene.library.unit(Lun(0)).unwrap();
    let found = pages(&mut |cdb| {
        let none = || -> Reply { Box::new(|_| panic!("a changer answers at once")) };
        let ask = || changer.submit(Ticket(0), Task::new(A, cdb), none).unwrap().data_in;
        let first = ask();
        if first.is_empty() { ask().to_vec() } else { first.to_vec() }
    });
    rows.push((vec!["changer"], found));
    let mut table = "| device | VPD | mode | log |\n|---|---|---|---|\n".to_owned();
    for (devices, [vital, mode, log]) in rows {
        let line = [devices.join(", "), vital.join(" "), mode.join(" "), log.join(" ")];
        writeln!(table, "| {} |", line.join(" | ")).unwrap();
    }
    compare("pages", &table);
}
