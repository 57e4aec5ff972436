//! READ ATTRIBUTE and WRITE ATTRIBUTE.

use super::*;

fn cdb(code: u8, action: u8, partition: u8, first: u16, length: u32) -> [u8; 16] {
    let [high, low] = first.to_be_bytes();
    let [a, b, c, d] = length.to_be_bytes();
    [code, action, 0, 0, 0, 0, 0, partition, high, low, a, b, c, d, 0, 0]
}

fn read_all(drive: &mut Drive, action: u8) -> Vec<u8> {
    let completion = run(drive, A, &cdb(0x8c, action, 0, 0, 0x8000));
    good(&completion);
    completion.data_in.to_vec()
}

/// Identifier, flags byte, value.
fn attributes(drive: &mut Drive) -> Vec<(u16, u8, Vec<u8>)> {
    let data = read_all(drive, 0);
    assert_eq!(u32::from_be_bytes(data[..4].try_into().unwrap()) as usize, data.len() - 4);
    let mut rest = &data[4..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[3], rest[4]]));
        found.push((u16::from_be_bytes([rest[0], rest[1]]), rest[2], rest[5..5 + length].to_vec()));
        rest = &rest[5 + length..];
    }
    assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
    found
}

fn value(drive: &mut Drive, identifier: u16) -> Option<Vec<u8>> {
    attributes(drive).into_iter().find(|found| found.0 == identifier).map(|found| found.2)
}

fn number(drive: &mut Drive, identifier: u16) -> u64 {
    let bytes = value(drive, identifier).unwrap();
    bytes.into_iter().fold(0, |number, byte| number << 8 | u64::from(byte))
}

