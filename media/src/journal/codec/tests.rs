//! What goes in comes out, and nothing else does.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::journal::record::{Kind, Place, Point};

/// Bytes of one nature each, so that together they are anything that a host may write.
fn piece(seed: u64, nature: u8, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    match nature {
        0 => vec![0; length],
        1 => (0..length).map(|_| random()).collect(),
        _ => (0..length).map(|_| b"etaoin s"[usize::from(random() % 8)]).collect(),
    }
}

fn header(length: usize, packed: Packed) -> Header {
    let stored = u32::try_from(packed.stored_length).unwrap();
    Header {
        kind: Kind::DATA,
        codec: packed.codec,
        partition: 0,
        flags: 0,
        payload_offset: payload_offset(packed.stored_length),
        owner_epoch: 1,
        cartridge: Uuid::from_u128(9),
        place: Place { segment: 1, offset: 512 },
        sequence: 1,
        durable_sequence: 0,
        generation: 0,
        generation_start: 0,
        start: Point::default(),
        block_length: u32::try_from(length).unwrap(),
        block_count: 1,
        stored_length: stored,
        body_crc: 0,
        data_crc: 0,
        time_us: 0,
        chain: 0,
        crc: 0,
    }
}

/// A record with this payload, and a header that says so.
fn record(header: &mut Header, payload: &[u8]) -> Bytes {
    let mut bytes = vec![0; usize::try_from(header.record_bytes()).unwrap()];
    let start = usize::from(header.payload_offset);
    bytes[start..start + payload.len()].copy_from_slice(payload);
    header.body_crc = crc32c::crc32c(&bytes[HEADER_BYTES..]);
    Bytes::from(bytes)
}

fn pack(compressor: &mut Compressor, data: &[u8]) -> Option<(Packed, Vec<u8>)> {
    let mut target = vec![0xee; packed_length_max(data.len())];
    let packed = compressor.pack(data, &mut target)?;
    target.truncate(packed.stored_length);
    Some((packed, target))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn data_comes_back_and_is_never_longer(
        records in prop::collection::vec(prop::collection::vec((any::<u64>(), 0_u8..3, 1_usize..90_000), 1..5), 1..6),
    ) {
        let (mut compressor, mut decoder) = (Compressor::default(), Decoder::default());
        for pieces in records {
            let data: Vec<u8> =
                pieces.into_iter().flat_map(|(seed, nature, length)| piece(seed, nature, length)).collect();
            let (packed, payload) = pack(&mut compressor, &data).unwrap_or_else(|| {
                (Packed { codec: Codec::NONE, stored_length: data.len() }, data.clone())
            });
            prop_assert_eq!(packed.codec == Codec::ZEROS, data.iter().all(|byte| *byte == 0));
            let mut header = header(data.len(), packed);
            if packed.codec == Codec::ZSTD {
                let plain = record_bytes(payload_offset(data.len()), u32::try_from(data.len()).unwrap());
                prop_assert!(header.record_bytes() + SECTOR_BYTES <= plain);
                prop_assert!(packed.stored_length <= data.len() - data.len() / 16);
            }
            let record = record(&mut header, &payload);
            prop_assert_eq!(decoder.data(&header, &record), Some(Bytes::from(data)));
        }
    }
}

