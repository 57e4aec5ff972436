//! `vtl pool …`: which cartridges are in a pool, and what it lacks.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;
use vtl_media::{CartridgeEntry, CartridgeKind, CartridgeState};
use vtl_vault::{Pool, Rules, Situation, Supply, matches_pattern};

use super::{Kind, Setting, rules_in_force, situation, table, unknown};
use crate::library::Library;
use crate::request::{Failure, NewTapes};
use crate::tapes;
use crate::undo::explain;

/// All pools that are declared, and those that only cartridges name.
pub(super) fn list(library: &Library) -> Result<Value, Failure> {
    let rules = rules_in_force(library)?;
    let situation = situation::situation(library)?;
    let mut names: BTreeSet<&str> = rules.pools.keys().map(String::as_str).collect();
    names.extend(situation.cartridges.iter().filter_map(|entry| entry.pool.as_deref()));
    let row = |name: &str| {
        let members = members(&situation, name);
        let pool = rules.pools.get(name);
        let next = pool.map(|pool| pool.next(&members, &situation));
        let empty = members.iter().filter(|entry| entry.state == CartridgeState::Empty).count();
        json!({
            "pool": name,
            "declared": pool.is_some(),
            "cartridges": members.len(),
            "empty": empty,
            "written_bytes": members.iter().fold(0, |sum: u64, entry| sum.saturating_add(entry.written_bytes)),
            "next": next.as_ref().map(|next| &next.barcode),
            "because": next.as_ref().map(|next| &next.reason),
        })
    };
    Ok(Value::Array(names.into_iter().map(row).collect()))
}

/// Whether there is a pool of this name, declared or with cartridges in it.
pub(crate) fn has_pool(library: &Library, name: &str) -> Result<bool, Failure> {
    let is_named = |entry: &CartridgeEntry| entry.pool.as_deref() == Some(name);
    Ok(rules_in_force(library)?.pools.contains_key(name)
        || library.store.look_at_cartridges(|mut all| Iterator::any(&mut all, is_named)))
}

/// One pool.
pub(super) fn show(library: &Library, name: &str) -> Result<Value, Failure> {
    let rules = rules_in_force(library)?;
    let situation = situation::situation(library)?;
    let members = members(&situation, name);
    let Some(pool) = rules.pools.get(name) else {
        if members.is_empty() {
            return Err(unknown(Kind::Pool, name));
        }
        return Ok(json!({
            "pool": name, "declared": false, "cartridges": members.iter().map(|entry| bare_row(entry)).collect::<Vec<_>>(),
        }));
    };
    let document = table(library)?;
    let settings = document.get("pool").and_then(|pools| pools.get(name));
    let kept = pool.kept(&members, &situation);
    let row = |entry: &&CartridgeEntry| {
        let kept = kept.iter().find(|kept| kept.barcode == entry.barcode);
        let mut row = bare_row(entry);
        if let Value::Object(row) = &mut row {
            row.insert("set".to_owned(), json!(kept.and_then(|kept| kept.set)));
            row.insert("kept_until".to_owned(), json!(kept.and_then(|kept| kept.kept_until)));
            row.insert("expired".to_owned(), json!(kept.is_some_and(|kept| kept.is_expired)));
        }
        row
    };
    let next = pool.next(&members, &situation);
    Ok(json!({
        "pool": name,
        "rules": settings,
        "next": next.barcode,
        "because": next.reason,
        "lacks": supply(pool, name, &situation).iter().map(words).collect::<Vec<_>>(),
        "cartridges": members.iter().map(row).collect::<Vec<_>>(),
    }))
}

fn bare_row(entry: &CartridgeEntry) -> Value {
    json!({
        "barcode": entry.barcode, "location": entry.place, "state": entry.state,
        "written_bytes": entry.written_bytes, "last_written": entry.last_written,
    })
}

/// Cartridges that come into a pool, and others that leave it.
#[derive(Debug)]
pub(super) struct Assignment {
    coming: Vec<Uuid>,
    leaving: Vec<Uuid>,
}

impl Assignment {
    /// What a request asks for. Nothing of it is done where a part of it cannot be.
    pub(super) fn of(library: &Library, setting: &Setting) -> Result<Self, Failure> {
        let coming = matching(library, &setting.add)?;
        let leaving = matching(library, &setting.remove)?;
        for uuid in leaving.iter().filter(|uuid| !coming.contains(uuid)) {
            let entry = library.store.cartridge(*uuid);
            if let Some(entry) = entry.filter(|entry| entry.pool.as_ref() != Some(&setting.name)) {
                return Err(Failure::refused(format!(
                    "{} is not in pool {}; nothing was changed",
                    entry.barcode, setting.name
                )));
            }
        }
        Ok(Self { coming, leaving })
    }

