//! An initiator that plays by the rules, or breaks them on request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use vtl_scsi::{BufferPool, Completion, ItNexus, Status, Task};

use crate::digest::Digest;
use crate::pdu::{
    BHS_BYTES, Bhs, DataIn, DataOut, InitiatorTaskTag, Isid, Lengths, LoginRequest, LoginResponse,
    LoginStage, LoginStatus, Opcode, ReadyToTransfer, Residual, ScsiCommand, ScsiResponse,
    TargetTransferTag,
};
use crate::transmit::padding_of;
use crate::{
    CloseReason, CmdSn, Connection, Event, LoginFailure, LoginReady, StatSn, TargetConfig,
    TargetDescription, TaskKey, TaskManagement, TaskManagementKey,
};

pub(super) const TARGET: &str = "iqn.2026-11.example:library";
pub(super) const INITIATOR: &str = "iqn.2026-11.example:host";
pub(super) const LUN_1: [u8; 8] = [0, 1, 0, 0, 0, 0, 0, 0];
pub(super) const LUN_2: [u8; 8] = [0, 2, 0, 0, 0, 0, 0, 0];
pub(super) const NEXUS: ItNexus = ItNexus(42);
pub(super) const FIRST_CMD_SN: CmdSn = CmdSn(0xffff_fffe);
pub(super) const ISID: Isid = Isid([0x40, 1, 2, 3, 4, 5]);

/// What open-iscsi proposes.
pub(super) const LINUX_KEYS: &str = "HeaderDigest=None\0DataDigest=None\0DefaultTime2Wait=2\0DefaultTime2Retain=0\0\
    IFMarker=No\0OFMarker=No\0ErrorRecoveryLevel=0\0InitialR2T=No\0ImmediateData=Yes\0MaxBurstLength=16776192\0\
    FirstBurstLength=262144\0MaxOutstandingR2T=1\0MaxConnections=1\0DataPDUInOrder=Yes\0DataSequenceInOrder=Yes\0\
    MaxRecvDataSegmentLength=262144\0";

/// A PDU as the initiator receives it.
#[derive(Debug, Clone)]
pub(super) struct Pdu {
    pub(super) bhs: Bhs,
    pub(super) data: Vec<u8>,
}

/// What the initiator goes by when it sends data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreed {
    pub(super) initial_r2t: bool,
    pub(super) immediate_data: bool,
    pub(super) first_burst: usize,
    pub(super) max_burst: usize,
    pub(super) max_pdu: usize,
}

#[derive(Debug)]
pub(super) struct Pair {
    pub(super) target: Connection,
    pub(super) now: Duration,
    pub(super) events: VecDeque<Event>,
    /// Who was turned away for what.
    pub(super) failures: Vec<(String, LoginFailure)>,
    pub(super) inbox: VecDeque<Pdu>,
    /// Bytes per piece on the way to the target.
    pub(super) piece: usize,
    pub(super) agreed: Agreed,
    pub(super) next_cmd_sn: CmdSn,
    pub(super) exp_stat_sn: StatSn,
    pub(super) next_tag: u32,
    pub(super) login_stat_sn: u32,
    has_header_digest: bool,
    has_data_digest: bool,
    wire: Vec<u8>,
}

/// The end of a command.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: Status,
    pub(super) residual: Residual,
    pub(super) data: Vec<u8>,
    pub(super) sense: Vec<u8>,
}

pub(super) fn config() -> TargetConfig {
    TargetConfig::new(vec![TargetDescription {
        alias: Some("a library".to_owned()),
        portals: vec!["192.0.2.1:3260".to_owned(), "[2001:db8::1]:3260".to_owned()],
        ..TargetDescription::new(TARGET)
    }])
}

/// Bytes that differ from their neighbours at any distance that matters.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8 ^ (index >> 9) as u8).collect()
}

