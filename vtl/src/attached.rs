//! `vtl physical list`: real tape drives and media changers that are attached to this host, and which drive sits in which library.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use vtl_physical::Device;

use crate::capture::text;
use crate::request::Failure;

/// Asking a device who it is moves nothing.
const TIMEOUT: Duration = Duration::from_secs(20);
const TYPE_TAPE: u8 = 0x01;
const TYPE_CHANGER: u8 = 0x08;
/// Room for the answer of a changer with some hundred drives.
const STATUS_ROOM: u16 = 0x8000;
const UNIT_ATTENTIONS_MAX: u32 = 8;

/// Sends a CDB to a device, for an answer of at most so many bytes; `None` where it refuses.
type Ask<'a> = dyn Fn(&[u8], u16) -> Option<Vec<u8>> + 'a;

/// What is known of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attached {
    device_type: u8,
    /// `/dev/sgN`.
    generic: String,
    /// `/dev/nstN` or `/dev/schN`, where the kernel's driver has taken it.
    node: Option<String>,
    vendor: String,
    product: String,
    revision: String,
    serial: String,
    /// Of a changer: its drives.
    bays: Vec<Element>,
}

/// An element of a library.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) address: u16,
    /// The barcode of the cartridge that is in it.
    pub(crate) barcode: Option<String>,
    pub(crate) is_full: bool,
    /// Of a drive its device identifier: the serial number, perhaps behind vendor and product; nothing where the library does not say.
    pub(crate) identifier: String,
}

/// What an element is for (SMC-3 §6.10.2, element type code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ElementKind {
    Storage = 2,
    ImportExport = 3,
    Drive = 4,
}

impl Attached {
    /// `/dev/sgN`.
    pub(crate) fn generic(&self) -> &str {
        &self.generic
    }

    /// Its serial number.
    pub(crate) fn serial(&self) -> &str {
        &self.serial
    }

    /// Whether it is the drive that sits in an element.
    pub(crate) fn is_in(&self, element: &Element) -> bool {
        self.device_type == TYPE_TAPE && element.is_of(&self.serial)
    }
}

/// All devices of this host, changers first.
pub(crate) fn scan_host() -> std::io::Result<Vec<Attached>> {
    scan(Path::new("/sys/class/scsi_generic"))
}

/// Whether a device says that it is a media changer.
pub(crate) fn is_changer(device: &Device) -> bool {
    let standard = device.read(&[0x12, 0, 0, 0, 96, 0], 96, TIMEOUT).unwrap_or_default();
    standard.first().is_some_and(|first| first & 0x1f == TYPE_CHANGER)
}

/// The elements of a library, with what is in them.
pub(crate) fn elements_of(device: &Device, kind: ElementKind) -> Vec<Element> {
    // What has changed since it was asked last is told once, in place of the answer.
    let is_quiet = || device.read(&[0; 6], 0, TIMEOUT).is_ok();
    let _is_ready = (0..UNIT_ATTENTIONS_MAX).any(|_| is_quiet());
    elements(&|cdb, room| device.read(cdb, room.into(), TIMEOUT).ok(), kind)
}

/// All devices of this host, changers first, as rows.
pub(crate) fn list() -> Result<Value, Failure> {
    let found = scan_host()
        .map_err(|error| Failure::failed(format!("/sys/class/scsi_generic: {error}")))?;
    if found.is_empty() {
        return Err(Failure::not_found(
            "no tape drive and no media changer is attached to this host (the kernel's driver sg shows them: modprobe sg; lsscsi -g)",
        ));
    }
    Ok(rows(&found))
}

fn scan(directory: &Path) -> std::io::Result<Vec<Attached>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    // sg2 before sg10
    paths.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    let mut found = Vec::new();
    for path in paths {
        // What is neither is not even opened: an inquiry may wake up a disk that sleeps.
        let device_type = fs::read_to_string(path.join("device/type")).unwrap_or_default();
        let is_meant =
            [TYPE_TAPE, TYPE_CHANGER].iter().any(|kind| device_type.trim() == kind.to_string());
        let Some(name) = path.file_name().filter(|_| is_meant) else { continue };
        let generic = format!("/dev/{}", name.to_string_lossy());
        let attached = match Device::open(Path::new(&generic)) {
            Ok(device) => describe(&|cdb, room| device.read(cdb, room.into(), TIMEOUT).ok()),
            // It is there all the same, and it is worth knowing that it cannot be asked.
            Err(error) => Some(Attached {
                device_type: device_type.trim().parse().unwrap_or_default(),
                product: format!("({error})"),
                ..Attached::default()
            }),
        };
        let node = node_of(&path.join("device"));
        found.extend(attached.map(|attached| Attached { generic, node, ..attached }));
    }
    found.sort_by_key(|device| device.device_type != TYPE_CHANGER);
    Ok(found)
}

