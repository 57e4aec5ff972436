//! Proxmox Backup Server: a driver of its own over sg, which takes only what has exactly the right length.

use super::host::{
    CHANGER, DRIVE, Host, READ_POSITION_LONG, REWIND, block, element_status, log_sense, six,
};

const BLOCK: i32 = 256 << 10;
const BLOCK_BYTES: usize = 256 << 10;

pub(super) fn test(host: &mut Host<'_>) -> anyhow::Result<()> {
    changer(host)?;
    drive_pages(host)?;
    blocks(host)?;
    encryption(host)
}

fn changer(host: &mut Host<'_>) -> anyhow::Result<()> {
    let inquiry = host.ask(CHANGER, &[0x12, 0, 0, 0, 96, 0], 96)?;
    let is_ok = inquiry.byte(0).is_some_and(|kind| kind & 0x1f == 8);
    host.check("INQUIRY of the changer", "device type 8", &inquiry, is_ok);
    let mode = host.ask(CHANGER, &[0x1a, 0x08, 0x1d, 0, 255, 0], 255)?;
    let is_ok = mode.data.len() == 24
        && mode.byte(0) == Some(23)
        && mode.byte(4).is_some_and(|code| code & 0x3f == 0x1d);
    host.check("element addresses, mode page 1Dh", "mode data length 23", &mode, is_ok);
    for (kind, at, what) in [
        (1, 8, "transport elements"),
        (2, 12, "storage elements"),
        (3, 16, "import/export elements"),
        (4, 20, "drives"),
    ] {
        let expected = mode.number(at, 2);
        let status = host.ask(CHANGER, &element_status(kind, kind == 4), 0xffff)?;
        // Header: 2-3 number of elements, 5-7 bytes behind it.
        let is_whole = status.number(5, 3) + 8 == u64::try_from(status.data.len())?;
        let is_ok = status.is_good() && is_whole && status.number(2, 2) == expected;
        host.check(what, "as many as page 1Dh says, all in one answer", &status, is_ok);
        let descriptor_bytes = status.number(10, 2);
        let is_ok = expected == 0 || (1..=128).contains(&descriptor_bytes);
        host.check(what, "descriptors that 1000 of fit into 64 KiB or less", &status, is_ok);
    }
    Ok(())
}

fn drive_pages(host: &mut Host<'_>) -> anyhow::Result<()> {
    let inquiry = host.ask(DRIVE, &[0x12, 0, 0, 0, 96, 0], 96)?;
    let is_ok = inquiry.byte(0).is_some_and(|kind| kind & 0x1f == 1);
    host.check("INQUIRY of the drive", "device type 1", &inquiry, is_ok);
    let place = host.ask(DRIVE, &READ_POSITION_LONG, 32)?;
    let is_ok = place.is_good() && place.data.len() == 32 && place.number(4, 4) == 0;
    host.check("READ POSITION, long form", "exactly 32 bytes, partition 0", &place, is_ok);
    let page = host.ask(DRIVE, &log_sense(0x12), 0x1000)?;
    let is_ok = page.is_page(4, 0x12) && page.number(2, 2) == 0x0c;
    host.check("TapeAlert response, log page 12h", "length exactly 0Ch", &page, is_ok);
    let page = host.ask(DRIVE, &log_sense(0x11), 0x1000)?;
    let is_ok = page.is_page(4, 0x11) && page.number(4, 2) == 0;
    host.check("DT device status, log page 11h", "the VHF parameter first", &page, is_ok);
    let page = host.ask(DRIVE, &log_sense(0x17), 0x1000)?;
    let is_ok = page.is_page(4, 0x17) && page.number(4, 2) == 0 && page.byte(8) != Some(0);
    host.check("volume statistics, log page 17h", "valid", &page, is_ok);
    for (code, length) in [(0x0f, 0x0e), (0x1d, 0x1e)] {
        let mode = host.ask(DRIVE, &[0x5a, 0, code, 0, 0, 0, 0, 0, 255, 0], 255)?;
        let at = 8 + usize::try_from(mode.number(6, 2))?;
        let is_ok = mode.is_good()
            && mode.byte(at).is_some_and(|own| own & 0x3f == code)
            && mode.byte(at + 1) == Some(length)
            && mode.data.len() == at + 2 + usize::from(length);
        host.check("mode pages 0Fh and 1Dh", "lengths 0Eh and 1Eh", &mode, is_ok);
    }
    let density = host.ask(DRIVE, &[0x44, 0, 0, 0, 0, 0, 0, 0x10, 0, 0], 0x1000)?;
    let length = u64::try_from(density.data.len())?;
    let is_ok = density.number(0, 2) + 2 == length && length > 4 && (length - 4) % 52 == 0;
    host.check("REPORT DENSITY SUPPORT", "descriptors of 52 bytes, whole", &density, is_ok);
    let cdb = [0x8c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0];
    let attributes = host.ask(DRIVE, &cdb, 0x8000)?;
    let is_ok = attributes.is_good()
        && attributes.data.len() > 4
        && attributes.number(0, 4) + 4 == u64::try_from(attributes.data.len())?;
    host.check(
        "READ ATTRIBUTE of all values",
        "a length without its own 4 bytes",
        &attributes,
        is_ok,
    );
    let refused = host.ask(DRIVE, &[0x12, 1, 0xfe, 0, 255, 0], 255)?;
    let is_fixed = refused.sense.first().is_some_and(|first| first & 0x7e == 0x70);
    host.check(
        "sense data",
        "fixed format, and 5/24/00",
        &refused,
        is_fixed && refused.code() == Some((5, 0x24, 0)),
    );
    Ok(())
}

