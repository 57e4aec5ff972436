//! What several tests need.

use super::{DeviceRecord, LibraryRecord};
use crate::place::LibraryId;

/// A small library.
pub(crate) fn library_record() -> LibraryRecord {
    let device = || DeviceRecord { profile: "p".into(), serial: "0123456789".into() };
    LibraryRecord {
        id: LibraryId::default(),
        iqn: "iqn.2026-07.io.vtl:test".into(),
        changer: device(),
        drives: vec![device(), device()],
        storage_elements: 4,
        import_export_elements: 2,
        created: jiff::Timestamp::UNIX_EPOCH,
    }
}
