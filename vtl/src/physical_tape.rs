//! A real tape drive of this host as exports and imports want it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use vtl_media::AttributeFormat;
use vtl_physical::{
    DivideError, Done, ErrorCounters, MemoryAttribute, Protection, Sense, TapeDrive, TapeFault,
};
use vtl_vault::{Attribute, Counters, DriveIdentity, Medium, Tape, TapeError, TapeRead};

use crate::attached::node_of;
use crate::request::{Failure, FailureKind};

/// A drive that is nobody else's while this is there.
#[derive(Debug)]
pub(crate) struct PhysicalTape {
    drive: TapeDrive,
    identity: DriveIdentity,
    /// What the library reads on the tape; its memory need not know.
    label: Option<String>,
    /// What is read at once: as much as the longest block yet.
    room: usize,
    /// Whether the tape has several partitions: then REWIND stays in the one in which it stands.
    is_divided: bool,
}

impl PhysicalTape {
    /// Opens `/dev/nstN`, or the drive behind `/dev/sgN`.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let node = node_for(path)?;
        let drive = TapeDrive::open(&node).map_err(|fault| cannot_open(path, &fault))?;
        let facts = drive.identify().ok_or_else(|| {
            Failure::usage(format!(
                "{shown} is no tape drive, or does not say so; `vtl physical list` shows those that there are"
            ))
        })?;
        let identity = DriveIdentity {
            vendor: facts.vendor,
            product: facts.product,
            revision: facts.revision,
            serial: facts.serial,
        };
        Ok(Self { drive, identity, label: None, room: ROOM_AT_FIRST, is_divided: false })
    }
}

impl PhysicalTape {
    /// Somebody has read the tape's barcode.
    pub(crate) fn set_label(&mut self, barcode: &str) {
        self.label = Some(barcode.to_owned());
    }

    /// Lets the tape go, so that an arm can take it.
    pub(crate) fn unload(&self) -> Result<(), TapeFault> {
        self.drive.load(false)
    }
}

/// The node of the kernel's tape driver, which keeps others out; a drive that it does not have is used as it is.
fn node_for(path: &Path) -> Result<PathBuf, Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.starts_with("st") {
        return Err(Failure::usage(format!(
            "{}: this node rewinds by itself; say /dev/n{name}",
            path.display()
        )));
    }
    if name.starts_with("sg") {
        let device = Path::new("/sys/class/scsi_generic").join(name).join("device");
        return Ok(node_of(&device).map_or_else(|| path.to_owned(), PathBuf::from));
    }
    Ok(path.to_owned())
}

fn cannot_open(path: &Path, fault: &TapeFault) -> Failure {
    let shown = path.display();
    let TapeFault::Device(vtl_physical::DeviceError::Io(error)) = fault else {
        return Failure::failed(format!("{shown}: {fault}"));
    };
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::not_found(format!(
            "{shown} is not there; `vtl physical list` shows the drives of this host"
        )),
        std::io::ErrorKind::ResourceBusy => Failure::refused(format!(
            "{shown} is in use by another program: wait for it, or end it"
        )),
        std::io::ErrorKind::PermissionDenied => Failure::new(
            FailureKind::Refused,
            format!(
                "{shown}: whoever runs vtl may not use it; tape commands past the kernel's driver are for root"
            ),
        ),
        _ => Failure::failed(format!("{shown}: {error}")),
    }
}

impl Tape for PhysicalTape {
    fn identity(&self) -> DriveIdentity {
        self.identity.clone()
    }

    fn medium(&mut self) -> Medium {
        let facts = self.drive.medium();
        self.is_divided = facts.division.additional > 0;
        Medium {
            serial: facts.serial,
            maker: facts.maker,
            barcode: self.label.clone().or(facts.barcode),
            capacity_bytes: facts.capacity_bytes,
            is_write_protected: facts.is_write_protected,
            additional_partitions: facts.division.additional,
            additional_partitions_most: facts.division.additional_most,
            partition_bytes: facts.division.bytes,
        }
    }

    fn counters(&mut self, is_writing: bool) -> Counters {
        let ErrorCounters { corrected, uncorrected, tape_alerts } = self.drive.counters(is_writing);
        Counters { corrected, uncorrected, tape_alerts }
    }

    fn max_block_bytes(&self) -> usize {
        self.drive.longest_block_bytes()
    }

