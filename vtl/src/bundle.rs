//! `vtl doctor --bundle`: one file with what a bug report needs, and nothing that is anybody's business.
//!
//! Everything in it is asked for by name: what is not listed here cannot get in. No file of a cartridge is opened, nor that of the secrets;
//! of the configuration go in the values that vtl knows, without the comments around them. Each part stands for itself, so that a library
//! that is stuck, damaged or not there still gives the others.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::{self, Config};
use crate::control::SOCKET_NAME;
use crate::request::{Failure, InventoryFilter, Request};
use crate::{client, doctor};

/// A library that does not answer within this time has a part that says so.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Entries of the ledger, the newest.
const LEDGER_ENTRIES: usize = 2000;
/// Commands of each logical unit.
const TRACED_COMMANDS: usize = 256;
/// Rows of the inventory, and files of the data directory, beyond which only their number is told.
const MAX_ROWS: usize = 100_000;

const README: &str = "\
What is in this file was collected by `vtl doctor --bundle` to find out why something does not work.

  about.json       versions, the machine, when this was made
  config.toml      the configuration, without its comments
  doctor.json      what `vtl doctor` found
  status.json      what runs, and what is in the drives
  libraries.json   libraries, their models, serial numbers and element addresses
  access.json      who may log in; no secret
  inventory.json   cartridges: barcodes, places, states, sizes
  ledger.json      the newest entries of the ledger: who did what when
  trace-*.json     the last commands of each logical unit: CDBs, status, sense; no data
  log.txt          the last lines of the daemon's log
  process.txt      memory, descriptors and limits of the daemon
  files.txt        names, sizes, owners and modes of the files in the data directory

Names are in it: barcodes, pools, initiators, users who gave orders. Left out is what nobody needs for that: blocks of cartridges, the texts
in their memory, keys and secrets of any kind, and every file in the data directory that is not named above.
";

/// What is being written.
struct Bundle {
    archive: tar::Builder<File>,
    time: Timestamp,
    parts: Vec<String>,
}

/// Writes the file, which must not be there yet, for its owner alone.
pub(crate) fn write(directory: &Path, path: &Path) -> Result<Value, Failure> {
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
    let file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::usage(format!("{} is there already: name a new file", path.display()))
        }
        _ => cannot_write(path, &error),
    })?;
    let mut bundle =
        Bundle { archive: tar::Builder::new(file), time: Timestamp::now(), parts: Vec::new() };
    let written = bundle.collect(directory).and_then(|()| bundle.archive.into_inner()?.sync_all());
    if let Err(error) = written {
        // Half a file helps nobody.
        return match fs::remove_file(path) {
            Ok(()) => Err(cannot_write(path, &error)),
            Err(_) => Err(Failure::failed(format!(
                "{}: {error}; what is there of it is of no use",
                path.display()
            ))),
        };
    }
    Ok(json!({
        "bundle": path.display().to_string(),
        "bytes": fs::metadata(path).map_or(0, |metadata| metadata.len()),
        "parts": bundle.parts,
        "next": "look at it before you send it (tar -xf): it names barcodes, initiators and users",
    }))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot write {}: {error}", path.display()))
}

impl Bundle {
    fn collect(&mut self, directory: &Path) -> io::Result<()> {
        self.add("README.txt", README)?;
        self.add_json("about.json", &about(directory, self.time))?;
        self.add("config.toml", &configuration(directory))?;
        self.add_json("doctor.json", &limited(directory, |of| Ok(examined(of))))?;
        let status = asked(directory, Request::Status {});
        self.add_json("status.json", &status)?;
        let libraries = asked(directory, Request::LibraryList {});
        let names: Vec<String> = texts(&libraries, "library");
        let shown = |name: &String| asked(directory, Request::LibraryShow { name: name.clone() });
        let each: Vec<Value> = names.iter().map(shown).collect();
        self.add_json("libraries.json", &json!({ "libraries": libraries, "each": each }))?;
        self.add_json("access.json", &asked(directory, Request::AccessList {}))?;
        let inventory = asked(directory, Request::Inventory(InventoryFilter::default()));
        self.add_json("inventory.json", &cut(inventory))?;
        let entries = Request::AuditList { limit: Some(LEDGER_ENTRIES), barcode: None };
        self.add_json("ledger.json", &asked(directory, entries))?;
        for (name, shown) in names.iter().zip(&each) {
            let drives = shown.get("drives").and_then(Value::as_array).map_or(0, Vec::len);
            self.add_traces(directory, name, drives)?;
        }
        let log = asked(directory, Request::Log {});
        let lines = log.get("lines").and_then(Value::as_array).map(Vec::as_slice);
        let lines = lines.unwrap_or_default().iter().filter_map(Value::as_str);
        let lines = lines.fold(String::new(), |text, line| text + line + "\n");
        self.add(
            "log.txt",
            if lines.is_empty() {
                "no daemon runs: its log is where it was sent\n"
            } else {
                &lines
            },
        )?;
        self.add("process.txt", &process(directory))?;
        self.add("files.txt", &files(directory))
    }

    fn add_traces(&mut self, directory: &Path, library: &str, drives: usize) -> io::Result<()> {
        for lun in 0..=drives {
            let request = |failures| Request::Trace {
                unit: lun.to_string(),
                library: Some(library.to_owned()),
                failures,
                count: Some(TRACED_COMMANDS),
                after: None,
            };
            let last = asked(directory, request(false));
            if last.get("error").is_some() {
                // Nothing runs: one part that says so is enough.
                return self.add_json(&format!("trace-{library}.json"), &last);
            }
            let traced = json!({ "last": last, "failures": asked(directory, request(true)) });
            self.add_json(&format!("trace-{library}-{lun}.json"), &traced)?;
        }
        Ok(())
    }

