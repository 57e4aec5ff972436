//! What a peer gets to see, in words, and how it gets there.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use vtl_tests::{Initiator, Login, Pdu, Scene, Sense, Wire, cdb, login_pdu, opcode};

pub(super) const ISID: [u8; 6] = [0x80, 1, 2, 3, 0, 9];
pub(super) const NO_TAG: u32 = u32::MAX;
pub(super) const FINAL: u8 = 0x80;
pub(super) const WRITES: u8 = 0x20;
pub(super) const READS: u8 = 0x40;
/// An answer that has not come by then is taken for none.
const ANSWER_LIMIT: Duration = Duration::from_millis(300);
pub(super) const LUN_1: [u8; 8] = [0, 1, 0, 0, 0, 0, 0, 0];

/// A session that is about to be rude.
pub(super) fn rude(scene: &Scene) -> Initiator {
    scene.session("rude")
}

/// A session with other parameters than the usual ones.
pub(super) fn rude_with(scene: &Scene, change: impl FnOnce(&mut Login)) -> Initiator {
    let mut login = scene.login("rude");
    change(&mut login);
    let mut session = login.open();
    session.settle(1);
    session
}

/// A session in which all data waits until it is asked for.
pub(super) fn patient(scene: &Scene) -> Initiator {
    rude_with(scene, |login| (login.immediate_data, login.initial_r2t) = (false, true))
}

/// Takes what a unit has to tell, where others may have reset it or may be about to.
pub(super) fn quiet_unit(session: &mut Initiator, lun: u8) {
    session.settle(lun);
}

/// A connection that has not logged in.
pub(super) fn stranger(scene: &Scene) -> Wire {
    Wire::connect(scene.daemon().portal).unwrap()
}

/// The keys of a good first request.
pub(super) fn keys(scene: &Scene) -> Vec<String> {
    scene.login("rude").security_keys()
}

/// A good first request.
pub(super) fn first(scene: &Scene) -> Pdu {
    login_pdu(0, 1, ISID, &keys(scene))
}

/// A PDU with the numbers that it has to have.
pub(super) fn numbered(session: &mut Initiator, opcode: u8, flags: u8) -> Pdu {
    Pdu::new(opcode, flags)
        .with_word(16, session.new_tag())
        .with_word(20, NO_TAG)
        .with_word(24, session.cmd_sn)
        .with_word(28, session.exp_stat_sn)
}

/// A Data-Out PDU for the first drive.
pub(super) fn data_out(tag: u32, ttt: u32, offset: u32, data: &[u8]) -> Pdu {
    Pdu::new(opcode::DATA_OUT, FINAL)
        .with(8, &LUN_1)
        .with_word(16, tag)
        .with_word(20, ttt)
        .with_word(40, offset)
        .with_data(data)
}

/// Sends these to a stranger's connection, and sees what comes until it is closed.
pub(super) fn stranger_sees(scene: &Scene, pdus: &[Pdu]) -> String {
    let mut wire = stranger(scene);
    for pdu in pdus {
        // It may be closed already.
        let _sent = wire.send(pdu);
    }
    see_end(&mut wire)
}

/// Sends one after the other, each after the answer to the one before.
pub(super) fn stranger_hears(scene: &Scene, pdus: &[Pdu]) -> String {
    let mut wire = stranger(scene);
    let mut seen = Vec::new();
    for pdu in pdus {
        if wire.send(pdu).is_err() {
            break;
        }
        match wire.receive() {
            Ok(answer) => seen.push(word(&answer)),
            Err(_) => break,
        }
    }
    let last = seen.last().cloned().unwrap_or_default();
    if last.starts_with("login goes on") || last.starts_with("logged in") {
        wire.finish();
    }
    seen.push(see_end(&mut wire));
    seen.join("; ")
}

/// The next PDUs.
pub(super) fn see_some(wire: &mut Wire, count: usize) -> String {
    let seen: Vec<String> = (0..count).map(|_| word(&wire.receive().unwrap())).collect();
    seen.join("; ")
}

/// All that comes until the connection is closed.
pub(super) fn see_end(wire: &mut Wire) -> String {
    let mut seen: Vec<String> = wire.expect_closed().iter().map(word).collect();
    seen.push("closed".into());
    seen.join("; ")
}

/// What comes until a ping is answered or the connection is closed. Answers of devices may come after that of a ping, so that one is
/// waited for, though not for long: some peers get none.
pub(super) fn see(session: &mut Initiator) -> String {
    see_all(session, 1)
}

/// The same where so many answers are to come.
pub(super) fn see_all(session: &mut Initiator, count: usize) -> String {
    let started = Instant::now();
    let mut seen = Vec::new();
    loop {
        let before = seen.len();
        if !see_ping(session, &mut seen) {
            seen.push("closed".into());
            break;
        }
        let is_quiet = seen.len() == before;
        if is_quiet && (seen.len() >= count || started.elapsed() > ANSWER_LIMIT) {
            seen.push("goes on".into());
            break;
        }
    }
    seen.join("; ")
}