/// The node that does not rewind, or that of the changer.
pub(crate) fn node_of(device: &Path) -> Option<String> {
    let names = |directory: &str| {
        let entries = fs::read_dir(device.join(directory)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let is_plain = |name: &String| {
        name.strip_prefix("nst").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let tape = names("scsi_tape").into_iter().find(is_plain);
    tape.or_else(|| names("scsi_changer").pop()).map(|name| format!("/dev/{name}"))
}

/// `None` for what is neither a drive nor a changer.
fn describe(ask: &Ask<'_>) -> Option<Attached> {
    let standard = ask(&[0x12, 0, 0, 0, 96, 0], 96)?;
    let device_type = standard.first()? & 0x1f;
    let field = |range: std::ops::Range<usize>| text(standard.get(range).unwrap_or_default());
    let serial = ask(&[0x12, 1, 0x80, 0, 252, 0], 252).unwrap_or_default();
    let bays =
        if device_type == TYPE_CHANGER { elements(ask, ElementKind::Drive) } else { Vec::new() };
    let is_meant = device_type == TYPE_CHANGER || device_type == TYPE_TAPE;
    is_meant.then(|| Attached {
        device_type,
        vendor: field(8..16),
        product: field(16..32),
        revision: field(32..36),
        serial: text(serial.get(4..).unwrap_or_default()),
        bays,
        ..Attached::default()
    })
}

/// READ ELEMENT STATUS (SMC-3 §6.10), with barcodes and device identifiers, in as many pieces as it takes.
fn elements(ask: &Ask<'_>, kind: ElementKind) -> Vec<Element> {
    // VOLTAG; CURDATA, so that nothing is moved for it, and DVCID. Some libraries take one of these, or none.
    let tries = [(0x10, 0x03), (0x10, 0x01), (0x10, 0x00), (0, 0)];
    let [high, low] = STATUS_ROOM.to_be_bytes();
    let mut all: Vec<Element> = Vec::new();
    let mut next = Some(0_u16);
    while let Some([from_high, from_low]) = next.map(u16::to_be_bytes) {
        let answer = tries.into_iter().find_map(|(tags, flags)| {
            let cdb = [
                0xb8,
                tags | kind as u8,
                from_high,
                from_low,
                0xff,
                0xff,
                flags,
                0,
                high,
                low,
                0,
                0,
            ];
            ask(&cdb, STATUS_ROOM)
        });
        let is_later =
            |element: &Element| all.last().is_none_or(|last| element.address > last.address);
        let mut piece = parse_status(&answer.unwrap_or_default());
        // What comes again is no answer to what was asked for.
        piece.retain(is_later);
        next = piece.last().and_then(|last| last.address.checked_add(1));
        all.append(&mut piece);
    }
    all
}

// Header: 8 bytes. Page: 0 type, 1 volume tags 80h and 40h, 2-3 length of a descriptor, 5-7 length of all. Descriptor: 0-1
// address, 2 full 01h, 12-47 volume tag if the page says so, as long again for the alternate one, then the identifier:
// 0 code set, 1 type, 3 length, 4 what it says.
pub(crate) fn parse_status(data: &[u8]) -> Vec<Element> {
    const TAG_BYTES: usize = 36;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let mut bays = Vec::new();
    let mut rest = data.get(8..).unwrap_or_default();
    while let Some((page, behind)) = rest.split_at_checked(8) {
        let length = number(page.get(2..4).unwrap_or_default());
        let total = number(page.get(5..8).unwrap_or_default()).min(behind.len());
        let (descriptors, next) = behind.split_at(total);
        let flags = page.get(1).copied().unwrap_or(0);
        if length == 0 {
            break;
        }
        for descriptor in descriptors.chunks_exact(length) {
            let field = |from: usize, length: usize| {
                descriptor.get(from..from.saturating_add(length)).unwrap_or_default()
            };
            let tags = usize::from(flags & 0x80 != 0) + usize::from(flags & 0x40 != 0);
            let barcode =
                Some(text(field(12, 32))).filter(|tag| flags & 0x80 != 0 && !tag.is_empty());
            let identifier = 12 + tags * TAG_BYTES;
            let length = field(identifier + 3, 1).first().copied().unwrap_or(0);
            bays.push(Element {
                address: u16::try_from(number(field(0, 2))).unwrap_or(0),
                is_full: field(2, 1).first().is_some_and(|flags| flags & 1 != 0),
                barcode,
                identifier: text(field(identifier + 4, length.into())),
            });
        }
        rest = next;
    }
    bays
}

fn rows(found: &[Attached]) -> Value {
    let row = |device: &Attached| {
        let place = found.iter().find_map(|changer| {
            let number = changer.bays.iter().position(|bay| bay.is_of(&device.serial))?;
            Some((changer, number, changer.bays.get(number)?))
        });
        let place = place.filter(|_| device.device_type == TYPE_TAPE);
        json!({
            "kind": if device.device_type == TYPE_CHANGER { "changer" } else { "drive" },
            "device": device.generic,
            "node": device.node,
            "vendor": device.vendor,
            "product": device.product,
            "revision": device.revision,
            "serial": device.serial,
            "drives": (device.device_type == TYPE_CHANGER).then_some(device.bays.len()),
            "library": place.map(|(changer, _, _)| &changer.generic),
            "drive": place.map(|(_, number, _)| number),
            "element": place.map(|(_, _, bay)| bay.address),
            "loaded": place.map(|(_, _, bay)| bay.is_full),
            "barcode": place.and_then(|(_, _, bay)| bay.barcode.as_ref()),
        })
    };
    Value::Array(found.iter().map(row).collect())
}

impl Element {
    /// Whether the drive with this serial number sits in it.
    fn is_of(&self, serial: &str) -> bool {
        let last = self.identifier.split_ascii_whitespace().last();
        !serial.is_empty() && (self.identifier == serial || last == Some(serial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Scene;
    use vtl_scsi::{ItNexus, Lun, Task};

    /// A device of our own answers; whatever the first command is told about, is told.
    fn asked(scene: &Scene, lun: u16) -> impl Fn(&[u8], u16) -> Option<Vec<u8>> {
        let unit = scene.library.unit(Lun(lun)).unwrap();
        move |cdb, _| {
            let (sender, receiver) = std::sync::mpsc::channel();
            let run = || {
                let sender = sender.clone();
                let reply = || -> crate::Reply { Box::new(move |done| sender.send(done).unwrap()) };
                unit.submit(crate::Ticket(0), Task::new(ItNexus(9), cdb), reply)
                    .unwrap_or_else(|| receiver.recv().unwrap())
            };
            let first = run();
            let done = if first.data_in.is_empty() { run() } else { first };
            (!done.data_in.is_empty()).then(|| done.data_in.to_vec())
        }
    }

    #[test]
    fn drives_are_found_in_their_library() {
        let scene = Scene::new();
        let named = |generic: &str, attached: Option<Attached>| Attached {
            generic: generic.to_owned(),
            ..attached.unwrap()
        };
        let changer = named("/dev/sg1", describe(&asked(&scene, 0)));
        assert_eq!((changer.device_type, changer.product.as_str()), (TYPE_CHANGER, "03584L32"));
        assert_eq!(changer.bays.len(), 1);
        let drive = named("/dev/sg4", describe(&asked(&scene, 1)));
        assert_eq!((drive.vendor.as_str(), drive.product.as_str()), ("IBM", "ULT3580-TD9"));
        let stranger = Attached { serial: "SOMEBODY".to_owned(), ..drive.clone() };
        let rows = rows(&[changer.clone(), drive, stranger]);
        assert_eq!((&rows[0]["kind"], &rows[0]["drives"]), (&"changer".into(), &1.into()));
        assert_eq!((&rows[1]["library"], &rows[1]["drive"]), (&"/dev/sg1".into(), &0.into()));
        assert_eq!(rows[1]["element"], changer.bays[0].address);
        assert_eq!(
            (&rows[1]["loaded"], &rows[1]["barcode"]),
            (&true.into(), &crate::tests::BARCODE.into())
        );
        assert_eq!(rows[2]["library"], Value::Null);
    }

    #[test]
    fn whatever_a_device_answers_is_taken() {
        for length in 0..200_usize {
            for fill in [0, 1, 0x40, 0x80, 0xff] {
                let _bays = parse_status(&vec![fill; length]);
            }
        }
        let tape = |cdb: &[u8], _: u16| (cdb[0] == 0x12 && cdb[1] == 0).then(|| vec![1; 3]);
        let short = describe(&tape).unwrap();
        assert_eq!((short.device_type, short.serial.as_str()), (1, ""));
        assert_eq!(describe(&|_: &[u8], _| None), None);
        assert_eq!(describe(&|_: &[u8], _| Some(vec![0; 96])), None, "a disk");
    }

    #[test]
    fn nodes_are_those_that_do_not_rewind() {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path();
        assert_eq!(node_of(device), None);
        for name in ["st0", "nst0", "nst0a", "nst0l", "st0m"] {
            fs::create_dir_all(device.join("scsi_tape").join(name)).unwrap();
        }
        assert_eq!(node_of(device).as_deref(), Some("/dev/nst0"));
        assert!(scan(&device.join("none")).unwrap().is_empty());
    }
}
