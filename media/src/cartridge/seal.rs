//! Encrypted blocks.

use std::sync::Arc;

use bytes::Bytes;

use super::{Cartridge, MediumError, ObjectNumber};
use crate::journal::{Codec, Decoder, Found, Header, Key as ObjectKey, Kind};
use crate::seal::{
    CHECKSUM_BYTES, ENVELOPE_BYTES, Envelope, KeyDescription, Opening, RecordKey, Sealer, Sealing,
};

/// What the next object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextObject {
    /// There is none, or it cannot be read.
    Unknown,
    /// A filemark.
    Filemark,
    /// A block.
    Block {
        /// Whether it is stored in less than it is long.
        is_compressed: bool,
        /// What its key is said to be, and whether the key that is set opens it; `None` if it is not encrypted.
        seal: Option<(KeyDescription, bool)>,
    },
}

/// What a cartridge has been told of keys.
#[derive(Debug, Default)]
pub(super) struct Seals {
    /// What is written is encrypted with it.
    sealing: Option<(Sealing, Arc<Sealer>)>,
    opening: Opening,
    decoder: Decoder,
    /// The key of the records that were opened last.
    last_key: Option<RecordKey>,
}

impl Seals {
    pub(super) fn sealer(&self) -> Option<&Arc<Sealer>> {
        self.sealing.as_ref().map(|(_, sealer)| sealer)
    }

    /// Opens a record: `data` is what the reader gave of it. `Ok(None)` if it is damaged.
    fn open(&mut self, header: &Header, data: &Bytes) -> Result<Option<Bytes>, Closed> {
        let Some(key) = self.opening.key() else { return Err(Closed::NoKey) };
        let Some(envelope) = Envelope::decode(data) else { return Ok(None) };
        let Some(codec) = header.codec.inside_seal() else { return Ok(None) };
        if self.last_key.as_ref().is_none_or(|last| last.salt != envelope.salt) {
            self.last_key = RecordKey::derive(key, envelope.salt);
        }
        let untagged = Envelope { tag: Default::default(), ..envelope.clone() };
        let bound = header.bound(&untagged.encode());
        let mut sealed = data.get(ENVELOPE_BYTES..).unwrap_or_default().to_vec();
        sealed.extend_from_slice(&envelope.tag);
        let opened = self
            .last_key
            .as_ref()
            .and_then(|key| key.open(header.sequence, &bound, &mut sealed))
            .map(<[u8]>::len);
        // The record is as it was written, so it is the key that is another one.
        let Some(length) = opened else { return Err(Closed::WrongKey) };
        let Some(checksum_at) = length.checked_sub(CHECKSUM_BYTES) else { return Ok(None) };
        let mut payload = Bytes::from(sealed).slice(..length);
        let checksum = payload.split_off(checksum_at);
        let length = usize::try_from(header.data_bytes()).unwrap_or(usize::MAX);
        let data = self.decoder.unpack(codec, payload, length);
        Ok(data.filter(|data| header.data_checksum(data).to_le_bytes() == checksum[..]))
    }
}

/// Why an encrypted record is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    NoKey,
    WrongKey,
}

impl Cartridge {
    /// What is written from now on is encrypted with this key, or not at all.
    pub fn set_sealing(&mut self, sealing: Option<&Sealing>) -> Result<(), MediumError> {
        if self.seals.sealing.as_ref().map(|(current, _)| current) == sealing {
            return Ok(());
        }
        self.seals.sealing = match sealing {
            Some(sealing) => {
                let sealer = Sealer::new(sealing).ok_or_else(|| {
                    MediumError::Io(std::io::Error::other("there is no randomness to encrypt with"))
                })?;
                Some((sealing.clone(), sealer))
            }
            None => None,
        };
        Ok(())
    }

    /// What may be read from now on.
    pub fn set_opening(&mut self, opening: &Opening) {
        if self.seals.opening != *opening {
            self.seals.opening = opening.clone();
            self.seals.last_key = None;
            if let Some(current) = &mut self.current {
                current.opened = None;
            }
        }
    }

    /// Forgets all keys at once. Until it is told anew, nothing is encrypted, and nothing that is encrypted is read.
    pub fn forget_keys(&mut self) {
        self.seals.sealing = None;
        self.set_opening(&Opening::Disabled);
    }

    /// What the next object is; the position stays.
    pub fn next_object(&mut self) -> Result<NextObject, MediumError> {
        self.sync()?;
        let found = self.reader.find(ObjectKey::Object(self.position.objects))?;
        let Found::Record(header, _) = found else { return Ok(NextObject::Unknown) };
        if header.kind != Kind::DATA {
            return Ok(NextObject::Filemark);
        }
        let inside = header.codec.inside_seal();
        let is_compressed = inside.unwrap_or(header.codec) != Codec::NONE;
        if inside.is_none() {
            return Ok(NextObject::Block { is_compressed, seal: None });
        }
        let Some(data) = self.reader.data(&header)? else { return Ok(NextObject::Unknown) };
        let Some(envelope) = Envelope::decode(&data) else { return Ok(NextObject::Unknown) };
        let is_open = matches!(self.seals.open(&header, &data), Ok(Some(_)));
        Ok(NextObject::Block { is_compressed, seal: Some((envelope.description, is_open)) })
    }

    /// The blocks of the current record, which holds this object: opened, if it is encrypted, and if the host may read it. `None` if
    /// it is damaged.
    pub(super) fn current_blocks(&mut self, object: u64) -> Result<Option<Bytes>, MediumError> {
        let Some(current) = &mut self.current else { return Ok(None) };
        let Some(data) = &current.data else { return Ok(None) };
        let object = ObjectNumber(object);
        if current.header.codec.inside_seal().is_none() {
            if matches!(self.seals.opening, Opening::Decrypt(_)) {
                return Err(MediumError::NotEncrypted { object });
            }
            return Ok(Some(data.clone()));
        }
        if current.opened.is_none() {
            current.opened = match self.seals.open(&current.header, data) {
                Ok(opened) => opened,
                Err(Closed::NoKey) => return Err(MediumError::NoKey { object }),
                Err(Closed::WrongKey) => return Err(MediumError::WrongKey { object }),
            };
        }
        Ok(current.opened.clone())
    }
}
