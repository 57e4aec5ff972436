//! `vtl pool|group|policy …`: the document of rules, shown, changed and put in force.
//!
//! There is one document, and it is in the ledger. A command that changes one pool writes the whole of it anew, so that a file that was
//! applied and commands that followed it never contradict each other.

mod cli;
pub(crate) mod policies;
mod pools;
pub(crate) mod situation;
pub(crate) mod timer;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use toml::{Table, Value as Toml};
use vtl_media::{CartridgeEntry, CartridgeKind};
use vtl_vault::{Rules, RulesError};

pub(crate) use self::cli::{GroupCommand, PolicyCommand, PoolCommand};
pub(crate) use self::pools::has_pool;
pub(crate) use self::situation::rules_in_force;
use crate::files::read_text;
use crate::library::Library;
use crate::operations::Caller;
use crate::request::{Failure, FailureKind};
use crate::undo::explain;

/// What can be asked about rules.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum RulesRequest {
    /// All of a kind.
    List { kind: Kind },
    /// One of a kind.
    Show { kind: Kind, name: String },
    /// One that is new or changed.
    Set(Setting),
    /// One less.
    Delete { kind: Kind, name: String },
    /// The document in force.
    Document {},
    /// Another document.
    Apply { file: PathBuf, document: String },
    /// What the policies would do.
    Plan { file: Option<PathBuf>, document: Option<String> },
    /// What can be done is done.
    Run { free_disk: bool },
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A pool.
    #[default]
    Pool,
    /// A group.
    Group,
    /// A policy.
    Policy,
}

/// A pool, group or policy that is new or changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Setting {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// `KEY=VALUE`, the value in TOML or a plain word; `KEY=` takes it away.
    pub(crate) settings: Vec<String>,
    /// Cartridges that come into the pool.
    pub(crate) add: Vec<String>,
    /// Cartridges that leave it.
    pub(crate) remove: Vec<String>,
    pub(crate) is_new: bool,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Group => "group",
            Self::Policy => "policy",
        }
    }
}

/// Reads the file that a request names: whoever carries it out may not be allowed to.
pub(crate) fn read_document(request: &mut RulesRequest) -> Result<(), Failure> {
    match request {
        RulesRequest::Apply { file, document } => *document = read_text(file)?,
        RulesRequest::Plan { file: Some(file), document } => *document = Some(read_text(file)?),
        _ => {}
    }
    Ok(())
}

/// Carries a request out.
pub(crate) fn answer(
    library: &std::sync::Arc<Library>,
    request: RulesRequest,
    caller: &Caller<'_>,
) -> Result<Value, Failure> {
    match request {
        RulesRequest::List { kind: Kind::Pool } => pools::list(library),
        RulesRequest::List { kind } => list(library, kind),
        RulesRequest::Show { kind: Kind::Pool, name } => pools::show(library, &name),
        RulesRequest::Show { kind, name } => show(library, kind, &name),
        RulesRequest::Set(setting) => set(library, &setting, caller.actor),
        RulesRequest::Delete { kind, name } => delete(library, kind, &name, caller.actor),
        RulesRequest::Document {} => Ok(Value::String(in_force(library))),
        RulesRequest::Apply { file, document } => {
            apply(library, Some(&file), &document, caller.actor)
        }
        RulesRequest::Plan { file, document } => {
            policies::plan(library, file.as_deref(), document.as_deref())
        }
        RulesRequest::Run { free_disk } => policies::run(library, None, free_disk, caller),
    }
}

/// A failure if an answer tells of something that was tried and did not work, for the exit code.
pub(crate) fn verdict(answer: &Value) -> Result<(), Failure> {
    let is_failed = |row: &&Value| row.get("result").and_then(Value::as_str) == Some("failed");
    let rows = answer.get("done").and_then(Value::as_array).into_iter().flatten();
    let failed: Vec<&str> = rows
        .filter(is_failed)
        .map(|row| row.get("barcode").and_then(Value::as_str).unwrap_or("a pool"))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("not all was done: see {} above", failed.join(", "))))
}

/// Says of each cartridge which group it is in.
pub(crate) fn name_groups(library: &Library, cartridges: &mut [CartridgeEntry]) {
    // A document that this program cannot read names no groups; the commands about it say so.
    let Ok(rules) = rules_in_force(library) else { return };
    if rules.groups.is_empty() {
        return;
    }
    for entry in cartridges {
        entry.group = rules.group_of(&entry.barcode).map(|(name, _)| name.to_owned());
    }
}

fn in_force(library: &Library) -> String {
    library.store.rules().map(|record| record.document).unwrap_or_default()
}

fn table(library: &Library) -> Result<Table, Failure> {
    in_force(library).parse().map_err(Failure::failed)
}

