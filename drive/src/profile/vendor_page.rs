//! Vital product data pages that a vendor has made up. What is in them tells firmware and parts apart; no part is there, so
//! all say the product revision level, and the date of a build that never changes.

use vtl_scsi::vpd::{Identity, padded};

/// A vital product data page of a vendor's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VendorPage {
    /// The page code.
    pub code: u8,
    /// What is in it.
    pub content: PageContent,
}

/// What is in a vendor's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageContent {
    /// IBM C0h: drive component revision levels.
    ComponentRevision,
    /// IBM C1h: drive serial numbers, as manufactured and as reported.
    SerialNumbers,
    /// HP C0h to C5h: the revision level of a part.
    RevisionLevels {
        /// Which part.
        component: &'static str,
    },
    /// What a real device has answered, behind the four bytes of the header.
    Raw(&'static [u8]),
}

impl VendorPage {
    /// The page with its header.
    pub fn page(&self, identity: &Identity) -> Vec<u8> {
        let body = match self.content {
            PageContent::ComponentRevision => component_revision(identity),
            PageContent::SerialNumbers => padded(&identity.serial, 12).repeat(2),
            PageContent::RevisionLevels { component } => revision_levels(identity, component),
            PageContent::Raw(body) => body.to_vec(),
        };
        identity.page(self.code, &body)
    }
}

// 4-15 code name, 16-22 time (hhmmss), 23-30 date (yyyymmdd), 31-42 platform; 27h bytes behind the header
fn component_revision(identity: &Identity) -> Vec<u8> {
    let mut body = padded(&identity.revision, 12);
    body.extend(padded("120000", 7));
    body.extend(padded("20200101", 8));
    body.extend(padded("VIRTUAL", 12));
    body
}

// 4-29 component, 30-48 version, 49-72 date, 73-95 variant; 5Ch bytes behind the header
fn revision_levels(identity: &Identity, component: &str) -> Vec<u8> {
    let mut body = padded(component, 26);
    body.extend(padded(&identity.revision, 19));
    body.extend(padded("2020/01/01 12:00", 24));
    body.extend(padded("1", 23));
    body
}
