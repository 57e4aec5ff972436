//! Headers as they are on the disk.

use super::*;

fn header() -> Header {
    Header {
        kind: Kind::DATA,
        codec: Codec::NONE,
        partition: 0,
        flags: 0x8001,
        payload_offset: 512,
        owner_epoch: 3,
        cartridge: Uuid::from_u128(0x1234_5678_9abc_def0_1122_3344_5566_7788),
        place: Place { segment: 7, offset: 512 * 99 },
        sequence: 1_000_000_007,
        durable_sequence: 1_000_000_000,
        generation: 2,
        generation_start: 5,
        start: Point { objects: 77, filemarks: 8, bytes: 1 << 40 },
        block_length: 1024,
        block_count: 3,
        stored_length: 3072,
        body_crc: 0xdead_beef,
        data_crc: 0x0102_0304_0506_0708,
        time_us: 1_700_000_000_000_000,
        chain: 0x5555_aaaa,
        crc: 0,
    }
}

#[test]
fn headers_survive_the_round_trip() {
    let mut header = header();
    let bytes = header.encode();
    assert_eq!(Header::decode(&bytes).unwrap(), header);
    assert_eq!(header.record_bytes(), 512 + 3072);
    assert_eq!(header.end(), Point { objects: 80, filemarks: 8, bytes: (1 << 40) + 3072 });
}

#[test]
fn the_checksum_of_data_is_the_one_that_others_compute() {
    assert_eq!(
        crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Xz, b"123456789"),
        0x995d_c9bb_df19_39fa
    );
    let header = header();
    for length in [0, 1, 15, 16, 127, 128, 255, 256, 1000, 4096, 70_001] {
        let data: Vec<u8> = (0..length).map(|at: u32| (at % 253) as u8).collect();
        let mut other = crc64fast::Digest::new();
        other.write(&data);
        other.write(header.cartridge.as_bytes());
        other.write(&header.generation.to_le_bytes());
        other.write(&[header.partition]);
        other.write(&header.start.objects.to_le_bytes());
        other.write(&header.block_length.to_le_bytes());
        other.write(&header.block_count.to_le_bytes());
        assert_eq!(header.data_checksum(&data), other.sum64(), "{length}");
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let bytes = header().encode();
    for length in 0..bytes.len() {
        assert_eq!(Header::decode(&bytes[..length]), Err(HeaderError::Invalid));
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Header::decode(&flipped), Err(HeaderError::Invalid), "bit {bit}");
    }
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let mut bytes = header().encode();
    bytes[4] = 2;
    let crc = crc32c::crc32c(&bytes[..124]).to_le_bytes();
    bytes[124..].copy_from_slice(&crc);
    assert_eq!(Header::decode(&bytes), Err(HeaderError::NewerVersion(2)));
}

#[test]
fn lengths_beyond_the_limits_are_refused() {
    let wrong: [fn(&mut Header); 5] = [
        |h| h.stored_length = u32::MAX,
        |h| h.payload_offset = 127,
        |h| h.payload_offset = 513,
        |h| h.block_length = u32::MAX,
        |h| h.block_count = 0,
    ];
    for change in wrong {
        let mut header = header();
        change(&mut header);
        assert_eq!(Header::decode(&header.encode()), Err(HeaderError::Invalid));
    }
}

#[test]
fn the_data_checksum_is_bound_to_its_place() {
    let one = header();
    let data = [7; 3072];
    let others: [fn(&mut Header); 4] = [
        |h| h.generation += 1,
        |h| h.start.objects += 1,
        |h| h.cartridge = Uuid::from_u128(1),
        |h| h.block_count = 6,
    ];
    for change in others {
        let mut other = header();
        change(&mut other);
        assert_ne!(one.data_checksum(&data), other.data_checksum(&data));
    }
}
