//! Archives of all dialects come back as they were.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use vtl_tests::{Scene, flip_bit_of, noise};

use crate::cpio::cpio;
use crate::{tar, write_files, written};

/// Something to be archived: names of all lengths, links, holes, an empty file, and a file that is longer than a piece of the transfer.
pub(crate) fn source(at: &Path) {
    let long = at.join("a directory with a name").join("n".repeat(120)).join("m".repeat(120));
    fs::create_dir_all(&long).unwrap();
    fs::create_dir_all(at.join("empty directory")).unwrap();
    fs::write(long.join("deep.bin"), noise(1, 100_001)).unwrap();
    fs::write(at.join("short"), "x").unwrap();
    fs::write(at.join("nothing"), "").unwrap();
    fs::write(at.join("üñï.txt"), "not everybody writes English").unwrap();
    fs::write(at.join("big.bin"), noise(2, 9 << 20)).unwrap();
    fs::hard_link(at.join("short"), at.join("zweiter name")).unwrap();
    symlink("short", at.join("link")).unwrap();
    let mut sparse = fs::File::create(at.join("sparse.img")).unwrap();
    for place in [0u64, 1 << 20, 7 << 20] {
        sparse.seek(SeekFrom::Start(place)).unwrap();
        sparse.write_all(&noise(place, 5000)).unwrap();
    }
    sparse.set_len(8 << 20).unwrap();
}

/// Every file, directory and link below, with its content and time.
pub(crate) fn content(at: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64)> {
    let mut all = BTreeMap::new();
    let mut left = vec![at.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let bytes = if metadata.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if metadata.is_dir() {
                left.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            let time = if metadata.is_file() { metadata.mtime() } else { 0 };
            all.insert(path.strip_prefix(at).unwrap().to_owned(), (bytes, time));
        }
    }
    all
}

#[test]
fn archives_of_all_dialects_are_restored_equal() {
    let scene = Scene::loaded();
    let source_directory = scene.beside("source");
    source(&source_directory);
    let expected = content(&source_directory);
    let dialects: [&[&str]; 6] = [
        &["--format=gnu"],
        &["--format=posix"],
        &["--format=gnu", "--sparse"],
        &["--format=posix", "--sparse"],
        &["--format=oldgnu", "-b", "7"],
        &["--format=posix", "--sort=name", "--pax-option=delete=mtime"],
    ];
    let archives: Vec<Vec<u8>> =
        dialects.iter().map(|options| tar(&source_directory, options)).collect();
    // Blocks of one length as tar writes them, and of another one that fits no header.
    let files: Vec<(&[u8], usize)> = archives
        .iter()
        .zip([10_240, 10_240, 65_536, 262_144, 3584, 12_345])
        .map(|(bytes, length)| (bytes.as_slice(), length))
        .collect();
    let mut session = scene.session("host");
    write_files(&mut session, &files);
    session.logout();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    // Also while it is loaded.
    let browsed = vtl(&["browse", "VTL001L9", "--format", "json"]).done().json();
    assert_eq!(browsed["files"].as_array().unwrap().len(), dialects.len());
    for (number, dialect) in dialects.iter().enumerate() {
        let to = scene.beside(&format!("to {number}"));
        fs::create_dir(&to).unwrap();
        let directory = to.to_str().unwrap();
        let file = number.to_string();
        vtl(&["restore", "VTL001L9:", "-C", directory, "--file", &file]).done();
        let found = content(&to);
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>(),
            "{dialect:?}"
        );
        let has_times = !dialect.contains(&"--pax-option=delete=mtime");
        for (path, (bytes, time)) in &expected {
            assert!(found[path].0 == *bytes, "{dialect:?}: {}", path.display());
            assert!(found[path].1 == *time || !has_times, "{dialect:?}: {}", path.display());
        }
        let members = browsed["files"][number]["members"].as_array().unwrap();
        let sparse = members.iter().find(|row| row["path"] == "./sparse.img").unwrap();
        assert_eq!(sparse["size_bytes"], 8 << 20, "{dialect:?}");
    }
}

