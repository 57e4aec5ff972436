//! Logical block protection: mode page 0Ah/F0h, and blocks with a checksum behind them.

use super::*;

const ON_WRITE: u8 = 0x80;
const ON_READ: u8 = 0x40;

fn list(values: [u8; 3]) -> Vec<u8> {
    let mut list = vec![0, 0, 0x10, 0, 0x4a, 0xf0, 0, 28];
    list.extend(values);
    list.resize(4 + 4 + 28, 0);
    list
}

fn select(drive: &mut Drive, nexus: ItNexus, values: [u8; 3]) -> Completion {
    let task = Task::new(nexus, &[0x15, 0x10, 0, 0, 36, 0]);
    device::execute(drive, task.with_data_out(&list(values)))
}

fn shown(drive: &mut Drive, nexus: ItNexus) -> Vec<u8> {
    let data = run(drive, nexus, &[0x1a, 0x08, 0x0a, 0xf0, 255, 0]).data_in;
    assert_eq!((data.len(), &data[4..8]), (36, &[0x4a, 0xf0, 0, 28][..]));
    data[8..11].to_vec()
}

/// Behind the first 37 primes, as CERN's drives take it: Reed-Solomon, then CRC32C.
const CHECKSUMS: [[u8; 4]; 2] = [[0x73, 0x3d, 0x4d, 0xca], [0x48, 0x4f, 0x17, 0xe8]];

fn primes(method: u8) -> Vec<u8> {
    let primes = (2..158_u8).filter(|n| (2..*n).all(|by| n % by != 0));
    primes.chain(CHECKSUMS[usize::from(method) - 1]).collect()
}

#[test]
fn a_protected_block_is_longer_on_its_way_and_not_on_the_medium() {
    for method in [1, 2] {
        let mut drive = drive();
        good(&select(&mut drive, A, [method, 4, ON_WRITE | ON_READ]));
        let block = primes(method);
        assert_eq!(block.len(), 41);
        good(&write(&mut drive, &block));
        good(&filemarks(&mut drive, 1));
        good(&run(&mut drive, A, &REWIND));
        let completion = read(&mut drive, 0, 41);
        good(&completion);
        assert_eq!(completion.data_in, block);
        assert_eq!(sense(&read(&mut drive, 0, 41)), Sense::filemark_detected(41));
        good(&run(&mut drive, A, &REWIND));
        assert_eq!(sense(&read(&mut drive, 0, 100)), Sense::incorrect_length(59));
        // The other nexus has asked for nothing.
        good(&run(&mut drive, B, &REWIND));
        assert_eq!(run(&mut drive, B, &[0x08, 0, 0, 0, 37, 0]).data_in, block[..37]);
        good(&run(&mut drive, A, &REWIND));
        good(&run(&mut drive, A, &[0x13, 0x10, 0, 0, 41, 0]));
        assert_eq!(run(&mut drive, A, &[0x05, 0, 0, 0, 0, 0]).data_in[4..], [0, 5]);
        assert_eq!(run(&mut drive, B, &[0x05, 0, 0, 0, 0, 0]).data_in[4..], [0, 1]);
    }
}

#[test]
fn a_wrong_checksum_writes_nothing() {
    let mut drive = drive();
    good(&select(&mut drive, A, [2, 4, ON_WRITE]));
    let failure = Sense::logical_block_guard_check_failed();
    assert_eq!((failure.key, failure.asc), (SenseKey::HardwareError, Asc(0x10, 0x01)));
    let mut swapped = primes(2);
    swapped[37..].reverse();
    let mut changed = primes(2);
    changed[5] ^= 1;
    for block in [&swapped[..], &changed, &primes(1), &[0; 4], &[7; 3]] {
        let completion = write(&mut drive, block);
        let length = i64::try_from(block.len()).unwrap();
        assert_eq!(sense(&completion), failure.with_information(length));
        assert_eq!(completion.data_out_length_bytes, u64::try_from(block.len()).unwrap());
        assert_eq!(position(&mut drive), 0);
    }
    assert_eq!(sense(&read(&mut drive, 0, 9)).key, SenseKey::BlankCheck);
    // Of several blocks, the one that is wrong keeps all of them off the medium.
    select_block_length(&mut drive, 41);
    let several = [primes(2), changed].concat();
    let completion = run_with(&mut drive, &[0x0a, 1, 0, 0, 2, 0], &several);
    assert_eq!(sense(&completion), failure.with_information(2));
    assert_eq!(position(&mut drive), 0);
}

#[test]
fn fixed_blocks_have_their_checksum_within_the_block_length() {
    let mut drive = drive();
    good(&select(&mut drive, A, [1, 4, ON_WRITE | ON_READ]));
    select_block_length(&mut drive, 41);
    let several = primes(1).repeat(5);
    good(&run_with(&mut drive, &[0x0a, 1, 0, 0, 5, 0], &several));
    assert_eq!(position(&mut drive), 5);
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(read(&mut drive, 1, 5).data_in, several);
    good(&run(&mut drive, A, &REWIND));
    good(&run(&mut drive, A, &[0x13, 0x11, 0, 0, 5, 0]));
    good(&select(&mut drive, A, [0, 0, 0]));
    select_block_length(&mut drive, 37);
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(read(&mut drive, 1, 5).data_in, primes(1)[..37].repeat(5));
}

