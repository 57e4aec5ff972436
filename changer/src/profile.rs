//! What distinguishes one library model from another, as data.

use crate::ElementMap;

/// A library model.
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
    /// The first element address of each type: transport, storage, import/export, data transfer.
    pub first_addresses: [u16; 4],
}

impl Profile {
    /// All models.
    pub const ALL: [&'static Self; 1] = [&IBM_03584L32];

    /// The model of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    /// The addresses of a library of this model and this size; `None` if that many elements do not fit.
    pub fn element_map(&self, storage: u16, import_export: u16, drives: u16) -> Option<ElementMap> {
        let [transport_first, storage_first, import_export_first, drive_first] =
            self.first_addresses;
        let map = ElementMap {
            transport: (transport_first, 1),
            storage: (storage_first, storage),
            import_export: (import_export_first, import_export),
            drive: (drive_first, drives),
        };
        let groups = map.groups();
        let apart = groups.windows(2).all(|pair| match pair {
            [lower, upper] => {
                u32::from(lower.first) + u32::from(lower.count) <= u32::from(upper.first)
            }
            _ => true,
        });
        let in_range =
            groups.iter().all(|group| u32::from(group.first) + u32::from(group.count) <= 0x1_0000);
        (apart && in_range).then_some(map)
    }
}

const IBM_03584L32: Profile = Profile {
    name: "ibm-03584l32",
    vendor: "IBM",
    product: "03584L32",
    revision: "1780",
    first_addresses: [0x0001, 0x0400, 0x0300, 0x0101],
};
