//! `vtl library …`: several libraries in one data directory, each with a target of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;
use vtl_changer::Limits;
use vtl_media::disk::replace_whole;
use vtl_media::store::{CreateError, MAX_DRIVES};
use vtl_media::{LibraryId, LibraryRecord, LibrarySpec, Place, Store};

use crate::library::Library;
use crate::models::{DIRECTORY_NAME, Models};
use crate::profile_file::ProfileFile;
use crate::request::{Failure, NewLibrary};
use crate::status;

/// Libraries that show snapshots are called so.
const SNAPSHOT_PREFIX: &str = "snapshot-";

/// Puts the text of a profile that is a file into the request: the daemon may not see the same files.
pub(crate) fn read_profile(new: &mut NewLibrary) -> Result<(), Failure> {
    let path = Path::new(&new.profile);
    let is_known = vtl_changer::Profile::find(&new.profile).is_some();
    let is_file = new.profile.contains('/')
        || path.extension().is_some_and(|extension| extension == "toml")
        || path.is_file();
    if is_known || !is_file {
        return Ok(());
    }
    ProfileFile::read(path).map_err(|error| Failure::usage(error.to_string()))?;
    let text = std::fs::read_to_string(path).map_err(Failure::failed)?;
    new.profile_text = Some(text);
    Ok(())
}

/// Makes a library; where the program runs, its target is there at once.
pub(crate) fn create(
    library: &Arc<Library>,
    new: &NewLibrary,
    actor: &str,
) -> Result<Value, Failure> {
    let record = create_in(&library.store, library.site.models(), new, actor)?;
    if library.is_running() {
        library.add(record.clone()).map_err(|error| {
            Failure::failed(format!(
                "library {} is made, and cannot be switched on: {error:#}; the next `vtl serve` tries again",
                record.id
            ))
        })?;
    }
    Ok(row(library, &record))
}

/// Makes a library in a store, where nothing runs.
pub(crate) fn create_in(
    store: &Store,
    models: &Models,
    new: &NewLibrary,
    actor: &str,
) -> Result<LibraryRecord, Failure> {
    let id = LibraryId::new(&new.name).map_err(|error| Failure::usage(error.to_string()))?;
    if new.name.starts_with(SNAPSHOT_PREFIX) {
        return Err(Failure::usage(format!(
            "{}: libraries that show snapshots are called {SNAPSHOT_PREFIX}…; choose another name",
            new.name
        )));
    }
    if store.library(&id).is_some() {
        return Err(Failure::usage(format!(
            "there is a library {id} already; `vtl library list` shows all of them"
        )));
    }
    let file = new.profile_text.as_deref().map(|text| own_models(models, &new.profile, text));
    let file = file.transpose()?;
    let wanted = Wanted::parse(models, file.as_ref(), new)?;
    let kept = file.as_ref().map(|file| keep(store, models, file, new)).transpose()?.flatten();
    let spec = LibrarySpec {
        id,
        iqn: None,
        changer_profile: wanted.changer.name.to_owned(),
        drives: 0,
        other_drives: wanted.drives,
        storage_elements: new.slots,
        import_export_elements: new.mail,
        cartridges: Vec::new(),
        ..LibrarySpec::default()
    };
    match store.create_library(spec, actor) {
        Ok(record) => {
            if let (Some(_), Some(file)) = (kept, &file) {
                models.add(file);
            }
            Ok(record)
        }
        Err(error) => {
            if let Some(path) = kept
                && let Err(error) = store.disk().remove(&path)
            {
                tracing::warn!(path = %path.display(), %error, "a profile that nobody uses is left");
            }
            Err(not_created(&error))
        }
    }
}

/// All libraries, in the order in which they were made.
pub(crate) fn list(library: &Library) -> Value {
    let mut records = library.store.libraries();
    records.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Value::Array(records.iter().map(|record| row(library, record)).collect())
}

/// All that is known of a library.
pub(crate) fn show(library: &Library, name: &str) -> Result<Value, Failure> {
    let record = named(library, name)?;
    let mut value = row(library, &record);
    if let Some(fields) = value.as_object_mut() {
        let addresses = addresses(library.site.models(), &record);
        fields.insert("element_addresses".to_owned(), addresses);
        fields.insert("drives".to_owned(), status::drives(library, &record).into());
    }
    Ok(value)
}

/// The library of this name, or exit code 4.
pub(crate) fn named(library: &Library, name: &str) -> Result<LibraryRecord, Failure> {
    let id = LibraryId::new(name).map_err(|error| Failure::usage(error.to_string()))?;
    library.store.library(&id).ok_or_else(|| {
        Failure::not_found(format!(
            "there is no library {id}; `vtl library list` shows those that there are"
        ))
    })
}

/// The library that is meant where a place may say it: the one that it is in, else the first.
pub(crate) fn of_place(library: &Library, place: &Place) -> LibraryRecord {
    place
        .library()
        .and_then(|id| library.store.library(id))
        .unwrap_or_else(|| library.record.clone())
}

fn row(library: &Library, record: &LibraryRecord) -> Value {
    let models = library.site.models();
    let profile = models.library(&record.changer.profile);
    let is_in = |entry: &vtl_media::CartridgeEntry| entry.place.library() == Some(&record.id);
    json!({
        "library": record.id,
        "target": record.iqn,
        "profile": record.changer.profile,
        "vendor": profile.map(|profile| profile.vendor),
        "product": profile.map(|profile| profile.product),
        "serial": record.changer.serial,
        "drives": record.drives.len(),
        "storage_elements": record.storage_elements,
        "import_export_elements": record.import_export_elements,
        "cartridges": library.store.cartridges().iter().filter(|entry| is_in(entry)).count(),
        "created": record.created,
        "running": library.site.library(&record.id).is_some_and(|library| library.is_running()),
    })
}

