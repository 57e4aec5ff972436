//! A small iSCSI initiator: one session, blocking, as plain as a load generator can be.
//!
//! It shares no code with the target, so that a misunderstanding of the standard cannot hide on both sides.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

const BHS_BYTES: usize = 48;
const NOP_OUT: u8 = 0x00;
const SCSI_COMMAND: u8 = 0x01;
const TASK_MANAGEMENT: u8 = 0x02;
const LOGIN: u8 = 0x03;
const DATA_OUT: u8 = 0x05;
const LOGOUT: u8 = 0x06;
const NOP_IN: u8 = 0x20;
const SCSI_RESPONSE: u8 = 0x21;
const TASK_MANAGEMENT_RESPONSE: u8 = 0x22;
const LOGIN_RESPONSE: u8 = 0x23;
const DATA_IN: u8 = 0x25;
const R2T: u8 = 0x31;
const IMMEDIATE: u8 = 0x40;
const FINAL: u8 = 0x80;
/// In the flags of a response: less was transferred than was announced, or there was more.
const UNDERFLOW: u8 = 0x02;
const OVERFLOW: u8 = 0x04;
const NO_TAG: u32 = 0xffff_ffff;
/// A target that says nothing for so long is stuck.
const ANSWER_LIMIT: Duration = Duration::from_mins(2);
/// Some targets state their own keys in an exchange of their own before they go on.
const LOGIN_EXCHANGES_MAX: u32 = 8;
/// The longest data segment that is taken from the target: what this side declares.
const MAX_RECEIVE_SEGMENT_BYTES: usize = 1 << 20;

/// What the target declared or agreed to.
#[derive(Debug, Clone, Copy)]
struct Agreed {
    max_send_segment_bytes: usize,
    max_burst_bytes: usize,
    first_burst_bytes: usize,
    sends_immediate: bool,
    sends_unsolicited: bool,
}

/// One session.
#[derive(Debug)]
pub struct Initiator {
    stream: TcpStream,
    agreed: Agreed,
    cmd_sn: u32,
    exp_stat_sn: u32,
    next_tag: u32,
    outstanding: HashMap<u32, Command>,
    /// Memory that the caller has given back: fresh memory would be measured instead of the target.
    spare: Vec<u8>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    /// Its initiator task tag.
    pub tag: u32,
    /// SCSI status.
    pub status: u8,
    /// Sense data, if there is any.
    pub sense: Vec<u8>,
    /// What was read.
    pub data: Vec<u8>,
    /// What was sent with it.
    pub data_out: Vec<u8>,
    /// The residual count: what was announced and not transferred, in bytes; negative where there was more than that.
    pub residual_bytes: i64,
}

#[derive(Debug, Default)]
struct Command {
    lun: u64,
    data_out: Vec<u8>,
    data_in: Vec<u8>,
    received: usize,
}

struct Pdu {
    bhs: [u8; BHS_BYTES],
    data: Vec<u8>,
}

impl Pdu {
    fn word(&self, at: usize) -> u32 {
        self.bhs
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u32::from_be_bytes)
    }

    fn opcode(&self) -> u8 {
        let [first, ..] = self.bhs;
        first & 0x3f
    }

    fn byte(&self, at: usize) -> u8 {
        self.bhs.get(at).copied().unwrap_or(0)
    }
}

impl Initiator {
    /// Logs in to a target under a name.
    pub fn login(portal: &str, name: &str, target: &str) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(portal).with_context(|| format!("cannot connect to {portal}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let agreed = Agreed {
            max_send_segment_bytes: 8192,
            max_burst_bytes: 262_144,
            first_burst_bytes: 65_536,
            sends_immediate: true,
            sends_unsolicited: false,
        };
        let mut initiator = Self {
            stream,
            agreed,
            cmd_sn: 1,
            exp_stat_sn: 0,
            next_tag: 1,
            outstanding: HashMap::new(),
            spare: Vec::new(),
        };
        let keys = [
            format!("InitiatorName={name}"),
            format!("TargetName={target}"),
            "SessionType=Normal".into(),
            "AuthMethod=None".into(),
        ];
        initiator.login_stage(0, &keys)?;
        let keys = [
            "HeaderDigest=None",
            "DataDigest=None",
            "MaxRecvDataSegmentLength=1048576",
            "MaxBurstLength=1048576",
            "FirstBurstLength=262144",
            "InitialR2T=No",
            "ImmediateData=Yes",
            "MaxOutstandingR2T=1",
            "MaxConnections=1",
            "ErrorRecoveryLevel=0",
        ]
        .map(String::from);
        let answers = initiator.login_stage(1, &keys)?;
        initiator.take_answers(&answers);
        Ok(initiator)
    }

