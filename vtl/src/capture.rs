//! `vtl profile capture`: what a real device answers, as a file for `vtl library create --profile`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use vtl_physical::Device;

use crate::profile_file::ProfileFile;
use crate::request::Failure;

/// A device that has to move something first may take this long.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Asks a device for the data of a CDB with this much room; `None` where it refuses.
type Ask<'a> = dyn Fn(&[u8], u16) -> Option<Vec<u8>> + 'a;

/// Writes what a device answers to a file, which is not there yet.
pub(crate) fn capture(device: &Path, output: &Path) -> Result<Value, Failure> {
    let at =
        |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", device.display()));
    let opened = Device::open(device).map_err(|error| at(&error))?;
    // INQUIRY is answered by whatever is there: if it is not, the reason is worth telling.
    opened.read(&inquiry(None), 96, TIMEOUT).map_err(|error| at(&error))?;
    let ask = |cdb: &[u8], room: u16| opened.read(cdb, room.into(), TIMEOUT).ok();
    let text =
        describe(&ask).ok_or_else(|| at(&"this is neither a media changer nor a tape drive"))?;
    let file = ProfileFile::parse(output, &text)
        .map_err(|error| at(&format_args!("it answers what a profile cannot say: {error}")))?;
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(output);
    written
        .and_then(|mut out| std::io::Write::write_all(&mut out, text.as_bytes()))
        .map_err(|error| Failure::failed(format!("{}: {error}", output.display())))?;
    Ok(json!({ "profile": file.name(), "file": output }))
}

fn inquiry(page: Option<u8>) -> [u8; 6] {
    let [high, low] = if page.is_some() { INQUIRY_ROOM.to_be_bytes() } else { [0, 96] };
    [0x12, u8::from(page.is_some()), page.unwrap_or(0), high, low, 0]
}

/// The text of a file that describes a device; `None` if it is neither a changer nor a drive.
fn describe(ask: &Ask<'_>) -> Option<String> {
    const TYPE_TAPE: u8 = 0x01;
    const TYPE_CHANGER: u8 = 0x08;
    let standard = ask(&inquiry(None), 96)?;
    let vendor = text(standard.get(8..16)?);
    let product = text(standard.get(16..32)?);
    let revision = text(standard.get(32..36)?);
    let (table, page_table, like) = match standard.first()? & 0x1f {
        TYPE_CHANGER => ("[library]", "[[library.pages]]", like_library(&vendor, &product)),
        TYPE_TAPE => ("[[drive]]", "[[drive.pages]]", like_drive(ask, &vendor)),
        _ => return None,
    };
    let mut out = format!(
        "{table}\nname = {:?}\nlike = {like:?}\nvendor = {vendor:?}\nproduct = {product:?}\nrevision = {revision:?}\n",
        name(&vendor, &product)
    );
    if table == "[library]" {
        write_changer(ask, &mut out).ok()?;
    }
    write_pages(ask, page_table, &mut out).ok()?;
    Some(out)
}

fn write_changer(ask: &Ask<'_>, out: &mut String) -> std::fmt::Result {
    // MODE SENSE(6) of page 1Dh without block descriptor: behind four bytes of header and two of the page, pairs of first
    // address and count: transport, storage, import/export, drives.
    let mode = ask(&[0x1a, 0x08, 0x1d, 0, 255, 0], 255).unwrap_or_default();
    let first = |at: usize| Some(u16::from_be_bytes([*mode.get(at)?, *mode.get(at + 1)?]));
    if let (Some(transport), Some(storage), Some(import_export), Some(drive)) =
        (first(6), first(10), first(14), first(18))
    {
        writeln!(
            out,
            "elements = {{ transport = {transport}, storage = {storage}, import-export = {import_export}, drive = {drive} }}"
        )?;
    }
    let named = |is_asked: u8| {
        let cdb = [0xb8, 0x14, 0, 0, 0, 1, is_asked, 0, 0x10, 0, 0, 0];
        // Header, page header, and the identifier behind the volume tag of the first drive.
        let status = ask(&cdb, 0x1000)?;
        let [_, kind, _, length] = *status.get(64..68)? else { return None };
        (length > 0).then_some((kind & 0x0f, length))
    };
    if let Some((kind, length)) = named(1) {
        let always = named(0).is_some();
        match kind {
            1 => writeln!(
                out,
                "identifier = {{ form = \"vendor-product-serial\", always = {always} }}"
            )?,
            _ => writeln!(
                out,
                "identifier = {{ form = \"serial\", length = {length}, always = {always} }}"
            )?,
        }
    }
    Ok(())
}

fn write_pages(ask: &Ask<'_>, table: &str, out: &mut String) -> std::fmt::Result {
    // Below are those of the standards: they say who a device is and what it can do, and that is not the same here.
    const FIRST_OF_VENDORS: u8 = 0xc0;
    let listed = ask(&inquiry(Some(0x00)), INQUIRY_ROOM).unwrap_or_default();
    let serial = ask(&inquiry(Some(0x80)), INQUIRY_ROOM).unwrap_or_default();
    let serial = text(serial.get(4..).unwrap_or_default());
    for code in listed.into_iter().skip(4).filter(|code| *code >= FIRST_OF_VENDORS) {
        let Some(page) = ask(&inquiry(Some(code)), INQUIRY_ROOM) else { continue };
        let body = String::from_utf8_lossy(&page);
        if !serial.is_empty() && body.contains(&serial) {
            writeln!(out, "\n# Page {code:02X}h is left out: the serial number is in it.")?;
            continue;
        }
        let hex: Vec<_> = page.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "\n{table}\ncode = {code:#04x}\ndata = \"{}\"", hex.join(" "))?;
    }
    Ok(())
}

