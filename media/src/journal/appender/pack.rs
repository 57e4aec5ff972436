//! Records whose data takes less on the disk than it is long.

use std::io;

use super::{Appender, BATCH_BYTES, finish};
use crate::journal::codec::{Packed, packed_length_max};
use crate::journal::queue::Item;
use crate::journal::record::SECTOR_SIZE;

impl Appender {
    /// Adds a record of data that can be stored in less; `false` if it cannot, and nothing has been done.
    ///
    /// Data is compressed to where its record is going to be, so that it is not copied once more.
    pub(super) fn append_packed(&mut self, item: &Item, data: &[u8]) -> io::Result<bool> {
        self.check_open()?;
        // The batch must not grow for what is going to the disk past it.
        if !self.compressor.considers(data) {
            return Ok(false);
        }
        let start = self.batch.len();
        let room =
            SECTOR_SIZE.saturating_add(packed_length_max(data.len())).next_multiple_of(SECTOR_SIZE);
        let target = self.batch.extend(room).get_mut(SECTOR_SIZE..).unwrap_or_default();
        let target = target.get_mut(..packed_length_max(data.len())).unwrap_or_default();
        let packed = self.compressor.pack(data, target);
        // Until the header says how long it is, the record is not there.
        self.batch.truncate(start);
        let Some(Packed { codec, stored_length }) = packed else { return Ok(false) };
        let mut header = self.header_of(item, stored_length);
        header.codec = codec;
        header.data_crc = header.data_checksum(data);
        let offset = usize::from(header.payload_offset);
        let length = usize::try_from(header.record_bytes()).unwrap_or(usize::MAX);
        let room = self.batch.extend(room);
        if offset < SECTOR_SIZE && stored_length > 0 {
            // It is so short that it goes into the header's sector.
            room.copy_within(SECTOR_SIZE..SECTOR_SIZE.saturating_add(stored_length), offset);
        }
        let record = room.get_mut(..length).unwrap_or_default();
        let (head, rest) = record.split_at_mut_checked(offset).unwrap_or_default();
        head.fill(0);
        rest.get_mut(stored_length..).unwrap_or_default().fill(0);
        finish(record, &mut header);
        self.batch.truncate(start.saturating_add(length));
        self.stored.add(&header);
        self.chain = header.crc;
        self.headers.push(header);
        if self.batch.len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(true)
    }
}
