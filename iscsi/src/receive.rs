//! Framing: from pieces of a byte stream to PDUs, with every byte put where it belongs at once.
//!
//! ```text
//!  Header ──► Extension ──► Data ──► Trailer ──► Header
//!  48 bytes   AHS, digest    │       padding, digest
//!                            └─ where it goes is decided between Header and Data, by [`Receiver::begin_data`]
//! ```

use vtl_scsi::Buffer;

use crate::digest::{DIGEST_BYTES, Digest};
use crate::event::TaskKey;
use crate::pdu::{BHS_BYTES, Bhs, Lengths};
use crate::transmit::padding_of;

/// How much of a data segment that nobody wants is taken at once.
const DISCARD_BYTES: usize = 16 << 10;

/// The first portion of memory for data that goes to no task.
const CONTROL_STEP_BYTES: usize = 8 << 10;

/// The longest sequence of additional header segments: 255 words.
const MAX_AHS_BYTES: usize = 255 * 4;

/// Where a data segment goes.
#[derive(Debug)]
pub(crate) enum Destination {
    /// Nowhere.
    Discard,
    /// Into memory of its own, which is empty at first and grows with what arrives, not with what was announced.
    Control(Vec<u8>),
    /// Into a task's buffer, from this offset on.
    // Invariant: offset + the length of the data segment <= buffer.len()
    Task { key: TaskKey, buffer: Buffer, offset: usize },
}

/// A PDU, after its last byte.
#[derive(Debug)]
pub(crate) struct ReceivedPdu {
    pub(crate) bhs: Bhs,
    pub(crate) lengths: Lengths,
    pub(crate) destination: Destination,
    /// False if the data segment does not match its digest.
    pub(crate) is_data_intact: bool,
}

/// What the last bytes led to.
#[derive(Debug)]
pub(crate) enum Progress {
    /// More bytes are needed.
    More,
    /// A header with its extension is there, and [`Receiver::begin_data`] has to be called.
    HeaderComplete,
    /// The header does not match its digest.
    HeaderDigestError,
    /// A PDU is complete.
    PduComplete(ReceivedPdu),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    Extension,
    /// The header is complete, and the data's destination open.
    Undecided,
    Data,
    Trailer,
}

