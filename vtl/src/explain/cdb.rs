//! A CDB in words.

use serde_json::{Map, Value, json};
use vtl_changer::Changer;
use vtl_drive::Drive;
use vtl_scsi::device::{self, Command};
use vtl_scsi::{ItNexus, Task};

use super::fields::form;
use super::form::{Field, Kind};

/// How long a CDB with this operation code is (SPC-5 §4.2.5.1); `None` where the code does not say.
pub(super) fn length(code: u8) -> Option<usize> {
    match code >> 5 {
        0 => Some(6),
        1 | 2 => Some(10),
        4 => Some(16),
        5 => Some(12),
        _ => None,
    }
}

/// The name of the command, as the device's own table has it or, where that does not know it, the standard; and whether the
/// table knows it.
fn name(kind: Kind, cdb: &[u8]) -> Option<(&'static str, bool)> {
    let task = Task::new(ItNexus(0), cdb);
    let own = match kind {
        Kind::Drive => device::find::<Drive>(&task).map(named),
        Kind::Changer => device::find::<Changer>(&task).map(named),
    };
    own.map(|name| (name, true)).or_else(|| form(kind, cdb).map(|form| (form.name, false)))
}

fn named<D>(row: &Command<D>) -> &'static str {
    row.name
}

/// All that is known of a CDB; `None` if no drive and no changer has such a command.
pub(super) fn describe(cdb: &[u8]) -> Option<Value> {
    let of = |kind: Kind| name(kind, cdb).map(|(name, is_here)| command(kind, cdb, name, is_here));
    let (drive, changer) = (of(Kind::Drive), of(Kind::Changer));
    let is_same = |key: &str| {
        let value = |command: &Option<Value>| command.as_ref().map(|value| value.get(key).cloned());
        value(&drive) == value(&changer)
    };
    let device = match (&drive, &changer) {
        (None, None) => return None,
        (Some(_), Some(_)) if is_same("command") && is_same("fields") => "drive and changer",
        (Some(_), Some(_)) => {
            return Some(
                json!({ "kind": "cdb", "bytes": hex(cdb), "drive": drive, "changer": changer }),
            );
        }
        (Some(_), None) => "drive",
        (None, Some(_)) => "changer",
    };
    let mut all = Map::new();
    all.insert("kind".to_owned(), "cdb".into());
    all.insert("bytes".to_owned(), hex(cdb).into());
    all.insert("device".to_owned(), device.into());
    if let Some(Value::Object(command)) = drive.or(changer) {
        all.extend(command);
    }
    Some(Value::Object(all))
}

fn command(kind: Kind, cdb: &[u8], name: &str, is_here: bool) -> Value {
    let fields = form(kind, cdb).map(|form| form.fields).unwrap_or_default();
    let fields: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), shown(field, cdb))).collect();
    let mut value = json!({ "command": name, "fields": fields });
    if !is_here && let Some(value) = value.as_object_mut() {
        let note = "no drive and no changer of vtl has this command: it is answered 5/20/00";
        value.insert("note".to_owned(), note.into());
    }
    value
}

/// The command with those of its fields that are not zero, in one line.
pub(crate) fn line(kind: Kind, cdb: &[u8]) -> String {
    let Some((name, _)) = name(kind, cdb) else {
        return format!("unknown command {}", hex(cdb));
    };
    let mut text = name.to_owned();
    let fields = form(kind, cdb).map(|form| form.fields).unwrap_or_default();
    for field in fields.iter().filter(|field| value(field, cdb) != 0) {
        let shown = match shown(field, cdb) {
            Value::String(words) => words,
            other => other.to_string(),
        };
        text = if field.bits == 1 && field.words.is_empty() {
            format!("{text} {}", field.name)
        } else {
            format!("{text} {}={shown}", field.name)
        };
    }
    text
}

fn shown(field: &Field, cdb: &[u8]) -> Value {
    let number = value(field, cdb);
    if let Some((_, words)) = field.words.iter().find(|(value, _)| *value == number) {
        return format!("{number:02X}h ({words})").into();
    }
    match field.name {
        // SSC-5 §7.2: counts of SPACE are signed.
        "COUNT" => signed(number, field.bits).into(),
        name if name.ends_with("CODE") || name.ends_with("SPECIFIC") || name == "TYPE" => {
            format!("{number:02X}h").into()
        }
        _ => number.into(),
    }
}