    fn ready(&mut self) -> Result<(), TapeError> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let sense = match self.drive.test_ready() {
                Ok(()) => return Ok(()),
                Err(TapeFault::Sense(sense)) => sense,
                Err(fault) => return Err(error_of(&fault)),
            };
            let is_coming = sense.key == Sense::NOT_READY && sense.asc == 0x04;
            let is_news = sense.key == Sense::UNIT_ATTENTION;
            if !(is_coming || is_news) || Instant::now() > deadline {
                return Err(error_of(&TapeFault::Sense(sense)));
            }
            if is_coming {
                std::thread::sleep(READY_PAUSE);
            }
        }
    }

    fn rewind(&mut self) -> Result<(), TapeError> {
        self.drive.rewind().map_err(|fault| error_of(&fault))
    }

    fn enter(&mut self, partition: u8) -> Result<(), TapeError> {
        if partition == 0 && !self.is_divided {
            return self.rewind();
        }
        self.drive.locate(Some(partition), 0).map_err(|fault| error_of(&fault))
    }

    fn divide(&mut self, sizes: &[u64]) -> Result<(), TapeError> {
        self.drive.divide(sizes).map_err(|error| match error {
            DivideError::Fault(fault) => error_of(&fault),
            other => TapeError::Refused(other.to_string()),
        })?;
        // Some drives have news after it, and some take the tape to its beginning for a while.
        self.ready()
    }

    fn protect(&mut self) {
        self.drive.protect();
    }

    fn unprotect(&mut self) {
        if let Err(fault) = self.drive.unprotect() {
            let serial = &self.identity.serial;
            tracing::warn!(
                serial, %fault,
                "the drive goes on protecting blocks, which other programs do not expect: `sg_reset` it, or turn it off and on"
            );
        }
    }

    fn protection(&self) -> &'static str {
        self.drive.protection().map_or("none", Protection::name)
    }

    fn locate(&mut self, object: u64) -> Result<(), TapeError> {
        self.drive.locate(None, object).map_err(|fault| error_of(&fault))
    }

    fn reload(&mut self) -> Result<(), TapeError> {
        self.drive.load(false).map_err(|fault| error_of(&fault))?;
        let loaded = self.drive.load(true);
        match loaded {
            // That there is a tape again is what was to be achieved.
            Ok(()) | Err(TapeFault::Sense(Sense { key: Sense::UNIT_ATTENTION, .. })) => {
                self.ready()?;
            }
            Err(fault) => return Err(error_of(&fault)),
        }
        // Where the drive forgets it with the tape, what is read would be taken for blocks with wrong checksums.
        if self.drive.protection().is_some() && self.drive.protect().is_none() {
            let text = "after the tape was loaded again the drive does not say whether it protects blocks: try it again";
            return Err(TapeError::Other(text.to_owned()));
        }
        Ok(())
    }

    fn write_block(&mut self, block: &[u8]) -> Result<(), TapeError> {
        if block.len() > self.drive.max_block_bytes() {
            // With its checksum it is longer than what the drive takes: better a copy without protection, which says so, than none.
            self.unprotect();
        }
        self.drive.write(block).map(drop).map_err(|fault| error_of(&fault))
    }

    fn write_filemark(&mut self) -> Result<(), TapeError> {
        self.drive.write_filemarks(1).map(drop).map_err(|fault| error_of(&fault))
    }

    fn synchronize(&mut self) -> Result<(), TapeError> {
        self.drive.write_filemarks(0).map(drop).map_err(|fault| error_of(&fault))
    }

    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<TapeRead, TapeError> {
        // Once more, with room for what was too long.
        for _ in 0..2 {
            buffer.resize(self.room, 0);
            match self.drive.read(buffer).map_err(|fault| error_of(&fault))? {
                Done::Block(length) => {
                    buffer.truncate(length);
                    return Ok(TapeRead::Block);
                }
                Done::TooLong(length) => {
                    let most = self.drive.longest_block_bytes();
                    if self.drive.protection().is_some() && length > most {
                        // As when it is written: with its checksum no READ is long enough.
                        self.unprotect();
                        self.room = most;
                    } else {
                        self.room = length.min(ROOM_MAX);
                    }
                }
                Done::Filemark => return Ok(TapeRead::Filemark),
                Done::EndOfData | Done::EarlyWarning => return Ok(TapeRead::EndOfData),
            }
        }
        Err(TapeError::Other(format!("a block is longer than {} bytes", self.room)))
    }

    fn attributes(&mut self, partition: u8) -> Result<Vec<Attribute>, TapeError> {
        let there = self.drive.host_attributes(partition).map_err(|fault| error_of(&fault))?;
        let of_drive = |there: MemoryAttribute| {
            let format = match there.format {
                0 => AttributeFormat::Binary,
                1 => AttributeFormat::Ascii,
                _ => AttributeFormat::Text,
            };
            Attribute::new(partition, there.identifier, format, &there.value)
        };
        Ok(there.into_iter().map(of_drive).collect())
    }

    fn write_attribute(&mut self, attribute: &Attribute) -> Result<(), TapeError> {
        let format = match attribute.format {
            None | Some(AttributeFormat::Binary) => 0,
            Some(AttributeFormat::Ascii) => 1,
            Some(AttributeFormat::Text) => 2,
        };
        let value = attribute.bytes().unwrap_or_default();
        let identifier = attribute.identifier;
        let of_drive = MemoryAttribute { identifier, format, is_read_only: false, value };
        self.drive.write_attribute(attribute.partition, &of_drive).map_err(|fault| error_of(&fault))
    }
}

