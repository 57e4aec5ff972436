//! One session, as plain as can be, and free to be rude.
//!
//! It shares no code with the target, so that a misunderstanding of the standard cannot hide on both sides.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use crate::wire::{Pdu, Wire, login_pdu, opcode};
use crate::{Chap, Sense, cdb};

const NO_TAG: u32 = 0xffff_ffff;
const FINAL: u8 = 0x80;
/// More unit attentions than a target keeps for one nexus.
const MAX_ATTENTIONS: usize = 40;

/// Who logs in where, and how.
#[derive(Debug, Clone)]
pub struct Login {
    portal: SocketAddr,
    target: String,
    name: String,
    /// The initiator's part of the session's identity.
    pub isid: [u8; 6],
    /// Whether to ask for CRC32C on headers.
    pub header_digest: bool,
    /// Whether to ask for CRC32C on data.
    pub data_digest: bool,
    /// Whether data may go along with commands.
    pub immediate_data: bool,
    /// Whether all other data waits until it is asked for.
    pub initial_r2t: bool,
    /// How to prove who it is.
    pub chap: Option<Chap>,
}

/// One session.
#[derive(Debug)]
pub struct Initiator {
    /// The connection, for those who want to be rude.
    pub wire: Wire,
    /// The number of the next command.
    pub cmd_sn: u32,
    /// The number of the next status.
    pub exp_stat_sn: u32,
    agreed: Agreed,
    next_tag: u32,
    outstanding: HashMap<u32, Command>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    /// Its initiator task tag.
    pub tag: u32,
    /// SCSI status.
    pub status: u8,
    /// Sense data, if there is any.
    pub sense: Option<Sense>,
    /// What was read.
    pub data: Vec<u8>,
    /// What the response says about the amount of data.
    pub residual: Residual,
}

/// The residual count of a SCSI Response (RFC 7143 §11.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residual {
    /// As much as expected.
    None,
    /// So many bytes fewer than expected.
    Underflow(u32),
    /// So many bytes did not fit.
    Overflow(u32),
}

#[derive(Debug, Clone, Copy)]
struct Agreed {
    max_send_segment_bytes: usize,
    max_burst_bytes: usize,
    first_burst_bytes: usize,
    sends_immediate: bool,
    sends_unsolicited: bool,
}

#[derive(Debug, Default)]
struct Command {
    lun: u8,
    data_out: Vec<u8>,
    data_in: Vec<u8>,
}

impl Login {
    /// The usual way, under a name that is unique among the test's initiators.
    pub fn new(portal: SocketAddr, target: &str, name: &str) -> Self {
        Self {
            portal,
            target: target.to_owned(),
            name: format!("iqn.2026-07.test:{name}"),
            isid: [0x80, 0x12, 0x34, 0x56, 0, 1],
            header_digest: false,
            data_digest: false,
            immediate_data: true,
            initial_r2t: false,
            chap: None,
        }
    }