    /// Sends a command and returns its tag, without waiting.
    pub fn send(
        &mut self,
        lun: u64,
        cdb: &[u8],
        data_out: Vec<u8>,
        data_in_bytes: u32,
    ) -> anyhow::Result<u32> {
        let tag = self.next_tag;
        self.next_tag += 1;
        let length = data_out.len();
        let immediate = if self.agreed.sends_immediate {
            length.min(self.agreed.first_burst_bytes).min(self.agreed.max_send_segment_bytes)
        } else {
            0
        };
        let first_burst = if self.agreed.sends_unsolicited {
            length.min(self.agreed.first_burst_bytes)
        } else {
            immediate
        };
        let mut bhs = [0_u8; BHS_BYTES];
        let direction = u8::from(length > 0) << 5 | u8::from(data_in_bytes > 0) << 6;
        let is_final = u8::from(first_burst == immediate) << 7;
        put(&mut bhs, 0, &[SCSI_COMMAND, is_final | direction]);
        put(&mut bhs, 8, &(lun << 48).to_be_bytes());
        put(&mut bhs, 16, &tag.to_be_bytes());
        put(&mut bhs, 20, &u32::try_from(length)?.max(data_in_bytes).to_be_bytes());
        put(&mut bhs, 24, &self.cmd_sn.to_be_bytes());
        put(&mut bhs, 28, &self.exp_stat_sn.to_be_bytes());
        put(&mut bhs, 32, cdb);
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        self.write_pdu(bhs, data_out.get(..immediate).unwrap_or_default())?;
        let mut data_in = std::mem::take(&mut self.spare);
        data_in.resize(usize::try_from(data_in_bytes)?, 0);
        let command = Command { lun, data_out, data_in, received: 0 };
        self.send_data(tag, &command, NO_TAG, immediate, first_burst - immediate)?;
        self.outstanding.insert(tag, command);
        Ok(tag)
    }

    /// Waits until the next command is done.
    pub fn wait(&mut self) -> anyhow::Result<Done> {
        loop {
            let pdu = self.read_pdu()?;
            match pdu.opcode() {
                SCSI_RESPONSE => {
                    self.exp_stat_sn = pdu.word(24).wrapping_add(1);
                    return self.finish(&pdu, pdu.data.get(2..).unwrap_or_default().to_vec());
                }
                DATA_IN => {
                    let has_status = pdu.byte(1) & 0x01 != 0;
                    if has_status {
                        self.exp_stat_sn = pdu.word(24).wrapping_add(1);
                        return self.finish(&pdu, Vec::new());
                    }
                }
                R2T => {
                    let tag = pdu.word(16);
                    let command = self.outstanding.remove(&tag).context("R2T for no command")?;
                    let (offset, length) =
                        (usize::try_from(pdu.word(40))?, usize::try_from(pdu.word(44))?);
                    self.send_data(tag, &command, pdu.word(20), offset, length)?;
                    self.outstanding.insert(tag, command);
                }
                NOP_IN if pdu.word(20) != NO_TAG => self.answer_ping(&pdu)?,
                NOP_IN => {}
                other => bail!("unexpected PDU {other:#04x}"),
            }
        }
    }

    /// Sends one command and waits for its end.
    pub fn run(
        &mut self,
        lun: u64,
        cdb: &[u8],
        data_out: Vec<u8>,
        data_in_bytes: u32,
    ) -> anyhow::Result<Done> {
        self.send(lun, cdb, data_out, data_in_bytes)?;
        self.wait()
    }

