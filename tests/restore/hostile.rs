//! Archives that were made to do harm.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tar::{Builder, EntryType, Header};
use vtl_tests::{Scene, noise};

use crate::{write_files, written};

/// A member under any name, which no library would write.
fn member(archive: &mut Builder<Vec<u8>>, path: &str, kind: EntryType, link: &str, data: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append(&header, data).unwrap();
}

#[test]
fn nothing_is_written_outside_of_the_directory() {
    let scene = Scene::loaded();
    let outside = scene.beside("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "as it was").unwrap();
    let away = outside.to_str().unwrap();
    let mut archive = Builder::new(Vec::new());
    let file = EntryType::Regular;
    member(&mut archive, "../outside/dotdot", file, "", b"evil");
    member(&mut archive, "in/../../outside/middle", file, "", b"evil");
    member(&mut archive, &format!("{away}/absolute"), file, "", b"evil");
    member(&mut archive, "door", EntryType::Symlink, away, b"");
    member(&mut archive, "door/through", file, "", b"evil");
    member(&mut archive, "up", EntryType::Symlink, "../outside", b"");
    member(&mut archive, "up/victim", file, "", b"evil");
    member(&mut archive, "hard", EntryType::Link, &format!("{away}/victim"), b"");
    member(&mut archive, "hard", file, "", b"evil");
    member(&mut archive, "good", file, "", b"good");
    let to = written(&scene, &archive.into_inner().unwrap());
    let vtl = |what: &str| {
        let what = format!("VTL001L9:{what}");
        scene.daemon().vtl(&["restore", &what, "-C", to.to_str().unwrap(), "--overwrite"])
    };
    for what in ["../outside/dotdot", "door", "door/through", "up", "up/victim", "hard", ""] {
        let ran = vtl(what);
        assert!(ran.code.is_some_and(|code| code < 6), "{what}: {ran:?}");
        let names: Vec<_> =
            fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["victim"], "{what}");
        assert_eq!(fs::read_to_string(outside.join("victim")).unwrap(), "as it was", "{what}");
    }
    vtl("good").done();
    assert_eq!(fs::read_to_string(to.join("good")).unwrap(), "good");
    assert!(!Path::new(away).join("absolute").exists());
}

/// A sparse file of GNU tar's form 1.0 with one piece, whose header may have any name, and its records any other.
fn sparse(archive: &mut Builder<Vec<u8>>, stored: &str, name: &str) {
    let records = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", name),
        ("GNU.sparse.realsize", "8"),
    ];
    archive.append_pax_extensions(records.map(|(key, value)| (key, value.as_bytes()))).unwrap();
    let mut data = b"1\n0\n4\n".to_vec();
    data.resize(512, 0);
    data.extend_from_slice(b"data");
    member(archive, stored, EntryType::Regular, "", &data);
}

#[test]
fn a_sparse_file_is_written_under_its_checked_name_and_nowhere_else() {
    // The place was once computed from the name in the header: one without a directory led to the parent of DIR, and DIR itself was removed.
    let scene = Scene::loaded();
    let outside = scene.beside("outside");
    fs::create_dir(&outside).unwrap();
    let away = outside.to_str().unwrap();
    let absolute = format!("{away}/absolute");
    let mut archive = Builder::new(Vec::new());
    sparse(&mut archive, "bare", "escaped");
    sparse(&mut archive, "GNUSparseFile.1/dotdot", "../outside/dotdot");
    sparse(&mut archive, "../outside/stored", "stored");
    sparse(&mut archive, "GNUSparseFile.1/absolute", &absolute);
    member(&mut archive, "door", EntryType::Symlink, away, b"");
    sparse(&mut archive, "GNUSparseFile.1/through", "door/through");
    member(&mut archive, "last", EntryType::Symlink, &format!("{away}/last"), b"");
    sparse(&mut archive, "GNUSparseFile.1/last", "./last");
    let bytes = archive.into_inner().unwrap();
    let mut session = scene.session("host");
    write_files(&mut session, &[(&bytes, 10_240)]);
    session.logout();
    let to = scene.beside("to");
    let beside = || fs::read_dir(to.parent().unwrap()).unwrap().count();
    fs::create_dir(&to).unwrap();
    let before = beside();
    for what in ["escaped", "../outside/dotdot", "stored", &absolute, "door", "last", ""] {
        let what = format!("VTL001L9:{what}");
        let options = ["restore", &what, "-C", to.to_str().unwrap(), "--overwrite"];
        let ran = scene.daemon().vtl(&options);
        assert!(ran.code.is_some_and(|code| code < 6), "{what}: {ran:?}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{what}");
        assert!(to.is_dir() && beside() == before, "{what}");
    }
    assert_eq!(fs::read(to.join("escaped")).unwrap(), b"data\0\0\0\0");
    assert_eq!(fs::read(to.join("stored")).unwrap(), b"data\0\0\0\0");
    assert_eq!(fs::read(to.join(absolute.trim_start_matches('/'))).unwrap().len(), 8);
    assert!(!to.join("GNUSparseFile.1").exists());
}

