//! Bytes as people read them.

/// Bytes with three digits and a unit, as disks and tapes are sold: 1 kB is 1000 B.
pub fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    for (unit, factor) in UNITS {
        if bytes >= factor {
            let hundredths = bytes / (factor / 100);
            let (whole, rest) = (hundredths / 100, hundredths % 100);
            return match whole {
                0..=9 => format!("{whole}.{rest:02} {unit}"),
                10..=99 => format!("{whole}.{} {unit}", rest / 10),
                _ => format!("{whole} {unit}"),
            };
        }
    }
    format!("{bytes} B")
}
