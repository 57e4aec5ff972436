//! Bytes of an initiator, before, during and after login, in pieces of any size.

use std::sync::Arc;
use std::time::Duration;

use bolero::{TypeGenerator, check};
use vtl_iscsi::{
    Connection, Event, LoginStatus, TargetConfig, TargetDescription, TaskManagementResponse,
};
use vtl_scsi::{BufferPool, Completion, ItNexus, Status};

const TARGET: &str = "iqn.2026-11.example:library";
/// One connection may have this much waiting to be sent, and keeps no more than this many events.
const MAX_EVENTS: usize = 4096;

fn connection() -> Connection {
    let mut config = TargetConfig::new(vec![TargetDescription::new(TARGET)]);
    config.limits.max_solicited_bytes = 4 << 20;
    config.limits.max_data_out_bytes = 4 << 20;
    let mut connection =
        Connection::new(Arc::new(config), BufferPool::new(1 << 20), Duration::ZERO);
    connection.set_portal("127.0.0.1:3260");
    connection
}

/// What the owner of a connection does with an event.
#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Owner {
    Good,
    Data(u16),
    Refuses,
    Aborts,
    Waits,
}

/// Feeds bytes in pieces, acts on all events, and takes everything that is to be sent.
fn feed(connection: &mut Connection, bytes: &[u8], pieces: &[u8], owner: Owner, now: Duration) {
    let mut rest = bytes;
    let mut turns = pieces.iter().cycle();
    while !rest.is_empty() && !connection.is_closed() {
        let size = usize::from(*turns.next().unwrap_or(&255)).max(1).min(rest.len());
        let (piece, behind) = rest.split_at(size);
        connection.handle_bytes(piece, now);
        rest = behind;
        act(connection, owner);
    }
}

fn act(connection: &mut Connection, owner: Owner) {
    let mut events = 0;
    while let Some(event) = connection.poll_event() {
        events += 1;
        assert!(events <= MAX_EVENTS, "events without end");
        match (event, owner) {
            (Event::LoginReady(_), Owner::Refuses) => {
                connection.refuse_login(LoginStatus::OUT_OF_RESOURCES);
            }
            (Event::LoginReady(_), _) => {
                connection.accept_login(1, ItNexus(1));
            }
            (Event::Task { key, .. }, Owner::Good) => {
                connection.complete(key, Completion::with_status(Status::GOOD));
            }
            (Event::Task { key, .. }, Owner::Data(length)) => {
                let mut completion = Completion::with_status(Status::GOOD);
                completion.data_in = vec![7; usize::from(length)].into();
                connection.complete(key, completion);
            }
            (Event::Task { key, .. }, Owner::Refuses) => {
                connection.complete(key, Completion::with_status(Status::TASK_SET_FULL));
            }
            (Event::Task { key, .. }, Owner::Aborts) => connection.abort_task(key),
            (Event::TaskManagement { key, .. }, _) => {
                connection.complete_task_management(key, TaskManagementResponse::FUNCTION_COMPLETE);
            }
            (Event::Task { .. }, Owner::Waits)
            | (Event::Closed { .. } | Event::LoginFailed { .. }, _) => {}
        }
    }
    while let Some(transmit) = connection.poll_transmit() {
        assert!(transmit.len() >= 48, "less than a header");
    }
}

#[test]
fn raw_bytes() {
    vtl_fuzz::watch();
    check!().with_type::<(Vec<u8>, Vec<u8>, Owner)>().for_each(|(bytes, pieces, owner)| {
        feed(&mut connection(), bytes, pieces, *owner, Duration::from_millis(1));
    });
    vtl_fuzz::check();
}

/// A PDU whose header makes some sense, so that more than the first check is reached.
#[derive(Debug, Clone, TypeGenerator)]
struct Pdu {
    opcode: Opcode,
    is_immediate: bool,
    flags: u8,
    lun: u8,
    tag: Tag,
    word_20: Tag,
    cmd_sn_ahead: CmdSnAhead,
    words: [u32; 4],
    cdb: [u8; 16],
    data: Vec<u8>,
    /// The length that the header names differs from that of the data.
    wrong_length: Option<u32>,
    ahs_words: u8,
    /// Bits of the header that are turned over.
    flips: Vec<u16>,
}

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Opcode {
    NopOut,
    Command,
    Management,
    Login,
    Text,
    DataOut,
    Logout,
    Snack,
    Other(u8),
}

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Tag {
    One,
    Two,
    Next,
    Reserved,
    Other(u32),
}

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum CmdSnAhead {
    Right,
    RightToo,
    Early,
    Late,
    Other(u32),
}

