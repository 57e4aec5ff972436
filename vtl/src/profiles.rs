//! `vtl profile …`: the models that libraries and drives can have.

use std::path::Path;

use serde_json::{Map, Value, json};
use vtl_changer::IdentifierForm;
use vtl_drive::{Access, FileMeaning, Generation};

use crate::models::Models;
use crate::profile_file::ProfileFile;
use crate::request::Failure;

/// All models, in short.
pub(crate) fn list(models: &Models) -> Value {
    let libraries = models.libraries().into_iter().map(|profile| {
        json!({
            "profile": profile.name,
            "kind": "library",
            "vendor": profile.vendor,
            "product": profile.product,
            "revision": profile.revision,
            "drives": profile.default_drive,
            "generation": null,
        })
    });
    let drives = models.drives().into_iter().map(|profile| {
        json!({
            "profile": profile.name,
            "kind": "drive",
            "vendor": profile.vendor,
            "product": profile.product,
            "revision": profile.revision,
            "drives": null,
            "generation": profile.generation.name,
        })
    });
    Value::Array(libraries.chain(drives).collect())
}

/// One model, or all that a file describes.
pub(crate) fn show(models: &Models, name: &str) -> Result<Value, Failure> {
    if let Some(profile) = models.library(name) {
        return Ok(library(profile));
    }
    if let Some(profile) = models.drive(name) {
        return Ok(drive(profile));
    }
    let path = Path::new(name);
    if !path.is_file() {
        return Err(Failure::not_found(format!(
            "there is no model {name}, and no such file; `vtl profile list` shows the models"
        )));
    }
    let file = ProfileFile::read(path).map_err(|error| Failure::usage(error.to_string()))?;
    let drives: Map<String, Value> =
        file.drives.iter().map(|profile| (profile.name.to_owned(), drive(profile))).collect();
    Ok(json!({ "library": file.library.map(library), "drives": drives }))
}

fn library(profile: &vtl_changer::Profile) -> Value {
    let [transport, storage, import_export, drive] = profile.first_addresses;
    let limits = profile.limits();
    let form = match profile.identifier.form {
        IdentifierForm::VendorProductSerial => "vendor, product and serial number".to_owned(),
        IdentifierForm::Serial { length } => format!("serial number, {length} bytes"),
    };
    let pages = profile.vendor_pages.iter().map(|page| format!("{:02X}h", page.code));
    json!({
        "profile": profile.name,
        "kind": "library",
        "vendor": profile.vendor,
        "product": profile.product,
        "revision": profile.revision,
        "default_drive": profile.default_drive,
        "first_element_addresses": {
            "transport": transport,
            "storage": storage,
            "import_export": import_export,
            "drive": drive,
        },
        "most_elements": {
            "storage": limits.storage,
            "import_export": limits.import_export,
            "drive": limits.drives.min(vtl_media::store::MAX_DRIVES),
        },
        "drive_identifier": form,
        "drive_identifier_always_sent": profile.identifier.is_always_sent,
        "vendor_pages": pages.collect::<Vec<_>>(),
    })
}

fn drive(profile: &vtl_drive::Profile) -> Value {
    let named = |wanted: fn(&Access) -> bool| {
        let is_wanted = |generation: &&&Generation| wanted(&profile.access(generation.media_type));
        let all = Generation::ALL;
        all.iter().filter(is_wanted).map(|generation| generation.media_type).collect::<Vec<_>>()
    };
    let pages = profile.vendor_pages.iter().map(|page| format!("{:02X}h", page.code));
    json!({
        "profile": profile.name,
        "kind": "drive",
        "vendor": profile.vendor,
        "product": profile.product,
        "revision": profile.revision,
        "generation": profile.generation.name,
        "writes": named(|access| matches!(access, Access::Write(_))),
        "reads_only": named(|access| matches!(access, Access::Read(_))),
        "locate_to_file": match profile.file_meaning {
            FileMeaning::BehindFilemark => "behind the filemark",
            FileMeaning::BeforeFilemark => "before the filemark",
        },
        "medium_type": format!("{:02X}h", profile.medium_type(profile.generation, false)),
        "vendor_pages": pages.collect::<Vec<_>>(),
    })
}
