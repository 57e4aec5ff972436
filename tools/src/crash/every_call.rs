//! All scenarios with all failures, and which call sites they have reached.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, mpsc};

use anyhow::{Context, bail};
use vtl_media::disk::{Call, FaultDisk, MemoryDisk, Site};

use crate::cut::{self, Cut, Rate};
use crate::faults::{Boot, Found, Install, Scenario, Work, fail_each_call, ways};
use crate::host::{Host, load_options};
use crate::sites;
use crate::workload::Workload;
use vtl_tools::random::Random;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    found: Found,
    sites: usize,
    missing: Vec<Site>,
}

/// Commands of the workload whose calls fail.
const COMMANDS: u32 = 60;
/// Files whose calls no scenario here reaches: sled needs a real file system. What its failures lead to, the store's own tests
/// of the catalogue say.
/// Pruning is not in the scenario: in `vtl-media`, the tests of undo let each of its calls fail. A verification notes how far it is and
/// whether that can be read again; nothing hangs on either. What is left of a partition that was cut short while it was made needs a cut at just that place:
/// the tests of partitions in `vtl-media` let each call fail that makes one. Its tests of keys let each call fail that makes a pool's key, changes,
/// removes or destroys one; those of listings, which can always be made anew, each of theirs.
const NOT_HERE: [&str; 7] = [
    "catalogue/sled_catalogue.rs",
    "cartridge/prune.rs",
    "cartridge/volume/load.rs",
    "store/erasure.rs",
    "store/keys.rs",
    "store/listings.rs",
    "store/verification.rs",
];
/// A call that needs a damaged summary first: the tests of the summary in `vtl-media` let it fail.
const ONLY_AFTER_DAMAGE: (&str, Call) = ("journal/summary/writer.rs", Call::SetLength);
/// After how many calls the making of a library was interrupted that is then made again.
const INTERRUPTIONS: [u64; 5] = [0, 9, 17, 25, 33];
/// How many seeds of a torn cut are tried to find what a start has to put right.
const TRIES: u64 = 16;

/// Lets every call fail, or every so-manieth one.
pub(crate) fn run(seed: u64, stride: u64) -> anyhow::Result<Report> {
    let mut scenarios: Vec<Box<dyn Scenario>> = vec![Box::new(Work { seed, commands: COMMANDS })];
    for calls in INTERRUPTIONS {
        scenarios.push(Box::new(Install::after_calls(calls)));
    }
    scenarios.extend(boots(seed)?.into_iter().map(|boot| Box::new(boot) as Box<dyn Scenario>));
    let mut found = Found::default();
    for scenario in &scenarios {
        for way in ways() {
            fail_each_call(scenario.as_ref(), way, stride, &mut found)
                .with_context(|| format!("seed {seed}"))?;
        }
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../media/src");
    let all = sites::all(&sources)?;
    let mut missing = sites::missing(&all, &found.sites);
    missing.retain(|site| !NOT_HERE.contains(&site.file.as_str()));
    missing.retain(|site| (site.file.as_str(), site.call) != ONLY_AFTER_DAMAGE);
    if stride == 1 && !missing.is_empty() {
        bail!("no failure has reached {missing:?}");
    }
    Ok(Report { found, sites: all.len(), missing })
}

/// Disks in the middle of work.
fn cuts(seed: u64) -> anyhow::Result<Vec<Cut>> {
    let mut random = Random::new(seed, 0xb007);
    let memory = MemoryDisk::new();
    Host::install(Arc::new(memory.clone()), 1)?;
    let disk = FaultDisk::over(memory.clone());
    let host = Host::boot(Arc::new(disk.clone()), load_options(), 2)?;
    let mut workload = Workload::new(&host, random.next(), host.places()?);
    let (sender, receiver) = mpsc::sync_channel(1000);
    let rate = Rate { syncs_percent: 100, others_percent: 10, limit: 1000 };
    cut::watch(&disk, memory, workload.promise(), random.next(), rate, sender, false);
    let failed = workload.run(COMMANDS)?;
    disk.watch(Arc::new(|_, _| {}));
    if let Some(failed) = failed {
        bail!("{failed:?}");
    }
    host.abandon();
    Ok(receiver.into_iter().collect())
}

/// One start for each kind of thing that a start may have to put right; what that is, the files say that it leaves.
fn boots(seed: u64) -> anyhow::Result<Vec<Boot>> {
    let mut boots: BTreeMap<String, Boot> = BTreeMap::new();
    for cut in cuts(seed)? {
        for seed in 0..TRIES {
            let boot = Boot::after(&cut, seed);
            let kind = boot.kind()?;
            boots.entry(kind).or_insert(boot);
        }
    }
    Ok(boots.into_values().collect())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (answer, count) in &self.found.answers {
            writeln!(f, "{count:6} times {answer}")?;
        }
        for site in &self.missing {
            writeln!(
                f,
                "no test made this call fail: {}:{} {:?}",
                site.file, site.line, site.call
            )?;
        }
        write!(
            f,
            "{} failures, {} of {} call sites missed, {NOT_HERE:?} left out, no false GOOD",
            self.found.runs,
            self.missing.len(),
            self.sites
        )
    }
}