    /// Under this iSCSI name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The initiator's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// To another target of the same portal.
    #[must_use]
    pub fn to(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// With a user and a secret.
    #[must_use]
    pub fn with_chap(mut self, chap: Chap) -> Self {
        self.chap = Some(chap);
        self
    }

    /// Logs in, or panics.
    #[track_caller]
    pub fn open(&self) -> Initiator {
        self.try_open().unwrap_or_else(|error| panic!("login as {}: {error}", self.name))
    }

    /// Logs in.
    pub fn try_open(&self) -> io::Result<Initiator> {
        self.try_open_after(|| ())
    }

    /// Logs in, and does something before the challenge is answered.
    pub fn try_open_after(&self, before_proof: impl FnOnce()) -> io::Result<Initiator> {
        let mut initiator = Initiator {
            wire: Wire::connect(self.portal)?,
            cmd_sn: 1,
            exp_stat_sn: 0,
            agreed: Agreed {
                max_send_segment_bytes: 8192,
                max_burst_bytes: 262_144,
                first_burst_bytes: 65_536,
                sends_immediate: true,
                sends_unsolicited: false,
            },
            next_tag: 2,
            outstanding: HashMap::new(),
        };
        match &self.chap {
            Some(chap) => {
                let keys = self.security_keys();
                chap.log_in(&mut initiator, self.isid, &keys, before_proof)?;
            }
            None => drop(initiator.login_stage(0, 1, self.isid, &self.security_keys())?),
        }
        let answers = initiator.login_stage(1, 3, self.isid, &self.operational_keys())?;
        initiator.take_answers(&answers);
        Ok(initiator)
    }

    /// The keys of the security stage.
    pub fn security_keys(&self) -> Vec<String> {
        vec![
            format!("InitiatorName={}", self.name),
            format!("TargetName={}", self.target),
            "SessionType=Normal".into(),
            format!("AuthMethod={}", if self.chap.is_some() { "CHAP,None" } else { "None" }),
        ]
    }

    fn operational_keys(&self) -> Vec<String> {
        let digest = |wanted| if wanted { "CRC32C" } else { "None" };
        let yes = |wanted| if wanted { "Yes" } else { "No" };
        let mut keys = vec![
            format!("HeaderDigest={}", digest(self.header_digest)),
            format!("DataDigest={}", digest(self.data_digest)),
            format!("ImmediateData={}", yes(self.immediate_data)),
            format!("InitialR2T={}", yes(self.initial_r2t)),
        ];
        keys.extend(
            [
                "MaxRecvDataSegmentLength=1048576",
                "MaxBurstLength=1048576",
                "FirstBurstLength=262144",
                "MaxOutstandingR2T=1",
                "MaxConnections=1",
                "ErrorRecoveryLevel=0",
            ]
            .map(String::from),
        );
        keys
    }
}

impl Initiator {
    /// The header of a SCSI Command PDU under a new tag, and the tag. Nothing is sent.
    pub fn command_pdu(
        &mut self,
        lun: u8,
        cdb: &[u8],
        out_bytes: usize,
        in_bytes: usize,
    ) -> (u32, Pdu) {
        let tag = self.new_tag();
        let direction = u8::from(out_bytes > 0) << 5 | u8::from(in_bytes > 0) << 6;
        let expected = u32::try_from(out_bytes.max(in_bytes)).unwrap();
        let pdu = Pdu::new(opcode::SCSI_COMMAND, FINAL | direction)
            .with(8, &[0, lun])
            .with_word(16, tag)
            .with_word(20, expected)
            .with_word(24, self.cmd_sn)
            .with_word(28, self.exp_stat_sn)
            .with(32, cdb);
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        (tag, pdu)
    }

    /// Sends a command and returns its tag, without waiting.
    #[track_caller]
    pub fn send(&mut self, lun: u8, cdb: &[u8], data_out: Vec<u8>, in_bytes: usize) -> u32 {
        let length = data_out.len();
        let agreed = self.agreed;
        let immediate = if agreed.sends_immediate {
            length.min(agreed.first_burst_bytes).min(agreed.max_send_segment_bytes)
        } else {
            0
        };
        let first_burst =
            if agreed.sends_unsolicited { length.min(agreed.first_burst_bytes) } else { immediate };
        let (tag, mut pdu) = self.command_pdu(lun, cdb, length, in_bytes);
        if first_burst > immediate {
            pdu.bhs[1] &= !FINAL;
        }
        self.wire.send(&pdu.with_data(&data_out[..immediate])).expect("the command is sent");
        let command = Command { lun, data_out, data_in: Vec::new() };
        self.send_data(tag, &command, NO_TAG, immediate, first_burst - immediate);
        self.outstanding.insert(tag, command);
        tag
    }