#[test]
fn an_archive_that_lies_about_lengths_is_listed_as_far_as_it_is_true() {
    let scene = Scene::loaded();
    let mut archive = Builder::new(Vec::new());
    member(&mut archive, "good", EntryType::Regular, "", b"good");
    let mut bytes = archive.into_inner().unwrap();
    bytes.truncate(1024);
    let mut lie = Header::new_gnu();
    lie.set_path("endless").unwrap();
    lie.set_size(1 << 50);
    lie.set_entry_type(EntryType::Regular);
    lie.set_cksum();
    bytes.extend_from_slice(lie.as_bytes());
    // A name that is as long as it likes does not get into memory.
    let mut name = Vec::new();
    let mut long = Header::new_gnu();
    long.set_path("././@LongLink").unwrap();
    long.set_size(1 << 40);
    long.set_entry_type(EntryType::GNULongName);
    long.set_cksum();
    name.extend_from_slice(long.as_bytes());
    name.extend_from_slice(&noise(3, 17 << 20));
    let mut session = scene.session("host");
    write_files(&mut session, &[(&bytes, 512), (&name, 1 << 20), (b"", 1), (b"BB02", 4)]);
    session.logout();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    let files = vtl(&["browse", "VTL001L9", "--format", "json"]).done().json()["files"].clone();
    let paths: Vec<_> =
        files[0]["members"].as_array().unwrap().iter().map(|row| row["path"].clone()).collect();
    assert_eq!(paths, ["good", "endless"]);
    assert!(files[0]["broken"].as_str().unwrap().contains("ends within"), "{files}");
    assert!(files[1]["broken"].as_str().unwrap().contains("too long"), "{files}");
    assert_eq!((&files[2]["kind"], &files[3]["kind"]), (&"empty".into(), &"unknown".into()));
    let to = scene.beside("to");
    fs::create_dir(&to).unwrap();
    let directory = to.to_str().unwrap();
    vtl(&["restore", "VTL001L9:endless", "-C", directory]).ended(5).says("ends before it should");
    vtl(&["restore", "VTL001L9:good", "-C", directory]).done();
}

#[test]
fn names_without_end_do_not_fill_the_memory_of_the_daemon() {
    // Each member had a limit of its own, but there was none for all together: a tape of a few hundred MiB filled the memory.
    let scene = Scene::loaded();
    let long = |length: usize, count: usize| {
        let mut archive = Builder::new(Vec::new());
        for _ in 0..count {
            let mut name = Header::new_gnu();
            name.set_path("././@LongLink").unwrap();
            name.set_entry_type(EntryType::GNULongName);
            name.set_size(length as u64);
            name.set_cksum();
            archive.append(&name, vec![b'n'; length].as_slice()).unwrap();
            member(&mut archive, "short", EntryType::Regular, "", b"");
        }
        archive.into_inner().unwrap()
    };
    let (too_long, longest) = (long(4097, 2), long(4096, 9000));
    let mut session = scene.session("host");
    write_files(
        &mut session,
        &[(&too_long, 1 << 18), (&longest, 1 << 18), (&longest, 1 << 18), (&too_long, 1 << 18)],
    );
    session.logout();
    let browsed = scene.daemon().vtl(&["browse", "VTL001L9", "--format", "json"]).done().json();
    let files = browsed["files"].as_array().unwrap();
    let listed: Vec<_> =
        files.iter().map(|file| file["members"].as_array().unwrap().len()).collect();
    assert_eq!(listed, [0, 9000, 7384, 0], "16384 names of 4096 bytes are 64 MiB");
    let why = |number: usize| files[number]["broken"].as_str().unwrap_or_default();
    assert!(why(0).contains("too long"), "{}", why(0));
    assert_eq!(why(1), "");
    assert!(why(2).contains("64 MiB of names"), "{}", why(2));
}

/// Devices and pipes came back as empty files, and were counted as restored.
#[test]
fn what_is_no_file_is_left_out_and_named() {
    let scene = Scene::loaded();
    let mut archive = Builder::new(Vec::new());
    for (path, kind) in [("tty", b'3'), ("disk", b'4'), ("pipe", b'6'), ("vendor", b'Q')] {
        member(&mut archive, path, EntryType::new(kind), "", b"");
    }
    member(&mut archive, "link to a pipe", EntryType::Link, "pipe", b"");
    member(&mut archive, "good", EntryType::Regular, "", b"good");
    let to = written(&scene, &archive.into_inner().unwrap());
    let options = ["restore", "VTL001L9:", "-C", to.to_str().unwrap(), "--format", "json"];
    let answer = scene.daemon().vtl(&options).ended(1).json();
    let left_out = answer["left_out"].as_array().unwrap();
    assert_eq!((&answer["files"], left_out.len()), (&1.into(), 5), "{answer:#}");
    let why = "it is a device, a pipe or a socket, which are not made";
    assert!(left_out.iter().all(|row| row.as_str().unwrap().ends_with(why)), "{answer:#}");
    let names: Vec<_> =
        fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["good"]);
}

