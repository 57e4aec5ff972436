//! Code spaces of the wire. Each keeps values that it does not know.

macro_rules! code_space {
    ($(#[$doc:meta])* $name:ident($repr:ty) { $($(#[$item:meta])* $constant:ident = $value:expr;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub $repr);

        impl $name {
            $($(#[$item])* pub const $constant: Self = Self($value);)+
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match *self {
                    $(Self::$constant => f.write_str(stringify!($constant)),)+
                    Self(other) => write!(f, concat!(stringify!($name), "({:#x})"), other),
                }
            }
        }
    };
}

code_space! {
    /// What a PDU is (RFC 7143 §11.2.1.2).
    Opcode(u8) {
        /// An initiator's ping or its answer to ours.
        NOP_OUT = 0x00;
        /// A SCSI command.
        SCSI_COMMAND = 0x01;
        /// A request about tasks.
        TASK_MANAGEMENT_REQUEST = 0x02;
        /// A step of the login.
        LOGIN_REQUEST = 0x03;
        /// Text keys in full feature phase.
        TEXT_REQUEST = 0x04;
        /// Data of a write.
        DATA_OUT = 0x05;
        /// The end of a connection or session.
        LOGOUT_REQUEST = 0x06;
        /// A request to send something again, not part of error recovery level 0.
        SNACK_REQUEST = 0x10;
        /// Our ping or the answer to the initiator's.
        NOP_IN = 0x20;
        /// The end of a SCSI command.
        SCSI_RESPONSE = 0x21;
        /// The answer to a request about tasks.
        TASK_MANAGEMENT_RESPONSE = 0x22;
        /// A step of the login.
        LOGIN_RESPONSE = 0x23;
        /// Text keys in full feature phase.
        TEXT_RESPONSE = 0x24;
        /// Data of a read.
        DATA_IN = 0x25;
        /// The answer to a logout.
        LOGOUT_RESPONSE = 0x26;
        /// A request for data of a write.
        READY_TO_TRANSFER = 0x31;
        /// News without a request.
        ASYNC_MESSAGE = 0x32;
        /// A PDU was refused.
        REJECT = 0x3f;
    }
}

impl Opcode {
    /// Whether only a target sends such PDUs.
    pub fn is_sent_by_target(self) -> bool {
        self.0 & 0x20 != 0
    }
}

code_space! {
    /// A step on the way through the login (RFC 7143 §11.12.3).
    LoginStage(u8) {
        /// Who is there.
        SECURITY_NEGOTIATION = 0;
        /// How to talk.
        OPERATIONAL_NEGOTIATION = 1;
        /// Login is over.
        FULL_FEATURE_PHASE = 3;
    }
}

code_space! {
    /// How a login went (RFC 7143 §11.13.5): class and detail.
    LoginStatus(u16) {
        /// The login goes on, or is done.
        SUCCESS = 0x0000;
        /// The initiator broke the rules in some way that has no status of its own.
        INITIATOR_ERROR = 0x0200;
        /// The initiator did not prove who it is.
        AUTHENTICATION_FAILURE = 0x0201;
        /// The initiator is known and not allowed.
        AUTHORIZATION_FAILURE = 0x0202;
        /// There is no such target, for this initiator at least.
        NOT_FOUND = 0x0203;
        /// There was such a target once.
        TARGET_REMOVED = 0x0204;
        /// No version of the protocol in common.
        UNSUPPORTED_VERSION = 0x0205;
        /// The session has as many connections as it can.
        TOO_MANY_CONNECTIONS = 0x0206;
        /// A key is missing that must be there.
        MISSING_PARAMETER = 0x0207;
        /// The session cannot take this connection in.
        CANNOT_INCLUDE_IN_SESSION = 0x0208;
        /// A session type that is not offered.
        SESSION_TYPE_NOT_SUPPORTED = 0x0209;
        /// No session has this TSIH.
        SESSION_DOES_NOT_EXIST = 0x020a;
        /// A request that does not fit what came before it in this login.
        INVALID_DURING_LOGIN = 0x020b;
        /// The target failed.
        TARGET_ERROR = 0x0300;
        /// The target does not take logins at the moment.
        SERVICE_UNAVAILABLE = 0x0301;
        /// The target has no room for another session.
        OUT_OF_RESOURCES = 0x0302;
    }
}

code_space! {
    /// What a task management request asks for (RFC 7143 §11.5.1).
    TaskManagementFunctionCode(u8) {
        /// End one task.
        ABORT_TASK = 1;
        /// End this session's tasks in a logical unit.
        ABORT_TASK_SET = 2;
        /// End the auto contingent allegiance, which no device here has.
        CLEAR_ACA = 3;
        /// End every session's tasks in a logical unit.
        CLEAR_TASK_SET = 4;
        /// Reset a logical unit.
        LOGICAL_UNIT_RESET = 5;
        /// Reset all logical units.
        TARGET_WARM_RESET = 6;
        /// Reset all logical units and end all sessions.
        TARGET_COLD_RESET = 7;
        /// Move a task to another connection.
        TASK_REASSIGN = 8;
    }
}

code_space! {
    /// How a task management function went (RFC 7143 §11.6.1).
    TaskManagementResponse(u8) {
        /// Done.
        FUNCTION_COMPLETE = 0;
        /// The referenced task is not there any more, or never was.
        TASK_DOES_NOT_EXIST = 1;
        /// The logical unit is not there.
        LUN_DOES_NOT_EXIST = 2;
        /// The task still belongs to its connection.
        TASK_STILL_ALLEGIANT = 3;
        /// Tasks cannot move to another connection.
        REASSIGNMENT_NOT_SUPPORTED = 4;
        /// The function is not offered.
        FUNCTION_NOT_SUPPORTED = 5;
        /// The initiator may not do this.
        AUTHORIZATION_FAILED = 6;
        /// The function was refused.
        FUNCTION_REJECTED = 255;
    }
}

code_space! {
    /// Why a PDU was refused (RFC 7143 §11.17.1).
    RejectReason(u8) {
        /// The data segment did not match its digest.
        DATA_DIGEST_ERROR = 0x02;
        /// SNACK is not part of error recovery level 0.
        SNACK_REJECT = 0x03;
        /// The PDU breaks the protocol.
        PROTOCOL_ERROR = 0x04;
        /// There is no such command.
        COMMAND_NOT_SUPPORTED = 0x05;
        /// Too many immediate commands at once.
        TOO_MANY_IMMEDIATE_COMMANDS = 0x06;
        /// The initiator task tag is in use.
        TASK_IN_PROGRESS = 0x07;
        /// An acknowledgement of data that was not asked for.
        INVALID_DATA_ACK = 0x08;
        /// A field has a value that it cannot have.
        INVALID_PDU_FIELD = 0x09;
        /// No target transfer tag is left.
        LONG_OPERATION = 0x0a;
        /// The initiator was asked to log out and did not.
        WAITING_FOR_LOGOUT = 0x0c;
    }
}

code_space! {
    /// What a logout ends (RFC 7143 §11.14.1).
    LogoutReason(u8) {
        /// The session.
        CLOSE_SESSION = 0;
        /// One connection.
        CLOSE_CONNECTION = 1;
        /// One connection whose tasks are to live on.
        REMOVE_FOR_RECOVERY = 2;
    }
}

code_space! {
    /// How a logout went (RFC 7143 §11.15.1).
    LogoutResponseCode(u8) {
        /// Connection or session are closed.
        CLOSED = 0;
        /// There is no such connection.
        CID_NOT_FOUND = 1;
        /// Tasks do not outlive their connection here.
        RECOVERY_NOT_SUPPORTED = 2;
        /// Something was left over.
        CLEANUP_FAILED = 3;
    }
}

code_space! {
    /// What an asynchronous message tells (RFC 7143 §11.9.1).
    AsyncEvent(u8) {
        /// Sense data in the data segment.
        SCSI = 0;
        /// The target wants the initiator to log out.
        LOGOUT_REQUESTED = 1;
        /// The target is about to drop a connection.
        CONNECTION_DROPPED = 2;
        /// The target is about to drop the session.
        SESSION_DROPPED = 3;
        /// The target wants to negotiate.
        NEGOTIATION_REQUESTED = 4;
    }
}

/// The initiator's name for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InitiatorTaskTag(pub u32);

impl InitiatorTaskTag {
    /// Names no task.
    pub const RESERVED: Self = Self(u32::MAX);
}

/// Our name for a burst, a text exchange or a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TargetTransferTag(pub u32);

impl TargetTransferTag {
    /// Names nothing.
    pub const RESERVED: Self = Self(u32::MAX);
}

/// The initiator's part of a session's identity (RFC 7143 §11.12.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Isid(pub [u8; 6]);

impl std::fmt::Display for Isid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_prints_its_name_and_an_unknown_one_its_number() {
        assert_eq!(format!("{:?}", Opcode::REJECT), "REJECT");
        assert_eq!(format!("{:?}", Opcode(0x1d)), "Opcode(0x1d)");
        assert_eq!(format!("{:?}", LoginStatus(0x0142)), "LoginStatus(0x142)");
        assert_eq!(Isid([0, 2, 0x3d, 0, 0, 0xff]).to_string(), "00023d0000ff");
    }
}
