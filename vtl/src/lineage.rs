//! Of which physical tape a cartridge was made: what the ledger keeps of an import, and which cartridges are one tape twice (F20).

use serde_json::{Value, json};
use uuid::Uuid;
use vtl_media::{Barcode, CopyRecord, ImportSource};
use vtl_vault::{DriveIdentity, Medium, PartitionDigest, root_of_all};

use crate::library::Library;

/// What there is to remember of a tape that was read to its end.
pub(crate) fn source(
    library: &Library,
    (medium, drive): (&Medium, &DriveIdentity),
    digests: &[PartitionDigest],
    known: Option<&CopyRecord>,
) -> ImportSource {
    // The receipt says what was on it; the root over all sections is compared, not the barcode.
    let root = known.and_then(|copy| {
        let receipt = library.receipts.receipt(copy.id).ok()?;
        Some(root_of_all(&receipt.content().manifest.partitions))
    });
    let found = root_of_all(digests);
    ImportSource {
        time: None,
        medium_serial: medium.serial.clone(),
        barcode: medium.barcode.clone(),
        drive_serial: Some(drive.serial.clone()).filter(|serial| !serial.is_empty()),
        copy: known.map(|copy| copy.id),
        copy_of: known.map(|copy| copy.barcode.to_string()),
        receipt: known.and_then(|copy| copy.facts.receipt.clone()),
        is_what_receipt_says: root.map(|root| root == found),
        root: found.to_string(),
        bytes: digests.iter().map(|digest| digest.bytes).sum(),
    }
}

/// The other cartridges that were made of the same tape, by its serial number, or of one with the same on it.
pub(crate) fn twins(library: &Library, uuid: Uuid, source: &ImportSource) -> Vec<Barcode> {
    library.store.imports_like(uuid, source).into_iter().map(|entry| entry.barcode).collect()
}

/// What `vtl tape show` tells of it; nothing if the cartridge was not imported.
pub(crate) fn story(library: &Library, uuid: Uuid) -> Value {
    let Some(source) = library.store.import_of(uuid) else { return Value::Null };
    json!({
        "time": source.time,
        "medium_serial": source.medium_serial,
        "medium_barcode": source.barcode,
        "drive_serial": source.drive_serial,
        "copy": source.copy,
        "copy_of": source.copy_of,
        "receipt": source.receipt,
        "is_what_receipt_says": source.is_what_receipt_says,
        "root": source.root,
        "bytes": source.bytes,
        "also_imported_as": twins(library, uuid, &source),
    })
}
