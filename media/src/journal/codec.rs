//! How the data of a record is stored: as it came, as nothing where all of it is zeros, or compressed.
//!
//! Compression is zstd's fastest level, which is about as fast as a disk. Data that does not shrink must not be slowed by
//! trying: after a few such records the next ones are stored as they come, and now and then a small piece of one is
//! tried.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use zstd::zstd_safe::{CCtx, DCtx, get_frame_content_size};

use crate::seal::{CHECKSUM_BYTES, ENVELOPE_BYTES, Envelope, RecordKey};

use super::record::{
    Codec, HEADER_BYTES, Header, SECTOR_BYTES, SECTOR_SIZE, payload_offset, record_bytes,
};

/// How long data is when it is stored with a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) codec: Codec,
    pub(crate) stored_length: usize,
}

/// Compresses the records of one cartridge.
#[derive(Default)]
pub(crate) struct Compressor {
    /// Made when it is needed first.
    context: Option<CCtx<'static>>,
    /// How many records in a row did not shrink.
    misses: u32,
    /// How many bytes have passed since one was tried.
    passed_bytes: usize,
}

impl Compressor {
    /// Whether data is worth a look at all: not while data comes that does not shrink, unless it may be zeros. What is not has
    /// passed.
    pub(crate) fn considers(&mut self, data: &[u8]) -> bool {
        if data.first() == Some(&0) || !self.is_pausing(data.len()) {
            return true;
        }
        self.passed_bytes = self.passed_bytes.saturating_add(data.len());
        false
    }

    /// Whether that many more bytes pass before data is tried again.
    fn is_pausing(&self, length: usize) -> bool {
        self.misses >= MISSES_MAX && self.passed_bytes.saturating_add(length) < PAUSE_BYTES
    }

    /// Compresses data into `target`, which has the length that [`packed_length_max`] says; `None` if it has to be stored as it
    /// came. What is in `target` afterwards counts only up to the stored length.
    pub(crate) fn pack(&mut self, data: &[u8], target: &mut [u8]) -> Option<Packed> {
        if is_zeros(data) {
            return Some(Packed { codec: Codec::ZEROS, stored_length: 0 });
        }
        if target.is_empty() || !self.is_worth_trying(data, target) {
            return None;
        }
        let stored_length = self.compress(data, target);
        self.learn(stored_length.is_some());
        Some(Packed { codec: Codec::ZSTD, stored_length: stored_length? })
    }

    /// As [`Compressor::pack`], without a thought of what came before.
    pub(crate) fn pack_untried(&mut self, data: &[u8], target: &mut [u8]) -> Option<Packed> {
        if is_zeros(data) {
            return Some(Packed { codec: Codec::ZEROS, stored_length: 0 });
        }
        if target.is_empty() {
            return None;
        }
        let stored_length = self.compress(data, target)?;
        Some(Packed { codec: Codec::ZSTD, stored_length })
    }

    /// Whether the last record shrank.
    pub(crate) fn is_shrinking(&self) -> bool {
        self.misses == 0
    }

    /// Notes whether a record shrank that somebody else compressed.
    pub(crate) fn learn(&mut self, has_shrunk: bool) {
        self.passed_bytes = 0;
        self.misses = if has_shrunk { 0 } else { self.misses.saturating_add(1) };
    }

    /// After a record that did not shrink, a piece of the next one is looked at first; after several, not of each one.
    fn is_worth_trying(&mut self, data: &[u8], target: &mut [u8]) -> bool {
        let is_pausing = self.is_pausing(data.len());
        self.passed_bytes = self.passed_bytes.saturating_add(data.len());
        if is_pausing {
            return false;
        }
        if self.misses == 0 || data.len() < 4 * SAMPLE_BYTES {
            return true;
        }
        let from = data.len() / 2;
        let sample = data.get(from..from.saturating_add(SAMPLE_BYTES)).unwrap_or_default();
        let room = target.get_mut(..SAMPLE_BYTES - SAMPLE_BYTES / GAIN_DIVISOR);
        let shrinks = room.is_some_and(|room| self.compress(sample, room).is_some());
        if !shrinks {
            self.learn(false);
        }
        shrinks
    }

    /// `None` if the result does not fit, or if there is no memory to compress with.
    fn compress(&mut self, data: &[u8], target: &mut [u8]) -> Option<usize> {
        if self.context.is_none() {
            self.context = CCtx::try_create();
        }
        self.context.as_mut()?.compress(target, data, LEVEL).ok()
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("misses", &self.misses).finish_non_exhaustive()
    }
}

