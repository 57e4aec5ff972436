//! `vtl receipt …`: what proves that a copy on physical tape was read back and was right.

mod story;
mod verify;

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use vtl_media::{Barcode, CopyRecord};
use vtl_vault::receipt::{Archive, ArchiveError, Receipt, ReceiptError, VerifiedReceipt};

use crate::cli::Format;
use crate::client;
use crate::files;
use crate::library::Library;
use crate::output;
use crate::request::{Failure, FailureKind, Request};

/// What is done with receipts on the command line.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ReceiptCommand {
    /// List receipts, the oldest first, and check each.
    List {
        /// Only those of this cartridge.
        barcode: Option<String>,
    },
    /// Show a receipt: what it says of the tape, in words or as JSON.
    Show {
        /// The receipt, as `vtl receipt list` names it, or a cartridge's barcode: then its newest one.
        #[arg(value_name = "RECEIPT|BARCODE")]
        receipt: String,
        /// Print only the sheet that says how to read the tape without this program.
        #[arg(long, conflicts_with = "output")]
        sheet: bool,
        /// Write the receipt itself to a new file, for whoever is to verify it.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Check a receipt's file. Needs no library: it works on any machine. Exit code 0: proved; 5: altered, or signed by another key.
    Verify {
        /// The file; - is standard input.
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
        /// The public key that must have signed it, or a file with such keys, as `vtl receipt key` prints them.
        #[arg(long, value_name = "KEY|FILE")]
        key: Option<String>,
    },
    /// Sign with a new key from now on. Receipts that the old one has signed stay valid.
    RotateKey,
    /// Print the public keys of this library, for those who verify its receipts.
    Key,
}

/// What a library can be asked about its receipts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum ReceiptRequest {
    /// All, or those of a cartridge.
    List {
        /// Its barcode.
        barcode: Option<String>,
    },
    /// One, with its file's text.
    Show {
        /// Its identity, or a barcode.
        receipt: String,
    },
    /// A new key.
    RotateKey,
    /// The public keys.
    Keys,
}

/// The command on this side of the socket.
pub(crate) fn run(
    directory: &Path,
    command: ReceiptCommand,
    format: Format,
) -> Result<(), Failure> {
    let ask = |request| client::ask(directory, Request::Receipt { what: request });
    let answer = match command {
        ReceiptCommand::List { barcode } => ask(ReceiptRequest::List { barcode })?,
        ReceiptCommand::RotateKey => ask(ReceiptRequest::RotateKey)?,
        ReceiptCommand::Key => ask(ReceiptRequest::Keys)?,
        ReceiptCommand::Verify { file, key } => {
            let (answer, verdict) = verify::verify(&file, key.as_deref())?;
            output::print(&answer, format).map_err(Failure::failed)?;
            return verdict;
        }
        ReceiptCommand::Show { receipt, sheet, output } => {
            let shown = ask(ReceiptRequest::Show { receipt })?;
            match output {
                Some(file) => write_out(&shown, &file)?,
                None if sheet => return print_sheet(&shown),
                None => for_reading(shown, format),
            }
        }
    };
    output::print(&answer, format).map_err(Failure::failed)
}

/// What a library answers.
pub(crate) fn answer(
    library: &Library,
    request: ReceiptRequest,
    actor: &str,
) -> Result<Value, Failure> {
    match request {
        ReceiptRequest::List { barcode } => list(library, barcode.as_deref()),
        ReceiptRequest::Show { receipt } => show(library, &receipt),
        ReceiptRequest::RotateKey => rotate_key(library, actor),
        ReceiptRequest::Keys => keys(&library.receipts),
    }
}

/// The newest proved receipt of a copy of a cartridge, if there is one that is good.
pub(crate) fn newest(library: &Library, copies: &[CopyRecord]) -> Option<VerifiedReceipt> {
    let good = copies.iter().filter_map(|copy| library.receipts.receipt(copy.id).ok());
    let proved = good.map(|receipt| receipt.content().clone()).filter(|it| it.proof.is_some());
    proved.max_by_key(|content| content.proof.as_ref().map(|proof| proof.time))
}

fn list(library: &Library, barcode: Option<&str>) -> Result<Value, Failure> {
    let barcode = barcode.map(str::to_ascii_uppercase);
    let ids = library.receipts.list().map_err(failure)?;
    let rows = ids.into_iter().map(|id| row(library, id));
    let is_wanted = |row: &Value| {
        barcode
            .as_deref()
            .is_none_or(|wanted| row.get("barcode").and_then(Value::as_str) == Some(wanted))
    };
    let rows: Vec<Value> = rows.filter(is_wanted).collect();
    match barcode {
        Some(barcode) if rows.is_empty() => Err(Failure::not_found(format!(
            "there is no receipt of {barcode}; `vtl export` makes one"
        ))),
        _ => Ok(Value::Array(rows)),
    }
}

/// A line of the list. What is damaged has its line too.
fn row(library: &Library, id: Uuid) -> Value {
    let copy = library.store.copy(id);
    let found = library.receipts.receipt(id);
    let content = found.as_ref().ok().map(Receipt::content);
    let manifest = content.map(|content| &content.manifest);
    let barcode = manifest.map(|manifest| manifest.source.barcode.clone());
    let state = match &found {
        Ok(receipt) => state(receipt.content(), copy.as_ref()).to_owned(),
        Err(error) => error.to_string(),
    };
    json!({
        "receipt": id,
        "barcode": barcode.or_else(|| copy.as_ref().map(|copy| copy.barcode.to_string())),
        "copy": manifest.map(|manifest| manifest.target.copy),
        "volume": manifest.and_then(|manifest| manifest.target.barcode.clone()),
        "proved": content.and_then(|content| content.proof.as_ref()).map(|proof| proof.time),
        "state": state,
        "key": content.map(|content| content.key.id()),
        "file": library.receipts.path_of(id).display().to_string(),
    })
}

