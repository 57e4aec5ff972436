//! One connection: bytes between the socket and the protocol, tasks between the protocol and the logical units.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info, trace};
use vtl_iscsi::{
    CloseReason, Connection, Event, LoginReady, TaskKey, TaskManagement, TaskManagementKey,
    TaskManagementResponse, Transmit,
};
use vtl_scsi::{Completion, Lun, Rights, Task, spc};

use crate::access::Gate;
use crate::management;
use crate::pending::PendingLogin;
use crate::portal::{OpenSession, Place, Portal};
use crate::unit::{Reply, Ticket, Unit};

/// Slices of memory in one write.
const MAX_SLICES: usize = 48;
/// Pieces received before completions are looked after again.
const MAX_RECEIVES: usize = 32;
/// A peer that is told goodbye takes the last bytes within this time, or does not get them.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// A peer that takes nothing of what it is sent for so long is let go, as one that says nothing is.
const SEND_LIMIT: Duration = Duration::from_secs(30);
/// What is taken from the protocol to be sent next.
const MAX_IN_FLIGHT_BYTES: usize = 4 << 20;

/// What reaches a connection from outside.
#[derive(Debug)]
pub(crate) enum Message {
    /// A task is done.
    Completed(TaskKey, Completion),
    /// A task was aborted on behalf of somebody else.
    Aborted(TaskKey),
    /// Tasks that were not delivered yet are aborted on behalf of somebody else, who waits until the sender is dropped.
    AbortWaiting(Option<[u8; 8]>, mpsc::Sender<()>),
    /// A task management function is done.
    ManagementDone(TaskManagementKey, TaskManagementResponse),
    /// The program ends: ask the initiator to log out.
    RequestLogout(Duration),
    /// The initiator may do more from now on.
    Rights(Rights),
    /// The session ends now.
    Close(CloseReason),
}

/// Runs a connection until it ends.
pub(crate) async fn run(
    stream: TcpStream,
    connection: Connection,
    (portal, gate): (Arc<Portal>, Arc<Gate>),
    Place { sender, inbox, pending, permit }: Place,
) {
    let peer = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    let mut session = Session {
        connection,
        portal,
        gate,
        sender,
        inbox,
        outgoing: VecDeque::new(),
        sent: 0,
        outgoing_bytes: 0,
        stalled: None,
        drained: None,
        tickets: HashMap::new(),
        open: None,
        pending: Some(pending),
        peer,
    };
    if let Err(error) = session.serve(&stream).await {
        debug!(%error, "the connection broke");
        session.connection.close(CloseReason::ConnectionLost);
        session.act().await;
    }
    session.end().await;
    drop(permit);
}

struct Session {
    connection: Connection,
    portal: Arc<Portal>,
    gate: Arc<Gate>,
    sender: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<Message>,
    outgoing: VecDeque<Transmit>,
    /// Bytes of the first of `outgoing` that the socket has taken.
    sent: usize,
    /// The sum of all lengths in `outgoing`.
    outgoing_bytes: usize,
    /// Since when the peer has taken nothing of it.
    stalled: Option<Instant>,
    /// Until when the peer may take the last of it.
    drained: Option<Instant>,
    /// Delivered tasks that are not done.
    tickets: HashMap<TaskKey, (Ticket, Arc<Unit>)>,
    open: Option<OpenSession>,
    /// Counts against the limit of connections that are not logged in.
    pending: Option<PendingLogin>,
    /// Where the initiator is.
    peer: String,
}

/// Tells the connection what became of a task, even if nobody ever carries it out.
struct Answer {
    key: TaskKey,
    sender: Option<mpsc::UnboundedSender<Message>>,
}

impl Answer {
    fn complete(mut self, completion: Completion) {
        if let Some(sender) = self.sender.take()
            && sender.send(Message::Completed(self.key, completion)).is_err()
        {
            trace!("nobody waits for this completion any more");
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take()
            && sender.send(Message::Aborted(self.key)).is_err()
        {
            trace!("nobody waits for this task any more");
        }
    }
}

impl Session {
    async fn serve(&mut self, stream: &TcpStream) -> io::Result<()> {
        loop {
            let mut has_moved = self.receive(stream)?;
            while let Ok(message) = self.inbox.try_recv() {
                self.take(message);
                has_moved = true;
            }
            self.act().await;
            has_moved |= self.transmit(stream)?;
            if self.connection.is_closed() && self.outgoing.is_empty() {
                return Ok(());
            }
            // What the clock ends has to be sent or seen before anything is waited for.
            has_moved |= self.look_at_clock()?;
            if has_moved {
                // A peer that always has something to say keeps neither its own deadlines from passing nor others from their turn.
                tokio::task::consume_budget().await;
            } else {
                self.wait(stream).await?;
            }
        }
    }

