//! Full feature phase: the session of one connection (RFC 7143 §4.2 to §4.6).
//!
//! A PDU is met twice: when its header is complete, so that its data can go to the right place, and when it is complete.
//! Commands and Data-Out PDUs are understood at the first, which lets an R2T leave before the data ahead of it has come
//! in; everything else at the second.

mod command;
mod control;
mod data_out;
mod gathering;
mod memory;
mod response;
mod task;
mod task_management;
mod text_exchange;
mod window;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use vtl_scsi::{BufferPool, ItNexus};

use crate::config::TargetConfig;
use crate::connection::Wire;
use crate::event::{CloseReason, TaskKey};
use crate::login::{Established, Parameters};
use crate::pdu::{
    Bhs, LogoutRequest, NopOut, Opcode, Reject, RejectReason, Sequence, TargetTransferTag,
    TaskManagementRequest, TextRequest,
};
use crate::receive::{Destination, ReceivedPdu};
use crate::serial::{CmdSn, StatSn};
use task::Tasks;
use task_management::PendingFunction;
use text_exchange::TextExchange;
use window::{CommandWindow, Place};

/// A session, which lives and ends with its connection.
#[derive(Debug)]
pub(crate) struct Session {
    config: Arc<TargetConfig>,
    pool: BufferPool,
    parameters: Parameters,
    initiator: String,
    /// Whether the initiator has proved who it is.
    is_authenticated: bool,
    /// None in a discovery session.
    target: Option<String>,
    nexus: ItNexus,
    /// Where the initiator came in, as it is shown to others.
    portal: Option<String>,
    cid: u16,
    stat_sn: StatSn,
    window: CommandWindow,
    tasks: Tasks,
    /// What came before its turn.
    // Invariant: every number lies in the window behind the next one; so there are fewer than its limit.
    early: HashMap<CmdSn, Numbered>,
    /// Data segments held in `early`.
    early_bytes: usize,
    /// Tasks whose turn it is and for whose data there was no room, oldest first.
    ungranted: VecDeque<TaskKey>,
    /// Tasks that read are not delivered, because there is no room for what they may read.
    has_held_back: bool,
    functions: Vec<PendingFunction>,
    /// Immediate functions that act on commands which have not all come.
    waiting_functions: Vec<TaskManagementRequest>,
    text: Option<TextExchange>,
    next_ttt: u32,
}

/// Something that has a CmdSN.
#[derive(Debug)]
enum Numbered {
    Task(TaskKey),
    Function(TaskManagementRequest),
    Text(TextRequest, Vec<u8>, Bhs),
    Ping(NopOut, Vec<u8>),
    Logout(LogoutRequest, Bhs),
    /// A number that was used by something that cannot be carried out.
    Nothing,
}

impl Session {
    pub(crate) fn new(
        config: Arc<TargetConfig>,
        pool: BufferPool,
        established: Established,
        nexus: ItNexus,
        portal: Option<String>,
    ) -> Self {
        let window = CommandWindow::new(established.cmd_sn, config.limits.max_commands);
        Self {
            config,
            pool,
            parameters: established.parameters,
            initiator: established.initiator,
            is_authenticated: established.is_authenticated,
            target: established.target,
            nexus,
            portal,
            cid: established.cid,
            stat_sn: established.stat_sn,
            window,
            tasks: Tasks::default(),
            early: HashMap::new(),
            early_bytes: 0,
            ungranted: VecDeque::new(),
            has_held_back: false,
            functions: Vec::new(),
            waiting_functions: Vec::new(),
            text: None,
            next_ttt: 0,
        }
    }

    /// A header is complete: says where the data goes.
    pub(crate) fn begin_pdu(
        &mut self,
        bhs: &Bhs,
        ahs: &[u8],
        opcode: Opcode,
        length: usize,
        wire: &mut Wire,
    ) -> Destination {
        match opcode {
            Opcode::SCSI_COMMAND => self.begin_command(bhs, ahs, length, wire),
            Opcode::DATA_OUT => self.begin_data_out(bhs, length, wire),
            Opcode::NOP_OUT | Opcode::TEXT_REQUEST => Destination::Control(Vec::new()),
            _ => Destination::Discard,
        }
    }

    /// A header announces more data than a PDU may have.
    pub(crate) fn refuse_length(&mut self, bhs: &Bhs, wire: &mut Wire) {
        self.break_off(RejectReason::PROTOCOL_ERROR, bhs, wire);
    }

    /// A PDU is complete.
    pub(crate) fn finish_pdu(&mut self, pdu: ReceivedPdu, wire: &mut Wire) {
        let ReceivedPdu { bhs, lengths, destination, is_data_intact } = pdu;
        if !is_data_intact {
            self.finish_damaged(&bhs, lengths.opcode, destination, wire);
            return;
        }
        let is_immediate = lengths.is_immediate;
        match (lengths.opcode, destination) {
            (Opcode::SCSI_COMMAND | Opcode::DATA_OUT, Destination::Task { key, buffer, .. }) => {
                self.data_arrived(key, buffer, lengths.data_bytes, wire);
            }
            (Opcode::SCSI_COMMAND | Opcode::DATA_OUT, _) => {}
            (Opcode::NOP_OUT, Destination::Control(data)) => {
                let ping = NopOut::parse(&bhs);
                self.take_number(is_immediate, ping.cmd_sn, Numbered::Ping(ping, data), wire);
            }
            (Opcode::TEXT_REQUEST, Destination::Control(data)) => {
                let request = TextRequest::parse(&bhs);
                self.take_number(
                    is_immediate,
                    request.cmd_sn,
                    Numbered::Text(request, data, bhs),
                    wire,
                );
            }
            (Opcode::TASK_MANAGEMENT_REQUEST, _) => self.finish_task_management(&bhs, wire),
            (Opcode::LOGOUT_REQUEST, _) => {
                let request = LogoutRequest::parse(&bhs);
                self.take_number(
                    is_immediate,
                    request.cmd_sn,
                    Numbered::Logout(request, bhs),
                    wire,
                );
            }
            (Opcode::SNACK_REQUEST, _) => self.reject(RejectReason::SNACK_REJECT, &bhs, wire),
            (Opcode::LOGIN_REQUEST, _) => self.break_off(RejectReason::PROTOCOL_ERROR, &bhs, wire),
            (opcode, _) if opcode.is_sent_by_target() => {
                self.reject(RejectReason::PROTOCOL_ERROR, &bhs, wire);
            }
            _ => self.reject(RejectReason::COMMAND_NOT_SUPPORTED, &bhs, wire),
        }
    }