    /// Waits until the next command is done.
    #[track_caller]
    pub fn wait(&mut self) -> Done {
        self.try_wait().unwrap_or_else(|error| panic!("no answer but {error}"))
    }

    /// Waits until the next command is done, or the connection is.
    pub fn try_wait(&mut self) -> io::Result<Done> {
        loop {
            let pdu = self.wire.receive()?;
            match pdu.opcode() {
                opcode::SCSI_RESPONSE => return Ok(self.finish(&pdu)),
                opcode::DATA_IN => {
                    let command =
                        self.outstanding.get_mut(&pdu.word(16)).expect("Data-In for no command");
                    assert_eq!(
                        pdu.word(40) as usize,
                        command.data_in.len(),
                        "Data-In out of order"
                    );
                    command.data_in.extend_from_slice(&pdu.data);
                    if pdu.bhs[1] & 0x01 != 0 {
                        return Ok(self.finish(&pdu));
                    }
                }
                opcode::R2T => self.answer_r2t(&pdu),
                opcode::NOP_IN if pdu.word(20) != NO_TAG => self.answer_ping(&pdu),
                opcode::NOP_IN => {}
                other => panic!("unexpected PDU {other:#04x}: {pdu:02x?}"),
            }
        }
    }

    /// Sends the burst that an R2T asks for.
    #[track_caller]
    pub fn answer_r2t(&mut self, r2t: &Pdu) {
        let tag = r2t.word(16);
        let command = self.outstanding.remove(&tag).expect("R2T for no command");
        let (offset, length) = (r2t.word(40) as usize, r2t.word(44) as usize);
        self.send_data(tag, &command, r2t.word(20), offset, length);
        self.outstanding.insert(tag, command);
    }

    /// A command without data.
    #[track_caller]
    pub fn run(&mut self, lun: u8, cdb: &[u8]) -> Done {
        self.read_in(lun, cdb, 0)
    }

    /// A command that reads, with so many bytes expected.
    #[track_caller]
    pub fn read_in(&mut self, lun: u8, cdb: &[u8], in_bytes: usize) -> Done {
        self.send(lun, cdb, Vec::new(), in_bytes);
        self.wait()
    }

    /// A command that writes.
    #[track_caller]
    pub fn write_out(&mut self, lun: u8, cdb: &[u8], data: &[u8]) -> Done {
        self.send(lun, cdb, data.to_vec(), 0);
        self.wait()
    }

    /// WRITE(6) of one block to drive 0.
    #[track_caller]
    pub fn write_block(&mut self, data: &[u8]) -> Done {
        self.write_out(1, &cdb::write(data.len()), data)
    }

    /// READ(6) of one block from drive 0.
    #[track_caller]
    pub fn read_block(&mut self, length: usize) -> Done {
        self.read_in(1, &cdb::read(length), length)
    }

    /// The object number at which drive 0 is.
    #[track_caller]
    pub fn position(&mut self) -> u32 {
        let done = self.read_in(1, &cdb::READ_POSITION, 20).good();
        assert_eq!(done.data.len(), 20);
        assert_eq!(done.data[0] & 0x04, 0, "the position is known");
        u32::from_be_bytes(done.data[4..8].try_into().unwrap())
    }

    /// TEST UNIT READY until nothing is left to be told; the unit attentions on the way. A drive without a cartridge is
    /// settled too.
    #[track_caller]
    pub fn settle(&mut self, lun: u8) -> Vec<(u8, u8, u8)> {
        let mut told = Vec::new();
        for _ in 0..MAX_ATTENTIONS {
            let done = self.run(lun, &cdb::TEST_UNIT_READY);
            match done.sense.map(|sense| sense.code) {
                Some(code @ (6, ..)) => told.push(code),
                None | Some((2, 0x3a, _)) => return told,
                Some(other) => panic!("logical unit {lun} has {other:02x?} to tell"),
            }
        }
        panic!("logical unit {lun} never settles: {told:02x?}");
    }

