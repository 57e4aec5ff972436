//! Partitions, FORMAT MEDIUM and SET CAPACITY.

use super::*;

const MIB: u64 = 1 << 20;
const REST: u16 = 0xffff;

/// Page 11h as MODE SENSE shows it, without the headers.
fn page(drive: &mut Drive) -> Vec<u8> {
    let completion = run(drive, A, &[0x5a, 0x08, 0x11, 0, 0, 0, 0, 0, 0xff, 0]);
    good(&completion);
    completion.data_in[8..].to_vec()
}

/// IDP with sizes in megabytes.
fn select(drive: &mut Drive, sizes: &[u16]) -> Completion {
    let mut page = page(drive);
    page[3] = u8::try_from(sizes.len()).unwrap() - 1;
    page[4] = 0x34; // IDP, megabytes, POFM
    for (at, size) in sizes.iter().enumerate() {
        page[8 + 2 * at..10 + 2 * at].copy_from_slice(&size.to_be_bytes());
    }
    select_page(drive, &page)
}

fn select_page(drive: &mut Drive, page: &[u8]) -> Completion {
    let list = [&[0, 0, 0x10, 0][..], page].concat();
    run_with(drive, &[0x15, 0x10, 0, 0, u8::try_from(list.len()).unwrap(), 0], &list)
}

fn format(drive: &mut Drive, how: u8) -> Completion {
    run(drive, A, &[0x04, 0, how, 0, 0, 0])
}

fn locate(drive: &mut Drive, partition: u8, object: u8) -> Completion {
    run(drive, A, &[0x92, 0x02, 0, partition, 0, 0, 0, 0, 0, 0, 0, object, 0, 0, 0, 0])
}

/// Partition and object, as all forms of READ POSITION say.
fn place(drive: &mut Drive) -> (u8, u64) {
    let mut form = |form| run(drive, A, &[0x34, form, 0, 0, 0, 0, 0, 0, 32, 0]).data_in;
    let (short, long, extended) = (form(0x00), form(0x06), form(0x08));
    assert_eq!((short[1], long[7]), (extended[1], extended[1]));
    (long[7], u64::from_be_bytes(long[8..16].try_into().unwrap()))
}

fn block(drive: &mut Drive, partition: u8, object: u8) -> Vec<u8> {
    good(&locate(drive, partition, object));
    let completion = read(drive, 0x02, 65536);
    good(&completion);
    completion.data_in.to_vec()
}

/// Two partitions, 100 MB and the rest of a GiB, with another block in each.
fn divided(disk: &MemoryDisk) -> Drive {
    let mut drive = drive_on(disk);
    good(&write(&mut drive, b"before"));
    good(&run(&mut drive, A, &REWIND));
    good(&select(&mut drive, &[100, REST]));
    good(&format(&mut drive, 1));
    good(&write(&mut drive, b"first"));
    good(&locate(&mut drive, 1, 0));
    good(&write(&mut drive, b"second"));
    good(&filemarks(&mut drive, 1));
    drive
}