    /// A PDU is complete and does not match its data digest (RFC 7143 §7.8). It is rejected in any case. Lost data ends its
    /// command with CHECK CONDITION. Anything else could only be sent again by an initiator at a higher recovery level,
    /// and until then its CmdSN would hold up everything behind it: the connection ends.
    fn finish_damaged(
        &mut self,
        bhs: &Bhs,
        opcode: Opcode,
        destination: Destination,
        wire: &mut Wire,
    ) {
        self.reject(RejectReason::DATA_DIGEST_ERROR, bhs, wire);
        match (opcode, destination) {
            (Opcode::DATA_OUT, Destination::Task { key, buffer, .. }) => {
                self.data_damaged(key, buffer, wire);
            }
            (Opcode::DATA_OUT, _) => {}
            _ => wire.end(CloseReason::DataDigest),
        }
    }

    /// Takes something in its turn: at once if it is immediate or the next one, later if others come first, and never if
    /// its number is outside the window (RFC 7143 §4.2.2.1).
    fn take_number(&mut self, is_immediate: bool, cmd_sn: CmdSn, item: Numbered, wire: &mut Wire) {
        if is_immediate {
            self.take(item, wire);
            return;
        }
        match self.window.place(cmd_sn) {
            Place::Next => {
                self.window.advance();
                self.take(item, wire);
                self.take_early(wire);
            }
            Place::Early if !self.early.contains_key(&cmd_sn) => self.hold(cmd_sn, item, wire),
            Place::Early | Place::Outside => {
                tracing::debug!(
                    cmd_sn = cmd_sn.0,
                    "number outside the window or used twice, ignored"
                );
            }
        }
    }

    fn hold(&mut self, cmd_sn: CmdSn, item: Numbered, wire: &mut Wire) {
        self.early_bytes += item.data_bytes();
        self.early.insert(cmd_sn, item);
        if self.early_bytes > self.config.limits.max_backlog_bytes {
            wire.end(CloseReason::Backlog);
        }
    }

    /// Takes what has come before its turn, as far as it is its turn now.
    fn take_early(&mut self, wire: &mut Wire) {
        while let Some(item) = self.early.remove(&self.window.exp_cmd_sn()) {
            self.early_bytes -= item.data_bytes();
            self.window.advance();
            self.take(item, wire);
        }
        self.take_waiting_functions(wire);
    }

    fn take(&mut self, item: Numbered, wire: &mut Wire) {
        match item {
            Numbered::Task(key) => self.enter_task(key, wire),
            Numbered::Function(request) => self.run_function(&request, wire),
            Numbered::Text(request, data, bhs) => self.text_request(&request, &data, &bhs, wire),
            Numbered::Ping(ping, data) => self.answer_ping(&ping, data, wire),
            Numbered::Logout(request, bhs) => self.logout(&request, &bhs, wire),
            Numbered::Nothing => {}
        }
    }

    /// Refuses a PDU, the header of which goes back.
    fn reject(&mut self, reason: RejectReason, bhs: &Bhs, wire: &mut Wire) {
        tracing::debug!(?reason, initiator = %self.initiator, "PDU rejected");
        let sequence = self.status_sequence();
        wire.outbox.push(Reject { reason, sequence }.encode(), bhs.to_vec());
    }

    /// Refuses a PDU after which both sides no longer agree on what is under way, and ends the connection.
    fn break_off(&mut self, reason: RejectReason, bhs: &Bhs, wire: &mut Wire) {
        self.reject(reason, bhs, wire);
        wire.end(CloseReason::ProtocolError);
    }

    /// The numbers for a PDU that carries a status.
    fn status_sequence(&mut self) -> Sequence {
        let sequence = self.sequence();
        self.stat_sn = self.stat_sn.next();
        sequence
    }

    /// The numbers for a PDU that carries no status.
    fn sequence(&mut self) -> Sequence {
        self.window.open(self.tasks.count_numbered());
        Sequence {
            stat_sn: self.stat_sn,
            exp_cmd_sn: self.window.exp_cmd_sn(),
            max_cmd_sn: self.window.max_cmd_sn(),
        }
    }

    fn new_ttt(&mut self) -> TargetTransferTag {
        let ttt = self.next_ttt;
        self.next_ttt = if ttt == u32::MAX - 1 { 0 } else { ttt + 1 };
        TargetTransferTag(ttt)
    }

    fn is_discovery(&self) -> bool {
        self.target.is_none()
    }
}

impl Numbered {
    fn data_bytes(&self) -> usize {
        match self {
            Self::Text(_, data, _) | Self::Ping(_, data) => data.len(),
            Self::Task(_) | Self::Function(_) | Self::Logout(..) | Self::Nothing => 0,
        }
    }
}