    /// A task management function; the response.
    #[track_caller]
    pub fn manage(&mut self, function: u8, lun: u8, tag: u32, ref_cmd_sn: u32) -> u8 {
        let own = self.new_tag();
        let pdu = Pdu::new(opcode::TASK_MANAGEMENT, FINAL | function)
            .with(8, &[0, lun])
            .with_word(16, own)
            .with_word(20, tag)
            .with_word(24, self.cmd_sn)
            .with_word(28, self.exp_stat_sn)
            .with_word(32, ref_cmd_sn);
        self.wire.send(&pdu).expect("the function is sent");
        let response = self.wire.expect(opcode::TASK_MANAGEMENT_RESPONSE);
        assert_eq!(response.word(16), own);
        self.exp_stat_sn = response.word(24).wrapping_add(1);
        response.bhs[2]
    }

    /// NOP-Out with data; panics unless the same data comes back.
    #[track_caller]
    pub fn ping(&mut self) {
        let tag = self.new_tag();
        let pdu = Pdu::new(opcode::NOP_OUT, FINAL)
            .with_word(16, tag)
            .with_word(20, NO_TAG)
            .with_word(24, self.cmd_sn)
            .with_word(28, self.exp_stat_sn)
            .with_data(b"are you there?");
        self.wire.send(&pdu).expect("the ping is sent");
        let mut answer = self.wire.expect(opcode::NOP_IN);
        while answer.word(20) != NO_TAG {
            // The target asks whether we are there ourselves.
            self.answer_ping(&answer);
            answer = self.wire.expect(opcode::NOP_IN);
        }
        assert_eq!((answer.word(16), answer.data.as_slice()), (tag, &b"are you there?"[..]));
        self.exp_stat_sn = answer.word(24).wrapping_add(1);
    }

    /// Forgets a command, whose answer is not to come any more.
    pub fn forget(&mut self, tag: u32) {
        self.outstanding.remove(&tag);
    }

    /// A tag that was not used yet.
    pub fn new_tag(&mut self) -> u32 {
        self.next_tag += 1;
        self.next_tag
    }

    /// Ends the session in order.
    #[track_caller]
    pub fn logout(mut self) {
        self.ask_for_logout();
        assert!(self.wire.expect_closed().is_empty());
    }

    /// Logs out, and waits for the response but not for the end of the connection.
    #[track_caller]
    pub fn ask_for_logout(&mut self) {
        let pdu = Pdu::new(opcode::LOGOUT, FINAL)
            .with_word(16, self.next_tag + 1)
            .with_word(24, self.cmd_sn)
            .with_word(28, self.exp_stat_sn);
        self.wire.send(&pdu).expect("the logout is sent");
        assert_eq!(self.wire.expect(opcode::LOGOUT_RESPONSE).bhs[2], 0, "the session is closed");
    }

    fn finish(&mut self, pdu: &Pdu) -> Done {
        let tag = pdu.word(16);
        self.exp_stat_sn = pdu.word(24).wrapping_add(1);
        let command = self.outstanding.remove(&tag).expect("an answer to no command");
        let is_response = pdu.opcode() == opcode::SCSI_RESPONSE;
        if is_response {
            assert_eq!(pdu.bhs[2], 0, "the target could not answer: {pdu:02x?}");
        }
        let residual = match pdu.bhs[1] & 0x06 {
            0 => Residual::None,
            2 => Residual::Underflow(pdu.word(44)),
            4 => Residual::Overflow(pdu.word(44)),
            _ => panic!("under and over at once: {pdu:02x?}"),
        };
        let sense = (is_response && pdu.data.len() > 2).then(|| {
            let length = usize::from(u16::from_be_bytes([pdu.data[0], pdu.data[1]]));
            Sense::parse(&pdu.data[2..2 + length])
        });
        Done { tag, status: pdu.bhs[3], sense, data: command.data_in, residual }
    }

