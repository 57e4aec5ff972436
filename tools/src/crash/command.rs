//! Commands for a drive: their bytes, and what the plain model says to them.

use vtl_scsi::sense::Sense;

use crate::tape::{Object, Objects, Tape, content};
use vtl_tools::random::Random;

/// One command for a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// One block of any length.
    WriteVariable {
        length: u32,
    },
    /// Blocks of the length that was set.
    WriteFixed {
        count: u32,
    },
    Filemarks {
        count: u32,
        is_immediate: bool,
    },
    ReadVariable {
        length: u32,
        suppresses_incorrect_length: bool,
    },
    ReadFixed {
        count: u32,
    },
    SpaceBlocks(i32),
    SpaceFilemarks(i32),
    SpaceEnd,
    Locate(u32),
    LocateFile(u32),
    Rewind,
    Erase,
    /// At the beginning: with a second partition of a megabyte if the mode pages have asked for one, in which nothing is done.
    Format,
    Unload,
    Load,
    Position,
    Mode {
        is_buffered: bool,
        block_length: u32,
    },
}

/// What the model knows of a drive.
#[derive(Debug, Clone)]
pub(crate) struct DriveState {
    pub(crate) is_buffered: bool,
    pub(crate) block_length: u32,
    /// The cartridge lies in the door.
    pub(crate) is_unloaded: bool,
}

impl Default for DriveState {
    fn default() -> Self {
        Self { is_buffered: true, block_length: 0, is_unloaded: false }
    }
}

/// What a command has to do.
#[derive(Debug, Default)]
pub(crate) struct Effect {
    /// CHECK CONDITION with this, or GOOD.
    pub(crate) sense: Option<Sense>,
    pub(crate) data_in: Vec<u8>,
    /// Contents that may be on the tape while the command is under way, the last one when it is done.
    pub(crate) states: Vec<Objects>,
    /// Whether everything is durable when it is answered.
    pub(crate) is_sync_point: bool,
    /// Whether unit attentions come of it.
    pub(crate) raises: bool,
}

impl Command {
    /// Any command.
    pub(crate) fn random(random: &mut Random, drive: &DriveState, objects: u32) -> Self {
        let is_fixed = drive.block_length > 0;
        let count =
            |random: &mut Random, limit: u64| u32::try_from(random.below(limit)).unwrap_or(0);
        let signed = |random: &mut Random, limit: u64| {
            i32::try_from(random.below(2 * limit)).unwrap_or(0) - i32::try_from(limit).unwrap_or(0)
        };
        match random.below(100) {
            0..35 if is_fixed => Self::WriteFixed { count: 1 + count(random, 5) },
            0..35 => {
                let limit = random.pick(&[40, 700, 5000, 40_000]).unwrap_or(40);
                Self::WriteVariable { length: 1 + count(random, limit) }
            }
            35..50 => Self::Filemarks { count: count(random, 4), is_immediate: random.percent(40) },
            50..58 if is_fixed => Self::ReadFixed { count: 1 + count(random, 4) },
            50..58 => Self::ReadVariable {
                length: 1 + count(random, 50_000),
                suppresses_incorrect_length: random.percent(60),
            },
            58..64 => Self::SpaceBlocks(signed(random, 12)),
            64..69 => Self::SpaceFilemarks(signed(random, 4)),
            69..74 => Self::SpaceEnd,
            74..79 => Self::Locate(count(random, u64::from(objects) + 2)),
            79..82 => Self::LocateFile(count(random, 6)),
            82..85 => Self::Rewind,
            85..87 => Self::Erase,
            87..90 => Self::Unload,
            90..95 => Self::Position,
            _ => {
                let block_length = if random.percent(60) { 0 } else { 1 + count(random, 9000) };
                Self::Mode { is_buffered: random.percent(70), block_length }
            }
        }
    }

