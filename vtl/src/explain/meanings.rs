//! What the values of some fields of CDBs mean.

pub(super) const SPACE_CODES: &[(u64, &str)] =
    &[(0, "blocks"), (1, "filemarks"), (2, "sequential filemarks"), (3, "end of data")];
pub(super) const PAGE_CONTROLS: &[(u64, &str)] =
    &[(0, "current"), (1, "changeable"), (2, "default"), (3, "saved")];
pub(super) const LOG_CONTROLS: &[(u64, &str)] =
    &[(0, "threshold"), (1, "cumulative"), (2, "default threshold"), (3, "default cumulative")];
pub(super) const MODE_PAGES: &[(u64, &str)] = &[
    (0x00, "none or vendor's"),
    (0x01, "read-write error recovery"),
    (0x02, "disconnect-reconnect"),
    (0x0a, "control"),
    (0x0f, "data compression"),
    (0x10, "device configuration"),
    (0x11, "medium partition"),
    (0x18, "protocol specific logical unit"),
    (0x19, "protocol specific port"),
    (0x1a, "power condition"),
    (0x1c, "informational exceptions control"),
    (0x1d, "element address assignment, or medium configuration of a drive"),
    (0x1e, "transport geometry"),
    (0x1f, "device capabilities"),
    (0x3f, "all pages"),
];
pub(super) const LOG_PAGES: &[(u64, &str)] = &[
    (0x00, "supported pages"),
    (0x02, "write error counters"),
    (0x03, "read error counters"),
    (0x0c, "sequential-access device"),
    (0x0d, "temperature"),
    (0x11, "DT device status"),
    (0x12, "TapeAlert response"),
    (0x14, "device statistics"),
    (0x16, "tape diagnostic data"),
    (0x17, "volume statistics"),
    (0x1b, "data compression"),
    (0x2e, "TapeAlert"),
    (0x30, "tape usage, vendor's"),
    (0x31, "tape capacity, vendor's"),
    (0x32, "data compression, vendor's"),
    (0x37, "performance characteristics, vendor's"),
];
pub(super) const SECURITY_PAGES: &[(u64, &str)] = &[
    (0x0000, "supported pages"),
    (0x0010, "set data encryption, or its capabilities"),
    (0x0011, "data encryption management capabilities"),
    (0x0020, "data encryption status"),
    (0x0021, "next block encryption status"),
    (0x0030, "random number"),
    (0x0031, "device server key wrapping public key"),
];
pub(super) const VITAL_PAGES: &[(u64, &str)] = &[
    (0x00, "supported pages"),
    (0x80, "serial number"),
    (0x83, "device identification"),
    (0x86, "extended INQUIRY data"),
    (0xb0, "sequential-access device capabilities"),
    (0xb1, "manufacturer-assigned serial number"),
    (0xb2, "TapeAlert supported flags"),
    (0xb3, "automation device serial number"),
    (0xb4, "data transfer device element address"),
    (0xb5, "logical block protection methods"),
];
pub(super) const RESERVATION_TYPES: &[(u64, &str)] = &[
    (1, "write exclusive"),
    (3, "exclusive access"),
    (5, "write exclusive, registrants only"),
    (6, "exclusive access, registrants only"),
    (7, "write exclusive, all registrants"),
    (8, "exclusive access, all registrants"),
];
pub(super) const ELEMENT_TYPES: &[(u64, &str)] = &[
    (0, "all"),
    (1, "medium transport"),
    (2, "storage"),
    (3, "import/export"),
    (4, "data transfer"),
];
pub(super) const BUFFER_MODES: &[(u64, &str)] = &[
    (0x02, "data"),
    (0x03, "descriptor"),
    (0x0a, "echo buffer"),
    (0x0b, "echo buffer descriptor"),
    (0x1c, "error history"),
];
