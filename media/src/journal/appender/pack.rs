//! Records whose data is not stored as it came: it takes less on the disk than it is long, or is encrypted.

use std::io;

use super::{Appender, BATCH_BYTES, finish};
use crate::journal::codec::{Packed, packed_length_max};
use crate::journal::packer::Pressed;
use crate::journal::queue::{Content, Item};
use crate::journal::record::{Codec, HEADER_BYTES, Header, SECTOR_SIZE};
use crate::payload::Payload;
use crate::seal::{CHECKSUM_BYTES, Sealer};

impl Appender {
    /// Has a record compressed by another thread while the one before it is appended. It still has to be appended in its turn.
    pub(crate) fn prepare(&mut self, item: &mut Item) {
        let Content::Data { payload, length } = &item.content else { return };
        let (data, length) = (payload.data(), *length);
        let buffer_bytes = data.len();
        // Zeros are done before another thread has woken up.
        if !item.is_compressed
            || data.first() == Some(&0)
            || !self.compressor.is_shrinking()
            || !self.packer.is_free()
        {
            return;
        }
        let content =
            std::mem::replace(&mut item.content, Content::Pressing { buffer_bytes, length });
        let Content::Data { payload, length } = content else { return };
        if let Err(payload) = self.packer.begin(payload, length) {
            item.content = Content::Data { payload, length };
        }
    }

    /// Adds the record that was prepared.
    pub(super) fn append_pressed(&mut self, item: &Item) -> io::Result<()> {
        let pressed = self.packer.wait();
        let pressed = pressed
            .ok_or_else(|| io::Error::other("the thread that compresses ended in disorder"))?;
        self.compressor.learn(pressed.packed.is_some());
        let result = match pressed.packed {
            Some(packed) => self.copy_in_pressed(item, &pressed, packed),
            None => Ok(()),
        };
        let (is_packed, length) = (pressed.packed.is_some(), pressed.length);
        let payload = self.packer.take_back(pressed);
        if is_packed { result } else { self.append_plain(item, payload, length) }
    }

    fn copy_in_pressed(
        &mut self,
        item: &Item,
        pressed: &Pressed,
        packed: Packed,
    ) -> io::Result<()> {
        self.check_open()?;
        copy(pressed.bytes(), self.room_behind(pressed.bytes().len()));
        self.finish_packed(
            item,
            pressed.payload.data().get(..pressed.length).unwrap_or_default(),
            packed,
        )
    }

    /// Adds a record of data that can be stored in less; `false` if it cannot, and nothing has been done.
    ///
    /// Data is compressed to where its record is going to be, so that it is not copied once more.
    pub(super) fn append_packed(&mut self, item: &Item, data: &[u8]) -> io::Result<bool> {
        self.check_open()?;
        // The batch must not grow for what is going to the disk past it.
        if !self.compressor.considers(data) {
            return Ok(false);
        }
        let mut compressor = std::mem::take(&mut self.compressor);
        let packed = compressor.pack(data, self.room_behind(packed_length_max(data.len())));
        self.compressor = compressor;
        let Some(packed) = packed else { return Ok(false) };
        self.finish_packed(item, data, packed)?;
        Ok(true)
    }

    /// Room for `length` stored bytes one sector behind the end of the batch, where a record that is added next finds them. Until its
    /// header is there, the batch is not longer.
    fn room_behind(&mut self, length: usize) -> &mut [u8] {
        let start = self.batch.len();
        // As much as the whole record may take: the memory must not be another one by then.
        let whole = SECTOR_SIZE.saturating_add(length).saturating_add(CHECKSUM_BYTES);
        self.batch.extend(whole.next_multiple_of(SECTOR_SIZE));
        self.batch.truncate(start);
        self.batch.behind(SECTOR_SIZE, length)
    }

