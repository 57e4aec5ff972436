//! Amanda: blocks of 32 KiB, compression through the driver, and a changer that mtx and chg-robot look at.

use super::host::{CHANGER, DRIVE, Host, REWIND, block, element_status, move_medium, six};

const BLOCK_BYTES: usize = 32 << 10;
const BLOCK: i32 = 32 << 10;

pub(super) fn test(host: &mut Host<'_>) -> anyhow::Result<()> {
    files(host)?;
    compression(host)?;
    robot(host)
}

fn files(host: &mut Host<'_>) -> anyhow::Result<()> {
    for number in [1, 2, 3] {
        host.send(DRIVE, &six(0x0a, 0, BLOCK), &block(number, BLOCK_BYTES))?;
        host.must(DRIVE, &six(0x10, 0, 1))?;
    }
    host.must(DRIVE, &REWIND)?;
    host.must(DRIVE, &six(0x11, 1, 2))?;
    let read = host.ask(DRIVE, &six(0x08, 0, BLOCK), 32 << 10)?;
    let is_ok = read.is_good() && read.data == block(3, BLOCK_BYTES);
    host.check("forward to the third file (MTFSF 2)", "its first block is read", &read, is_ok);
    host.must(DRIVE, &six(0x11, 1, -2))?;
    let mark = host.ask(DRIVE, &six(0x08, 0, BLOCK), 32 << 10)?;
    let is_ok = mark.code() == Some((0, 0, 1)) && mark.has_only(0x80);
    host.check("back over two filemarks (MTBSF 2)", "the filemark is read next", &mark, is_ok);
    let read = host.ask(DRIVE, &six(0x08, 0, BLOCK), 32 << 10)?;
    let is_ok = read.is_good() && read.data == block(2, BLOCK_BYTES);
    host.check("the file behind it", "the second file's block", &read, is_ok);
    Ok(())
}

/// `mt compression`: the driver reads the page and writes it back with one bit changed.
fn compression(host: &mut Host<'_>) -> anyhow::Result<()> {
    let page = host.ask(DRIVE, &[0x1a, 0, 0x0f, 0, 255, 0], 255)?;
    let at = 4 + usize::from(page.byte(3).unwrap_or(0));
    let is_ok = page.is_good()
        && page.byte(at).is_some_and(|code| code & 0x3f == 0x0f)
        && page.byte(at + 1) == Some(0x0e);
    host.check("data compression, mode page 0Fh", "a page of length 0Eh", &page, is_ok);
    let was = page.byte(at + 2).unwrap_or(0);
    for flag in [was & 0x7f, was | 0x80, was] {
        let mut list = page.data.clone();
        for (place, value) in [(0, 0), (1, 0), (at, 0x0f), (at + 2, flag)] {
            if let Some(byte) = list.get_mut(place) {
                *byte = value;
            }
        }
        let length = u8::try_from(list.len())?;
        let set = host.send(DRIVE, &[0x15, 0x10, 0, 0, length, 0], &list)?;
        let seen = host.ask(DRIVE, &[0x1a, 0, 0x0f, 0, 255, 0], 255)?;
        let is_ok = set.is_good() && seen.byte(at + 2) == Some(flag);
        host.check("compression switched", "taken, and seen afterwards", &seen, is_ok);
    }
    Ok(())
}

fn robot(host: &mut Host<'_>) -> anyhow::Result<()> {
    let (slot, drive) = (host.first_address(2)?, host.first_address(4)?);
    let status = host.ask(CHANGER, &element_status(4, false), 0xffff)?;
    // Header of eight bytes, page header of eight, then the descriptor of the drive: 2 flags, 9 SVALID, 10-11 source.
    let is_full = status.byte(16 + 2).is_some_and(|flags| flags & 1 != 0);
    host.check("the drive's element", "full, as there is a cartridge in it", &status, is_full);
    let is_known = status.byte(16 + 9).is_some_and(|flags| flags & 0x80 != 0)
        && status.number(16 + 10, 2) == u64::from(slot);
    host.check("where its cartridge came from", "SVALID and the element", &status, is_known);
    let is_tagged = status.byte(8 + 1).is_some_and(|flags| flags & 0x80 != 0)
        && status.data.get(16 + 12..16 + 44).is_some_and(|tag| tag.starts_with(b"SELF"));
    host.check("its barcode", "PVOLTAG, 36 bytes behind byte 12", &status, is_tagged);
    let full = host.ask(CHANGER, &move_medium(slot, drive), 0)?;
    let is_ok = full.code() == Some((5, 0x3b, 0x0d)) || full.code() == Some((5, 0x3b, 0x0e));
    host.check("a move that cannot be", "5/3B/0D or 5/3B/0E", &full, is_ok);
    let unloaded = host.ask(DRIVE, &[0x1b, 0, 0, 0, 0, 0], 0)?;
    host.check("mt offline", "GOOD", &unloaded, unloaded.is_good());
    let moved = host.ask(CHANGER, &move_medium(drive, slot), 0)?;
    host.check("mtx unload", "GOOD", &moved, moved.is_good());
    let asked = host.settle(DRIVE)?;
    let is_ok = asked.code().is_some_and(|(key, code, _)| (key, code) == (2, 0x3a));
    host.check("the empty drive", "2/3A/xx", &asked, is_ok);
    let moved = host.ask(CHANGER, &move_medium(slot, drive), 0)?;
    host.check("mtx load", "GOOD", &moved, moved.is_good());
    let told = host.ask(DRIVE, &[0; 6], 0)?;
    let is_ok = matches!(told.code(), Some((6, 0x28, 0) | (2, 0x04, 1)));
    host.check("the first command afterwards", "6/28/00, once", &told, is_ok);
    host.ready()
}
