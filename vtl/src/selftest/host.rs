//! A host with two initiators, and the list of what it has found.

use anyhow::{bail, ensure};

use crate::explain::{self, Kind, View};
use crate::measure::Initiator;

/// LUN of the changer.
pub(super) const CHANGER: u64 = 0;
/// LUN of the only drive.
pub(super) const DRIVE: u64 = 1;

pub(super) const TEST_UNIT_READY: [u8; 6] = [0; 6];
pub(super) const REWIND: [u8; 6] = [0x01, 0, 0, 0, 0, 0];
pub(super) const READ_POSITION_LONG: [u8; 10] = [0x34, 0x06, 0, 0, 0, 0, 0, 0, 0, 0];

const GOOD: u8 = 0x00;
/// More unit attentions than a target keeps for one nexus.
const ATTENTIONS_MAX: usize = 40;
/// As much of an answer is shown.
const SHOWN_BYTES: usize = 24;

/// Who is asked: in a test, somebody who answers wrongly.
pub(super) trait Target {
    /// Carries a command out.
    fn ask(
        &mut self,
        lun: u64,
        cdb: &[u8],
        data_out: Vec<u8>,
        room_bytes: u32,
    ) -> anyhow::Result<Answer>;
}

/// What came back.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) lun: u64,
    pub(super) cdb: Vec<u8>,
    pub(super) status: u8,
    pub(super) sense: Vec<u8>,
    pub(super) data: Vec<u8>,
    pub(super) residual_bytes: i64,
}

/// One check.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) client: String,
    pub(super) check: &'static str,
    pub(super) needs: &'static str,
    pub(super) sent: String,
    pub(super) came: String,
    pub(super) is_ok: bool,
}

/// The host.
pub(super) struct Host<'a> {
    target: Box<dyn Target + 'a>,
    /// Another initiator, for what one does to the other.
    other: Box<dyn Target + 'a>,
    client: String,
    rows: Vec<Row>,
}

impl Target for Initiator {
    fn ask(
        &mut self,
        lun: u64,
        cdb: &[u8],
        data_out: Vec<u8>,
        room_bytes: u32,
    ) -> anyhow::Result<Answer> {
        let done = self.run(lun, cdb, data_out, room_bytes)?;
        Ok(Answer {
            lun,
            cdb: cdb.to_vec(),
            status: done.status,
            sense: done.sense,
            data: done.data,
            residual_bytes: done.residual_bytes,
        })
    }
}

impl Answer {
    pub(super) fn is_good(&self) -> bool {
        self.status == GOOD
    }

    /// Key, code and qualifier of fixed-format sense data, which is the only one that all clients read.
    pub(super) fn code(&self) -> Option<(u8, u8, u8)> {
        let [response, _, key, _, _, _, _, _, _, _, _, _, code, qualifier, ..] =
            *self.sense.as_slice()
        else {
            return None;
        };
        (response & 0x7e == 0x70).then_some((key & 0x0f, code, qualifier))
    }

    /// Whether these bits of byte 2 of the sense data are exactly the ones that are set: 80h filemark, 40h EOM, 20h ILI.
    pub(super) fn has_only(&self, bits: u8) -> bool {
        self.sense.get(2).is_some_and(|byte| byte & 0xe0 == bits)
    }

    /// The INFORMATION field, if it is valid.
    pub(super) fn information(&self) -> Option<i64> {
        let [valid, _, _, first, second, third, fourth, ..] = *self.sense.as_slice() else {
            return None;
        };
        let count = i32::from_be_bytes([first, second, third, fourth]);
        (valid & 0x80 != 0).then(|| count.into())
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.data.get(at).copied()
    }

    /// A big-endian number of so many bytes; 0 beyond the end of the data.
    pub(super) fn number(&self, at: usize, length: usize) -> u64 {
        let bytes = self.data.get(at..at + length).unwrap_or_default();
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Whether this is a page of this length: GOOD, with its own code, and with all that its header announces and no more.
    pub(super) fn is_page(&self, header: usize, code: u8) -> bool {
        let announced = usize::try_from(self.number(header - 2, 2)).unwrap_or(0);
        let is_code = self.byte(usize::from(header == 4 && self.cdb.first() == Some(&0x12)));
        self.is_good()
            && is_code.is_some_and(|byte| byte & 0x7f == code & 0x7f)
            && self.data.len() == header + announced
    }

    fn came(&self) -> String {
        let mut text = if self.is_good() {
            "GOOD".to_owned()
        } else {
            View::parse(&self.sense)
                .map_or_else(|| format!("status {:02x}h", self.status), |view| view.line())
        };
        if self.residual_bytes != 0 {
            text = format!("{text}, residual {}", self.residual_bytes);
        }
        if self.data.is_empty() {
            return text;
        }
        let shown = self.data.get(..SHOWN_BYTES).unwrap_or(&self.data);
        let more = if shown.len() < self.data.len() { " …" } else { "" };
        format!("{text}, {} bytes: {}{more}", self.data.len(), explain::hex(shown))
    }
}

impl<'a> Host<'a> {
    pub(super) fn new(target: impl Target + 'a, other: impl Target + 'a) -> Self {
        Self {
            target: Box::new(target),
            other: Box::new(other),
            client: String::new(),
            rows: Vec::new(),
        }
    }

    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows
    }

