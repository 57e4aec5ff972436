//! A tape drive of this host, command by command.
//!
//! Everything goes by `SG_IO`, data too, so that what the drive says comes here as it said it: the kernel's own `read(2)` and `write(2)`
//! of a tape make an errno of it, and keep a filemark or an early warning for the next call. The node is `/dev/nstN` where there is
//! one: while it is open, nobody else on this host can open it.

use std::path::Path;
use std::time::Duration;

use crate::protection::{CHECKSUM_BYTES, Protection};
use crate::sense::Sense;
use crate::sg_io::{Answer, Data, Device, DeviceError};

/// A tape drive.
#[derive(Debug)]
pub struct TapeDrive {
    pub(crate) device: Device,
    /// The longest block.
    max_block_bytes: usize,
    /// How blocks are protected on their way.
    pub(crate) protection: Option<Protection>,
    /// A block with its checksum, on its way to the drive.
    protected: Vec<u8>,
}

/// How a read or a write ended where the drive did it, or had nothing to do it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// So many bytes.
    Block(usize),
    /// It was written, and the end is near.
    EarlyWarning,
    /// A filemark was read.
    Filemark,
    /// The block is longer than the buffer: so long. The position is where it was.
    TooLong(usize),
    /// There is nothing more.
    EndOfData,
}

