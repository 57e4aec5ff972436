//! `vtl drill …`: the recovery of a group is rehearsed and measured, on a snapshot, so that neither data nor positions are touched.
//!
//! The daemon shows the snapshot, holds it for as long as the one who rehearses is there, and signs the report. What is rehearsed runs on
//! the other side of the control socket, like a host would recover.

mod contents;
mod drive;
mod end;
mod run;
mod show;
pub(crate) mod timed;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use vtl_media::{CartridgeEntry, SnapshotRecord};
use vtl_vault::Age;

use self::contents::Contents;
use self::drive::Tally;
pub(crate) use self::show::{drills, verdict};
use crate::library::Library;
use crate::operations::{Caller, find};
use crate::request::{Failure, SnapshotChoice};
use crate::rules;
use crate::snapshots;

/// What the snapshots of drills are called, with so many digits behind it.
const PREFIX: &str = "drill-";
const ID_DIGITS: usize = 16;
/// Between two looks at whether somebody is there still.
const HOLD_INTERVAL: Duration = Duration::from_millis(200);
/// Whoever begins a drill holds its snapshot so soon, or it is taken back.
pub(crate) const BEGIN_LIMIT: Duration = Duration::from_mins(1);

/// What is done with drills on the command line.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum DrillCommand {
    /// Rehearse the recovery of a group and measure it. Exit code 0: everything came back; 5: something is damaged; 1: it did not work.
    Run(RunOptions),
    /// List drills, the newest last: how long each recovery took, and whether it worked.
    List {
        /// Only those of this group.
        group: Option<String>,
    },
    /// Show a report.
    Show {
        /// A group, for its last one, or what `vtl drill list` says.
        #[arg(value_name = "GROUP|REPORT")]
        drill: String,
        /// Write the signed report to a new file; `vtl receipt verify` checks it on any machine.
        #[arg(long, value_name = "FILE")]
        output: Option<std::path::PathBuf>,
    },
}

/// How a drill is run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RunOptions {
    /// The group. All of it is rehearsed, or nothing.
    group: String,
    /// 1: read back from the disk; 2: and read by iSCSI; 3: and archives unpacked; 4: and --command run (default: 3, with --command 4).
    #[arg(long, value_name = "1-4", value_parser = clap::value_parser!(u8).range(1..=4))]
    level: Option<u8>,
    /// Your own way to recover, run by `sh` in an empty directory; `VTL_DRILL_PORTAL`, `_TARGET`, `_INITIATOR` (a name that may log in there), `_BARCODES`, `_GROUP` and `_DIRECTORY` say from
    /// where and to where. It has worked if it exits with 0.
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// The longest that the command may take; then it is ended, and the drill has failed.
    #[arg(long, value_name = "TIME", default_value = "4h", value_parser = Age::parse)]
    limit: Age,
    /// The most that reading back may take of the disk's time, in percent.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100))]
    share: Option<u32>,
}

/// What a library is asked about drills.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum DrillRequest {
    /// A snapshot of the group, shown.
    Begin { group: String },
    /// As long as this is not answered, the snapshot stays.
    Hold { snapshot: String },
    /// The snapshot goes, the report is signed.
    End { report: Box<Report> },
    /// What there was.
    List { group: Option<String> },
    /// A report.
    Show { drill: String },
}

/// What is to be rehearsed, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Begun {
    group: String,
    snapshot: String,
    target: String,
    portal: String,
    /// The name to log in under, which is good for this snapshot only.
    initiator: String,
    members: Vec<Member>,
}

/// A cartridge as the snapshot has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Member {
    barcode: String,
    uuid: Uuid,
    written_bytes: u64,
    block_count: u64,
    filemark_count: u64,
    last_written: Option<Timestamp>,
}

/// What a drill has shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    id: Uuid,
    group: String,
    level: u8,
    is_passed: bool,
    /// Whether what is wrong is the data, as opposed to the way to it.
    is_damaged: bool,
    begun: Timestamp,
    ended: Timestamp,
    snapshot: String,
    /// Level 1.
    hashes_seconds: f64,
    /// Levels 2 and 3, or the command of level 4.
    recovery_seconds: Option<f64>,
    /// Bytes that were recovered.
    bytes: u64,
    members: Vec<MemberReport>,
    command: Option<CommandReport>,
    trouble: Option<String>,
    /// Whether the cartridges are what they were when it began; the daemon says so.
    sources: Option<String>,
    program: String,
}

/// A cartridge in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct MemberReport {
    barcode: String,
    uuid: Uuid,
    last_written: Option<Timestamp>,
    /// What `vtl verify` found.
    verified: Value,
    seconds: f64,
    read: Option<Tally>,
    contents: Option<Contents>,
    trouble: Option<String>,
}