fn blocks(host: &mut Host<'_>) -> anyhow::Result<()> {
    host.must(DRIVE, &REWIND)?;
    let written = host.send(DRIVE, &six(0x0a, 0, BLOCK), &block(1, BLOCK_BYTES))?;
    host.check("WRITE of 256 KiB", "GOOD", &written, written.is_good());
    host.send(DRIVE, &six(0x0a, 0, 1000), &block(2, 1000))?;
    let marked = host.ask(DRIVE, &six(0x10, 1, 1), 0)?;
    host.check("WRITE FILEMARKS with IMMED", "GOOD", &marked, marked.is_good());
    host.must(DRIVE, &six(0x10, 0, 0))?;
    host.must(DRIVE, &REWIND)?;
    let read = host.ask(DRIVE, &six(0x08, 2, BLOCK), 256 << 10)?;
    let is_ok = read.is_good() && read.data == block(1, BLOCK_BYTES) && read.residual_bytes == 0;
    host.check("READ of 256 KiB with SILI", "all of it", &read, is_ok);
    let read = host.ask(DRIVE, &six(0x08, 2, BLOCK), 256 << 10)?;
    let is_ok = read.is_good()
        && read.data == block(2, 1000)
        && read.residual_bytes == i64::from(BLOCK) - 1000;
    host.check("a short block with SILI", "GOOD; only the residual tells", &read, is_ok);
    let mark = host.ask(DRIVE, &six(0x08, 2, BLOCK), 256 << 10)?;
    host.check("a filemark", "0/00/01", &mark, mark.code() == Some((0, 0, 1)));
    let end = host.ask(DRIVE, &six(0x08, 2, BLOCK), 256 << 10)?;
    host.check("the end of data", "exactly 8/00/05", &end, end.code() == Some((8, 0, 5)));
    host.must(DRIVE, &six(0x11, 3, 0))?;
    let back = host.ask(DRIVE, &six(0x11, 0, -1), 0)?;
    let is_ok = back.code() == Some((0, 0, 1));
    host.check("SPACE back over a block behind a filemark", "0/00/01", &back, is_ok);
    let found = host.ask(DRIVE, &[0x92, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], 0)?;
    let place = host.ask(DRIVE, &READ_POSITION_LONG, 32)?;
    // Vendors differ by the filemark itself, which it measures and corrects.
    let is_ok = found.is_good() && [2, 3].contains(&place.number(8, 8));
    host.check("LOCATE(16) to file 1", "before or behind the filemark", &place, is_ok);
    host.must(DRIVE, &REWIND)?;
    let erased = host.ask(DRIVE, &[0x19, 0, 0, 0, 0, 0], 0)?;
    let read = host.ask(DRIVE, &six(0x08, 2, BLOCK), 256 << 10)?;
    let is_ok = erased.is_good() && read.code() == Some((8, 0, 5));
    host.check("ERASE, short", "8/00/05 at the beginning", &read, is_ok);
    host.must(DRIVE, &REWIND).map(|_| ())
}