    /// Makes a record of the stored bytes that lie one sector behind the end of the batch.
    fn finish_packed(&mut self, item: &Item, data: &[u8], packed: Packed) -> io::Result<()> {
        let Packed { codec, stored_length } = packed;
        let start = self.batch.len();
        // The checksum of the blocks is encrypted with them.
        let checksum_length = if item.sealer.is_some() { CHECKSUM_BYTES } else { 0 };
        let packed_length = stored_length;
        let stored_length = stored_length.saturating_add(checksum_length);
        let mut header = self.header_of(item, stored_length);
        header.codec = codec;
        if let Some(sealer) = &item.sealer {
            header.codec = codec.sealed(sealer.by);
            // The envelope needs the room before the payload.
            header.payload_offset = u16::try_from(SECTOR_SIZE).unwrap_or(u16::MAX);
        }
        let checksum = header.data_checksum(data);
        header.data_crc = checksum;
        let offset = usize::from(header.payload_offset);
        let length = usize::try_from(header.record_bytes()).unwrap_or(usize::MAX);
        let end = SECTOR_SIZE.saturating_add(stored_length);
        let room = self.batch.extend(end.max(length));
        if offset < SECTOR_SIZE && stored_length > 0 {
            // It is so short that it goes into the header's sector.
            room.copy_within(SECTOR_SIZE..end, offset);
        }
        let record = room.get_mut(..length).unwrap_or_default();
        let (head, rest) = record.split_at_mut_checked(offset).unwrap_or_default();
        head.fill(0);
        rest.get_mut(stored_length..).unwrap_or_default().fill(0);
        if item.sealer.is_some() {
            copy(&checksum.to_le_bytes(), rest.get_mut(packed_length..).unwrap_or_default());
        }
        if let Some(sealer) = &item.sealer
            && !seal(sealer, &mut header, head, rest.get_mut(..stored_length).unwrap_or_default())
        {
            self.is_broken = true;
            return Err(io::Error::other("the cipher failed"));
        }
        finish(record, &mut header);
        self.batch.truncate(start.saturating_add(length));
        self.stored.add(&header);
        self.chain = header.crc;
        self.headers.push(header);
        if self.batch.len() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Adds a record of data that does not shrink and is encrypted.
    fn copy_in_sealed(&mut self, item: &Item, data: &[u8]) -> io::Result<()> {
        self.check_open()?;
        copy(data, self.room_behind(data.len()));
        self.finish_packed(item, data, Packed { codec: Codec::NONE, stored_length: data.len() })
    }

    /// Adds a record of data as it came.
    pub(super) fn append_plain(
        &mut self,
        item: &Item,
        mut payload: Box<dyn Payload>,
        length: usize,
    ) -> io::Result<()> {
        if item.sealer.is_some() {
            return self.copy_in_sealed(item, payload.data().get(..length).unwrap_or_default());
        }
        if self.may_write_frame(payload.as_mut(), length) {
            return self.write_frame(item, payload, length);
        }
        let mut header = self.header_of(item, length);
        let data = payload.data().get(..length).unwrap_or_default();
        header.data_crc = header.data_checksum(data);
        self.stored.add(&header);
        self.copy_in(header, data)
    }
}

/// Copies bytes to the beginning of others.
fn copy(bytes: &[u8], to: &mut [u8]) {
    if let Some(target) = to.get_mut(..bytes.len()) {
        target.copy_from_slice(bytes);
    }
}

/// Encrypts the payload of a record, and writes the envelope behind the header, which `head` begins with.
fn seal(sealer: &Sealer, header: &mut Header, head: &mut [u8], payload: &mut [u8]) -> bool {
    let mut envelope = sealer.envelope();
    let bound = header.bound(&envelope.encode());
    let Some(tag) = sealer.key.seal(header.sequence, &bound, payload) else { return false };
    envelope.tag = tag;
    let Some(target) = head.get_mut(HEADER_BYTES..) else { return false };
    target.copy_from_slice(&envelope.encode());
    // What anybody can check must not tell of what only the key opens.
    header.data_crc = header.data_checksum(payload);
    true
}
