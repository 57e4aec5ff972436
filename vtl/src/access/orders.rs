//! `vtl access` and `vtl secret`: what the commands do.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use vtl_media::{AccessRule, LibraryId, SecretOf};
use zeroize::Zeroizing;

use super::secrets::Secrets;
use super::{Access, SecretText, lock, strength};
use crate::libraries;
use crate::library::Library;
use crate::request::{Failure, NewAccess};

/// The longest name of an initiator (RFC 7143 §4.2.7.1).
const MAX_NAME_BYTES: usize = 223;
/// What a name begins with (RFC 7143 §4.2.7.2).
const NAME_TYPES: [&str; 3] = ["iqn.", "eui.", "naa."];
/// The longest secret file, line end and all; the longest secret is shorter.
const MAX_SECRET_FILE_BYTES: u64 = 1024;

/// On the command line's side: reads the files that a request names. Secrets are never arguments, which everybody can see.
pub(crate) fn read_secrets(new: &mut NewAccess) -> Result<(), Failure> {
    if let Some(path) = new.secret_file.take() {
        new.secret = Some(read_secret(&path)?);
    }
    if let Some(path) = new.target_secret_file.take() {
        new.target_secret = Some(read_secret(&path)?);
    }
    Ok(())
}

/// A new secret that is stored nowhere.
pub(crate) fn random_secret() -> Result<SecretText, Failure> {
    strength::generate().map_err(Failure::failed)
}

/// Lets an initiator in.
pub(crate) fn add(library: &Arc<Library>, new: &NewAccess, actor: &str) -> Result<Value, Failure> {
    let access = &library.access;
    let initiator = initiator_name(&new.initiator)?;
    let libraries: Vec<Option<LibraryId>> = if new.libraries.is_empty() {
        vec![None]
    } else {
        let known = new.libraries.iter().map(|name| known_library(library, name).map(Some));
        known.collect::<Result<_, _>>()?
    };
    let luns = new.luns.as_deref().map(parse_luns).transpose()?;
    if let Some(luns) = &luns {
        check_luns(library, &libraries, luns)?;
    }
    check_method(access, new)?;
    let user = new.chap.then(|| new.user.clone().unwrap_or_else(|| initiator.clone()));
    check_user(user.as_deref())?;
    let rule = |of: &Option<LibraryId>| AccessRule {
        initiator: initiator.clone(),
        library: of.clone(),
        chap: new.chap,
        mutual: new.mutual,
        user: user.clone(),
        luns: luns.clone(),
        read_only: new.read_only,
    };
    let rules: Vec<AccessRule> = libraries.iter().map(rule).collect();
    let store = || {
        let names = Names { initiator: &initiator, user: user.as_deref() };
        let given = [new.secret.as_ref(), new.target_secret.as_ref()];
        let made = if new.chap {
            store_secrets(access, &names, given, new.mutual, actor)?
        } else {
            Made::default()
        };
        access.store.grant_access(&rules, actor).map_err(Failure::failed)?;
        Ok(made)
    };
    let made: Result<Made, Failure> = store();
    // Whether or not the ledger has it: a secret may have been replaced, and the sessions of the old one have to end.
    access.tell();
    let made = made?;
    let mut answer = json!({
        "initiator": initiator,
        "libraries": libraries.iter().flatten().collect::<Vec<_>>(),
        "chap": new.chap,
        "mutual": new.mutual,
        "user": user,
        "luns": luns,
        "read_only": new.read_only,
    });
    made.show(&mut answer, access);
    Ok(answer)
}

/// All rules.
pub(crate) fn list(library: &Library) -> Result<Value, Failure> {
    let access = &library.access;
    let secrets = Secrets::read(access.directory()).map_err(|error| Failure::failed(&error))?;
    let row = |rule: &AccessRule| {
        let mut row = serde_json::to_value(rule).map_err(Failure::failed)?;
        let stored = secrets.of(&rule.initiator);
        let has_secret = stored.is_some_and(|stored| stored.secret.is_some());
        if let Some(fields) = row.as_object_mut() {
            fields.insert("has_secret".to_owned(), has_secret.into());
        }
        Ok(row)
    };
    let rows: Result<Vec<Value>, Failure> = access.store.access_rules().iter().map(row).collect();
    rows.map(Value::Array)
}

/// Shuts an initiator out, of everything or of one library. With its last rule its secrets go.
pub(crate) fn remove(
    library: &Library,
    initiator: &str,
    of: Option<&str>,
    actor: &str,
) -> Result<Value, Failure> {
    let access = &library.access;
    let initiator = initiator_name(initiator)?;
    let own = || {
        let mut rules = access.store.access_rules();
        rules.retain(|rule| rule.is_about(&initiator));
        rules
    };
    let mut gone = own();
    if let Some(of) = of {
        gone.retain(|rule| rule.library.as_ref().is_some_and(|library| library.0 == of));
    }
    if gone.is_empty() {
        return Err(Failure::not_found(format!(
            "there is no such rule for {initiator}; `vtl access list` shows those that there are"
        )));
    }
    access.store.revoke_access(&gone, actor).map_err(Failure::failed)?;
    access.tell();
    if own().is_empty() {
        change_secrets(access, &initiator, |secrets| Ok(secrets.forget(&initiator)))?;
    }
    let is_open = access.store.access_rules().is_empty() && access.listener().trusts_names();
    Ok(json!({ "initiator": initiator, "removed": gone.len(), "admits_everybody": is_open }))
}

