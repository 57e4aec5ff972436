//! One TCP connection, as a state machine.

mod deadlines;
mod holding;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use vtl_scsi::{BufferPool, Completion, ItNexus};

use crate::budget::Share;
use crate::config::TargetConfig;
use crate::event::{CloseReason, Event, TaskKey, TaskManagementKey};
use crate::login::{LoginState, Step};
use crate::pdu::{LoginRequest, LoginStatus, Opcode, TaskManagementResponse};
use crate::receive::{Destination, Progress, ReceivedPdu, Receiver};
use crate::session::Session;
use crate::transmit::{Outbox, Transmit};

/// How far above the limit the backlog may grow, for an owner that goes on receiving, before the connection is cut.
const BACKLOG_TOLERANCE: usize = 2;

/// One TCP connection and the session on it.
///
/// After every call, take all [`poll_event`](Self::poll_event) and send all [`poll_transmit`](Self::poll_transmit), and look
/// at [`poll_timeout`](Self::poll_timeout) again. Receive into [`receive_buffer`](Self::receive_buffer) as long as
/// [`wants_receive`](Self::wants_receive) says so. Close the socket once [`is_closed`](Self::is_closed) says so and what was
/// taken to be sent is sent, or cannot be sent within [`Timeouts::drain`](crate::Timeouts::drain).
///
/// Times are measured since any start that all calls agree on.
///
/// ```text
///  Login ──► Session ──► Draining ──► Closed
///    └───────────┴───────────┴───────────▲     Draining sends the last words; Event::Closed comes before it
/// ```
#[derive(Debug)]
pub struct Connection {
    config: Arc<TargetConfig>,
    pool: BufferPool,
    receiver: Receiver,
    wire: Wire,
    phase: Phase,
    portal: Option<String>,
    /// The time of the last call that told it.
    now: Duration,
    last_received: Duration,
    /// When the connection last let go of memory, or had none.
    last_progress: Duration,
    /// When it was last asked whether others need what it holds.
    last_look: Duration,
    /// When a ping went out that has not been answered.
    ping_sent: Option<Duration>,
    /// By when the initiator has to be gone that was asked to log out.
    logout_deadline: Option<Duration>,
}

/// What a session puts out.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) outbox: Outbox,
    pub(crate) events: VecDeque<Event>,
    /// All that the connection holds for its peer.
    pub(crate) share: Share,
    /// What the owner has taken to be sent and the peer has not.
    in_flight_bytes: usize,
    /// The connection is to end once the outbox is empty.
    ending: Option<CloseReason>,
}

#[derive(Debug)]
enum Phase {
    /// The state is away only while it handles a request.
    Login {
        state: Option<LoginState>,
        deadline: Option<Duration>,
    },
    Session(Box<Session>),
    Draining {
        deadline: Option<Duration>,
    },
    Closed,
}

impl Wire {
    /// Ends the connection after what is in the outbox has been sent. The first reason counts.
    pub(crate) fn end(&mut self, reason: CloseReason) {
        self.ending.get_or_insert(reason);
    }
}

impl Connection {
    /// A connection that has just been made.
    pub fn new(config: Arc<TargetConfig>, pool: BufferPool, now: Duration) -> Self {
        Self::in_login(config, pool, now, None)
    }

    /// A connection on which any login is answered with this status, such as OUT OF RESOURCES where too many connections
    /// are in login.
    pub fn refusing(
        config: Arc<TargetConfig>,
        pool: BufferPool,
        status: LoginStatus,
        now: Duration,
    ) -> Self {
        Self::in_login(config, pool, now, Some(status))
    }

    /// Tells the address that the initiator came in through, for targets that have no portals of their own. It counts for
    /// sessions that are accepted later.
    pub fn set_portal(&mut self, portal: impl Into<String>) {
        self.portal = Some(portal.into());
    }

    /// Where the next bytes from the socket belong: straight into a task's data where they are that. Empty only once the
    /// connection is closed.
    pub fn receive_buffer(&mut self) -> &mut [u8] {
        match self.phase {
            Phase::Login { .. } | Phase::Session(_) => self.receiver.space(),
            Phase::Draining { .. } => self.receiver.sink(),
            Phase::Closed => &mut [],
        }
    }

    /// Takes note of bytes that were put into [`receive_buffer`](Self::receive_buffer).
    pub fn received(&mut self, count: usize, now: Duration) {
        self.now = now;
        if matches!(self.phase, Phase::Draining { .. } | Phase::Closed) || count == 0 {
            return;
        }
        self.last_received = now;
        self.ping_sent = None;
        let mut progress = self.receiver.advance(count);
        loop {
            progress = match progress {
                Progress::More => break,
                Progress::HeaderDigestError => {
                    self.wire.end(CloseReason::HeaderDigest);
                    break;
                }
                Progress::HeaderComplete => {
                    let destination = self.begin_pdu();
                    self.receiver.begin_data(destination)
                }
                Progress::PduComplete(pdu) => {
                    self.finish_pdu(pdu);
                    break;
                }
            };
        }
        if self.wire.outbox.backlog_bytes()
            > self.config.limits.max_backlog_bytes.saturating_mul(BACKLOG_TOLERANCE)
        {
            self.wire.end(CloseReason::Backlog);
        }
        self.finish_call();
    }

