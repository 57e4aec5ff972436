//! The LTFS reference implementation, over sg.

use super::host::{Answer, DRIVE, Host, READ_POSITION_LONG, block, log_sense, six};

/// What its tables of drives have: vendor and the beginning of the product.
const KNOWN: [(&str, &str); 6] = [
    ("IBM", "ULT3580-TD"),
    ("IBM", "ULT3580-HH"),
    ("IBM", "ULTRIUM-"),
    ("HP", "Ultrium "),
    ("HPE", "Ultrium "),
    ("QUANTUM", "ULTRIUM-HH"),
];

pub(super) fn test(host: &mut Host<'_>) -> anyhow::Result<()> {
    device(host)?;
    pages(host)?;
    residuals(host)?;
    reservation(host)?;
    coherency(host)?;
    partitions(host)
}

fn device(host: &mut Host<'_>) -> anyhow::Result<()> {
    let inquiry = host.ask(DRIVE, &[0x12, 0, 0, 0, 96, 0], 96)?;
    let text = |from: usize, to: usize| {
        String::from_utf8_lossy(inquiry.data.get(from..to).unwrap_or_default()).trim().to_owned()
    };
    let (vendor, product) = (text(8, 16), text(16, 32));
    let is_known = KNOWN.iter().any(|(own, begin)| *own == vendor && product.starts_with(begin));
    host.check("INQUIRY", "a vendor and product of its list of drives", &inquiry, is_known);
    let serial = host.ask(DRIVE, &[0x12, 1, 0x80, 0, 255, 0], 255)?;
    let is_ok = serial.is_page(4, 0x80) && serial.data.len() > 4;
    host.check("unit serial number", "VPD page 80h", &serial, is_ok);
    let codes = host.ask(DRIVE, &[0xa3, 0x0c, 0x80, 0, 0, 0, 0, 0, 0x40, 0, 0, 0], 0x4000)?;
    // Descriptors with timeouts are 20 bytes; byte 5 of each, bit 1, says that they are there.
    let is_ok = codes.is_good()
        && codes.number(0, 4) + 4 == u64::try_from(codes.data.len())?
        && codes.number(0, 4) % 20 == 0
        && codes.byte(4 + 5).is_some_and(|flags| flags & 0x02 != 0);
    host.check("REPORT SUPPORTED OPERATION CODES", "all, with timeouts", &codes, is_ok);
    let described = host.ask(DRIVE, &[0x3c, 0x03, 0, 0, 0, 0, 0, 0, 4, 0], 4)?;
    let is_ok = described.is_good() && described.data.len() == 4;
    host.check("READ BUFFER, descriptor", "4 bytes: else it asks for ever", &described, is_ok);
    let room = u32::try_from(described.number(1, 3).min(0x1000))?;
    let [_, high, middle, low] = room.to_be_bytes();
    let read = host.ask(DRIVE, &[0x3c, 0x02, 0, 0, 0, 0, high, middle, low, 0], room)?;
    host.check("READ BUFFER, data", "as much as the descriptor says", &read, read.is_good());
    Ok(())
}