/// Makes a secret of an initiator, or of the target for it, and shows it this once.
pub(crate) fn new_secret(
    library: &Library,
    initiator: &str,
    is_targets: bool,
    actor: &str,
) -> Result<Value, Failure> {
    let access = &library.access;
    let initiator = initiator_name(initiator)?;
    let secret = random_secret()?;
    change_secrets(access, &initiator, |secrets| {
        let entry = secrets.entry(&initiator);
        let place = if is_targets { &mut entry.target_secret } else { &mut entry.secret };
        *place = Some(secret.clone());
        Ok(true)
    })?;
    let whose = if is_targets { SecretOf::Target } else { SecretOf::Initiator };
    let noted = access.store.note_secret(&initiator, whose, actor);
    // Whether or not the ledger has it: the old secret is none any more.
    access.tell();
    noted.map_err(Failure::failed)?;
    let rules = access.store.access_rules();
    let user =
        rules.iter().find(|rule| rule.is_about(&initiator)).and_then(|rule| rule.user.clone());
    let mut answer = json!({ "initiator": initiator });
    let made = Made {
        secret: (!is_targets).then(|| secret.clone()),
        target_secret: is_targets.then_some(secret),
    };
    if !is_targets && let Some(fields) = answer.as_object_mut() {
        fields.insert("user".to_owned(), user.unwrap_or(initiator).into());
    }
    made.show(&mut answer, access);
    Ok(answer)
}

/// What was made by us, and so has to be shown.
#[derive(Default)]
struct Made {
    secret: Option<SecretText>,
    target_secret: Option<SecretText>,
}

impl Made {
    fn show(&self, answer: &mut Value, access: &Access) {
        let Some(fields) = answer.as_object_mut() else { return };
        let mut say = |name: &str, text: &str| drop(fields.insert(name.to_owned(), text.into()));
        if let Some(secret) = &self.secret {
            say("secret", secret.reveal());
        }
        if let Some(secret) = &self.target_secret {
            say("target_user", &access.target_user());
            say("target_secret", secret.reveal());
        }
    }
}

/// What everybody knows of an initiator.
struct Names<'a> {
    initiator: &'a str,
    user: Option<&'a str>,
}

/// Stores what is given, and makes what is needed and not there.
fn store_secrets(
    access: &Access,
    names: &Names<'_>,
    given: [Option<&SecretText>; 2],
    is_mutual: bool,
    actor: &str,
) -> Result<Made, Failure> {
    let target_user = access.target_user();
    let known = [names.initiator, names.user.unwrap_or_default(), target_user.as_str()];
    for secret in given.into_iter().flatten() {
        if let Some(reason) = strength::weakness(secret, &known) {
            return Err(Failure::usage(reason));
        }
    }
    let [secret, target_secret] = given;
    let mut made = Made::default();
    let mut stored = Vec::new();
    change_secrets(access, names.initiator, |secrets| {
        let entry = secrets.entry(names.initiator);
        let mut fill = |place: &mut Option<SecretText>,
                        given: Option<&SecretText>,
                        whose: SecretOf|
         -> Result<Option<SecretText>, Failure> {
            let is_new = match (given, place.as_ref()) {
                (Some(given), Some(there)) => !given.is_same(there),
                (None, Some(_)) => false,
                (_, None) => true,
            };
            if !is_new {
                return Ok(None);
            }
            stored.push(whose);
            let new = given.cloned().map_or_else(random_secret, Ok)?;
            *place = Some(new.clone());
            Ok(given.is_none().then_some(new))
        };
        let of_initiator = fill(&mut entry.secret, secret, SecretOf::Initiator)?;
        let of_target = if is_mutual || target_secret.is_some() {
            fill(&mut entry.target_secret, target_secret, SecretOf::Target)?
        } else {
            None
        };
        (made.secret, made.target_secret) = (of_initiator, of_target);
        Ok(!stored.is_empty())
    })?;
    for whose in stored {
        access.store.note_secret(names.initiator, whose, actor).map_err(Failure::failed)?;
    }
    Ok(made)
}

/// Changes an initiator's secrets in the file, if there is something to change; then logins go by the new one, and what was proved
/// with the old one is not proved any more.
fn change_secrets(
    access: &Access,
    initiator: &str,
    change: impl FnOnce(&mut Secrets) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut known = lock(&access.secrets);
    let mut secrets = Secrets::read(access.directory()).map_err(|error| Failure::failed(&error))?;
    let before = secrets.of(initiator).cloned().unwrap_or_default();
    if !change(&mut secrets)? {
        return Ok(());
    }
    let has_replaced = secrets.of(initiator).is_none_or(|now| now.replaces(&before));
    if secrets.has_same_both_ways() {
        return Err(Failure::usage(
            "the target's secret and an initiator's must differ: who knows one could answer for the other",
        ));
    }
    secrets.write(access.directory()).map_err(|error| Failure::failed(&error))?;
    *known = secrets;
    drop(known);
    if has_replaced {
        access.next_secret_epoch(initiator);
    }
    Ok(())
}

