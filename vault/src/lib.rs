//! Media management: what happens to a cartridge after the backup is done.
//!
//! This room decides and proves; it opens no device and no socket. A physical drive is whoever implements its trait for one, the ledger
//! is `vtl_media`'s, and time is an argument. Read [`Digester`] and [`Manifest`] first.

mod age;
pub mod archive;
mod calendar;
mod digest;
mod export;
mod facts;
mod gfs;
mod group;
mod hex;
mod policy;
mod pool;
mod posture;
pub mod receipt;
mod rules;
mod shipping;
mod size;
mod timer;
mod trigger;
pub mod walk;

pub use age::Age;
pub use calendar::{Calendar, CalendarError};
pub use digest::{Digester, Hash, PartitionDigest, Section, SectionEnd, root_of_all};
pub use export::{
    Contents, ExportError, Exported, Exports, Intake, Listed, Medium, Order, Region, Share,
    StackIndex, StackOrder, StackedCartridge, Taken, Tape, TapeError, TapeRead, Watcher, begun_on,
    stack_of, take_in,
};
pub use facts::Situation;
pub use gfs::{Gfs, MediaSet, Membership};
pub use group::{Group, matches_pattern};
pub use policy::{
    Action, Line, Plan, Planned, Policy, Waiting, cartridges_of, free_number, in_line, plan,
};
pub use pool::{Allocation, Kept, Next, Pool, Retention, Supply};
pub use posture::{Light, Points, Posture, Rehearsal, Rule32110, lost, posture};
pub use receipt::{
    Attribute, Counters, DriveIdentity, LedgerPoint, LeftOut, Manifest, Mismatch, Pass, Proof,
    Source, StackMember, StackPlace, Target,
};
pub use rules::{Rules, RulesError};
pub use shipping::{Row, ShippingList, csv_cell};
pub use size::size;
pub use timer::{Job, Timer, timers};
pub use trigger::{Trigger, Verdict};