/// Takes the bytes of one direction of one connection.
pub(crate) struct Receiver {
    stage: Stage,
    /// Bytes of the present stage that have arrived.
    filled: usize,
    bhs: Bhs,
    lengths: Lengths,
    /// Additional header segments, behind which the header's digest arrives.
    extension: [u8; MAX_AHS_BYTES + DIGEST_BYTES],
    destination: Destination,
    data_digest: Digest,
    trailer: [u8; 3 + DIGEST_BYTES],
    discard: Box<[u8]>,
    has_header_digest: bool,
    has_data_digest: bool,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        let bhs = [0; BHS_BYTES];
        Self {
            stage: Stage::Header,
            filled: 0,
            bhs,
            lengths: Lengths::parse(&bhs),
            extension: [0; MAX_AHS_BYTES + DIGEST_BYTES],
            destination: Destination::Discard,
            data_digest: Digest::default(),
            trailer: [0; 3 + DIGEST_BYTES],
            discard: vec![0; DISCARD_BYTES].into_boxed_slice(),
            has_header_digest: false,
            has_data_digest: false,
        }
    }

    /// From the next PDU on, headers and data carry these digests.
    pub(crate) fn enable_digests(&mut self, has_header_digest: bool, has_data_digest: bool) {
        self.has_header_digest = has_header_digest;
        self.has_data_digest = has_data_digest;
    }

    /// Where the next bytes belong. Never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let filled = self.filled;
        let end = self.stage_bytes();
        let place = match self.stage {
            Stage::Header => self.bhs.get_mut(filled..),
            Stage::Extension => self.extension.get_mut(filled..end),
            Stage::Trailer => self.trailer.get_mut(filled..end),
            Stage::Data | Stage::Undecided => match &mut self.destination {
                Destination::Discard => self.discard.get_mut(..(end - filled).min(DISCARD_BYTES)),
                Destination::Control(memory) => {
                    if memory.len() <= filled {
                        memory.resize((filled * 2).max(CONTROL_STEP_BYTES).min(end), 0);
                    }
                    memory.get_mut(filled..)
                }
                Destination::Task { buffer, offset, .. } => {
                    buffer.get_mut(*offset + filled..*offset + end)
                }
            },
        };
        place.unwrap_or_default()
    }

    /// Memory of its own that the present data segment has.
    pub(crate) fn held_bytes(&self) -> usize {
        match &self.destination {
            Destination::Control(memory) => memory.len(),
            Destination::Discard | Destination::Task { .. } => 0,
        }
    }

    /// Where bytes go that nobody looks at any more.
    pub(crate) fn sink(&mut self) -> &mut [u8] {
        &mut self.discard
    }

    /// Takes note of bytes that were put into [`Receiver::space`].
    pub(crate) fn advance(&mut self, count: usize) -> Progress {
        if self.stage == Stage::Data && self.has_data_digest {
            let mut digest = self.data_digest;
            digest.update(self.space().get(..count).unwrap_or_default());
            self.data_digest = digest;
        }
        self.filled += count.min(self.space().len());
        if self.filled < self.stage_bytes() { Progress::More } else { self.finish_stage() }
    }

    /// The header that has just been completed, with its lengths and its additional header segments.
    pub(crate) fn header(&self) -> (&Bhs, Lengths, &[u8]) {
        (&self.bhs, self.lengths, self.extension.get(..self.lengths.ahs_bytes).unwrap_or_default())
    }

    /// Says where the data segment goes. Without one, the PDU is complete.
    pub(crate) fn begin_data(&mut self, destination: Destination) -> Progress {
        self.destination = destination;
        self.data_digest = Digest::default();
        if self.lengths.data_bytes == 0 {
            return self.finish_pdu(true);
        }
        self.stage = Stage::Data;
        Progress::More
    }

    /// How many bytes the present stage has in all.
    fn stage_bytes(&self) -> usize {
        let digest = |is_enabled: bool| if is_enabled { DIGEST_BYTES } else { 0 };
        match self.stage {
            Stage::Header => BHS_BYTES,
            Stage::Extension => self.lengths.ahs_bytes + digest(self.has_header_digest),
            Stage::Data | Stage::Undecided => self.lengths.data_bytes,
            Stage::Trailer => padding_of(self.lengths.data_bytes) + digest(self.has_data_digest),
        }
    }

    fn finish_stage(&mut self) -> Progress {
        self.filled = 0;
        match self.stage {
            Stage::Header => {
                self.lengths = Lengths::parse(&self.bhs);
                self.stage = Stage::Extension;
                if self.stage_bytes() == 0 { self.finish_stage() } else { Progress::More }
            }
            Stage::Extension => {
                if self.has_header_digest && !self.is_header_intact() {
                    return Progress::HeaderDigestError;
                }
                self.stage = Stage::Undecided;
                Progress::HeaderComplete
            }
            Stage::Data => {
                self.stage = Stage::Trailer;
                if self.stage_bytes() == 0 { self.finish_pdu(true) } else { Progress::More }
            }
            Stage::Trailer => {
                let is_intact = self.is_data_intact();
                self.finish_pdu(is_intact)
            }
            Stage::Undecided => Progress::HeaderComplete,
        }
    }

    fn finish_pdu(&mut self, is_data_intact: bool) -> Progress {
        self.stage = Stage::Header;
        self.filled = 0;
        let destination = std::mem::replace(&mut self.destination, Destination::Discard);
        Progress::PduComplete(ReceivedPdu {
            bhs: self.bhs,
            lengths: self.lengths,
            destination,
            is_data_intact,
        })
    }

    fn is_header_intact(&self) -> bool {
        let (ahs, digest) =
            self.extension.split_at_checked(self.lengths.ahs_bytes).unwrap_or_default();
        let mut expected = Digest::of(&self.bhs);
        expected.update(ahs);
        digest.starts_with(&expected.to_bytes())
    }

    fn is_data_intact(&self) -> bool {
        if !self.has_data_digest {
            return true;
        }
        let padding_bytes = padding_of(self.lengths.data_bytes);
        let (padding, digest) = self.trailer.split_at_checked(padding_bytes).unwrap_or_default();
        let mut expected = self.data_digest;
        expected.update(padding);
        digest.starts_with(&expected.to_bytes())
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("stage", &self.stage)
            .field("filled", &self.filled)
            .field("lengths", &self.lengths)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds bytes in pieces of at most this size and returns the PDUs, with control memory for all data.
    fn feed(receiver: &mut Receiver, mut bytes: &[u8], piece: usize) -> Vec<ReceivedPdu> {
        let mut pdus = Vec::new();
        while !bytes.is_empty() {
            let space = receiver.space();
            assert!(!space.is_empty());
            let count = space.len().min(piece).min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            let mut progress = receiver.advance(count);
            if let Progress::HeaderComplete = progress {
                progress = receiver.begin_data(Destination::Control(Vec::new()));
            }
            match progress {
                Progress::PduComplete(pdu) => pdus.push(pdu),
                Progress::More => {}
                other => panic!("{other:?}"),
            }
        }
        pdus
    }

    fn stream(data_digest_error: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut bhs = [7; BHS_BYTES];
        bhs[4..8].copy_from_slice(&[2, 0, 0, 5]);
        bytes.extend_from_slice(&bhs);
        bytes.extend_from_slice(b"ahs-ahs-");
        bytes.extend_from_slice(&Digest::of(&bytes).to_bytes());
        bytes.extend_from_slice(b"hello\0\0\0");
        bytes.extend_from_slice(&Digest::of(b"hello\0\0\0").to_bytes());
        if data_digest_error {
            *bytes.last_mut().unwrap() ^= 1;
        }
        bytes
    }

    #[test]
    fn a_stream_is_cut_into_the_same_pdus_whatever_the_pieces() {
        let bytes = [stream(false), stream(true), stream(false)].concat();
        for piece in 1..=bytes.len() {
            let mut receiver = Receiver::new();
            receiver.enable_digests(true, true);
            let pdus = feed(&mut receiver, &bytes, piece);
            let intact: Vec<bool> = pdus.iter().map(|pdu| pdu.is_data_intact).collect();
            assert_eq!(intact, [true, false, true]);
            for pdu in pdus {
                let Destination::Control(data) = pdu.destination else { panic!("no data") };
                assert_eq!(data, b"hello");
            }
        }
    }

    #[test]
    fn a_header_that_does_not_match_its_digest_is_found_before_its_data() {
        let mut bytes = stream(false);
        bytes[50] ^= 0x10; // in the additional header segments
        let mut receiver = Receiver::new();
        receiver.enable_digests(true, true);
        let mut offset = 0;
        loop {
            let space = receiver.space();
            let count = space.len();
            space.copy_from_slice(&bytes[offset..offset + count]);
            offset += count;
            match receiver.advance(count) {
                Progress::More => {}
                Progress::HeaderDigestError => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(offset, 60);
    }

    #[test]
    fn a_cut_stream_yields_no_pdu() {
        let bytes = stream(false);
        for cut in 0..bytes.len() {
            let mut receiver = Receiver::new();
            receiver.enable_digests(true, true);
            assert!(feed(&mut receiver, &bytes[..cut], usize::MAX).is_empty());
        }
    }
}
