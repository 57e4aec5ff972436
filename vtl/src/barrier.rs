//! A moment of a group at which what writes on it was held still: the user's own commands before and after.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::client;
use crate::request::{Failure, Request, SnapshotChoice};

/// Between two looks at whether a command has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Freezes, takes the snapshot, and thaws. Beside the answer there is a failure if one of the commands has failed.
pub(crate) fn run(
    data: &Path,
    mut choice: SnapshotChoice,
) -> Result<(Value, Result<(), Failure>), Failure> {
    // Ctrl-C must not leave anything frozen: as soon as somebody listens, it does not end the program any more.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::failed)?;
    let _entered = runtime.enter();
    let _caught = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .map(|kind| signal(kind).map_err(Failure::failed));
    let limit = choice
        .hook_limit
        .as_ref()
        .map_or(Duration::from_mins(1), |limit| limit.duration().unsigned_abs());
    let frozen = choice.freeze.as_deref().map(|command| hook("freeze", command, limit));
    choice.is_quiesced = frozen.as_ref().map(Result::is_ok);
    let thaw = choice.thaw.clone();
    let until = uptime().saturating_add(limit).as_millis();
    choice.still_until_ms = thaw.as_ref().and_then(|_| u64::try_from(until).ok());
    // The client has a runtime of its own, which has to be the only one of its thread.
    let data = data.to_owned();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(client::ask(&data, Request::SnapshotCreate(choice))));
    // Whatever the library does, nothing is held still for longer than was allowed for the commands.
    let made = receiver.recv_timeout(limit).unwrap_or_else(|_| {
        Err(Failure::failed(format!(
            "the library did not answer within {} s: `vtl snapshot list` says whether there is a snapshot",
            limit.as_secs()
        )))
    });
    let thawed = thaw.as_deref().map(|command| hook("thaw", command, limit));
    let after = "what it was to let go on may be held still: see to it NOW";
    if let Some(Err(why)) = thawed {
        let made = if made.is_ok() { "the snapshot was made" } else { "no snapshot was made" };
        return Err(Failure::failed(format!("{why}; {after}; {made}")));
    }
    let made = made?;
    let verdict = match frozen {
        Some(Err(why)) => Err(Failure::failed(format!(
            "{why}; the snapshot was made and is marked as not quiesced"
        ))),
        _ => Ok(()),
    };
    Ok((made, verdict))
}

/// What the library's clock of the same machine shows, too.
pub(crate) fn uptime() -> Duration {
    (vtl_media::Uptime::system().0)()
}

fn hook(what: &str, command: &str, limit: Duration) -> Result<Value, String> {
    let child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Ctrl-C is for this program, which then still thaws.
        .process_group(0)
        .spawn();
    let begun = Instant::now();
    let ended = child.and_then(|mut child| wait(&mut child, limit));
    match ended {
        Ok((status, false)) if status.success() => {
            Ok(json!({ "seconds": begun.elapsed().as_secs_f64() }))
        }
        Ok((_, true)) => {
            Err(format!("the {what} command took longer than {} s and was ended", limit.as_secs()))
        }
        Ok((status, false)) => Err(format!("the {what} command failed ({status})")),
        Err(error) => Err(format!("the {what} command: {error}")),
    }
}

/// Waits for a process; one that takes too long is ended with all that it has started.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> std::io::Result<(ExitStatus, bool)> {
    let clock = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, false));
        }
        if clock.elapsed() >= limit {
            let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            let group = group.ok_or(std::io::ErrorKind::InvalidInput)?;
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL)?;
            return Ok((child.wait()?, true));
        }
        std::thread::sleep(LOOK_INTERVAL.min(limit));
    }
}