    /// A task management function for a logical unit; its response. No command may be under way.
    pub fn manage(&mut self, function: u8, lun: u64) -> anyhow::Result<u8> {
        let mut bhs = [0_u8; BHS_BYTES];
        put(&mut bhs, 0, &[TASK_MANAGEMENT | IMMEDIATE, FINAL | function]);
        put(&mut bhs, 8, &(lun << 48).to_be_bytes());
        put(&mut bhs, 16, &self.next_tag.to_be_bytes());
        put(&mut bhs, 20, &NO_TAG.to_be_bytes());
        put(&mut bhs, 24, &self.cmd_sn.to_be_bytes());
        put(&mut bhs, 28, &self.exp_stat_sn.to_be_bytes());
        self.next_tag += 1;
        self.write_pdu(bhs, &[])?;
        loop {
            let pdu = self.read_pdu()?;
            match pdu.opcode() {
                TASK_MANAGEMENT_RESPONSE => {
                    self.exp_stat_sn = pdu.word(24).wrapping_add(1);
                    return Ok(pdu.byte(2));
                }
                NOP_IN if pdu.word(20) != NO_TAG => self.answer_ping(&pdu)?,
                NOP_IN => {}
                other => bail!("unexpected PDU {other:#04x}"),
            }
        }
    }

    /// Takes back the memory of an answer for the next command.
    pub fn recycle(&mut self, data: Vec<u8>) {
        self.spare = data;
    }

    /// Ends the session.
    pub fn logout(mut self) -> anyhow::Result<()> {
        let mut bhs = [0_u8; BHS_BYTES];
        put(&mut bhs, 0, &[LOGOUT | IMMEDIATE, FINAL]);
        put(&mut bhs, 16, &self.next_tag.to_be_bytes());
        put(&mut bhs, 24, &self.cmd_sn.to_be_bytes());
        put(&mut bhs, 28, &self.exp_stat_sn.to_be_bytes());
        self.write_pdu(bhs, &[])?;
        self.read_pdu().map(|_| ())
    }

    fn finish(&mut self, pdu: &Pdu, sense: Vec<u8>) -> anyhow::Result<Done> {
        let tag = pdu.word(16);
        let command = self.outstanding.remove(&tag).context("an answer to no command")?;
        let mut data = command.data_in;
        data.truncate(command.received);
        let count = i64::from(pdu.word(44));
        let residual_bytes = match pdu.byte(1) {
            flags if flags & UNDERFLOW != 0 => count,
            flags if flags & OVERFLOW != 0 => -count,
            _ => 0,
        };
        let data_out = command.data_out;
        Ok(Done { tag, status: pdu.byte(3), sense, data, data_out, residual_bytes })
    }

    /// One burst of Data-Out PDUs.
    fn send_data(
        &mut self,
        tag: u32,
        command: &Command,
        ttt: u32,
        mut offset: usize,
        length: usize,
    ) -> anyhow::Result<()> {
        ensure!(length <= self.agreed.max_burst_bytes, "an R2T over MaxBurstLength");
        let end = offset + length;
        let mut data_sn = 0_u32;
        while offset < end {
            let stop = end.min(offset + self.agreed.max_send_segment_bytes);
            let mut bhs = [0_u8; BHS_BYTES];
            put(&mut bhs, 0, &[DATA_OUT, u8::from(stop == end) << 7]);
            put(&mut bhs, 8, &(command.lun << 48).to_be_bytes());
            put(&mut bhs, 16, &tag.to_be_bytes());
            put(&mut bhs, 20, &ttt.to_be_bytes());
            put(&mut bhs, 28, &self.exp_stat_sn.to_be_bytes());
            put(&mut bhs, 36, &data_sn.to_be_bytes());
            put(&mut bhs, 40, &u32::try_from(offset)?.to_be_bytes());
            self.write_pdu(
                bhs,
                command.data_out.get(offset..stop).context("an R2T beyond the data")?,
            )?;
            offset = stop;
            data_sn += 1;
        }
        Ok(())
    }

    fn answer_ping(&mut self, ping: &Pdu) -> anyhow::Result<()> {
        let mut bhs = [0_u8; BHS_BYTES];
        put(&mut bhs, 0, &[NOP_OUT | IMMEDIATE, FINAL]);
        put(&mut bhs, 16, &NO_TAG.to_be_bytes());
        put(&mut bhs, 20, &ping.word(20).to_be_bytes());
        put(&mut bhs, 24, &self.cmd_sn.to_be_bytes());
        put(&mut bhs, 28, &self.exp_stat_sn.to_be_bytes());
        self.write_pdu(bhs, &[])
    }

    /// One stage of the login, in as many exchanges as the target wants; its answers.
    fn login_stage(&mut self, stage: u8, keys: &[String]) -> anyhow::Result<String> {
        let mut text = keys.join("\0") + "\0";
        let mut answers = String::new();
        for _ in 0..LOGIN_EXCHANGES_MAX {
            let (is_over, answer) = self.login_exchange(stage, &text)?;
            answers += &answer;
            if is_over {
                return Ok(answers);
            }
            text.clear();
        }
        bail!("the login does not come to an end")
    }

