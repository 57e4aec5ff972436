//! Medium auxiliary memory: the small attributes that a real cartridge keeps on its chip.
//!
//! This is storage only; which attributes exist, who may write them and what a drive computes on the fly is the drive's
//! business (SPC-5 §7.4). The whole memory is copied into the label, so its size is bounded here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How an attribute's value is to be understood (the FORMAT field, SPC-5 §7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeFormat {
    /// A number or bit pattern.
    Binary,
    /// ASCII characters.
    Ascii,
    /// Characters in the locale that attribute 0805h names.
    Text,
}

/// One attribute's format and value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// How the value is to be understood.
    pub format: AttributeFormat,
    /// The value as it goes over the wire; `value.len() <= Mam::VALUE_BYTES_MAX`.
    #[serde(with = "hexadecimal")]
    pub value: Vec<u8>,
}

/// All attributes of one cartridge, by partition and attribute identifier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mam {
    /// The key is the identifier, and 65,536 times the partition more.
    attributes: BTreeMap<u32, Attribute>,
}

/// Why an attribute cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MamError {
    /// The value is longer than [`Mam::VALUE_BYTES_MAX`].
    #[error(
        "an attribute value of {0} bytes is longer than the {max} that are allowed",
        max = Mam::VALUE_BYTES_MAX
    )]
    ValueTooLong(usize),
    /// There is no room left.
    #[error("the auxiliary memory is full: {0} bytes are free")]
    Full(usize),
}

impl Mam {
    /// The space for attributes, each counted with [`Mam::ENTRY_BYTES`] more than its value, as on an LTO-9 cartridge.
    pub const CAPACITY_BYTES: usize = 16 * 1024;
    /// The longest value.
    pub const VALUE_BYTES_MAX: usize = 4096;
    /// What each attribute costs beside its value: its header on the wire.
    pub const ENTRY_BYTES: usize = 5;

    /// One attribute of the whole medium, or of partition 0.
    pub fn attribute(&self, identifier: u16) -> Option<&Attribute> {
        self.attribute_of(0, identifier)
    }

    /// One attribute of a partition.
    pub fn attribute_of(&self, partition: u8, identifier: u16) -> Option<&Attribute> {
        self.attributes.get(&key(partition, identifier))
    }

    /// The attributes of a partition in the order of their identifiers.
    pub fn attributes_of(&self, partition: u8) -> impl Iterator<Item = (u16, &Attribute)> {
        self.attributes.range(key(partition, 0)..=key(partition, u16::MAX)).map(
            |(key, attribute)| {
                let [_, _, high, low] = key.to_be_bytes();
                (u16::from_be_bytes([high, low]), attribute)
            },
        )
    }

    /// Bytes left for further attributes.
    pub fn free_bytes(&self) -> usize {
        Self::CAPACITY_BYTES.saturating_sub(self.used_bytes())
    }

    /// Sets or replaces one attribute; nothing changes if it does not fit.
    pub fn set(&mut self, identifier: u16, attribute: Attribute) -> Result<(), MamError> {
        self.set_of(0, identifier, attribute)
    }

    /// Sets or replaces one attribute of a partition; nothing changes if it does not fit.
    pub fn set_of(
        &mut self,
        partition: u8,
        identifier: u16,
        attribute: Attribute,
    ) -> Result<(), MamError> {
        let key = key(partition, identifier);
        if attribute.value.len() > Self::VALUE_BYTES_MAX {
            return Err(MamError::ValueTooLong(attribute.value.len()));
        }
        let freed = self.attributes.get(&key).map_or(0, cost_bytes);
        let free = self.free_bytes().saturating_add(freed);
        if cost_bytes(&attribute) > free {
            return Err(MamError::Full(free));
        }
        self.attributes.insert(key, attribute);
        Ok(())
    }

    /// Removes one attribute and says whether it was there.
    pub fn remove(&mut self, identifier: u16) -> bool {
        self.remove_of(0, identifier)
    }

    /// Removes one attribute of a partition and says whether it was there.
    pub fn remove_of(&mut self, partition: u8, identifier: u16) -> bool {
        self.attributes.remove(&key(partition, identifier)).is_some()
    }

    /// Forgets what was said of the contents, because there are none any more: volume coherency, and everything that is kept
    /// for a partition behind the first one.
    pub(crate) fn forget_contents(&mut self) {
        const VOLUME_COHERENCY: u16 = 0x080c;
        let coherency = key(0, VOLUME_COHERENCY);
        self.attributes.retain(|at, _| *at < key(1, 0) && *at != coherency);
    }

    /// Whether a memory that came from a disk keeps to the limits.
    pub(crate) fn is_within_limits(&self) -> bool {
        self.used_bytes() <= Self::CAPACITY_BYTES
            && self
                .attributes
                .values()
                .all(|attribute| attribute.value.len() <= Self::VALUE_BYTES_MAX)
    }

    fn used_bytes(&self) -> usize {
        self.attributes.values().map(cost_bytes).sum()
    }
}

fn key(partition: u8, identifier: u16) -> u32 {
    u32::from(partition) << 16 | u32::from(identifier)
}

fn cost_bytes(attribute: &Attribute) -> usize {
    attribute.value.len().saturating_add(Mam::ENTRY_BYTES)
}

/// Values as hexadecimal text, so that a label can be read with nothing but a pager.
mod hexadecimal {
    use std::fmt::Write;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(value.len().saturating_mul(2));
        for byte in value {
            write!(text, "{byte:02x}").map_err(serde::ser::Error::custom)?;
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Error::custom("an odd number of hexadecimal digits"));
        }
        pairs
            .iter()
            .map(|[high, low]| digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low))
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(|| Error::custom("not hexadecimal"))
    }

    fn digit(character: u8) -> Option<u8> {
        match character {
            b'0'..=b'9' => Some(character - b'0'),
            b'a'..=b'f' => Some(character - b'a' + 10),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(length: usize) -> Attribute {
        Attribute { format: AttributeFormat::Binary, value: vec![0xa5; length] }
    }

    #[test]
    fn the_memory_is_bounded_and_a_refused_attribute_changes_nothing() {
        let mut mam = Mam::default();
        assert_eq!(mam.set(1, attribute(4097)), Err(MamError::ValueTooLong(4097)));
        for identifier in 0..3 {
            mam.set(identifier, attribute(4096)).unwrap();
        }
        let free = mam.free_bytes();
        assert_eq!(mam.set(3, attribute(4096)), Err(MamError::Full(free)));
        mam.set(3, attribute(free - Mam::ENTRY_BYTES)).unwrap();
        assert_eq!(mam.free_bytes(), 0);
        mam.set(3, attribute(7)).unwrap();
        assert!(mam.remove(3) && !mam.remove(3));
        assert_eq!(mam.free_bytes(), free);
    }

    #[test]
    fn values_survive_as_text_and_bad_text_is_refused() {
        let mut mam = Mam::default();
        mam.set(
            0x0806,
            Attribute { format: AttributeFormat::Ascii, value: b"A00001L9\x00\xff".to_vec() },
        )
        .unwrap();
        let text = serde_json::to_string(&mam).unwrap();
        assert_eq!(serde_json::from_str::<Mam>(&text).unwrap(), mam);
        for bad in ["0", "0g", "ABC", "+1"] {
            let text = format!(r#"{{"1":{{"format":"binary","value":"{bad}"}}}}"#);
            assert!(serde_json::from_str::<Mam>(&text).is_err(), "{bad}");
        }
    }
}
