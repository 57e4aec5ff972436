//! `vtl runbook`: what to do to get a group back, to be printed before it is needed. Each way works without the ways before it: with the library,
//! without its catalogue, without this program, and without this machine.

mod pages;

use std::fmt::{self, Write as _};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;
use vtl_vault::size;

use crate::cli::Format;
use crate::client;
use crate::drill::DrillRequest;
use crate::files;
use crate::output;
use crate::receipts::ReceiptRequest;
use crate::request::{Failure, FailureKind, Request};
use crate::rules::{Kind, RulesRequest};

/// How it is written.
#[derive(Debug, clap::Args)]
pub(crate) struct RunbookOptions {
    /// The group that is to be recovered.
    group: String,
    /// A new file (default: standard output): .pdf for a printer, else Markdown, which can be read as it is.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the program that reads cartridges without this one, in Python, to a new file. It belongs where the runbook is.
    #[arg(long, value_name = "FILE")]
    reader: Option<PathBuf>,
}

/// What reads a cartridge with Python alone.
const READER: &str = include_str!("../../tools/read-cartridge");
/// Its name in a data directory that `vtl init` has made.
pub(crate) const READER_NAME: &str = "read-cartridge";

/// What is known, all of it asked for before anything is written.
struct Facts {
    group: String,
    directory: PathBuf,
    /// Where the program is that reads cartridges without this one, if it was put somewhere.
    reader: Option<PathBuf>,
    status: Value,
    cartridges: Vec<Value>,
    drill: Option<Value>,
    /// The snapshot of the last drill that passed.
    known_good: Option<String>,
    keys: Value,
    /// How to read each tape of a good copy: its barcode and the sheet.
    sheets: Vec<(String, String)>,
}

/// Writes it.
pub(crate) fn run(data: &Path, options: &RunbookOptions) -> Result<(), Failure> {
    if let Some(file) = &options.reader {
        write_reader(file)?;
    }
    let reader = options.reader.as_deref();
    if let Some(file) = &options.output {
        return write(data, &options.group, reader, file);
    }
    let text = text(data, &options.group, reader)?;
    output::print(&text.trim_end().into(), Format::Table).map_err(Failure::failed)
}

/// Writes the runbook of a group to a new file.
pub(crate) fn write(
    data: &Path,
    group: &str,
    reader: Option<&Path>,
    file: &Path,
) -> Result<(), Failure> {
    let text = text(data, group, reader)?;
    let is_pdf = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("pdf"));
    if is_pdf {
        return files::create(file, &pages::draw(&text));
    }
    files::create(file, text.as_bytes())
}

/// Writes the program that reads cartridges without this one to a new file.
pub(crate) fn write_reader(file: &Path) -> Result<(), Failure> {
    files::create(file, READER.as_bytes())?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(file, mode).map_err(Failure::failed)
}

fn text(data: &Path, group: &str, reader: Option<&Path>) -> Result<String, Failure> {
    let facts = Facts::gather(data, group, reader)?;
    let mut text = String::new();
    facts.write(&mut text).map_err(Failure::failed)?;
    Ok(text)
}

