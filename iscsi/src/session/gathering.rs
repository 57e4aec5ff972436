//! The data-out of one command on its way in: what was announced, what was asked for, what has arrived.

use vtl_scsi::sense::Sense;
use vtl_scsi::{Buffer, BufferPool};

use crate::pdu::{DataOut, TargetTransferTag};
use crate::sense;

/// Data-out that is being collected.
#[derive(Debug)]
pub(super) struct Gathering {
    /// Away while the receiver fills it.
    // Invariant: while the buffer is here, arrived_bytes <= buffer.len()
    buffer: Option<Buffer>,
    /// All the data that the initiator has.
    wanted_bytes: usize,
    /// Data from the beginning on that was announced or asked for.
    // Invariant: arrived_bytes <= requested_bytes <= wanted_bytes
    requested_bytes: usize,
    arrived_bytes: usize,
    /// Data-Out PDUs that come without R2T.
    unsolicited: Option<Burst>,
    /// R2Ts that are being answered.
    solicited: Vec<(TargetTransferTag, Burst)>,
    r2t_sn: u32,
    /// Whether the rest is asked for at all.
    may_solicit: bool,
    /// Why the command cannot be carried out any more.
    failure: Option<Sense>,
}

/// A sequence of Data-Out PDUs. DataPDUInOrder is always Yes, so that each PDU goes on where the one before ended.
#[derive(Debug)]
struct Burst {
    // Invariant: next_offset <= end
    next_offset: usize,
    end: usize,
    next_data_sn: u32,
}

/// A burst to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BurstRequest {
    pub(super) r2t_sn: u32,
    pub(super) offset: usize,
    pub(super) length: usize,
}

/// What a Data-Out PDU turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// Data that belongs here.
    Wanted { offset: usize },
    /// Data of a command that has failed already.
    Unwanted,
    /// A PDU that breaks the protocol.
    Violation,
}

impl Gathering {
    /// For a command that has no data-out, or that will not be given its data-out.
    pub(super) fn nothing() -> Self {
        Self::of(Buffer::default(), 0, 0)
    }

    /// For a command that announces `wanted_bytes` and has the first `immediate_bytes` with it.
    pub(super) fn of(buffer: Buffer, wanted_bytes: usize, immediate_bytes: usize) -> Self {
        Self {
            buffer: Some(buffer),
            wanted_bytes,
            requested_bytes: immediate_bytes.min(wanted_bytes),
            arrived_bytes: 0,
            unsolicited: None,
            solicited: Vec::new(),
            r2t_sn: 0,
            may_solicit: false,
            failure: None,
        }
    }

    /// Lets unsolicited Data-Out PDUs come, up to this offset.
    pub(super) fn expect_unsolicited(&mut self, end: usize) {
        let end = end.min(self.wanted_bytes);
        if self.requested_bytes < end {
            self.unsolicited =
                Some(Burst { next_offset: self.requested_bytes, end, next_data_sn: 0 });
        }
    }

    /// From now on the rest may be asked for.
    pub(super) fn allow_soliciting(&mut self) {
        self.may_solicit = true;
    }

    /// Makes room for all the data. False while the receiver holds the buffer.
    pub(super) fn enlarge(&mut self, pool: &BufferPool) -> bool {
        let Some(small) = self.buffer.take() else { return false };
        let mut large = pool.take(self.wanted_bytes);
        let arrived = small.get(..self.arrived_bytes).unwrap_or_default();
        if let Some(place) = large.get_mut(..arrived.len()) {
            place.copy_from_slice(arrived);
        }
        self.buffer = Some(large);
        true
    }

    /// Gives the command up. What is still under way is let pass.
    pub(super) fn fail(&mut self, reason: Sense) {
        self.failure.get_or_insert(reason);
    }

    pub(super) fn failure(&self) -> Option<&Sense> {
        self.failure.as_ref()
    }

