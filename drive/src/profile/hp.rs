//! HP's LTO drives, and HPE's, which they are called from LTO-8 on: a drive of the seventh generation still says HP.

use super::generation::{Generation, LTO3, LTO4, LTO5, LTO6, LTO7, LTO8, LTO9};
use super::{FileMeaning, MediumTypes, PageContent, Profile, VendorPage};

pub(super) const ULTRIUM_5: Profile =
    ultrium("HP", ("hp-ultrium-5", "Ultrium 5-SCSI", "I3EZ"), &LTO5, &[&LTO4], &[&LTO3]);
pub(super) const ULTRIUM_6: Profile =
    ultrium("HP", ("hp-ultrium-6", "Ultrium 6-SCSI", "J5SZ"), &LTO6, &[&LTO5], &[&LTO4]);
pub(super) const ULTRIUM_7: Profile =
    ultrium("HP", ("hp-ultrium-7", "Ultrium 7-SCSI", "Q387"), &LTO7, &[&LTO6], &[&LTO5]);
pub(super) const ULTRIUM_8: Profile =
    ultrium("HPE", ("hpe-ultrium-8", "Ultrium 8-SCSI", "P382"), &LTO8, &[&LTO7], &[]);
pub(super) const ULTRIUM_9: Profile =
    ultrium("HPE", ("hpe-ultrium-9", "Ultrium 9-SCSI", "S2S1"), &LTO9, &[&LTO8], &[]);

const fn ultrium(
    vendor: &'static str,
    (name, product, revision): (&'static str, &'static str, &'static str),
    generation: &'static Generation,
    also_writes: &'static [&'static Generation],
    also_reads: &'static [&'static Generation],
) -> Profile {
    Profile {
        name,
        vendor,
        product,
        revision,
        generation,
        also_writes,
        also_reads,
        medium_types: MediumTypes::WormOnly,
        file_meaning: FileMeaning::BeforeFilemark,
        naa_base: 0x5001_4380_0000_0000,
        vendor_pages: PAGES,
    }
}

// HP LTO Ultrium Technical Reference Manual, volume 3, "Vital Product Data pages": revision levels of the parts.
const PAGES: &[VendorPage] = &[
    revision_levels(0xc0, "Firmware"),
    revision_levels(0xc1, "Hardware"),
    revision_levels(0xc2, "PCA"),
    revision_levels(0xc3, "Mechanism"),
    revision_levels(0xc4, "Head Assy"),
    revision_levels(0xc5, "ACI"),
];

const fn revision_levels(code: u8, component: &'static str) -> VendorPage {
    VendorPage { code, content: PageContent::RevisionLevels { component } }
}