/// Why a drive did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum TapeFault {
    /// It said why.
    #[error("the drive says {0}")]
    Sense(Sense),
    /// A block that came was not what the drive had sent.
    #[error(
        "the checksum of a block is wrong ({0}): the drive, its cable or the host adapter has changed the block on its way"
    )]
    Checksum(&'static str),
    /// It has block protection on, and does not say how any more.
    #[error("the drive does not answer about its block protection any more")]
    Protection,
    /// It did not, or could not be asked.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl TapeDrive {
    /// Opens a drive for oneself alone.
    pub fn open(path: &Path) -> Result<Self, TapeFault> {
        let device = Device::open_exclusively(path).map_err(DeviceError::from)?;
        let mut drive = Self {
            device,
            max_block_bytes: BLOCK_BYTES_LIMIT,
            protection: None,
            protected: Vec::new(),
        };
        // READ BLOCK LIMITS; a drive without it takes what it takes.
        if let Ok(limits) = drive.device.read(&[0x05, 0, 0, 0, 0, 0], 6, SHORT)
            && let Some([high, middle, low]) = limits.get(1..4)
        {
            let most = number(&[*high, *middle, *low]);
            if most > 0 {
                drive.max_block_bytes = most.min(BLOCK_BYTES_LIMIT);
            }
        }
        Ok(drive)
    }

    /// The longest block that it writes and reads without protection.
    pub fn longest_block_bytes(&self) -> usize {
        self.max_block_bytes
    }

    /// The longest block that it writes and reads as blocks are protected now.
    pub fn max_block_bytes(&self) -> usize {
        // A protected one is longer on its way.
        self.max_block_bytes - self.protection.map_or(0, |_| CHECKSUM_BYTES)
    }

    /// Sends a command that has an answer; `None` where the drive does not have it.
    pub fn ask(&self, cdb: &[u8], room: usize) -> Option<Vec<u8>> {
        self.device.read(cdb, room, SHORT).ok()
    }

    /// Whether a tape is there and ready; whatever is to be said of it is said.
    pub fn test_ready(&self) -> Result<(), TapeFault> {
        self.order(&[0; 6], SHORT)
    }

    /// REWIND.
    pub fn rewind(&self) -> Result<(), TapeFault> {
        self.order(&[0x01, 0, 0, 0, 0, 0], LONG)
    }

    /// LOAD UNLOAD: the tape into its place, or out of it.
    pub fn load(&self, is_in: bool) -> Result<(), TapeFault> {
        self.order(&[0x1b, 0, 0, 0, u8::from(is_in), 0], LONG)
    }

    /// LOCATE to an object of a partition; without one, of that in which it stands.
    pub fn locate(&self, partition: Option<u8>, object: u64) -> Result<(), TapeFault> {
        // CP: the partition changes.
        let (change, partition) = partition.map_or((0, 0), |partition| (0x02, partition));
        // Not every drive has LOCATE(16), which is for what LOCATE(10) cannot say.
        if let Ok(object) = u32::try_from(object) {
            let [a, b, c, d] = object.to_be_bytes();
            return self.order(&[0x2b, change, 0, a, b, c, d, 0, partition, 0], LONG);
        }
        let mut cdb = [0; 16];
        cdb[..4].copy_from_slice(&[0x92, change, 0, partition]);
        cdb[4..12].copy_from_slice(&object.to_be_bytes());
        self.order(&cdb, LONG)
    }

    /// SPACE back over one block, after one that was too long.
    fn back(&self) -> Result<(), TapeFault> {
        self.order(&[0x11, 0, 0xff, 0xff, 0xff, 0], LONG)
    }

    /// WRITE(6) of one block.
    pub fn write(&mut self, block: &[u8]) -> Result<Done, TapeFault> {
        let sent = match self.protection {
            Some(method) => {
                method.append(block, &mut self.protected);
                &self.protected
            }
            None => block,
        };
        let [_, a, b, c] = u32::try_from(sent.len()).unwrap_or(u32::MAX).to_be_bytes();
        let answer = self.device.send(&[0x0a, 0, a, b, c, 0], &mut Data::Out(sent), LONG)?;
        written(&answer)
            .map(|is_near| if is_near { Done::EarlyWarning } else { Done::Block(block.len()) })
    }

    /// WRITE FILEMARKS(6); none only waits until everything before is on the tape.
    pub fn write_filemarks(&self, count: u8) -> Result<Done, TapeFault> {
        let answer = self.device.send(&[0x10, 0, 0, 0, count, 0], &mut Data::None, LONG)?;
        written(&answer).map(|is_near| if is_near { Done::EarlyWarning } else { Done::Block(0) })
    }

    /// READ(6) of one block, whatever length it has, up to that of the buffer. A protected one needs room for its checksum, which is compared
    /// and stays behind the block.
    pub fn read(&self, buffer: &mut [u8]) -> Result<Done, TapeFault> {
        let room = buffer.len();
        let [_, a, b, c] = u32::try_from(room).unwrap_or(u32::MAX).to_be_bytes();
        let answer = self.device.send(&[0x08, 0, a, b, c, 0], &mut Data::In(buffer), LONG)?;
        match (how_read(&answer, room)?, self.protection) {
            // The position is behind it.
            (Done::TooLong(length), _) => self.back().map(|()| Done::TooLong(length)),
            (Done::Block(length), Some(method)) => {
                let there = buffer.get(..length).and_then(|block| method.check(block));
                there.map(Done::Block).ok_or(TapeFault::Checksum(method.name()))
            }
            (done, _) => Ok(done),
        }
    }

    fn order(&self, cdb: &[u8], timeout: Duration) -> Result<(), TapeFault> {
        let answer = self.device.send(cdb, &mut Data::None, timeout)?;
        match fault(&answer) {
            None => Ok(()),
            Some(fault) => Err(fault),
        }
    }
}

/// Whether the end is near.
fn written(answer: &Answer) -> Result<bool, TapeFault> {
    if answer.status == 0 {
        return Ok(false);
    }
    match Sense::parse(&answer.sense) {
        // SSC-5 §5.1.6: with EOM and this key everything was written.
        Some(sense) if is_note(&sense) => Ok(sense.eom),
        _ => Err(fault(answer).unwrap_or_else(|| unknown(answer))),
    }
}

fn how_read(answer: &Answer, room: usize) -> Result<Done, TapeFault> {
    if answer.status == 0 {
        return Ok(Done::Block(answer.transferred));
    }
    let Some(sense) = Sense::parse(&answer.sense) else { return Err(unknown(answer)) };
    let left = sense.information.unwrap_or(0);
    if sense.filemark {
        return Ok(Done::Filemark);
    }
    if sense.is_end_of_data() {
        return Ok(Done::EndOfData);
    }
    if sense.ili && is_note(&sense) {
        let past = usize::try_from(left.unsigned_abs()).unwrap_or(usize::MAX);
        return Ok(if left < 0 {
            Done::TooLong(room.saturating_add(past))
        } else {
            Done::Block(room.saturating_sub(past))
        });
    }
    if is_note(&sense) { Ok(Done::Block(answer.transferred)) } else { Err(TapeFault::Sense(sense)) }
}