/// The keys for an agreement.
pub(super) fn keys_of(agreed: &Agreed) -> String {
    let yes_no = |yes: bool| if yes { "Yes" } else { "No" };
    format!(
        "InitialR2T={}\0ImmediateData={}\0MaxBurstLength={}\0FirstBurstLength={}\0MaxOutstandingR2T=4\0",
        yes_no(agreed.initial_r2t),
        yes_no(agreed.immediate_data),
        agreed.max_burst,
        agreed.first_burst,
    )
}

/// The text of a first login request for a normal session.
pub(super) fn normal_text(keys: &str) -> String {
    format!("InitiatorName={INITIATOR}\0TargetName={TARGET}\0SessionType=Normal\0{keys}")
}

impl Pdu {
    pub(super) fn opcode(&self) -> Opcode {
        Lengths::parse(&self.bhs).opcode
    }

    pub(super) fn text(&self) -> Vec<&str> {
        std::str::from_utf8(&self.data).unwrap().split_terminator('\0').collect()
    }
}

impl Pair {
    pub(super) fn new(config: TargetConfig) -> Self {
        let connection =
            Connection::new(Arc::new(config), BufferPool::new(64 << 20), Duration::ZERO);
        Self::around(connection)
    }

    pub(super) fn around(target: Connection) -> Self {
        Self {
            target,
            now: Duration::ZERO,
            events: VecDeque::new(),
            failures: Vec::new(),
            inbox: VecDeque::new(),
            piece: usize::MAX,
            agreed: Agreed {
                initial_r2t: false,
                immediate_data: true,
                first_burst: 256 << 10,
                max_burst: 1 << 20,
                max_pdu: 1 << 20,
            },
            next_cmd_sn: FIRST_CMD_SN,
            exp_stat_sn: StatSn(77),
            next_tag: 100,
            login_stat_sn: 77,
            has_header_digest: false,
            has_data_digest: false,
            wire: Vec::new(),
        }
    }

    /// A session as Linux would have it.
    pub(super) fn linux() -> Self {
        let mut pair = Self::new(config());
        pair.login(LINUX_KEYS);
        pair
    }

    /// A session with this agreement.
    pub(super) fn agreeing(agreed: Agreed) -> Self {
        let mut pair = Self::new(config());
        pair.login(&keys_of(&agreed));
        pair.agreed = agreed;
        pair
    }

    /// Logs in with operational keys and is accepted.
    pub(super) fn login(&mut self, keys: &str) -> Pdu {
        self.send_login(1, 3, true, false, &normal_text(keys));
        self.expect_login_ready();
        assert!(self.target.accept_login(7, NEXUS));
        self.pump();
        let pdu = self.receive(Opcode::LOGIN_RESPONSE);
        let response = LoginResponse::parse(&pdu.bhs);
        assert_eq!(response.status, LoginStatus::SUCCESS);
        assert_eq!(
            (response.is_transit, response.next_stage),
            (true, LoginStage::FULL_FEATURE_PHASE)
        );
        assert_eq!(response.tsih, 7);
        assert_eq!(response.isid, ISID);
        self.has_header_digest = pdu.text().contains(&"HeaderDigest=CRC32C");
        self.has_data_digest = pdu.text().contains(&"DataDigest=CRC32C");
        pdu
    }

    pub(super) fn login_request(
        &self,
        csg: u8,
        nsg: u8,
        is_transit: bool,
        is_continued: bool,
    ) -> LoginRequest {
        LoginRequest {
            is_transit,
            is_continued,
            current_stage: LoginStage(csg),
            next_stage: LoginStage(nsg),
            version_max: 0,
            version_min: 0,
            isid: ISID,
            tsih: 0,
            itt: InitiatorTaskTag(1),
            cid: 3,
            cmd_sn: FIRST_CMD_SN,
            exp_stat_sn: StatSn(self.login_stat_sn),
        }
    }

    pub(super) fn send_login(
        &mut self,
        csg: u8,
        nsg: u8,
        is_transit: bool,
        is_continued: bool,
        text: &str,
    ) {
        let request = self.login_request(csg, nsg, is_transit, is_continued);
        self.send(request.encode(), text.as_bytes());
    }