    /// The CDB and the data that goes with it.
    pub(crate) fn encode(self, drive: &DriveState, first_id: u64) -> (Vec<u8>, Vec<u8>) {
        let plain = |cdb: &[u8]| (cdb.to_vec(), Vec::new());
        let [_, high, middle, low] = match self {
            Self::WriteVariable { length } | Self::ReadVariable { length, .. } => {
                length.to_be_bytes()
            }
            Self::WriteFixed { count }
            | Self::ReadFixed { count }
            | Self::Filemarks { count, .. } => count.to_be_bytes(),
            Self::SpaceBlocks(count) | Self::SpaceFilemarks(count) => count.to_be_bytes(),
            Self::Mode { block_length, .. } => block_length.to_be_bytes(),
            _ => [0; 4],
        };
        match self {
            Self::WriteVariable { length } => {
                (vec![0x0a, 0, high, middle, low, 0], content(first_id, length))
            }
            Self::WriteFixed { count } => {
                let blocks =
                    (0..u64::from(count)).flat_map(|n| content(first_id + n, drive.block_length));
                (vec![0x0a, 1, high, middle, low, 0], blocks.collect())
            }
            Self::Filemarks { is_immediate, .. } => {
                plain(&[0x10, u8::from(is_immediate), high, middle, low, 0])
            }
            Self::ReadVariable { suppresses_incorrect_length, .. } => {
                plain(&[0x08, u8::from(suppresses_incorrect_length) << 1, high, middle, low, 0])
            }
            Self::ReadFixed { .. } => plain(&[0x08, 1, high, middle, low, 0]),
            Self::SpaceBlocks(_) => plain(&[0x11, 0, high, middle, low, 0]),
            Self::SpaceFilemarks(_) => plain(&[0x11, 1, high, middle, low, 0]),
            Self::SpaceEnd => plain(&[0x11, 3, 0, 0, 0, 0]),
            Self::Locate(object) => {
                let [a, b, c, d] = object.to_be_bytes();
                plain(&[0x2b, 0, 0, a, b, c, d, 0, 0, 0])
            }
            Self::LocateFile(file) => {
                let [a, b, c, d] = file.to_be_bytes();
                plain(&[0x92, 1 << 3, 0, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0])
            }
            Self::Rewind => plain(&[0x01, 0, 0, 0, 0, 0]),
            Self::Erase => plain(&[0x19, 0, 0, 0, 0, 0]),
            Self::Format => plain(&[0x04, 0, 1, 0, 0, 0]),
            Self::Unload => plain(&[0x1b, 0, 0, 0, 0, 0]),
            Self::Load => plain(&[0x1b, 0, 0, 0, 1, 0]),
            Self::Position => plain(&[0x34, 0x06, 0, 0, 0, 0, 0, 0, 0, 0]),
            Self::Mode { is_buffered, .. } => {
                let mode = if is_buffered { 0x10 } else { 0 };
                let mut list = vec![0, 0, mode, 8, 0, 0, 0, 0, 0, high, middle, low];
                // How a cartridge is to be divided can only be said of one that is there.
                if !drive.is_unloaded {
                    list.extend([0x11, 14, 3, 1, 0x34, 3, 6, 0, 0xff, 0xff, 0, 1, 0, 0, 0, 0]);
                }
                (vec![0x15, 0x10, 0, 0, u8::try_from(list.len()).unwrap_or(0), 0], list)
            }
        }
    }

    /// How many block numbers it takes.
    pub(crate) fn block_count(self) -> u64 {
        match self {
            Self::WriteVariable { .. } => 1,
            Self::WriteFixed { count } => u64::from(count),
            _ => 0,
        }
    }