fn encryption(host: &mut Host<'_>) -> anyhow::Result<()> {
    let spin = |page: u8| [0xa2, 0x20, 0, page, 0, 0, 0, 0, 0x20, 0x04, 0, 0];
    let capabilities = host.ask(DRIVE, &spin(0x10), 8196)?;
    // 20 bytes of header; then descriptors: 0 index, 2-3 length, 4 flags with decrypt and encrypt capability, 8-9 key size, 20-23 algorithm.
    let at = 20;
    let is_ok = capabilities.is_good()
        && capabilities.number(2, 2) + 4 == u64::try_from(capabilities.data.len())?
        && capabilities.number(at + 2, 2) == 0x14
        && capabilities.byte(at + 4).is_some_and(|flags| flags & 0x0f == 0x0a)
        && capabilities.number(at + 10, 2) == 32
        && capabilities.number(at + 20, 4) == 0x0001_0014;
    host.check("encryption capabilities", "AES-256-GCM, both in hardware", &capabilities, is_ok);
    let index = capabilities.byte(at).unwrap_or(0);
    // Page 0010h: 4 scope all nexuses, 6 encrypt, 7 decrypt, 8 algorithm, 18-19 key length, key.
    let page = |encrypt: u8, decrypt: u8, key: &[u8]| {
        let length = u16::try_from(key.len()).unwrap_or(0);
        let mut page = vec![0, 0x10, 0, 0, 0x40, 0, encrypt, decrypt, index, 0];
        page.extend([0; 8]);
        page.extend(length.to_be_bytes());
        page.extend(key);
        let behind = u16::try_from(page.len() - 4).unwrap_or(0).to_be_bytes();
        for (to, from) in page.iter_mut().skip(2).zip(behind) {
            *to = from;
        }
        page
    };
    let spout = |length: usize| {
        let length = u8::try_from(length).unwrap_or(0);
        [0xb5, 0x20, 0, 0x10, 0, 0, 0, 0, 0, length, 0, 0]
    };
    let with_key = page(2, 3, &[0x5a; 32]);
    let set = host.send(DRIVE, &spout(with_key.len()), &with_key)?;
    host.check("a key is set", "GOOD", &set, set.is_good());
    let status = host.ask(DRIVE, &spin(0x20), 8196)?;
    let is_ok = status.byte(5) == Some(2) && status.byte(6) == Some(3);
    host.check("encryption status", "encrypt 2, decrypt 3, as they were set", &status, is_ok);
    host.send(DRIVE, &six(0x0a, 0, 1000), &block(4, 1000))?;
    host.must(DRIVE, &six(0x10, 0, 1))?;
    host.must(DRIVE, &REWIND)?;
    let read = host.ask(DRIVE, &six(0x08, 2, BLOCK), 256 << 10)?;
    host.check("with the key", "what was written", &read, read.data == block(4, 1000));
    let off = page(0, 0, &[]);
    let cleared = host.send(DRIVE, &spout(off.len()), &off)?;
    host.check("encryption off", "GOOD", &cleared, cleared.is_good());
    host.must(DRIVE, &REWIND)?;
    let read = host.ask(DRIVE, &six(0x08, 2, BLOCK), 256 << 10)?;
    host.check("without the key", "7/74/01", &read, read.code() == Some((7, 0x74, 1)));
    host.must(DRIVE, &REWIND).map(|_| ())
}