#[test]
fn ltfs_switches_it_off_before_it_does_anything_else() {
    // LTFS reads page 0Ah/F0h of an IBM drive whether it is to protect blocks or not, and sends it back with method 0. Without the
    // page, mkltfs and mount ended at INVALID FIELD IN CDB; on an HP drive for LTO-5 they ended at log page 31h, which only IBM's had.
    let mut drive = drive();
    let sensed = run(&mut drive, A, &[0x5a, 0, 0x0a, 0xf0, 0, 0, 0, 0, 48, 0]).data_in;
    assert_eq!(sensed.len(), 48);
    let mut list = sensed.to_vec();
    list[..2].fill(0);
    list[20..23].fill(0);
    good(&run_with(&mut drive, &[0x55, 0x10, 0, 0, 0, 0, 0, 0, 48, 0], &list));
    let luns = Arc::from([Lun(0)]);
    let mut hp = Drive::new(Profile::find("hp-ultrium-5").unwrap(), "1", 5, luns);
    run(&mut hp, A, &TEST_UNIT_READY);
    good(&run(&mut hp, A, &[0x4d, 0, 0x71, 0, 0, 0, 0, 0xff, 0xff, 0]));
}

#[test]
fn each_nexus_has_the_page_for_itself() {
    let mut drive = drive();
    good(&select(&mut drive, A, [2, 4, ON_WRITE | ON_READ]));
    assert_eq!(shown(&mut drive, A), [2, 4, 0xc0]);
    // It is no news to the other one, which has its own.
    assert_eq!(shown(&mut drive, B), [0, 0, 0]);
    good(&select(&mut drive, B, [1, 4, ON_READ]));
    assert_eq!(shown(&mut drive, A), [2, 4, 0xc0]);
    assert_eq!(shown(&mut drive, B), [1, 4, 0x40]);
    drive.nexus_ends(B);
    assert_eq!(shown(&mut drive, A), [2, 4, 0xc0]);
    drive.reset();
    run(&mut drive, A, &TEST_UNIT_READY);
    assert_eq!(shown(&mut drive, A), [0, 0, 0]);
}

#[test]
fn what_the_page_cannot_be() {
    let mut drive = drive();
    for (values, byte, bit) in [
        ([3, 4, 0xc0], 8, 7),
        ([1, 0, 0xc0], 9, 5),
        ([2, 8, 0xc0], 9, 5),
        ([0, 4, 0], 9, 5),
        ([0, 0, 0x80], 10, 7),
        ([1, 4, 0x20], 10, 5),
    ] {
        let expected = Sense::invalid_field_in_parameter_list(byte, Some(bit));
        assert_eq!(sense(&select(&mut drive, A, values)), expected, "{values:02x?}");
        assert_eq!(shown(&mut drive, A), [0, 0, 0]);
    }
    let verify = run(&mut drive, A, &[0x13, 0x10, 0, 0, 0, 0]);
    assert_eq!(sense(&verify), Sense::invalid_field_in_cdb(1, Some(4)));
}

#[test]
fn crc32c_came_with_lto_7() {
    let methods = |name: &str| {
        let luns = Arc::from([Lun(0)]);
        let mut drive = Drive::new(Profile::find(name).unwrap(), "1", 5, luns);
        run(&mut drive, A, &TEST_UNIT_READY);
        let inquiry = run(&mut drive, A, &[0x12, 0, 0, 0, 96, 0]).data_in;
        assert_eq!(inquiry[5] & 1, 1, "PROTECT");
        let page = run(&mut drive, A, &[0x12, 1, 0xb5, 0, 96, 0]).data_in;
        let takes = |method: u8, drive: &mut Drive| {
            select(drive, A, [method, 4, 0xc0]).status == Status::GOOD
        };
        (page.to_vec(), takes(1, &mut drive), takes(2, &mut drive))
    };
    let old = vec![1, 0xb5, 0, 8, 0, 0, 0, 0, 3, 1, 4, 0xc0];
    let mut new = [&old[..], &[3, 2, 4, 0xc0]].concat();
    new[3] = 12;
    assert_eq!(methods("ibm-ult3580-td6"), (old, true, false));
    assert_eq!(methods("ibm-ult3580-td7"), (new, true, true));
    assert_eq!(methods("hpe-ultrium-9"), (vec![], true, true));
}

#[test]
fn with_encryption_compression_and_the_forms_of_16_bytes() {
    let mut drive = drive();
    let key = encryption::page(2, 0x40, (2, 3), &[7; 32], &[]);
    good(&encryption::out(&mut drive, A, &key));
    good(&select(&mut drive, A, [2, 4, ON_WRITE | ON_READ]));
    let zeros = vec![0; 32];
    let mut shrinks = zeros.clone();
    // RFC 3720 appendix B.4
    shrinks.extend([0xaa, 0x36, 0x91, 0x8a]);
    good(&run_with(&mut drive, &[0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 36, 0], &shrinks));
    good(&write(&mut drive, &primes(2)));
    let read_16 = |drive: &mut Drive, nexus, object, length| {
        run(drive, nexus, &[0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, object, 0, 0, length, 0])
    };
    assert_eq!(read_16(&mut drive, A, 1, 41).data_in, primes(2));
    assert_eq!(read_16(&mut drive, A, 0, 36).data_in, shrinks);
    good(&run(&mut drive, A, &[0x8f, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    // The same key holds for the other nexus, which sees no checksums; without the key nobody sees anything.
    run(&mut drive, B, &TEST_UNIT_READY);
    assert_eq!(read_16(&mut drive, B, 0, 32).data_in, zeros);
    let off = encryption::page(2, 0x40, (0, 0), &[], &[]);
    good(&encryption::out(&mut drive, A, &off));
    assert_eq!(sense(&read_16(&mut drive, A, 0, 36)).asc, Asc(0x74, 0x01));
}
