//! GENERATE and RECEIVE RECOMMENDED ACCESS ORDER.

use super::*;

/// A user data segment: name, first and last object.
type Segment<'a> = (&'a [u8; 10], u64, u64);

const FIRST: Segment<'_> = (b"first     ", 10, 20);
const SECOND: Segment<'_> = (b"second    ", 500, 900);
const THIRD: Segment<'_> = (b"third     ", 30, 31);
const POINT: Segment<'_> = (b"point     ", 700, 700);
const UNLOAD: Segment<'_> = (b"unload    ", 0, 0);

fn list(segments: &[Segment<'_>]) -> Vec<u8> {
    let mut list = vec![0; 4];
    list.extend(u32::try_from(segments.len() * 32).unwrap().to_be_bytes());
    for (name, first, last) in segments {
        list.extend([0, 30, 0, 0, 0]);
        list.extend(*name);
        list.push(0);
        list.extend(first.to_be_bytes());
        list.extend(last.to_be_bytes());
    }
    list
}

fn generate(drive: &mut Drive, process: u8, kind: u8, list: &[u8]) -> Completion {
    let [a, b, c, d] = u32::try_from(list.len()).unwrap().to_be_bytes();
    run_with(drive, &[0xa4, 0x1d, process, kind, 0, 0, a, b, c, d, 0, 0], list)
}

fn receive(drive: &mut Drive, flags: u8, offset: u8, kind: u8) -> Completion {
    run(drive, A, &[0xa3, 0x1d | flags, 0, 0, 0, offset, 0, 1, 0, 0, kind, 0])
}

#[test]
fn segments_come_back_in_the_order_of_their_objects() {
    let mut drive = drive();
    let wanted = |process: u8, segments: &[Segment<'_>]| {
        let mut data = list(segments);
        data[0] = process;
        data
    };
    assert_eq!(receive(&mut drive, 0, 0, 0).data_in[..], [0; 8]);
    good(&generate(&mut drive, 2, 0, &list(&[SECOND, THIRD, FIRST])));
    assert_eq!(receive(&mut drive, 0, 0, 0).data_in, wanted(2, &[FIRST, THIRD, SECOND]));
    good(&generate(&mut drive, 1, 0, &list(&[SECOND, THIRD, FIRST])));
    assert_eq!(receive(&mut drive, 0, 0, 0).data_in, wanted(1, &[SECOND, THIRD, FIRST]));
    // From the second one on, and all of the length.
    let part = receive(&mut drive, 0, 32, 0).data_in;
    assert_eq!(part[..8], wanted(1, &[SECOND, THIRD, FIRST])[..8]);
    assert_eq!(part[8..], list(&[THIRD, FIRST])[8..]);
    assert_eq!(receive(&mut drive, 0, 96, 0).data_in.len(), 8);
    let refused = sense(&receive(&mut drive, 0, 97, 0));
    assert_eq!(refused, Sense::invalid_field_in_cdb(2, Some(7)));
    // It is about this cartridge.
    drive.remove().unwrap();
    drive.insert(cartridge("lto9", 1 << 30));
    run(&mut drive, A, &TEST_UNIT_READY);
    assert_eq!(receive(&mut drive, 0, 0, 0).data_in[..], [0; 8]);
}

#[test]
fn where_to_begin_and_to_end_stays_where_it_is() {
    let mut drive = drive();
    for (sent, wanted) in [
        ([POINT, SECOND, FIRST, THIRD], [POINT, FIRST, THIRD, SECOND]),
        ([SECOND, FIRST, THIRD, POINT], [FIRST, THIRD, SECOND, POINT]),
        ([SECOND, FIRST, THIRD, UNLOAD], [FIRST, THIRD, SECOND, UNLOAD]),
        ([SECOND, FIRST, POINT, UNLOAD], [FIRST, SECOND, POINT, UNLOAD]),
        ([SECOND, POINT, THIRD, FIRST], [FIRST, THIRD, SECOND, POINT]),
    ] {
        good(&generate(&mut drive, 2, 0, &list(&sent)));
        assert_eq!(receive(&mut drive, 0, 0, 0).data_in[8..], list(&wanted)[8..]);
    }
    for few in [&[][..], &[POINT], &[UNLOAD], &[POINT, UNLOAD], &[POINT, POINT]] {
        good(&generate(&mut drive, 2, 0, &list(few)));
        assert_eq!(receive(&mut drive, 0, 0, 0).data_in[8..], list(few)[8..]);
    }
}

#[test]
fn the_limits_hold() {
    let mut drive = drive();
    let limits = receive(&mut drive, 0x80, 0, 0).data_in;
    let [most, bytes] =
        [0, 2].map(|at| usize::from(u16::from_be_bytes([limits[at], limits[at + 1]])));
    assert_eq!((limits.len(), most, bytes), (4, 2730, 32));
    good(&generate(&mut drive, 2, 0, &list(&vec![FIRST; most])));
    let refused = sense(&generate(&mut drive, 2, 0, &list(&vec![FIRST; most + 1])));
    assert_eq!(refused, Sense::parameter_list_length_error());
}

#[test]
fn what_is_wrong_is_refused_and_the_order_before_stays() {
    let mut drive = drive();
    good(&generate(&mut drive, 2, 0, &list(&[THIRD])));
    let before = receive(&mut drive, 0, 0, 0).data_in;
    let in_cdb = |byte, bit| Sense::invalid_field_in_cdb(byte, Some(bit));
    let in_list = |byte| Sense::invalid_field_in_parameter_list(byte, None);
    let good_list = list(&[FIRST, SECOND]);
    let changed = |at: usize, value: u8| {
        let mut list = good_list.clone();
        list[at] = value;
        list
    };
    for (process, kind, list, refused) in [
        (0, 0, good_list.clone(), in_cdb(2, 2)),
        (3, 0, good_list.clone(), in_cdb(2, 2)),
        (2, 1, good_list.clone(), in_cdb(3, 2)),
        (2, 0, changed(7, 63), Sense::parameter_list_length_error()),
        (2, 0, good_list[..70].to_vec(), Sense::parameter_list_length_error()),
        (2, 0, good_list[..7].to_vec(), Sense::parameter_list_length_error()),
        (2, 0, changed(8 + 32 + 1, 29), in_list(8 + 32)),
        (2, 0, changed(8 + 32 + 16, 1), in_list(8 + 32 + 16)),
    ] {
        assert_eq!(sense(&generate(&mut drive, process, kind, &list)), refused);
    }
    assert_eq!(sense(&receive(&mut drive, 0, 0, 1)), in_cdb(10, 2));
    good(&generate(&mut drive, 2, 0, &[]));
    assert_eq!(receive(&mut drive, 0, 0, 0).data_in, before);
    let mut empty = empty_drive();
    assert_eq!(sense(&generate(&mut empty, 2, 0, &good_list)), Sense::medium_not_present());
}

#[test]
fn models_before_lto_9_do_not_know_it() {
    let listed = |drive: &mut Drive| {
        let all = run(drive, A, &[0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0]).data_in;
        all[4..].chunks(8).filter(|row| row[3] == 0x1d).count()
    };
    let mut old =
        Drive::new(Profile::find("ibm-ult3580-td8").unwrap(), "1", 5, Arc::from([Lun(1)]));
    assert_eq!(sense(&receive(&mut old, 0, 0, 0)), Sense::invalid_field_in_cdb(1, Some(4)));
    assert_eq!((listed(&mut old), listed(&mut empty_drive())), (0, 2));
}