    /// Takes bytes from anywhere, by copying them into [`receive_buffer`](Self::receive_buffer) piece by piece.
    pub fn handle_bytes(&mut self, mut bytes: &[u8], now: Duration) {
        while !bytes.is_empty() {
            let space = self.receive_buffer();
            let count = space.len().min(bytes.len());
            let (Some(place), Some((piece, rest))) =
                (space.get_mut(..count), bytes.split_at_checked(count))
            else {
                return;
            };
            if count == 0 {
                return;
            }
            place.copy_from_slice(piece);
            bytes = rest;
            self.received(count, now);
        }
    }

    /// The next thing to act on.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.wire.events.pop_front()
    }

    /// The next PDU to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.wire.outbox.pop();
        self.close_if_drained();
        if self.wire.outbox.is_empty() && transmit.is_some() {
            self.account();
        }
        transmit
    }

    /// Whether there is something to send.
    pub fn has_transmit(&self) -> bool {
        !self.wire.outbox.is_empty()
    }

    /// Bytes that wait to be sent.
    pub fn transmit_backlog_bytes(&self) -> usize {
        self.wire.outbox.backlog_bytes()
    }

    /// Lets an initiator in, in answer to [`Event::LoginReady`]. The owner numbers sessions with a TSIH other than zero,
    /// and I_T nexuses. False if the login has come to nothing meanwhile.
    pub fn accept_login(&mut self, tsih: u16, nexus: ItNexus) -> bool {
        let Phase::Login { state, .. } = &mut self.phase else { return false };
        let deciding = match state.take() {
            Some(LoginState::Deciding(deciding)) => deciding,
            other => {
                *state = other;
                return false;
            }
        };
        let (bhs, data, established) = deciding.accept(tsih);
        self.wire.outbox.push(bhs, data);
        let parameters = &established.parameters;
        self.receiver.enable_digests(parameters.has_header_digest, parameters.has_data_digest);
        self.wire.outbox.enable_digests(parameters.has_header_digest, parameters.has_data_digest);
        let session = Session::new(
            self.config.clone(),
            self.pool.clone(),
            established,
            nexus,
            self.portal.clone(),
        );
        self.phase = Phase::Session(Box::new(session));
        self.last_received = self.now;
        true
    }

    /// Turns an initiator away, in answer to [`Event::LoginReady`].
    pub fn refuse_login(&mut self, status: LoginStatus) {
        let Phase::Login { state, .. } = &mut self.phase else { return };
        match state.take() {
            Some(LoginState::Deciding(deciding)) => {
                self.wire.outbox.push(deciding.refuse(status), Bytes::new());
                self.wire.end(CloseReason::LoginRefused);
            }
            other => *state = other,
        }
        self.finish_call();
    }

    /// Answers a task. A key that is unknown, or whose task was aborted, is ignored.
    pub fn complete(&mut self, key: TaskKey, completion: Completion) {
        if let Phase::Session(session) = &mut self.phase {
            session.complete(key, completion, &mut self.wire);
        }
        self.finish_call();
    }

    /// Answers a task management function. FUNCTION COMPLETE ends the tasks that the event listed, without an answer.
    pub fn complete_task_management(
        &mut self,
        key: TaskManagementKey,
        response: TaskManagementResponse,
    ) {
        if let Phase::Session(session) = &mut self.phase {
            session.complete_task_management(key, response, &mut self.wire);
        }
        self.finish_call();
    }

    /// Drops the tasks that were not delivered, of one logical unit or of all, because another session's function ends
    /// them. Delivered tasks are the owner's.
    pub fn abort_waiting_tasks(&mut self, lun: Option<[u8; 8]>) {
        if let Phase::Session(session) = &mut self.phase {
            session.abort_waiting_tasks(lun, &mut self.wire);
        }
        self.finish_call();
    }

    /// Drops a task without an answer, delivered or not, because another session's function has ended it.
    pub fn abort_task(&mut self, key: TaskKey) {
        if let Phase::Session(session) = &mut self.phase {
            session.drop_task(key, &mut self.wire);
        }
        self.finish_call();
    }

    /// Asks the initiator to log out, and ends the connection if it has not done so in time. A connection in login just
    /// ends.
    pub fn request_logout(&mut self, within: Duration, now: Duration) {
        self.now = now;
        match &mut self.phase {
            Phase::Session(session) => {
                session.send_logout_request(within, &mut self.wire);
                self.logout_deadline = now.checked_add(within);
            }
            Phase::Login { .. } => self.close(CloseReason::Shutdown),
            Phase::Draining { .. } | Phase::Closed => {}
        }
    }

    /// Ends the connection at once, because it is lost or not wanted any more. Nothing more is sent.
    pub fn close(&mut self, reason: CloseReason) {
        let had_session = match self.phase {
            Phase::Login { .. } => false,
            Phase::Session(_) => true,
            Phase::Draining { .. } | Phase::Closed => {
                self.phase = Phase::Closed;
                self.wire.outbox.clear();
                return;
            }
        };
        self.phase = Phase::Closed;
        self.wire.outbox.clear();
        self.wire.events.push_back(Event::Closed { reason, had_session });
        self.account();
    }

    /// Whether the socket can be closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    fn in_login(
        config: Arc<TargetConfig>,
        pool: BufferPool,
        now: Duration,
        refusal: Option<LoginStatus>,
    ) -> Self {
        let deadline = now.checked_add(config.timeouts.login);
        let state = Some(LoginState::new(config.clone(), refusal));
        let wire = Wire {
            outbox: Outbox::default(),
            events: VecDeque::new(),
            share: Share::new(config.budget.clone()),
            in_flight_bytes: 0,
            ending: None,
        };
        Self {
            config,
            pool,
            receiver: Receiver::new(),
            wire,
            phase: Phase::Login { state, deadline },
            portal: None,
            now,
            last_received: now,
            last_progress: now,
            last_look: now,
            ping_sent: None,
            logout_deadline: None,
        }
    }

    /// A header is complete: checks its lengths and says where its data goes.
    fn begin_pdu(&mut self) -> Destination {
        let (bhs, lengths, ahs) = self.receiver.header();
        match &mut self.phase {
            Phase::Session(session) => {
                let limit = usize::try_from(self.config.limits.max_recv_data_segment_bytes)
                    .unwrap_or(usize::MAX);
                if lengths.data_bytes > limit {
                    session.refuse_length(bhs, &mut self.wire);
                    return Destination::Discard;
                }
                session.begin_pdu(bhs, ahs, lengths.opcode, lengths.data_bytes, &mut self.wire)
            }
            Phase::Login { .. } => {
                if lengths.opcode != Opcode::LOGIN_REQUEST {
                    // RFC 7143 §6.3: nothing else may come before the end of the login.
                    self.wire.end(CloseReason::ProtocolError);
                    return Destination::Discard;
                }
                if lengths.data_bytes > self.config.limits.max_text_bytes {
                    let request = LoginRequest::parse(bhs);
                    self.refuse_request(&request);
                    return Destination::Discard;
                }
                Destination::Control(Vec::new())
            }
            Phase::Draining { .. } | Phase::Closed => Destination::Discard,
        }
    }

    fn finish_pdu(&mut self, pdu: ReceivedPdu) {
        if self.wire.ending.is_some() {
            return;
        }
        match &mut self.phase {
            Phase::Session(session) => session.finish_pdu(pdu, &mut self.wire),
            Phase::Login { .. } => {
                let Destination::Control(data) = pdu.destination else { return };
                self.take_login_step(&LoginRequest::parse(&pdu.bhs), &data);
            }
            Phase::Draining { .. } | Phase::Closed => {}
        }
    }

    fn take_login_step(&mut self, request: &LoginRequest, data: &[u8]) {
        let Phase::Login { state, .. } = &mut self.phase else { return };
        let Some(current) = state.take() else { return };
        match current.handle(request, data) {
            Step::Answer { next, bhs, data } => {
                *state = Some(next);
                self.wire.outbox.push(bhs, data);
            }
            Step::Ready { next, ready } => {
                *state = Some(next);
                self.wire.events.push_back(Event::LoginReady(ready));
            }
            Step::Refuse { bhs, failure } => {
                if let Some((initiator, failure)) = failure {
                    self.wire.events.push_back(Event::LoginFailed { initiator, failure });
                }
                self.wire.outbox.push(bhs, Bytes::new());
                self.wire.end(CloseReason::LoginRefused);
            }
        }
    }

    fn refuse_request(&mut self, request: &LoginRequest) {
        let refusing = LoginState::new(self.config.clone(), Some(LoginStatus::INITIATOR_ERROR));
        if let Step::Refuse { bhs, .. } = refusing.handle(request, &[]) {
            self.wire.outbox.push(bhs, Bytes::new());
        }
        self.wire.end(CloseReason::LoginRefused);
    }

    /// Ends the connection if that has been decided during a call.
    fn finish_call(&mut self) {
        self.account();
        let Some(reason) = self.wire.ending else { return };
        let had_session = match self.phase {
            Phase::Login { .. } => false,
            Phase::Session(_) => true,
            Phase::Draining { .. } | Phase::Closed => return,
        };
        let deadline = self.now.checked_add(self.config.timeouts.drain);
        self.phase = Phase::Draining { deadline };
        self.wire.events.push_back(Event::Closed { reason, had_session });
        if reason == CloseReason::Memory {
            self.wire.outbox.clear();
        }
        self.close_if_drained();
        self.account();
    }

    fn close_if_drained(&mut self) {
        if matches!(self.phase, Phase::Draining { .. }) && self.wire.outbox.is_empty() {
            self.phase = Phase::Closed;
        }
    }
}