/// What a receipt that one of our keys has signed is worth.
fn state(content: &VerifiedReceipt, copy: Option<&CopyRecord>) -> &'static str {
    let recorded = copy.and_then(|copy| copy.facts.receipt.as_deref());
    let is_recorded = recorded.map(|recorded| recorded == content.sha256.to_string());
    match (&content.proof, is_recorded) {
        (None, _) => "manifest only: nothing is proved",
        (Some(_), Some(true)) => "proved",
        (Some(_), Some(false)) => "proved, but NOT the file that the ledger names",
        (Some(_), None) => "proved, and not in the ledger",
    }
}

fn show(library: &Library, name: &str) -> Result<Value, Failure> {
    let id = find(library, name)?;
    let receipt = library.receipts.receipt(id).map_err(failure)?;
    let content = receipt.content();
    let copy = library.store.copy(id);
    let text = std::str::from_utf8(receipt.to_bytes()).map_err(Failure::failed)?;
    Ok(json!({
        "receipt": id,
        "state": state(content, copy.as_ref()),
        "sha256": content.sha256,
        "key": content.key.to_string(),
        "key_id": content.key.id(),
        "file": library.receipts.path_of(id).display().to_string(),
        "copy": copy,
        "manifest": content.manifest,
        "proof": content.proof,
        "text": text,
    }))
}

/// A receipt by its identity, or the newest of a cartridge. A cartridge may be gone; its copies are not.
fn find(library: &Library, name: &str) -> Result<Uuid, Failure> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let barcode = Barcode::new(&name.to_ascii_uppercase()).map_err(|error| {
        Failure::usage(format!("{name} is neither a receipt nor a barcode: {error}"))
    })?;
    let mut copies = library.store.copies();
    copies.retain(|copy| copy.barcode == barcode);
    copies.sort_by_key(|copy| copy.since);
    let there = library.receipts.list().map_err(failure)?;
    let newest = copies.iter().rev().find(|copy| there.contains(&copy.id));
    newest.map(|copy| copy.id).ok_or_else(|| {
        Failure::not_found(format!(
            "there is no receipt of {barcode}; `vtl receipt list` shows those that there are"
        ))
    })
}

fn rotate_key(library: &Library, actor: &str) -> Result<Value, Failure> {
    let key = library.receipts.rotate_key().map_err(failure)?;
    tracing::info!(key = %key.id(), actor, "receipts are signed with a new key");
    Ok(json!({
        "key": key.to_string(),
        "key_id": key.id(),
        "next": "give this public key to those who verify your receipts; those signed before stay valid with the old one",
    }))
}

/// All public keys, the newest first. One is made if there is none, so that it can be given away before the first receipt.
fn keys(archive: &Archive) -> Result<Value, Failure> {
    archive.signing_key().map_err(failure)?;
    let keys = archive.public_keys().map_err(failure)?;
    let rows = keys.iter().rev().enumerate();
    Ok(rows
        .map(|(age, key)| json!({ "key_id": key.id(), "signs": age == 0, "key": key.to_string() }))
        .collect())
}

fn write_out(shown: &Value, path: &Path) -> Result<Value, Failure> {
    let text = shown.get("text").and_then(Value::as_str).unwrap_or_default();
    files::create(path, text.as_bytes())?;
    Ok(json!({
        "file": path.display().to_string(),
        "key": shown.get("key"),
        "next": format!("on any machine: vtl receipt verify {} --key KEY, with the key from a way that you trust", path.display()),
    }))
}

fn print_sheet(shown: &Value) -> Result<(), Failure> {
    let sheet = shown.pointer("/manifest/how_to_read").and_then(Value::as_str);
    let mut out = std::io::stdout().lock();
    match out.write_all(sheet.unwrap_or_default().as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::failed(error)),
        _ => Ok(()),
    }
}

/// People read a story; programs everything but the text, which is the same again.
fn for_reading(mut shown: Value, format: Format) -> Value {
    if format == Format::Table {
        return story::tell(&shown).unwrap_or(shown);
    }
    if let Some(fields) = shown.as_object_mut() {
        fields.shift_remove("text");
    }
    shown
}

/// What went wrong, with the exit code that it has.
pub(crate) fn failure(error: ArchiveError) -> Failure {
    match error {
        ArchiveError::NoReceipt(_) => Failure::not_found(error.to_string()),
        ArchiveError::TooOpen { .. } | ArchiveError::Kept(_) => Failure::refused(error.to_string()),
        ArchiveError::Receipt { id, source } => {
            let failure = verify::failure(&source);
            Failure::new(failure.kind, format!("receipt {id}: {}", failure.message))
        }
        ArchiveError::NotKeys(_) => Failure::new(FailureKind::Damaged, error.to_string()),
        _ => Failure::failed(error),
    }
}

/// Whether a receipt is from a later version, and so neither good nor bad.
fn is_newer(error: &ReceiptError) -> bool {
    matches!(error, ReceiptError::Newer(_))
}
