//! Segments that have been closed: their seals, or what the summary says of them.

use super::super::index::Beginning;
use super::super::reader::{read_index, read_payload};
use super::super::record::{Header, Kind, PAGE_BYTES, Place};
use super::super::segment::Seal;
use super::super::summary::Closed;
use super::{Finding, Scan, ScanError};

impl Scan {
    /// The seal at the end of a segment, if it has one.
    pub(super) fn seal(
        &mut self,
        number: u32,
        length: u64,
    ) -> Result<Option<(Header, Seal)>, ScanError> {
        let Some(offset) = length.checked_sub(PAGE_BYTES) else { return Ok(None) };
        let place = Place { segment: number, offset };
        let Ok(header) = self.segments.header(place, length)? else { return Ok(None) };
        let payload = read_payload(&mut self.segments, place, Kind::SEAL)?;
        Ok(payload.and_then(|(_, payload)| Seal::decode(&payload)).map(|seal| (header, seal)))
    }

    /// What the summary says of a segment, if that is believed and enough.
    pub(super) fn believed(&mut self, number: u32) -> Result<Option<Closed>, ScanError> {
        if self.is_torn {
            return Ok(None);
        }
        let Some(mut closed) = self.summaries.believed(self.segments.layers(), number) else {
            return Ok(None);
        };
        if closed.beginnings.is_none() {
            closed.beginnings = self.beginnings(number, &closed.seal)?;
        }
        Ok(Some(closed).filter(|closed| closed.beginnings.is_some()))
    }

    pub(super) fn sealed(&mut self, header: &Header, seal: Seal) -> Result<(), ScanError> {
        let number = header.place.segment;
        let Some(beginnings) = self.beginnings(number, &seal)? else {
            return self.rebuild(number, header);
        };
        let is_next = seal.first_sequence == self.recovered.sequence.saturating_add(1);
        let is_known = is_next && !self.has_gap && number >= self.first_own;
        let closed = Closed {
            number,
            seal,
            sequence: header.sequence,
            durable_sequence: header.durable_sequence,
            crc: header.crc,
            owner_epoch: header.owner_epoch,
            chain_before: self.recovered.chain,
            beginnings: Some(beginnings),
        };
        if is_known {
            self.recovered.read.push(closed.clone().into_row());
        }
        self.closed(&closed);
        Ok(())
    }

    /// The generations that begin in a closed segment, from its index; `None` if that is damaged.
    fn beginnings(
        &mut self,
        segment: u32,
        seal: &Seal,
    ) -> Result<Option<Vec<Beginning>>, ScanError> {
        if seal.counts.beginnings == 0 {
            return Ok(Some(Vec::new()));
        }
        let place = Place { segment, offset: seal.index_offset };
        let index = read_index(&mut self.segments, place, &seal.counts)?;
        Ok(index.map(|index| index.beginnings))
    }

    /// Takes in a closed segment, as its seal or its row in the summary says.
    pub(super) fn closed(&mut self, closed: &Closed) {
        let Closed { number, seal, sequence, .. } = closed;
        if seal.first_sequence != self.recovered.sequence.saturating_add(1) && !self.has_gap {
            let cartridge = self.segments.layers().cartridge_of(*number);
            tracing::error!(%cartridge, segment = number, "records are missing before this segment");
        }
        let beginnings = closed.beginnings.as_deref().unwrap_or_default();
        self.recovered.view.append_sealed(*number, seal, *sequence, beginnings);
        self.recovered.sequence = *sequence;
        self.recovered.chain = closed.crc;
        self.recovered.owner_epoch = self.recovered.owner_epoch.max(closed.owner_epoch);
        self.promised = self.promised.max(closed.durable_sequence);
        // One in which nothing was changed says nothing of the last change.
        if seal.last_written_us != 0 {
            self.recovered.last_written_us = Some(seal.last_written_us);
        }
        self.recovered.open = None;
        self.doubtful.clear();
        self.has_gap = false;
    }

    /// Walks a sealed segment whose index is damaged, record by record.
    fn rebuild(&mut self, segment: u32, seal: &Header) -> Result<(), ScanError> {
        tracing::warn!(cartridge = %seal.cartridge, segment, "the index of a segment is damaged and is rebuilt");
        let first = if self.has_gap { 0 } else { self.recovered.sequence.saturating_add(1) };
        self.recovered.view.begin_segment(segment, first);
        self.promised = self.promised.max(seal.sequence);
        let mut place = Place { segment, offset: 0 };
        let length = seal.place.offset;
        while place.offset < length {
            let finding = self.at(place, length)?;
            place.offset = match finding {
                Finding::Whole(header) if self.follows(&header) => self.believe(&header),
                finding => match self.pass_over(&finding, place, length, &[])? {
                    Some(offset) => offset,
                    None => break,
                },
            };
        }
        self.believe(seal);
        self.recovered.open = None;
        self.doubtful.clear();
        Ok(())
    }
}