    /// One burst of Data-Out PDUs.
    fn send_data(
        &mut self,
        tag: u32,
        command: &Command,
        ttt: u32,
        mut offset: usize,
        length: usize,
    ) {
        assert!(length <= self.agreed.max_burst_bytes, "an R2T over MaxBurstLength");
        let end = offset + length;
        let mut data_sn = 0;
        while offset < end {
            let stop = end.min(offset + self.agreed.max_send_segment_bytes);
            let pdu = Pdu::new(opcode::DATA_OUT, u8::from(stop == end) << 7)
                .with(8, &[0, command.lun])
                .with_word(16, tag)
                .with_word(20, ttt)
                .with_word(28, self.exp_stat_sn)
                .with_word(36, data_sn)
                .with_word(40, u32::try_from(offset).unwrap())
                .with_data(&command.data_out[offset..stop]);
            self.wire.send(&pdu).expect("data is sent");
            offset = stop;
            data_sn += 1;
        }
    }

    fn answer_ping(&mut self, ping: &Pdu) {
        let pdu = Pdu::new(opcode::NOP_OUT, FINAL)
            .with(8, &ping.bhs[8..16])
            .with_word(16, NO_TAG)
            .with_word(20, ping.word(20))
            .with_word(24, self.cmd_sn)
            .with_word(28, self.exp_stat_sn);
        self.wire.send(&pdu).expect("the ping is answered");
    }

    fn login_stage(
        &mut self,
        current: u8,
        next: u8,
        isid: [u8; 6],
        keys: &[String],
    ) -> io::Result<String> {
        let pdu = login_pdu(current, next, isid, keys).with_word(28, self.exp_stat_sn);
        self.wire.send(&pdu)?;
        let answer = self.wire.receive()?;
        assert_eq!(answer.opcode(), opcode::LOGIN_RESPONSE);
        let status = [answer.bhs[36], answer.bhs[37]];
        if status != [0, 0] {
            return Err(io::Error::other(format!("login status {status:02x?}")));
        }
        assert_eq!(answer.bhs[1] & 0x83, FINAL | next, "the target goes on to the next stage");
        self.exp_stat_sn = answer.word(24).wrapping_add(1);
        Ok(String::from_utf8(answer.data).expect("keys are text"))
    }

    fn take_answers(&mut self, answers: &str) {
        for (key, value) in answers.split('\0').filter_map(|pair| pair.split_once('=')) {
            let number = || value.parse().unwrap_or_else(|_| panic!("{key}={value}"));
            match key {
                "MaxRecvDataSegmentLength" => self.agreed.max_send_segment_bytes = number(),
                "MaxBurstLength" => self.agreed.max_burst_bytes = number(),
                "FirstBurstLength" => self.agreed.first_burst_bytes = number(),
                "ImmediateData" => self.agreed.sends_immediate = value == "Yes",
                "InitialR2T" => self.agreed.sends_unsolicited = value == "No",
                "HeaderDigest" => self.wire.has_header_digest = value == "CRC32C",
                "DataDigest" => self.wire.has_data_digest = value == "CRC32C",
                _ => {}
            }
        }
    }
}

impl Done {
    /// Panics unless the command ended in GOOD.
    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!((self.status, self.sense), (0, None), "of command {}", self.tag);
        self
    }

    /// Panics unless the command ended in CHECK CONDITION; the sense data.
    #[track_caller]
    pub fn check(&self) -> Sense {
        assert_eq!(self.status, 2, "{self:02x?}");
        self.sense.expect("CHECK CONDITION comes with sense data")
    }

    /// Panics unless the command ended in CHECK CONDITION with this key, code and qualifier.
    #[track_caller]
    pub fn sense(&self, key: u8, code: u8, qualifier: u8) -> Sense {
        let sense = self.check();
        assert_eq!(sense.code, (key, code, qualifier), "{sense:02x?}");
        sense
    }
}
