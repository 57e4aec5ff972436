//! DT device status: page 11h (SSC-5 §8.2, ADC-3 §6.1.2): what a library's controller and hosts poll.

use vtl_scsi::log::{LogPage, LogParameter};

use super::DEVICE_STATUS;
use crate::drive::Bay;
use crate::{Drive, mode_page};

/// The drive works: hosts do not believe the page without it.
const DINIT: u8 = 0x01;
const WRTP: u8 = 0x08;
const CMPR: u8 = 0x10;
const MACC: u8 = 0x20;
const HUI: u8 = 0x40;
const PAMR: u8 = 0x80;

const MOUNTED: u8 = 0x01;
const MTHRD: u8 = 0x02;
const MSTD: u8 = 0x04;
const MPRSNT: u8 = 0x10;
const RAA: u8 = 0x20;

const NO_ACTIVITY: u8 = 0x00;
const CLEANING: u8 = 0x01;
const WRITING: u8 = 0x06;

const TAFC: u8 = 0x01;
const TDDEC: u8 = 0x20;

/// How often it may be asked, in milliseconds.
const POLLING_DELAY_MS: u16 = 100;

// 0000h very high frequency data: 0 PAMR, HUI, MACC, CMPR, WRTP, CRQST, CRQRD, DINIT; 1 INXTN, RAA (bit 5), MPRSNT, MSTD
// (bit 2), MTHRD, MOUNTED; 2 activity; 3 TDDEC (bit 5), EPP, ESR, RRQST, INTFC, TAFC. 0001h polling delay.
pub(super) fn page(drive: &Drive) -> LogPage {
    let data = vec![initialized(drive), medium(drive), activity(drive), changed(drive)];
    let parameters = vec![
        LogParameter::binary(0x0000, data),
        LogParameter::binary(0x0001, POLLING_DELAY_MS.to_be_bytes().to_vec()),
    ];
    LogPage::new(DEVICE_STATUS, parameters)
}

fn flag(is_set: bool, flag: u8) -> u8 {
    if is_set { flag } else { 0 }
}

fn initialized(drive: &Drive) -> u8 {
    DINIT
        | flag(drive.is_removal_prevented(), PAMR)
        | flag(matches!(drive.bay, Bay::Unloaded(_)), HUI)
        | flag(matches!(drive.bay, Bay::Ready(_)), MACC)
        | flag(mode_page::compresses(&drive.mode), CMPR)
        | flag(mode_page::is_write_protected(drive), WRTP)
}

fn medium(drive: &Drive) -> u8 {
    match drive.bay {
        Bay::Empty => RAA,
        Bay::Ready(_) => MPRSNT | MSTD | MTHRD | MOUNTED,
        Bay::Refused(_) if drive.is_cleaning() => MPRSNT | MSTD | MTHRD,
        Bay::Unloaded(_) | Bay::Refused(_) => MPRSNT | RAA,
    }
}

/// Commands come one after the other, so that none is under way when this is asked; what the drive still does is bring
/// blocks to disk that it has taken.
fn activity(drive: &Drive) -> u8 {
    if drive.is_cleaning() {
        CLEANING
    } else if drive.cartridge().is_some_and(|volume| volume.has_unsynced()) {
        WRITING
    } else {
        NO_ACTIVITY
    }
}

fn changed(drive: &Drive) -> u8 {
    flag(drive.statistics.errors().next().is_some(), TDDEC)
        | flag(!drive.lit_tape_alerts().is_empty(), TAFC)
}