/// The user's own command.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct CommandReport {
    command: String,
    exit_code: Option<i32>,
    signal: Option<i32>,
    /// It took longer than it may and was ended.
    is_late: bool,
    seconds: f64,
    /// The last that it said.
    output: String,
    restored_bytes: u64,
}

/// Snapshots that are being used for a drill.
#[derive(Debug, Default)]
pub(crate) struct Drills(Mutex<BTreeMap<String, Hold>>);

/// Whether somebody is there for whom a snapshot is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// It is being made.
    Making,
    /// He has been told of it then, and has to say that he is there.
    Awaited(Instant),
    /// He is.
    Held,
}

impl Drills {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Hold>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody holds this one.
    #[cfg(test)]
    pub(crate) fn is_held(&self, snapshot: &str) -> bool {
        self.lock().get(snapshot) == Some(&Hold::Held)
    }
}

/// The command on this side of the socket. Beside the answer there is a failure if the drill has failed.
pub(crate) fn run(
    data: &Path,
    command: DrillCommand,
) -> Result<(Value, Result<(), Failure>), Failure> {
    match command {
        DrillCommand::Run(options) => {
            let report = run::run(data, &options)?;
            let verdict = verdict(&report);
            Ok((report, verdict))
        }
        DrillCommand::List { group } => {
            let rows = crate::client::ask(data, request(DrillRequest::List { group }))?;
            Ok((rows, Ok(())))
        }
        DrillCommand::Show { drill, output } => {
            let shown = crate::client::ask(data, request(DrillRequest::Show { drill }))?;
            show::shown(shown, output.as_deref()).map(|shown| (shown, Ok(())))
        }
    }
}

fn request(request: DrillRequest) -> crate::request::Request {
    crate::request::Request::Drill(request)
}

/// What a library answers.
pub(crate) fn answer(
    library: &Arc<Library>,
    request: DrillRequest,
    caller: &Caller<'_>,
) -> Result<Value, Failure> {
    match request {
        DrillRequest::Begin { group } => begin(library, &group, caller),
        DrillRequest::Hold { snapshot } => hold(library, &snapshot, caller),
        DrillRequest::End { report } => end::end(library, *report, caller.actor),
        DrillRequest::List { group } => show::list(library, group.as_deref()),
        DrillRequest::Show { drill } => show::show(library, &drill),
    }
}

fn begin(library: &Arc<Library>, group: &str, caller: &Caller<'_>) -> Result<Value, Failure> {
    let actor = caller.actor;
    let Some(portal) = library.portal().filter(|_| library.is_running()) else {
        return Err(Failure::failed(
            "no daemon runs: a drill reads through its iSCSI target; start `vtl serve` first",
        ));
    };
    let barcodes = rules::members(library, group)?;
    let members: Vec<CartridgeEntry> =
        barcodes.iter().map(|barcode| find(library, barcode)).collect::<Result<_, _>>()?;
    let id = Uuid::new_v4().simple().to_string();
    let snapshot = format!("{PREFIX}{}", id.get(..ID_DIGITS).unwrap_or(&id));
    library.drills.lock().insert(snapshot.clone(), Hold::Making);
    let choice = SnapshotChoice { name: snapshot.clone(), barcodes, ..SnapshotChoice::default() };
    let shown = snapshots::create(library, &choice, actor)
        .and_then(|_| snapshots::present(library, &snapshot, false, actor));
    if let Err(failure) = shown {
        drop_snapshot(library, &snapshot, actor);
        return Err(failure);
    }
    let record = library.store.snapshot(&snapshot);
    let record = record.ok_or_else(|| Failure::failed("the snapshot is gone"))?;
    let begun = Begun {
        group: group.to_owned(),
        target: record.library.iqn.clone(),
        snapshot,
        portal: reachable(portal).to_string(),
        initiator: library.access.invite(&record.library.id),
        members: record.members.iter().map(member).collect(),
    };
    if caller.is_gone.load(Ordering::Relaxed) {
        drop_snapshot(library, &begun.snapshot, actor);
        return Err(Failure::failed("nobody waits for the drill any more"));
    }
    library.drills.lock().insert(begun.snapshot.clone(), Hold::Awaited(Instant::now()));
    tracing::info!(group, cartridges = members.len(), snapshot = begun.snapshot, "drill begins");
    serde_json::to_value(begun).map_err(Failure::failed)
}

/// Where a portal on all addresses is reached from here.
fn reachable(portal: SocketAddr) -> SocketAddr {
    let ip = match portal.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, portal.port())
}

fn member(of: &vtl_media::SnapshotMember) -> Member {
    let facts = of.moment().facts();
    Member {
        barcode: of.barcode.to_string(),
        uuid: of.cartridge,
        written_bytes: facts.written_bytes,
        block_count: facts.block_count,
        filemark_count: facts.filemark_count,
        last_written: of.last_written,
    }
}

