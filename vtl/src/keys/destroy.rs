//! Cartridges that go for good, with a certificate: `vtl tape crypto-erase` destroys the key of one that is encrypted, `vtl tape dispose` gives up what
//! is due.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;
use vtl_media::{CartridgeEntry, CopyRecord, DeleteError, ErasureError, KeyDestroyed, Store};
use vtl_vault::receipt::{Archive, Statement};

use crate::library::Library;
use crate::operations::find;
use crate::receipts;
use crate::request::{Failure, FailureKind};
use crate::undo::explain;

const CRYPTO_ERASE: &str = "crypto-erase";
const DISPOSITION: &str = "disposition";

/// What is signed.
#[derive(Debug, Serialize)]
struct Certificate {
    barcode: String,
    cartridge: Uuid,
    pool: Option<String>,
    media_type: String,
    destroyed: jiff::Timestamp,
    by: String,
    due_since: Option<jiff::Timestamp>,
    blocks: u64,
    bytes: u64,
    last_written: Option<jiff::Timestamp>,
    method: &'static str,
    pool_key: Option<Uuid>,
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
    let erased = entries.iter().map(|entry| erase(library, entry, CRYPTO_ERASE, actor));
    erased.collect::<Result<_, _>>().map(Value::Array)
}

/// Gives up cartridges whose time has come, each with a certificate. One that is encrypted goes with its key.
pub(crate) fn dispose(
    library: &Library,
    barcodes: &[String],
    actor: &str,
) -> Result<Value, Failure> {
    let entries = barcodes.iter().map(|barcode| find(library, barcode));
    let entries: Vec<CartridgeEntry> = entries.collect::<Result<_, _>>()?;
    let mut have_keys = Vec::new();
    for entry in &entries {
        check_due(library, entry)?;
        have_keys.push(match library.store.check_erasure(entry.uuid) {
            Ok(()) => true,
            Err(ErasureError::NotEncrypted(_) | ErasureError::InTheClear { .. }) => false,
            Err(error) => return Err(told(&error)),
        });
    }
    library.receipts.signing_key().map_err(receipts::failure)?;
    let give_up = |(entry, has_key): (&CartridgeEntry, bool)| {
        if has_key {
            erase(library, entry, DISPOSITION, actor)
        } else {
            delete(library, entry, actor)
        }
    };
    entries.iter().zip(have_keys).map(give_up).collect::<Result<_, _>>().map(Value::Array)
}

/// Cartridges that are due.
pub(crate) fn due(library: &Library) -> Value {
    let now = library.store.compliance_clock().now();
    let row = |entry: CartridgeEntry| {
        let retention = library.store.retention(entry.uuid);
        let since = retention.dispose_after.filter(|time| *time <= now)?;
        Some(json!({
            "barcode": entry.barcode,
            "due_since": since,
            "location": entry.place,
            "pool": entry.pool,
            "written_bytes": entry.written_bytes,
            "kept_by": retention.reason(now),
        }))
    };
    Value::Array(library.store.cartridges().into_iter().filter_map(row).collect())
}

fn check_due(library: &Library, entry: &CartridgeEntry) -> Result<(), Failure> {
    let barcode = &entry.barcode;
    let now = library.store.compliance_clock().now();
    match library.store.retention(entry.uuid).dispose_after {
        Some(time) if time <= now => Ok(()),
        Some(time) => Err(Failure::refused(format!("{barcode} is not due before {time}"))),
        None => Err(Failure::refused(format!(
            "nobody has said when {barcode} is to be disposed of: `vtl tape disposition {barcode} --after DATE` does"
        ))),
    }
}

fn erase(
    library: &Library,
    entry: &CartridgeEntry,
    about: &str,
    actor: &str,
) -> Result<Value, Failure> {
    let _alone = alone(library, entry)?;
    let destroyed = library.store.destroy_key(entry.uuid, actor).map_err(|error| told(&error))?;
    finish(library, entry, (about, Some(&destroyed)), actor)
}

/// An export that is running has the key, and would go on with it.
fn alone<'a>(
    library: &'a Library,
    entry: &CartridgeEntry,
) -> Result<impl Sized + use<'a>, Failure> {
    library.transfers.exports.take(entry).map_err(|error| Failure::refused(error.to_string()))
}

fn delete(library: &Library, entry: &CartridgeEntry, actor: &str) -> Result<Value, Failure> {
    let _alone = alone(library, entry)?;
    // The others may have taken a while.
    check_due(library, entry)?;
    finish(library, entry, (DISPOSITION, None), actor)
}