fn entries(document: &Table, kind: Kind) -> impl Iterator<Item = (&String, &Toml)> {
    document.get(kind.name()).and_then(Toml::as_table).into_iter().flatten()
}

/// The barcodes of a group, which are handled all or none: one that is named and is not there is a reason to stop.
pub(crate) fn members(library: &Library, name: &str) -> Result<Vec<String>, Failure> {
    let rules = rules_in_force(library)?;
    let group = rules.groups.get(name).ok_or_else(|| {
        Failure::not_found(format!(
            "there is no group {name}; `vtl group list` shows those that there are"
        ))
    })?;
    let named = group.members.iter().map(AsRef::<String>::as_ref);
    let missing: Vec<&str> = named
        .filter(|member| !member.contains(['*', '?']) && library.store.find(member).is_none())
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return Err(Failure::refused(format!(
            "group {name} is not complete: there is no cartridge {}",
            missing.join(", ")
        )));
    }
    let all = library.store.cartridges().into_iter();
    let barcodes: Vec<String> = all
        .filter(|entry| entry.kind == CartridgeKind::Data && group.has(&entry.barcode))
        .map(|entry| entry.barcode.to_string())
        .collect();
    if barcodes.is_empty() {
        return Err(Failure::not_found(format!("group {name} has no cartridges")));
    }
    Ok(barcodes)
}

fn list(library: &Library, kind: Kind) -> Result<Value, Failure> {
    let document = table(library)?;
    let rules = rules_in_force(library)?;
    let cartridges = library.store.cartridges();
    let rows = entries(&document, kind).map(|(name, settings)| {
        let group = rules.groups.get(name).filter(|_| kind == Kind::Group);
        let count =
            group.map(|group| cartridges.iter().filter(|entry| group.has(&entry.barcode)).count());
        let mut row = json!({ kind.name(): name });
        if let Value::Object(row) = &mut row {
            if let Some(count) = count {
                row.insert("cartridges".to_owned(), json!(count));
            }
            let text = |value: &Toml| match value {
                Toml::String(text) => text.clone(),
                other => other.to_string(),
            };
            let settings = settings.as_table().into_iter().flatten();
            let words: Vec<String> =
                settings.map(|(key, value)| format!("{key}={}", text(value))).collect();
            row.insert("rules".to_owned(), json!(words.join(" ")));
        }
        row
    });
    Ok(Value::Array(rows.collect()))
}

fn show(library: &Library, kind: Kind, name: &str) -> Result<Value, Failure> {
    let document = table(library)?;
    let found = entries(&document, kind).find(|(known, _)| known.as_str() == name);
    let (_, settings) = found.ok_or_else(|| unknown(kind, name))?;
    let mut answer = json!({ kind.name(): name, "rules": settings });
    if kind == Kind::Group {
        let rules = rules_in_force(library)?;
        let group = rules.groups.get(name);
        let is_member =
            |entry: &CartridgeEntry| group.is_some_and(|group| group.has(&entry.barcode));
        let mut members = crate::operations::current(library);
        members.retain(is_member);
        let row = |entry: &CartridgeEntry| {
            json!({
                "barcode": entry.barcode, "location": entry.place, "pool": entry.pool, "state": entry.state,
                "written_bytes": entry.written_bytes, "last_written": entry.last_written,
                "last_proved": entry.last_proved,
            })
        };
        if let Value::Object(answer) = &mut answer {
            answer.insert("cartridges".to_owned(), members.iter().map(row).collect());
        }
    }
    Ok(answer)
}

fn set(library: &Library, setting: &Setting, actor: &str) -> Result<Value, Failure> {
    let Setting { kind, name, .. } = setting;
    let mut document = table(library)?;
    let is_known = entries(&document, *kind).any(|(known, _)| known == name);
    if setting.is_new && is_known {
        return Err(Failure::refused(format!(
            "there is a {} {name} already; `vtl {} set` changes it",
            kind.name(),
            kind.name()
        )));
    }
    if !setting.is_new && !is_known {
        return Err(unknown(*kind, name));
    }
    let of_kind = document.entry(kind.name()).or_insert_with(|| Toml::Table(Table::new()));
    let own = of_kind
        .as_table_mut()
        .map(|all| all.entry(name.clone()).or_insert_with(|| Toml::Table(Table::new())));
    let Some(own) = own.and_then(Toml::as_table_mut) else {
        return Err(Failure::failed(format!("the rules of {} {name} are no table", kind.name())));
    };
    for text in &setting.settings {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`{text}`: write KEY=VALUE, such as retention=30d"))
        })?;
        match parse_value(value.trim()) {
            Some(value) => own.insert(key.trim().to_owned(), value),
            None => own.remove(key.trim()),
        };
    }
    // All that can be refused is, before anything is changed.
    let changes_rules = setting.is_new || !setting.settings.is_empty();
    let text = changes_rules.then(|| check(library, &document, FailureKind::Usage)).transpose()?;
    let assignment = pools::Assignment::of(library, setting)?;
    if let Some(text) = text {
        library.store.apply_rules(&text, actor).map_err(|error| explain(&error))?;
    }
    assignment.carry_out(library, name, actor)?;
    match kind {
        Kind::Pool => pools::show(library, name),
        _ => show(library, *kind, name),
    }
}