    /// A Data-Out PDU begins.
    pub(super) fn announce(&mut self, pdu: &DataOut, length: usize) -> Announced {
        if pdu.ttt == TargetTransferTag::RESERVED {
            return self.announce_unsolicited(pdu, length);
        }
        let Some(index) = self.solicited.iter().position(|(ttt, _)| *ttt == pdu.ttt) else {
            return Announced::Violation;
        };
        let Some((_, burst)) = self.solicited.get_mut(index) else { return Announced::Violation };
        let Some(offset) = burst.accept(pdu, length) else { return Announced::Violation };
        if burst.is_over(pdu.is_final) {
            if burst.is_short() {
                // RFC 7143 §11.4.7.2: the answer to an R2T has another length than was asked for.
                self.fail(sense::incorrect_amount_of_data());
            }
            self.solicited.remove(index);
        }
        self.wanted(offset)
    }

    /// Hands the buffer to the receiver.
    pub(super) fn lend_buffer(&mut self) -> Option<Buffer> {
        self.buffer.take()
    }

    /// The receiver is done with a PDU's data.
    pub(super) fn give_back(&mut self, buffer: Buffer, arrived_bytes: usize) {
        self.buffer = Some(buffer);
        self.arrived_bytes += arrived_bytes;
    }

    /// The next burst to ask for, if the initiator may be asked for one.
    pub(super) fn solicit(
        &mut self,
        ttt: TargetTransferTag,
        max_burst_bytes: usize,
        max_bursts: usize,
    ) -> Option<BurstRequest> {
        let is_ready = self.may_solicit
            && self.failure.is_none()
            && self.unsolicited.is_none()
            && self.solicited.len() < max_bursts
            && self.requested_bytes < self.wanted_bytes;
        if !is_ready {
            return None;
        }
        let offset = self.requested_bytes;
        let length = (self.wanted_bytes - offset).min(max_burst_bytes);
        let r2t_sn = self.r2t_sn;
        self.r2t_sn += 1;
        self.requested_bytes += length;
        self.solicited
            .push((ttt, Burst { next_offset: offset, end: offset + length, next_data_sn: 0 }));
        Some(BurstRequest { r2t_sn, offset, length })
    }

    /// Nothing is under way any more.
    pub(super) fn is_quiet(&self) -> bool {
        self.unsolicited.is_none() && self.solicited.is_empty() && self.buffer.is_some()
    }

    /// Whether the command can be carried out: all data is there, or all that the command will be given.
    pub(super) fn is_complete(&self, is_given_all: bool) -> bool {
        self.failure.is_none()
            && self.is_quiet()
            && (self.arrived_bytes == self.wanted_bytes || !is_given_all)
    }

    /// The data that has arrived.
    pub(super) fn take_data(&mut self) -> Buffer {
        let mut buffer = self.buffer.take().unwrap_or_default();
        buffer.truncate(self.arrived_bytes);
        buffer
    }

    pub(super) fn count_r2ts(&self) -> u32 {
        self.r2t_sn
    }

    fn announce_unsolicited(&mut self, pdu: &DataOut, length: usize) -> Announced {
        let Some(burst) = &mut self.unsolicited else {
            if length > 0 {
                self.fail(sense::unexpected_unsolicited_data());
            }
            return Announced::Unwanted;
        };
        let Some(offset) = burst.accept(pdu, length) else { return Announced::Violation };
        self.requested_bytes = burst.next_offset;
        // Less than FirstBurstLength is taken, too: the rest is asked for.
        if burst.is_over(pdu.is_final) {
            self.unsolicited = None;
        }
        self.wanted(offset)
    }

    fn wanted(&self, offset: usize) -> Announced {
        if self.failure.is_some() { Announced::Unwanted } else { Announced::Wanted { offset } }
    }
}

impl Burst {
    /// Checks that a PDU is the next one of the burst and fits into it, and says where its data goes.
    fn accept(&mut self, pdu: &DataOut, length: usize) -> Option<usize> {
        let offset = usize::try_from(pdu.buffer_offset).ok()?;
        let end = offset.checked_add(length)?;
        if pdu.data_sn != self.next_data_sn || offset != self.next_offset || end > self.end {
            return None;
        }
        self.next_data_sn = self.next_data_sn.wrapping_add(1);
        self.next_offset = end;
        Some(offset)
    }

    fn is_over(&self, is_final: bool) -> bool {
        is_final || !self.is_short()
    }

    fn is_short(&self) -> bool {
        self.next_offset < self.end
    }
}
