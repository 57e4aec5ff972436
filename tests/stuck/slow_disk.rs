//! A cartridge on a file system that can be stopped.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use vtl_tests::{Scene, poll};

/// The file system of one cartridge. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct SlowDisk {
    process: Child,
    mounted: PathBuf,
}

impl SlowDisk {
    /// Puts a cartridge of a library that does not run on a file system of its own.
    pub(crate) fn under(scene: &Scene, barcode: &str) -> Self {
        let row = vtl_tests::vtl(&scene.data(), &["tape", "show", barcode, "--format", "json"]);
        let uuid = row.done().json()[0]["uuid"].as_str().unwrap().to_owned();
        let directory = scene.data().join("cartridges").join(uuid);
        let (image, aside) = (scene.beside("slow.img"), scene.beside("aside"));
        std::fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-O", "^has_journal"]).arg(&image));
        // fuse2fs mounts on nothing but an empty directory.
        std::fs::rename(&directory, &aside).unwrap();
        std::fs::create_dir(&directory).unwrap();
        // In the foreground, so that the process is the one that serves.
        let process = Command::new("fuse2fs")
            .arg(&image)
            .arg(&directory)
            .args(["-f", "-o", "rw"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("fuse2fs starts");
        let disk = Self { process, mounted: directory };
        poll("the mount", Duration::from_secs(20), || disk.is_mounted().then_some(()));
        run(Command::new("cp").arg("-a").arg(aside.join(".")).arg(&disk.mounted));
        disk
    }

    /// From now on nothing on it is answered.
    pub(crate) fn stop(&self) {
        kill_process(Pid::from_child(&self.process), Signal::STOP).expect("fuse2fs runs");
    }

    /// From now on everything is.
    pub(crate) fn go_on(&self) {
        kill_process(Pid::from_child(&self.process), Signal::CONT).expect("fuse2fs runs");
    }

    fn is_mounted(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let name = self.mounted.display().to_string();
        mounts.lines().any(|line| line.split(' ').nth(1) == Some(name.as_str()))
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        if kill_process(Pid::from_child(&self.process), Signal::CONT).is_err() {
            eprintln!("fuse2fs was gone");
        }
        // Lazily, as the daemon of a test that failed may still use it; then the process ends by itself.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.mounted).status();
        if !unmounted.is_ok_and(|status| status.success()) || std::thread::panicking() {
            self.process.kill().ok();
        }
        self.process.wait().ok();
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
}
