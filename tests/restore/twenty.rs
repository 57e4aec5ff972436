//! Archives as the system's own programs write them, of all forms and dialects, come back equal.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use vtl_tests::{Scene, flip_bit_of, noise, tree};

use crate::archives::content;
use crate::cpio::cpio;
use crate::{tar, write_files};

/// What fits into every dialect.
fn short_names(at: &Path) {
    fs::create_dir_all(at.join("a directory/below")).unwrap();
    fs::create_dir_all(at.join("empty")).unwrap();
    fs::write(at.join("a directory/below/data.bin"), noise(1, 100_001)).unwrap();
    fs::write(at.join("first"), noise(2, 400_000)).unwrap();
    fs::write(at.join("nothing"), "").unwrap();
    fs::hard_link(at.join("first"), at.join("second name")).unwrap();
    symlink("../outside", at.join("a directory/link")).unwrap();
}

/// And what needs a better one.
fn long_names(at: &Path) {
    short_names(at);
    let long = at.join("d".repeat(130)).join("e".repeat(140));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("üñï"), "deep").unwrap();
    symlink("l".repeat(300), at.join("long link")).unwrap();
    fs::hard_link(long.join("üñï"), at.join(format!("hard {}", "h".repeat(180)))).unwrap();
    let mut sparse = fs::File::create(at.join("sparse.img")).unwrap();
    for place in [0u64, 128 << 10, 900 << 10] {
        sparse.seek(SeekFrom::Start(place)).unwrap();
        sparse.write_all(&noise(place, 5000)).unwrap();
    }
    sparse.set_len(1 << 20).unwrap();
}

/// The volumes that `tar -M` makes of a directory, each of so many KiB at most.
fn volumes(scene: &Scene, from: &Path, form: &str, kib: u32) -> Vec<Vec<u8>> {
    let first = scene.beside(&format!("volume-{form}-{kib}"));
    let name = |number: usize| PathBuf::from(format!("{}.{number}", first.display()));
    let script = format!("echo {}.$TAR_VOLUME >&$TAR_FD", first.display());
    let output = Command::new("tar")
        .arg("-C")
        .arg(from)
        .args([
            &format!("--format={form}"),
            "--sort=name",
            "-M",
            "-L",
            &kib.to_string(),
            "-F",
            &script,
            "-cf",
        ])
        .arg(name(1))
        .arg(".")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    (1..).map_while(|number| fs::read(name(number)).ok()).collect()
}

/// Restores all that is on these cartridges into a new directory, and compares.
#[track_caller]
fn assert_equal(scene: &Scene, what: &str, more: &[&str], expected: &Path) {
    let to = scene.beside(&format!("to {} {}", what.replace(['/', ':'], "_"), more.concat()));
    fs::create_dir(&to).unwrap();
    let all = ["restore", what, "-C", to.to_str().unwrap()];
    let ran = scene.daemon().vtl(&[&all, more].concat());
    assert_eq!(ran.code, Some(0), "{what} {more:?}: {ran:?}");
    let (found, expected) = (content(&to), content(expected));
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>(),
        "{what} {more:?}"
    );
    for (path, (bytes, time)) in &expected {
        assert!(found[path].0 == *bytes, "{what} {more:?}: {}", path.display());
        assert_eq!(found[path].1, *time, "{what} {more:?}: {}", path.display());
    }
}

/// A label of Amanda's before an archive.
fn amanda(archive: &[u8]) -> Vec<u8> {
    let mut bytes = b"AMANDA: FILE 20261129 host /srv lev 0 comp N program /bin/tar\n".to_vec();
    bytes.resize(32 << 10, 0);
    bytes.extend_from_slice(archive);
    bytes
}

/// An archive to which something is added that replaces what is in it.
fn appended(scene: &Scene, from: &Path) -> Vec<u8> {
    let file = scene.beside("appended.tar");
    for options in [["-cf"], ["-rf"]] {
        let ran = Command::new("tar")
            .arg("-C")
            .arg(from)
            .args(options)
            .arg(&file)
            .arg("./first")
            .status();
        assert!(ran.unwrap().success());
    }
    fs::read(file).unwrap()
}

