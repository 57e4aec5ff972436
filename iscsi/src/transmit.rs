//! PDUs on their way out.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::digest::{DIGEST_BYTES, Digest};
use crate::pdu::{BHS_BYTES, Bhs, Lengths};

/// One PDU, as pieces for one vectored write. The data is never copied.
#[derive(Debug, Clone)]
pub struct Transmit {
    /// The basic header segment and room for its digest.
    header: [u8; BHS_BYTES + DIGEST_BYTES],
    header_bytes: usize,
    data: Bytes,
    /// Padding to four bytes, and room for the data's digest.
    trailer: [u8; 3 + DIGEST_BYTES],
    trailer_bytes: usize,
}

/// PDUs that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Transmit>,
    /// The sum of all lengths in the queue.
    backlog_bytes: usize,
    has_header_digest: bool,
    has_data_digest: bool,
}

impl Transmit {
    /// The pieces, in their order; some may be empty.
    pub fn slices(&self) -> [&[u8]; 3] {
        [
            self.header.get(..self.header_bytes).unwrap_or_default(),
            &self.data,
            self.trailer.get(..self.trailer_bytes).unwrap_or_default(),
        ]
    }

    /// Bytes in all pieces.
    pub fn len(&self) -> usize {
        self.header_bytes + self.data.len() + self.trailer_bytes
    }

    /// Never: every PDU has a header.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn new(mut bhs: Bhs, data: Bytes, has_header_digest: bool, has_data_digest: bool) -> Self {
        Lengths::set_data_bytes(&mut bhs, data.len());
        let mut header = [0; BHS_BYTES + DIGEST_BYTES];
        let mut header_bytes = copy_to(&mut header, 0, &bhs);
        if has_header_digest {
            header_bytes = copy_to(&mut header, header_bytes, &Digest::of(&bhs).to_bytes());
        }
        let mut trailer = [0; 3 + DIGEST_BYTES];
        let mut trailer_bytes = padding_of(data.len());
        if has_data_digest && !data.is_empty() {
            let mut digest = Digest::of(&data);
            digest.update(trailer.get(..trailer_bytes).unwrap_or_default());
            trailer_bytes = copy_to(&mut trailer, trailer_bytes, &digest.to_bytes());
        }
        Self { header, header_bytes, data, trailer, trailer_bytes }
    }
}

impl Outbox {
    /// From here on, headers and data carry these digests.
    pub(crate) fn enable_digests(&mut self, has_header_digest: bool, has_data_digest: bool) {
        self.has_header_digest = has_header_digest;
        self.has_data_digest = has_data_digest;
    }

    pub(crate) fn push(&mut self, bhs: Bhs, data: impl Into<Bytes>) {
        let transmit =
            Transmit::new(bhs, data.into(), self.has_header_digest, self.has_data_digest);
        self.backlog_bytes += transmit.len();
        self.queue.push_back(transmit);
    }

    pub(crate) fn pop(&mut self) -> Option<Transmit> {
        let transmit = self.queue.pop_front()?;
        self.backlog_bytes -= transmit.len();
        Some(transmit)
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.backlog_bytes = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn backlog_bytes(&self) -> usize {
        self.backlog_bytes
    }
}

/// Bytes that fill a data segment up to a multiple of four.
pub(crate) fn padding_of(length: usize) -> usize {
    length.wrapping_neg() & 3
}

/// Copies bytes to a position and says where they end.
fn copy_to(target: &mut [u8], position: usize, bytes: &[u8]) -> usize {
    let end = position + bytes.len();
    if let Some(place) = target.get_mut(position..end) {
        place.copy_from_slice(bytes);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_padded_and_digests_cover_the_padding() {
        let mut outbox = Outbox::default();
        outbox.enable_digests(true, true);
        outbox.push([1; BHS_BYTES], &b"hello"[..]);
        assert_eq!(outbox.backlog_bytes(), 48 + 4 + 5 + 3 + 4);
        let pdu = outbox.pop().unwrap();
        let [header, data, trailer] = pdu.slices();
        assert_eq!(header[5..8], [0, 0, 5]);
        assert_eq!(header[48..], Digest::of(&header[..48]).to_bytes());
        assert_eq!(data, b"hello");
        assert_eq!(trailer[..3], [0, 0, 0]);
        assert_eq!(trailer[3..], Digest::of(b"hello\0\0\0").to_bytes());
        assert_eq!(outbox.backlog_bytes(), 0);
        assert!(outbox.is_empty());
    }

    #[test]
    fn without_data_there_is_no_data_digest() {
        let mut outbox = Outbox::default();
        outbox.enable_digests(false, true);
        outbox.push([1; BHS_BYTES], Bytes::new());
        assert_eq!(outbox.pop().unwrap().len(), 48);
    }
}
