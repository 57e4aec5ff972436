//! How a task ends.

use bytes::Bytes;

use crate::sense::{Sense, SenseFormat};
use crate::{ItNexus, Status};

/// The one answer to a task: a status, sense data where the status is CHECK CONDITION, and data-in.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The status byte.
    pub status: Status,
    /// Why, for CHECK CONDITION. A [`Status::GOOD`] has none.
    pub sense: Option<Sense>,
    /// How the sense data is to be encoded: the logical unit's D_SENSE bit as it was when the task ended.
    pub sense_format: SenseFormat,
    /// Data for the initiator, already cut to the CDB's allocation or transfer length. It may come with a CHECK CONDITION.
    pub data_in: Bytes,
    /// Bytes of data-out that the CDB asked for, whether or not they came: the transport computes its residual count from
    /// this and from what the initiator had announced.
    pub data_out_length_bytes: u64,
    /// Nexuses whose tasks in this logical unit are to be ended (PREEMPT AND ABORT).
    pub aborted: Vec<ItNexus>,
}

impl Completion {
    /// GOOD, without data.
    pub fn good() -> Self {
        Self {
            status: Status::GOOD,
            sense: None,
            sense_format: SenseFormat::Fixed,
            data_in: Bytes::new(),
            data_out_length_bytes: 0,
            aborted: Vec::new(),
        }
    }

    /// GOOD, with data for the initiator.
    pub fn data_in(data: impl Into<Bytes>) -> Self {
        Self { data_in: data.into(), ..Self::good() }
    }

    /// GOOD, with data for the initiator cut to the allocation length of the CDB.
    pub fn data_in_allocated(data: impl Into<Bytes>, allocation_length: u32) -> Self {
        let mut data = data.into();
        data.truncate(usize::try_from(allocation_length).unwrap_or(usize::MAX));
        Self::data_in(data)
    }

    /// CHECK CONDITION with the reason.
    pub fn check_condition(sense: Sense) -> Self {
        Self { status: Status::CHECK_CONDITION, sense: Some(sense), ..Self::good() }
    }

    /// Any other status; none of them has data or sense.
    pub fn with_status(status: Status) -> Self {
        Self { status, ..Self::good() }
    }

    /// The same completion after a command that takes this many bytes of data-out.
    #[must_use]
    pub fn after_data_out(mut self, length_bytes: u64) -> Self {
        self.data_out_length_bytes = length_bytes;
        self
    }

    /// The sense data as the transport sends it: empty unless the status is CHECK CONDITION.
    pub fn sense_bytes(&self) -> Vec<u8> {
        self.sense.as_ref().map(|sense| sense.encode(self.sense_format)).unwrap_or_default()
    }
}

impl From<Sense> for Completion {
    fn from(sense: Sense) -> Self {
        Self::check_condition(sense)
    }
}
