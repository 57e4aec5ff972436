//! A library in a data directory in memory, and what scripts and people may say to it.

use std::path::Path;
use std::sync::Arc;

use bolero::TypeGenerator;
use serde_json::{Map, Value, json};
use vtl_media::disk::{Disk, MemoryDisk};
use vtl_media::store::CatalogueKind;
use vtl_media::{
    Barcode, LibrarySpec, LoadOptions, NewCartridge, Place, Store, StoreOptions, Volume,
    WriteOutcome,
};

/// Where the data directory is.
pub const DIRECTORY: &str = "/data";

/// A small library: two drives, and three cartridges, one of which cleans.
pub fn spec() -> LibrarySpec {
    let cartridge = |barcode: &str| {
        let mut new = NewCartridge::new(Barcode::new(barcode).unwrap(), "lto9");
        new.capacity_bytes = Some(16 << 20);
        new.kind = vtl_media::CartridgeKind::of(&new.barcode);
        new
    };
    LibrarySpec {
        drives: 2,
        storage_elements: 4,
        import_export_elements: 2,
        cartridges: ["VTL001L9", "VTL002L9", "CLN001L9"].map(cartridge).to_vec(),
        ..LibrarySpec::default()
    }
}

/// Such a library, with something on one cartridge, moves, and a snapshot.
pub fn recorded() -> MemoryDisk {
    let memory = MemoryDisk::with_capacity(256 << 20);
    let store = open(&memory);
    store.initialize(spec()).unwrap();
    let entry = store.find("VTL001L9").unwrap();
    let options =
        LoadOptions { segment_bytes: 1 << 20, reserve_bytes: Some(0), ..LoadOptions::default() };
    let directory = store.directory_of(entry.uuid);
    let mut cartridge = Volume::load(store.disk(), &directory, options).unwrap();
    for number in 0..10 {
        let outcome = cartridge.write(Box::new(vec![number; 500]), 500, 1);
        assert!(matches!(outcome, Ok(WriteOutcome::Written)), "{outcome:?}");
        cartridge.write_filemarks(1).unwrap();
    }
    let facts = cartridge.facts();
    cartridge.unload().unwrap();
    store.update_facts(entry.uuid, &facts).unwrap();
    store.move_cartridge(&entry.place, &Place::drive(0), "test").unwrap();
    store.move_cartridge(&Place::drive(0), &entry.place, "test").unwrap();
    store.create_snapshot("monday", &[entry.uuid], &Default::default(), "test").unwrap();
    store.close().unwrap();
    memory
}

fn open(memory: &MemoryDisk) -> Store {
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let options = StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() };
    Store::open(disk, Path::new(DIRECTORY), options).unwrap()
}

/// A request as JSON whose fields are mostly such as there are.
#[derive(Debug, Clone, TypeGenerator)]
pub struct Request {
    operation: u8,
    fields: [Field; 8],
    odd: Option<(u8, Field)>,
}

#[derive(Debug, Clone, TypeGenerator)]
enum Field {
    Fits(u8),
    FitsToo(u8),
    Absent,
    Words(Vec<u8>),
    Number(u64),
    Text(String),
    Null,
    Deep(u8),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Barcode,
    Barcodes,
    Place,
    Time,
    Name,
    Flag,
    Count,
    Other,
}

use Kind::{
    Barcode as B, Barcodes as Bs, Count as C, Flag as F, Name as N, Other as O, Place as P,
    Time as T,
};