/// What is left of the cartridge goes. The certificate is prepared before that, and is none until it has gone: of a cartridge that stays, perhaps
/// to be written on once more, nobody must have one.
fn finish(
    library: &Library,
    entry: &CartridgeEntry,
    (about, destroyed): (&str, Option<&KeyDestroyed>),
    actor: &str,
) -> Result<Value, Failure> {
    let store = &library.store;
    // Nobody gets a certificate about a cartridge that stays.
    store.check_deletion(entry).map_err(|error| told(&error.into()))?;
    let head = store.ledger().head();
    let certificate = Certificate {
        barcode: entry.barcode.to_string(),
        cartridge: entry.uuid,
        pool: entry.pool.clone(),
        media_type: entry.media_type.clone(),
        destroyed: store.now(),
        by: actor.to_owned(),
        due_since: store.retention(entry.uuid).dispose_after,
        blocks: destroyed.map_or(entry.block_count, |destroyed| destroyed.block_count),
        bytes: entry.written_bytes,
        last_written: entry.last_written,
        method: match destroyed {
            Some(_) => {
                "its key was destroyed: everything on it was encrypted with AES-256-GCM and a key of its own, wrapped with that of its pool; then its \
                 files were removed"
            }
            None => {
                "its files were removed; the disk was not wiped, and nothing on it was encrypted with a key that is destroyed"
            }
        },
        pool_key: destroyed.map(|destroyed| destroyed.pool_key),
        wrapped_key_sha256: destroyed.and_then(|destroyed| destroyed.fingerprint.clone()),
        proof: destroyed.map(proof).unwrap_or_default(),
        not_destroyed: not_destroyed(library, entry, destroyed.is_some()),
        ledger_entry: head.sequence,
        ledger_hash: head.hash.to_string(),
    };
    let key = library.receipts.signing_key().map_err(receipts::failure)?;
    let statement = Statement::signed(about, &certificate, &key).map_err(Failure::failed)?;
    let archive = &library.receipts;
    let prepared = archive.prepared_report(entry.uuid).map_err(receipts::failure)?;
    // The attempt that destroyed the key, and was cut off, knew which one it was.
    let knows_more = destroyed.is_some_and(|destroyed| destroyed.fingerprint.is_none())
        && prepared.is_some_and(|bytes| Statement::verify(&bytes).is_ok());
    if !knows_more {
        archive.prepare_report(entry.uuid, &statement).map_err(receipts::failure)?;
    }
    if let Err(error) = store.delete_cartridge(entry.uuid, actor) {
        if destroyed.is_none()
            && let Err(error) = archive.give_up_report(entry.uuid)
        {
            tracing::warn!(%error, "what was prepared for a certificate stays; it is none");
        }
        return Err(told(&error.into()));
    }
    let published = archive.publish_report(entry.uuid);
    let path = published.map_err(|error| {
        Failure::failed(format!(
            "{} is destroyed, and its certificate will be kept when the program is started again: {error}",
            entry.barcode
        ))
    })?;
    let kept = archive.report(entry.uuid).map_err(receipts::failure)?;
    let kept = Statement::verify(&kept).map_err(Failure::failed)?;
    Ok(json!({
        "barcode": entry.barcode,
        "destroyed": true,
        "certificate": path,
        "sha256": kept.sha256.to_string(),
        "not_destroyed": certificate.not_destroyed,
    }))
}

/// Publishes the certificates of what was destroyed by a program that was cut off before it could do that.
pub(crate) fn settle(store: &Store, archive: &Archive) {
    let prepared = archive.prepared_reports().unwrap_or_else(|error| {
        tracing::warn!(%error, "certificates that were prepared cannot be looked for");
        Vec::new()
    });
    for id in prepared {
        let settled = match store.cartridge(id) {
            None => archive.publish_report(id).map(drop),
            // The next attempt goes on with it.
            Some(entry) if store.is_key_destroyed(&entry) => Ok(()),
            Some(_) => archive.give_up_report(id),
        };
        if let Err(error) = settled {
            tracing::warn!(cartridge = %id, %error, "a certificate that was prepared stays as it is");
        }
    }
}

fn proof(destroyed: &KeyDestroyed) -> Vec<String> {
    let mut proof = vec![
        "both labels were overwritten without the key, to the end of their files, and synced"
            .to_owned(),
    ];
    proof.extend(destroyed.tried.iter().map(|(partition, object)| {
        let of = if *partition == 0 { String::new() } else { format!(" of partition {partition}") };
        format!("block {object}{of} was read with all keys that there are, and does not open")
    }));
    if destroyed.tried.is_empty() {
        proof.push("there was no block on it to be tried".to_owned());
    }
    proof.push(match destroyed.fingerprint {
        Some(_) => format!(
            "the wrapped key was looked for in all {} other files of the data directory, and is in none",
            destroyed.searched_files
        ),
        None => "an earlier attempt had looked for the wrapped key in all other files of the data directory, destroyed it, and was cut off".to_owned(),
    });
    proof
}

/// What lies elsewhere: a certificate must not promise more than there is.
fn not_destroyed(library: &Library, entry: &CartridgeEntry, has_key: bool) -> Vec<String> {
    let mut left = Vec::new();
    for copy in library.store.copies() {
        if copy.cartridge == entry.uuid {
            left.push(copy_in_words(&copy));
        }
    }
    if let Some(source) = library.store.import_of(entry.uuid) {
        left.push(format!(
            "physical tape {} that it was imported from",
            source.barcode.or(source.medium_serial).as_deref().unwrap_or("without a barcode")
        ));
    }
    if let Some(of) = &entry.twin_of {
        left.push(format!("it was made from {of} without a copy: what was on it then is on {of}"));
    }
    left.push(if has_key {
        "backups of the data directory from before, if there are any: with the key of the pool they can be read. Sectors that a disk has \
         set aside by itself may hold old labels; without the key of the pool they are of no use"
            .to_owned()
    } else {
        "what its files held, as long as the disk has not written over it; and backups of the data directory from before".to_owned()
    });
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