/// Whether the command was done all the same.
fn is_note(sense: &Sense) -> bool {
    matches!(sense.key, Sense::NO_SENSE | Sense::RECOVERED_ERROR) && !sense.is_deferred
}

pub(crate) fn fault(answer: &Answer) -> Option<TapeFault> {
    if answer.status == 0 {
        return None;
    }
    match Sense::parse(&answer.sense) {
        Some(sense) if is_note(&sense) => None,
        Some(sense) => Some(TapeFault::Sense(sense)),
        None => Some(unknown(answer)),
    }
}

fn unknown(answer: &Answer) -> TapeFault {
    let (status, sense) = (answer.status, answer.sense.clone());
    TapeFault::Device(DeviceError::Status { status, sense })
}

/// A number as devices write it.
pub(crate) fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// What READ(6) and WRITE(6) can say, in whole pages.
const BLOCK_BYTES_LIMIT: usize = 0x00ff_f000;
pub(crate) const SHORT: Duration = Duration::from_secs(30);
/// A drive may wind through all of a tape, and try hard for a block.
const LONG: Duration = Duration::from_mins(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn sensed(flags: u8, information: i32, asc: u8, ascq: u8) -> Answer {
        let mut sense = vec![0xf0, 0, flags];
        sense.extend(information.to_be_bytes());
        sense.extend([10, 0, 0, 0, 0, asc, ascq, 0, 0, 0, 0]);
        Answer { status: 2, sense, transferred: 100 }
    }

    #[test]
    fn read_says_what_was_met() {
        let good = Answer { status: 0, sense: Vec::new(), transferred: 100 };
        assert_eq!(how_read(&good, 100).unwrap(), Done::Block(100));
        assert_eq!(how_read(&sensed(0x20, 40, 0, 0), 100).unwrap(), Done::Block(60));
        assert_eq!(how_read(&sensed(0x20, -28, 0, 0), 100).unwrap(), Done::TooLong(128));
        assert_eq!(how_read(&sensed(0x80, 100, 0, 1), 100).unwrap(), Done::Filemark);
        assert_eq!(how_read(&sensed(0x08, 100, 0, 5), 100).unwrap(), Done::EndOfData);
        assert_eq!(how_read(&sensed(0x08, 100, 0, 0), 100).unwrap(), Done::EndOfData);
        // The mark of the end was not found, or the tape has another format: an import took what came before for the whole tape.
        for (asc, ascq) in [(0x14, 3), (0x30, 2), (0x11, 0)] {
            let fault = how_read(&sensed(0x08, 100, asc, ascq), 100);
            assert!(matches!(fault, Err(TapeFault::Sense(_))), "{asc:02x}/{ascq:02x}");
        }
        let error = how_read(&sensed(0x03, 100, 0x11, 0), 100).unwrap_err();
        assert_eq!(error.to_string(), "the drive says 3/11/00");
        let busy = Answer { status: 8, sense: Vec::new(), transferred: 0 };
        assert!(matches!(how_read(&busy, 100), Err(TapeFault::Device(_))));
    }

    #[test]
    fn write_near_the_end_was_done_and_at_the_end_was_not() {
        assert!(written(&sensed(0x40, 0, 0, 2)).unwrap());
        assert!(!written(&sensed(0x01, 0, 0x17, 1)).unwrap());
        assert!(written(&sensed(0x4d, 100, 0, 2)).is_err());
        assert!(written(&sensed(0x03, 100, 0x0c, 0)).is_err());
        let mut deferred = sensed(0x01, 0, 0x17, 1);
        deferred.sense[0] = 0xf1;
        assert!(written(&deferred).is_err(), "an earlier block, and nobody knows which");
    }
}
