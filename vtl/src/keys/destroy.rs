//! `vtl tape crypto-erase`: a cartridge is gone for good when its key is, and a certificate says so.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;
use vtl_media::{CartridgeEntry, CopyRecord, DeleteError, ErasureError, KeyDestroyed};
use vtl_vault::receipt::Statement;

use crate::library::Library;
use crate::operations::find;
use crate::receipts;
use crate::request::{Failure, FailureKind};
use crate::undo::explain;

const ABOUT: &str = "crypto-erase";

/// What is signed.
#[derive(Debug, Serialize)]
struct Certificate {
    barcode: String,
    cartridge: Uuid,
    pool: Option<String>,
    media_type: String,
    destroyed: jiff::Timestamp,
    by: String,
    blocks: u64,
    bytes: u64,
    last_written: Option<jiff::Timestamp>,
    algorithm: &'static str,
    pool_key: Uuid,
    /// SHA-256 of the wrapped key as its labels had it.
    wrapped_key_sha256: Option<String>,
    proof: Vec<String>,
    not_destroyed: Vec<String>,
    ledger_entry: u64,
    ledger_hash: String,
}

/// Destroys the keys of cartridges, and deletes what is left of them: all that may be is looked at first.
pub(crate) fn crypto_erase(
    library: &Library,
    barcodes: &[String],
    actor: &str,
) -> Result<Value, Failure> {
    let entries = barcodes.iter().map(|barcode| find(library, barcode));
    let entries: Vec<CartridgeEntry> = entries.collect::<Result<_, _>>()?;
    for entry in &entries {
        library.store.check_erasure(entry.uuid).map_err(|error| told(&error))?;
    }
    // Without a key to sign with there is no certificate, and nothing is destroyed.
    library.receipts.signing_key().map_err(receipts::failure)?;
    entries
        .iter()
        .map(|entry| erase(library, entry, actor))
        .collect::<Result<_, _>>()
        .map(Value::Array)
}

fn erase(library: &Library, entry: &CartridgeEntry, actor: &str) -> Result<Value, Failure> {
    let store = &library.store;
    let destroyed = store.destroy_key(entry.uuid, actor).map_err(|error| told(&error))?;
    let head = store.ledger().head();
    let certificate = Certificate {
        barcode: entry.barcode.to_string(),
        cartridge: entry.uuid,
        pool: entry.pool.clone(),
        media_type: entry.media_type.clone(),
        destroyed: store.now(),
        by: actor.to_owned(),
        blocks: destroyed.block_count,
        bytes: entry.written_bytes,
        last_written: entry.last_written,
        algorithm: "AES-256-GCM, with a key of the cartridge's own that was wrapped with that of its pool",
        pool_key: destroyed.pool_key,
        wrapped_key_sha256: destroyed.fingerprint.clone(),
        proof: proof(&destroyed),
        not_destroyed: not_destroyed(library, &destroyed),
        ledger_entry: head.sequence,
        ledger_hash: head.hash.to_string(),
    };
    let key = library.receipts.signing_key().map_err(receipts::failure)?;
    let statement = Statement::signed(ABOUT, &certificate, &key).map_err(Failure::failed)?;
    // One certificate for one cartridge. Of an attempt that was cut off, the first one stays.
    let kept = match library.receipts.report(entry.uuid) {
        Ok(_) => None,
        Err(_) => {
            Some(library.receipts.keep_report(entry.uuid, &statement).map_err(receipts::failure)?)
        }
    };
    store.delete_cartridge(entry.uuid, actor).map_err(|error| told(&error.into()))?;
    Ok(json!({
        "barcode": entry.barcode,
        "destroyed": true,
        "certificate": kept.unwrap_or_else(|| library.receipts.report_path(entry.uuid)),
        "sha256": statement.sha256().to_string(),
        "not_destroyed": certificate.not_destroyed,
    }))
}

fn proof(destroyed: &KeyDestroyed) -> Vec<String> {
    let mut proof = vec![
        "both labels were overwritten without the key, to the end of their files, and synced"
            .to_owned(),
    ];
    proof.push(match destroyed.tried {
        Some(object) => {
            format!("block {object} was read with all keys that there are, and does not open")
        }
        None => "nothing was written on it".to_owned(),
    });
    proof.push(match destroyed.fingerprint {
        Some(_) => format!(
            "the wrapped key was looked for in all {} other files of the data directory, and is in none",
            destroyed.searched_files
        ),
        None => "an earlier attempt had destroyed the key and was cut off: what it looked for is not known any more".to_owned(),
    });
    proof
}

/// What lies elsewhere: a certificate must not promise more than there is.
fn not_destroyed(library: &Library, destroyed: &KeyDestroyed) -> Vec<String> {
    let mut left = Vec::new();
    for copy in library.store.copies() {
        if copy.cartridge == destroyed.uuid {
            left.push(copy_in_words(&copy));
        }
    }
    if let Some(of) = &destroyed.made_from {
        left.push(format!("it was made from {of} without a copy: what was on it then is on {of}"));
    }
    left.push(
        "backups of the data directory from before, if there are any: with the key of the pool they can be read. Sectors that a disk has \
         set aside by itself may hold old labels; without the key of the pool they are of no use"
            .to_owned(),
    );
    left
}

fn copy_in_words(copy: &CopyRecord) -> String {
    format!(
        "copy {} on physical tape {}, {}: tapes that are exported are not encrypted with this key",
        copy.number,
        copy.facts.volume.as_deref().unwrap_or("without a barcode"),
        copy.state
    )
}

fn told(error: &ErasureError) -> Failure {
    match error {
        ErasureError::NotEncrypted(_)
        | ErasureError::InTheClear { .. }
        | ErasureError::Elsewhere { .. }
        | ErasureError::Delete(
            DeleteError::InDrive(_) | DeleteError::Locked { .. } | DeleteError::Needed { .. },
        ) => Failure::refused(error.to_string()),
        ErasureError::Undo(error) => explain(error),
        ErasureError::StillReadable { .. } => Failure::new(FailureKind::Failed, error.to_string()),
        error => Failure::failed(error),
    }
}
