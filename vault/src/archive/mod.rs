//! What lies in the tape files of a cartridge: archives are looked into, so that one file can be found and given back alone.

mod cpio;
mod kind;
mod members;
pub mod multivolume;
mod name;
mod tape_file;

pub use cpio::CpioHeader;
pub use kind::Kind;
pub use members::{Budget, Listing, Member, MemberKind, Part, has_label, list};
pub use name::RawName;
pub use tape_file::TapeFile;

/// The longest path that Linux takes.
const NAME_BYTES_MAX: usize = 4096;

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
