//! Persistent reservations that outlive the program (SPC-5 §5.14.5): of one logical unit, as the ledger keeps them.

use serde::{Deserialize, Serialize};

/// Who is registered at a logical unit, and who holds it reserved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReservations {
    /// Nobody: there is nothing to be kept any more.
    pub registrants: Vec<KeptRegistrant>,
    /// The reservation, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<KeptReservation>,
}

/// One initiator port that is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRegistrant {
    /// The initiator's name.
    pub initiator: String,
    /// What tells several ports of one initiator apart.
    pub initiator_port: String,
    /// Its reservation key.
    pub key: u64,
}

/// A reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReservation {
    /// The code of its type.
    pub kind: u8,
    /// Which of the registrants made it, counted from 0.
    pub maker: usize,
}
