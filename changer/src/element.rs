//! Elements and their addresses (SMC-3 §5.2).

/// One element, counted from 0 within its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// A medium transport element: the arm.
    Transport(u16),
    /// A storage element.
    Storage(u16),
    /// An import/export element.
    ImportExport(u16),
    /// A data transfer element: a drive.
    Drive(u16),
}

/// The element types in the order of their codes (SMC-3 table 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ElementType {
    Transport = 1,
    Storage = 2,
    ImportExport = 3,
    Drive = 4,
}

/// Elements of one type: consecutive addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) kind: ElementType,
    pub(crate) first: u16,
    pub(crate) count: u16,
}

/// Which addresses a library's elements have. They are kept in the configuration of backup software and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElementMap {
    /// First address and count of the medium transport elements.
    pub transport: (u16, u16),
    /// First address and count of the storage elements.
    pub storage: (u16, u16),
    /// First address and count of the import/export elements.
    pub import_export: (u16, u16),
    /// First address and count of the data transfer elements.
    pub drive: (u16, u16),
}

impl ElementMap {
    /// The address of an element.
    pub fn address(&self, element: Element) -> u16 {
        let ((first, _), number) = match element {
            Element::Transport(number) => (self.transport, number),
            Element::Storage(number) => (self.storage, number),
            Element::ImportExport(number) => (self.import_export, number),
            Element::Drive(number) => (self.drive, number),
        };
        first.saturating_add(number)
    }

    /// The element with this address.
    pub fn element(&self, address: u16) -> Option<Element> {
        let group = self.groups().into_iter().find(|group| group.contains(address))?;
        Some(group.element(address - group.first))
    }

    /// Whether an address names a transport element; 0 is the default one (SMC-3 §6.8).
    pub(crate) fn is_transport(&self, address: u16) -> bool {
        address == 0 || matches!(self.element(address), Some(Element::Transport(_)))
    }

    /// All types, ascending by address.
    pub(crate) fn groups(&self) -> [Group; 4] {
        let group = |kind, (first, count)| Group { kind, first, count };
        let mut groups = [
            group(ElementType::Transport, self.transport),
            group(ElementType::Storage, self.storage),
            group(ElementType::ImportExport, self.import_export),
            group(ElementType::Drive, self.drive),
        ];
        groups.sort_by_key(|group| group.first);
        groups
    }
}

impl Group {
    pub(crate) fn contains(self, address: u16) -> bool {
        address.checked_sub(self.first).is_some_and(|number| number < self.count)
    }

    pub(crate) fn element(self, number: u16) -> Element {
        match self.kind {
            ElementType::Transport => Element::Transport(number),
            ElementType::Storage => Element::Storage(number),
            ElementType::ImportExport => Element::ImportExport(number),
            ElementType::Drive => Element::Drive(number),
        }
    }
}
