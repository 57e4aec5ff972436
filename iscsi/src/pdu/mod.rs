//! Protocol data units (RFC 7143 §11): 48-byte basic header segments as types, both ways.
//!
//! A type here holds the fields of one header without its lengths; [`Lengths`] holds those, because framing has to know
//! them for every PDU, known or not. Code spaces are newtypes, so that a code nobody knows survives and can be logged.

mod codes;
mod command;
mod data;
mod fields;
mod login;
mod notice;
mod ping;
mod task_management;
mod text;

pub use codes::{
    AsyncEvent, InitiatorTaskTag, Isid, LoginStage, LoginStatus, LogoutReason, LogoutResponseCode,
    Opcode, RejectReason, TargetTransferTag, TaskManagementFunctionCode, TaskManagementResponse,
};
pub use command::{Residual, ScsiCommand, ScsiResponse};
pub use data::{DataIn, DataOut, ReadyToTransfer};
pub use fields::{BHS_BYTES, Bhs, Lengths, Sequence};
pub use login::{LoginRequest, LoginResponse};
pub use notice::{AsyncMessage, LogoutRequest, LogoutResponse, Reject};
pub use ping::{NopIn, NopOut};
pub use task_management::{TaskManagementAnswer, TaskManagementRequest};
pub use text::{TextRequest, TextResponse};