impl Facts {
    fn gather(data: &Path, group: &str, reader: Option<&Path>) -> Result<Self, Failure> {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let own = data.join(READER_NAME);
        let reader = reader.map(Path::to_owned).or_else(|| own.is_file().then_some(own));
        let ask = |request| client::ask(data, request);
        let shown = RulesRequest::Show { kind: Kind::Group, name: group.to_owned() };
        let shown = ask(Request::Rules(shown))?;
        let rows = shown.get("cartridges").and_then(Value::as_array).into_iter().flatten();
        let barcodes: Vec<String> =
            rows.filter_map(|row| row.get("barcode")?.as_str().map(str::to_owned)).collect();
        let cartridges = ask(Request::TapeShow { barcodes })?;
        let mut cartridges = cartridges.as_array().cloned().unwrap_or_default();
        cartridges.retain(|row| row.get("kind").and_then(Value::as_str) != Some("cleaning"));
        let drill = ask(Request::Drill(DrillRequest::Show { drill: group.to_owned() }));
        let drill = match drill {
            Err(failure) if failure.kind == FailureKind::NotFound => None,
            other => Some(other?),
        };
        let drills = ask(Request::Drill(DrillRequest::List { group: Some(group.to_owned()) }))?;
        // A drill that failed takes nothing back of what an earlier one has shown.
        let known = |row: &Value| row.get("known_good")?.as_str().map(str::to_owned);
        let known_good = drills.as_array().into_iter().flatten().rev().find_map(known);
        let mut sheets = Vec::new();
        for receipt in
            cartridges.iter().filter_map(|row| row.get("newest_receipt")?.get("receipt")?.as_str())
        {
            let receipt = ReceiptRequest::Show { receipt: receipt.to_owned() };
            let receipt = ask(Request::Receipt { what: receipt })?;
            let manifest = receipt.get("manifest").unwrap_or(&Value::Null);
            let sheet = manifest.get("how_to_read").and_then(Value::as_str);
            let barcode = manifest.get("source").and_then(|source| source.get("barcode")?.as_str());
            sheets.extend(
                barcode.zip(sheet).map(|(barcode, sheet)| (barcode.to_owned(), sheet.to_owned())),
            );
        }
        Ok(Self {
            group: group.to_owned(),
            directory: absolute(data),
            reader: reader.as_deref().map(absolute),
            status: ask(Request::Status {})?,
            cartridges,
            known_good,
            drill,
            keys: ask(Request::Receipt { what: ReceiptRequest::Keys })?,
            sheets,
        })
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let group = &self.group;
        let now = Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
        writeln!(out, "# How to get `{group}` back\n")?;
        writeln!(
            out,
            "Of {now}, vtl {}. Print it, keep a copy where the tapes are, and make it anew after each change (`vtl runbook {group}`).\n",
            env!("CARGO_PKG_VERSION")
        )?;
        self.write_table(out)?;
        self.write_measured(out)?;
        self.write_with_library(out)?;
        self.write_without_library(out)?;
        self.write_tapes(out)
    }