    fn add_json(&mut self, name: &str, value: &Value) -> io::Result<()> {
        self.add(name, &format!("{value:#}\n"))
    }

    fn add(&mut self, name: &str, text: &str) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(text.len()).unwrap_or(u64::MAX));
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.time.as_second()).unwrap_or(0));
        self.archive.append_data(&mut header, format!("vtl-bundle/{name}"), text.as_bytes())?;
        self.parts.push(name.to_owned());
        Ok(())
    }
}

/// The answer of the library, or why there is none.
fn asked(directory: &Path, request: Request) -> Value {
    limited(directory, |of| client::ask(of, request))
}

/// Does something that may take for ever where a disk or a daemon is stuck.
fn limited(
    directory: &Path,
    work: impl FnOnce(&Path) -> Result<Value, Failure> + Send + 'static,
) -> Value {
    let (sender, receiver) = mpsc::channel();
    let directory = directory.to_path_buf();
    std::thread::spawn(move || {
        if sender.send(work(&directory)).is_err() {
            tracing::debug!("the answer came too late");
        }
    });
    match receiver.recv_timeout(ANSWER_LIMIT) {
        Ok(Ok(value)) => value,
        Ok(Err(failure)) => json!({ "error": failure.message }),
        Err(_) => json!({ "error": format!("no answer within {} s", ANSWER_LIMIT.as_secs()) }),
    }
}

fn texts(rows: &Value, key: &str) -> Vec<String> {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter().filter_map(|row| row.get(key)?.as_str().map(str::to_owned)).collect()
}

fn cut(mut rows: Value) -> Value {
    let count = rows.as_array().map_or(0, Vec::len);
    if let Some(rows) = rows.as_array_mut().filter(|rows| rows.len() > MAX_ROWS) {
        rows.truncate(MAX_ROWS);
        rows.push(json!({ "left_out": count - MAX_ROWS }));
    }
    rows
}

fn about(directory: &Path, time: Timestamp) -> Value {
    let text = |path: &Path| {
        fs::read_to_string(path)
            .ok()
            .map(|text| text.trim_end().chars().take(2000).collect::<String>())
    };
    let memory =
        text(Path::new("/proc/meminfo")).and_then(|text| text.lines().next().map(str::to_owned));
    json!({
        "vtl": env!("CARGO_PKG_VERSION"),
        "data_directory": text(&directory.join("FORMAT")),
        "made": time,
        "architecture": std::env::consts::ARCH,
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": text(Path::new("/proc/version")),
        "system": text(Path::new("/etc/os-release")),
        "memory": memory,
    })
}

/// The values that vtl knows. The text itself may hold anything between them, and a message about a line that is wrong quotes it.
fn configuration(directory: &Path) -> String {
    let path = directory.join(config::FILE_NAME);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            "# no vtl.toml: all defaults\n".to_owned()
        }
        Err(error) => format!("# cannot be read: {error}\n"),
        Ok(text) => match (Config::parse(&path, &text), text.parse::<toml::Table>()) {
            (Ok(_), Ok(table)) => format!("# what is set; all else has its default\n{table}"),
            _ => "# cannot be used; `vtl doctor` names the line\n".to_owned(),
        },
    }
}

fn examined(directory: &Path) -> Value {
    let mut findings = doctor::examine(directory).to_json();
    for finding in findings.as_array_mut().into_iter().flatten() {
        // The message quotes the line that is wrong.
        if finding["check"] == "configuration" && finding["verdict"] != "ok" {
            finding["finding"] = json!("the configuration cannot be used");
        }
    }
    findings
}

/// What the kernel knows of the daemon.
fn process(directory: &Path) -> String {
    let daemon = UnixStream::connect(directory.join(SOCKET_NAME))
        .and_then(|stream| Ok(rustix::net::sockopt::socket_peercred(&stream)?));
    let pid = match daemon {
        Ok(credentials) => credentials.pid.as_raw_nonzero(),
        Err(error) => return format!("no daemon answers: {error}\n"),
    };
    // Not even the daemon's own user may look: it holds keys (prctl(2), PR_SET_DUMPABLE).
    let why = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("cannot be read: {error}; only root may look into the daemon: run this as root")
        }
        _ => format!("cannot be read: {error}"),
    };
    let part = |name: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/{name}"));
        text.unwrap_or_else(|error| why(error) + "\n")
    };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count);
    let descriptors = descriptors.map_or_else(why, |count| count.to_string());
    format!(
        "descriptors: {descriptors}\n\nstatus\n{}\nlimits\n{}\nio\n{}",
        part("status"),
        part("limits"),
        part("io")
    )
}

/// Every file of the data directory by name; none is opened, and no link is followed.
fn files(directory: &Path) -> String {
    let mut lines = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(next) = waiting.pop() {
        let entries = match fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) => {
                lines.push(format!("{}: {error}", next.display()));
                continue;
            }
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() && lines.len() < MAX_ROWS {
                waiting.push(path.clone());
            }
            let name = path.strip_prefix(directory).unwrap_or(&path).display().to_string();
            lines.push(format!(
                "{name:?} mode {:o} owner {}:{} links {} bytes {} on disk {} modified {}",
                metadata.mode(),
                metadata.uid(),
                metadata.gid(),
                metadata.nlink(),
                metadata.len(),
                metadata.blocks().saturating_mul(512),
                Timestamp::from_second(metadata.mtime()).unwrap_or_default(),
            ));
        }
    }
    lines.sort();
    let count = lines.len();
    lines.truncate(MAX_ROWS);
    lines.push(format!("{count} names"));
    lines.join("\n") + "\n"
}
