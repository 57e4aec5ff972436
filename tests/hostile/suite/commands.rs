//! Commands: what they announce, whom they are for, and what they say.

use vtl_tests::{Pdu, Scene, cdb};

use super::Case;
use super::see::*;

/// A command with these flags and this expected length.
fn announcing(scene: &Scene, cdb: &[u8], flags: u8, expected: u32) -> String {
    let mut session = rude(scene);
    let (_, pdu) = session.command_pdu(1, cdb, 0, 0);
    sees(&mut session, &pdu.with(1, &[FINAL | flags]).with_word(20, expected))
}

/// INQUIRY with this LUN field.
fn to_lun(scene: &Scene, lun: [u8; 8]) -> String {
    let mut session = rude(scene);
    let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
    sees(&mut session, &pdu.with(8, &lun))
}

/// A write of 512 bytes that announces another length, with all data that it has.
fn writing(scene: &Scene, announced: usize, data: usize) -> String {
    let mut session = rude(scene);
    session.run(1, &cdb::REWIND).good();
    let (_, pdu) = session.command_pdu(1, &cdb::write(512), announced, 0);
    let pdu: Pdu = pdu.with_data(&vec![4; data]);
    let seen = sees(&mut session, &pdu);
    format!("{seen}; position {}", session.position())
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a read that expects nothing",
        sent: "INQUIRY (74 bytes there are), expected length 0",
        happens: "GOOD, 74 too many; goes on",
        run: |scene| announcing(scene, &cdb::inquiry(96), READS, 0),
    },
    Case {
        name: "a read without direction",
        sent: "INQUIRY with neither R nor W bit",
        happens: "GOOD, 74 too many; goes on",
        run: |scene| announcing(scene, &cdb::inquiry(96), 0, 0),
    },
    Case {
        name: "a read that expects less",
        sent: "INQUIRY (74 bytes there are), expected length 10",
        happens: "10 bytes and GOOD, 64 too many; goes on",
        run: |scene| announcing(scene, &cdb::inquiry(96), READS, 10),
    },
    Case {
        name: "a read that expects more",
        sent: "INQUIRY (74 bytes there are), expected length 4 GiB - 1",
        happens: "74 bytes and GOOD, 4294967221 too few; goes on",
        run: |scene| announcing(scene, &cdb::inquiry(96), READS, u32::MAX),
    },
    Case {
        name: "a read announced as a write",
        sent: "INQUIRY with the W bit and 96 bytes",
        happens: "R2T for 96 bytes at 0; goes on",
        run: |scene| announcing(scene, &cdb::inquiry(96), WRITES, 96),
    },
    Case {
        name: "both directions",
        sent: "INQUIRY with R and W bit",
        happens: "CHECK 5/20/00, 96 too few; goes on",
        run: |scene| announcing(scene, &cdb::inquiry(96), READS | WRITES, 96),
    },
    Case {
        name: "data expected of a command that has none",
        sent: "TEST UNIT READY, expected length 1 MiB",
        happens: "GOOD, 1048576 too few; goes on",
        run: |scene| announcing(scene, &cdb::TEST_UNIT_READY, READS, 1 << 20),
    },
    Case {
        name: "a write that announces nothing",
        sent: "WRITE of 512 bytes, expected length 0",
        happens: "CHECK 5/24/00, 512 too many; goes on; position 0",
        run: |scene| writing(scene, 0, 0),
    },
    Case {
        name: "a write that announces less",
        sent: "WRITE of 512 bytes, expected length 100",
        happens: "CHECK 5/24/00, 412 too many; goes on; position 0",
        run: |scene| writing(scene, 100, 100),
    },
    Case {
        name: "a write that announces more",
        sent: "WRITE of 512 bytes, expected length 1000 and as much data",
        happens: "GOOD, 488 too few; goes on; position 1",
        run: |scene| writing(scene, 1000, 1000),
    },
    Case {
        name: "a write that announces 4 GiB",
        sent: "WRITE of 512 bytes, expected length 4 GiB - 1, with 512 bytes",
        happens: "GOOD, 4294966783 too few; goes on; position 1",
        run: |scene| writing(scene, 0xffff_ffff, 512),
    },
    Case {
        name: "flat addressing",
        sent: "LUN 1 in flat space addressing, which is the same unit",
        happens: "GOOD; goes on",
        run: |scene| to_lun(scene, [0x40, 1, 0, 0, 0, 0, 0, 0]),
    },
    Case {
        name: "logical unit addressing",
        sent: "a LUN field in logical unit addressing",
        happens: "CHECK 5/25/00; goes on",
        run: |scene| to_lun(scene, [0x80, 1, 0, 0, 0, 0, 0, 0]),
    },
    Case {
        name: "extended addressing",
        sent: "a LUN field in extended addressing",
        happens: "CHECK 5/25/00; goes on",
        run: |scene| to_lun(scene, [0xd2, 0, 0, 0, 0, 0, 0, 1]),
    },
    Case {
        name: "more than one level",
        sent: "a LUN field with a second level",
        happens: "CHECK 5/25/00; goes on",
        run: |scene| to_lun(scene, [0, 1, 0, 1, 0, 0, 0, 0]),
    },
    Case {
        name: "a LUN field of ones",
        sent: "a LUN field of eight bytes ffh",
        happens: "CHECK 5/25/00; goes on",
        run: |scene| to_lun(scene, [0xff; 8]),
    },
    Case {
        name: "a bus that is not there",
        sent: "peripheral addressing with bus 1",
        happens: "CHECK 5/25/00; goes on",
        run: |scene| to_lun(scene, [1, 1, 0, 0, 0, 0, 0, 0]),
    },
    Case {
        name: "a command of ones",
        sent: "a CDB of 16 bytes ffh",
        happens: "CHECK 5/20/00; goes on",
        run: |scene| announcing(scene, &[0xff; 16], 0, 0),
    },
    Case {
        name: "reserved fields of ones",
        sent: "TEST UNIT READY with all other bytes ffh",
        happens: "CHECK 5/24/00; goes on",
        run: |scene| announcing(scene, &[0, 0xff, 0xff, 0xff, 0xff, 0xff], 0, 0),
    },
    Case {
        name: "a block that is too long",
        sent: "WRITE of 16 MiB - 1 bytes without data",
        happens: "CHECK 5/24/00; goes on",
        run: |scene| announcing(scene, &cdb::write(0x00ff_ffff), 0, 0),
    },
    Case {
        name: "a disk's command",
        sent: "READ(10) to a tape drive",
        happens: "CHECK 5/20/00, 512 too few; goes on",
        run: |scene| announcing(scene, &[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], READS, 512),
    },
    Case {
        name: "a task attribute that does not exist",
        sent: "TEST UNIT READY with attribute 7",
        happens: "GOOD; goes on",
        run: |scene| announcing(scene, &cdb::TEST_UNIT_READY, 7, 0),
    },
    Case {
        name: "ACA where there is none",
        sent: "TEST UNIT READY with attribute ACA",
        happens: "GOOD; goes on",
        run: |scene| announcing(scene, &cdb::TEST_UNIT_READY, 4, 0),
    },
    Case {
        name: "a linked command",
        sent: "TEST UNIT READY with NACA and the obsolete link bit",
        happens: "CHECK 5/24/00; goes on",
        run: |scene| announcing(scene, &[0, 0, 0, 0, 0, 5], 0, 0),
    },
];
