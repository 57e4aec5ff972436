use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::fs::{FileType, mknodat};

use super::*;
use crate::disk::{read_whole, write_all_at};

/// As the kernel looks names up, and step by step.
fn both(check: impl Fn(&dyn Disk, &Path)) {
    for make in [DirectoryDisk::new, DirectoryDisk::without_openat2] {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("data");
        fs::create_dir(&directory).unwrap();
        check(&make(&directory), &directory);
    }
}

fn refusal<T>(result: io::Result<T>) -> String {
    let error = result.err().expect("a refusal");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    error.to_string()
}

#[test]
fn it_is_a_file_system_like_the_other_one() {
    both(|disk, root| {
        let room = root.join("room");
        disk.create_dir(&room).unwrap();
        disk.create_dir(&room).unwrap();
        assert_eq!(fs::metadata(&room).unwrap().mode() & 0o777, 0o700);
        let (one, two) = (room.join("one"), root.join("two"));
        let file = disk.open(&one, OpenMode::CreateNew).unwrap();
        assert_eq!(fs::metadata(&one).unwrap().mode() & 0o777, 0o600);
        write_all_at(&*file, b"abc", 0).unwrap();
        let taken = disk.open(&one, OpenMode::CreateNew).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.list(&room).unwrap(), [PathBuf::from("one")]);
        assert!(disk.exists(&one).unwrap() && !disk.exists(&two).unwrap());
        assert!(!disk.exists(&root.join("no/where")).unwrap());
        disk.rename(&one, &two).unwrap();
        assert_eq!(read_whole(disk, &two, 10).unwrap(), b"abc");
        let gone = disk.open(&one, OpenMode::Read).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        assert!(
            [1, 512, 4096]
                .contains(&disk.open_direct(&two, OpenMode::Read).unwrap().alignment_bytes())
        );
        disk.remove(&two).unwrap();
        disk.remove_dir(&room).unwrap();
        for path in [root, root.parent().unwrap()] {
            disk.sync_dir(path).unwrap();
        }
        assert!(disk.list(root).unwrap().is_empty());
        assert!(disk.total_bytes(root).unwrap() >= disk.free_bytes(root).unwrap());
    });
}