    /// Acts on what should have happened by now, and says whether there was something.
    fn look_at_clock(&mut self) -> io::Result<bool> {
        let now = Instant::now();
        if self.send_deadline().is_some_and(|deadline| deadline <= now) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.connection.is_closed() {
            self.drained.get_or_insert(now + DRAIN_LIMIT);
        }
        let time = self.portal.time(now);
        let is_late = self.connection.poll_timeout().is_some_and(|timeout| timeout <= time);
        if is_late {
            self.connection.handle_timeout(time);
        }
        Ok(is_late)
    }

    fn send_deadline(&self) -> Option<Instant> {
        let stalled = self.stalled.map(|since| since + SEND_LIMIT);
        stalled.into_iter().chain(self.drained).min()
    }

    async fn wait(&mut self, stream: &TcpStream) -> io::Result<()> {
        let wants_receive = self.connection.wants_receive();
        let wants_transmit = !self.outgoing.is_empty();
        let timeout = self.connection.poll_timeout().map(|timeout| self.portal.instant(timeout));
        let deadline = timeout.into_iter().chain(self.send_deadline()).min();
        let interest = match (wants_receive, wants_transmit) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        };
        tokio::select! {
            ready = async { stream.ready(interest.unwrap_or(Interest::READABLE)).await }, if interest.is_some() => {
                ready?;
            }
            Some(message) = self.inbox.recv() => self.take(message),
            () = async { tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)).await }, if deadline.is_some() => {
                self.look_at_clock()?;
            }
        }
        Ok(())
    }

    /// Receives what is there, straight to where it belongs.
    fn receive(&mut self, stream: &TcpStream) -> io::Result<bool> {
        let mut has_moved = false;
        for _ in 0..MAX_RECEIVES {
            if !self.connection.wants_receive() {
                break;
            }
            match stream.try_read(self.connection.receive_buffer()) {
                // What came before the end is answered first.
                Ok(0) if has_moved => break,
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.connection.received(count, self.portal.now()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            has_moved = true;
        }
        Ok(has_moved)
    }

    fn transmit(&mut self, stream: &TcpStream) -> io::Result<bool> {
        let has_moved = self.send(stream)?;
        if has_moved || self.outgoing.is_empty() {
            self.stalled = None;
        }
        if !self.outgoing.is_empty() {
            self.stalled.get_or_insert_with(Instant::now);
        }
        let in_flight_bytes = self.outgoing_bytes - self.sent;
        self.connection.set_in_flight(in_flight_bytes, self.portal.now());
        if has_moved && let Some(pending) = &self.pending {
            pending.has_spoken();
        }
        Ok(has_moved)
    }

    fn send(&mut self, stream: &TcpStream) -> io::Result<bool> {
        let mut has_moved = false;
        loop {
            while self.outgoing.len() < MAX_SLICES / 3 && self.outgoing_bytes < MAX_IN_FLIGHT_BYTES
            {
                let Some(transmit) = self.connection.poll_transmit() else { break };
                self.outgoing_bytes += transmit.len();
                self.outgoing.push_back(transmit);
            }
            if self.outgoing.is_empty() {
                return Ok(has_moved);
            }
            let written = {
                let slices = unsent(&self.outgoing, self.sent);
                match stream.try_write_vectored(&slices) {
                    Ok(written) => written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(has_moved);
                    }
                    Err(error) => return Err(error),
                }
            };
            has_moved = true;
            self.sent += written;
            while let Some(first) = self.outgoing.front()
                && self.sent >= first.len()
            {
                self.sent -= first.len();
                self.outgoing_bytes -= first.len();
                self.outgoing.pop_front();
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Completed(key, completion) => {
                self.tickets.remove(&key);
                self.connection.complete(key, completion);
            }
            Message::Aborted(key) => {
                self.tickets.remove(&key);
                self.connection.abort_task(key);
            }
            Message::AbortWaiting(lun, _done) => self.connection.abort_waiting_tasks(lun),
            Message::ManagementDone(key, response) => {
                self.connection.complete_task_management(key, response);
            }
            Message::RequestLogout(within) => {
                self.connection.request_logout(within, self.portal.now());
            }
            Message::Rights(rights) => {
                if let Some(open) = &mut self.open {
                    open.rights = rights;
                }
            }
            Message::Close(reason) => self.connection.close(reason),
        }
    }

    /// Acts on everything that the protocol has to say.
    async fn act(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::LoginReady(login) => self.log_in(login).await,
                Event::LoginFailed { initiator, failure } => {
                    self.portal.refusals.note(&initiator, &self.peer, &failure);
                }
                Event::Task { key, lun, task } => self.start(key, lun, task),
                Event::TaskManagement { key, function, tasks } => {
                    self.manage(key, function, &tasks);
                }
                Event::Closed { reason, had_session } => {
                    if had_session {
                        let initiator = self
                            .open
                            .as_ref()
                            .map(|open| open.key.initiator.as_str())
                            .unwrap_or_default();
                        info!(initiator, %reason, "session closed");
                        // Whatever is still to be sent says at most that the session is over: a response to a logout must
                        // not say so before what the session wrote is on disk, and says nothing if that cannot be.
                        if !self.end().await {
                            self.connection.close(CloseReason::ConnectionLost);
                        }
                    } else {
                        debug!(%reason, "connection closed");
                    }
                }
            }
        }
    }

    async fn log_in(&mut self, login: LoginReady) {
        match self.portal.open_session(&login, &self.gate, &self.sender).await {
            Ok(open) => {
                let (tsih, nexus) = (open.tsih, open.nexus);
                let chap = login.authenticated.map_or("none", |how| how.algorithm.name());
                let is_mutual = login.authenticated.is_some_and(|how| how.is_mutual);
                info!(initiator = open.key.initiator, peer = self.peer, isid = %login.isid, tsih, target = login.target,
                    chap, mutual = is_mutual, "session opened");
                self.open = Some(open);
                self.pending = None;
                self.connection.accept_login(tsih, nexus);
            }
            Err(status) => {
                let failure = format_args!("{status:?}");
                self.portal.refusals.note(&login.initiator, &self.peer, &failure);
                self.connection.refuse_login(status);
            }
        }
    }

    fn start(&mut self, key: TaskKey, lun: [u8; 8], mut task: Task) {
        let Some(open) = &self.open else { return };
        task.rights = open.rights.clone();
        let Some(unit) = open.unit(lun) else {
            let luns: Vec<Lun> = open.units().iter().map(|unit| open.lun(unit)).collect();
            self.connection.complete(key, spc::execute_absent(&task, &luns));
            return;
        };
        let ticket = self.portal.next_ticket();
        let sender = self.sender.clone();
        let reply = || -> Reply {
            let answer = Answer { key, sender: Some(sender) };
            Box::new(move |completion| answer.complete(completion))
        };
        match unit.submit(ticket, task, reply) {
            Some(completion) => self.connection.complete(key, completion),
            None => {
                self.tickets.insert(key, (ticket, unit));
            }
        }
    }

    fn manage(&mut self, key: TaskManagementKey, function: TaskManagement, tasks: &[TaskKey]) {
        for (ticket, unit) in tasks.iter().filter_map(|task| self.tickets.remove(task)) {
            unit.abort_task(ticket);
        }
        let Some(open) = &self.open else { return };
        let (lun, is_reset) = match function {
            TaskManagement::AbortTask { lun } | TaskManagement::AbortTaskSet { lun } => {
                let response = match open.unit(lun) {
                    Some(_) => TaskManagementResponse::FUNCTION_COMPLETE,
                    None => TaskManagementResponse::LUN_DOES_NOT_EXIST,
                };
                self.connection.complete_task_management(key, response);
                return;
            }
            TaskManagement::ClearTaskSet { lun } => (Some(lun), false),
            TaskManagement::LogicalUnitReset { lun } => (Some(lun), true),
            TaskManagement::TargetWarmReset | TaskManagement::TargetColdReset => (None, true),
        };
        let units = match lun {
            None => open.units(),
            Some(lun) => open.unit(lun).into_iter().collect(),
        };
        if units.is_empty() {
            self.connection
                .complete_task_management(key, TaskManagementResponse::LUN_DOES_NOT_EXIST);
            return;
        }
        let (target, own) = (open.key.target.as_deref(), Some(open.tsih));
        let (done, others) = mpsc::channel(1);
        // Whoever sees some units only reaches nobody's tasks in the others, and ends no session but its own.
        let sees_all = open.rights.luns.is_none();
        let luns: Vec<_> = match lun {
            None if !sees_all => units.iter().map(|unit| Some(open.lun(unit).encode())).collect(),
            lun => vec![lun],
        };
        for lun in luns {
            self.portal.tell_others(target, own, || Message::AbortWaiting(lun, done.clone()));
        }
        drop(done);
        // A reader may get a drive going again, but whoever writes does not lose his session to it.
        let may_close = sees_all && !open.rights.is_read_only;
        if function == TaskManagement::TargetColdReset && may_close {
            let close = || Message::Close(CloseReason::TargetReset);
            self.portal.tell_others(target, own, close);
        }
        let sender = self.sender.clone();
        let work = management::carry_out(units, is_reset, open.nexus, others);
        tokio::spawn(async move {
            work.await;
            let done = Message::ManagementDone(key, TaskManagementResponse::FUNCTION_COMPLETE);
            if sender.send(done).is_err() {
                trace!("nobody waits for this function any more");
            }
        });
    }

    /// The session's tasks end with it, and what it held in the devices. Whether everything that it wrote is on disk.
    async fn end(&mut self) -> bool {
        self.tickets.clear();
        match self.open.take() {
            Some(open) => self.portal.close_session(open).await,
            None => true,
        }
    }
}

/// What is left of the outgoing PDUs, in slices for one write.
fn unsent(outgoing: &VecDeque<Transmit>, mut skip: usize) -> Vec<IoSlice<'_>> {
    let mut slices = Vec::with_capacity(outgoing.len() * 3);
    for slice in outgoing.iter().flat_map(Transmit::slices) {
        let rest = slice.get(skip..).unwrap_or_default();
        skip = skip.saturating_sub(slice.len());
        if !rest.is_empty() {
            slices.push(IoSlice::new(rest));
        }
    }
    slices
}
