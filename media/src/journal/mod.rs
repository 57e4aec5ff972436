//! The journal: append-only segments of self-describing records.
//!
//! FORMAT.md has the layout. [`record`] and [`segment`] are the layouts, [`codec`] how data is stored (and [`packer`] a thread for it), [`view`] says which records are live, [`reader`]
//! finds and checks them, [`ahead`] before they are asked for, [`appender`], [`worker`] and [`flight`] write behind the [`queue`], [`scan`] and [`repair`] recover,
//! and [`summary`] spares opening each segment.

mod ahead;
mod appender;
mod batch;
mod codec;
mod file;
mod flight;
mod index;
mod layers;
mod lineage;
mod open_segment;
mod packer;
mod promise;
mod queue;
mod reader;
mod record;
mod region;
mod repair;
mod scan;
mod segment;
mod summary;
mod view;
mod worker;

pub(crate) use self::ahead::{ReadAhead, Record};
pub(crate) use self::appender::{Appender, AppenderOptions};
pub(crate) use self::codec::{Decoder, Unsealed};
pub(crate) use self::file::{SegmentReader, is_bad_sector};
pub(crate) use self::index::{Counts, Index, Waypoint};
pub(crate) use self::layers::{Layer, Layers};
pub(crate) use self::lineage::Begun;
pub(crate) use self::promise::Promise;
pub(crate) use self::queue::{Amount, Content, Flow, Item, Queue, Timing};
pub(crate) use self::reader::{Found, Reader, read_index, read_payload};
pub(crate) use self::record::{
    Codec, HEADER_BYTES, Header, Kind, PAGE_BYTES, Place, Point, RECORD_DATA_BYTES_MAX,
    SECTOR_BYTES, SECTOR_SIZE, VERSION as RECORD_VERSION, payload_offset, record_bytes,
    time_from_us,
};
pub(crate) use self::region::Region;
pub(crate) use self::repair::set_aside;
pub(crate) use self::scan::{Recovered, ScanError, recover};
pub(crate) use self::segment::number_of;
pub(crate) use self::summary::SummaryWriter;
pub(crate) use self::view::{Extent, IndexHome, Key, View};
pub(crate) use self::worker::{SpaceOptions, start};
