//! Encrypted blocks.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::{Cartridge, MediumError, ObjectNumber};
use crate::at_rest::{AtRestError, DataKeys};
use crate::journal::{Codec, Decoder, Found, Header, Key as ObjectKey, Kind, Unsealed};
use crate::seal::{
    Envelope, Key, KeyDescription, Keys, Opening, RecordKey, SealedBy, Sealer, Sealing,
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

/// What a cartridge has been told of keys, and has of its own.
#[derive(Debug)]
pub(super) struct Seals {
    /// Those of its own, and of the cartridges that it was made from.
    keys: Arc<DataKeys>,
    /// Its own, with which everything is encrypted that it writes.
    own: Option<(Key, Arc<Sealer>)>,
    /// What is written is encrypted with a host's key, too.
    sealing: Option<(Sealing, Arc<Sealer>)>,
    opening: Opening,
    decoder: Decoder,
    /// The key of the records that were opened last.
    last_key: Option<RecordKey>,
}

impl Seals {
    /// Those of a cartridge that has not been told anything.
    pub(super) fn new(keys: Arc<DataKeys>, cartridge: Uuid) -> Result<Self, AtRestError> {
        // Where there is one that is closed, whoever writes has been refused before, and whoever reads is told with the first record.
        let own = match keys.of(cartridge) {
            Ok(key) => {
                let sealer = Sealer::new(Keys::AtRest(key), KeyDescription::default());
                Some((key.clone(), sealer.ok_or(AtRestError::NoRandomness)?))
            }
            Err(_) => None,
        };
        Ok(Self {
            keys,
            own,
            sealing: None,
            opening: Opening::default(),
            decoder: Decoder::default(),
            last_key: None,
        })
    }

    pub(super) fn keys(&self) -> &DataKeys {
        &self.keys
    }

    pub(super) fn sealer(&self) -> Option<&Arc<Sealer>> {
        let host = self.sealing.as_ref().map(|(_, sealer)| sealer);
        host.or(self.own.as_ref().map(|(_, sealer)| sealer))
    }

    fn sealer_of(&self, sealing: &Sealing) -> Option<Arc<Sealer>> {
        let host = &sealing.key;
        let keys = match &self.own {
            Some((own, _)) => Keys::Both { host, own },
            None => Keys::Host(host),
        };
        Sealer::new(keys, sealing.description.clone())
    }

    /// Opens a record that a host has encrypted: `data` is what the reader gave of it. `Ok(None)` if it is damaged.
    fn open(&mut self, header: &Header, data: &Bytes) -> Result<Option<Bytes>, Closed> {
        let Some(host) = self.opening.key() else { return Err(Closed::NoKey) };
        let Some(envelope) = Envelope::decode(data) else { return Ok(None) };
        let keys = match header.codec.sealed_by() {
            Some(SealedBy::Host) => Keys::Host(host),
            Some(SealedBy::Both) => {
                let own = self.keys.of(header.cartridge).map_err(Closed::AtRest)?;
                Keys::Both { host, own }
            }
            Some(SealedBy::AtRest) | None => return Ok(None),
        };
        if self.last_key.as_ref().is_none_or(|last| !last.is_of(keys.by(), envelope.salt)) {
            self.last_key = RecordKey::derive(keys, envelope.salt);
        }
        let Some(key) = &self.last_key else { return Err(Closed::WrongKey) };
        match self.decoder.unseal(header, data, &envelope, key) {
            Unsealed::Blocks(blocks) => Ok(Some(blocks)),
            // The record is as it was written, so it is the key that is another one.
            Unsealed::WrongKey => Err(Closed::WrongKey),
            Unsealed::Damaged => Ok(None),
        }
    }
}

/// Why an encrypted record is not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Closed {
    NoKey,
    WrongKey,
    AtRest(AtRestError),
}

impl Cartridge {
    /// What is written from now on is encrypted with this key, or not at all.
    pub fn set_sealing(&mut self, sealing: Option<&Sealing>) -> Result<(), MediumError> {
        if self.seals.sealing.as_ref().map(|(current, _)| current) == sealing {
            return Ok(());
        }
        self.seals.sealing = match sealing {
            Some(sealing) => {
                let sealer = self.seals.sealer_of(sealing).ok_or_else(|| {
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
        if !header.codec.is_sealed_by_host() {
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
        if !current.header.codec.is_sealed_by_host() {
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
                Err(Closed::AtRest(closed)) => return Err(closed.into()),
            };
        }
        Ok(current.opened.clone())
    }
}
