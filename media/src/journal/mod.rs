//! The journal: append-only segments of self-describing records.
//!
//! FORMAT.md has the layout. [`record`] and [`segment`] are the codecs, [`view`] says which records are live, [`reader`]
//! finds and checks them, [`ahead`] before they are asked for, [`appender`], [`worker`] and [`flight`] write behind the [`queue`], [`scan`] and [`repair`] recover.

mod ahead;
mod appender;
mod batch;
mod file;
mod flight;
mod open_segment;
mod queue;
mod reader;
mod record;
mod region;
mod repair;
mod scan;
mod segment;
mod view;
mod worker;

pub(crate) use self::ahead::{ReadAhead, Record};
pub(crate) use self::appender::{Appender, AppenderOptions};
pub(crate) use self::queue::{Amount, Content, Item, Queue, Timing};
pub(crate) use self::reader::{Found, Reader};
pub(crate) use self::record::{
    Header, Kind, PAGE_BYTES, Point, RECORD_DATA_BYTES_MAX, payload_offset, record_bytes,
    time_from_us,
};
pub(crate) use self::repair::set_aside;
pub(crate) use self::scan::{Recovered, ScanError, recover};
pub(crate) use self::view::{Key, View};
pub(crate) use self::worker::{SpaceOptions, start};