/// Writes the volumes of an archive, each on a cartridge of its own, from VTL`first`L9 on.
fn written_from(scene: &Scene, first: usize, volumes: &[Vec<u8>]) -> Vec<String> {
    let barcodes: Vec<String> =
        (first..).take(volumes.len()).map(|number| format!("VTL{number:03}L9")).collect();
    for (barcode, volume) in barcodes.iter().zip(volumes) {
        scene.daemon().vtl(&["load", barcode, "0"]).done();
        let mut session = scene.session("host");
        write_files(&mut session, &[(volume, 10_240)]);
        session.logout();
        scene.daemon().vtl(&["unload", "0"]).done();
    }
    barcodes
}

#[test]
fn twenty_archives_are_restored_equal() {
    let scene = Scene::loaded();
    let (short, long) = (scene.beside("short"), scene.beside("long"));
    short_names(&short);
    long_names(&long);
    let of_long: [&[&str]; 13] = [
        &["--format=gnu"],
        &["--format=posix"],
        &["--format=oldgnu", "-b", "7"],
        &["--format=gnu", "--sparse"],
        &["--format=oldgnu", "--sparse"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
        &["--format=gnu", "--label=backup of tuesday"],
        &["--format=posix", "--label=backup of tuesday"],
        &["--format=gnu", "--incremental"],
        &["--format=posix", "--incremental"],
        &["--format=posix", "--xattrs", "--acls", "--numeric-owner"],
    ];
    let of_short: [&[&str]; 3] =
        [&["--format=ustar"], &["--format=v7"], &["--format=ustar", "-b", "1"]];
    let mut archives: Vec<(&Path, Vec<u8>)> = Vec::new();
    archives.extend(of_long.iter().map(|options| (long.as_path(), tar(&long, options))));
    archives.extend(of_short.iter().map(|options| (short.as_path(), tar(&short, options))));
    archives.push((&long, amanda(&tar(&long, &[]))));
    let forms = [("newc", &long), ("crc", &long), ("odc", &long), ("bin", &short)];
    archives
        .extend(forms.iter().filter_map(|(form, from)| Some((from.as_path(), cpio(from, form)?))));
    let single = appended(&scene, &short);
    let mut files: Vec<(&[u8], usize)> = archives
        .iter()
        .zip([10_240, 65_536, 3584, 131_072, 12_345].into_iter().cycle())
        .map(|((_, bytes), length)| (bytes.as_slice(), length))
        .collect();
    files.push((&single, 10_240));
    let mut session = scene.session("host");
    write_files(&mut session, &files);
    session.logout();
    scene.daemon().vtl(&["unload", "0"]).done();
    for (number, (from, _)) in archives.iter().enumerate() {
        assert_equal(&scene, "VTL001L9:", &["--file", &number.to_string()], from);
    }
    let only = scene.beside("only");
    fs::create_dir(&only).unwrap();
    fs::hard_link(short.join("first"), only.join("first")).unwrap();
    assert_equal(&scene, "VTL001L9:", &["--file", &archives.len().to_string()], &only);
}

/// A drill called each volume broken that ends in the middle of a file, though the next one went on there.
#[track_caller]
fn rehearse(scene: &Scene, barcodes: &[String]) {
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    let create: Vec<&str> = ["group", "create", "long"]
        .into_iter()
        .chain(barcodes.iter().map(String::as_str))
        .collect();
    vtl(&create).done();
    let report = vtl(&["drill", "run", "long", "--format", "json"]).done().json();
    assert_eq!((&report["result"], &report["level"]), (&"passed".into(), &3.into()), "{report:#}");
    for row in report["cartridges"].as_array().unwrap() {
        assert_eq!(row["archives"], 1, "{row:#}");
    }
    vtl(&["group", "delete", "long"]).done();
    let create = &create[..create.len() - 1];
    vtl(create).done();
    let failed = vtl(&["drill", "run", "long", "--format", "json"]).ended(5).json();
    let rows = failed["cartridges"].as_array().unwrap();
    let troubles = |row: &serde_json::Value| row["archive_trouble"].as_array().unwrap().len();
    // The last one that is left ends where nothing goes on.
    let last = rows.len() - 1;
    let expected: Vec<usize> = (0..rows.len()).map(|number| usize::from(number == last)).collect();
    assert_eq!(rows.iter().map(troubles).collect::<Vec<_>>(), expected, "{failed:#}");
    vtl(&["group", "delete", "long"]).done();
}

/// Damages some piece of a file on a cartridge that has only a part of it.
fn damage(scene: &Scene, barcode: &str, data: &[u8]) {
    let rows = scene.daemon().vtl(&["tape", "show", barcode, "--format", "json"]).done().json();
    let cartridge = scene.data().join("cartridges").join(rows[0]["uuid"].as_str().unwrap());
    let held: Vec<u8> = tree(&cartridge).into_values().flat_map(|(_, bytes)| bytes).collect();
    let is_held = |piece: &&[u8]| held.windows(piece.len()).any(|window| window == *piece);
    let pieces: Vec<&[u8]> = data.chunks_exact(32).step_by(1000).collect();
    flip_bit_of(&cartridge, pieces.into_iter().rfind(is_held).unwrap());
}

#[test]
fn an_archive_of_several_volumes_is_restored_from_all_of_them_and_from_one_alone_it_is_said_what_is_missing()
 {
    let scene = Scene::new();
    let from = scene.beside("from");
    short_names(&from);
    // With what is before and behind it in an archive, this one lies on four of the smaller volumes.
    fs::write(from.join("long.bin"), noise(9, 1_500_000)).unwrap();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    for (form, kib, first) in
        [("gnu", 1500, 1), ("posix", 1500, 4), ("gnu", 500, 7), ("posix", 520, 12)]
    {
        let volumes = volumes(&scene, &from, form, kib);
        assert_eq!(volumes.len(), if kib < 1500 { 4 } else { 2 }, "{form}");
        let barcodes = written_from(&scene, first, &volumes);
        let all = barcodes.join(",");
        assert_equal(&scene, &format!("{all}:"), &[], &from);
        rehearse(&scene, &barcodes);
        // One file alone, from wherever it begins; and not a byte of it from a part.
        let to = scene.beside(&format!("alone {form} {kib}"));
        fs::create_dir(&to).unwrap();
        fs::write(to.join("long.bin"), "the good old one").unwrap();
        let restore = |barcodes: &str| {
            let what = format!("{barcodes}:long.bin");
            vtl(&["restore", &what, "-C", to.to_str().unwrap(), "--overwrite"])
        };
        let has_rest = |barcode: &&String| {
            let listed = vtl(&["browse", barcode, "--format", "json"]).done().json();
            let members = listed["files"][0]["members"].as_array().unwrap().clone();
            members.iter().any(|row| row["path"] == "./long.bin" && !row["part"].is_null())
        };
        let rests: Vec<&String> = barcodes.iter().filter(has_rest).collect();
        assert_eq!(rests.len(), if kib < 1500 { 3 } else { 1 }, "{form}");
        restore(rests[0]).ended(1).says("begins on another cartridge");
        restore(&barcodes[barcodes.iter().position(|one| one == rests[0]).unwrap() - 1])
            .ended(5)
            .says("on another cartridge: name all of them");
        if kib < 1500 {
            let gap: Vec<&str> =
                barcodes.iter().filter(|one| *one != rests[1]).map(String::as_str).collect();
            restore(&gap.join(",")).ended(5).says("on another cartridge: name all of them");
        }
        assert_eq!(fs::read_to_string(to.join("long.bin")).unwrap(), "the good old one");
        restore(&all).done();
        assert!(fs::read(to.join("long.bin")).unwrap() == noise(9, 1_500_000), "{form}");
        let shown = vtl(&["browse", rests[0]]).done().stdout;
        assert!(shown.contains("./long.bin (from byte "), "{shown}");
        // Half of it was written before the damage of another volume showed: what was there is still there, and nothing beside it.
        damage(&scene, rests[0], &noise(9, 1_500_000));
        restore(&all).ended(5).says("long.bin");
        assert!(fs::read(to.join("long.bin")).unwrap() == noise(9, 1_500_000), "{form}");
        assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
    }
    // The end of this first volume divides the headers of a file: that is said, and nothing false is written.
    let volumes = volumes(&scene, &from, "posix", 500);
    for (barcode, volume) in ["VTL017L9", "VTL018L9", "VTL019L9", "VTL020L9"].iter().zip(&volumes) {
        vtl(&["load", barcode, "0"]).done();
        let mut session = scene.session("host");
        write_files(&mut session, &[(volume, 10_240)]);
        session.logout();
        vtl(&["unload", "0"]).done();
    }
    let to = scene.beside("divided");
    fs::create_dir(&to).unwrap();
    let all = "VTL017L9,VTL018L9,VTL019L9,VTL020L9:long.bin";
    vtl(&["restore", all, "-C", to.to_str().unwrap()]).ended(1).says("divided between two volumes");
    assert!(!to.join("long.bin").exists());
}

/// Archives of members of a kilobyte each, which end in all the ways there are.
fn ends() -> [(Vec<u8>, Option<&'static str>); 8] {
    let mut archive = tar::Builder::new(Vec::new());
    for number in 0..40 {
        let mut header = tar::Header::new_gnu();
        header.set_size(512);
        archive.append_data(&mut header, format!("member {number:02}"), &[7; 512][..]).unwrap();
    }
    let whole = archive.into_inner().unwrap();
    let (members, half) = (&whole[..40_960], &whole[..20_480]);
    let padded = |bytes: &[u8], length: usize| [bytes, &vec![0; length - bytes.len()]].concat();
    let part = |header: &str| [padded(header.as_bytes(), 32 << 10), half.to_vec()].concat();
    [
        (padded(members, 51_200), None),
        // GNU tar takes one block of zeros for an end, too, and only warns.
        (padded(members, 41_472), None),
        (half.to_vec(), Some("member 19: the archive ends")),
        (
            [half, &[0; 512], &whole[20_480..]].concat(),
            Some("member 19: behind it the archive has"),
        ),
        ([&padded(members, 51_200), &b"more"[..]].concat(), Some("member 39: something follows")),
        (amanda(&padded(members, 65_536)), None),
        (part("AMANDA: SPLIT_FILE 20261129 host /srv part 1/2 lev 0 comp N\n"), None),
        (
            part("AMANDA: SPLIT_FILE 20261129 host /srv part 1/1 lev 0 comp N\n"),
            Some("member 19: the archive ends"),
        ),
    ]
}

/// An archive that was cut between two members, and one with a block of zeros in its middle, were whole to a drill.
#[test]
fn an_archive_is_whole_if_it_has_an_end_and_nothing_behind() {
    let scene = Scene::loaded();
    let ends = ends();
    let files: Vec<(&[u8], usize)> = ends.iter().map(|(bytes, _)| (&bytes[..], 10_240)).collect();
    let mut session = scene.session("host");
    write_files(&mut session, &files);
    session.logout();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["group", "create", "all", "VTL001L9"]).done();
    let report = vtl(&["drill", "run", "all", "--format", "json"]).ended(5).json();
    let row = &report["cartridges"][0];
    // Of a dump in several parts only the first one is known to be a part of an archive.
    assert_eq!((&row["archives"], row["filemarks"].as_u64()), (&3.into(), Some(8)), "{row:#}");
    let told: Vec<(u64, String)> = row["archive_trouble"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap();
            (row["tape_file"].as_u64().unwrap(), format!("{}: {}", text("file"), text("why")))
        })
        .collect();
    let expected: Vec<(u64, &str)> =
        (0..).zip(&ends).filter_map(|(number, (_, why))| Some((number, (*why)?))).collect();
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for ((number, told), (expected_number, expected)) in told.iter().zip(expected) {
        assert!(*number == expected_number && told.starts_with(expected), "{number} {told}");
    }
}