/// Names of a host that writes Latin-1 were compared as text, in which all of its umlauts look like one: of several files one came back, a link had
/// the contents of another file, and nothing was said.
#[test]
fn names_that_are_no_utf_8_are_told_apart() {
    let scene = Scene::loaded();
    let from = scene.beside("from");
    let docs = |name: &[u8]| from.join("docs").join(OsStr::from_bytes(name));
    fs::create_dir_all(docs(b"\xe4 directory")).unwrap();
    for name in [&b"\xe4.txt"[..], b"\xf6.txt", b"plain.txt", b"\xe4 directory/\xfc"] {
        fs::write(docs(name), name).unwrap();
    }
    fs::hard_link(docs(b"\xe4.txt"), docs(b"\xff is a name of the first")).unwrap();
    symlink(OsStr::from_bytes(b"\xfc"), docs(b"\xe4 link")).unwrap();
    let expected = content(&from);
    let tars = ["gnu", "posix"].map(|form| tar(&from, &["--sort=name", "--format", form]));
    let cpios = ["newc", "odc"].iter().filter_map(|form| cpio(&from, form));
    let archives: Vec<Vec<u8>> = tars.into_iter().chain(cpios).collect();
    let files: Vec<(&[u8], usize)> = archives.iter().map(|bytes| (&bytes[..], 10_240)).collect();
    let mut session = scene.session("host");
    write_files(&mut session, &files);
    session.logout();
    let restore = |what: &[u8], to: &Path, file: usize| {
        fs::create_dir(to).unwrap();
        let mut command = Command::new(vtl_tests::binary());
        command.args(["restore", "--file", &file.to_string(), "-C"]).arg(to);
        command.arg("--data").arg(scene.data()).arg(OsStr::from_bytes(what));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        content(to)
    };
    let shown = scene.daemon().vtl(&["browse", "VTL001L9", "--format", "json"]).done().json();
    let members = shown["files"][0]["members"].as_array().unwrap();
    let raw = members.iter().find(|row| row["path_hex"] == "2e2f646f63732ff62e747874").unwrap();
    assert_eq!(raw["path"], "./docs/\u{fffd}.txt");
    for number in 0..archives.len() {
        let found = restore(b"VTL001L9:docs", &scene.beside(&format!("all {number}")), number);
        assert!(found == expected, "{number}: {found:?}");
        // One alone; and as it is shown, which is what several are called.
        let one =
            restore(b"VTL001L9:docs/\xf6.txt", &scene.beside(&format!("one {number}")), number);
        let one: Vec<&Path> = one.keys().map(PathBuf::as_path).collect();
        assert_eq!(one, [Path::new("docs"), Path::new(OsStr::from_bytes(b"docs/\xf6.txt"))]);
        let what = "VTL001L9:docs/\u{fffd}.txt".as_bytes();
        let several = restore(what, &scene.beside(&format!("several {number}")), number);
        assert_eq!(several.len(), 3, "{several:?}");
    }
}

/// A newer archive is damaged before the file that is looked for: an older one was restored, and nobody was told that there may be a newer one.
#[test]
fn what_could_not_be_searched_is_named() {
    let scene = Scene::loaded();
    let from = scene.beside("from");
    fs::create_dir(&from).unwrap();
    fs::write(from.join("passwd"), "old").unwrap();
    let old = tar(&from, &[]);
    fs::write(from.join("big"), vec![7; 100_000]).unwrap();
    let mut new = tar(&from, &["--sort=name"]);
    new.truncate(30_720);
    let mut session = scene.session("host");
    write_files(&mut session, &[(&old, 10_240), (&new, 10_240)]);
    session.logout();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["unload", "0"]).done();
    let to = scene.beside("to");
    fs::create_dir(&to).unwrap();
    let restore =
        |what: &str| vtl(&["restore", what, "-C", to.to_str().unwrap(), "--format", "json"]);
    let answer = restore("VTL001L9:passwd").done().json();
    assert_eq!(fs::read_to_string(to.join("passwd")).unwrap(), "old");
    let told = answer["not_listed"][0].as_str().unwrap();
    assert!(told.starts_with("tape file 1 of VTL001L9 was not listed to its end"), "{answer}");
    restore("VTL001L9:shadow").ended(4).says("But tape file 1 of VTL001L9 was not listed");
}

