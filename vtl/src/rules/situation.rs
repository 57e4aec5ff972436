//! What is known when rules are applied.

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use uuid::Uuid;
use vtl_vault::{Rules, Situation};

use crate::config::{self, Config};
use crate::library::Library;
use crate::operations::current;
use crate::request::Failure;

/// The rules that are in force; none at all if no document was ever applied.
pub(crate) fn rules_in_force(library: &Library) -> Result<Rules, Failure> {
    let Some(record) = library.store.rules() else { return Ok(Rules::default()) };
    Rules::parse(&record.document).map_err(|error| {
        Failure::failed(format!(
            "the document of rules in the ledger cannot be read ({error}): it was written by another version of vtl. Apply one that this \
             version understands: `vtl policy document` prints it"
        ))
    })
}

/// How things are.
pub(crate) fn situation(library: &Library) -> Result<Situation, Failure> {
    let cartridges = current(library);
    let now = library.store.compliance_clock().now();
    let locked = cartridges
        .iter()
        .filter_map(|entry| Some((entry.uuid, library.store.retention(entry.uuid).reason(now)?)));
    let is_fixed =
        |uuid: &Uuid| library.store.retention(*uuid).until.is_some_and(|until| until > now);
    let fixed = cartridges.iter().map(|entry| entry.uuid).filter(is_fixed);
    Ok(Situation {
        fixed: fixed.collect(),
        locked: locked.collect(),
        dependents: library.store.dependents(),
        now: library.store.now(),
        zone: TimeZone::system(),
        disk_used_percent: disk_used_percent(library),
        undo_window: undo_window(library)?,
        cartridges,
        copies: library.store.copies(),
    })
}

/// A disk that cannot be asked is not full.
fn disk_used_percent(library: &Library) -> u8 {
    let (disk, directory) = (library.store.disk(), library.store.directory());
    let (Ok(free), Ok(total)) = (disk.free_bytes(directory), disk.total_bytes(directory)) else {
        return 0;
    };
    let used = u128::from(total.saturating_sub(free)) * 100 / u128::from(total.max(1));
    u8::try_from(used).unwrap_or(100)
}

/// As the configuration says it; the CLI may work on a directory that no daemon serves.
fn undo_window(library: &Library) -> Result<SignedDuration, Failure> {
    let path = library.store.directory().join(config::FILE_NAME);
    match config::read_text(&*library.store.disk(), &path, CONFIG_BYTES_MAX) {
        Ok(text) => {
            let config =
                Config::parse(&path, &text).map_err(|error| Failure::failed(error.to_string()))?;
            Ok(config.undo.keep)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Config::default().undo.keep)
        }
        Err(error) => Err(Failure::failed(format!("{}: {error}", path.display()))),
    }
}

const CONFIG_BYTES_MAX: u64 = 1 << 20;
