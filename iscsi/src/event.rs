//! What a connection tells its owner.

use vtl_scsi::Task;

use crate::chap::Authenticated;
use crate::pdu::{InitiatorTaskTag, Isid};

/// Something that the owner of a connection has to act on.
#[derive(Debug)]
pub enum Event {
    /// An initiator has negotiated everything. Answer with [`accept_login`](crate::Connection::accept_login), after ending
    /// the session that this one replaces, if there is one, or with [`refuse_login`](crate::Connection::refuse_login).
    LoginReady(LoginReady),
    /// Somebody was turned away who could not prove who it is, or whom nobody let in. The connection ends.
    LoginFailed {
        /// Who that said to be.
        initiator: String,
        /// Why; the initiator is told less.
        failure: LoginFailure,
    },
    /// A command with all of its data-out. Answer with [`complete`](crate::Connection::complete). Tasks of one logical unit
    /// come in the order in which they have to be taken.
    Task {
        /// Names the task in the answer.
        key: TaskKey,
        /// The logical unit, as it came.
        lun: [u8; 8],
        /// The command.
        task: Task,
    },
    /// A task management function. The tasks that it ends and that were not delivered yet are gone already. Answer with
    /// [`complete_task_management`](crate::Connection::complete_task_management).
    TaskManagement {
        /// Names the function in the answer.
        key: TaskManagementKey,
        /// What is asked.
        function: TaskManagement,
        /// This session's delivered tasks that it ends. Until the function is answered they may still be completed.
        tasks: Vec<TaskKey>,
    },
    /// The connection is over, and its session with it. The tasks that were delivered and not answered are aborted; their
    /// completions would be ignored. No event follows.
    Closed {
        /// Why.
        reason: CloseReason,
        /// Whether a login had been accepted.
        had_session: bool,
    },
}

/// A login that only lacks its owner's consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginReady {
    /// The initiator's name.
    pub initiator: String,
    /// With the initiator's name, the initiator port; with the target on top of it, the session: a second login with the
    /// same three replaces the first (session reinstatement, RFC 7143 §6.3.5).
    pub isid: Isid,
    /// The session that the connection wants to join, or zero for a new one. Sessions have one connection, so that any
    /// other number is to be refused: with [`SESSION_DOES_NOT_EXIST`](crate::LoginStatus::SESSION_DOES_NOT_EXIST), or with
    /// [`TOO_MANY_CONNECTIONS`](crate::LoginStatus::TOO_MANY_CONNECTIONS) if there is such a session.
    pub tsih: u16,
    /// The target, or none in a discovery session.
    pub target: Option<String>,
    /// How the initiator proved who it is, if it did.
    pub authenticated: Option<Authenticated>,
}

/// Why an initiator was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginFailure {
    /// It offered no CHAP, or left the security stage without it.
    #[error("CHAP is required, and it did not authenticate")]
    NotAuthenticated,
    /// It offered CHAP only, and there is no secret to compare with.
    #[error("it wants to authenticate, and no secret is stored for it")]
    NotExpected,
    /// None of its algorithms is allowed here.
    #[error("it offers no CHAP algorithm that is allowed here")]
    NoCommonAlgorithm,
    /// No challenge can be made.
    #[error("the operating system gives no random numbers")]
    NoRandomNumbers,
    /// User or secret are wrong.
    #[error("wrong user name or secret")]
    WrongProof,
    /// No rule lets it in, or it has no secret.
    #[error("unknown initiator, or one without a secret")]
    UnknownInitiator,
    /// It wanted one of our own challenges answered.
    #[error("it sent a challenge of ours back")]
    ReflectedChallenge,
    /// Both sides have the same secret, so that neither proves anything.
    #[error("the target's secret is the same as the initiator's")]
    SameSecret,
    /// It wants the target to prove itself, which has nothing to do so.
    #[error("it asks for the target's proof, and no secret of the target is stored for it")]
    NoTargetSecret,
    /// There is no such target, for this initiator at least.
    #[error("there is no such target for it")]
    NoTarget,
}

/// Names a delivered task within its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskKey {
    pub(crate) itt: InitiatorTaskTag,
    /// Tells tasks apart that used the same tag one after the other.
    pub(crate) ordinal: u64,
}

/// Names a task management function within its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskManagementKey(pub(crate) TaskKey);

/// A task management function that concerns more than the connection itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskManagement {
    /// End one task, which has been delivered: the only one in the event's list.
    AbortTask {
        /// Its logical unit.
        lun: [u8; 8],
    },
    /// End this session's tasks in a logical unit.
    AbortTaskSet {
        /// The logical unit.
        lun: [u8; 8],
    },
    /// End all sessions' tasks in a logical unit. Other sessions have undelivered ones, too:
    /// [`abort_waiting_tasks`](crate::Connection::abort_waiting_tasks).
    ClearTaskSet {
        /// The logical unit.
        lun: [u8; 8],
    },
    /// Reset a logical unit, which ends all sessions' tasks in it.
    LogicalUnitReset {
        /// The logical unit.
        lun: [u8; 8],
    },
    /// Reset all logical units.
    TargetWarmReset,
    /// Reset all logical units and end all sessions. This one ends after its answer has been sent.
    TargetColdReset,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The initiator logged out.
    #[error("logged out")]
    Logout,
    /// The login was answered with a status other than success.
    #[error("login refused")]
    LoginRefused,
    /// The login took too long.
    #[error("login timed out")]
    LoginTimeout,
    /// The initiator fell silent.
    #[error("no answer to a ping")]
    NopTimeout,
    /// The initiator was asked to log out and did not in time.
    #[error("no logout in time after it was requested")]
    LogoutTimeout,
    /// A header did not match its digest: nothing in the stream can be trusted any more.
    #[error("header digest error")]
    HeaderDigest,
    /// A command did not match its data digest. It cannot be sent again at error recovery level 0.
    #[error("data digest error")]
    DataDigest,
    /// The initiator broke the protocol in a way that leaves no common ground.
    #[error("protocol error")]
    ProtocolError,
    /// The initiator sends and does not receive.
    #[error("too much waits to be sent")]
    Backlog,
    /// Memory is short, and this connection held too much of it, or held some and got nothing done.
    #[error("holds memory that others need")]
    Memory,
    /// A target cold reset.
    #[error("target cold reset")]
    TargetReset,
    /// The peer closed the TCP connection, or it broke.
    #[error("connection lost")]
    ConnectionLost,
    /// Another login took the session's place.
    #[error("session reinstated")]
    Reinstated,
    /// Too many discovery sessions, and this one is the oldest.
    #[error("discovery took too long while others wait")]
    Discovery,
    /// The initiator may not do any more what the session may.
    #[error("access revoked or narrowed")]
    AccessRevoked,
    /// The owner ended it.
    #[error("shut down")]
    Shutdown,
}