#[test]
fn one_file_is_restored_from_the_last_tape_file_that_has_it() {
    let mut scene = Scene::loaded();
    let from = scene.beside("from");
    fs::create_dir_all(from.join("etc")).unwrap();
    fs::write(from.join("etc/passwd"), "old").unwrap();
    let old = tar(&from, &[]);
    fs::write(from.join("etc/passwd"), "new").unwrap();
    fs::write(from.join("etc/passwd-"), "another").unwrap();
    let new = tar(&from, &[]);
    let mut session = scene.session("host");
    write_files(&mut session, &[(&old, 10_240), (&new, 10_240), (b"no archive", 10)]);
    session.logout();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["unload", "0"]).done();
    let to = scene.beside("to");
    fs::create_dir(&to).unwrap();
    let directory = to.to_str().unwrap();
    vtl(&["restore", "vtl001l9:/etc/passwd", "-C", directory]).done();
    assert_eq!(fs::read_to_string(to.join("etc/passwd")).unwrap(), "new");
    assert_eq!(fs::read_dir(to.join("etc")).unwrap().count(), 1, "nothing else comes with it");
    // What is there stays, unless it is said otherwise.
    vtl(&["restore", "VTL001L9:etc/passwd", "-C", directory, "--file", "0"]).ended(1).says("exist");
    assert_eq!(fs::read_to_string(to.join("etc/passwd")).unwrap(), "new");
    vtl(&["restore", "VTL001L9:etc", "-C", directory, "--file", "0", "--overwrite"]).done();
    assert_eq!(fs::read_to_string(to.join("etc/passwd")).unwrap(), "old");
    vtl(&["restore", "VTL001L9:etc/shadow", "-C", directory]).ended(4).says("vtl browse VTL001L9");
    vtl(&["restore", "VTL001L9:etc/passwd", "-C", "/nonexistent"]).ended(4).says("no directory");
    vtl(&["restore", "VTL001L9", "-C", directory]).ended(2).says("A00001L9:etc/passwd");
    vtl(&["browse", "NOSUCHL9"]).ended(4);
    vtl(&["browse", "VTL001L9", "--file", "9"]).ended(4).says("no tape file 9");
    let shown = vtl(&["browse", "VTL001L9"]).done();
    assert!(shown.stdout.contains("./etc/passwd-"), "{shown:?}");
    assert!(shown.stdout.contains("(unknown, 1 blocks)"), "{shown:?}");
    // And a blank one has nothing.
    let blank = vtl(&["browse", "VTL002L9", "--format", "json"]).done().json();
    assert_eq!(blank["files"], serde_json::json!([]));
    let shown = vtl(&["browse", "VTL002L9"]).done();
    assert_eq!(shown.stdout, "there is nothing on VTL002L9\n");
    // Without a daemon it is the same.
    let (_, log) = scene.take_daemon().end(rustix::process::Signal::TERM, LIMIT);
    assert!(!log.contains("panicked"), "{log}");
    let to = scene.beside("offline");
    fs::create_dir(&to).unwrap();
    let directory = to.to_str().unwrap();
    vtl_tests::vtl(&scene.data(), &["restore", "VTL001L9:etc", "-C", directory]).done();
    assert_eq!(fs::read_to_string(to.join("etc/passwd")).unwrap(), "new");
}

