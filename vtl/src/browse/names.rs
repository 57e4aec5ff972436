//! Names of members, and which of them were asked for. They are compared as bytes: as text, several may look like one.

use std::borrow::Cow;

use vtl_vault::archive::{Member, MemberKind};

/// The path as the key of a place: whatever is spelled differently for the same place is the same here.
pub(super) fn normal(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|byte| *byte == b'/');
    let parts: Vec<&[u8]> = parts.filter(|part| !part.is_empty() && *part != b".").collect();
    parts.join(&b'/')
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    typed: Vec<u8>,
    path: Vec<u8>,
}

impl Wanted {
    pub(super) fn new(typed: &[u8]) -> Self {
        Self { typed: typed.to_vec(), path: normal(typed) }
    }

    /// As it was typed, for people.
    pub(super) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.typed)
    }

    /// Whether a member is it, or below it. A name that is no UTF-8 may also be typed as `vtl browse` shows it, and stands for all that are shown so.
    pub(super) fn has(&self, member: &Member) -> bool {
        let path = normal(member.name());
        let is_shown_so =
            || member.path_hex.is_some() && self.is_above(&normal(member.path.as_bytes()));
        let is_directory_itself = path.is_empty() && member.kind == MemberKind::Directory;
        (self.is_above(&path) || is_shown_so()) && !is_directory_itself
    }

    fn is_above(&self, path: &[u8]) -> bool {
        let below = path.strip_prefix(self.path.as_slice());
        self.path.is_empty() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }
}
