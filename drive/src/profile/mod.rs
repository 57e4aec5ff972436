//! What distinguishes one drive model from another, as data: a file per family.

mod generation;
mod hp;
mod ibm;
mod vendor_page;

pub use generation::Generation;
pub use vendor_page::{PageContent, VendorPage};

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
    /// What the medium type byte of the mode parameter header says.
    pub medium_types: MediumTypes,
    /// Where LOCATE(16) to a file goes.
    pub file_meaning: FileMeaning,
    /// NAA identifiers begin with this: type 5 and the vendor's IEEE company identifier. The rest comes from the serial number.
    pub naa_base: u64,
    /// Vital product data pages of this vendor's own.
    pub vendor_pages: &'static [VendorPage],
}

/// What the medium type byte of the mode parameter header says of a loaded cartridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediumTypes {
    /// IBM: the generation, with bit 2 for write once.
    Generation,
    /// HP: 00h, and 01h for write once. Which generation it is, the density code says.
    WormOnly,
}

/// What a logical file identifier means to LOCATE(16).
///
/// Vendors differ by one filemark, and clients that know this measure it: proxmox-backup locates file n, spaces over one
/// filemark, looks where it is, and corrects itself from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMeaning {
    /// IBM, and what READ POSITION reports as the logical file: n filemarks lie before the position, directly behind the nth.
    BehindFilemark,
    /// HP: the filemark itself is the destination, so that the nth one is what is read next. File 0 is the beginning.
    BeforeFilemark,
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
    pub const ALL: [&'static Self; 11] = [
        &ibm::TD5,
        &ibm::TD6,
        &ibm::TD7,
        &ibm::TD8,
        &ibm::TD9,
        &ibm::TDA,
        &hp::ULTRIUM_5,
        &hp::ULTRIUM_6,
        &hp::ULTRIUM_7,
        &hp::ULTRIUM_8,
        &hp::ULTRIUM_9,
    ];

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

    /// The codes of these pages, and of those that the vendor adds, ascending.
    pub fn with_vendor_pages(&self, pages: &[u8]) -> Vec<u8> {
        let mut codes: Vec<u8> = self.vendor_pages.iter().map(|page| page.code).collect();
        codes.extend(pages);
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// The medium type byte of the mode parameter header for a loaded cartridge.
    pub fn medium_type(&self, generation: &Generation, is_worm: bool) -> u8 {
        const WORM_OF_A_GENERATION: u8 = 0x04;
        match self.medium_types {
            MediumTypes::Generation if is_worm => generation.medium_type | WORM_OF_A_GENERATION,
            MediumTypes::Generation => generation.medium_type,
            MediumTypes::WormOnly => u8::from(is_worm),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_model_reads_and_writes() {
        let codes = |name: &str| {
            let profile = Profile::find(name).unwrap();
            let code = |generation: &Generation| match profile.access(generation.media_type) {
                Access::Write(_) => 'w',
                Access::Read(_) => 'r',
                Access::None => '-',
            };
            Generation::ALL.map(code).iter().collect::<String>()
        };
        for (ibm, hp, expected) in [
            ("ibm-ult3580-td5", "hp-ultrium-5", "rww-----"),
            ("ibm-ult3580-td6", "hp-ultrium-6", "-rww----"),
            ("ibm-ult3580-td7", "hp-ultrium-7", "--rww---"),
            ("ibm-ult3580-td8", "hpe-ultrium-8", "----ww--"),
            ("ibm-ult3580-td9", "hpe-ultrium-9", "-----ww-"),
        ] {
            assert_eq!((codes(ibm).as_str(), codes(hp).as_str()), (expected, expected));
        }
        assert_eq!(codes("ibm-ult3580-tda"), "-------w", "LTO-10 breaks with all before it");
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
            assert_eq!(profile.naa_base >> 60, 5, "IEEE registered");
            assert_eq!(profile.naa_base & 0xffff_ffff, 0, "there is room for the serial number");
        }
    }

    #[test]
    fn medium_types_say_what_each_vendor_says() {
        let types = |name: &str, media_type: &str| {
            let (profile, generation) =
                (Profile::find(name).unwrap(), Generation::find(media_type).unwrap());
            (profile.medium_type(generation, false), profile.medium_type(generation, true))
        };
        assert_eq!(types("ibm-ult3580-td9", "lto8"), (0x88, 0x8c));
        assert_eq!(types("ibm-ult3580-tda", "lto10"), (0xa8, 0xac));
        assert_eq!(types("hpe-ultrium-9", "lto9"), (0x00, 0x01));
    }
}
