//! cpio archives: those of the real program come back as they were, and hostile ones lead nowhere.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use vtl_tests::{Scene, noise};

use crate::archives::{content, source};
use crate::write_files;

/// What `cpio` makes of a directory in a form; none where there is no `cpio`.
pub(crate) fn cpio(directory: &Path, form: &str) -> Option<Vec<u8>> {
    let listed = Command::new("find").arg(".").current_dir(directory).output().unwrap();
    let child = Command::new("cpio")
        .args(["-o", "--quiet", "-H", form])
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("not compared with the real one: cpio: {error}");
            return None;
        }
    };
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(&listed.stdout));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(output.stdout)
}

#[test]
fn archives_of_the_real_program_are_restored_equal() {
    let scene = Scene::loaded();
    let from = scene.beside("from");
    source(&from);
    let expected = content(&from);
    let forms = ["newc", "crc", "odc", "bin"];
    let archives: Option<Vec<Vec<u8>>> = forms.iter().map(|form| cpio(&from, form)).collect();
    let Some(archives) = archives else { return };
    let files: Vec<(&[u8], usize)> = archives
        .iter()
        .zip([65_536, 262_144, 131_072, 100_001])
        .map(|(bytes, length)| (bytes.as_slice(), length))
        .collect();
    let mut session = scene.session("host");
    write_files(&mut session, &files);
    session.logout();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["unload", "0"]).done();
    let browsed = vtl(&["browse", "VTL001L9", "--format", "json"]).done().json();
    for (number, form) in forms.iter().enumerate() {
        assert_eq!(
            (&browsed["files"][number]["kind"], &browsed["files"][number]["broken"]),
            (&"cpio".into(), &serde_json::Value::Null),
            "{form}"
        );
        let to = scene.beside(form);
        fs::create_dir(&to).unwrap();
        let (directory, file) = (to.to_str().unwrap(), number.to_string());
        vtl(&["restore", "VTL001L9:", "-C", directory, "--file", &file]).done();
        assert!(content(&to) == expected, "{form}");
        // The new forms keep the data of a file with two names once, and both are one file again.
        let names = fs::metadata(to.join("short")).unwrap().nlink();
        assert_eq!(names, if form == &"newc" || form == &"crc" { 2 } else { 1 }, "{form}");
        // One name alone has the data, whichever it is.
        let alone = scene.beside(&format!("{form} alone"));
        fs::create_dir(&alone).unwrap();
        for name in ["short", "zweiter name"] {
            let what = format!("VTL001L9:{name}");
            vtl(&["restore", &what, "-C", alone.to_str().unwrap(), "--file", &file]).done();
            assert_eq!(fs::read_to_string(alone.join(name)).unwrap(), "x", "{form}");
        }
    }
    vtl(&["group", "create", "all", "VTL001L9"]).done();
    let report = vtl(&["drill", "run", "all", "--format", "json"]).done().json();
    let row = &report["cartridges"][0];
    assert_eq!((&row["archives"], &row["kinds"]["cpio"]), (&4.into(), &4.into()), "{row:#}");
    assert!(row["files"].as_u64().unwrap() >= 4 * expected.len() as u64);
}

/// A member of the new form, or of that with sums.
fn member(name: &str, mode: u32, data: &[u8], sum: Option<u32>) -> Vec<u8> {
    of_owner(name, (0, 0), mode, data, sum)
}

/// An archive with one empty member that belongs to somebody.
pub(crate) fn owned(name: &str, owner: (u32, u32), mode: u32) -> Vec<u8> {
    [of_owner(name, owner, mode, b"", None), member("TRAILER!!!", 0, b"", None)].concat()
}