#[test]
fn each_partition_has_its_own_objects() {
    let disk = created(&spec("lto9", 1 << 30));
    let mut drive = divided(&disk);
    assert_eq!(place(&mut drive), (1, 2));
    assert_eq!(block(&mut drive, 0, 0), b"first");
    assert_eq!(place(&mut drive), (0, 1));
    let end = Sense::end_of_data().with_information(9);
    assert_eq!(sense(&read(&mut drive, 0, 9)), end);
    assert_eq!(block(&mut drive, 1, 0), b"second");
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(place(&mut drive), (1, 0));
    good(&space(&mut drive, 3, 0));
    assert_eq!(place(&mut drive), (1, 2));
    good(&run(&mut drive, A, &[0x2b, 0x02, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(place(&mut drive), (0, 0));
    // Without CP the partition stays, whatever the field says.
    good(&run(&mut drive, A, &[0x92, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]));
    assert_eq!(place(&mut drive), (0, 1));
    for partition in [2, 255] {
        let refused = sense(&locate(&mut drive, partition, 0));
        assert_eq!(refused, Sense::invalid_field_in_cdb(3, Some(7)));
        let refused = sense(&run(&mut drive, A, &[0x2b, 2, 0, 0, 0, 0, 0, 0, partition, 0]));
        assert_eq!(refused, Sense::invalid_field_in_cdb(8, Some(7)));
    }
    assert_eq!(place(&mut drive), (0, 1));
    // Erasing and overwriting one leaves the other alone.
    good(&locate(&mut drive, 1, 0));
    good(&run(&mut drive, A, &[0x19, 0, 0, 0, 0, 0]));
    assert_eq!(block(&mut drive, 0, 0), b"first");
    good(&locate(&mut drive, 0, 0));
    good(&write(&mut drive, b"again"));
    good(&locate(&mut drive, 1, 0));
    assert_eq!(sense(&read(&mut drive, 0, 9)), end);
}

#[test]
fn the_layout_is_on_the_cartridge() {
    // mhvtl forgot it with the program.
    let disk = created(&spec("lto9", 1 << 30));
    let mut drive = divided(&disk);
    good(&run(&mut drive, A, &[0x1b, 0, 0, 0, 0, 0]));
    good(&run(&mut drive, A, &[0x1b, 0, 0, 0, 1, 0]));
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::medium_may_have_changed());
    assert_eq!(place(&mut drive), (0, 0));
    assert_eq!(block(&mut drive, 1, 0), b"second");
    let facts = drive.remove().unwrap().unwrap();
    assert_eq!((facts.block_count, facts.filemark_count, facts.written_bytes), (2, 1, 11));
    let shown = page(&mut drive);
    assert_eq!((shown[2], shown[3]), (3, 0), "nothing is in the drive");
    let mut drive = drive_on(&disk);
    let shown = page(&mut drive);
    assert_eq!(shown[..8], [0x11, 14, 3, 1, 0x3c, 3, 5, 0]);
    assert_eq!(shown[8..16], [0x03, 0xe8, 0x26, 0x09, 0, 0, 0, 0], "1000 and 9737 times 10^5");
    assert_eq!(
        (block(&mut drive, 0, 0), block(&mut drive, 1, 0)),
        (b"first".to_vec(), b"second".to_vec())
    );
    // In the middle of it, without an orderly unload.
    good(&write(&mut drive, b"third"));
    good(&filemarks(&mut drive, 0));
    std::mem::forget(drive);
    disk.power_cut();
    let mut drive = drive_on(&disk);
    assert_eq!(block(&mut drive, 0, 0), b"first");
    assert_eq!(block(&mut drive, 1, 1), b"third");
}

#[test]
fn what_is_prepared_is_done_by_format_medium_and_by_nothing_else() {
    let mut drive = drive();
    good(&write(&mut drive, b"data"));
    good(&run(&mut drive, A, &REWIND));
    let before = page(&mut drive);
    good(&select(&mut drive, &[1, 2, 3, REST]));
    assert_eq!(page(&mut drive), before);
    assert_eq!(block(&mut drive, 0, 0), b"data");
    assert_eq!(sense(&format(&mut drive, 1)), Sense::position_past_beginning());
    good(&run(&mut drive, A, &REWIND));
    for (cdb, byte, bit) in [
        ([0x04, 0, 3, 0, 0, 0], 2, 3),
        ([0x04, 0, 1, 0, 1, 0], 3, 7),
        ([0x04, 2, 1, 0, 0, 0], 1, 1),
    ] {
        let refused = sense(&run(&mut drive, A, &cdb));
        assert_eq!(refused, Sense::invalid_field_in_cdb(byte, Some(bit)));
    }
    assert_eq!(block(&mut drive, 0, 0), b"data");
    good(&run(&mut drive, A, &REWIND));
    good(&run(&mut drive, A, &[0x04, 1, 2, 0, 0, 0]));
    assert_eq!(page(&mut drive)[3], 3);
    good(&locate(&mut drive, 3, 0));
    good(&write(&mut drive, b"last"));
    assert_eq!(sense(&format(&mut drive, 0)), Sense::position_past_beginning());
    // In partition 1, at its beginning: that is not the beginning of the medium.
    good(&locate(&mut drive, 1, 0));
    assert_eq!(sense(&format(&mut drive, 0)), Sense::position_past_beginning());
    good(&locate(&mut drive, 0, 0));
    good(&format(&mut drive, 0));
    assert_eq!(page(&mut drive)[3], 0);
    assert_eq!(sense(&locate(&mut drive, 1, 0)), Sense::invalid_field_in_cdb(3, Some(7)));
    // And again: what was in the partition then is not there.
    good(&select(&mut drive, &[1, 2, 3, REST]));
    good(&format(&mut drive, 1));
    good(&locate(&mut drive, 3, 0));
    assert_eq!(sense(&read(&mut drive, 0, 9)), Sense::end_of_data().with_information(9));
}

#[test]
fn sizes_that_do_not_fit_are_pointed_at() {
    let mut drive = drive();
    let at = |byte: u16| Sense::invalid_field_in_parameter_list(4 + byte, Some(7));
    assert_eq!(sense(&select(&mut drive, &[1000, 100])), at(10));
    assert_eq!(sense(&select(&mut drive, &[2000, REST])), at(8));
    assert_eq!(sense(&select(&mut drive, &[REST, 1, REST])), at(12));
    assert_eq!(sense(&select(&mut drive, &[1, 0])), at(10));
    assert_eq!(sense(&select(&mut drive, &[2000])), at(8));
    let shown = page(&mut drive);
    for (index, value, refusal) in [
        (3, 4, at(3)),
        (4, 0xfc, at(4)),
        (4, 0x1c, at(4)),
        (4, 0x38, Sense::invalid_field_in_parameter_list(8, Some(2))),
        (2, 5, Sense::invalid_field_in_parameter_list(6, Some(2))),
    ] {
        let mut wanted = shown.clone();
        wanted[index] = value;
        assert_eq!(sense(&select_page(&mut drive, &wanted)), refusal, "{index} {value}");
    }
    good(&select_page(&mut drive, &shown));
    good(&format(&mut drive, 1));
    assert_eq!(page(&mut drive), shown);
}

#[test]
fn a_page_may_bring_as_many_sizes_as_it_wants_partitions() {
    // st cuts the page behind the second size, whatever its length was; it was refused, and `mt mkpartition` failed.
    let mut drive = drive();
    let mut wanted = page(&mut drive)[..12].to_vec();
    (wanted[1], wanted[3], wanted[4], wanted[6]) = (10, 1, 0x34, 0);
    wanted[8..12].copy_from_slice(&[0xff, 0xff, 0, 100]);
    good(&select_page(&mut drive, &wanted));
    good(&format(&mut drive, 1));
    assert_eq!(page(&mut drive)[8..16], [0x26, 0x09, 0x03, 0xe8, 0, 0, 0, 0]);
    for (length, defined) in [(8, 1), (10, 2), (5, 0), (16, 0)] {
        let mut wanted = page(&mut drive);
        wanted.resize(2 + length, 0);
        (wanted[1], wanted[3]) = (u8::try_from(length).unwrap(), defined);
        let refused = sense(&select_page(&mut drive, &wanted));
        assert_eq!(refused, Sense::invalid_field_in_parameter_list(5, None), "{length}");
    }
}

#[test]
fn the_drive_decides_where_it_is_asked_to() {
    let mut drive = drive();
    let mut wanted = page(&mut drive);
    (wanted[3], wanted[4]) = (1, 0x9c); // FDP
    good(&select_page(&mut drive, &wanted));
    good(&format(&mut drive, 1));
    let shown = page(&mut drive);
    assert_eq!((shown[3], &shown[8..12]), (1, &[0x28, 0xe4, 0x01, 0x0c][..]));
    (wanted[3], wanted[4]) = (3, 0x5c); // SDP
    good(&select_page(&mut drive, &wanted));
    good(&format(&mut drive, 2));
    let shown = page(&mut drive);
    assert_eq!(
        (shown[3], &shown[8..12], &shown[14..]),
        (3, &[0x0a, 0x7c, 0x0a, 0x7c][..], &[0x0a, 0x7c][..])
    );
}

#[test]
fn each_partition_has_its_own_end_and_capacity() {
    let mut drive = drive_with("lto9", 40_000_000);
    good(&select(&mut drive, &[10, REST]));
    good(&format(&mut drive, 1));
    let fill = |drive: &mut Drive| {
        let mut told = Vec::new();
        loop {
            let completion = write(drive, &vec![1; 1_000_000]);
            told.push(completion.sense.map(|sense| sense.key));
            if told.last() == Some(&Some(SenseKey::VolumeOverflow)) {
                return (told.len(), told.iter().position(Option::is_some).unwrap());
            }
        }
    };
    assert_eq!(fill(&mut drive), (11, 8));
    let attribute = |drive: &mut Drive, partition, identifier| {
        let cdb = [0x8c, 0, 0, 0, 0, 0, 0, partition, 0, identifier, 0, 0, 1, 0, 0, 0];
        let data = run(drive, A, &cdb).data_in;
        u64::from_be_bytes(data[9..17].try_into().unwrap())
    };
    assert_eq!((attribute(&mut drive, 0, 0), attribute(&mut drive, 0, 1)), (0, 9));
    assert_eq!((attribute(&mut drive, 1, 0), attribute(&mut drive, 1, 1)), (28, 28));
    good(&locate(&mut drive, 1, 0));
    assert_eq!(fill(&mut drive), (31, 26));
    assert_eq!(attribute(&mut drive, 1, 0), 0);
    let partitions = run(&mut drive, A, &[0x8c, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0]);
    assert_eq!(partitions.data_in, &[0, 2, 0, 2][..]);
}

#[test]
fn attributes_of_a_partition_are_its_own_until_it_is_formatted() {
    let disk = created(&spec("lto9", 1 << 30));
    let mut drive = divided(&disk);
    let list = [0, 0, 0, 9, 0x08, 0x0c, 0, 0, 4, 1, 2, 3, 4];
    let write = |drive: &mut Drive, partition| {
        run_with(drive, &[0x8d, 0, 0, 0, 0, 0, 0, partition, 0, 0, 0, 0, 0, 13, 0, 0], &list)
    };
    let is_there = |drive: &mut Drive, partition| {
        let cdb = [0x8c, 0, 0, 0, 0, 0, 0, partition, 0x08, 0x0c, 0, 0, 1, 0, 0, 0];
        run(drive, A, &cdb).status == Status::GOOD
    };
    good(&write(&mut drive, 1));
    assert_eq!((is_there(&mut drive, 0), is_there(&mut drive, 1)), (false, true));
    good(&write(&mut drive, 0));
    assert_eq!(sense(&write(&mut drive, 2)), Sense::invalid_field_in_cdb(7, Some(7)));
    good(&locate(&mut drive, 0, 0));
    good(&format(&mut drive, 1));
    assert_eq!((is_there(&mut drive, 0), is_there(&mut drive, 1)), (false, false));
}

#[test]
fn generations_have_as_many_partitions_as_their_drives_make() {
    for (media_type, most) in [("lto7", 4), ("lto8", 4)] {
        let mut drive =
            Drive::new(Profile::find("ibm-ult3580-td8").unwrap(), "1", 5, Arc::from([]));
        drive.insert(cartridge(media_type, 1 << 30));
        drive.nexus_begins(A, NexusName { initiator: "a".into(), initiator_port: "0".into() });
        run(&mut drive, A, &TEST_UNIT_READY);
        run(&mut drive, A, &TEST_UNIT_READY);
        assert_eq!(page(&mut drive)[2], most - 1);
    }
    for (model, media_type, most) in [
        ("ibm-ult3580-td5", "lto5", 2),
        ("ibm-ult3580-td5", "lto4", 1),
        ("ibm-ult3580-td6", "lto6", 4),
    ] {
        let mut drive = Drive::new(Profile::find(model).unwrap(), "1", 5, Arc::from([]));
        drive.insert(cartridge(media_type, 1 << 30));
        drive.nexus_begins(A, NexusName { initiator: "a".into(), initiator_port: "0".into() });
        run(&mut drive, A, &TEST_UNIT_READY);
        run(&mut drive, A, &TEST_UNIT_READY);
        let shown = page(&mut drive);
        assert_eq!((shown[2], shown.len()), (most - 1, 8 + 2 * usize::from(most)));
        let mut wanted = shown;
        wanted[3] = most;
        let refused = sense(&select_page(&mut drive, &wanted));
        assert_eq!(refused, Sense::invalid_field_in_parameter_list(7, Some(7)));
        good(&format(&mut drive, 0));
    }
}

#[test]
fn worm_and_append_only_media_are_not_formatted() {
    let mut drive = drive_on(&created(&CartridgeSpec { worm: true, ..spec("lto9", 1 << 30) }));
    for code in [[0x04, 0, 0, 0, 0, 0], [0x0b, 0, 0, 0xff, 0xff, 0]] {
        assert_eq!(sense(&run(&mut drive, A, &code)), Sense::worm_overwrite_attempted());
    }
    let mut drive = recorded();
    good(&run_with(
        &mut drive,
        &[0x15, 0x10, 0, 0, 36, 0],
        &[&[0, 0, 0x10, 0, 0x50, 0x01, 0, 28, 0, 0x12][..], &[0; 26]].concat(),
    ));
    assert_eq!(sense(&format(&mut drive, 0)), Sense::operator_selected_write_protect());
    good(&run(&mut drive, A, &[0x82, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(sense(&format(&mut drive, 0)), Sense::operator_selected_write_protect());
    good(&run(&mut drive, A, &[0x82, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    good(&format(&mut drive, 0));
    good(&space(&mut drive, 3, 0));
    assert_eq!(place(&mut drive), (0, 0));
}

#[test]
fn set_capacity_holds_until_it_is_set_again() {
    let disk = created(&spec("lto9", 1 << 30));
    let mut drive = drive_on(&disk);
    let capacity = |drive: &mut Drive| {
        let data = run(drive, A, &[0x8c, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0]).data_in;
        u64::from_be_bytes(data[9..17].try_into().unwrap())
    };
    let set = |drive: &mut Drive, high, low| run(drive, A, &[0x0b, 0, 0, high, low, 0]);
    good(&write(&mut drive, b"data"));
    assert_eq!(sense(&set(&mut drive, 0x80, 0)), Sense::position_past_beginning());
    good(&run(&mut drive, A, &REWIND));
    good(&set(&mut drive, 0x80, 0));
    assert_eq!(capacity(&mut drive), 512);
    assert_eq!(sense(&read(&mut drive, 0, 9)), Sense::end_of_data().with_information(9));
    good(&format(&mut drive, 0));
    assert_eq!(capacity(&mut drive), 512);
    drive.remove().unwrap();
    let mut drive = drive_on(&disk);
    assert_eq!(capacity(&mut drive), 512);
    assert_eq!(
        sense(&select(&mut drive, &[500, 100])),
        Sense::invalid_field_in_parameter_list(14, Some(7))
    );
    good(&set(&mut drive, 0, 0));
    assert_eq!(capacity(&mut drive), 51);
    good(&set(&mut drive, 0xff, 0xff));
    assert_eq!(capacity(&mut drive), (1 << 30) / MIB);
}