#[test]
fn a_sparse_file_comes_back_with_its_mode_and_its_time_also_over_an_old_one() {
    // What GNU tar calls form 1.0 is taken apart by vtl itself: mode and time were forgotten there, and --overwrite had no say.
    let scene = Scene::loaded();
    let from = scene.beside("from");
    fs::create_dir(&from).unwrap();
    let image = fs::File::create(from.join("disk.img")).unwrap();
    image.set_len(4 << 20).unwrap();
    image.set_permissions(fs::Permissions::from_mode(0o640)).unwrap();
    let then = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    image.set_times(fs::FileTimes::new().set_modified(then)).unwrap();
    let archive = tar(&from, &["--format=posix", "--sparse"]);
    let mut session = scene.session("host");
    write_files(&mut session, &[(&archive, 10_240)]);
    session.logout();
    let to = scene.beside("to");
    fs::create_dir(&to).unwrap();
    let vtl = |more: &[&str]| {
        let all = ["restore", "VTL001L9:disk.img", "-C", to.to_str().unwrap()];
        scene.daemon().vtl(&[&all, more].concat())
    };
    for more in [&[][..], &["--overwrite"]] {
        vtl(more).done();
        let metadata = fs::symlink_metadata(to.join("disk.img")).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o640, 1_000_000_000));
        assert_eq!(metadata.len(), 4 << 20);
        fs::write(to.join("disk.img"), "another one").unwrap();
    }
    vtl(&[]).ended(1).says("exist");
    assert_eq!(fs::read_to_string(to.join("disk.img")).unwrap(), "another one");
}

#[test]
fn the_last_of_one_name_is_restored_and_a_link_has_its_data_also_alone() {
    // After `tar -r` an archive has a name twice, and the second stopped everything; a hard link whose target was not asked for, too.
    let scene = Scene::loaded();
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, data: &str, link: Option<&str>| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_mtime(1_000_000_000);
        header.set_size(data.len() as u64);
        if let Some(link) = link {
            header.set_entry_type(tar::EntryType::Link);
            archive.append_link(&mut header, path, link).unwrap();
        } else {
            archive.append_data(&mut header, path, data.as_bytes()).unwrap();
        }
    };
    add("in/file", "old", None);
    add("names/one", "", Some("in/file"));
    add("names/two", "", Some("names/one"));
    add("names/lost", "", Some("nowhere"));
    add("in/file", "new", None);
    add("in/later", "later", None);
    let bytes = archive.into_inner().unwrap();
    let mut session = scene.session("host");
    write_files(&mut session, &[(&bytes, 10_240)]);
    session.logout();
    let restored = |what: &str, to: &Path, more: &[&str]| {
        fs::create_dir_all(to).unwrap();
        let what = format!("VTL001L9:{what}");
        let all = ["restore", &what, "-C", to.to_str().unwrap(), "--format", "json"];
        scene.daemon().vtl(&[&all, more].concat())
    };
    let text = |path: PathBuf| fs::read_to_string(path).unwrap();
    let all = scene.beside("all");
    for more in [&[][..], &["--overwrite"]] {
        let ran = restored("", &all, more).ended(1).says("names/lost").says("nowhere");
        assert_eq!(ran.json()["left_out"].as_array().unwrap().len(), 1, "{ran:?}");
        assert_eq!(text(all.join("in/file")), "new");
        assert_eq!(text(all.join("names/one")), "old", "it was linked to what was there then");
        assert_eq!(fs::metadata(all.join("names/two")).unwrap().nlink(), 2);
    }
    // What is there already is left out, and the others come all the same.
    fs::remove_file(all.join("in/later")).unwrap();
    restored("in", &all, &[]).ended(1).says("in/file").says("exist");
    assert_eq!(text(all.join("in/later")), "later");
    let alone = scene.beside("alone");
    restored("names/two", &alone, &[]).done();
    assert_eq!(text(alone.join("names/two")), "old");
    assert!(!alone.join("in").exists());
}