    /// Does it to the model.
    pub(crate) fn apply(self, drive: &mut DriveState, tape: &mut Tape, first_id: u64) -> Effect {
        if drive.is_unloaded && !matches!(self, Self::Mode { .. } | Self::Load | Self::Unload) {
            let sense = Some(Sense::initializing_command_required());
            return Effect { sense, ..Effect::default() };
        }
        let motion = |sense| Effect { sense, is_sync_point: true, ..Effect::default() };
        match self {
            Self::WriteVariable { length } => {
                let block = Object::Block { id: first_id, length };
                Effect { is_sync_point: !drive.is_buffered, ..written(tape, &[block]) }
            }
            Self::WriteFixed { count } => {
                let length = drive.block_length;
                let ids = first_id..first_id + u64::from(count);
                let blocks: Vec<_> = ids.map(|id| Object::Block { id, length }).collect();
                Effect { is_sync_point: !drive.is_buffered, ..written(tape, &blocks) }
            }
            Self::Filemarks { count, is_immediate } => {
                let marks = vec![Object::Mark; usize::try_from(count).unwrap_or(0)];
                let effect = if count == 0 { Effect::default() } else { written(tape, &marks) };
                Effect { is_sync_point: !is_immediate, ..effect }
            }
            Self::ReadVariable { length, suppresses_incorrect_length } => {
                read_variable(drive, tape, length, suppresses_incorrect_length)
            }
            Self::ReadFixed { count } => read_fixed(drive, tape, count),
            Self::SpaceBlocks(count) => motion(tape.space_blocks(count)),
            Self::SpaceFilemarks(count) => motion(tape.space_filemarks(count)),
            Self::SpaceEnd => {
                tape.position = tape.objects.len();
                motion(None)
            }
            Self::Locate(object) => motion(tape.locate(object.into())),
            Self::LocateFile(file) => {
                tape.position = 0;
                motion(tape.space_filemarks(i32::try_from(file).unwrap_or(0)))
            }
            Self::Rewind => {
                tape.position = 0;
                motion(None)
            }
            Self::Erase => {
                tape.objects.truncate(tape.position);
                Effect { states: vec![tape.objects.clone()], ..motion(None) }
            }
            Self::Format => {
                tape.objects.clear();
                Effect { states: vec![Objects::new()], ..motion(None) }
            }
            Self::Unload => {
                tape.position = 0;
                drive.is_unloaded = true;
                motion(None)
            }
            Self::Load => {
                tape.position = 0;
                let raises = std::mem::take(&mut drive.is_unloaded);
                Effect { raises, ..motion(None) }
            }
            Self::Position => Effect { data_in: position(tape), ..Effect::default() },
            Self::Mode { is_buffered, block_length } => {
                (drive.is_buffered, drive.block_length) = (is_buffered, block_length);
                Effect::default()
            }
        }
    }
}

/// Overwriting may give up what was there before anything comes in its place.
fn written(tape: &mut Tape, objects: &[Object]) -> Effect {
    let mut states = Vec::new();
    if tape.position < tape.objects.len() {
        states.extend(tape.objects.get(..tape.position).map(<[Object]>::to_vec));
    }
    tape.write(objects);
    states.push(tape.objects.clone());
    Effect { states, ..Effect::default() }
}

fn read_variable(drive: &DriveState, tape: &mut Tape, length: u32, is_suppressed: bool) -> Effect {
    let requested = i64::from(length);
    let sense = match tape.read() {
        None => Some(Sense::end_of_data().with_information(requested)),
        Some(Object::Mark) => Some(Sense::filemark_detected(requested)),
        Some(Object::Block { id, length: found }) => {
            let residual = requested - i64::from(found);
            let is_reported =
                if is_suppressed { residual < 0 && drive.block_length != 0 } else { residual != 0 };
            let mut data_in = content(id, found);
            data_in.truncate(usize::try_from(length).unwrap_or(0));
            let sense = is_reported.then(|| Sense::incorrect_length(residual));
            return Effect { sense, data_in, ..Effect::default() };
        }
    };
    Effect { sense, ..Effect::default() }
}

fn read_fixed(drive: &DriveState, tape: &mut Tape, count: u32) -> Effect {
    let mut data_in = Vec::new();
    for done in 0..count {
        let residual = i64::from(count - done);
        let sense = match tape.read() {
            Some(Object::Block { id, length }) if length == drive.block_length => {
                data_in.extend(content(id, length));
                continue;
            }
            Some(Object::Block { .. }) => Sense::incorrect_length(residual),
            Some(Object::Mark) => Sense::filemark_detected(residual),
            None => Sense::end_of_data().with_information(residual),
        };
        return Effect { sense: Some(sense), data_in, ..Effect::default() };
    }
    Effect { data_in, ..Effect::default() }
}

/// READ POSITION, long form: 0 flags, 8-15 object, 16-23 filemarks.
fn position(tape: &Tape) -> Vec<u8> {
    let mut data = vec![if tape.position == 0 { 0x80 } else { 0 }, 0, 0, 0, 0, 0, 0, 0];
    data.extend((tape.position as u64).to_be_bytes());
    data.extend(tape.filemarks_before().to_be_bytes());
    data.resize(32, 0);
    data
}
