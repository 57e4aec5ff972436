//! Mode pages of a changer (SMC-3 §7.3).

use vtl_scsi::mode::{ModePage, ModeParameters};

use crate::ElementMap;

/// The pages of a library with these elements.
pub(crate) fn all(map: &ElementMap) -> ModeParameters {
    ModeParameters {
        pages: vec![
            control(),
            element_address_assignment(map),
            transport_geometry(),
            capabilities(),
        ],
    }
}

// 0Ah control (SPC-5 §7.5.10): 2 D_SENSE (bit 2), which alone can be changed.
fn control() -> ModePage {
    ModePage::new(0x0a, 0, vec![0; 10], [&[0x04][..], &[0; 9]].concat())
}

// 1Dh element address assignment: first address and count of transport, storage, import/export, data transfer elements.
fn element_address_assignment(map: &ElementMap) -> ModePage {
    let mut values = Vec::new();
    for (first, count) in [map.transport, map.storage, map.import_export, map.drive] {
        values.extend(first.to_be_bytes());
        values.extend(count.to_be_bytes());
    }
    values.extend([0, 0]);
    ModePage::fixed(0x1d, values)
}

// 1Eh transport geometry: per transport element, whether it rotates, and its number in the set.
fn transport_geometry() -> ModePage {
    ModePage::fixed(0x1e, vec![0, 0])
}

// 1Fh device capabilities: 2 what stores media; 4-7 moves from transport, storage, import/export, data transfer to each;
// 12-15 exchanges likewise. Bits: DT 3, I/E 2, ST 1, MT 0.
fn capabilities() -> ModePage {
    const ALL_BUT_TRANSPORT: u8 = 0x0e;
    let row = [0, ALL_BUT_TRANSPORT, ALL_BUT_TRANSPORT, ALL_BUT_TRANSPORT];
    let mut values = vec![ALL_BUT_TRANSPORT, 0];
    values.extend(row);
    values.extend([0; 4]);
    values.extend(row);
    values.extend([0; 4]);
    ModePage::fixed(0x1f, values)
}
