//! All places in the sources of the media room that call a disk, as the text says: what no test made fail is found by it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use vtl_media::disk::{Call, Site};

/// Names by which disks and their files are known there. What is called on something else is no call of a disk.
const RECEIVERS: &[&str] = &[
    "disk",
    "file",
    "source",
    "target",
    "log",
    "| kept",
    "as_ref()",
    "target()",
    "open(segment)?",
];

const METHODS: &[(&str, Call)] = &[
    ("open", Call::Open),
    ("open_direct", Call::Open),
    ("create_dir", Call::CreateDir),
    ("list", Call::List),
    ("exists", Call::Exists),
    ("rename", Call::Rename),
    ("remove", Call::Remove),
    ("remove_dir", Call::RemoveDir),
    ("sync_dir", Call::SyncDir),
    ("free_bytes", Call::Space),
    ("total_bytes", Call::Space),
    ("length_bytes", Call::Length),
    ("read_at", Call::Read),
    ("write_at", Call::Write),
    ("allocate", Call::Allocate),
    ("set_length", Call::SetLength),
    ("sync_data", Call::SyncData),
    ("try_lock", Call::TryLock),
];

const HELPERS: &[(&str, Call)] =
    &[("read_exact_at", Call::Read), ("read_up_to_at", Call::Read), ("write_all_at", Call::Write)];

/// All call sites below a crate's `src`.
pub(crate) fn all(sources: &Path) -> anyhow::Result<BTreeSet<Site>> {
    let mut sites = BTreeSet::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        let directory = sources.join(&below);
        for entry in std::fs::read_dir(&directory)
            .with_context(|| format!("reading {}", directory.display()))?
        {
            let entry = entry?;
            let path = below.join(entry.file_name());
            let name = path.to_string_lossy().into_owned();
            let is_product = !name.starts_with("disk") && !name.contains("tests");
            if entry.file_type()?.is_dir() && is_product {
                open.push(path);
            } else if is_product && path.extension().is_some_and(|e| e == "rs") {
                sites.extend(in_text(&name, &std::fs::read_to_string(sources.join(&path))?));
            }
        }
    }
    Ok(sites)
}

/// Call sites in one file; its tests come last and do not count.
fn in_text(file: &str, text: &str) -> Vec<Site> {
    let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut sites = Vec::new();
    for (name, call) in METHODS {
        for at in places(product, &format!(".{name}(")) {
            let before = product.get(..at).unwrap_or_default().trim_end();
            let is_disk = RECEIVERS.iter().any(|receiver| {
                let word = before.strip_suffix(receiver);
                word.is_some_and(|before| !before.ends_with(char::is_alphanumeric))
            });
            if is_disk {
                sites.push(site(file, product, at + 1, *call));
            }
        }
    }
    for (name, call) in HELPERS {
        for at in places(product, &format!("{name}(")) {
            sites.push(site(file, product, at, *call));
        }
    }
    sites
}

/// Where a pattern is, outside of comments.
fn places<'a>(text: &'a str, pattern: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(pattern).map(|(at, _)| at).filter(move |at| {
        let line =
            text.get(..*at).and_then(|before| before.rsplit('\n').next()).unwrap_or_default();
        !line.trim_start().starts_with("//")
    })
}

fn site(file: &str, text: &str, at: usize, call: Call) -> Site {
    let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
    Site { file: file.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX), call }
}

/// Of all sites those that none of `failed` stands for. The stack names the line on which an expression begins, which may be
/// a few before the one with the call.
pub(crate) fn missing(all: &BTreeSet<Site>, failed: &BTreeSet<Site>) -> Vec<Site> {
    const LINES: u32 = 3;
    let nearest = |failed: &Site| {
        all.iter()
            .filter(|site| site.file == failed.file && site.call == failed.call)
            .filter(|site| site.line.abs_diff(failed.line) <= LINES)
            .min_by_key(|site| (site.line.abs_diff(failed.line), site.line < failed.line))
    };
    let hit: BTreeSet<&Site> = failed.iter().filter_map(nearest).collect();
    all.iter().filter(|site| !hit.contains(site)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_where_they_are_made() {
        let text = "use x;\nlet a = disk\n    .open(b);\n// disk.open(c)\nmap.remove(d);\nwrite_all_at(e)?;\n\
                    #[cfg(test)]\nmod tests {\ndisk.open(f);\n}\n";
        let found: BTreeSet<Site> = in_text("x.rs", text).into_iter().collect();
        let site = |line, call| Site { file: "x.rs".to_owned(), line, call };
        assert_eq!(found, BTreeSet::from([site(3, Call::Open), site(6, Call::Write)]));
        assert_eq!(missing(&found, &BTreeSet::from([site(2, Call::Open)])), [site(6, Call::Write)]);
    }
}