/// The longest that compressed data may be for a record to be stored compressed: a sixteenth and a sector have to be gained. 0
/// where that cannot be.
pub(crate) fn packed_length_max(length: usize) -> usize {
    let plain = record_bytes(payload_offset(length), u32::try_from(length).unwrap_or(u32::MAX));
    let by_sectors = plain.saturating_sub(2 * SECTOR_BYTES);
    let by_sectors = usize::try_from(by_sectors).unwrap_or(usize::MAX);
    match plain {
        ..=SECTOR_BYTES => 0,
        _ => length.saturating_sub(length / GAIN_DIVISOR).min(by_sectors.max(FIRST_SECTOR_BYTES)),
    }
}

/// What comes of decrypting a record.
#[derive(Debug)]
pub(crate) enum Unsealed {
    /// The blocks.
    Blocks(Bytes),
    /// It was encrypted with another key, or is not what was encrypted.
    WrongKey,
    /// What it opens to is not what was written.
    Damaged,
}

/// Gets the data out of records.
#[derive(Default)]
pub(crate) struct Decoder {
    /// Made when it is needed first.
    context: Option<DCtx<'static>>,
    pool: Arc<Pool>,
}

impl Decoder {
    /// Gives back its memory, as far as nobody looks at it.
    pub(crate) fn release(&mut self) {
        self.context = None;
        self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The data in the bytes of a whole record, if that is as long as its blocks are; of an encrypted one, everything behind its
    /// header. `None` if it is damaged, or stored in a way that is not known. Whether it is the right data says its checksum.
    pub(crate) fn data(&mut self, header: &Header, record: &Bytes) -> Option<Bytes> {
        // Header limits bound both.
        let length = usize::try_from(header.data_bytes()).ok()?;
        let stored_length = usize::try_from(header.stored_length).ok()?;
        let start = usize::from(header.payload_offset);
        let end = start.saturating_add(stored_length);
        match header.codec {
            Codec::NONE if stored_length == length && end <= record.len() => {
                Some(record.slice(start..end))
            }
            Codec::ZEROS if stored_length == 0 => Some(zeros(length)),
            Codec::ZSTD => self.decompress(header, record, record.get(start..end)?, length),
            codec if codec.inside_seal().is_some() => {
                (start == SECTOR_SIZE && is_intact(header, record)).then_some(())?;
                (end <= record.len()).then(|| record.slice(HEADER_BYTES..end))
            }
            _ => None,
        }
    }

    /// Decrypts a record whose bytes are right: `data` is everything behind its header.
    pub(crate) fn unseal(
        &mut self,
        header: &Header,
        data: &Bytes,
        envelope: &Envelope,
        key: &RecordKey,
    ) -> Unsealed {
        let is_right = header.codec.sealed_by() == Some(envelope.by);
        let Some(codec) = header.codec.inside_seal().filter(|_| is_right) else {
            return Unsealed::Damaged;
        };
        let untagged = Envelope { tag: Default::default(), ..envelope.clone() };
        let bound = header.bound(&untagged.encode());
        let sealed = data.get(ENVELOPE_BYTES..).unwrap_or_default();
        let mut memory = Pool::take(&self.pool, sealed.len());
        memory.bytes.resize(sealed.len(), 0);
        if !key.open_to(header.sequence, &bound, (sealed, &envelope.tag), &mut memory.bytes) {
            return Unsealed::WrongKey;
        }
        let Some(checksum_at) = sealed.len().checked_sub(CHECKSUM_BYTES) else {
            return Unsealed::Damaged;
        };
        let mut payload = Bytes::from_owner(memory);
        let checksum = payload.split_off(checksum_at);
        let length = usize::try_from(header.data_bytes()).unwrap_or(usize::MAX);
        let blocks = self.unpack(codec, payload, length);
        match blocks.filter(|data| header.data_checksum(data).to_le_bytes() == checksum[..]) {
            Some(blocks) => Unsealed::Blocks(blocks),
            None => Unsealed::Damaged,
        }
    }

    /// The data of an encrypted record, as far as that is right, once it has been decrypted.
    fn unpack(&mut self, codec: Codec, payload: Bytes, length: usize) -> Option<Bytes> {
        match codec {
            Codec::NONE if payload.len() == length => Some(payload),
            Codec::ZEROS if payload.is_empty() => Some(zeros(length)),
            Codec::ZSTD => self.expand(&payload, length),
            _ => None,
        }
    }

    /// What is not what was written never comes to the decompressor, and nothing longer than the blocks comes out of it.
    fn decompress(
        &mut self,
        header: &Header,
        record: &[u8],
        payload: &[u8],
        length: usize,
    ) -> Option<Bytes> {
        is_intact(header, record).then(|| self.expand(payload, length))?
    }

    fn expand(&mut self, payload: &[u8], length: usize) -> Option<Bytes> {
        if get_frame_content_size(payload).ok()? != u64::try_from(length).ok() {
            return None;
        }
        if self.context.is_none() {
            self.context = DCtx::try_create();
        }
        let context = self.context.as_mut()?;
        let mut memory = Pool::take(&self.pool, length);
        let count = context.decompress(&mut memory.bytes, payload).ok()?;
        (count == length).then(|| Bytes::from_owner(memory))
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

/// Memory that was used before: fresh memory costs about as much as decompressing into it.
#[derive(Debug, Default)]
struct Pool {
    // Invariant: their capacities add up to POOL_BYTES at most.
    free: Mutex<Vec<Vec<u8>>>,
}

/// Memory of a pool; dropping it gives it back.
#[derive(Debug)]
struct Pooled {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl Pool {
    /// Empty memory with room for `length` bytes.
    fn take(pool: &Arc<Self>, length: usize) -> Pooled {
        let mut free = pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        let fits =
            |memory: &Vec<u8>| memory.capacity() >= length && memory.capacity() / 2 <= length;
        let found = free.iter().position(fits).map(|at| free.swap_remove(at));
        drop(free);
        let bytes = found.unwrap_or_else(|| Vec::with_capacity(length));
        Pooled { bytes, pool: Arc::clone(pool) }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.capacity() > POOL_BYTES {
            return;
        }
        // The oldest go first: blocks of their length may not come any more.
        let mut kept = free.iter().map(Vec::capacity).sum::<usize>();
        while kept.saturating_add(bytes.capacity()) > POOL_BYTES && !free.is_empty() {
            kept = kept.saturating_sub(free.remove(0).capacity());
        }
        free.push(bytes);
    }
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Header {
    /// How long the data is, whatever it takes on the disk; at most 64 MiB.
    pub(crate) fn data_bytes(&self) -> u64 {
        u64::from(self.block_length).saturating_mul(u64::from(self.block_count))
    }

    /// The data of a record whose bytes these are; `None` if it is not what was written.
    pub(crate) fn checked_data(&self, record: &Bytes, decoder: &mut Decoder) -> Option<Bytes> {
        let data = decoder.data(self, record)?;
        // That of encrypted data does not take in what stands before it.
        let skipped = if self.codec.inside_seal().is_some() { ENVELOPE_BYTES } else { 0 };
        (self.data_checksum(data.get(skipped..)?) == self.data_crc).then_some(data)
    }
}

/// Whether the bytes of a record are those that were written.
fn is_intact(header: &Header, record: &[u8]) -> bool {
    let body = record.get(HEADER_BYTES..).unwrap_or_default();
    record.len() as u64 == header.record_bytes() && crc32c::crc32c(body) == header.body_crc
}

fn zeros(length: usize) -> Bytes {
    match ZEROS.get(..length) {
        Some(zeros) => Bytes::from_static(zeros),
        None => Bytes::from(vec![0; length]),
    }
}

/// Whether there is nothing but zeros: the first byte is one, and each is as the one before.
fn is_zeros(data: &[u8]) -> bool {
    data.first() == Some(&0) && data.get(1..) == data.get(..data.len().saturating_sub(1))
}

/// What most blocks of zeros are shorter than.
static ZEROS: [u8; 1024 * 1024] = [0; 1024 * 1024];
const LEVEL: i32 = 1;
/// Compressed data has to be shorter by one part in so many.
const GAIN_DIVISOR: usize = 16;
/// What fits behind a header in the same sector.
const FIRST_SECTOR_BYTES: usize = SECTOR_SIZE - HEADER_BYTES;
/// After so many records in a row that did not shrink …
const MISSES_MAX: u32 = 4;
/// … so many bytes pass before the next one is tried, …
const PAUSE_BYTES: usize = 4 * 1024 * 1024;
/// … and first so much of it.
const SAMPLE_BYTES: usize = 8 * 1024;
/// Somewhat more than what is read ahead.
const POOL_BYTES: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests;
