//! Why a step of the walk is not taken, and what to do.

use jiff::Timestamp;
use thiserror::Error;

use vtl_media::{Barcode, CopyState};

use crate::age::moment;

/// Why a step is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WalkError {
    /// Several tapes have this name, and nobody can say which one is meant.
    #[error(
        "{name} may be {} tapes: name the one that is meant, or each of them, as {}; `vtl vault list --format json` shows medium and id of each",
        ways.len(),
        ways.join(" or ")
    )]
    Ambiguous {
        /// The name.
        name: String,
        /// What each of them is called so that it is taken for no other.
        ways: Vec<String>,
    },
    /// No copy has this barcode.
    #[error(
        "no copy has the barcode {0}; `vtl vault list` shows all copies, and `vtl policy run` or `vtl export` begins new ones"
    )]
    NoCopy(String),
    /// Nothing is where it would have to be.
    #[error(
        "no copy is {state}, so there is nothing to {verb}; `vtl vault plan` says what is next for each copy"
    )]
    Nothing {
        /// Where copies would have to be.
        state: CopyState,
        /// What was to be done.
        verb: &'static str,
    },
    /// A copy is elsewhere on its way.
    #[error(
        "{volume}, copy {number} of {barcode}, is {state}; before the step to {to} it has to be {missing}"
    )]
    Missing {
        /// What the tape's label says.
        volume: String,
        /// The cartridge.
        barcode: Barcode,
        /// Which copy.
        number: u32,
        /// Where it is.
        state: CopyState,
        /// Where it was to be.
        to: CopyState,
        /// The steps in between, in words.
        missing: String,
    },
    /// One of a group is not ready.
    #[error(
        "group {group} goes all or none, and copy {number} of {barcode} is {state}: {}, or take the cartridge out of the group",
        if *state == CopyState::Returned { "name it too, or retire it" } else { "bring it so far too" }
    )]
    Group {
        /// The group.
        group: String,
        /// The member that is not ready.
        barcode: Barcode,
        /// Which copy.
        number: u32,
        /// Where that copy is.
        state: CopyState,
    },
    /// Another cartridge on the same tape is not ready.
    #[error(
        "tape {volume} has several cartridges, which go together, and copy {number} of {barcode} on it is {state}: bring it so far too"
    )]
    Stack {
        /// What the tape's label says.
        volume: String,
        /// The cartridge that is not ready.
        barcode: Barcode,
        /// Which copy.
        number: u32,
        /// Where that copy is.
        state: CopyState,
    },
    /// No container of this name is there.
    #[error(
        "no container {container} is {state}; `vtl vault list` shows which container each copy is in"
    )]
    NoContainer {
        /// Its name.
        container: String,
        /// What it would have to be.
        state: &'static str,
    },
    /// A container of this name is away.
    #[error(
        "a container {container} is {state} since {}: give this one another name, or `vtl vault return --container {container}` first",
        moment(*since)
    )]
    ContainerAway {
        /// Its name.
        container: String,
        /// Where it is.
        state: CopyState,
        /// Since when.
        since: Timestamp,
    },
    /// There was a container with this name but for small and capital letters.
    #[error(
        "there was a container {known}, and {container} differs from it in small and capital letters only, which bars do not tell: \
         write {known} if it is the same one, else give this one another name"
    )]
    ContainerCase {
        /// Its name.
        container: String,
        /// The name that is known.
        known: String,
    },
    /// The seal is another one.
    #[error(
        "container {container} was shipped with seal {shipped}, and {found} was found: look whether it was opened, count the tapes, and \
         say why it is accepted all the same with --accept REASON"
    )]
    Seal {
        /// Its name.
        container: String,
        /// The seal that it was shipped with.
        shipped: String,
        /// The seal that it has.
        found: String,
    },
    /// It is said to be missing, and not among those concerned.
    #[error(
        "{barcode} is not in container {container}; `vtl vault manifest {container}` shows what is"
    )]
    NotInContainer {
        /// What it was called.
        barcode: String,
        /// The container.
        container: String,
    },
}