#[test]
fn what_is_not_exactly_the_blocks_is_refused() {
    let data = piece(1, 2, 10_000);
    let (packed, payload) = pack(&mut Compressor::default(), &data).unwrap();
    let mut decoder = Decoder::default();
    let mut read = |header: &mut Header, payload: &[u8]| {
        let record = record(header, payload);
        decoder.data(header, &record)
    };
    let good = header(data.len(), packed);
    assert_eq!(read(&mut good.clone(), &payload), Some(Bytes::from(data.clone())));
    // Blocks that are longer or shorter than what the frame holds.
    for length in [9_999, 10_001, 1, 64 << 20] {
        assert_eq!(read(&mut Header { block_length: length, ..good.clone() }, &payload), None);
    }
    // A payload that is cut off, and one in which any byte is another one: no crash, and never more than the blocks.
    for length in 0..payload.len() {
        let stored_length = u32::try_from(length).unwrap();
        assert_eq!(
            read(&mut Header { stored_length, ..good.clone() }, &payload[..length]),
            None,
            "{length}"
        );
        let mut other = payload.clone();
        other[length] ^= 0x41;
        let found = read(&mut good.clone(), &other);
        assert!(found.is_none_or(|found| found.len() == data.len()));
    }
    // Codecs that are not known, and lengths that do not go with the codec.
    for codec in [2, 4, 64, 255] {
        assert_eq!(read(&mut Header { codec: Codec(codec), ..good.clone() }, &payload), None);
    }
    let zeros = Header { codec: Codec::ZEROS, ..good.clone() };
    assert_eq!(read(&mut zeros.clone(), &payload), None);
    assert_eq!(read(&mut Header { stored_length: 0, ..zeros }, &[]), Some(vec![0; 10_000].into()));
    assert_eq!(read(&mut Header { codec: Codec::NONE, ..good }, &payload), None);
}

#[test]
fn a_frame_that_becomes_more_than_the_blocks_is_refused() {
    // A gigabyte of zeros in a few bytes, as it is, and in a frame that does not say how much it becomes.
    let frame = zstd::zstd_safe::compress_bound(1 << 20);
    let mut bomb = vec![0; frame];
    let length = zstd::zstd_safe::compress(&mut bomb[..], &vec![0; 1 << 20], 1).unwrap();
    bomb.truncate(length);
    let twice = [&bomb[..], &bomb[..]].concat();
    let mut silent = Vec::with_capacity(frame);
    let mut context = CCtx::create();
    context.set_parameter(zstd::zstd_safe::CParameter::ContentSizeFlag(false)).unwrap();
    context.compress2(&mut silent, &vec![0; 1 << 20]).unwrap();
    for (payload, length) in [(&bomb, 4096), (&twice, 1 << 20), (&silent, 1 << 20)] {
        let packed = Packed { codec: Codec::ZSTD, stored_length: payload.len() };
        let mut header = header(length, packed);
        let record = record(&mut header, payload);
        assert_eq!(Decoder::default().data(&header, &record), None);
    }
}

#[test]
fn data_that_does_not_shrink_is_let_alone_until_it_does_again() {
    let mut compressor = Compressor::default();
    let length = 256 * 1024;
    for number in 0..u64::from(MISSES_MAX) {
        assert_eq!(pack(&mut compressor, &piece(number, 1, length)), None);
    }
    // Now even data that would shrink is not looked at, for a while and no longer, unless it is nothing at all.
    let text = piece(1, 2, length);
    let passed = (0..100).take_while(|_| pack(&mut compressor, &text).is_none()).count();
    assert!((2..=PAUSE_BYTES / length).contains(&passed), "{passed}");
    assert!(pack(&mut compressor, &text).is_some(), "the next one follows at once");
    for number in 0..u64::from(MISSES_MAX) {
        assert_eq!(pack(&mut compressor, &piece(number, 1, length)), None);
    }
    let zeros = Packed { codec: Codec::ZEROS, stored_length: 0 };
    assert_eq!(pack(&mut compressor, &vec![0; length]), Some((zeros, Vec::new())));
}

#[test]
fn memory_is_used_again_and_bounded() {
    let pool = Arc::new(Pool::default());
    let first = Pool::take(&pool, 100_000);
    let address = first.bytes.as_ptr().addr();
    drop(first);
    let second = Pool::take(&pool, 90_000);
    assert_eq!(second.bytes.as_ptr().addr(), address);
    drop((0..30).map(|_| Pool::take(&pool, 1 << 20)).collect::<Vec<_>>());
    drop(Pool::take(&pool, POOL_BYTES + 1));
    let kept: usize = pool.free.lock().unwrap().iter().map(Vec::capacity).sum();
    assert!((POOL_BYTES / 2..=POOL_BYTES).contains(&kept), "{kept}");
}
