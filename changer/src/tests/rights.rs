//! What somebody learns who does not see all drives.

use vtl_scsi::Rights;

use super::*;

// READ ELEMENT STATUS named every drive with its serial number, and what was wrong with the cartridge in it, to initiators for whom the
// drive's logical unit does not exist.
#[test]
fn a_drive_that_is_not_mapped_has_no_name_and_no_news() {
    let (mut changer, _) = changer();
    let mut read = |luns: Option<&[Lun]>| {
        let cdb = [0xb8, 0x14, 0, 0, 0, 9, 1, 0, 0x10, 0, 0, 0];
        let mut task = Task::new(A, &cdb);
        task.rights = Rights { luns: luns.map(Arc::from), is_read_only: false, is_alone: false };
        let completion = device::execute(&mut changer, task);
        assert_eq!(completion.status, Status::GOOD);
        completion.data_in.to_vec()
    };
    let contains =
        |data: &[u8], text: &str| data.windows(text.len()).any(|window| window == text.as_bytes());
    let all = read(None);
    assert!(contains(&all, "1013000000") && contains(&all, "1013000001"));
    assert_eq!(read(Some(&[Lun(0), Lun(1), Lun(2)])), all);
    let one = read(Some(&[Lun(0), Lun(1)]));
    assert!(contains(&one, "1013000000") && !contains(&one, "1013000001"));
    // The first drive as before, and the second with its address alone.
    let length = usize::from(u16::from_be_bytes([all[10], all[11]]));
    let (first, second) = (16..16 + length, 16 + length..16 + 2 * length);
    assert_eq!((one.len(), &one[first.clone()]), (all.len(), &all[first]));
    assert_eq!((all[second.start + 2], all[second.start + 4]), (0x0c, 0x30));
    assert_eq!(one[second.start..second.start + 2], all[second.start..second.start + 2]);
    assert_eq!(one[second.start + 2..second.start + 6], [0; 4]);
    // What lies in a drive is part of the inventory, whoever asks.
    let other = read(Some(&[Lun(0), Lun(2)]));
    assert!(contains(&other, "VTL003L9") && !contains(&other, "1013000000"));
}