#[test]
fn nothing_beside_the_directory_is_reached() {
    both(|disk, root| {
        for outside in ["/etc/passwd", "relative"] {
            let error = disk.open(Path::new(outside), OpenMode::Read).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        let up = root.join("..").join("x");
        assert!(disk.open(&up, OpenMode::Create).is_err() && !up.exists());
        assert!(disk.remove(&root.join("../x")).is_err());
        assert!(disk.create_dir(&up).is_err() && !up.exists());
    });
}

#[test]
fn what_is_planted_under_a_name_is_refused_by_name() {
    both(|disk, root| {
        let outside = tempfile::tempdir().unwrap();
        let secret = outside.path().join("secret");
        fs::write(&secret, "theirs").unwrap();
        let name = |name: &str| root.join(name);
        symlink(&secret, name("link")).unwrap();
        symlink("nowhere", name("dangling")).unwrap();
        symlink(outside.path(), name("room")).unwrap();
        fs::create_dir(name("directory")).unwrap();
        drop(UnixListener::bind(name("socket")).unwrap());
        fs::write(name("file"), "ours").unwrap();
        fs::hard_link(name("file"), name("other name")).unwrap();
        let fifo = rustix::fs::CWD;
        mknodat(fifo, name("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let mut planted = vec![
            ("link", "symbolic link"),
            ("dangling", "symbolic link"),
            ("room/secret", "symbolic link"),
            ("directory", "directory"),
            ("socket", "socket"),
            ("other name", "2 names"),
            ("fifo", "not a regular file"),
        ];
        // The null device; only root may make one.
        let null = rustix::fs::makedev(1, 3);
        if mknodat(fifo, name("device"), FileType::CharacterDevice, Mode::RUSR, null).is_ok() {
            planted.push(("device", "not a regular file"));
        }
        for (planted, says) in planted {
            let path = name(planted);
            for mode in [OpenMode::ReadWrite, OpenMode::Create] {
                let refusal = refusal(disk.open(&path, mode));
                assert!(refusal.contains(&path.display().to_string()), "{refusal}");
                assert!(refusal.contains(says), "{planted}: {refusal}");
            }
        }
        for path in ["room", "room/secret"].map(name) {
            assert!(disk.list(&path).is_err() && disk.sync_dir(&path).is_err());
            assert!(disk.create_dir(&path).is_err());
        }
        assert!(disk.remove(&name("room/secret")).is_err());
        assert!(disk.rename(&name("file"), &name("room/stolen")).is_err());
        assert!(disk.rename(&name("room/secret"), &name("stolen")).is_err());
        // A link is a name like another one where nothing is to be read behind it.
        assert!(disk.exists(&name("dangling")).unwrap());
        disk.remove(&name("link")).unwrap();
        assert_eq!(fs::read_to_string(&secret).unwrap(), "theirs");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    });
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    both(|disk, root| {
        let path = root.join("file");
        fs::write(&path, "").unwrap();
        if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
            return; // only root may give files away
        }
        assert!(refusal(disk.open(&path, OpenMode::ReadWrite)).contains("uid 65534"));
    });
}

#[test]
fn the_directory_has_to_be_ours_and_may_be_reached_through_a_link() {
    let parent = tempfile::tempdir().unwrap();
    let real = parent.path().join("real");
    fs::create_dir(&real).unwrap();
    let link = parent.path().join("link");
    symlink(&real, &link).unwrap();
    let file = link.join("file");
    for mode in [0o777, 0o720, 0o1777] {
        fs::set_permissions(&real, fs::Permissions::from_mode(mode)).unwrap();
        let refusal = refusal(DirectoryDisk::new(&link).open(&file, OpenMode::Create));
        assert!(refusal.contains("chmod 0700"), "{refusal}");
    }
    fs::set_permissions(&real, fs::Permissions::from_mode(0o755)).unwrap();
    let disk = DirectoryDisk::new(&link);
    disk.create_dir(&link).unwrap();
    drop(disk.open(&file, OpenMode::Create).unwrap());
    // Wherever the link leads from now on, the handle is the one of before.
    fs::remove_file(&link).unwrap();
    symlink("/", &link).unwrap();
    assert_eq!(disk.list(&link).unwrap(), [PathBuf::from("file")]);
    if std::os::unix::fs::chown(&real, Some(65534), None).is_ok() {
        let refusal = refusal(DirectoryDisk::new(&real).open(&real.join("file"), OpenMode::Read));
        assert!(refusal.contains("chown -R 0"), "{refusal}");
    }
}

#[test]
fn a_directory_that_turns_into_a_link_meanwhile_leads_nowhere() {
    // A thread swaps a directory for a link to another one, again and again, while files are made, renamed and removed in it.
    const ROUNDS: u32 = 3000;
    both(|disk, root| {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("old"), "theirs").unwrap();
        let (room, aside, link) = (root.join("room"), root.join("aside"), root.join("link"));
        fs::create_dir(&room).unwrap();
        symlink(outside.path(), &link).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let swapping = std::thread::spawn({
            let (room, aside, link) = (room.clone(), aside.clone(), link.clone());
            let is_over = Arc::clone(&is_over);
            move || {
                let mut swaps = 0_u32;
                while !is_over.load(Ordering::Relaxed) {
                    fs::rename(&room, &aside).unwrap();
                    fs::rename(&link, &room).unwrap();
                    fs::rename(&room, &link).unwrap();
                    fs::rename(&aside, &room).unwrap();
                    swaps += 1;
                }
                swaps
            }
        });
        let mut made = 0;
        for _ in 0..ROUNDS {
            if let Ok(file) = disk.open(&room.join("new"), OpenMode::Create) {
                made += u32::from(write_all_at(&*file, b"ours", 0).is_ok());
            }
            let _lost = disk.create_dir(&room.join("directory"));
            let _lost = disk.rename(&room.join("new"), &room.join("newer"));
            let _lost = disk.remove(&room.join("old"));
            let _lost = disk.remove(&room.join("newer"));
        }
        is_over.store(true, Ordering::Relaxed);
        let swaps = swapping.join().unwrap();
        assert!(made > 0 && swaps > 10, "{made} files, {swaps} swaps: nothing was tried");
        let left: Vec<_> = fs::read_dir(outside.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(fs::read_to_string(outside.path().join("old")).unwrap(), "theirs");
    });
}