/// What comes until a ping is answered; whether it is.
fn see_ping(session: &mut Initiator, seen: &mut Vec<String>) -> bool {
    let ping = numbered(session, opcode::NOP_OUT, FINAL).with_data(b"the end?");
    // It may be closed already.
    let _sent = session.wire.send(&ping);
    loop {
        match session.wire.receive() {
            Ok(pdu) if pdu.opcode() == opcode::NOP_IN && pdu.word(16) == ping.word(16) => {
                return true;
            }
            Ok(pdu) => seen.push(word(&pdu)),
            Err(error) => {
                let is_timeout =
                    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(!is_timeout, "neither an answer nor the end after {seen:?}");
                return false;
            }
        }
    }
}

/// Sends one PDU and sees what comes of it.
pub(super) fn sees(session: &mut Initiator, pdu: &Pdu) -> String {
    let _sent = session.wire.send(pdu);
    see(session)
}

/// The same for bytes.
pub(super) fn sees_bytes(session: &mut Initiator, bytes: &[u8]) -> String {
    let _sent = session.wire.send_bytes(bytes);
    see(session)
}

/// Sends a write that waits for its data; its tag and the tag of the R2T.
pub(super) fn asked_write(session: &mut Initiator, length: usize) -> (u32, u32) {
    let (tag, pdu) = session.command_pdu(1, &cdb::write(length), length, 0);
    session.wire.send(&pdu).unwrap();
    let r2t = session.wire.expect(opcode::R2T);
    assert_eq!(r2t.word(16), tag);
    (tag, r2t.word(20))
}

/// One PDU in words.
fn word(pdu: &Pdu) -> String {
    match pdu.opcode() {
        opcode::REJECT => format!("Reject {:02x}", pdu.bhs[2]),
        opcode::LOGIN_RESPONSE if pdu.bhs[36] != 0 => {
            format!("login status {:02x}{:02x}", pdu.bhs[36], pdu.bhs[37])
        }
        opcode::LOGIN_RESPONSE if pdu.bhs[1] & 0x83 == 0x83 => "logged in".into(),
        opcode::LOGIN_RESPONSE => {
            let text = String::from_utf8_lossy(&pdu.data);
            let refused = text.split('\0').filter(|pair| {
                ["=Reject", "=NotUnderstood", "=Irrelevant"].iter().any(|end| pair.ends_with(end))
            });
            let refused: Vec<_> = refused.collect();
            format!(
                "login goes on{}{}",
                if refused.is_empty() { "" } else { " with " },
                refused.join(", ")
            )
        }
        opcode::SCSI_RESPONSE => {
            let count = pdu.word(44);
            let residual = match pdu.bhs[1] & 0x06 {
                2 => format!(", {count} too few"),
                4 => format!(", {count} too many"),
                _ => String::new(),
            };
            status(pdu) + &residual
        }
        opcode::DATA_IN if pdu.bhs[1] & 1 != 0 => {
            let count = pdu.word(44);
            let residual = match pdu.bhs[1] & 0x06 {
                2 => format!(", {count} too few"),
                4 => format!(", {count} too many"),
                _ => String::new(),
            };
            format!("{} bytes and GOOD{residual}", pdu.data.len())
        }
        opcode::DATA_IN => format!("{} bytes", pdu.data.len()),
        opcode::R2T => format!("R2T for {} bytes at {}", pdu.word(44), pdu.word(40)),
        opcode::TASK_MANAGEMENT_RESPONSE => format!("function response {:02x}", pdu.bhs[2]),
        opcode::LOGOUT_RESPONSE => format!("logout response {:02x}", pdu.bhs[2]),
        opcode::NOP_IN => format!("pong with {} bytes", pdu.data.len()),
        0x24 => {
            let text = String::from_utf8_lossy(&pdu.data);
            let names: Vec<_> = text
                .split('\0')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    if key.starts_with("Target") {
                        key.to_owned()
                    } else {
                        format!("{key}={value}")
                    }
                })
                .collect();
            format!("text [{}]", names.join(", "))
        }
        other => format!("PDU {other:02x}"),
    }
}

fn status(pdu: &Pdu) -> String {
    match pdu.bhs[3] {
        0 => "GOOD".into(),
        2 if pdu.data.len() > 2 => {
            let length = usize::from(u16::from_be_bytes([pdu.data[0], pdu.data[1]]));
            let (key, code, qualifier) = Sense::parse(&pdu.data[2..2 + length]).code;
            format!("CHECK {key:x}/{code:02x}/{qualifier:02x}")
        }
        other => format!("status {other:02x}"),
    }
}