#[test]
fn a_directory_gets_its_mode_and_time_when_all_that_is_in_it_is_there() {
    // Both were set as soon as the directory was made: the time was lost, and a read-only one took no files.
    let scene = Scene::loaded();
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, mode: u32| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_000_000_000);
        header.set_size(0);
        archive.append_data(&mut header, path, &b""[..]).unwrap();
    };
    add("closed/", tar::EntryType::Directory, 0o555);
    add("closed/in/", tar::EntryType::Directory, 0o500);
    add("closed/in/file", tar::EntryType::Regular, 0o444);
    add("closed/late", tar::EntryType::Regular, 0o444);
    let to = written(&scene, &archive.into_inner().unwrap());
    scene.daemon().vtl(&["restore", "VTL001L9:", "-C", to.to_str().unwrap()]).done();
    for (path, mode) in
        [("closed", 0o555), ("closed/in", 0o500), ("closed/in/file", 0o444), ("closed/late", 0o444)]
    {
        let metadata = fs::metadata(to.join(path)).unwrap();
        let found = (metadata.mode() & 0o7777, metadata.mtime());
        assert_eq!(found, (mode, 1_000_000_000), "{path}");
    }
    // So that whoever is not root can remove it.
    for path in ["closed", "closed/in"] {
        fs::set_permissions(to.join(path), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn damage_is_named_and_what_is_whole_is_still_restored() {
    let scene = Scene::loaded();
    let from = scene.beside("from");
    fs::create_dir(&from).unwrap();
    let second = noise(7, 200_000);
    fs::write(from.join("a.bin"), noise(6, 200_000)).unwrap();
    fs::write(from.join("b.bin"), &second).unwrap();
    fs::write(from.join("c.bin"), noise(8, 200_000)).unwrap();
    let archive = tar(&from, &["--sort=name"]);
    let mut session = scene.session("host");
    write_files(&mut session, &[(&archive, 10_240)]);
    session.logout();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["unload", "0"]).done();
    flip_bit_of(&scene.data(), &second[100_000..100_032]);
    let to = scene.beside("to");
    fs::create_dir(&to).unwrap();
    let directory = to.to_str().unwrap();
    let ran = vtl(&["restore", "VTL001L9:b.bin", "-C", directory]).ended(5);
    ran.says("VTL001L9").says("vtl verify VTL001L9");
    vtl(&["restore", "VTL001L9:c.bin", "-C", directory]).done();
    assert!(fs::read(to.join("c.bin")).unwrap() == noise(8, 200_000));
    // Restored together, members come in pieces that they share: the damage of one is not that of its neighbours.
    let together = scene.beside("together");
    fs::create_dir(&together).unwrap();
    let directory = together.to_str().unwrap();
    vtl(&["restore", "VTL001L9:", "-C", directory]).ended(5).says("1 left out").says("b.bin");
    for (name, seed) in [("a.bin", 6), ("c.bin", 8)] {
        assert!(fs::read(together.join(name)).unwrap() == noise(seed, 200_000), "{name}");
    }
}

/// `--overwrite` removed what was there before anything of the new file was read, and of a damaged tape half a file was left in its place.
#[test]
fn what_is_there_is_replaced_by_nothing_but_a_whole_file() {
    let scene = Scene::loaded();
    let (from, to) = (scene.beside("from"), scene.beside("to"));
    fs::create_dir(&to).unwrap();
    let archive = |name: &str, seed: u64, make: &dyn Fn(&Path) -> Option<Vec<u8>>| {
        let directory = from.join(name);
        fs::create_dir_all(&directory).unwrap();
        // Longer than a piece of the transfer, so that some of it has come when the damage shows.
        let data = noise(seed, 6 << 20);
        let mut file = fs::File::create(directory.join(name)).unwrap();
        file.seek(SeekFrom::Start(1 << 20)).unwrap();
        file.write_all(&data).unwrap();
        fs::write(to.join(name), "the good old one").unwrap();
        make(&directory).map(|bytes| (name.to_owned(), data, bytes))
    };
    let archives: Vec<(String, Vec<u8>, Vec<u8>)> = [
        archive("plain", 1, &|at| Some(tar(at, &[]))),
        archive("of gnu", 2, &|at| Some(tar(at, &["--format=gnu", "--sparse"]))),
        archive("of pax", 3, &|at| Some(tar(at, &["--format=posix", "--sparse"]))),
        archive("of cpio", 4, &|at| cpio(at, "newc")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let files: Vec<(&[u8], usize)> =
        archives.iter().map(|(_, _, bytes)| (bytes.as_slice(), 10_240)).collect();
    let mut session = scene.session("host");
    write_files(&mut session, &files);
    session.logout();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["unload", "0"]).done();
    let before = content(&to);
    for (name, data, _) in &archives {
        flip_bit_of(&scene.data(), &data[5 << 20..][..32]);
        let what = format!("VTL001L9:{name}");
        vtl(&["restore", &what, "-C", to.to_str().unwrap(), "--overwrite"]).ended(5);
        assert!(content(&to) == before, "{name}: {:?}", content(&to).keys());
    }
}

const LIMIT: Duration = Duration::from_secs(20);

/// Restoring one file of 1 MiB from 20 GiB read 9 GiB each time, for the headers of all the others. What was found is kept now, and counts as long as
/// the tape file is the one that it was.
#[test]
fn a_listing_is_kept_and_never_believed_of_another_tape_file() {
    let mut scene = Scene::loaded();
    let archive = |name: &str| {
        let source = scene.beside(name);
        fs::create_dir_all(&source).unwrap();
        fs::write(source.join(format!("{name}.txt")), name).unwrap();
        tar(&source, &["--sort=name"])
    };
    let (first, second) = (archive("first"), archive("other"));
    let mut session = scene.session("writer");
    write_files(&mut session, &[(&first, 10_240)]);
    session.logout();
    let browse = |scene: &Scene| scene.daemon().vtl(&["browse", "VTL001L9"]).done().stdout;
    let listed = browse(&scene);
    assert!(listed.contains("first.txt"), "{listed}");
    let kept = |scene: &Scene| -> Vec<PathBuf> {
        let tree = vtl_tests::tree(&scene.data()).into_keys();
        tree.filter(|path| path.components().any(|part| part.as_os_str() == "listings"))
            .filter(|path| path.extension().is_some())
            .map(|path| scene.data().join(path))
            .collect()
    };
    let file = kept(&scene).pop().expect("a listing is kept");
    // It is what answers: a name that only stands there is shown.
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("first.txt", "fir5t.txt")).unwrap();
    assert!(browse(&scene).contains("fir5t.txt"));
    // What is damaged is made anew.
    fs::write(&file, "{").unwrap();
    assert_eq!(browse(&scene), listed);
    fs::write(&file, text.replace("first.txt", "fir5t.txt")).unwrap();
    // The tape file is another one, of the same length, in the same place.
    assert_eq!(first.len(), second.len());
    let mut session = scene.session("writer");
    write_files(&mut session, &[(&second, 10_240)]);
    session.logout();
    let now = browse(&scene);
    assert!(now.contains("other.txt") && !now.contains("fir5t"), "{now}");
    scene.take_daemon().stop();
    scene.start();
    assert_eq!(browse(&scene), now);
    let out = scene.beside("out");
    fs::create_dir_all(&out).unwrap();
    scene.daemon().vtl(&["restore", "VTL001L9:other.txt", "-C", out.to_str().unwrap()]).done();
    assert_eq!(fs::read_to_string(out.join("other.txt")).unwrap(), "other");
    // Nothing but an index: it may be removed, and goes with the cartridge.
    fs::remove_dir_all(file.parent().unwrap()).unwrap();
    assert_eq!(browse(&scene), now);
    scene.daemon().vtl(&["unload", "0"]).done();
    scene.daemon().vtl(&["tape", "delete", "VTL001L9", "--force"]).done();
    assert_eq!(kept(&scene), Vec::<PathBuf>::new());
}