    /// From now on it is this client: there are no unit attentions left, and a rewound cartridge is in the drive.
    pub(super) fn begin(&mut self, client: &str) -> anyhow::Result<()> {
        client.clone_into(&mut self.client);
        self.settle(CHANGER)?;
        if self.settle(DRIVE)?.code().is_some_and(|(key, ..)| key == 2) {
            let slot = self.first_address(0x02)?;
            let drive = self.first_address(0x04)?;
            self.must(CHANGER, &move_medium(slot, drive))?;
        }
        self.ready()
    }

    /// Waits until the drive is ready, and rewinds it.
    pub(super) fn ready(&mut self) -> anyhow::Result<()> {
        let answer = self.settle(DRIVE)?;
        ensure!(answer.is_good(), "the drive does not become ready: {}", answer.came());
        self.must(DRIVE, &REWIND).map(|_| ())
    }

    /// Sends a command without data-out.
    pub(super) fn ask(&mut self, lun: u64, cdb: &[u8], room_bytes: u32) -> anyhow::Result<Answer> {
        self.target.ask(lun, cdb, Vec::new(), room_bytes)
    }

    /// Sends a command with data.
    pub(super) fn send(&mut self, lun: u64, cdb: &[u8], data: &[u8]) -> anyhow::Result<Answer> {
        self.target.ask(lun, cdb, data.to_vec(), 0)
    }

    /// The same from the other initiator.
    pub(super) fn ask_as_other(
        &mut self,
        lun: u64,
        cdb: &[u8],
        room_bytes: u32,
    ) -> anyhow::Result<Answer> {
        for _ in 0..ATTENTIONS_MAX {
            let answer = self.other.ask(lun, cdb, Vec::new(), room_bytes)?;
            if answer.code().is_none_or(|(key, ..)| key != 6) {
                return Ok(answer);
            }
        }
        bail!("unit attentions without end")
    }

    /// A command without which nothing else can be tested.
    pub(super) fn must(&mut self, lun: u64, cdb: &[u8]) -> anyhow::Result<Answer> {
        let answer = self.ask(lun, cdb, 0)?;
        ensure!(answer.is_good(), "{}: {}", explain::line(kind(lun), cdb), answer.came());
        Ok(answer)
    }

    /// Asks whether a unit is ready until there are no unit attentions left and it is not becoming ready.
    pub(super) fn settle(&mut self, lun: u64) -> anyhow::Result<Answer> {
        const LIMIT: std::time::Duration = std::time::Duration::from_mins(1);
        let begin = std::time::Instant::now();
        while begin.elapsed() < LIMIT {
            let answer = self.ask(lun, &TEST_UNIT_READY, 0)?;
            match answer.code() {
                Some((6, ..)) => {}
                Some((2, 0x04, 0x01)) => std::thread::sleep(std::time::Duration::from_millis(20)),
                _ => return Ok(answer),
            }
        }
        bail!("logical unit {lun} does not become ready")
    }

    /// The first address of the elements of this type (mode page 1Dh): 1 transport, 2 storage, 3 import/export, 4 drives.
    pub(super) fn first_address(&mut self, kind: u8) -> anyhow::Result<u16> {
        let answer = self.ask(CHANGER, &[0x1a, 0x08, 0x1d, 0, 255, 0], 255)?;
        let at = 6 + usize::from(kind.saturating_sub(1)) * 4;
        let address = u16::try_from(answer.number(at, 2))?;
        ensure!(answer.data.len() > at + 1, "mode page 1Dh: {}", answer.came());
        Ok(address)
    }

    /// Notes a check of this answer.
    pub(super) fn check(
        &mut self,
        check: &'static str,
        needs: &'static str,
        answer: &Answer,
        is_ok: bool,
    ) {
        self.rows.push(Row {
            client: self.client.clone(),
            check,
            needs,
            sent: format!(
                "{} [{}]",
                explain::line(kind(answer.lun), &answer.cdb),
                explain::hex(&answer.cdb)
            ),
            came: answer.came(),
            is_ok,
        });
    }
}

fn kind(lun: u64) -> Kind {
    if lun == CHANGER { Kind::Changer } else { Kind::Drive }
}

/// WRITE(6), READ(6) and the like: an operation code, byte 1, and three bytes of a count.
pub(super) fn six(code: u8, flags: u8, count: i32) -> [u8; 6] {
    let [_, high, middle, low] = count.to_be_bytes();
    [code, flags, high, middle, low, 0]
}

pub(super) fn move_medium(from: u16, to: u16) -> [u8; 12] {
    let ([from_high, from_low], [to_high, to_low]) = (from.to_be_bytes(), to.to_be_bytes());
    [0xa5, 0, 0, 0, from_high, from_low, to_high, to_low, 0, 0, 0, 0]
}

/// READ ELEMENT STATUS of one type (0: all), with volume tags, and with device identifiers if asked for.
pub(super) fn element_status(kind: u8, wants_identifiers: bool) -> [u8; 12] {
    [0xb8, 0x10 | kind, 0, 0, 0x03, 0xe8, u8::from(wants_identifiers), 0, 0xff, 0xff, 0, 0]
}

/// LOG SENSE of cumulative values.
pub(super) fn log_sense(page: u8) -> [u8; 10] {
    [0x4d, 0, 0x40 | page, 0, 0, 0, 0, 0x10, 0, 0]
}

/// A block that is another one for each number.
pub(super) fn block(number: u8, length: usize) -> Vec<u8> {
    let mut bytes = crate::measure::incompressible(length);
    for byte in &mut bytes {
        *byte ^= number;
    }
    bytes
}
