//! Bacula and Bareos: jobs that span cartridges, and how they look at what they wrote last.

use super::host::{DRIVE, Host, READ_POSITION_LONG, REWIND, block, log_sense, six};

const BLOCK_BYTES: i32 = 256 << 10;

pub(super) fn test(host: &mut Host<'_>) -> anyhow::Result<()> {
    append(host)?;
    tape_alert(host)?;
    end_of_medium(host)?;
    // What is behind is not wanted by the next client.
    host.must(DRIVE, &REWIND)?;
    host.must(DRIVE, &six(0x10, 0, 0)).map(|_| ())
}

/// As btape's append test: two files, and a third behind them.
fn append(host: &mut Host<'_>) -> anyhow::Result<()> {
    for number in [1, 2] {
        host.send(DRIVE, &six(0x0a, 0, 64_512), &block(number, 64_512))?;
        host.must(DRIVE, &six(0x10, 0, 1))?;
    }
    host.must(DRIVE, &REWIND)?;
    host.must(DRIVE, &six(0x11, 1, 1))?;
    let read = host.ask(DRIVE, &six(0x08, 0, 64_512), 64_512)?;
    let is_ok = read.is_good() && read.data == block(2, 64_512);
    host.check("forward over a filemark", "the second file's block is read next", &read, is_ok);
    host.must(DRIVE, &six(0x11, 3, 0))?;
    let place = host.ask(DRIVE, &READ_POSITION_LONG, 32)?;
    let is_ok = place.number(8, 8) == 4 && place.number(16, 8) == 2;
    host.check(
        "the end of data",
        "object 4, file 2: where the next job is appended",
        &place,
        is_ok,
    );
    let back = host.ask(DRIVE, &six(0x11, 0, -1), 0)?;
    let is_ok = back.code() == Some((0, 0, 1)) && back.has_only(0x80);
    host.check("back over a block behind a filemark", "0/00/01", &back, is_ok);
    host.must(DRIVE, &six(0x11, 0, -1))?;
    let again = host.ask(DRIVE, &six(0x08, 0, 64_512), 64_512)?;
    let is_ok = again.is_good() && again.data == block(2, 64_512);
    host.check("the last block, read again", "what was written", &again, is_ok);
    Ok(())
}

fn tape_alert(host: &mut Host<'_>) -> anyhow::Result<()> {
    let page = host.ask(DRIVE, &log_sense(0x2e), 0x1000)?;
    // 64 parameters of a header of four bytes and a flag.
    let is_ok = page.is_page(4, 0x2e) && page.data.len() == 4 + 64 * 5;
    host.check("TapeAlert, log page 2Eh", "64 flags of 5 bytes", &page, is_ok);
    // What went wrong before is told once; another client has tried to unload a locked drive here.
    let page = host.ask(DRIVE, &log_sense(0x2e), 0x1000)?;
    let flags = page.data.get(4..).unwrap_or_default().chunks(5);
    let is_calm = flags.filter(|flag| flag.get(4).is_some_and(|set| set & 1 != 0)).count() == 0;
    host.check("TapeAlert flags", "told once, and none where nothing is wrong", &page, is_calm);
    Ok(())
}

fn end_of_medium(host: &mut Host<'_>) -> anyhow::Result<()> {
    const BLOCKS_MAX: usize = 4096;
    host.must(DRIVE, &REWIND)?;
    let length = usize::try_from(BLOCK_BYTES)?;
    let write = six(0x0a, 0, BLOCK_BYTES);
    let data = block(7, length);
    let mut count = 0;
    let mut answer = host.send(DRIVE, &write, &data)?;
    while answer.is_good() && count < BLOCKS_MAX {
        count += 1;
        answer = host.send(DRIVE, &write, &data)?;
    }
    let is_ok = answer.code() == Some((0, 0, 2)) && answer.has_only(0x40);
    host.check("the first WRITE past early warning", "0/00/02 with EOM", &answer, is_ok);
    let place = host.ask(DRIVE, &READ_POSITION_LONG, 32)?;
    let is_ok = place.number(8, 8) == u64::try_from(count)? + 1;
    host.check("that block", "it is on the medium all the same", &place, is_ok);
    let marked = host.ask(DRIVE, &six(0x10, 0, 1), 0)?;
    let is_ok = matches!(marked.code(), None | Some((0, 0, 2)))
        && (marked.is_good() || marked.has_only(0x40));
    host.check("WRITE FILEMARKS past early warning", "written; 0/00/02", &marked, is_ok);
    let back = host.ask(DRIVE, &six(0x11, 1, -1), 0)?;
    host.check("back over that filemark", "GOOD", &back, back.is_good());
    let back = host.ask(DRIVE, &six(0x11, 0, -1), 0)?;
    host.check("back over the last block", "GOOD", &back, back.is_good());
    let again = host.ask(DRIVE, &six(0x08, 0, BLOCK_BYTES), u32::try_from(length)?)?;
    let is_ok = again.data == data && matches!(again.code(), None | Some((0, 0, 2)));
    host.check("the last block, read again", "what was written", &again, is_ok);
    let mut answer = host.send(DRIVE, &write, &data)?;
    for _ in 0..BLOCKS_MAX {
        if answer.code() != Some((0, 0, 2)) {
            break;
        }
        answer = host.send(DRIVE, &write, &data)?;
    }
    let is_ok =
        answer.code() == Some((0x0d, 0, 2)) && answer.information() == Some(BLOCK_BYTES.into());
    host.check(
        "WRITE at the end of the medium",
        "D/00/02, INFORMATION = all of it",
        &answer,
        is_ok,
    );
    Ok(())
}
