//! What an export keeps beside the ledger: files in `copies/<copy>/`, and the receipt in its two phases.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use vtl_media::disk::{read_whole, replace_whole};
use vtl_media::{CopyFacts, CopyRecord, CopyState, Store};

use super::ExportError;
use super::order::{Exported, Order};
use super::tape::Medium;
use crate::receipt::{Manifest, Proof, Receipt};

impl Order<'_> {
    /// The program ended between the proof and the receipt.
    pub(super) fn sign_again(&self, copy: &CopyRecord) -> Result<Exported, ExportError> {
        let kept = self.kept(copy.id, MANIFEST)?.zip(self.kept(copy.id, PROOF)?);
        let (manifest, proof) = kept.ok_or_else(|| {
            ExportError::Failed(format!("the proof of {} is not there any more", copy.id))
        })?;
        self.sign(copy, &Medium::default(), manifest, proof)
    }

    /// The second phase of the receipt, unless it is there already, and the step that needs it.
    pub(super) fn sign(
        &self,
        copy: &CopyRecord,
        medium: &Medium,
        manifest: Manifest,
        proof: Proof,
    ) -> Result<Exported, ExportError> {
        let receipt = self.receipt(copy.id, &proof)?;
        let facts = CopyFacts {
            volume: medium.barcode.clone(),
            medium_serial: medium.serial.clone(),
            receipt: Some(receipt.content().sha256.to_string()),
            ..CopyFacts::default()
        };
        let copy = self.store.advance_copy(copy.id, CopyState::Receipted, facts, self.actor);
        let copy = copy.map_err(|error| ExportError::Failed(format!("no receipt: {error}")))?;
        Ok(Exported { copy, manifest, proof })
    }

    /// The receipt with its second phase, which is signed unless it was before.
    pub(super) fn receipt(&self, copy: Uuid, proof: &Proof) -> Result<Receipt, ExportError> {
        let failed =
            |error: &dyn std::fmt::Display| ExportError::Failed(format!("no receipt: {error}"));
        let mut receipt = self.receipts.receipt(copy).map_err(|error| failed(&error))?;
        if receipt.content().proof.is_none() {
            let key = self.receipts.signing_key().map_err(|error| failed(&error))?;
            receipt = receipt.proved(proof.clone(), &key).map_err(|error| failed(&error))?;
            self.receipts.keep(&receipt).map_err(|error| failed(&error))?;
        }
        Ok(receipt)
    }

    pub(super) fn sign_manifest(&self, manifest: &Manifest) -> Result<(), ExportError> {
        let failed =
            |error: &dyn std::fmt::Display| ExportError::Failed(format!("no receipt: {error}"));
        let key = self.receipts.signing_key().map_err(|error| failed(&error))?;
        let receipt =
            Receipt::manifested(manifest.clone(), &key).map_err(|error| failed(&error))?;
        self.receipts.keep(&receipt).map(drop).map_err(|error| failed(&error))
    }

    pub(super) fn keep(
        &self,
        copy: Uuid,
        name: &str,
        value: &impl Serialize,
    ) -> Result<(), ExportError> {
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| ExportError::Failed(format!("{name}: {error}")))?;
        let (disk, path) = (self.store.disk(), path(self.store, copy, name));
        let kept = || -> std::io::Result<()> {
            let parents: Vec<_> = path.ancestors().skip(1).take(2).collect();
            for directory in parents.into_iter().rev() {
                if !disk.exists(directory)? {
                    disk.create_dir(directory)?;
                    disk.sync_dir(directory.parent().unwrap_or(directory))?;
                }
            }
            replace_whole(&*disk, &path, &bytes)
        };
        kept().map_err(|error| ExportError::Failed(format!("{}: {error}", path.display())))
    }

    pub(super) fn kept<T: DeserializeOwned>(
        &self,
        copy: Uuid,
        name: &str,
    ) -> Result<Option<T>, ExportError> {
        let (disk, path) = (self.store.disk(), path(self.store, copy, name));
        let failed = |error: String| ExportError::Failed(format!("{}: {error}", path.display()));
        if !disk.exists(&path).unwrap_or(false) {
            return Ok(None);
        }
        let bytes =
            read_whole(&*disk, &path, FILE_BYTES_MAX).map_err(|error| failed(error.to_string()))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(error.to_string()))
    }
}

/// Where a file of a copy is.
pub(super) fn path(store: &Store, copy: Uuid, name: &str) -> PathBuf {
    store.directory().join("copies").join(copy.to_string()).join(name)
}

/// How far it is.
pub(super) const PROGRESS: &str = "progress.json";
/// How it was written.
pub(super) const WRITTEN: &str = "written.json";
/// What was written.
pub(super) const MANIFEST: &str = "manifest.json";
/// What was read back.
pub(super) const PROOF: &str = "proof.json";
/// What such a file has at most.
pub(super) const FILE_BYTES_MAX: u64 = 256 << 20;
