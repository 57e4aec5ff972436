//! What distinguishes one drive model from another, as data.

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
    /// The medium type byte of the mode parameter header.
    pub medium_type: u8,
    /// Native capacity in bytes.
    pub capacity_bytes: u64,
    /// What REPORT DENSITY SUPPORT calls the density.
    pub density_name: &'static str,
    /// Bits per millimetre per track.
    pub bits_per_mm: u32,
    /// Width of the tape in tenths of a millimetre.
    pub width_tenths_mm: u16,
    /// Number of tracks.
    pub tracks: u16,
}

/// A drive model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// The name in the configuration.
    pub name: &'static str,
    /// T10 vendor identification.
    pub vendor: &'static str,
    /// Product identification.
    pub product: &'static str,
    /// Product revision level.
    pub revision: &'static str,
    /// The generation that the drive was made for.
    pub generation: &'static Generation,
    /// Older generations that it reads and writes.
    pub also_writes: &'static [&'static Generation],
    /// Older generations that it only reads.
    pub also_reads: &'static [&'static Generation],
}

/// What a drive can do with a cartridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and write.
    Write(&'static Generation),
    /// Read only.
    Read(&'static Generation),
    /// Nothing at all.
    None,
}

impl Profile {
    /// All models.
    pub const ALL: [&'static Self; 5] = [&TD5, &TD6, &TD7, &TD8, &TD9];

    /// The model of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    /// What this model can do with a cartridge of this media type.
    pub fn access(&self, media_type: &str) -> Access {
        let named = |generation: &&&'static Generation| generation.media_type == media_type;
        let own = [self.generation];
        if let Some(generation) = own.iter().chain(self.also_writes).find(named) {
            return Access::Write(generation);
        }
        self.also_reads
            .iter()
            .find(named)
            .map_or(Access::None, |generation| Access::Read(generation))
    }
}

impl Generation {
    /// All generations that the library has cartridges of.
    pub const ALL: [&'static Self; 7] = [&LTO3, &LTO4, &LTO5, &LTO6, &LTO7, &LTO8, &LTO9];

    /// The generation of this media type.
    pub fn find(media_type: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|generation| generation.media_type == media_type)
    }
}

const fn generation(
    (media_type, name, barcode_suffix): (&'static str, &'static str, &'static str),
    (density, medium_type, density_name): (u8, u8, &'static str),
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
        bits_per_mm,
        width_tenths_mm: 127,
        tracks,
    }
}

const GB: u64 = 1_000_000_000;
const LTO3: Generation =
    generation(("lto3", "LTO-3", "L3"), (0x44, 0x38, "U-316"), 400 * GB, (9_638, 704));
const LTO4: Generation =
    generation(("lto4", "LTO-4", "L4"), (0x46, 0x48, "U-416"), 800 * GB, (12_725, 896));
const LTO5: Generation =
    generation(("lto5", "LTO-5", "L5"), (0x58, 0x58, "U-516"), 1_500 * GB, (15_142, 1_280));
const LTO6: Generation =
    generation(("lto6", "LTO-6", "L6"), (0x5a, 0x68, "U-616"), 2_500 * GB, (15_143, 2_176));
const LTO7: Generation =
    generation(("lto7", "LTO-7", "L7"), (0x5c, 0x78, "U-732"), 6_000 * GB, (19_107, 3_584));
const LTO8: Generation =
    generation(("lto8", "LTO-8", "L8"), (0x5e, 0x88, "U-832"), 12_000 * GB, (20_669, 6_656));
const LTO9: Generation =
    generation(("lto9", "LTO-9", "L9"), (0x60, 0x98, "U-932"), 18_000 * GB, (21_459, 8_960));

const fn td(
    (name, product, revision): (&'static str, &'static str, &'static str),
    generation: &'static Generation,
    also_writes: &'static [&'static Generation],
    also_reads: &'static [&'static Generation],
) -> Profile {
    Profile { name, vendor: "IBM", product, revision, generation, also_writes, also_reads }
}

const TD5: Profile = td(("ibm-ult3580-td5", "ULT3580-TD5", "G9P1"), &LTO5, &[&LTO4], &[&LTO3]);
const TD6: Profile = td(("ibm-ult3580-td6", "ULT3580-TD6", "KAJ9"), &LTO6, &[&LTO5], &[&LTO4]);
const TD7: Profile = td(("ibm-ult3580-td7", "ULT3580-TD7", "PA41"), &LTO7, &[&LTO6], &[&LTO5]);
const TD8: Profile = td(("ibm-ult3580-td8", "ULT3580-TD8", "PA41"), &LTO8, &[&LTO7], &[]);
const TD9: Profile = td(("ibm-ult3580-td9", "ULT3580-TD9", "Q3F5"), &LTO9, &[&LTO8], &[]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_model_reads_and_writes() {
        let codes = |profile: &Profile| {
            Generation::ALL.map(|generation| match profile.access(generation.media_type) {
                Access::Write(_) => 'w',
                Access::Read(_) => 'r',
                Access::None => '-',
            })
        };
        assert_eq!(codes(&TD5).iter().collect::<String>(), "rww----");
        assert_eq!(codes(&TD6).iter().collect::<String>(), "-rww---");
        assert_eq!(codes(&TD7).iter().collect::<String>(), "--rww--");
        assert_eq!(codes(&TD8).iter().collect::<String>(), "----ww-");
        assert_eq!(codes(&TD9).iter().collect::<String>(), "-----ww");
    }

    #[test]
    fn names_fit_into_inquiry_data() {
        for profile in Profile::ALL {
            assert!(
                profile.vendor.len() <= 8
                    && profile.product.len() <= 16
                    && profile.revision.len() == 4
            );
            assert_eq!(Profile::find(profile.name), Some(profile));
        }
    }
}