fn delete(library: &Library, kind: Kind, name: &str, actor: &str) -> Result<Value, Failure> {
    let mut document = table(library)?;
    let of_kind = document.get_mut(kind.name()).and_then(Toml::as_table_mut);
    let removed = of_kind.and_then(|all| all.remove(name));
    if kind == Kind::Pool {
        pools::check_empty(library, name)?;
    }
    if removed.is_none() {
        return Err(unknown(kind, name));
    }
    // What others refer to stays.
    put(library, &document, FailureKind::Refused, actor)?;
    Ok(json!({ kind.name(): name, "deleted": true }))
}

/// A value as TOML reads it, else a text; nothing if there is none.
fn parse_value(text: &str) -> Option<Toml> {
    if text.is_empty() {
        return None;
    }
    let read = format!("value = {text}").parse::<Table>().ok();
    let value = read.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    Some(value.unwrap_or_else(|| Toml::String(text.to_owned())))
}

/// Puts a document in force that a command has made.
fn put(library: &Library, document: &Table, kind: FailureKind, actor: &str) -> Result<(), Failure> {
    let text = check(library, document, kind)?;
    library.store.apply_rules(&text, actor).map_err(|error| explain(&error))
}

/// The text of a document that a command has made, if it can be put in force.
fn check(library: &Library, document: &Table, kind: FailureKind) -> Result<String, Failure> {
    let text = toml::to_string(document).map_err(Failure::failed)?;
    match Rules::parse(&text) {
        Ok(rules) => check_groups(library, &rules)?,
        Err(RulesError { key, message, .. }) => {
            let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
            return Err(Failure::new(kind, format!("{key}{message}; nothing was changed")));
        }
    }
    Ok(text)
}

fn apply(
    library: &Library,
    file: Option<&Path>,
    document: &str,
    actor: &str,
) -> Result<Value, Failure> {
    let rules = parse(file, document)?;
    check_groups(library, &rules)?;
    let before = rules_in_force(library).unwrap_or_default();
    // Seen with a file that a script had emptied while it wrote it anew.
    if rules == Rules::default() && before != Rules::default() {
        return Err(Failure::refused(
            "the document is empty, and rules are in force: `vtl policy delete` and the like take them away one by one. Nothing was applied",
        ));
    }
    let declared = |pool: &str| rules.pools.contains_key(pool);
    let cartridges = library.store.cartridges();
    let orphans = cartridges.iter().filter_map(|entry| entry.pool.as_deref());
    let gone = orphans.filter(|pool| before.pools.contains_key(*pool)).find(|pool| !declared(pool));
    if let Some(pool) = gone {
        return Err(Failure::refused(format!(
            "the document leaves out pool {pool}, which has cartridges: `vtl inventory --pool '{pool}'` shows them; \
             `vtl pool set '{pool}' --remove BARCODE` takes them out. Nothing was applied"
        )));
    }
    library.store.apply_rules(document, actor).map_err(|error| explain(&error))?;
    Ok(json!({
        "applied": true,
        "pools": rules.pools.len(),
        "groups": rules.groups.len(),
        "policies": rules.policies.len(),
    }))
}

/// Reads a document; an error names the file, the line and the key.
fn parse(file: Option<&Path>, document: &str) -> Result<Rules, Failure> {
    Rules::parse(document).map_err(|error| {
        let file = file.map(|file| format!("{}: ", file.display())).unwrap_or_default();
        Failure::usage(format!("{file}{error}; nothing was applied"))
    })
}

fn check_groups(library: &Library, rules: &Rules) -> Result<(), Failure> {
    let cartridges = library.store.cartridges();
    match rules.ambiguous(&cartridges) {
        None => Ok(()),
        Some((barcode, first, second)) => Err(Failure::refused(format!(
            "{barcode} would be in the groups {first} and {second}, and cannot be handled with both, all or none; nothing was changed"
        ))),
    }
}

fn unknown(kind: Kind, name: &str) -> Failure {
    let kind = kind.name();
    Failure::not_found(format!(
        "there is no {kind} {name}; `vtl {kind} list` shows those that there are"
    ))
}