/// Restored by root, everything belonged to root, and a program that was to run as its owner ran as root.
#[test]
fn what_root_restores_belongs_to_whom_it_belonged() {
    let scene = Scene::loaded();
    let mut archive = Builder::new(Vec::new());
    let mut add = |path: &str, kind: EntryType, mode: u32, link: &str| {
        let mut header = Header::new_gnu();
        header.set_path(path).unwrap();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(0);
        header.set_mtime(1_000_000_000);
        header.set_uid(1001);
        header.set_gid(1002);
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        header.set_cksum();
        archive.append(&header, &b""[..]).unwrap();
    };
    add("bin/", EntryType::Directory, 0o2755, "");
    add("bin/su", EntryType::Regular, 0o4755, "");
    add("bin/link", EntryType::Symlink, 0o777, "su");
    let bytes = archive.into_inner().unwrap();
    let mut session = scene.session("host");
    let cpio = crate::cpio::owned("bin/su", (1001, 1002), 0o104_755);
    write_files(&mut session, &[(&bytes, 10_240), (&cpio, 10_240)]);
    session.logout();
    let is_root = rustix::process::geteuid().is_root();
    for (file, expected) in [
        ("0", &[("bin", 0o2755), ("bin/su", 0o4755), ("bin/link", 0o777)][..]),
        ("1", &[("bin/su", 0o4755)]),
    ] {
        let to = scene.beside(&format!("to {file}"));
        fs::create_dir(&to).unwrap();
        let options = ["restore", "VTL001L9:", "-C", to.to_str().unwrap(), "--file", file];
        scene.daemon().vtl(&options).done();
        for (path, mode) in expected {
            let metadata = fs::symlink_metadata(to.join(path)).unwrap();
            let found = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
            assert!(!is_root || found == (1001, 1002, *mode), "{path}: {found:?}");
            // Whoever is not root owns it all, and nobody gets rights with it that were another's.
            assert!(is_root || found.2 == mode & 0o777, "{path}: {found:?}");
            assert_eq!(metadata.mtime(), 1_000_000_000, "{path}");
        }
    }
}

/// What the cartridge lost at its end kept everything else from being listed and restored, unless its tape file was named.
#[test]
fn a_tape_file_that_cannot_be_found_does_not_hide_the_others() {
    let mut scene = Scene::loaded();
    let archive = |name: &str| {
        let mut archive = Builder::new(Vec::new());
        member(&mut archive, name, EntryType::Regular, "", &noise(5, 300_000));
        archive.into_inner().unwrap()
    };
    let mut session = scene.session("host");
    write_files(&mut session, &[(&archive("first"), 10_240), (&archive("second"), 10_240)]);
    session.logout();
    scene.daemon().vtl(&["unload", "0"]).done();
    let rows = scene.daemon().vtl(&["tape", "show", "VTL001L9", "--format", "json"]).done().json();
    let cartridge = scene.data().join("cartridges").join(rows[0]["uuid"].as_str().unwrap());
    scene.take_daemon().stop();
    let journal = vtl_tests::tree(&cartridge).into_iter().max_by_key(|(_, (_, bytes))| bytes.len());
    let (path, (_, bytes)) = journal.unwrap();
    let segment = fs::File::options().write(true).open(cartridge.join(path)).unwrap();
    segment.set_len(bytes.len() as u64 - 200_000).unwrap();
    scene.start();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    let files = vtl(&["browse", "VTL001L9", "--format", "json"]).done().json()["files"].clone();
    assert_eq!(files[0]["members"][0]["path"], "first", "{files:#}");
    assert!(files[1]["broken"].as_str().unwrap().contains("end of the data"), "{files:#}");
    assert_eq!(files.as_array().unwrap().len(), 2, "{files:#}");
    let shown = vtl(&["browse", "VTL001L9"]).done().stdout;
    assert!(shown.contains("(unreadable)") && shown.contains("cannot be listed"), "{shown}");
    let to = scene.beside("to");
    fs::create_dir(&to).unwrap();
    let options = ["restore", "VTL001L9:first", "-C", to.to_str().unwrap(), "--format", "json"];
    let answer = vtl(&options).done().json();
    assert!(answer["not_listed"][0].as_str().unwrap().starts_with("tape file 1 of"), "{answer:#}");
    assert_eq!(fs::read(to.join("first")).unwrap(), noise(5, 300_000));
    vtl(&["browse", "VTL001L9", "--file", "1"]).ended(5);
}
