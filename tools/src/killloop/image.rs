//! A file system in an image whose power can be cut.
//!
//! What a program has written and not synced is in the page cache of the mounted file system, and not in the image. A copy of the
//! image is therefore what a disk holds after a power cut: mounting it replays the file system's own journal. The copy has to be of
//! one moment, while the kernel writes to the image as it likes; so the image lies on XFS, which clones a file at once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Threads of a stopped process have stopped after this time, or wait for the disk.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// What was mounted can be unmounted when nobody uses it; that is seen after this time at the latest.
const UNMOUNT_LIMIT: Duration = Duration::from_mins(1);
/// The smallest image: XFS takes none below 300 MiB.
const IMAGE_BYTES: u64 = 1 << 30;
/// What a round may add to the image: its data, and space that is set aside for more.
const ROUND_BYTES: u64 = 96 << 20;

/// The image and where it is mounted. Unmounted when it is dropped.
#[derive(Debug)]
pub(crate) struct Image {
    outer: PathBuf,
    mounted: PathBuf,
}

/// The power switch; it can be handed to another thread.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    image: PathBuf,
    after_cut: PathBuf,
}

impl Image {
    /// A new file system of this kind (ext4, xfs) in a directory, for so many rounds. Only root can have it.
    pub(crate) fn new(directory: &Path, kind: &str, rounds: u32) -> anyhow::Result<Self> {
        let image = Self { outer: directory.join("outer"), mounted: directory.join("mounted") };
        let inner_bytes = IMAGE_BYTES + ROUND_BYTES * u64::from(rounds);
        fs::create_dir(&image.outer)?;
        fs::create_dir(&image.mounted)?;
        let outer = directory.join("outer.img");
        // Two images at a time, and their journals.
        make(&outer, "xfs", inner_bytes * 3)?;
        mount(&outer, &image.outer)?;
        make(&image.image(), kind, inner_bytes)?;
        mount(&image.image(), &image.mounted)?;
        Ok(image)
    }

    /// Where the file system is mounted.
    pub(crate) fn mounted(&self) -> &Path {
        &self.mounted
    }

    /// What cuts its power.
    pub(crate) fn switch(&self) -> Switch {
        Switch { image: self.image(), after_cut: self.outer.join("after-cut.img") }
    }

    /// Power comes back: mounts what the cut has left, in place of what was mounted before.
    pub(crate) fn power_on(&self) -> anyhow::Result<()> {
        unmount(&self.mounted)?;
        let switch = self.switch();
        fs::rename(&switch.after_cut, &switch.image)
            .context("no power was cut since the last time")?;
        mount(&switch.image, &self.mounted)
    }

    fn image(&self) -> PathBuf {
        self.outer.join("inner.img")
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        for path in [&self.mounted, &self.outer] {
            if let Err(error) = unmount(path) {
                eprintln!("killloop: {error:#}");
            }
        }
    }
}

impl Switch {
    /// Stops the process, and keeps what the disk holds at that moment. Whatever the process had answered before is to be there.
    pub(crate) fn cut(&self, pid: Pid) -> anyhow::Result<()> {
        kill_process(pid, Signal::STOP)?;
        wait_until_stopped(pid)?;
        let from = File::open(&self.image)?;
        let to = File::create(&self.after_cut)?;
        rustix::fs::ioctl_ficlone(&to, &from).context("cloning the image")?;
        Ok(())
    }
}

/// Every thread has stopped, or is in the kernel waiting for the disk and stops before it does anything else.
fn wait_until_stopped(pid: Pid) -> anyhow::Result<()> {
    let tasks = PathBuf::from(format!("/proc/{}/task", pid.as_raw_nonzero()));
    let begin = Instant::now();
    while begin.elapsed() < STOP_LIMIT {
        let mut runs = false;
        for task in fs::read_dir(&tasks)? {
            // A thread that ends meanwhile runs no more.
            let stat = fs::read_to_string(task?.path().join("stat")).unwrap_or_default();
            // The name is in parentheses and may have any characters; the state is behind it.
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            runs |= state.is_some_and(|state| !matches!(state, 'T' | 't' | 'D' | 'Z' | 'X'));
        }
        if !runs {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    bail!("the daemon does not stop within {} s", STOP_LIMIT.as_secs())
}

fn make(path: &Path, kind: &str, bytes: u64) -> anyhow::Result<()> {
    File::create_new(path)?.set_len(bytes)?;
    match kind {
        "ext4" => run(Command::new("mkfs.ext4").arg("-q").arg("-F").arg(path)),
        "xfs" => run(Command::new("mkfs.xfs").arg("-q").arg(path)),
        other => bail!("{other}: there are ext4 and xfs"),
    }
}

fn mount(image: &Path, directory: &Path) -> anyhow::Result<()> {
    run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(directory))
}

fn unmount(directory: &Path) -> anyhow::Result<()> {
    let is_mounted = || -> anyhow::Result<bool> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let name = directory.display().to_string();
        Ok(mounts.lines().any(|line| line.split(' ').nth(1) == Some(name.as_str())))
    };
    let begin = Instant::now();
    let mut last = Ok(());
    while is_mounted()? {
        if begin.elapsed() > UNMOUNT_LIMIT {
            return last.and_then(|()| bail!("{} stays mounted", directory.display()));
        }
        last = run(Command::new("umount").arg(directory));
        if last.is_err() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {name}"))?;
    ensure!(
        output.status.success(),
        "{name} ends with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
