//! Linux's st.

use super::host::{Answer, DRIVE, Host, REWIND, block, six};

const READ: u8 = 0x08;
const WRITE: u8 = 0x0a;
const WRITE_FILEMARKS: u8 = 0x10;
const SPACE: u8 = 0x11;
const MODE_SENSE: [u8; 6] = [0x1a, 0, 0, 0, 12, 0];
const READ_POSITION: [u8; 10] = [0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const PREVENT: [u8; 6] = [0x1e, 0, 0, 0, 1, 0];
const ALLOW: [u8; 6] = [0x1e, 0, 0, 0, 0, 0];
const UNLOAD: [u8; 6] = [0x1b, 0, 0, 0, 0, 0];

pub(super) fn test(host: &mut Host<'_>) -> anyhow::Result<()> {
    opening(host)?;
    variable_blocks(host)?;
    positions(host)?;
    fixed_blocks(host)?;
    locked(host)
}

fn position(answer: &Answer) -> u64 {
    answer.number(4, 4)
}

/// Sets the length of blocks; 0 for blocks of any length.
fn set_block_length(host: &mut Host<'_>, density: u8, length: u16) -> anyhow::Result<Answer> {
    let [high, low] = length.to_be_bytes();
    let list = [0, 0, 0x10, 8, density, 0, 0, 0, 0, 0, high, low];
    host.send(DRIVE, &[0x15, 0x10, 0, 0, 12, 0], &list)
}

fn opening(host: &mut Host<'_>) -> anyhow::Result<()> {
    let mode = host.ask(DRIVE, &MODE_SENSE, 12)?;
    let is_ok = mode.is_good() && mode.data.len() == 12 && mode.byte(3) == Some(8);
    host.check("MODE SENSE of page 0", "12 bytes with a block descriptor", &mode, is_ok);
    let is_writable = mode.byte(2).is_some_and(|byte| byte & 0x80 == 0);
    host.check(
        "write protection",
        "clear, or an open for writing ends in EROFS",
        &mode,
        is_writable,
    );
    let limits = host.ask(DRIVE, &[0x05, 0, 0, 0, 0, 0], 6)?;
    let is_ok = limits.data.len() == 6
        && limits.number(1, 3) >= 1 << 18
        && (1..=512).contains(&limits.number(4, 2));
    host.check("READ BLOCK LIMITS", "6 bytes; blocks of 512 bytes to 256 KiB", &limits, is_ok);
    let density = mode.byte(4).unwrap_or(0);
    let set = set_block_length(host, density, 512)?;
    host.check(
        "MODE SELECT of the block length",
        "what was read, written back",
        &set,
        set.is_good(),
    );
    let mode = host.ask(DRIVE, &MODE_SENSE, 12)?;
    host.check("the block length", "512, as it was set", &mode, mode.number(9, 3) == 512);
    let set = set_block_length(host, density, 0)?;
    host.check("variable blocks again", "block length 0 is taken", &set, set.is_good());
    Ok(())
}

fn variable_blocks(host: &mut Host<'_>) -> anyhow::Result<()> {
    for (number, length) in [(1, 1000), (2, 3000)] {
        let data = block(number, usize::try_from(length)?);
        let written = host.send(DRIVE, &six(WRITE, 0, length), &data)?;
        host.check("WRITE of a block", "GOOD", &written, written.is_good());
    }
    let marked = host.ask(DRIVE, &six(WRITE_FILEMARKS, 0, 1), 0)?;
    host.check("WRITE FILEMARKS", "GOOD", &marked, marked.is_good());
    let flushed = host.ask(DRIVE, &six(WRITE_FILEMARKS, 0, 0), 0)?;
    host.check("WRITE FILEMARKS of none", "GOOD: it flushes", &flushed, flushed.is_good());
    host.must(DRIVE, &REWIND)?;
    let short = host.ask(DRIVE, &six(READ, 0, 4096), 4096)?;
    let is_ok = short.code() == Some((0, 0, 0))
        && short.has_only(0x20)
        && short.information() == Some(3096)
        && short.data == block(1, 1000);
    host.check("a block shorter than READ", "ILI, INFORMATION = what is missing", &short, is_ok);
    let long = host.ask(DRIVE, &six(READ, 0, 1000), 1000)?;
    let is_ok = long.code() == Some((0, 0, 0))
        && long.has_only(0x20)
        && long.information() == Some(-2000)
        && long.data == block(2, 3000).get(..1000).unwrap_or_default();
    host.check("a block longer than READ", "ILI, negative INFORMATION, what fits", &long, is_ok);
    let mark = host.ask(DRIVE, &six(READ, 0, 1000), 1000)?;
    let is_ok = mark.code() == Some((0, 0, 1))
        && mark.has_only(0x80)
        && mark.information() == Some(1000)
        && mark.data.is_empty();
    host.check("READ of a filemark", "0/00/01, its bit, INFORMATION = all", &mark, is_ok);
    let end = host.ask(DRIVE, &six(READ, 0, 1000), 1000)?;
    host.check("READ at the end of data", "8/00/05", &end, end.code() == Some((8, 0, 5)));
    Ok(())
}

fn positions(host: &mut Host<'_>) -> anyhow::Result<()> {
    let place = host.ask(DRIVE, &READ_POSITION, 20)?;
    let is_ok = place.data.len() == 20 && position(&place) == 3;
    host.check("READ POSITION", "20 bytes, object 3", &place, is_ok);
    let spaced = host.ask(DRIVE, &six(SPACE, 1, -1), 0)?;
    host.check("SPACE back over the filemark", "GOOD", &spaced, spaced.is_good());
    let spaced = host.ask(DRIVE, &six(SPACE, 0, -2), 0)?;
    host.check("SPACE back over two blocks", "GOOD", &spaced, spaced.is_good());
    let spaced = host.ask(DRIVE, &six(SPACE, 0, -1), 0)?;
    let is_ok = spaced.code() == Some((0, 0, 4)) && spaced.has_only(0x40);
    host.check("SPACE back at the beginning", "0/00/04 with EOM", &spaced, is_ok);
    let place = host.ask(DRIVE, &READ_POSITION, 20)?;
    let is_ok = position(&place) == 0 && place.byte(0).is_some_and(|flags| flags & 0x80 != 0);
    host.check("the beginning", "object 0, BOP", &place, is_ok);
    let spaced = host.ask(DRIVE, &six(SPACE, 0, 5), 0)?;
    let is_ok = spaced.code() == Some((0, 0, 1))
        && spaced.has_only(0x80)
        && spaced.information() == Some(3);
    host.check("SPACE over blocks to a filemark", "0/00/01, INFORMATION = rest", &spaced, is_ok);
    let spaced = host.ask(DRIVE, &six(SPACE, 1, 5), 0)?;
    let is_ok = spaced.code() == Some((8, 0, 5)) && spaced.information() == Some(5);
    host.check("SPACE beyond the end of data", "8/00/05, INFORMATION = rest", &spaced, is_ok);
    let found = host.ask(DRIVE, &[0x2b, 0, 0, 0, 0, 0, 1, 0, 0, 0], 0)?;
    let read = host.ask(DRIVE, &six(READ, 0, 3000), 3000)?;
    let is_ok = found.is_good() && read.is_good() && read.data == block(2, 3000);
    host.check("LOCATE(10) to object 1", "the second block is read next", &read, is_ok);
    let end = host.ask(DRIVE, &six(SPACE, 3, 0), 0)?;
    let place = host.ask(DRIVE, &READ_POSITION, 20)?;
    let is_ok = end.is_good() && position(&place) == 3;
    host.check("SPACE to the end of data", "object 3", &place, is_ok);
    Ok(())
}

fn fixed_blocks(host: &mut Host<'_>) -> anyhow::Result<()> {
    host.must(DRIVE, &REWIND)?;
    let mode = host.ask(DRIVE, &MODE_SENSE, 12)?;
    let density = mode.byte(4).unwrap_or(0);
    set_block_length(host, density, 512)?;
    let data = block(3, 4 * 512);
    let written = host.send(DRIVE, &six(WRITE, 1, 4), &data)?;
    host.check("WRITE of four fixed blocks", "GOOD", &written, written.is_good());
    host.must(DRIVE, &six(WRITE_FILEMARKS, 0, 1))?;
    host.must(DRIVE, &REWIND)?;
    let read = host.ask(DRIVE, &six(READ, 1, 8), 8 * 512)?;
    let is_ok = read.code() == Some((0, 0, 1))
        && read.has_only(0x80)
        && read.information() == Some(4)
        && read.data == data;
    host.check(
        "READ of eight where there are four",
        "the four, INFORMATION in blocks",
        &read,
        is_ok,
    );
    set_block_length(host, density, 0)?;
    Ok(())
}

fn locked(host: &mut Host<'_>) -> anyhow::Result<()> {
    host.must(DRIVE, &PREVENT)?;
    let refused = host.ask(DRIVE, &UNLOAD, 0)?;
    let is_ok = refused.code() == Some((5, 0x53, 2));
    host.check("unload of a locked drive", "5/53/02", &refused, is_ok);
    host.must(DRIVE, &ALLOW)?;
    let unloaded = host.ask(DRIVE, &UNLOAD, 0)?;
    let asked = host.settle(DRIVE)?;
    let is_ok = unloaded.is_good() && asked.code().is_some_and(|(key, ..)| key == 2);
    host.check("unload", "the drive is not ready afterwards", &asked, is_ok);
    let loaded = host.ask(DRIVE, &[0x1b, 0, 0, 0, 1, 0], 0)?;
    host.check("load", "GOOD, and the drive becomes ready", &loaded, loaded.is_good());
    host.ready()
}
