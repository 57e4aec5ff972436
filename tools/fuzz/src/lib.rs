//! What all fuzz targets share: panics of any thread count, and memory is watched.
//!
//! The targets are ordinary tests (`cargo test`, on stable Rust): bolero makes the input, shrinks what fails, and prints a seed to
//! repeat it with. Each begins with the inputs of its directory in `corpus/`. `tools/fuzz/run` gives each target some time, and can
//! have them guided by coverage.

pub mod command;
pub mod device;
pub mod disk_damage;
pub mod pdu;
pub mod scene;
pub mod text;

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a target may use at most, at its peak. The largest thing that any of them asks for is a segment of 64 MiB.
const MAX_RESIDENT_BYTES: u64 = 1 << 30;
/// How often memory is looked at, which takes a while.
const EXECUTIONS_PER_LOOK: u64 = 256;

static PANICS: AtomicU64 = AtomicU64::new(0);
static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

/// Counts panics in every thread from now on: a worker's would go unnoticed else, as its locks are taken all the same.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(info);
        }));
    });
}

/// To be called at the end of each execution, so that the input that is to blame is known.
pub fn executed() {
    assert_eq!(PANICS.swap(0, Ordering::SeqCst), 0, "a thread panicked; see above");
    if EXECUTIONS.fetch_add(1, Ordering::Relaxed).is_multiple_of(EXECUTIONS_PER_LOOK) {
        check_memory();
    }
}

/// Panics if any thread has, or if too much memory was used.
pub fn check() {
    assert_eq!(PANICS.swap(0, Ordering::SeqCst), 0, "a thread panicked; see above");
    check_memory();
}

fn check_memory() {
    let peak = peak_resident_bytes();
    assert!(peak < MAX_RESIDENT_BYTES, "{} MiB of memory were used", peak >> 20);
}

fn peak_resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells of processes");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak, too");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("in KiB") << 10
}
