//! Sessions that own nothing: those who ask, and the one who resets.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::ensure;

use crate::DRIVES;
use crate::host::{Host, Shared};
use vtl_tools::random::Random;

const LOGICAL_UNIT_RESET: u8 = 5;
const TARGET_WARM_RESET: u8 = 6;
/// Questions that disturb nobody, and the longest answers that are taken.
const QUESTIONS: [(&[u8], u32); 7] = [
    (&[0x12, 0, 0, 0, 0xff, 0], 255),
    (&[0x12, 1, 0x83, 0, 0xff, 0], 255),
    (&[0x4d, 0, 0x40, 0, 0, 0, 0, 0x10, 0, 0], 4096),
    (&[0x1a, 0, 0x3f, 0, 0xff, 0], 255),
    (&[0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0], 20),
    (&[0xa0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0], 512),
    (&[0x03, 0, 0, 0, 0xff, 0], 255),
];
/// READ ELEMENT STATUS of everything.
const ELEMENT_STATUS: [u8; 12] = [0xb8, 0x10, 0, 0, 0xff, 0xff, 0, 0, 0x40, 0, 0, 0];

/// Asks drives and the changer, logs in and out, and cuts its connection.
pub(crate) fn ask(shared: &Shared, number: u16, seed: u64) -> anyhow::Result<()> {
    let mut random = Random::new(seed, u64::from(number));
    let mut host = Host::new(&format!("asker{number}"));
    while !shared.is_over() {
        {
            let _calm = shared.calm();
            let lun = 1 + random.below(u64::from(DRIVES));
            match random.below(100) {
                0..=2 => host.log_out()?,
                3..=4 => host.cut(shared, lun, &[0x12, 0, 0, 0, 0xff, 0], Vec::new())?,
                5..=14 => {
                    host.session(shared)?.run(0, &ELEMENT_STATUS, Vec::new(), 0x4000)?;
                }
                15..=39 => host.time_ready(shared, lun)?,
                _ => {
                    let index = usize::try_from(random.below(7))?;
                    if let Some((cdb, length)) = QUESTIONS.get(index) {
                        host.session(shared)?.run(lun, cdb, Vec::new(), *length)?;
                    }
                }
            }
            shared.counts().asked.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(random.below(60)));
    }
    host.log_out()
}

/// Resets a logical unit or all of them every few seconds.
pub(crate) fn reset(shared: &Shared, seed: u64) -> anyhow::Result<()> {
    let mut random = Random::new(seed, u64::MAX);
    let mut host = Host::new("resetter");
    while !shared.is_over() {
        {
            let _quiet = shared.quiet();
            let (function, lun) = match random.below(4) {
                0 => (TARGET_WARM_RESET, 0),
                _ => (LOGICAL_UNIT_RESET, random.below(u64::from(DRIVES) + 1)),
            };
            let response = host.session(shared)?.manage(function, lun)?;
            ensure!(response == 0, "function {function} of LUN {lun} was answered {response}");
            shared.counts().resets.fetch_add(1, Ordering::Relaxed);
            if random.below(5) == 0 {
                host.log_out()?;
            }
        }
        thread::sleep(Duration::from_millis(500 + random.below(3000)));
    }
    host.log_out()
}