fn signed(number: u64, bits: u8) -> i64 {
    let unused = u32::from(64_u8.saturating_sub(bits));
    (number << unused).cast_signed() >> unused
}

/// A field of a CDB that may be cut short: what is missing is zero.
fn value(field: &Field, cdb: &[u8]) -> u64 {
    let first = usize::from(field.byte);
    let (high, bits) = (u32::from(field.bit), u32::from(field.bits));
    let bytes = (7 - high.min(7) + bits).div_ceil(8);
    let mut all = 0_u128;
    for offset in 0..usize::try_from(bytes).unwrap_or(0) {
        all = all << 8 | u128::from(cdb.get(first + offset).copied().unwrap_or(0));
    }
    let below = (bytes * 8).saturating_sub(7 - high.min(7) + bits);
    let mask = if bits >= 64 { u128::from(u64::MAX) } else { (1 << bits) - 1 };
    u64::try_from(all >> below & mask).unwrap_or(0)
}

/// Bytes as people write them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says which bits of which byte a field has.
    fn covers(field: &Field, byte: usize, bit: u32) -> bool {
        let mut probe = [0_u8; 32];
        probe[byte] = 1 << bit;
        value(field, &probe) != 0
    }

    fn check<D: device::Device>(kind: Kind) {
        for row in D::commands() {
            let mut cdb = row.usage.to_vec();
            if let Some(action) = row.service_action {
                cdb[1] = action;
            }
            let form = form(kind, &cdb).unwrap_or_else(|| panic!("{} has no form", row.name));
            assert!(row.name.starts_with(form.name), "{} is not {}", row.name, form.name);
            for (byte, mask) in row.usage.iter().enumerate().skip(1) {
                let action = if byte == 1 && row.service_action.is_some() { 0x1f } else { 0 };
                for bit in (0..8).filter(|bit| (mask & !action) >> bit & 1 == 1) {
                    let is_named = form.fields.iter().any(|field| covers(field, byte, bit));
                    assert!(is_named, "{}: byte {byte} bit {bit} has no name", row.name);
                }
            }
        }
    }

    #[test]
    fn every_bit_that_a_device_looks_at_has_a_name() {
        check::<Drive>(Kind::Drive);
        check::<Changer>(Kind::Changer);
    }

    #[test]
    fn fields_are_where_the_standards_have_them() {
        let read = describe(&[0x08, 0x02, 0x01, 0x00, 0x00, 0]).unwrap();
        assert_eq!(read["command"], "READ(6)");
        assert_eq!(read["device"], "drive");
        assert_eq!(read["fields"]["SILI"], 1);
        assert_eq!(read["fields"]["TRANSFER LENGTH"], 65536);
        let locate = [0x92, 0x08, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0];
        let line = line(Kind::Drive, &locate);
        assert_eq!(line, "LOCATE(16) DEST_TYPE=01h (file) PARTITION=2 LOGICAL IDENTIFIER=7");
    }

    #[test]
    fn counts_of_space_are_signed() {
        assert_eq!(
            line(Kind::Drive, &[0x11, 1, 0xff, 0xff, 0xfe, 0]),
            "SPACE(6) CODE=01h (filemarks) COUNT=-2"
        );
        let mut space = [0_u8; 16];
        space[0] = 0x91;
        space[4..12].copy_from_slice(&(-3_i64).to_be_bytes());
        assert_eq!(line(Kind::Drive, &space), "SPACE(16) COUNT=-3");
    }

    #[test]
    fn a_code_that_means_two_commands_is_both() {
        let both = describe(&[0x2b, 0, 0, 0, 0, 0, 5, 0, 0, 0]).unwrap();
        assert_eq!(both["drive"]["command"], "LOCATE(10)");
        assert_eq!(both["drive"]["fields"]["LOGICAL OBJECT IDENTIFIER"], 5);
        assert_eq!(both["changer"]["command"], "POSITION TO ELEMENT");
        assert_eq!(describe(&[0x12, 1, 0x83, 0, 255, 0]).unwrap()["device"], "drive and changer");
    }

    #[test]
    fn a_command_that_is_not_here_says_so() {
        let reverse = describe(&[0x0f, 0, 0, 0, 1, 0]).unwrap();
        assert_eq!(reverse["command"], "READ REVERSE(6)");
        assert!(reverse["note"].as_str().unwrap().contains("5/20/00"));
        assert_eq!(describe(&[0xc5; 10]), None);
    }
}