fn addresses(models: &Models, record: &LibraryRecord) -> Value {
    let Some(profile) = models.library(&record.changer.profile) else { return Value::Null };
    let [transport, storage, import_export, drive] = profile.first_addresses;
    json!({
        "transport": transport,
        "storage": storage,
        "import_export": import_export,
        "drive": drive,
    })
}

/// What a request asks for, if it can be.
struct Wanted {
    changer: &'static vtl_changer::Profile,
    /// The model of each drive.
    drives: Vec<String>,
}

impl Wanted {
    fn parse(
        models: &Models,
        file: Option<&ProfileFile>,
        new: &NewLibrary,
    ) -> Result<Self, Failure> {
        let changer = match file {
            Some(ProfileFile { library: Some(library), .. }) => Some(*library),
            // A file may describe drives only.
            Some(_) => models.library(&LibrarySpec::default().changer_profile),
            None => models.library(&new.profile),
        };
        let changer = changer.ok_or_else(|| {
            let known: Vec<_> = models.libraries().iter().map(|profile| profile.name).collect();
            Failure::usage(format!(
                "--profile {}: there are {}, or a file; `vtl profile list` shows more",
                new.profile,
                known.join(", ")
            ))
        })?;
        let of_file = |name: &str| {
            file.and_then(|file| file.drives.iter().copied().find(|drive| drive.name == name))
        };
        let model = |name: &str| of_file(name).or_else(|| models.drive(name));
        let own = file.filter(|file| file.library.is_none()).and_then(|file| file.drives.first());
        let default = own.map_or(changer.default_drive, |drive| drive.name);
        let drives = parse_drives(models, &new.drives, default, model)?;
        check_layout(changer, new, drives.len())?;
        Ok(Self { changer, drives })
    }
}

/// `N`, or `MODEL:N,MODEL:N`.
fn parse_drives(
    models: &Models,
    text: &str,
    default: &str,
    model: impl Fn(&str) -> Option<&'static vtl_drive::Profile>,
) -> Result<Vec<String>, Failure> {
    let mut drives = Vec::new();
    for part in text.split(',') {
        let (name, count) = match part.rsplit_once(':') {
            Some((name, count)) => (name, count),
            None => (default, part),
        };
        let most = usize::try_from(MAX_DRIVES).unwrap_or(usize::MAX) - drives.len();
        let count = count.parse().ok().filter(|count| (1..=most).contains(count)).ok_or_else(|| {
            Failure::usage(format!(
                "--drives {text}: a number, or MODEL:N,MODEL:N, from 1 to {MAX_DRIVES} drives in all"
            ))
        })?;
        let profile = model(name).ok_or_else(|| {
            let known: Vec<_> = models.drives().iter().map(|profile| profile.name).collect();
            Failure::usage(format!("--drives {text}: there are {}", known.join(", ")))
        })?;
        drives.extend(std::iter::repeat_n(profile.name.to_owned(), count));
    }
    Ok(drives)
}

/// Addresses never change afterwards, so that a library has to fit into those of its model from the beginning.
fn check_layout(
    changer: &vtl_changer::Profile,
    new: &NewLibrary,
    drives: usize,
) -> Result<(), Failure> {
    let Limits { storage, import_export, drives: most_drives } = changer.limits();
    let fits = new.slots <= storage
        && new.mail <= import_export
        && u32::try_from(drives).is_ok_and(|drives| drives <= most_drives);
    if new.slots == 0 || !fits {
        return Err(Failure::usage(format!(
            "a {} {} ({}) has addresses for 1 to {storage} storage elements, up to {import_export} import/export elements and \
             up to {} drives: choose fewer, or another profile",
            changer.vendor,
            changer.product,
            changer.name,
            most_drives.min(MAX_DRIVES)
        )));
    }
    Ok(())
}

/// What a file describes, if no other model has its names.
fn own_models(models: &Models, path: &str, text: &str) -> Result<ProfileFile, Failure> {
    let file = ProfileFile::parse(Path::new(path), text)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let other = |name: &str| {
        Failure::usage(format!(
            "{path}: name {name}: this library directory has another model of this name already; choose a new one"
        ))
    };
    if let Some(library) = file.library
        && models.library(library.name).is_some_and(|known| known != library)
    {
        return Err(other(library.name));
    }
    for drive in &file.drives {
        if models.drive(drive.name).is_some_and(|known| known != *drive) {
            return Err(other(drive.name));
        }
    }
    Ok(file)
}

/// Keeps a file in the data directory: the library rests on it from now on. The path, if it was not there.
fn keep(
    store: &Store,
    models: &Models,
    file: &ProfileFile,
    new: &NewLibrary,
) -> Result<Option<PathBuf>, Failure> {
    if models.has_all_of(file) {
        return Ok(None);
    }
    let directory = store.directory().join(DIRECTORY_NAME);
    // No name that somebody has chosen is ever that of a file.
    let path = directory.join(format!("{}.toml", Uuid::new_v4()));
    let text = new.profile_text.as_deref().unwrap_or_default();
    let disk = store.disk();
    let written = disk
        .create_dir(&directory)
        .and_then(|()| replace_whole(&*disk, &path, text.as_bytes()))
        .and_then(|()| disk.sync_dir(store.directory()));
    written.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    Ok(Some(path))
}

fn not_created(error: &CreateError) -> Failure {
    match error {
        CreateError::BadSpec | CreateError::LibraryExists(_) => Failure::usage(error.to_string()),
        _ => Failure::failed(error),
    }
}
