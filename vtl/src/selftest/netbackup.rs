//! `NetBackup` and its like: devices that have to be recognised, and robots whose drives have to be found.

use super::host::{Answer, CHANGER, DRIVE, Host, element_status, log_sense};

const RESERVE: [u8; 6] = [0x16, 0, 0, 0, 0, 0];
const RELEASE: [u8; 6] = [0x17, 0, 0, 0, 0, 0];
const CONFLICT: u8 = 0x18;

pub(super) fn test(host: &mut Host<'_>) -> anyhow::Result<()> {
    identity(host)?;
    robot(host)?;
    reserved(host)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_matches([' ', '\0']).to_owned()
}

/// The serial number of the T10 designator (type 1): behind 8 bytes of vendor and 16 of product. Page 80h may have more around it.
fn serial_of_identity(identity: &Answer) -> Option<String> {
    let mut rest = identity.data.get(4..)?;
    while let [_, kind, _, length, more @ ..] = rest {
        let (designator, behind) = more.split_at_checked(usize::from(*length))?;
        if kind & 0x0f == 1 {
            return designator.get(24..).map(text);
        }
        rest = behind;
    }
    None
}

fn page(host: &mut Host<'_>, lun: u64, code: u8) -> anyhow::Result<Answer> {
    host.ask(lun, &[0x12, 1, code, 0x10, 0, 0], 0x1000)
}

fn identity(host: &mut Host<'_>) -> anyhow::Result<()> {
    for (lun, kind) in [(CHANGER, 8), (DRIVE, 1)] {
        let inquiry = host.ask(lun, &[0x12, 0, 0, 0, 36, 0], 36)?;
        let is_ok = inquiry.data.len() == 36
            && inquiry.byte(0) == Some(kind)
            && inquiry.byte(1).is_some_and(|flags| flags & 0x80 != 0)
            && !text(inquiry.data.get(8..16).unwrap_or_default()).is_empty();
        host.check("INQUIRY", "36 bytes, removable, with a vendor", &inquiry, is_ok);
        let pages = page(host, lun, 0x00)?;
        let listed = pages.data.get(4..).unwrap_or_default();
        let has_identification = listed.contains(&0x83);
        // Old changers have no page 83h; software falls back to page 80h.
        let is_ok =
            pages.is_page(4, 0) && listed.contains(&0x80) && (has_identification || lun == CHANGER);
        host.check("vital product data", "page 80h is listed, at a drive 83h too", &pages, is_ok);
        let serial = page(host, lun, 0x80)?;
        let name = text(serial.data.get(4..).unwrap_or_default());
        let is_ok = serial.is_page(4, 0x80) && !name.is_empty();
        host.check("serial number, page 80h", "there is one", &serial, is_ok);
        if has_identification {
            let identity = page(host, lun, 0x83)?;
            let own = serial_of_identity(&identity);
            let is_same = own.is_some_and(|own| !own.is_empty() && name.contains(&own));
            let is_ok = identity.is_page(4, 0x83) && is_same;
            host.check("identification, page 83h", "the same serial number", &identity, is_ok);
            let again = page(host, lun, 0x83)?;
            let is_ok = again.data == identity.data;
            host.check("identification, again", "the same", &again, is_ok);
        }
        let refused = page(host, lun, 0xfe)?;
        let is_ok = refused.code() == Some((5, 0x24, 0));
        host.check("a page that is not there", "5/24/00, and no other page", &refused, is_ok);
    }
    let alert = host.ask(DRIVE, &log_sense(0x2e), 0x1000)?;
    host.check("TapeAlert, log page 2Eh", "64 flags", &alert, alert.data.len() == 4 + 64 * 5);
    Ok(())
}

fn robot(host: &mut Host<'_>) -> anyhow::Result<()> {
    let serial = page(host, DRIVE, 0x80)?;
    let serial = text(serial.data.get(4..).unwrap_or_default());
    let status = host.ask(CHANGER, &element_status(4, true), 0xffff)?;
    // The descriptor begins at 16; the identifier is behind 12 bytes and the volume tag of 36: code set, type, length.
    let identifier = (status.data.get(16 + 48..)).and_then(|rest| match rest {
        [_, _, _, length, name @ ..] => name.get(..usize::from(*length)),
        _ => None,
    });
    let is_ok = identifier.is_some_and(|name| !serial.is_empty() && text(name).ends_with(&serial));
    host.check(
        "the drive's identifier in its element",
        "ends in its serial number",
        &status,
        is_ok,
    );
    let all = host.ask(CHANGER, &element_status(0, false), 0xffff)?;
    let is_ok = all.is_good() && all.number(5, 3) + 8 == u64::try_from(all.data.len())?;
    host.check("READ ELEMENT STATUS of all types", "in one answer", &all, is_ok);
    let header = host.ask(CHANGER, &[0xb8, 0x10, 0, 0, 0xff, 0xff, 0, 0, 0, 8, 0, 0], 8)?;
    let is_ok = header.data.len() == 8 && header.number(5, 3) == all.number(5, 3);
    host.check("its header alone", "the length of everything", &header, is_ok);
    for code in [0x1d, 0x1e, 0x1f] {
        let mode = host.ask(CHANGER, &[0x1a, 0x08, code, 0, 255, 0], 255)?;
        let is_ok = mode.is_good() && mode.byte(4).is_some_and(|own| own & 0x3f == code);
        host.check("mode pages 1Dh, 1Eh, 1Fh", "all of them", &mode, is_ok);
    }
    let missing = host.ask(CHANGER, &super::host::move_medium(0xfff0, 0xfff1), 0)?;
    let is_ok = missing.code() == Some((5, 0x21, 1));
    host.check("MOVE MEDIUM between elements that are not there", "5/21/01", &missing, is_ok);
    Ok(())
}

fn reserved(host: &mut Host<'_>) -> anyhow::Result<()> {
    let held = host.ask(DRIVE, &RESERVE, 0)?;
    host.check("RESERVE(6)", "GOOD", &held, held.is_good());
    let conflict = host.ask_as_other(DRIVE, &[0x01, 0, 0, 0, 0, 0], 0)?;
    let is_ok = conflict.status == CONFLICT;
    host.check("another host's REWIND", "status RESERVATION CONFLICT, 18h", &conflict, is_ok);
    let asked = host.ask_as_other(DRIVE, &[0x12, 0, 0, 0, 36, 0], 36)?;
    host.check("another host's INQUIRY", "GOOD all the same", &asked, asked.is_good());
    let own = host.ask(DRIVE, &[0x01, 0, 0, 0, 0, 0], 0)?;
    host.check("REWIND of the one who holds it", "GOOD", &own, own.is_good());
    let free = host.ask(DRIVE, &RELEASE, 0)?;
    host.check("RELEASE(6)", "GOOD", &free, free.is_good());
    let other = host.ask_as_other(DRIVE, &[0x01, 0, 0, 0, 0, 0], 0)?;
    host.check("another host's REWIND afterwards", "GOOD", &other, other.is_good());
    Ok(())
}
