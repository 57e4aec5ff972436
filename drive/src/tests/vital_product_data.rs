//! Vital product data pages that tape drives have.

use super::*;
use crate::LibraryBay;

fn page(drive: &mut Drive, page: u8) -> Vec<u8> {
    let completion = run(drive, A, &[0x12, 0x01, page, 0xff, 0xff, 0]);
    good(&completion);
    completion.data_in.to_vec()
}

#[test]
fn every_page_that_is_named_is_there_with_its_own_length() {
    let mut drive = empty_drive();
    drive.join_library(LibraryBay { changer_serial: "87NULK9QQ7".into(), element_address: 0x0103 });
    let codes = page(&mut drive, 0x00)[4..].to_vec();
    assert!(codes.is_sorted());
    for code in codes {
        let data = page(&mut drive, code);
        assert_eq!(data[..2], [0x01, code]);
        assert_eq!(usize::from(u16::from_be_bytes([data[2], data[3]])), data.len() - 4);
    }
}

#[test]
fn a_drive_in_a_library_says_which_and_where() {
    let mut drive = empty_drive();
    for code in [0xb3, 0xb4] {
        let refused = sense(&run(&mut drive, A, &[0x12, 0x01, code, 0xff, 0xff, 0]));
        assert_eq!(refused, Sense::invalid_field_in_cdb(2, Some(7)));
    }
    drive.join_library(LibraryBay { changer_serial: "87NULK9QQ7".into(), element_address: 0x0103 });
    assert_eq!(page(&mut drive, 0xb3)[4..], *b"87NULK9QQ7");
    assert_eq!(page(&mut drive, 0xb4)[4..], [0x01, 0x03]);
}

#[test]
fn the_flags_that_can_be_lit_are_named() {
    let flags = u64::from_be_bytes(page(&mut empty_drive(), 0xb2)[4..].try_into().unwrap());
    let named: Vec<_> = (1..=64_u16).filter(|flag| flags >> (64 - flag) & 1 == 1).collect();
    assert_eq!(named, crate::tape_alert::SUPPORTED);
}
