//! Who the program is: started as root, it becomes a user without any right before it has read a byte of anybody's, and checks
//! that there is no way back.
//!
//! Linux keeps users, groups and capabilities for each thread. All here change the calling thread and those that it starts later:
//! the daemon does it while it has one thread, and refuses otherwise.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use tracing::warn;

/// What a file that is made is for others than its owner: nothing.
const UMASK: u32 = 0o077;
/// Linux has 41 capabilities; its sets are 64 bits wide.
const MAX_CAPABILITIES: u32 = 64;
const USERS: &str = "/etc/passwd";
/// The lines of `/proc/thread-self/status` that have to be zero.
const EMPTY_SETS: [&str; 4] = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"];

/// A user of this machine who is not root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
    /// As he was named, for messages.
    name: String,
}

impl User {
    /// By name, or by number; a number needs no entry, and has its own group of the same number then.
    pub(crate) fn find(named: &str) -> anyhow::Result<Self> {
        // What asks directory services would have to be loaded as root; a service's own user is in this file.
        let users = fs::read_to_string(USERS).with_context(|| format!("cannot read {USERS}"))?;
        Self::find_in(&users, named)
    }

    fn find_in(users: &str, named: &str) -> anyhow::Result<Self> {
        let number = named.parse::<u32>().ok();
        let found = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = fields.nth(1)?.parse::<u32>().ok()?;
            let gid = fields.next()?.parse::<u32>().ok()?;
            let is_meant = number.map_or(name == named, |number| number == uid);
            is_meant.then_some((uid, gid))
        });
        let (uid, gid) = match (found, number) {
            (Some(found), _) => found,
            (None, Some(number)) => (number, number),
            (None, None) => bail!("there is no user {named:?} in {USERS}; a number does as well"),
        };
        ensure!(uid != 0 && gid != 0, "--user {named}: that is root, who is to be left");
        // The kernel takes this number for "leave it as it is".
        ensure!(uid != u32::MAX && gid != u32::MAX, "--user {named}: that is nobody's number");
        Ok(Self { uid, gid, name: named.to_owned() })
    }
}

/// What holds for every daemon: files that it makes are its own alone, and no program that it could start gives it more rights.
pub(crate) fn settle() -> anyhow::Result<()> {
    rustix::process::umask(Mode::from_raw_mode(UMASK));
    rustix::thread::set_no_new_privs(true).context("cannot give up new privileges")
}

/// Becomes the user, for good. Nothing in the data directory is opened before, as what is there may be the user's.
pub(crate) fn become_user(user: &User, directory: &Path) -> anyhow::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    if own != 0 {
        ensure!(
            own == user.uid,
            "--user {}: only root can become somebody else, and this is uid {own}",
            user.name
        );
        return Ok(());
    }
    let status = status()?;
    let threads = status_line(&status, "Threads:")?;
    ensure!(threads == "1", "--user comes too late: there are {threads} threads");
    give_directory(user, directory)?;
    drop_to(user)
}

/// The command line without a daemon: root works on a directory as the one whose it is, or files of root would be in it, which its
/// owner's daemon could not open.
pub(crate) fn act_as_owner(directory: &Path) -> anyhow::Result<()> {
    rustix::process::umask(Mode::from_raw_mode(UMASK));
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    match fs::metadata(directory) {
        Ok(metadata) if metadata.uid() != 0 => {
            let (uid, gid) = (metadata.uid(), metadata.gid());
            drop_to(&User { uid, gid, name: uid.to_string() })
        }
        _ => Ok(()),
    }
}

/// The data directory is for its owner alone, whoever made it (RELIABILITY S9). Called when it is known to be a data directory.
pub(crate) fn close_directory(directory: &Path) -> anyhow::Result<()> {
    let mode = fs::metadata(directory)?.permissions().mode();
    if mode & UMASK == 0 {
        return Ok(());
    }
    warn!(
        directory = %directory.display(),
        "others could look into the data directory (mode {:o}); now they cannot", mode & 0o7777
    );
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("cannot close {} to others", directory.display()))
}