    pub(super) fn carry_out(
        &self,
        library: &Library,
        pool: &str,
        actor: &str,
    ) -> Result<(), Failure> {
        for (uuids, pool) in [(&self.coming, Some(pool)), (&self.leaving, None)] {
            if !uuids.is_empty() {
                let assigned = library.store.assign_pool(uuids, pool, actor);
                assigned.map_err(|error| explain(&error))?;
            }
        }
        Ok(())
    }
}

fn matching(library: &Library, patterns: &[String]) -> Result<Vec<Uuid>, Failure> {
    let cartridges = library.store.cartridges();
    let mut uuids = Vec::new();
    for pattern in patterns {
        let pattern = pattern.to_ascii_uppercase();
        let fits = |entry: &&CartridgeEntry| {
            entry.kind == CartridgeKind::Data && matches_pattern(&pattern, entry.barcode.as_str())
        };
        let before = uuids.len();
        uuids.extend(cartridges.iter().filter(fits).map(|entry| entry.uuid));
        if uuids.len() == before {
            return Err(Failure::not_found(format!(
                "no data cartridge is {pattern}; `vtl inventory` lists those that there are. Nothing was changed"
            )));
        }
    }
    uuids.sort_unstable();
    uuids.dedup();
    Ok(uuids)
}

/// A pool with cartridges is not deleted.
pub(super) fn check_empty(library: &Library, name: &str) -> Result<(), Failure> {
    let cartridges = library.store.cartridges();
    let count = cartridges.iter().filter(|entry| entry.pool.as_deref() == Some(name)).count();
    if count == 0 {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "pool {name} was not deleted: {count} cartridges are in it; `vtl inventory --pool '{name}'` shows them, and `vtl pool set '{name}' \
         --remove BARCODE` takes them out"
    )))
}

fn members<'a>(situation: &'a Situation, pool: &str) -> Vec<&'a CartridgeEntry> {
    situation.cartridges.iter().filter(|entry| entry.pool.as_deref() == Some(pool)).collect()
}

/// What a pool lacks.
fn supply(pool: &Pool, name: &str, situation: &Situation) -> Vec<Supply> {
    let scratch = pool
        .scratch
        .as_ref()
        .map(|scratch| members(situation, scratch.as_ref()))
        .unwrap_or_default();
    pool.supply(&members(situation, name), &scratch)
}

fn words(supply: &Supply) -> String {
    match supply {
        Supply::Take { barcodes, reason } => {
            let barcodes: Vec<&str> = barcodes.iter().map(vtl_media::Barcode::as_str).collect();
            format!("take {} from the scratch pool: {reason}", barcodes.join(", "))
        }
        Supply::Create { count, reason } => format!("make {count} cartridges: {reason}"),
        Supply::Short { reason } => reason.clone(),
    }
}

/// What all pools lack, in words.
pub(super) fn lacks(rules: &Rules, situation: &Situation) -> Vec<Value> {
    let of_pool = |(name, pool): (&String, &Pool)| {
        let lacks = supply(pool, name, situation);
        lacks.iter().map(|lack| json!({ "pool": name, "action": words(lack) })).collect::<Vec<_>>()
    };
    rules.pools.iter().flat_map(of_pool).collect()
}

/// Fills all pools up.
pub(super) fn fill(library: &Arc<Library>, actor: &str) -> Result<Vec<Value>, Failure> {
    let rules = rules_in_force(library)?;
    let mut rows = Vec::new();
    for (name, pool) in &rules.pools {
        // What one pool took from scratch, the next one does not find there.
        let situation = situation::situation(library)?;
        for lack in supply(pool, name, &situation) {
            let done = give(library, name, pool, &lack, actor);
            let (result, reason) = match done {
                Ok(text) => ("done", text),
                Err(failure) => ("failed", failure.message),
            };
            rows.push(
                json!({ "barcode": null, "pool": name, "action": "fill up", "policy": null, "result": result, "reason": reason }),
            );
        }
    }
    Ok(rows)
}

fn give(
    library: &Arc<Library>,
    name: &str,
    pool: &Pool,
    lack: &Supply,
    actor: &str,
) -> Result<String, Failure> {
    match lack {
        Supply::Take { barcodes, .. } => {
            let found = barcodes.iter().filter_map(|barcode| library.store.find(barcode.as_str()));
            let uuids: Vec<Uuid> = found.map(|entry| entry.uuid).collect();
            library
                .store
                .assign_pool(&uuids, Some(name), actor)
                .map_err(|error| explain(&error))?;
            Ok(words(lack))
        }
        Supply::Create { count, .. } => {
            let new = NewTapes {
                count: *count,
                prefix: pool.prefix.as_ref().map_or("VTL", |prefix| prefix.as_ref()).to_owned(),
                media_type: pool
                    .media_type
                    .as_ref()
                    .map_or("lto9", |kind| kind.as_ref())
                    .to_owned(),
                pool: Some(name.to_owned()),
                ..NewTapes::default()
            };
            tapes::create(library, &new, actor)?;
            Ok(words(lack))
        }
        Supply::Short { reason } => Err(Failure::refused(reason.clone())),
    }
}