fn pages(host: &mut Host<'_>) -> anyhow::Result<()> {
    let place = host.ask(DRIVE, &READ_POSITION_LONG, 32)?;
    let is_ok = place.is_good() && place.data.len() == 32 && place.number(4, 4) == 0;
    host.check("READ POSITION, long form", "32 bytes", &place, is_ok);
    let statistics = host.ask(DRIVE, &log_sense(0x17), 0x1000)?;
    let is_ok = statistics.is_page(4, 0x17)
        && parameter(&statistics, 0x0000).is_some_and(|value| value.iter().any(|byte| *byte != 0));
    host.check(
        "volume statistics, log page 17h",
        "parameter 0000h: page valid",
        &statistics,
        is_ok,
    );
    for (code, what) in [(0x0203, "parameter 0203h"), (0x0204, "parameter 0204h")] {
        let is_ok = parameter(&statistics, code)
            .is_some_and(|value| !value.is_empty() && value.len().is_multiple_of(8));
        host.check("per partition, log page 17h", what, &statistics, is_ok);
    }
    let capacity = host.ask(DRIVE, &log_sense(0x31), 0x1000)?;
    let is_there = |code| parameter(&capacity, code).is_some_and(|value| value.len() == 4);
    let is_ok = capacity.is_page(4, 0x31) && (1..=4).all(is_there);
    host.check("capacity, log page 31h", "4 values of 4 bytes, in MiB", &capacity, is_ok);
    let alert = host.ask(DRIVE, &log_sense(0x2e), 0x1000)?;
    host.check("TapeAlert, log page 2Eh", "readable", &alert, alert.is_page(4, 0x2e));
    let mode = host.ask(DRIVE, &[0x5a, 0, 0x10, 0x01, 0, 0, 0, 0, 255, 0], 255)?;
    let at = 8 + usize::try_from(mode.number(6, 2))?;
    let is_ok = mode.is_good()
        && mode.byte(at).is_some_and(|code| code & 0x7f == 0x50)
        && mode.byte(at + 1) == Some(0x01)
        && mode.number(at + 2, 2) == 0x1c;
    host.check("device configuration extension", "mode page 10h/01h, length 1Ch", &mode, is_ok);
    let mode = host.ask(DRIVE, &[0x5a, 0, 0x11, 0, 0, 0, 0, 0, 255, 0], 255)?;
    let at = 8 + usize::try_from(mode.number(6, 2))?;
    let is_ok = mode.byte(at).is_some_and(|code| code & 0x3f == 0x11)
        && mode.byte(at + 2).is_some_and(|more| more >= 1);
    host.check("medium partition, mode page 11h", "room for more partitions", &mode, is_ok);
    Ok(())
}

fn residuals(host: &mut Host<'_>) -> anyhow::Result<()> {
    host.send(DRIVE, &six(0x0a, 0, 5000), &block(5, 5000))?;
    host.must(DRIVE, &six(0x10, 0, 1))?;
    host.must(DRIVE, &six(0x11, 1, -1))?;
    host.must(DRIVE, &six(0x11, 0, -1))?;
    let short = host.ask(DRIVE, &six(0x08, 0, 1 << 19), 1 << 19)?;
    let missing = (1 << 19) - 5000;
    let is_ok = short.information() == Some(missing) && short.residual_bytes == missing;
    host.check("a short block", "INFORMATION and the transport's residual agree", &short, is_ok);
    let mark = host.ask(DRIVE, &six(0x08, 0, 1 << 19), 1 << 19)?;
    let is_ok = mark.code() == Some((0, 0, 1)) && mark.residual_bytes == 1 << 19;
    host.check("a filemark", "0/00/01, residual = all of it", &mark, is_ok);
    Ok(())
}

fn reservation(host: &mut Host<'_>) -> anyhow::Result<()> {
    let list = |own: [u8; 8], new: [u8; 8]| [own, new, [0; 8]].concat();
    let key = *b"selftest";
    let out = |action: u8, kind: u8| [0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0];
    let registered = host.send(DRIVE, &out(0x06, 0), &list([0; 8], key))?;
    host.check("PR OUT, register and ignore", "GOOD", &registered, registered.is_good());
    let reserved = host.send(DRIVE, &out(0x01, 0x03), &list(key, [0; 8]))?;
    host.check("PR OUT, reserve exclusive access", "GOOD", &reserved, reserved.is_good());
    let conflict = host.ask_as_other(DRIVE, &[0x01, 0, 0, 0, 0, 0], 0)?;
    let is_ok = conflict.status == 0x18;
    host.check("another host's REWIND", "status RESERVATION CONFLICT, 18h", &conflict, is_ok);
    let released = host.send(DRIVE, &out(0x02, 0x03), &list(key, [0; 8]))?;
    host.check("PR OUT, release", "GOOD", &released, released.is_good());
    let removed = host.send(DRIVE, &out(0x06, 0), &list(key, [0; 8]))?;
    host.check("PR OUT, unregister", "GOOD", &removed, removed.is_good());
    Ok(())
}