/// Answered when the drill has ended or nobody waits any more; then the snapshot goes.
fn hold(library: &Arc<Library>, snapshot: &str, caller: &Caller<'_>) -> Result<Value, Failure> {
    if let Some(hold) = library.drills.lock().get_mut(snapshot) {
        *hold = Hold::Held;
    }
    while library.drills.lock().contains_key(snapshot) && library.is_running() {
        if caller.is_gone.load(Ordering::Relaxed) {
            tracing::warn!(snapshot, "the drill was broken off");
            drop_snapshot(library, snapshot, caller.actor);
            break;
        }
        std::thread::sleep(HOLD_INTERVAL);
    }
    Ok(json!({ "snapshot": snapshot, "held": false }))
}

/// Takes the snapshots back that somebody has asked for and does not hold: he ended in between, and they would be shown for ever.
pub(crate) fn take_back(library: &Arc<Library>, limit: Duration) {
    let is_left = |_: &String, hold: &mut Hold| matches!(hold, Hold::Awaited(since) if since.elapsed() >= limit);
    // Whoever comes to hold one from now on finds that it is gone.
    let left: Vec<String> =
        library.drills.lock().extract_if(.., is_left).map(|(name, _)| name).collect();
    for snapshot in left {
        tracing::warn!(snapshot, "whoever began a drill is gone");
        drop_snapshot(library, &snapshot, "system");
    }
}

/// Takes away what drills have left behind that were broken off by the end of the daemon, when the next one begins. What is known to be good
/// stays, also while somebody shows it to restore from it.
pub(crate) fn clean_up(library: &Arc<Library>) {
    let Ok(drills) = drills(library, None) else { return };
    let good: BTreeSet<String> =
        drills.into_iter().filter_map(|drill| drill.record.known_good).collect();
    let is_left = |snapshot: &SnapshotRecord| {
        is_of_drill(&snapshot.name)
            && !good.contains(&snapshot.name)
            && !library.drills.lock().contains_key(&snapshot.name)
    };
    for snapshot in library.store.snapshots().into_iter().filter(is_left) {
        drop_snapshot(library, &snapshot.name, "system");
    }
}

/// Whether a snapshot has a name that only drills give.
fn is_of_drill(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX).unwrap_or_default();
    digits.len() == ID_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn drop_snapshot(library: &Arc<Library>, snapshot: &str, actor: &str) {
    library.drills.lock().remove(snapshot);
    let Some(record) = library.store.snapshot(snapshot) else { return };
    library.access.dismiss(&record.library.id);
    let dropped = snapshots::present(library, snapshot, true, actor)
        .and_then(|_| snapshots::delete(library, snapshot, actor));
    if let Err(failure) = dropped {
        tracing::warn!(
            snapshot,
            "the snapshot of a drill stays: {failure}; `vtl snapshot delete {snapshot}`"
        );
    }
}

impl Report {
    fn new(begun: &Begun, level: u8) -> Self {
        let now = Timestamp::now();
        let member = |member: &Member| MemberReport {
            barcode: member.barcode.clone(),
            uuid: member.uuid,
            last_written: member.last_written,
            verified: Value::Null,
            seconds: 0.0,
            read: None,
            contents: None,
            trouble: None,
        };
        Self {
            id: Uuid::new_v4(),
            group: begun.group.clone(),
            level,
            is_passed: false,
            is_damaged: false,
            begun: now,
            ended: now,
            snapshot: begun.snapshot.clone(),
            hashes_seconds: 0.0,
            recovery_seconds: None,
            bytes: 0,
            members: begun.members.iter().map(member).collect(),
            command: None,
            trouble: None,
            sources: None,
            program: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether everything that the level asks for was done, and was good.
    fn judge(&mut self) {
        self.is_damaged = self.members.iter().any(MemberReport::is_damaged);
        let is_read = |member: &MemberReport| {
            member.trouble.is_none() && (self.level < 2 || member.read.is_some())
        };
        let is_run = |run: &CommandReport| run.exit_code == Some(0) && !run.is_late;
        self.is_passed = self.trouble.is_none()
            && !self.is_damaged
            && self.members.iter().all(|member| member.verified.is_object() && is_read(member))
            && (self.level < 4 || self.command.as_ref().is_some_and(is_run));
        let read = self.members.iter().filter_map(|member| member.read.as_ref());
        self.bytes = read.map(|tally| tally.bytes).fold(0, u64::saturating_add);
    }
}

impl MemberReport {
    fn is_damaged(&self) -> bool {
        let is_bad = self.verified.get("verdict").and_then(Value::as_str) == Some("damaged");
        let is_unread = self.read.as_ref().is_some_and(|tally| tally.damaged_objects > 0);
        let is_broken = self.contents.as_ref().is_some_and(|contents| !contents.trouble.is_empty());
        is_bad || is_unread || is_broken
    }
}
