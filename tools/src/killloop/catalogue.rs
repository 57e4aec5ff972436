//! The catalogue is only an index: without it, or with nonsense in its place, the inventory is the same.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::daemon::Installation;
use vtl_tools::random::Random;

/// Damages the catalogue while no daemon runs, compares the inventory, and says what was done.
pub(crate) fn lose(installation: &Installation, random: &mut Random) -> anyhow::Result<String> {
    let before = installation.inventory()?;
    let done = if random.percent(40) {
        fs::remove_dir_all(installation.catalogue()).context("cannot delete the catalogue")?;
        "catalogue deleted".to_owned()
    } else {
        let count = scramble(&installation.catalogue(), random)?;
        format!("{count} files of the catalogue scrambled")
    };
    let after = installation.inventory().with_context(|| done.clone())?;
    same(&before, &after).with_context(|| done.clone())?;
    Ok(done)
}

fn same(before: &[Value], after: &[Value]) -> anyhow::Result<()> {
    if let Some((before, after)) = before.iter().zip(after).find(|(before, after)| before != after)
    {
        bail!("the inventory is another one: {before} has become {after}");
    }
    if before.len() != after.len() {
        bail!("the inventory had {} cartridges and has {}", before.len(), after.len());
    }
    Ok(())
}

/// Random bytes at random places of at least one file, or whole files of them.
fn scramble(directory: &Path, random: &mut Random) -> anyhow::Result<usize> {
    let mut files = files_below(directory)?;
    files.sort();
    let certain = random.index(files.len());
    let mut count = 0;
    for (index, path) in files.iter().enumerate() {
        if index != certain && random.percent(40) {
            continue;
        }
        let mut bytes = fs::read(path)?;
        match random.below(4) {
            0 => bytes = random.bytes(bytes.len()),
            1 => bytes.truncate(random.index(bytes.len().max(1))),
            _ => {
                let start = random.index(bytes.len().max(1));
                let length = 1 + random.index(4096);
                let noise = random.bytes(length);
                for (to, from) in bytes.iter_mut().skip(start).zip(noise) {
                    *to = from;
                }
            }
        }
        fs::write(path, bytes)?;
        count += 1;
    }
    Ok(count)
}

fn files_below(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_changed_and_a_missing_cartridge_are_found() {
        let rows = [json!({ "barcode": "A", "bytes": 1 }), json!({ "barcode": "B", "bytes": 2 })];
        assert!(same(&rows, &rows).is_ok());
        assert!(same(&rows, &rows[..1]).is_err());
        assert!(same(&rows, &[rows[0].clone(), json!({ "barcode": "B", "bytes": 3 })]).is_err());
    }

    #[test]
    fn scrambling_changes_something() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("inner")).unwrap();
        let files = [directory.path().join("a"), directory.path().join("inner/b")];
        for seed in 0..20 {
            for file in &files {
                fs::write(file, vec![0; 10_000]).unwrap();
            }
            let count = scramble(directory.path(), &mut Random::new(seed, 0)).unwrap();
            let is_changed = |file: &&PathBuf| fs::read(file).unwrap() != vec![0; 10_000];
            assert_eq!(files.iter().filter(is_changed).count(), count);
            assert!(count > 0);
        }
    }
}