/// A volume that ends between two members is followed by one that begins with a file that was not begun, with the end of the archive alone, or with
/// any member: nothing is missing then, and nothing was divided.
#[test]
fn volumes_that_end_between_two_members_are_whole_and_give_everything_back() {
    let scene = Scene::new();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    // With the headers each fills its volumes to their last byte: a record has 10,240.
    let cases: [(&str, &[usize], usize, usize); 2] =
        [("gnu", &[9216, 9728, 9728, 9728, 9000], 3, 1), ("posix", &[17_408], 2, 6)];
    for (form, lengths, count, first) in cases {
        let from = scene.beside(form);
        fs::create_dir(&from).unwrap();
        for (number, length) in lengths.iter().enumerate() {
            fs::write(from.join(format!("file {number}")), noise(number as u64, *length)).unwrap();
        }
        let volumes = volumes(&scene, &from, form, 20);
        assert_eq!(volumes.len(), count, "{form}");
        let barcodes = written_from(&scene, first, &volumes);
        assert_equal(&scene, &format!("{}:", barcodes.join(",")), &[], &from);
        let names: Vec<&str> = barcodes.iter().map(String::as_str).collect();
        vtl(&[&["group", "create", form], &names[..]].concat()).done();
        let report = vtl(&["drill", "run", form, "--format", "json"]).done().json();
        assert_eq!(report["result"], "passed", "{report:#}");
        vtl(&["group", "delete", form]).done();
        vtl(&["group", "create", form, names[0]]).done();
        vtl(&["drill", "run", form]).ended(5).says("does NOT come back whole");
        vtl(&["group", "delete", form]).done();
    }
}
