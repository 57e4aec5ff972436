//! `vtl runbook`: what to do to get a group back, to be printed before it is needed. Each way works without the ways before it: with the library,
//! without its catalogue, without this program, and without this machine.

use std::fmt::{self, Write as _};
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
    /// A new file (default: standard output). It is Markdown, which can be read as it is.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What is known, all of it asked for before anything is written.
struct Facts {
    group: String,
    directory: PathBuf,
    status: Value,
    cartridges: Vec<Value>,
    drill: Option<Value>,
    keys: Value,
    /// How to read each tape of a good copy: its barcode and the sheet.
    sheets: Vec<(String, String)>,
}

/// Writes it.
pub(crate) fn run(data: &Path, options: &RunbookOptions) -> Result<(), Failure> {
    let facts = Facts::gather(data, &options.group)?;
    let mut text = String::new();
    facts.write(&mut text).map_err(Failure::failed)?;
    match &options.output {
        Some(file) => files::create(file, text.as_bytes()),
        None => output::print(&text.trim_end().into(), Format::Table).map_err(Failure::failed),
    }
}

impl Facts {
    fn gather(data: &Path, group: &str) -> Result<Self, Failure> {
        let ask = |request| client::ask(data, request);
        let shown = RulesRequest::Show { kind: Kind::Group, name: group.to_owned() };
        let shown = ask(Request::Rules(shown))?;
        let rows = shown.get("cartridges").and_then(Value::as_array).into_iter().flatten();
        let barcodes: Vec<String> =
            rows.filter_map(|row| row.get("barcode")?.as_str().map(str::to_owned)).collect();
        let cartridges = ask(Request::TapeShow { barcodes })?;
        let cartridges = cartridges.as_array().cloned().unwrap_or_default();
        let drill = ask(Request::Drill(DrillRequest::Show { drill: group.to_owned() }));
        let drill = match drill {
            Err(failure) if failure.kind == FailureKind::NotFound => None,
            other => Some(other?),
        };
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
            directory: std::path::absolute(data).unwrap_or_else(|_| data.to_owned()),
            status: ask(Request::Status {})?,
            cartridges,
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
            "Without the backup software: `vtl browse BARCODE`, then `vtl restore BARCODE:PATH -C DIR` (tar archives).\n"
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
        let known = self.drill.as_ref().and_then(|drill| drill.get("known_good")?.as_str());
        if let Some(known) = known {
            writeln!(
                out,
                "Known to be good, as the last drill has read all of it: `vtl snapshot present {known}`.\n"
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
        writeln!(
            out,
            "`tools/read-cartridge` in vtl's sources reads a cartridge with Python 3 alone (`media/FORMAT.md` says how it is laid out):\n"
        )?;
        writeln!(out, "```sh")?;
        for row in &self.cartridges {
            let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or("-");
            writeln!(
                out,
                "tools/read-cartridge {data}/cartridges/{} --file 0 | tar -tvf -    # {}",
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