/// What an initiator has to count.
#[derive(Debug)]
struct Numbers {
    cmd_sn: u32,
    tag: u32,
}

impl Tag {
    fn value(self, numbers: &mut Numbers) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Next => {
                numbers.tag += 1;
                numbers.tag
            }
            Self::Reserved => u32::MAX,
            Self::Other(value) => value,
        }
    }
}

impl Pdu {
    fn encode(&self, numbers: &mut Numbers) -> Vec<u8> {
        let code = match self.opcode {
            Opcode::NopOut => 0x00,
            Opcode::Command => 0x01,
            Opcode::Management => 0x02,
            Opcode::Login => 0x03,
            Opcode::Text => 0x04,
            Opcode::DataOut => 0x05,
            Opcode::Logout => 0x06,
            Opcode::Snack => 0x10,
            Opcode::Other(code) => code & 0x3f,
        };
        let mut bhs = [0_u8; 48];
        bhs[0] = code | u8::from(self.is_immediate) << 6;
        bhs[1] = self.flags;
        // Most have their few bytes of additional header announced and there; the others are out of step from here on.
        bhs[4] = self.ahs_words.checked_sub(250).unwrap_or(0);
        let length = u32::try_from(self.data.len()).unwrap();
        bhs[5..8].copy_from_slice(&self.wrong_length.unwrap_or(length).to_be_bytes()[1..]);
        bhs[9] = self.lun;
        bhs[16..20].copy_from_slice(&self.tag.value(numbers).to_be_bytes());
        bhs[20..24].copy_from_slice(&self.word_20.value(numbers).to_be_bytes());
        let cmd_sn = match self.cmd_sn_ahead {
            CmdSnAhead::Right | CmdSnAhead::RightToo => numbers.cmd_sn,
            CmdSnAhead::Early => numbers.cmd_sn.wrapping_add(2),
            CmdSnAhead::Late => numbers.cmd_sn.wrapping_sub(1),
            CmdSnAhead::Other(value) => value,
        };
        if !self.is_immediate && cmd_sn == numbers.cmd_sn && code != 0x05 {
            numbers.cmd_sn = numbers.cmd_sn.wrapping_add(1);
        }
        bhs[24..28].copy_from_slice(&cmd_sn.to_be_bytes());
        match self.opcode {
            Opcode::Command => bhs[32..].copy_from_slice(&self.cdb),
            _ => {
                for (word, place) in self.words.iter().zip(bhs[32..].chunks_mut(4)) {
                    // Small numbers are the ones that matter for offsets and sequences.
                    place.copy_from_slice(&(word >> (word % 32)).to_be_bytes());
                }
            }
        }
        for flip in self.flips.iter().take(3) {
            bhs[usize::from(flip / 8) % 48] ^= 1 << (flip % 8);
        }
        let mut bytes = bhs.to_vec();
        bytes.resize(bytes.len() + usize::from(bhs[4]) * 4, 1);
        bytes.extend(&self.data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

fn login_pdu(flags: u8, text: &[u8]) -> Vec<u8> {
    let mut bhs = [0_u8; 48];
    bhs[0] = 0x43;
    bhs[1] = flags;
    bhs[5..8].copy_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes()[1..]);
    bhs[8] = 0x80;
    bhs[19] = 1;
    bhs[27] = 1;
    let mut bytes = bhs.to_vec();
    bytes.extend(text);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A connection whose login is over.
fn logged_in(digests: bool) -> Connection {
    let mut connection = connection();
    let digest = if digests { "HeaderDigest=CRC32C\0DataDigest=CRC32C\0" } else { "" };
    let text = format!(
        "InitiatorName=iqn.2026-11.example:fuzz\0TargetName={TARGET}\0SessionType=Normal\0\
         InitialR2T=No\0ImmediateData=Yes\0FirstBurstLength=65536\0MaxBurstLength=65536\0{digest}"
    );
    feed(&mut connection, &login_pdu(0x87, text.as_bytes()), &[], Owner::Good, Duration::ZERO);
    assert!(!connection.is_closed());
    connection
}

#[test]
fn a_session_is_reached() {
    // A target that never gets behind the login tests nothing.
    let mut connection = logged_in(false);
    let mut ping = [0_u8; 48];
    ping[0] = 0x40;
    ping[1] = 0x80;
    ping[19] = 9;
    ping[20..24].copy_from_slice(&[0xff; 4]);
    connection.handle_bytes(&ping, Duration::ZERO);
    assert!(connection.has_transmit(), "a ping is answered");
}

#[test]
fn pdus_after_login() {
    vtl_fuzz::watch();
    check!().with_type::<(Vec<Pdu>, Vec<u8>, Vec<Owner>, bool)>().for_each(
        |(pdus, pieces, owners, ticks)| {
            let mut connection = logged_in(false);
            let mut numbers = Numbers { cmd_sn: 1, tag: 100 };
            let mut now = Duration::from_millis(1);
            for (index, pdu) in pdus.iter().enumerate() {
                let owner = owners.get(index % owners.len().max(1)).copied();
                let bytes = pdu.encode(&mut numbers);
                feed(&mut connection, &bytes, pieces, owner.unwrap_or(Owner::Good), now);
                if *ticks && let Some(timeout) = connection.poll_timeout() {
                    now = now.max(timeout);
                    connection.handle_timeout(now);
                    act(&mut connection, Owner::Good);
                }
            }
        },
    );
    vtl_fuzz::check();
}

#[test]
fn pdus_with_digests_and_before_login() {
    vtl_fuzz::watch();
    check!().with_type::<(Vec<Pdu>, Vec<u8>, Owner, bool)>().for_each(
        |(pdus, pieces, owner, is_logged_in)| {
            let mut connection = if *is_logged_in { logged_in(true) } else { connection() };
            let mut numbers = Numbers { cmd_sn: 1, tag: 100 };
            for pdu in pdus {
                let mut bytes = pdu.encode(&mut numbers);
                if *is_logged_in {
                    // Header digests that are right, else nothing behind them is reached; those of data are left wrong.
                    let header = 48 + usize::from(bytes[4]) * 4;
                    let digest = crc32c::crc32c(&bytes[..header]).to_le_bytes();
                    bytes.splice(header..header, digest);
                }
                feed(&mut connection, &bytes, pieces, *owner, Duration::from_millis(1));
            }
        },
    );
    vtl_fuzz::check();
}

#[derive(Debug, Clone, TypeGenerator)]
enum Piece {
    Key(u8),
    Value(u8),
    Raw(Vec<u8>),
    Number(u64),
    Equals,
    End,
}

const KEYS: [&str; 24] = [
    "InitiatorName",
    "TargetName",
    "SessionType",
    "AuthMethod",
    "HeaderDigest",
    "DataDigest",
    "MaxConnections",
    "InitialR2T",
    "ImmediateData",
    "MaxRecvDataSegmentLength",
    "MaxBurstLength",
    "FirstBurstLength",
    "DefaultTime2Wait",
    "DefaultTime2Retain",
    "MaxOutstandingR2T",
    "DataPDUInOrder",
    "DataSequenceInOrder",
    "ErrorRecoveryLevel",
    "IFMarker",
    "SendTargets",
    "InitiatorAlias",
    "TargetPortalGroupTag",
    "X-com.example.key",
    "CHAP_A",
];
const VALUES: [&str; 14] = [
    "Yes",
    "No",
    "None",
    "CRC32C,None",
    "Normal",
    "Discovery",
    "All",
    "CHAP,None",
    "0",
    "16777215",
    "0x1000",
    "iqn.2026-11.example:library",
    "?",
    "Irrelevant",
];

#[test]
fn login_text() {
    vtl_fuzz::watch();
    check!().with_type::<(Vec<(u8, Vec<Piece>)>, bool)>().for_each(|(steps, well_begun)| {
        let mut connection = connection();
        for (flags, pieces) in steps {
            let mut text = Vec::new();
            if *well_begun {
                text.extend(b"InitiatorName=iqn.2026-11.example:fuzz\0SessionType=Discovery\0");
            }
            for piece in pieces {
                match piece {
                    Piece::Key(key) => {
                        text.extend(KEYS[usize::from(*key) % KEYS.len()].bytes());
                        text.push(b'=');
                    }
                    Piece::Value(value) => {
                        text.extend(VALUES[usize::from(*value) % VALUES.len()].bytes());
                        text.push(0);
                    }
                    Piece::Raw(raw) => text.extend(raw),
                    Piece::Number(number) => text.extend(format!("{number}\0").bytes()),
                    Piece::Equals => text.push(b'='),
                    Piece::End => text.push(0),
                }
            }
            let bytes = login_pdu(*flags, &text);
            feed(&mut connection, &bytes, &[], Owner::Good, Duration::from_millis(1));
        }
    });
    vtl_fuzz::check();
}
