//! What a receipt proves and what it does not, in words.

use serde_json::{Value, json};
use vtl_vault::receipt::{Manifest, Pass, Proof, VerifiedReceipt};

use crate::attributes;

/// What is so if nobody but the owner has the key.
pub(super) fn proves(content: &VerifiedReceipt) -> Vec<String> {
    let manifest = &content.manifest;
    let mut proves = vec![format!(
        "no byte of this file has been changed since the owner of key {} signed it",
        content.key.id()
    )];
    let Some(proof) = &content.proof else { return proves };
    proves.push(format!(
        "{}: {} was read back as a whole after it had been unloaded and loaded again, in {}, and held exactly what was written: {}",
        proof.time.strftime("%Y-%m-%d %H:%M:%SZ"),
        tape(manifest),
        drive(&proof.read),
        amount(manifest),
    ));
    proves.push(format!(
        "that is cartridge {} ({}, generation {}{})",
        manifest.source.barcode,
        manifest.source.uuid,
        manifest.source.generation,
        manifest.source.as_of.map_or_else(String::new, |time| format!(
            ", as of {}",
            time.strftime("%Y-%m-%d %H:%M:%SZ")
        )),
    ));
    if let Some(stack) = &manifest.stack {
        let names: Vec<&str> = stack.members.iter().map(|one| one.barcode.as_str()).collect();
        proves.push(format!(
            "the tape has {} cartridges ({}), and all of them were read back together; this one is in the {} tape files from {} on",
            names.len(),
            names.join(", "),
            stack.files,
            stack.first_file
        ));
    }
    if proof.attributes.as_ref().is_some_and(|found| !found.is_empty()) {
        proves.push(format!(
            "the tape's memory held these attributes as they were written: {}",
            attributes::names(&manifest.attributes).join(", ")
        ));
    }
    if let Some(point) = &manifest.ledger {
        proves.push(format!(
            "the library's ledger had entry {} with hash {} when the tape was written: no older entry can be changed unnoticed",
            point.entry, point.hash
        ));
    }
    proves
}

/// What nobody should believe because of it.
pub(super) fn does_not_prove(content: &VerifiedReceipt, is_key_given: bool) -> Vec<String> {
    let mut not = Vec::new();
    if !is_key_given {
        not.push(format!(
            "who made it: anybody can sign with a key of his own. Compare {} with the library's (`vtl receipt key`), or verify \
             with --key",
            content.key
        ));
    }
    let Some(proof) = &content.proof else {
        not.push("that anything is on the tape: it was not read back".to_owned());
        return not;
    };
    not.extend(proof.not_checked.iter().map(|what| format!("not checked: {what}")));
    let date = proof.time.strftime("%Y-%m-%d");
    not.push(format!("that the tape can still be read: that was seen on {date}, and not since"));
    not.push("that the backup on it is good: that is for the backup software to say".to_owned());
    not.push(
        "when it was: the times are those of the clocks of the machine that signed".to_owned(),
    );
    not
}

/// A receipt for people, from the answer of `show`: without the hundreds of hashes, which the JSON has.
pub(super) fn tell(shown: &Value) -> Option<Value> {
    let part = |name: &str| shown.get(name).cloned();
    let manifest: Manifest = serde_json::from_value(part("manifest")?).ok()?;
    let proof: Option<Proof> = serde_json::from_value(part("proof")?).ok()?;
    let passes = proof
        .as_ref()
        .map(|proof| json!([pass("written", &proof.written), pass("read back", &proof.read)]));
    let partitions = manifest.partitions.iter().map(|partition| {
        json!({
            "partition": partition.partition,
            "sections": partition.sections.len(),
            "blocks": partition.blocks,
            "filemarks": partition.filemarks,
            "data_bytes": partition.bytes,
            "root": partition.root,
        })
    });
    Some(json!({
        "receipt": part("receipt"),
        "state": part("state"),
        "cartridge": format!("{} ({})", manifest.source.barcode, manifest.source.uuid),
        "copy": tape(&manifest),
        "written": manifest.time,
        "proved": proof.as_ref().map(|proof| proof.time),
        "operator": manifest.operator,
        "software": manifest.software,
        "partitions": partitions.collect::<Vec<_>>(),
        "attributes": attributes::names(&manifest.attributes).join(", "),
        "attributes_not_on_tape": attributes::left_out(&manifest.attributes_left_out).join("; "),
        "passes": passes.unwrap_or_else(|| json!([])),
        "not_checked": proof.map_or_else(String::new, |proof| proof.not_checked.join("; ")),
        "signed_by": part("key_id"),
        "sha256": part("sha256"),
        "file": part("file"),
        "next": format!(
            "vtl receipt show {0} --sheet: how to read the tape with mt and dd; --output FILE: the receipt for an auditor",
            manifest.id
        ),
    }))
}

fn pass(name: &str, pass: &Pass) -> Value {
    let bytes_per_second = pass.bytes.saturating_mul(1000).checked_div(pass.elapsed_ms);
    json!({
        "pass": name,
        "drive": drive(pass),
        "begun": pass.begun,
        "ended": pass.ended,
        "bytes_per_second": bytes_per_second,
        "protection": pass.protection,
        "corrected": pass.after.corrected,
        "uncorrected": pass.after.uncorrected,
        "tape_alerts": pass.after.tape_alerts,
    })
}

fn tape(manifest: &Manifest) -> String {
    let target = &manifest.target;
    let label = target.barcode.as_deref().unwrap_or("without a known barcode");
    let serial = target.medium_serial.as_deref();
    let serial = serial.map_or_else(String::new, |serial| format!(" (serial number {serial})"));
    format!("tape {label}{serial}, copy {}", target.copy)
}

fn drive(pass: &Pass) -> String {
    let drive = &pass.drive;
    format!(
        "drive {} {} {} ({})",
        drive.vendor.trim(),
        drive.product.trim(),
        drive.revision.trim(),
        drive.serial.trim()
    )
}

fn amount(manifest: &Manifest) -> String {
    let sum = |of: fn(&vtl_vault::PartitionDigest) -> u64| -> u64 {
        manifest.partitions.iter().map(of).fold(0, u64::saturating_add)
    };
    format!(
        "{} blocks, {} filemarks, {} bytes in {} partition(s)",
        sum(|partition| partition.blocks),
        sum(|partition| partition.filemarks),
        sum(|partition| partition.bytes),
        manifest.partitions.len()
    )
}