impl Drop for PhysicalTape {
    fn drop(&mut self) {
        self.unprotect();
    }
}

fn error_of(fault: &TapeFault) -> TapeError {
    let text = fault.to_string();
    let TapeFault::Sense(sense) = fault else { return TapeError::Other(text) };
    if sense.key == Sense::BLANK_CHECK && !sense.is_end_of_data() {
        return TapeError::Medium(text);
    }
    match (sense.key, sense.asc, sense.ascq) {
        // In the words of SPC-5 table F.1; not every drive says NOT READY with it.
        (Sense::NOT_READY, 0x3a, _) => TapeError::NoMedium,
        (Sense::NOT_READY | Sense::MEDIUM_ERROR, 0x30, 0x03) => TapeError::Cleaning,
        (Sense::MEDIUM_ERROR, ..) => TapeError::Medium(text),
        (Sense::HARDWARE_ERROR, ..) => TapeError::Hardware(text),
        (Sense::UNIT_ATTENTION, ..) => TapeError::Changed(text),
        (Sense::DATA_PROTECT, ..) => TapeError::Protected,
        (Sense::VOLUME_OVERFLOW, ..) => TapeError::Full,
        (Sense::ILLEGAL_REQUEST, ..) => TapeError::Refused(text),
        _ => TapeError::Other(text),
    }
}

const ROOM_AT_FIRST: usize = 256 << 10;
const ROOM_MAX: usize = 16 << 20;
/// A library's drive may thread the tape for a while.
const READY_LIMIT: Duration = Duration::from_mins(5);
const READY_PAUSE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_drive_says_decides_who_is_to_blame() {
        let of = |key, asc, ascq| {
            error_of(&TapeFault::Sense(Sense { key, asc, ascq, ..Sense::default() }))
        };
        assert!(
            of(3, 0x0c, 0).is_of_tape()
                && of(0xd, 0, 2).is_of_tape()
                && of(7, 0x27, 0).is_of_tape()
        );
        assert!(of(8, 0x14, 3).is_of_tape() && !of(8, 0, 5).is_of_tape());
        assert_eq!(of(2, 0x30, 3), TapeError::Cleaning);
        assert_eq!(of(2, 0x3a, 0), TapeError::NoMedium);
        assert_eq!(of(6, 0x28, 0), TapeError::Changed("the drive says 6/28/00".to_owned()));
        assert!(!of(4, 0x44, 0).is_of_tape());
        assert_eq!(of(5, 0x20, 0), TapeError::Refused("the drive says 5/20/00".to_owned()));
    }

    #[test]
    fn nodes_that_rewind_and_nodes_that_are_not_there_are_refused() {
        let kind = |path: &str| PhysicalTape::open(Path::new(path)).unwrap_err().kind;
        assert_eq!(kind("/dev/st0"), FailureKind::Usage);
        assert_eq!(kind("/dev/nst4000"), FailureKind::NotFound);
        assert_eq!(kind("/dev/null"), FailureKind::Usage);
    }
}
