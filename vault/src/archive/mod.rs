//! What lies in the tape files of a cartridge: archives are looked into, so that one file can be found and given back alone.

mod kind;
mod members;
mod tape_file;

pub use kind::Kind;
pub use members::{Budget, Listing, Member, MemberKind, list};
pub use tape_file::TapeFile;