/// Attribute 080Ch, volume coherency information: 70 bytes that LTFS writes with each index.
fn coherency(host: &mut Host<'_>) -> anyhow::Result<()> {
    let attribute = [[0x08, 0x0c, 0, 0, 0x46].to_vec(), block(9, 0x46)].concat();
    let list = [u32::try_from(attribute.len())?.to_be_bytes().to_vec(), attribute.clone()].concat();
    let length = u8::try_from(list.len())?;
    let written =
        host.send(DRIVE, &[0x8d, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, length, 0, 0], &list)?;
    host.check("WRITE ATTRIBUTE 080Ch", "70 bytes are taken", &written, written.is_good());
    let cdb = [0x8c, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x0c, 0, 0, 0, 0xff, 0, 0];
    let read = host.ask(DRIVE, &cdb, 255)?;
    let is_ok = read.is_good() && read.data.get(4..4 + attribute.len()) == Some(&attribute);
    host.check("READ ATTRIBUTE 080Ch", "what was written", &read, is_ok);
    Ok(())
}

/// As mkltfs: two partitions, and one again for the next client.
fn partitions(host: &mut Host<'_>) -> anyhow::Result<()> {
    host.ready()?;
    let mode = host.ask(DRIVE, &[0x5a, 0, 0x11, 0, 0, 0, 0, 0, 255, 0], 255)?;
    let at = 8 + usize::try_from(mode.number(6, 2))?;
    let mut list = mode.data.clone();
    // Mode data length is reserved; one additional partition; FDP and SDP clear, IDP set.
    for (place, value) in [(0, 0), (1, 0), (at, 0x11), (at + 3, 1)] {
        if let Some(byte) = list.get_mut(place) {
            *byte = value;
        }
    }
    if let Some(byte) = list.get_mut(at + 4) {
        *byte = *byte & 0x1f | 0x20;
    }
    // Sizes in units of the page's own: the first as small as can be, the other takes the rest.
    for (place, value) in [(at + 8, 0), (at + 9, 1), (at + 10, 0xff), (at + 11, 0xff)] {
        match list.get_mut(place) {
            Some(byte) => *byte = value,
            None => list.push(value),
        }
    }
    if let Some(byte) = list.get_mut(at + 1) {
        *byte = (*byte).max(10);
    }
    let length = u8::try_from(list.len())?;
    let set = host.send(DRIVE, &[0x55, 0x10, 0, 0, 0, 0, 0, 0, length, 0], &list)?;
    host.check("MODE SELECT of two partitions", "GOOD", &set, set.is_good());
    let formatted = host.ask(DRIVE, &[0x04, 0, 1, 0, 0, 0], 0)?;
    host.check("FORMAT MEDIUM", "GOOD", &formatted, formatted.is_good());
    let found = host.ask(DRIVE, &[0x92, 0x02, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0)?;
    let place = host.ask(DRIVE, &READ_POSITION_LONG, 32)?;
    let is_ok = found.is_good() && place.number(4, 4) == 1 && place.number(8, 8) == 0;
    host.check("LOCATE(16) to partition 1", "READ POSITION says partition 1", &place, is_ok);
    let written = host.send(DRIVE, &six(0x0a, 0, 512), &block(6, 512))?;
    host.check("WRITE in partition 1", "GOOD", &written, written.is_good());
    host.must(DRIVE, &[0x92, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    let formatted = host.ask(DRIVE, &[0x04, 0, 0, 0, 0, 0], 0)?;
    host.check("FORMAT MEDIUM to one partition", "GOOD", &formatted, formatted.is_good());
    Ok(())
}

/// The value of a log parameter: code, control byte, length, value.
fn parameter(page: &Answer, code: u16) -> Option<&[u8]> {
    let mut rest = page.data.get(4..)?;
    while let [high, low, _, length, more @ ..] = rest {
        let (value, behind) = more.split_at_checked(usize::from(*length))?;
        if u16::from_be_bytes([*high, *low]) == code {
            return Some(value);
        }
        rest = behind;
    }
    None
}