/// Makes the directory if it is not there; refuses one that is somebody else's.
fn give_directory(user: &User, directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    let found = match fs::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return make_directory(user, directory).with_context(|| format!("cannot make {shown}"));
        }
        found => found.with_context(|| format!("cannot look at {shown}"))?,
    };
    ensure!(found.is_dir(), "{shown} is no directory (links are not followed here)");
    let belongs = |metadata: &Metadata| metadata.uid() == user.uid;
    let is_all_his = belongs(&found)
        && fs::read_dir(directory)
            .and_then(|entries| {
                let mut metadata = entries.map(|entry| entry?.metadata());
                metadata.try_fold(true, |so_far, next| Ok(so_far && belongs(&next?)))
            })
            .with_context(|| format!("cannot look into {shown}"))?;
    ensure!(
        is_all_his,
        "{shown} does not belong to {}, or not all of it; as root: chown -R {}:{} {}",
        user.name,
        user.uid,
        user.gid,
        quoted(&shown.to_string())
    );
    Ok(())
}

/// The handle is what is given away, so that nobody can put something else in its place.
fn make_directory(user: &User, directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        // Root's, and the user gets through them as far as the umask lets others in.
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    DirBuilder::new().mode(0o700).create(directory)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::open(directory, flags, Mode::empty())?;
    let made = rustix::fs::fstat(&handle)?;
    if made.st_uid != 0 || made.st_mode & 0o7777 != 0o700 {
        return Err(io::Error::other("somebody put another directory in its place"));
    }
    rustix::fs::fchown(&handle, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?;
    Ok(())
}

/// Groups first, as only root may leave them; then everything that root is.
fn drop_to(user: &User) -> anyhow::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let to = || format!("cannot become {}", user.name);
    empty_bounding_set();
    rustix::thread::clear_ambient_capability_set().with_context(to)?;
    rustix::thread::set_thread_groups(&[]).with_context(to)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).with_context(to)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).with_context(to)?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, none).with_context(to)?;
    rustix::thread::set_no_new_privs(true).with_context(to)?;
    check_dropped(user).with_context(to)
}

/// What no program that is started could get again. Where a container does not allow it, `no_new_privs` still forbids it.
fn empty_bounding_set() {
    for bit in 0..MAX_CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        // Those that this kernel does not know are refused.
        if !rustix::thread::capability_is_in_bounding_set(capability).unwrap_or(false) {
            continue;
        }
        if let Err(error) = rustix::thread::remove_capability_from_bounding_set(capability) {
            warn!(%error, "the bounding set of capabilities stays as it is");
            return;
        }
    }
}

/// Asks the kernel instead of believing the calls, and tries to come back.
fn check_dropped(user: &User) -> anyhow::Result<()> {
    let status = status()?;
    for (name, id) in [("Uid:", user.uid), ("Gid:", user.gid)] {
        let line = status_line(&status, name)?;
        // Real, effective, saved, and that of the file system.
        let are_his = line.split_whitespace().all(|word| word == id.to_string());
        ensure!(are_his, "{name} {line}");
    }
    let groups = status_line(&status, "Groups:")?;
    ensure!(groups.is_empty(), "Groups: {groups}");
    for name in EMPTY_SETS {
        let set = status_line(&status, name)?;
        ensure!(set.chars().all(|digit| digit == '0'), "{name} {set}");
    }
    ensure!(status_line(&status, "NoNewPrivs:")? == "1", "programs could give new privileges");
    let back = rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT);
    ensure!(back.is_err(), "there is a way back to root");
    Ok(())
}

fn status() -> anyhow::Result<String> {
    fs::read_to_string("/proc/thread-self/status")
        .context("cannot read /proc/thread-self/status, which says what was given up")
}

fn status_line<'a>(status: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.map(str::trim).with_context(|| format!("the kernel does not tell {name}"))
}

/// For a shell.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@".contains(letter);
    if text.chars().all(is_plain) && !text.starts_with('-') {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\n# a comment\nvtl:x:990:991::/var/lib/vtl:/usr/sbin/nologin\n\
                         toor:x:0:0::/:/bin/sh\nbroken:x\nodd:x:4294967295:5::/:\nwheel:x:44:0::/:\n";

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let find = |named: &str| User::find_in(USERS, named).map(|user| (user.uid, user.gid)).ok();
        assert_eq!(find("vtl"), Some((990, 991)));
        assert_eq!(find("990"), Some((990, 991)));
        assert_eq!(find("4711"), Some((4711, 4711)));
        for refused in
            ["root", "0", "toor", "broken", "odd", "4294967295", "wheel", "44", "", "vt", "-1"]
        {
            assert_eq!(find(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn the_command_can_be_pasted() {
        assert_eq!(quoted("/var/lib/vtl"), "/var/lib/vtl");
        assert_eq!(quoted("/srv/it's; rm"), r"'/srv/it'\''s; rm'");
        assert_eq!(quoted("-R"), "'-R'");
    }
}