/// The line in a file, or on standard input.
pub(crate) fn read_secret(path: &Path) -> Result<SecretText, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let mut bytes = Zeroizing::new(Vec::new());
    if path.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .take(MAX_SECRET_FILE_BYTES)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_SECRET_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::usage(format!("{}: a secret is text", path.display())))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    Ok(SecretText::new(line.strip_suffix('\r').unwrap_or(line)))
}

/// An initiator's name in its normal form.
pub(crate) fn initiator_name(text: &str) -> Result<String, Failure> {
    let name = AccessRule::normal_name(text);
    let is_good = NAME_TYPES.iter().any(|kind| name.starts_with(kind))
        && name.len() <= MAX_NAME_BYTES
        && name.chars().all(|character| !character.is_control() && !character.is_whitespace());
    if is_good {
        return Ok(name);
    }
    let shown: String = text.chars().take(MAX_NAME_BYTES).flat_map(char::escape_debug).collect();
    Err(Failure::usage(format!(
        "`{shown}` is no name of an initiator, such as iqn.2026-11.com.example:backup; on Linux it is in \
         /etc/iscsi/initiatorname.iscsi"
    )))
}

fn check_user(user: Option<&str>) -> Result<(), Failure> {
    let is_good =
        |user: &str| (1..=255).contains(&user.len()) && !user.chars().any(char::is_control);
    match user {
        Some(user) if !is_good(user) => {
            Err(Failure::usage("--user: a name of 1 to 255 bytes, without control characters"))
        }
        _ => Ok(()),
    }
}

/// Nobody is let in from outside by name alone.
fn check_method(access: &Access, new: &NewAccess) -> Result<(), Failure> {
    if !new.chap
        && (new.mutual || new.user.is_some() || new.secret.is_some() || new.target_secret.is_some())
    {
        return Err(Failure::usage("--mutual, --user and secrets are for --chap"));
    }
    if !new.chap && !access.listener().trusts_names() {
        return Err(Failure::refused(
            "this library listens on an address that is not loopback, where anybody can call himself what he likes: add --chap; \
             or set `allow-unauthenticated = true` in [iscsi] of vtl.toml and start again",
        ));
    }
    Ok(())
}

/// A library, or one that shows a snapshot.
fn known_library(library: &Library, name: &str) -> Result<LibraryId, Failure> {
    let snapshots = library.store.snapshots();
    if let Some(snapshot) = snapshots.iter().find(|snapshot| snapshot.library.id.0 == name) {
        return Ok(snapshot.library.id.clone());
    }
    Ok(libraries::named(library, name)?.id)
}

/// `0,1-2`, ascending and each once.
fn parse_luns(text: &str) -> Result<Vec<u16>, Failure> {
    let wrong = || Failure::usage(format!("--luns {text}: numbers and ranges, such as 0,1-2"));
    let number = |text: &str| {
        // Parsing would take a sign.
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number: u16 = is_digits.then(|| text.parse().ok())??;
        (number <= vtl_scsi::Lun::MAX.0).then_some(number)
    };
    let mut luns = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
        if first > last {
            return Err(wrong());
        }
        luns.extend(first..=last);
    }
    luns.sort_unstable();
    luns.dedup();
    Ok(luns)
}

/// A number that no library has is a mistake.
fn check_luns(
    library: &Library,
    libraries: &[Option<LibraryId>],
    luns: &[u16],
) -> Result<(), Failure> {
    let mut records = library.store.libraries();
    records.extend(library.store.snapshots().into_iter().map(|snapshot| snapshot.library));
    let is_meant =
        |id: &LibraryId| libraries.iter().any(|of| of.as_ref().is_none_or(|of| of == id));
    let most = records
        .iter()
        .filter(|record| is_meant(&record.id))
        .map(|record| record.drives.len())
        .max()
        .unwrap_or_default();
    match luns.iter().find(|lun| usize::from(**lun) > most) {
        Some(lun) => Err(Failure::usage(format!(
            "--luns: there is no logical unit {lun}: 0 is the changer, and the drives are 1 to {most}"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_luns_are_put_in_order() {
        assert_eq!(parse_luns("3,0,1-2,2").unwrap(), [0, 1, 2, 3]);
        for wrong in ["", "1,", "2-1", "x", "1-", "-1", "16384", "1 2", "+1"] {
            assert!(parse_luns(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_kept_in_lower_case() {
        assert_eq!(initiator_name("IQN.2026-11.Example:Host").unwrap(), "iqn.2026-11.example:host");
        assert!(initiator_name("eui.02004567a425678d").is_ok());
        for wrong in ["", "host", "iqn.2026 x", "iqn.x\n", &format!("iqn.{}", "a".repeat(220))] {
            assert!(initiator_name(wrong).is_err(), "{wrong}");
        }
    }
}
