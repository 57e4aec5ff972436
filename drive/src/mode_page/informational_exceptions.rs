//! Informational exceptions control, page 1Ch (SSC-5 §8.3.6): tests of TapeAlert.

use vtl_scsi::mode::ModePage;

use crate::Drive;
use crate::tape_alert::TAPE_ALERT_FLAGS;

pub(super) const PAGE: u8 = 0x1c;
/// Exceptions are found in log pages only.
const DEXCPT: u8 = 0x08;
const TEST: u8 = 0x04;
/// The flag to be tested, behind the page header.
const FLAG_AT: usize = 6;
/// All flags that the drive can light.
const ALL_FLAGS: i32 = 32_767;

// 2 PERF, EBF, EWASC, DEXCPT (bit 3), TEST (bit 2), LOGERR; 3 MRIE: no reporting; 4-7 interval; 8-11 report count, or the
// flag to be tested. DEXCPT, TEST and the flag can be changed.
pub(super) fn page() -> ModePage {
    let changeable = vec![DEXCPT | TEST, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    ModePage::new(PAGE, 0, vec![DEXCPT, 0, 0, 0, 0, 0, 0, 0, 0, 0], changeable)
}

/// What cannot be done, as the byte behind the page header and its bit: a test while exceptions are off, or of a flag that
/// there is not.
pub(super) fn refuses(values: &[u8]) -> Option<(usize, u8)> {
    let flags = values.first().copied().unwrap_or_default();
    let flag = flag(values);
    if flags & TEST == 0 {
        // The field is a report count then, of which there is none.
        return (flag != 0).then_some((FLAG_AT, 7));
    }
    if flags & DEXCPT != 0 {
        return Some((0, 2));
    }
    let is_known =
        flag == ALL_FLAGS || (1..=i32::from(TAPE_ALERT_FLAGS)).contains(&flag.saturating_abs());
    (!is_known).then_some((FLAG_AT, 7))
}

/// Does the test that was asked for: a flag is lit, or with a negative number put out. It was asked for once.
pub(super) fn test(drive: &mut Drive) {
    let Some(page) = drive.mode.page_mut(PAGE, 0) else { return };
    let asked = page.current.first().is_some_and(|flags| flags & TEST != 0);
    let flag = flag(&page.current);
    if let Some(flags) = page.current.first_mut() {
        *flags &= !TEST;
    }
    page.current.iter_mut().skip(FLAG_AT).for_each(|byte| *byte = 0);
    if !asked {
        return;
    }
    let number = u16::try_from(flag.saturating_abs()).unwrap_or(0);
    match flag {
        ALL_FLAGS => drive.tape_alerts.extend(1..=TAPE_ALERT_FLAGS),
        1.. => {
            drive.tape_alerts.insert(number);
        }
        _ => {
            drive.tape_alerts.remove(number);
        }
    }
}

fn flag(values: &[u8]) -> i32 {
    let bytes = values.get(FLAG_AT..).and_then(|bytes| bytes.first_chunk());
    bytes.copied().map_or(0, i32::from_be_bytes)
}