fn list(attributes: &[(u16, u8, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (identifier, format, value) in attributes {
        body.extend(identifier.to_be_bytes());
        body.push(*format);
        body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(*value);
    }
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
}

fn write_list(drive: &mut Drive, list: &[u8]) -> Completion {
    run_with(drive, &cdb(0x8d, 0, 0, 0, u32::try_from(list.len()).unwrap()), list)
}

fn text(bytes: &str, length: usize) -> Vec<u8> {
    format!("{bytes:length$}").into_bytes()
}

#[test]
fn everything_that_is_known_of_a_cartridge_is_told() {
    let mut drive = drive();
    let found = attributes(&mut drive);
    let of = |wanted: u16| found.iter().find(|found| found.0 == wanted).unwrap().clone();
    assert_eq!(of(0x0000), (0x0000, 0x80, 1024_u64.to_be_bytes().to_vec()));
    assert_eq!(of(0x0001).2, 1024_u64.to_be_bytes());
    assert_eq!(of(0x0003).2, 1_u64.to_be_bytes());
    assert_eq!(of(0x0005), (0x0005, 0x81, text("LTO-CVE", 8)));
    assert_eq!(of(0x0006).2, [0x60]);
    assert_eq!(of(0x0009).2, [0; 4]);
    assert_eq!(of(0x020a).2, text("IBM     1013000001", 40));
    assert_eq!(of(0x020b).2, text("", 40));
    assert_eq!(of(0x0400).2, text("VTL", 8));
    assert_eq!(of(0x0401).2, b"00000000000000000000000000000001");
    assert_eq!(of(0x0402).2, 1035_u32.to_be_bytes());
    assert_eq!(of(0x0405).2, [0x60]);
    assert_eq!(of(0x0406).2, b"19700101");
    assert_eq!(of(0x0408).2, [0]);
    assert_eq!(of(0x0806), (0x0806, 0x01, text("VTL001L9", 32)));
    assert!(found.iter().all(|found| found.0 != 0x0801));
}

#[test]
fn the_length_is_that_of_everything_whatever_is_asked_for() {
    // mhvtl wrote more than the allocation length, and counted the four bytes of the length itself.
    let mut drive = drive();
    let whole = read_all(&mut drive, 0);
    for allocation in [0, 3, 4, 9, 40] {
        let completion = run(&mut drive, A, &cdb(0x8c, 0, 0, 0, allocation));
        good(&completion);
        assert_eq!(completion.data_in, whole[..allocation as usize]);
    }
}

#[test]
fn lists_of_attributes_volumes_and_partitions() {
    let mut drive = drive();
    let identifiers = |data: &[u8]| -> Vec<u16> {
        assert_eq!(u32::from_be_bytes(data[..4].try_into().unwrap()) as usize, data.len() - 4);
        data[4..].as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect()
    };
    let there = identifiers(&read_all(&mut drive, 1));
    let supported = identifiers(&read_all(&mut drive, 5));
    assert_eq!(there, attributes(&mut drive).iter().map(|found| found.0).collect::<Vec<_>>());
    assert!(there.iter().all(|identifier| supported.contains(identifier)));
    assert!(supported.contains(&0x080c) && supported.contains(&0x1623) && !there.contains(&0x080c));
    assert!(supported.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(read_all(&mut drive, 2), [0, 2, 0, 1]);
    assert_eq!(read_all(&mut drive, 3), [0, 2, 0, 1]);
}

#[test]
fn reading_begins_with_an_attribute_that_is_there() {
    let mut drive = drive();
    let completion = run(&mut drive, A, &cdb(0x8c, 0, 0, 0x0806, 0x8000));
    good(&completion);
    assert_eq!(completion.data_in[..9], [0, 0, 0, 99, 0x08, 0x06, 0x01, 0, 32]);
    for (cdb, byte) in [
        (cdb(0x8c, 0, 0, 0x080c, 0x8000), 8),
        (cdb(0x8c, 1, 0, 0x9999, 0x8000), 8),
        (cdb(0x8c, 0, 1, 0, 0x8000), 7),
    ] {
        let refused = sense(&run(&mut drive, A, &cdb));
        assert_eq!(refused, Sense::invalid_field_in_cdb(byte, Some(7)));
    }
    for action in [4, 6, 0x1f] {
        let refused = sense(&run(&mut drive, A, &cdb(0x8c, action, 0, 0, 0x8000)));
        assert_eq!(refused, Sense::invalid_field_in_cdb(1, Some(4)));
    }
    let mut other_volume = cdb(0x8c, 0, 0, 0, 0x8000);
    other_volume[5] = 1;
    let refused = sense(&run(&mut drive, A, &other_volume));
    assert_eq!(refused, Sense::invalid_field_in_cdb(5, Some(7)));
}

#[test]
fn what_a_host_writes_is_durable_when_it_is_answered() {
    let disk = created(&spec("lto9", 1 << 30));
    let mut drive = drive_on(&disk);
    let coherency = [7; 70];
    let written = list(&[
        (0x0801, 1, &text("Backup", 32)),
        (0x0803, 2, &text("weekly", 160)),
        (0x080c, 0, &coherency),
        (0x1623, 0, &[1]),
    ]);
    good(&write_list(&mut drive, &written));
    // The program ends here, and the power with it.
    std::mem::forget(drive);
    disk.power_cut();
    let mut drive = drive_on(&disk);
    let found = attributes(&mut drive);
    let of = |wanted: u16| found.iter().find(|found| found.0 == wanted).unwrap().clone();
    assert_eq!(of(0x0801), (0x0801, 0x01, text("Backup", 32)));
    assert_eq!(of(0x0803), (0x0803, 0x02, text("weekly", 160)));
    assert_eq!(of(0x080c), (0x080c, 0x00, coherency.to_vec()));
    assert_eq!(of(0x1623), (0x1623, 0x00, vec![1]));
    // No value clears it, one that is not there as well.
    good(&write_list(&mut drive, &list(&[(0x0801, 1, &[]), (0x0802, 1, &[]), (0x0806, 1, &[])])));
    assert_eq!((value(&mut drive, 0x0801), value(&mut drive, 0x0806)), (None, None));
    good(&write_list(&mut drive, &list(&[(0x0806, 1, &text("OTHER1L9", 32))])));
    assert_eq!(value(&mut drive, 0x0806), Some(text("OTHER1L9", 32)));
}

#[test]
fn a_list_that_is_not_right_changes_nothing() {
    let mut drive = drive();
    let own = (0x0801, 1, &text("Backup", 32)[..]);
    let own_bytes = 37;
    let at =
        |byte: u16, bit| Sense::invalid_field_in_parameter_list(4 + own_bytes + byte, Some(bit));
    let (serial, short) = (text("other", 32), text("1.0", 3));
    for (second, refusal) in [
        // read-only, unknown, in the wrong order, of the wrong format, of a format that there is not, of the wrong length
        ((0x0401, 1, &serial[..]), at(0, 7)),
        ((0x0003, 0, &[0; 8][..]), at(0, 7)),
        ((0x0999, 0, &[1][..]), at(0, 7)),
        ((0x0801, 1, &serial[..]), at(0, 7)),
        ((0x0807, 1, &[b'a'; 80][..]), at(2, 1)),
        ((0x1500, 3, &[1][..]), at(2, 1)),
        ((0x0802, 1, &short[..]), at(3, 7)),
    ] {
        let refused = sense(&write_list(&mut drive, &list(&[own, second])));
        assert_eq!(refused, refusal, "{second:?}");
    }
    let whole = list(&[own]);
    for length in [1, 3, 5, whole.len() - 1] {
        let refused = sense(&write_list(&mut drive, &whole[..length]));
        assert_eq!(refused, Sense::parameter_list_length_error(), "{length}");
    }
    assert_eq!(value(&mut drive, 0x0801), None);
    good(&write_list(&mut drive, &[]));
    for partition in [1, 255] {
        let refused = sense(&run_with(&mut drive, &cdb(0x8d, 0, partition, 0, 41), &whole));
        assert_eq!(refused, Sense::invalid_field_in_cdb(7, Some(7)));
    }
}

#[test]
fn a_full_memory_is_said_to_be_full() {
    let mut drive = drive();
    for identifier in 0x1400..0x1403 {
        good(&write_list(&mut drive, &list(&[(identifier, 0, &[1; 4096])])));
    }
    let refused = sense(&write_list(&mut drive, &list(&[(0x1403, 0, &[1; 4096])])));
    assert_eq!(refused, Sense::auxiliary_memory_out_of_space());
    assert_eq!(number(&mut drive, 0x0004), 16384 - 3 * 4101);
}

#[test]
fn it_can_be_read_and_written_when_the_cartridge_is_unloaded_and_not_when_there_is_none() {
    let mut drive = drive();
    good(&run(&mut drive, A, &[0x1b, 0, 0, 0, 0, 0]));
    good(&write_list(&mut drive, &list(&[(0x0802, 1, &text("1", 8))])));
    assert_eq!(value(&mut drive, 0x0802), Some(text("1", 8)));
    drive.remove().unwrap();
    let refused = sense(&run(&mut drive, A, &cdb(0x8c, 0, 0, 0, 512)));
    assert_eq!(refused, Sense::medium_not_present());
    assert_eq!(sense(&write_list(&mut drive, &[])), Sense::medium_not_present());
    drive.refuse(crate::NotLoaded::WrongGeneration);
    let refused = sense(&run(&mut drive, A, &cdb(0x8c, 0, 0, 0, 512)));
    assert_eq!(refused, Sense::incompatible_format());
}

#[test]
fn what_may_only_be_read_keeps_its_attributes() {
    let mut drive = drive_with("lto9", 1 << 30);
    if let crate::drive::Bay::Ready(loaded) = &mut drive.bay {
        loaded.is_read_only = true;
    }
    let refused = sense(&write_list(&mut drive, &list(&[(0x0802, 1, &text("1", 8))])));
    assert_eq!(refused, Sense::write_protected());
    assert_eq!(value(&mut drive, 0x0802), None);
}

#[test]
fn the_change_reference_goes_on_by_one_for_each_load_with_writes() {
    let disk = created(&spec("lto9", 1 << 30));
    let mut drive = drive_on(&disk);
    assert_eq!(number(&mut drive, 0x0009), 0);
    for _ in 0..3 {
        good(&write(&mut drive, &[1; 100]));
        assert_eq!(number(&mut drive, 0x0009), 1);
    }
    good(&write_list(&mut drive, &list(&[(0x0802, 1, &text("1", 8))])));
    assert_eq!(number(&mut drive, 0x0009), 1);
    drive.remove().unwrap();
    // A load that changes nothing, but for an attribute.
    let mut drive = drive_on(&disk);
    good(&write_list(&mut drive, &list(&[(0x0802, 1, &text("2", 8))])));
    good(&read(&mut drive, 0, 100));
    assert_eq!(number(&mut drive, 0x0009), 1);
    drive.remove().unwrap();
    // A load that ends with the power.
    let mut drive = drive_on(&disk);
    assert_eq!(number(&mut drive, 0x0009), 1);
    good(&write(&mut drive, &[1; 100]));
    good(&filemarks(&mut drive, 1));
    assert_eq!(number(&mut drive, 0x0009), 2);
    std::mem::forget(drive);
    disk.power_cut();
    let mut drive = drive_on(&disk);
    assert_eq!((number(&mut drive, 0x0009), number(&mut drive, 0x0003)), (2, 4));
    std::mem::forget(drive);
    disk.power_cut();
    assert_eq!(number(&mut drive_on(&disk), 0x0009), 2);
}

#[test]
fn capacity_and_counters_move_with_the_data() {
    let disk = created(&spec("lto9", 1 << 30));
    let mut drive = drive_on(&disk);
    for _ in 0..5 {
        good(&write(&mut drive, &vec![1; 1 << 20]));
    }
    good(&run(&mut drive, A, &REWIND));
    good(&read(&mut drive, 0, 1 << 20));
    assert_eq!((number(&mut drive, 0x0000), number(&mut drive, 0x0001)), (1019, 1024));
    assert_eq!((number(&mut drive, 0x0220), number(&mut drive, 0x0221)), (5, 1));
    assert_eq!((number(&mut drive, 0x0222), number(&mut drive, 0x0223)), (5, 1));
    drive.remove().unwrap();
    let mut drive = drive_on(&disk);
    assert_eq!((number(&mut drive, 0x0220), number(&mut drive, 0x0221)), (5, 1));
    assert_eq!((number(&mut drive, 0x0222), number(&mut drive, 0x0223)), (0, 0));
    // Overwritten from the beginning: what was given up is free.
    good(&write(&mut drive, &[1; 100]));
    assert_eq!((number(&mut drive, 0x0000), number(&mut drive, 0x0220)), (1023, 5));
    assert_eq!(value(&mut drive, 0x020a), value(&mut drive, 0x020b));
}