fn of_owner(
    name: &str,
    (uid, gid): (u32, u32),
    mode: u32,
    data: &[u8],
    sum: Option<u32>,
) -> Vec<u8> {
    let magic = if sum.is_some() { "070702" } else { "070701" };
    let (size, name_bytes, sum) = (data.len(), name.len() + 1, sum.unwrap_or(0));
    let fields = [
        1,
        mode,
        uid,
        gid,
        1,
        1_000_000_000,
        u32::try_from(size).unwrap(),
        0,
        0,
        0,
        0,
        u32::try_from(name_bytes).unwrap(),
        sum,
    ];
    let mut bytes = magic.to_owned().into_bytes();
    bytes.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
    bytes.extend_from_slice(name.as_bytes());
    bytes.resize((bytes.len() + 1).next_multiple_of(4), 0);
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

const FILE: u32 = 0o100_644;
const LINK: u32 = 0o120_777;

#[test]
fn nothing_leads_out_of_the_directory_and_what_is_no_file_is_left_out() {
    let scene = Scene::loaded();
    let outside = scene.beside("outside");
    fs::create_dir(&outside).unwrap();
    let absolute = outside.join("absolute").to_str().unwrap().to_owned();
    let out = outside.to_str().unwrap();
    let bytes = [
        member(&absolute, FILE, b"absolute", None),
        member("../outside/dotdot", FILE, b"dotdot", None),
        member("door", LINK, out.as_bytes(), None),
        member("door/through", FILE, b"through", None),
        member("last", LINK, absolute.as_bytes(), None),
        member("last", FILE, b"a file of the name of a link", None),
        member("device", 0o020_666, b"", None),
        member("good", FILE, b"good", Some(425)),
        member("TRAILER!!!", 0, b"", None),
    ]
    .concat();
    let mut session = scene.session("host");
    write_files(&mut session, &[(&bytes, 10_240)]);
    session.logout();
    let to = scene.beside("to");
    fs::create_dir(&to).unwrap();
    for _ in 0..2 {
        let options = ["restore", "VTL001L9:", "-C", to.to_str().unwrap(), "--overwrite"];
        let ran =
            scene.daemon().vtl(&options).ended(1).says("leads out of the directory").says("device");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{ran:?}");
        assert_eq!(fs::read_to_string(to.join("last")).unwrap(), "a file of the name of a link");
        assert_eq!(fs::read_to_string(to.join("good")).unwrap(), "good");
        assert_eq!(
            fs::read_to_string(to.join(absolute.trim_start_matches('/'))).unwrap(),
            "absolute"
        );
        assert!(!to.join("device").exists());
    }
}

#[test]
fn what_is_cut_off_or_does_not_add_up_is_told_and_the_rest_comes_back() {
    let scene = Scene::loaded();
    let data = noise(3, 40_000);
    let whole = [
        member("first", FILE, b"first", None),
        member("wrong", FILE, b"wrong sum", Some(1)),
        member("cut", FILE, &data, None),
    ]
    .concat();
    let mut endless = member("first", FILE, b"first", None);
    let mut header = member("endless", FILE, b"", None);
    header[54..62].copy_from_slice(b"ffffffff");
    endless.extend_from_slice(&header);
    let mut session = scene.session("host");
    write_files(&mut session, &[(&whole[..whole.len() - 10_000], 10_240), (&endless, 512)]);
    session.logout();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    let browsed = vtl(&["browse", "VTL001L9", "--format", "json"]).done().json();
    let broken =
        |number: usize| browsed["files"][number]["broken"].as_str().unwrap_or_default().to_owned();
    assert!(broken(0).contains("ends within") && broken(1).contains("ends within"), "{browsed}");
    assert_eq!(browsed["files"][1]["members"][1]["size_bytes"], u32::MAX);
    let to = scene.beside("to");
    fs::create_dir(&to).unwrap();
    let ran = vtl(&["restore", "VTL001L9:", "-C", to.to_str().unwrap(), "--file", "0"]).ended(5);
    let ran = ran.says("add up").says("ends before it should");
    assert_eq!(fs::read_to_string(to.join("first")).unwrap(), "first");
    assert!(!to.join("wrong").exists() && !to.join("cut").exists(), "{ran:?}");
    vtl(&["group", "create", "all", "VTL001L9"]).done();
    let failed = vtl(&["drill", "run", "all", "--format", "json"]).ended(5);
    let report: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    let trouble = &report["cartridges"][0]["archive_trouble"];
    assert_eq!(
        (&trouble[0]["file"], &trouble[1]["file"]),
        (&"wrong".into(), &"endless".into()),
        "{trouble:#}"
    );
}