    pub(super) fn expect_login_ready(&mut self) -> LoginReady {
        match self.events.pop_front() {
            Some(Event::LoginReady(ready)) => ready,
            other => panic!("expected a login, got {other:?}, {:?}", self.inbox),
        }
    }

    /// The bytes of a PDU.
    pub(super) fn encode(&self, mut bhs: Bhs, data: &[u8]) -> Vec<u8> {
        Lengths::set_data_bytes(&mut bhs, data.len());
        let mut bytes = bhs.to_vec();
        if self.has_header_digest {
            bytes.extend_from_slice(&Digest::of(&bhs).to_bytes());
        }
        let start = bytes.len();
        bytes.extend_from_slice(data);
        bytes.extend(std::iter::repeat_n(0, padding_of(data.len())));
        if self.has_data_digest && !data.is_empty() {
            let digest = Digest::of(&bytes[start..]);
            bytes.extend_from_slice(&digest.to_bytes());
        }
        bytes
    }

    pub(super) fn send(&mut self, bhs: Bhs, data: &[u8]) {
        let bytes = self.encode(bhs, data);
        self.send_bytes(&bytes);
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece) {
            self.target.handle_bytes(piece, self.now);
        }
        self.pump();
    }

    /// Takes everything that the target has to say.
    pub(super) fn pump(&mut self) {
        while let Some(event) = self.target.poll_event() {
            match event {
                Event::LoginFailed { initiator, failure } => {
                    self.failures.push((initiator, failure));
                }
                event => self.events.push_back(event),
            }
        }
        while let Some(transmit) = self.target.poll_transmit() {
            assert_eq!(
                transmit.len(),
                transmit.slices().iter().map(|slice| slice.len()).sum::<usize>()
            );
            for slice in transmit.slices() {
                self.wire.extend_from_slice(slice);
            }
            // Digests begin after the last login response, so that each PDU is decoded as it comes.
            self.decode();
        }
        assert_eq!(self.target.transmit_backlog_bytes(), 0);
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now += by;
        self.target.handle_timeout(self.now);
        self.pump();
    }

    /// The next PDU, which must be of this kind.
    pub(super) fn receive(&mut self, opcode: Opcode) -> Pdu {
        let pdu =
            self.inbox.pop_front().unwrap_or_else(|| panic!("expected {opcode:?}, got nothing"));
        assert_eq!(pdu.opcode(), opcode, "{pdu:?}");
        pdu
    }

    pub(super) fn receive_nothing(&self) {
        assert!(self.inbox.is_empty(), "{:?}", self.inbox);
    }

    pub(super) fn expect_task(&mut self) -> (TaskKey, [u8; 8], Task) {
        match self.events.pop_front() {
            Some(Event::Task { key, lun, task }) => (key, lun, task),
            other => panic!("expected a task, got {other:?}, {:?}", self.inbox),
        }
    }

    pub(super) fn expect_function(&mut self) -> (TaskManagementKey, TaskManagement, Vec<TaskKey>) {
        match self.events.pop_front() {
            Some(Event::TaskManagement { key, function, tasks }) => (key, function, tasks),
            other => panic!("expected a function, got {other:?}, {:?}", self.inbox),
        }
    }

    pub(super) fn expect_closed(&mut self) -> CloseReason {
        match self.events.pop_front() {
            Some(Event::Closed { reason, .. }) => {
                assert!(self.events.is_empty());
                assert!(self.target.is_closed());
                reason
            }
            other => panic!("expected the end, got {other:?}, {:?}", self.inbox),
        }
    }

    pub(super) fn expect_no_event(&self) {
        assert!(self.events.is_empty(), "{:?}", self.events);
    }

    pub(super) fn complete(&mut self, key: TaskKey, completion: Completion) {
        self.target.complete(key, completion);
        self.pump();
    }

    /// A numbered command without data.
    pub(super) fn command(&mut self, lun: [u8; 8], operation_code: u8) -> ScsiCommand {
        let mut cdb = [0; 16];
        cdb[0] = operation_code;
        let command = ScsiCommand {
            is_immediate: false,
            is_final: true,
            reads: false,
            writes: false,
            attribute_code: 1,
            lun,
            itt: self.new_tag(),
            expected_data_transfer_bytes: 0,
            cmd_sn: self.next_cmd_sn,
            exp_stat_sn: self.exp_stat_sn,
            cdb,
        };
        self.next_cmd_sn = self.next_cmd_sn.next();
        command
    }

    pub(super) fn new_tag(&mut self) -> InitiatorTaskTag {
        self.next_tag += 1;
        InitiatorTaskTag(self.next_tag)
    }

    /// A read, which is not sent yet.
    pub(super) fn read_command(&mut self, lun: [u8; 8], length: u32) -> ScsiCommand {
        ScsiCommand { reads: true, expected_data_transfer_bytes: length, ..self.command(lun, 0x08) }
    }

    /// A write, which is not sent yet.
    pub(super) fn write_command(&mut self, lun: [u8; 8], length: usize) -> ScsiCommand {
        ScsiCommand {
            writes: true,
            expected_data_transfer_bytes: length as u32,
            ..self.command(lun, 0x0a)
        }
    }

    /// Sends a command without data and returns its task.
    pub(super) fn run(&mut self, lun: [u8; 8], operation_code: u8) -> (TaskKey, Task) {
        let command = self.command(lun, operation_code);
        self.send(command.encode(), b"");
        let (key, _, task) = self.expect_task();
        (key, task)
    }

    /// Begins a write as the agreement has it, with everything that needs no R2T.
    pub(super) fn begin_write(&mut self, lun: [u8; 8], data: &[u8]) -> ScsiCommand {
        let agreed = self.agreed;
        let mut command = self.write_command(lun, data.len());
        let unsolicited = data.len().min(agreed.first_burst);
        let immediate = if agreed.immediate_data { unsolicited.min(agreed.max_pdu) } else { 0 };
        command.is_final = agreed.initial_r2t || immediate == unsolicited;
        self.send(command.encode(), &data[..immediate]);
        if !command.is_final {
            self.send_burst(&command, TargetTransferTag::RESERVED, data, immediate..unsolicited);
        }
        command
    }

    /// Answers all R2Ts that have come.
    pub(super) fn answer_r2ts(&mut self, command: &ScsiCommand, data: &[u8]) {
        while self.inbox.front().is_some_and(|pdu| pdu.opcode() == Opcode::READY_TO_TRANSFER) {
            let r2t = ReadyToTransfer::parse(&self.receive(Opcode::READY_TO_TRANSFER).bhs);
            assert_eq!((r2t.itt, r2t.lun), (command.itt, command.lun));
            assert!(r2t.desired_bytes as usize <= self.agreed.max_burst);
            let start = r2t.buffer_offset as usize;
            self.send_burst(command, r2t.ttt, data, start..start + r2t.desired_bytes as usize);
        }
    }

    /// Sends a whole write and returns its task.
    pub(super) fn write(&mut self, lun: [u8; 8], data: &[u8]) -> (TaskKey, Task) {
        let command = self.begin_write(lun, data);
        self.answer_r2ts(&command, data);
        let (key, _, task) = self.expect_task();
        (key, task)
    }

    pub(super) fn send_burst(
        &mut self,
        command: &ScsiCommand,
        ttt: TargetTransferTag,
        data: &[u8],
        range: std::ops::Range<usize>,
    ) {
        let (mut offset, mut data_sn) = (range.start, 0);
        while offset < range.end {
            let end = range.end.min(offset + self.agreed.max_pdu);
            let pdu = self.data_out(command, ttt, offset, data_sn, end == range.end);
            self.send(pdu.encode(), &data[offset..end]);
            offset = end;
            data_sn += 1;
        }
    }

    pub(super) fn data_out(
        &self,
        command: &ScsiCommand,
        ttt: TargetTransferTag,
        offset: usize,
        data_sn: u32,
        is_final: bool,
    ) -> DataOut {
        DataOut {
            is_final,
            lun: if ttt == TargetTransferTag::RESERVED { [0; 8] } else { command.lun },
            itt: command.itt,
            ttt,
            exp_stat_sn: self.exp_stat_sn,
            data_sn,
            buffer_offset: offset as u32,
        }
    }

    /// Collects the answer to a command, checking the numbering of its data on the way.
    pub(super) fn answer(&mut self) -> Answer {
        let mut data = Vec::new();
        let mut data_sn = 0;
        loop {
            let pdu = self.inbox.pop_front().expect("an answer");
            if pdu.opcode() == Opcode::SCSI_RESPONSE {
                let response = ScsiResponse::parse(&pdu.bhs);
                assert_eq!(response.response, 0);
                let sense = match pdu.data.split_at_checked(2) {
                    Some((length, sense)) => {
                        assert_eq!(
                            usize::from(u16::from_be_bytes([length[0], length[1]])),
                            sense.len()
                        );
                        sense.to_vec()
                    }
                    None => Vec::new(),
                };
                return Answer {
                    status: response.status,
                    residual: response.residual,
                    data,
                    sense,
                };
            }
            assert_eq!(pdu.opcode(), Opcode::DATA_IN, "{pdu:?}");
            let data_in = DataIn::parse(&pdu.bhs);
            assert_eq!((data_in.data_sn, data_in.buffer_offset as usize), (data_sn, data.len()));
            data_sn += 1;
            data.extend_from_slice(&pdu.data);
            if let Some((status, residual)) = data_in.status {
                assert!(data_in.is_final);
                return Answer { status, residual, data, sense: Vec::new() };
            }
        }
    }

    fn decode(&mut self) {
        let bhs: Bhs = self.wire[..BHS_BYTES].try_into().unwrap();
        let lengths = Lengths::parse(&bhs);
        assert_eq!(lengths.ahs_bytes, 0);
        let mut offset = BHS_BYTES;
        // A login response precedes the digests that it agrees on.
        let has_digests = lengths.opcode != Opcode::LOGIN_RESPONSE;
        if has_digests && self.has_header_digest {
            assert_eq!(self.wire[offset..offset + 4], Digest::of(&bhs).to_bytes());
            offset += 4;
        }
        let data = self.wire[offset..offset + lengths.data_bytes].to_vec();
        let padded = lengths.data_bytes + padding_of(lengths.data_bytes);
        let segment = &self.wire[offset..offset + padded];
        assert!(segment[lengths.data_bytes..].iter().all(|byte| *byte == 0));
        let digest = Digest::of(segment).to_bytes();
        offset += padded;
        if has_digests && self.has_data_digest && !data.is_empty() {
            assert_eq!(self.wire[offset..offset + 4], digest);
            offset += 4;
        }
        assert_eq!(self.wire.len(), offset);
        self.wire.clear();
        self.check_status_number(&bhs, lengths.opcode);
        self.inbox.push_back(Pdu { bhs, data });
    }

    /// Every PDU with a status has the next StatSN; every other one announces it.
    fn check_status_number(&mut self, bhs: &Bhs, opcode: Opcode) {
        if opcode == Opcode::LOGIN_RESPONSE
            && LoginResponse::parse(bhs).status != LoginStatus::SUCCESS
        {
            return;
        }
        let has_status = match opcode {
            Opcode::READY_TO_TRANSFER => false,
            Opcode::DATA_IN => DataIn::parse(bhs).status.is_some(),
            Opcode::NOP_IN => crate::pdu::NopIn::parse(bhs).itt != InitiatorTaskTag::RESERVED,
            _ => true,
        };
        let stat_sn = StatSn(u32::from_be_bytes(bhs[24..28].try_into().unwrap()));
        if opcode != Opcode::DATA_IN || has_status {
            assert_eq!(stat_sn, self.exp_stat_sn, "{opcode:?}");
        }
        if has_status {
            self.exp_stat_sn = stat_sn.next();
        }
    }
}