/// Printable text without what surrounds it.
pub(crate) fn text(bytes: &[u8]) -> String {
    let printable = bytes.iter().map(|byte| match byte {
        0x20..0x7f => char::from(*byte),
        _ => ' ',
    });
    printable.collect::<String>().trim().to_owned()
}

fn name(vendor: &str, product: &str) -> String {
    let plain = format!("{vendor}-{product}").to_ascii_lowercase();
    let plain = plain.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    format!("captured-{plain}")
}

fn like_library(vendor: &str, product: &str) -> &'static str {
    let all = vtl_changer::Profile::ALL;
    let same =
        |wanted: &&&vtl_changer::Profile| wanted.vendor == vendor && wanted.product == product;
    let kin = |wanted: &&&vtl_changer::Profile| wanted.vendor == vendor;
    all.iter().find(same).or_else(|| all.iter().find(kin)).map_or("ibm-03584l32", |like| like.name)
}

/// The model of the newest density that the drive knows, of its own vendor if there is one.
fn like_drive(ask: &Ask<'_>, vendor: &str) -> &'static str {
    const DESCRIPTOR_BYTES: usize = 52;
    let report = ask(&[0x44, 0, 0, 0, 0, 0, 0, 0x10, 0, 0], 0x1000).unwrap_or_default();
    let densities = report.get(4..).unwrap_or_default().chunks(DESCRIPTOR_BYTES);
    let newest = densities.filter_map(|descriptor| descriptor.first().copied()).max().unwrap_or(0);
    let all = vtl_drive::Profile::ALL;
    let is_made_for = |profile: &&&vtl_drive::Profile| profile.generation.density == newest;
    let kin = |profile: &&&vtl_drive::Profile| is_made_for(profile) && profile.vendor == vendor;
    let found = all.iter().find(kin).or_else(|| all.iter().find(is_made_for));
    found.map_or("ibm-ult3580-td9", |like| like.name)
}

/// The longest page that is asked for.
const INQUIRY_ROOM: u16 = 0x1000;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use vtl_changer::{Changer, DriveStatus, Element, MoveFailure, Occupant, Robot};
    use vtl_drive::Drive;
    use vtl_scsi::{ItNexus, Lun, Status, Task, device};

    use super::*;

    struct Empty;

    impl Robot for Empty {
        fn occupant(&self, _: Element) -> Option<Occupant> {
            None
        }

        fn drive(&self, _: u16) -> Option<DriveStatus> {
            Some(DriveStatus {
                vendor: "IBM".into(),
                product: "ULT3580-TD9".into(),
                serial: "1013000001".into(),
                is_accessible: true,
                exception: None,
            })
        }

        fn move_medium(&mut self, _: Element, _: Element) -> Result<(), MoveFailure> {
            Err(MoveFailure::NotRecorded)
        }

        fn exchange_medium(
            &mut self,
            _: Element,
            _: Element,
            _: Element,
        ) -> Result<(), MoveFailure> {
            Err(MoveFailure::NotRecorded)
        }
    }

    /// What a device of ours answers, as the kernel would pass it on.
    fn captured<D: device::Device>(device: D) -> ProfileFile {
        let device = RefCell::new(device);
        let ask = |cdb: &[u8], room: u16| {
            let done = device::execute(&mut *device.borrow_mut(), Task::new(ItNexus(1), cdb));
            let data = done.data_in.iter().copied().take(room.into()).collect();
            (done.status == Status::GOOD).then_some(data)
        };
        let text = describe(&ask).unwrap();
        ProfileFile::parse(Path::new("captured"), &text)
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn a_library_that_is_captured_is_what_it_was() {
        for profile in vtl_changer::Profile::ALL {
            let map = profile.element_map(5, 2, 2).unwrap();
            let luns: Arc<[Lun]> = Arc::from([Lun(0)]);
            let changer = Changer::new(profile, map, "LIB0000001", 7, luns, Box::new(Empty));
            let file = captured(changer);
            let copy = file.library.unwrap();
            assert!(copy.name.starts_with("captured-") && file.drives.is_empty());
            assert_eq!((copy.vendor, copy.product), (profile.vendor, profile.product));
            assert_eq!(copy.first_addresses, profile.first_addresses, "{}", profile.name);
            assert_eq!(copy.identifier, profile.identifier, "{}", profile.name);
            let own = profile.vendor_pages.iter();
            for page in own {
                let there = copy.vendor_pages.iter().find(|copied| copied.code == page.code);
                assert_eq!(there.unwrap().body, page.body);
            }
        }
    }

    #[test]
    fn a_drive_that_is_captured_is_what_it_was_but_for_its_serial_number() {
        for profile in vtl_drive::Profile::ALL {
            let drive = Drive::new(profile, "1013000001", 7, Arc::from([Lun(0), Lun(1)]));
            let file = captured(drive);
            let copy = file.drives[0];
            assert_eq!((copy.vendor, copy.product), (profile.vendor, profile.product));
            assert_eq!((copy.generation, copy.revision), (profile.generation, profile.revision));
            assert_eq!(copy.file_meaning, profile.file_meaning, "like one of the same vendor");
            let is_replayed = |code: u8| {
                let mut pages = copy.vendor_pages.iter().filter(|page| page.code == code);
                pages.any(|page| matches!(page.content, vtl_drive::PageContent::Raw(_)))
            };
            assert!(is_replayed(0xc0) && !is_replayed(0xb0));
            assert_eq!(is_replayed(0xc1), profile.vendor != "IBM", "IBM's has serial numbers");
        }
    }
}