const OPERATIONS: &[(&str, &[(&str, Kind)])] = &[
    ("status", &[]),
    (
        "inventory",
        &[
            ("pattern", B),
            ("pool", N),
            ("group", N),
            ("location", P),
            ("state", O),
            ("older_than", T),
            ("sort", O),
        ],
    ),
    (
        "tape-create",
        &[
            ("barcodes", Bs),
            ("count", C),
            ("prefix", N),
            ("start", C),
            ("media_type", O),
            ("pool", N),
            ("capacity", O),
            ("to", P),
        ],
    ),
    ("tape-create", &[("count", C), ("library", N), ("capacity", O), ("media_type", O)]),
    ("tape-show", &[("barcodes", Bs)]),
    ("tape-eject", &[("barcodes", Bs), ("to", P)]),
    ("tape-insert", &[("barcodes", Bs), ("to", P)]),
    ("tape-delete", &[("barcodes", Bs), ("force", F)]),
    ("tape-history", &[("barcode", B), ("limit", C)]),
    ("tape-rewind", &[("barcodes", Bs), ("all", F), ("to", T), ("as_barcode", B), ("in_place", F)]),
    ("tape-clone", &[("barcode", B), ("to", T), ("as_barcode", B), ("place", P)]),
    ("snapshot-create", &[("name", N), ("barcodes", Bs), ("pool", N)]),
    ("snapshot-list", &[]),
    ("snapshot-present", &[("name", N), ("hide", F)]),
    ("snapshot-delete", &[("name", N)]),
    ("verify", &[("barcodes", Bs), ("all", F), ("share_percent", C)]),
    ("verify-progress", &[]),
    ("move", &[("from", P), ("to", P)]),
    ("move", &[("from", B), ("to", P)]),
    ("load", &[("barcode", B), ("drive", C), ("library", N)]),
    ("unload", &[("drive", C), ("library", N)]),
    (
        "library-create",
        &[
            ("name", N),
            ("profile", O),
            ("drives", O),
            ("slots", C),
            ("mail", C),
            ("profile_text", O),
        ],
    ),
    ("library-list", &[]),
    ("library-show", &[("name", N)]),
    ("catalog-check", &[]),
    ("catalog-rebuild", &[]),
    ("audit-list", &[("limit", C), ("barcode", B)]),
    ("audit-verify", &[]),
    ("trace", &[("unit", O), ("library", N), ("failures", F), ("count", C), ("after", C)]),
];

/// What barcodes, places, times and names may be like; odd ones come beside.
const BARCODES: [&str; 8] =
    ["VTL001L9", "VTL002L9", "CLN001L9", "RW0001L9", "VTL*", "NEW001L9", "../../X", "vtl001l9"];
const PLACES: [&str; 12] = [
    "slot:1",
    "slot:2",
    "slot:4",
    "slot:99",
    "mail:1",
    "drive:0",
    "drive:1",
    "shelf",
    "offsite",
    "main/slot:2",
    "../slot:1",
    "offsite:box",
];
const TIMES: [&str; 9] =
    ["p1", "p4", "p9999", "2h", "now", "yesterday 18:00", "-1d", "2026-01-01", "PT999999999H"];
const NAMES: [&str; 9] =
    ["main", "monday", "../../etc", "snapshot-x", "west", "", "a\0b", "%n", "VTL"];
const OTHERS: [&str; 16] = [
    "lto9",
    "lto6",
    "lto9-worm",
    "100MiB",
    "18TB",
    "99999999999TB",
    "2",
    "ibm-ult3580-td9:1",
    "ibm-3573-tl",
    "changer",
    "drive:0",
    "empty",
    "-barcode",
    "[library]\nname = \"acme-x1\"\nlike = \"ibm-3573-tl\"\n",
    "[[drive]]\nname = \"acme-lto9\"\nlike = \"ibm-ult3580-td9\"\n",
    "x.toml",
];

impl Request {
    /// The body.
    pub fn body(&self) -> Value {
        let (name, kinds) = OPERATIONS[usize::from(self.operation) % OPERATIONS.len()];
        let mut body = Map::new();
        body.insert("operation".into(), name.into());
        for ((name, kind), field) in kinds.iter().zip(&self.fields) {
            if let Some(value) = field.value(*kind) {
                body.insert((*name).into(), value);
            }
        }
        if let Some((index, field)) = &self.odd {
            let name = if index & 1 == 0 { "operation" } else { "x" };
            if let Some(value) = field.value(Kind::Other).filter(|_| *index < 16) {
                body.insert(name.into(), value);
            }
        }
        Value::Object(body)
    }
}

impl Field {
    fn value(&self, kind: Kind) -> Option<Value> {
        Some(match self {
            Self::Fits(index) | Self::FitsToo(index) => fitting(kind, *index),
            Self::Absent => return None,
            Self::Words(words) => words.iter().take(4).map(|index| fitting(kind, *index)).collect(),
            Self::Number(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::Null => Value::Null,
            Self::Deep(depth) => {
                (0..*depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
            }
        })
    }
}

fn fitting(kind: Kind, index: u8) -> Value {
    let of = |list: &[&str]| Value::from(list[usize::from(index) % list.len()]);
    match kind {
        Kind::Barcode => of(&BARCODES),
        Kind::Barcodes => {
            let first = usize::from(index) % BARCODES.len();
            json!(BARCODES[first..].iter().take(1 + usize::from(index >> 6)).collect::<Vec<_>>())
        }
        Kind::Place => of(&PLACES),
        Kind::Time => of(&TIMES),
        Kind::Name => of(&NAMES),
        Kind::Flag => json!(index & 1 == 1),
        Kind::Count => json!(u32::from(index) & 7),
        Kind::Other => of(&OTHERS),
    }
}
