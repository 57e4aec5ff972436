//! Commands: any CDB, and such as a device says that it knows, with what is behind them.

use bolero::TypeGenerator;
use vtl_scsi::device::{self, Device};
use vtl_scsi::{ItNexus, Status, Task};

/// What a device knows, as REPORT SUPPORTED OPERATION CODES tells it: CDBs whose bits are set where they may be.
#[derive(Debug)]
pub struct Table(Vec<Row>);

#[derive(Debug)]
struct Row {
    usage: Vec<u8>,
    has_service_action: bool,
}

impl Table {
    /// Asks the device.
    pub fn of<D: Device>(device: &mut D) -> Self {
        const ALL: [u8; 12] = [0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0];
        let answer = device::execute(device, Task::new(ItNexus(1), &ALL));
        assert_eq!(answer.status, Status::GOOD, "{answer:?}");
        let rows = answer.data_in.get(4..).expect("a header").chunks_exact(8).map(|row| {
            let has_service_action = row[5] & 1 == 1;
            let one = if has_service_action { 2 } else { 1 };
            let ask = [0xa3, 0x0c, one, row[0], row[2], row[3], 0, 0, 0xff, 0xff, 0, 0];
            let answer = device::execute(device, Task::new(ItNexus(1), &ask));
            assert_eq!(answer.status, Status::GOOD, "{answer:?}");
            Row { usage: answer.data_in[4..].to_vec(), has_service_action }
        });
        let rows: Vec<_> = rows.collect();
        assert!(rows.len() > 20, "a device that knows next to nothing");
        Self(rows)
    }
}

/// One command.
#[derive(Debug, Clone, TypeGenerator)]
pub struct Command {
    code: Code,
    is_other_nexus: bool,
    /// The bytes behind the operation code; those are kept whose bit is set, as most fields are rarely used.
    cdb: [u8; 15],
    keep: u16,
    data: Vec<u8>,
    /// A length in the CDB is that of the data.
    names_length: bool,
    limit: Option<u16>,
}

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Code {
    /// A row of the table, with what may be set in it.
    Known(u16),
    KnownToo(u16),
    /// The same with reserved bits as they come.
    Unmasked(u16),
    Any(u8),
}

impl Command {
    /// The task.
    pub fn task(&self, table: &Table) -> Task {
        let row = |index: u16| &table.0[usize::from(index) % table.0.len()];
        let (row, code, is_masked) = match self.code {
            Code::Known(index) | Code::KnownToo(index) => (Some(row(index)), None, true),
            Code::Unmasked(index) => (Some(row(index)), None, false),
            Code::Any(code) => (None, Some(code), false),
        };
        let mut cdb = [0; 16];
        cdb[0] = code.or(row.map(|row| row.usage[0])).unwrap_or_default();
        for (index, byte) in self.cdb.iter().enumerate() {
            let usage = row.and_then(|row| row.usage.get(index + 1)).filter(|_| is_masked);
            if self.keep >> index & 1 == 1 {
                cdb[index + 1] = byte & usage.copied().unwrap_or(0xff);
            }
        }
        if let Some(row) = row.filter(|row| row.has_service_action) {
            // Of commands whose service action is in byte 9 there are none here.
            cdb[1] = (cdb[1] & !0x1f) | (row.usage[1] & 0x1f);
        }
        if self.names_length {
            name_length(&mut cdb, self.data.len());
        }
        let nexus = ItNexus(1 + u64::from(self.is_other_nexus));
        let mut task = Task::new(nexus, &cdb).with_data_out(&self.data);
        if let Some(limit) = self.limit {
            task.data_in_limit_bytes = limit.into();
        }
        task
    }
}

/// Puts the length of data-out where its command has it.
pub fn name_length(cdb: &mut [u8; 16], length: usize) {
    let bytes = u32::try_from(length).expect("little data").to_be_bytes();
    let field = match cdb[0] {
        0x15 => 4..5,
        0x0a => 2..5,
        0x1d => 3..5,
        0x55 | 0x4c => 7..9,
        0x3b => 6..9,
        0x5f => 5..9,
        0xb5 | 0xa4 => 6..10,
        0x8d => 10..14,
        0x8a => 11..14,
        _ => return,
    };
    let from = 4 - field.len();
    cdb[field].copy_from_slice(&bytes[from..]);
    // Blocks of any length.
    if matches!(cdb[0], 0x0a | 0x8a) {
        cdb[1] &= !1;
    }
}

/// Small changes to bytes that make sense.
#[derive(Debug, Clone, TypeGenerator)]
pub enum Change {
    /// A byte becomes this.
    Set(u16, u8),
    /// A bit is turned over.
    Flip(u16),
    /// It ends early.
    Cut(u16),
    /// It goes on.
    More(Vec<u8>),
    /// Nothing.
    None,
}

/// Makes some changes.
pub fn change(bytes: &mut Vec<u8>, changes: &[Change]) {
    for change in changes.iter().take(8) {
        let length = bytes.len().max(1);
        match change {
            Change::Set(at, value) => {
                if let Some(byte) = bytes.get_mut(usize::from(*at) % length) {
                    *byte = *value;
                }
            }
            Change::Flip(bit) => {
                if let Some(byte) = bytes.get_mut(usize::from(bit >> 3) % length) {
                    *byte ^= 1 << (bit & 7);
                }
            }
            Change::Cut(at) => bytes.truncate(usize::from(*at) % length),
            Change::More(more) => bytes.extend(more),
            Change::None => {}
        }
    }
}