    fn write_table(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "## What there is\n")?;
        writeln!(
            out,
            "| barcode | on it | last written | state | directory below `cartridges/` | copies on tape, the nearest first |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|")?;
        for row in &self.cartridges {
            let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or("-");
            let bytes = size(row.get("written_bytes").and_then(Value::as_u64).unwrap_or(0));
            let copies = row.get("copy_list").and_then(Value::as_array).into_iter().flatten();
            let copies: Vec<String> = copies.map(copy).collect();
            let copies = if copies.is_empty() { "none".to_owned() } else { copies.join("; ") };
            writeln!(
                out,
                "| {} | {bytes} | {} | {} | {} | {copies} |",
                text("barcode"),
                text("last_written"),
                text("state"),
                text("uuid"),
            )?;
        }
        writeln!(out)
    }

    fn write_measured(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "## How long it takes\n")?;
        let Some(drill) = &self.drill else {
            return writeln!(
                out,
                "Nobody knows: it was never rehearsed. `vtl drill run {}`.\n",
                self.group
            );
        };
        let text = |name: &str| drill.get(name).and_then(Value::as_str).unwrap_or("-");
        let seconds = drill.get("recovery_seconds").and_then(Value::as_f64);
        let bytes = size(drill.get("bytes").and_then(Value::as_u64).unwrap_or(0));
        let took = seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.1} s"));
        writeln!(
            out,
            "The last drill, of {}, {}: {took} for {bytes}.",
            text("begun"),
            text("result")
        )?;
        if let Some(command) =
            drill.get("command").and_then(|command| command.get("command")?.as_str())
        {
            writeln!(out, "It was done with `{command}`.")?;
        }
        writeln!(out)
    }

    fn write_with_library(&self, out: &mut String) -> fmt::Result {
        let (group, data) = (&self.group, self.directory.display());
        let text = |name: &str| self.status.get(name).and_then(Value::as_str).unwrap_or("-");
        let (portal, target) = (text("portal"), text("target"));
        let portal = if portal == "-" { "127.0.0.1:3260" } else { portal };
        writeln!(out, "## 1. The library runs: restore with the backup software\n")?;
        writeln!(out, "```sh\nvtl --data {data} serve &        # if it does not run yet")?;
        writeln!(out, "iscsiadm -m discovery -t sendtargets -p {portal}")?;
        writeln!(out, "iscsiadm -m node -T {target} -p {portal} --login\n```\n")?;
        writeln!(
            out,
            "Without the backup software: `vtl browse BARCODE`, then `vtl restore BARCODE:PATH -C DIR` (tar and cpio archives).\n"
        )?;
        writeln!(
            out,
            "## 2. What is on the cartridges is wrong: overwritten, encrypted by somebody, deleted\n"
        )?;
        writeln!(out, "Stop whoever writes. Then, for a moment at which all was well:\n")?;
        writeln!(
            out,
            "```sh\nvtl tape history BARCODE                      # which moments there are"
        )?;
        writeln!(
            out,
            "vtl tape rewind BARCODE --to TIME             # a read-only twin, to look first"
        )?;
        writeln!(
            out,
            "vtl tape rewind --group {group} --to TIME     # all of it; that can be taken back as well\n```\n"
        )?;
        if let Some(known) = &self.known_good {
            writeln!(
                out,
                "Known to be good, as a drill has read all of it: `vtl snapshot present {known}`.\n"
            )?;
        }
        Ok(())
    }

    fn write_without_library(&self, out: &mut String) -> fmt::Result {
        let data = self.directory.display();
        writeln!(out, "## 3. The library does not start\n")?;
        writeln!(
            out,
            "`vtl --data {data} doctor` says why. The catalogue is only an index: `vtl --data {data} catalog rebuild` makes it anew."
        )?;
        writeln!(
            out,
            "Everything else is in `{data}/cartridges`. Copy that directory before you try anything.\n"
        )?;
        writeln!(out, "## 4. There is no program any more, only the disk\n")?;
        let reader = match &self.reader {
            Some(reader) => reader.display().to_string(),
            None => "tools/read-cartridge".to_owned(),
        };
        let is_from = match &self.reader {
            Some(_) => {
                "Keep a copy of it beside this page; it is in vtl's sources, too.".to_owned()
            }
            None => format!(
                "It is in vtl's sources; `vtl runbook {} --reader FILE` writes it to a file, to be kept beside this page.",
                self.group
            ),
        };
        writeln!(
            out,
            "`{reader}` reads a cartridge with Python 3 alone (`media/FORMAT.md` says how it is laid out). {is_from}\n"
        )?;
        writeln!(out, "```sh")?;
        let is_encrypted = |row: &Value| row.get("pool_key").is_some_and(Value::is_string);
        if self.cartridges.iter().any(is_encrypted) {
            writeln!(
                out,
                "# Encrypted: with the key file, or a file with the passphrase, and Python's module cryptography.\n\
                 export VTL_POOL_KEYS={data}/keys.json VTL_POOL_SECRET_FILE=FILE"
            )?;
        }
        for row in &self.cartridges {
            let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or("-");
            writeln!(
                out,
                "{reader} {data}/cartridges/{} --file 0 | tar -tvf -    # {}",
                text("uuid"),
                text("barcode")
            )?;
        }
        writeln!(out, "```\n")
    }

    fn write_tapes(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "## 5. This machine is gone: the copies on physical tape\n")?;
        if self.sheets.is_empty() {
            writeln!(
                out,
                "THERE IS NO PROVED COPY. If this disk is lost, so is `{0}`: `vtl export --group {0} --library CHANGER`.",
                self.group
            )?;
        }
        let has_none = |row: &&Value| row.get("copies").and_then(Value::as_u64) == Some(0);
        let lacking = self.cartridges.iter().filter(has_none);
        let lacking: Vec<&str> = lacking.filter_map(|row| row.get("barcode")?.as_str()).collect();
        if !lacking.is_empty() && !self.sheets.is_empty() {
            writeln!(
                out,
                "NO PROVED COPY has what is on {} now: if this disk is lost, so is that.\n",
                lacking.join(", ")
            )?;
        }
        for (barcode, sheet) in &self.sheets {
            writeln!(out, "### {barcode}\n\n```sh\n{}\n```\n", sheet.trim_end())?;
        }
        writeln!(
            out,
            "\nReceipts of these copies are checked with `vtl receipt verify FILE --key KEY` on any machine. The keys that have signed them:\n"
        )?;
        for key in self.keys.as_array().into_iter().flatten() {
            let key = key.get("key").and_then(Value::as_str).or_else(|| key.as_str());
            writeln!(out, "- `{}`", key.unwrap_or("-"))?;
        }
        Ok(())
    }
}

/// A copy in a few words: which tape, how it is, and where.
fn copy(copy: &Value) -> String {
    let text = |name: &str| copy.get(name).and_then(Value::as_str);
    let mut words =
        vec![text("volume").unwrap_or("?").to_owned(), text("state").unwrap_or("?").to_owned()];
    for (name, what) in [("site", "at"), ("container", "in"), ("seal", "seal")] {
        words.extend(text(name).map(|value| format!("{what} {value}")));
    }
    words.join(" ")
}