    fn login_exchange(&mut self, stage: u8, text: &str) -> anyhow::Result<(bool, String)> {
        let next = if stage == 0 { 1 } else { 3 };
        let mut bhs = [0_u8; BHS_BYTES];
        put(&mut bhs, 0, &[LOGIN | IMMEDIATE, FINAL | stage << 2 | next]);
        put(&mut bhs, 8, &[0x80, 0x12, 0x34, 0x56, 0, 1]); // ISID, random form
        put(&mut bhs, 16, &self.next_tag.to_be_bytes());
        put(&mut bhs, 24, &self.cmd_sn.to_be_bytes());
        put(&mut bhs, 28, &self.exp_stat_sn.to_be_bytes());
        self.write_pdu(bhs, text.as_bytes())?;
        let answer = self.read_pdu()?;
        ensure!(answer.opcode() == LOGIN_RESPONSE, "no login response");
        let status = (answer.byte(36), answer.byte(37));
        ensure!(status == (0, 0), "login refused with status {:02x}{:02x}", status.0, status.1);
        self.exp_stat_sn = answer.word(24).wrapping_add(1);
        let is_over = answer.byte(1) & FINAL != 0;
        Ok((is_over, String::from_utf8_lossy(&answer.data).into_owned()))
    }

    fn take_answers(&mut self, answers: &str) {
        for (key, value) in answers.split('\0').filter_map(|pair| pair.split_once('=')) {
            let number = || value.parse().unwrap_or(8192);
            match key {
                "MaxRecvDataSegmentLength" => self.agreed.max_send_segment_bytes = number(),
                "MaxBurstLength" => self.agreed.max_burst_bytes = number(),
                "FirstBurstLength" => self.agreed.first_burst_bytes = number(),
                "ImmediateData" => self.agreed.sends_immediate = value == "Yes",
                "InitialR2T" => self.agreed.sends_unsolicited = value == "No",
                _ => {}
            }
        }
    }

    fn write_pdu(&mut self, mut bhs: [u8; BHS_BYTES], data: &[u8]) -> anyhow::Result<()> {
        let [_, high, middle, low] = u32::try_from(data.len())?.to_be_bytes();
        put(&mut bhs, 5, &[high, middle, low]);
        let padding = vec![0_u8; data.len().wrapping_neg() % 4];
        let total = BHS_BYTES + data.len() + padding.len();
        let slices = [&bhs[..], data, &padding];
        let mut sent = 0;
        while sent < total {
            let mut skip = sent;
            let mut rest = Vec::with_capacity(3);
            for slice in slices {
                rest.push(std::io::IoSlice::new(slice.get(skip..).unwrap_or_default()));
                skip = skip.saturating_sub(slice.len());
            }
            sent += self.stream.write_vectored(&rest)?;
        }
        Ok(())
    }

    fn read_pdu(&mut self) -> anyhow::Result<Pdu> {
        let mut bhs = [0_u8; BHS_BYTES];
        self.stream.read_exact(&mut bhs).context("the target closed the connection")?;
        let mut pdu = Pdu { bhs, data: Vec::new() };
        let length = usize::try_from(pdu.word(4) & 0x00ff_ffff)?;
        ensure!(
            length <= MAX_RECEIVE_SEGMENT_BYTES,
            "a data segment over MaxRecvDataSegmentLength"
        );
        if pdu.opcode() == DATA_IN {
            // Straight to where it belongs.
            let command =
                self.outstanding.get_mut(&pdu.word(16)).context("Data-In for no command")?;
            let offset = usize::try_from(pdu.word(40))?;
            ensure!(offset == command.received, "Data-In out of order");
            command.received += length;
            let target = command
                .data_in
                .get_mut(offset..command.received)
                .context("more Data-In than expected")?;
            self.stream.read_exact(target)?;
            let mut padding = [0; 3];
            self.stream
                .read_exact(padding.get_mut(..length.wrapping_neg() % 4).unwrap_or_default())?;
            return Ok(pdu);
        }
        pdu.data = vec![0; length.div_ceil(4) * 4];
        self.stream.read_exact(&mut pdu.data)?;
        pdu.data.truncate(length);
        Ok(pdu)
    }
}

fn put(bhs: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in bhs.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}
