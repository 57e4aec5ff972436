//! IBM's LTO drives: full height, ULT3580-TD5 to -TD9, and -TDA, which is LTO-10.

use super::generation::{Generation, LTO3, LTO4, LTO5, LTO6, LTO7, LTO8, LTO9, LTO10};
use super::{FileMeaning, MediumTypes, PageContent, Profile, VendorPage};

pub(super) const TD5: Profile =
    td(("ibm-ult3580-td5", "ULT3580-TD5", "G9P1"), &LTO5, &[&LTO4], &[&LTO3]);
pub(super) const TD6: Profile =
    td(("ibm-ult3580-td6", "ULT3580-TD6", "KAJ9"), &LTO6, &[&LTO5], &[&LTO4]);
pub(super) const TD7: Profile =
    td(("ibm-ult3580-td7", "ULT3580-TD7", "PA41"), &LTO7, &[&LTO6], &[&LTO5]);
pub(super) const TD8: Profile =
    td(("ibm-ult3580-td8", "ULT3580-TD8", "PA41"), &LTO8, &[&LTO7], &[]);
pub(super) const TD9: Profile =
    td(("ibm-ult3580-td9", "ULT3580-TD9", "Q3F5"), &LTO9, &[&LTO8], &[]);
/// LTO-10 drives take LTO-10 cartridges and no others.
pub(super) const TDA: Profile = td(("ibm-ult3580-tda", "ULT3580-TDA", "T2K0"), &LTO10, &[], &[]);

const fn td(
    (name, product, revision): (&'static str, &'static str, &'static str),
    generation: &'static Generation,
    also_writes: &'static [&'static Generation],
    also_reads: &'static [&'static Generation],
) -> Profile {
    Profile {
        name,
        vendor: "IBM",
        product,
        revision,
        generation,
        also_writes,
        also_reads,
        medium_types: MediumTypes::Generation,
        file_meaning: FileMeaning::BehindFilemark,
        naa_base: 0x5005_0763_0000_0000,
        vendor_pages: PAGES,
    }
}

// IBM LTO Ultrium SCSI Reference, "Vital Product Data": C0h and C1h.
const PAGES: &[VendorPage] = &[
    VendorPage { code: 0xc0, content: PageContent::ComponentRevision },
    VendorPage { code: 0xc1, content: PageContent::SerialNumbers },
];
