//! Checking records in one thread while the next ones are read in another: the disk does not wait for the checksums.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use bytes::Bytes;

use crate::journal::{Decoder, Header, Place, SegmentReader};

/// A record and whether its checksums are right.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) header: Header,
    pub(super) is_whole: bool,
}

/// Records that have been read and not checked.
type Batch = Vec<(Header, Bytes)>;

/// Reads records that follow each other from a place on, those that begin before `until`, and checks them. It ends with the first
/// one that is not whole, and before anything that is no record or cannot be read.
pub(super) fn check_alongside(
    segments: &mut SegmentReader,
    mut place: Place,
    until: u64,
    limit: u64,
) -> Vec<Checked> {
    let first = read_batch(segments, &mut place, until, limit);
    let second = read_batch(segments, &mut place, until, limit);
    if second.is_empty() {
        return check(std::iter::once(first));
    }
    thread::scope(|scope| {
        // Without room in between: a batch is checked, one is ready, one is being read.
        let (sender, receiver) = sync_channel::<Batch>(0);
        let checking = move || check(Receiver::into_iter(receiver));
        let Ok(checker) = thread::Builder::new().spawn_scoped(scope, checking) else {
            return check([first, second].into_iter());
        };
        let mut next = first;
        let mut behind = second;
        // The checker ends when it has met a record that is not whole.
        while !next.is_empty() && sender.send(next).is_ok() {
            next = behind;
            behind = read_batch(segments, &mut place, until, limit);
        }
        drop(sender);
        checker.join().unwrap_or_default()
    })
}

fn check(batches: impl Iterator<Item = Batch>) -> Vec<Checked> {
    let (mut checked, mut decoder) = (Vec::new(), Decoder::default());
    for (header, bytes) in batches.flatten() {
        let is_whole = header.is_whole(&bytes, &mut decoder);
        checked.push(Checked { header, is_whole });
        if !is_whole {
            break;
        }
    }
    checked
}

/// The next records, as their headers say; none at the end, or before anything that is not plain.
fn read_batch(segments: &mut SegmentReader, place: &mut Place, until: u64, limit: u64) -> Batch {
    let mut batch = Batch::new();
    let end = until.min(limit).min(place.offset.saturating_add(BATCH_BYTES));
    while place.offset < end {
        let Ok(Ok(header)) = segments.header(*place, limit) else { break };
        let length = usize::try_from(header.record_bytes()).unwrap_or(usize::MAX);
        let Ok(bytes) = segments.bytes(*place, length, limit) else { break };
        *place = header.behind();
        batch.push((header, bytes));
    }
    batch
}

/// Half a window of the reader: three batches under way then look at no more windows than it has memory for.
const BATCH_BYTES: u64 = if cfg!(test) { 2048 } else { 2 << 20 };
