//! LTO generations, as data.

/// An LTO generation: its media type code and its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// The name in inventories: `lto9`.
    pub media_type: &'static str,
    /// The name on the box: `LTO-9`.
    pub name: &'static str,
    /// The two characters behind the six of a barcode.
    pub barcode_suffix: &'static str,
    /// The primary density code.
    pub density: u8,
    /// The medium type byte of the mode parameter header, where a drive tells generations apart by it.
    pub medium_type: u8,
    /// Native capacity in bytes.
    pub capacity_bytes: u64,
    /// What REPORT DENSITY SUPPORT calls the density.
    pub density_name: &'static str,
    /// The longer version of that: generation, and tracks that are written at once.
    pub description: &'static str,
    /// Bits per millimetre per track.
    pub bits_per_mm: u32,
    /// Width of the tape in tenths of a millimetre.
    pub width_tenths_mm: u16,
    /// Number of tracks.
    pub tracks: u16,
}

impl Generation {
    /// All generations that the library has cartridges of.
    pub const ALL: [&'static Self; 8] = [&LTO3, &LTO4, &LTO5, &LTO6, &LTO7, &LTO8, &LTO9, &LTO10];

    /// The generation of this media type.
    pub fn find(media_type: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|generation| generation.media_type == media_type)
    }
}

const fn generation(
    (media_type, name, barcode_suffix): (&'static str, &'static str, &'static str),
    (density, medium_type): (u8, u8),
    (density_name, description): (&'static str, &'static str),
    capacity_bytes: u64,
    (bits_per_mm, tracks): (u32, u16),
) -> Generation {
    Generation {
        media_type,
        name,
        barcode_suffix,
        density,
        medium_type,
        capacity_bytes,
        density_name,
        description,
        bits_per_mm,
        width_tenths_mm: 127,
        tracks,
    }
}

const GB: u64 = 1_000_000_000;
pub(super) const LTO3: Generation = generation(
    ("lto3", "LTO-3", "L3"),
    (0x44, 0x38),
    ("U-316", "Ultrium 3/16T"),
    400 * GB,
    (9_638, 704),
);
pub(super) const LTO4: Generation = generation(
    ("lto4", "LTO-4", "L4"),
    (0x46, 0x48),
    ("U-416", "Ultrium 4/16T"),
    800 * GB,
    (12_725, 896),
);
pub(super) const LTO5: Generation = generation(
    ("lto5", "LTO-5", "L5"),
    (0x58, 0x58),
    ("U-516", "Ultrium 5/16T"),
    1_500 * GB,
    (15_142, 1_280),
);
pub(super) const LTO6: Generation = generation(
    ("lto6", "LTO-6", "L6"),
    (0x5a, 0x68),
    ("U-616", "Ultrium 6/16T"),
    2_500 * GB,
    (15_143, 2_176),
);
pub(super) const LTO7: Generation = generation(
    ("lto7", "LTO-7", "L7"),
    (0x5c, 0x78),
    ("U-732", "Ultrium 7/32T"),
    6_000 * GB,
    (19_107, 3_584),
);
pub(super) const LTO8: Generation = generation(
    ("lto8", "LTO-8", "L8"),
    (0x5e, 0x88),
    ("U-832", "Ultrium 8/32T"),
    12_000 * GB,
    (20_669, 6_656),
);
pub(super) const LTO9: Generation = generation(
    ("lto9", "LTO-9", "L9"),
    (0x60, 0x98),
    ("U-932", "Ultrium 9/32T"),
    18_000 * GB,
    (21_459, 8_960),
);
/// Neither read nor written by any other generation of drive. Bits per millimetre are those that FreeBSD's `mt` took from a
/// drive; density name and description follow the form of the earlier ones, for nobody has published them.
pub(super) const LTO10: Generation = generation(
    ("lto10", "LTO-10", "LA"),
    (0x62, 0xa8),
    ("U-1032", "Ultrium 10/32T"),
    30_000 * GB,
    (21_657, 15_104),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_that_can_be_made_has_the_same_capacity_everywhere() {
        for generation in Generation::ALL {
            assert_eq!(
                vtl_media::store::native_capacity_bytes(generation.media_type),
                Some(generation.capacity_bytes),
                "{}",
                generation.name
            );
            assert!(generation.density_name.len() <= 8 && generation.description.len() <= 20);
            assert_eq!(Generation::find(generation.media_type), Some(generation));
        }
    }
}
