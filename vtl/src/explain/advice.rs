//! What to do next about a condition, where there is something to say.

/// One line for this key and code.
pub(super) fn next(key: u8, code: u8, qualifier: u8) -> Option<&'static str> {
    Some(match (key, code, qualifier) {
        (0x0, 0x00, 0x01) => "nothing is wrong: a file ends here",
        (0x0, 0x00, 0x02) => {
            "what was written is written: end the file and go on with another cartridge"
        }
        (0x8, 0x00, 0x05) => "nothing is wrong: nothing has been written behind this position",
        (0x2, 0x04, 0x01 | 0x07) => "wait and ask again: the drive is busy with the cartridge",
        (0x2, 0x04, 0x02) => "load the cartridge (LOAD UNLOAD, `mt load`), or move it away",
        (0x2, 0x30, 0x03) | (0x2, 0x04, 0x04) => "wait until the drive has done this",
        (0x2 | 0x4, 0x30, 0x07) => "the cleaning cartridge is used up: put in another one",
        (0x2, 0x3a, _) => "put a cartridge into the drive (`vtl load BARCODE DRIVE`)",
        (0x2 | 0x3, 0x30, 0x01 | 0x02) => {
            "this drive cannot read the cartridge: `vtl profile show MODEL` says which generations it reads"
        }
        (0x3, 0x0c, _) => {
            "the disk did not take the data: look at the daemon's log and at free space, then write this file anew"
        }
        (0x3, 0x11 | 0x14 | 0x31, _) => {
            "`vtl verify BARCODE` says what is damaged; `vtl tape rewind` may bring an older state back"
        }
        (0x4, 0x10, 0x01) => {
            "the block came with a wrong CRC and was not written: host and drive must use the same logical block protection"
        }
        (0x4, 0x44, _) => {
            "a command waits for the disk: look at the daemon's log and at the disk itself"
        }
        (0x4, 0x53, _) => "the drive does not let go of the cartridge: look at the daemon's log",
        (0xd, 0x00, 0x02) => {
            "the cartridge is full, and INFORMATION says what was not written: write that to another cartridge"
        }
        _ => return of_the_host(key, code, qualifier),
    })
}

/// What the host has done, or has to know.
fn of_the_host(key: u8, code: u8, qualifier: u8) -> Option<&'static str> {
    Some(match (key, code, qualifier) {
        (0x5, 0x20, 0x00) => "the device has no such command: see CONFORMANCE.md",
        (0x5, 0x20, 0x0c) => "set append-only mode first (mode page 10h, subpage 01h)",
        (0x5, 0x21, 0x01) => "`vtl library show NAME` lists the element addresses",
        (0x5, 0x24 | 0x26, 0x00) => {
            "the field that the pointer names has a value that is not taken"
        }
        (0x5, 0x25, 0x00) => "there is no such LUN: the changer is 0, and drive n is n + 1",
        (0x5, 0x3b, 0x0d) => "there is a cartridge already: `vtl inventory` shows what is where",
        (0x5, 0x3b, 0x0e) => "there is no cartridge: `vtl inventory` shows what is where",
        (0x5, 0x53, 0x02) => {
            "a host prevents removal: `vtl status` shows at which drive, and `vtl trace UNIT` which initiator sent PREVENT ALLOW \
             MEDIUM REMOVAL; let its software release the cartridge, or log it out"
        }
        (0x6, 0x28, 0x00) => "another cartridge may be in the drive: read its label before writing",
        (0x6, 0x28, 0x01) => "somebody opened the mail slot: take the inventory again",
        (0x6, 0x29, _) => {
            "the device was started or reset: the position and mode settings are lost"
        }
        (0x6, 0x2a, 0x03..=0x05) => {
            "another host took the reservation: find out which before going on"
        }
        (0x6, 0x2a, 0x11) => "another host changed the key: set it again before going on",
        (0x6, _, _) => "send the command again: this is told once",
        (0x7, 0x27, _) => {
            "the cartridge is write protected: a twin, a snapshot, or protected by the operator"
        }
        (0x7, 0x30, 0x05) => {
            "this drive reads the cartridge but cannot write it: use a newer cartridge"
        }
        (0x7, 0x30, 0x0c) => "a WORM cartridge: only append behind what is there",
        (0x7, 0x5a, 0x02) => {
            "append-only mode is on: go to the end of data, or send ALLOW OVERWRITE"
        }
        (0x7, 0x74, 0x01) => {
            "the block is encrypted and the drive has no key: set it (SECURITY PROTOCOL OUT, `stenc`)"
        }
        (0x7, 0x74, 0x02) => "the block is not encrypted: set decryption to MIXED, or off",
        (0x7, 0x74, 0x03) => "the block is encrypted with another key: set that one",
        (0x7, 0x74, 0x00) => {
            "cartridges of this generation cannot be encrypted: use LTO-4 or newer"
        }
        (0xb, 0x4e, _) => "the initiator used a tag twice: its driver is at fault",
        _ => return None,
    })
}
