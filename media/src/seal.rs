//! Blocks that only a key opens: encryption by keys that hosts bring (SSC-4 §4.2.22), as AES-256-GCM.
//!
//! A host's key never encrypts a record itself. Each load of a cartridge derives one of its own from it and a random salt, so that the number of
//! the record is a nonce that is used once. Keys are in memory only, and overwritten when they are not needed any more.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Unauthenticated key-associated data may have as many bytes (LTO-4 and later).
pub const UNAUTHENTICATED_BYTES_MAX: usize = 32;
/// Authenticated key-associated data may have as many bytes (likewise).
pub const AUTHENTICATED_BYTES_MAX: usize = 12;

/// A host's key. It is never printed, and overwritten when the last one who has it drops it. It stays in one place: what is moved
/// leaves a copy behind.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Arc<Zeroizing<[u8; KEY_BYTES]>>);

impl Key {
    /// A key of exactly [`KEY_BYTES`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut key = Arc::new(Zeroizing::new([0; KEY_BYTES]));
        (bytes.len() == KEY_BYTES).then_some(())?;
        Arc::get_mut(&mut key)?.copy_from_slice(bytes);
        Some(Self(key))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// What a host says about its key. It is stored with each block, where anybody can read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyDescription {
    /// How the unauthenticated data is meant: 0 unspecified, 1 a binary name, 2 an ASCII name (SSC-4 table 174).
    pub format: u8,
    /// At most [`UNAUTHENTICATED_BYTES_MAX`] bytes; empty if there is none.
    pub unauthenticated: Vec<u8>,
    /// At most [`AUTHENTICATED_BYTES_MAX`] bytes; empty if there is none.
    pub authenticated: Vec<u8>,
    /// The host asked that the encrypted bytes themselves must not be given out. They never are; it is said back.
    pub is_raw_read_disabled: bool,
}

/// A key to write with, and what is to be stored beside the blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// The key.
    pub key: Key,
    /// What is said of it.
    pub description: KeyDescription,
}

/// What may be read (SSC-4 table 170).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Opening {
    /// Only blocks that are not encrypted.
    #[default]
    Disabled,
    /// Only blocks that are encrypted with this key.
    Decrypt(Key),
    /// Blocks that are encrypted with this key, and blocks that are not encrypted.
    Mixed(Key),
}

impl Opening {
    /// The key, if there is one.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Disabled => None,
            Self::Decrypt(key) | Self::Mixed(key) => Some(key),
        }
    }
}

/// What stands before the encrypted bytes of a record, in the room that its header leaves in the first sector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) salt: [u8; SALT_BYTES],
    pub(crate) tag: [u8; TAG_BYTES],
    pub(crate) description: KeyDescription,
}

impl Envelope {
    /// Writes it (FORMAT.md "Encrypted records").
    pub(crate) fn encode(&self) -> [u8; ENVELOPE_BYTES] {
        let mut bytes = [0; ENVELOPE_BYTES];
        let description = &self.description;
        let mut put = |offset: usize, value: &[u8]| {
            if let Some(target) = bytes.get_mut(offset..offset.saturating_add(value.len())) {
                target.copy_from_slice(value);
            }
        };
        let length = |data: &[u8]| u8::try_from(data.len()).unwrap_or_default();
        put(
            0,
            &[
                AES_256_GCM_WITH_HKDF,
                description.format,
                u8::from(description.is_raw_read_disabled),
                length(&description.unauthenticated),
                length(&description.authenticated),
            ],
        );
        put(SALT_OFFSET, &self.salt);
        put(TAG_OFFSET, &self.tag);
        put(UNAUTHENTICATED_OFFSET, &description.unauthenticated);
        put(AUTHENTICATED_OFFSET, &description.authenticated);
        bytes
    }

    /// Reads it; `None` if it is not one, or of a kind that is not known.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let &[algorithm, format, flags, unauthenticated, authenticated, ..] = bytes else {
            return None;
        };
        let array = |offset: usize| bytes.get(offset..)?.first_chunk::<16>().copied();
        let part = |offset: usize, length: u8, max: usize| {
            let length = usize::from(length);
            (length <= max).then(|| bytes.get(offset..offset.saturating_add(length)))?
        };
        let description = KeyDescription {
            format,
            unauthenticated: part(
                UNAUTHENTICATED_OFFSET,
                unauthenticated,
                UNAUTHENTICATED_BYTES_MAX,
            )?
            .to_vec(),
            authenticated: part(AUTHENTICATED_OFFSET, authenticated, AUTHENTICATED_BYTES_MAX)?
                .to_vec(),
            is_raw_read_disabled: flags & 1 != 0,
        };
        (algorithm == AES_256_GCM_WITH_HKDF).then_some(())?;
        Some(Self { salt: array(SALT_OFFSET)?, tag: array(TAG_OFFSET)?, description })
    }
}

/// The key of one load of a cartridge.
pub(crate) struct RecordKey {
    pub(crate) salt: [u8; SALT_BYTES],
    key: LessSafeKey,
}

impl RecordKey {
    /// `None` only if the library of ciphers fails.
    pub(crate) fn derive(key: &Key, salt: [u8; SALT_BYTES]) -> Option<Self> {
        let mut derived = Zeroizing::new([0; KEY_BYTES]);
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &salt).extract(key.0.as_slice());
        let expanded = extracted.expand(&[PURPOSE], DerivedLength).ok()?;
        expanded.fill(derived.as_mut_slice()).ok()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, derived.as_slice()).ok()?);
        Some(Self { salt, key })
    }

    /// Encrypts in place and returns the tag.
    pub(crate) fn seal(
        &self,
        sequence: u64,
        bound: &[u8],
        data: &mut [u8],
    ) -> Option<[u8; TAG_BYTES]> {
        let tag =
            self.key.seal_in_place_separate_tag(nonce(sequence), Aad::from(bound), data).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Decrypts `data` in place, which ends in its tag; `None` if it is not what was sealed with this key.
    pub(crate) fn open<'a>(
        &self,
        sequence: u64,
        bound: &[u8],
        data: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        self.key.open_in_place(nonce(sequence), Aad::from(bound), data).ok().map(|data| &*data)
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey")
    }
}

/// A key in use for writing: what each record that is written is sealed with.
#[derive(Debug)]
pub(crate) struct Sealer {
    pub(crate) key: RecordKey,
    pub(crate) description: KeyDescription,
}

impl Sealer {
    /// `None` if there is no randomness to be had.
    pub(crate) fn new(sealing: &Sealing) -> Option<Arc<Self>> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).ok()?;
        let key = RecordKey::derive(&sealing.key, salt)?;
        Some(Arc::new(Self { key, description: sealing.description.clone() }))
    }

    /// The envelope, as far as it is known before the data has been encrypted.
    pub(crate) fn envelope(&self) -> Envelope {
        let (salt, description) = (self.key.salt, self.description.clone());
        Envelope { salt, tag: [0; TAG_BYTES], description }
    }
}

/// Overwrites bytes that a key came in.
pub fn forget(bytes: &mut [u8]) {
    bytes.zeroize();
}

#[derive(Clone, Copy)]
struct DerivedLength;

impl hkdf::KeyType for DerivedLength {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

/// The number of a record is not used twice with one salt.
fn nonce(sequence: u64) -> Nonce {
    let mut bytes = [0; 12];
    if let Some(target) = bytes.last_chunk_mut() {
        *target = sequence.to_le_bytes();
    }
    Nonce::assume_unique_for_key(bytes)
}

const PURPOSE: &[u8] = b"vtl record 1";
const AES_256_GCM_WITH_HKDF: u8 = 1;
pub(crate) const SALT_BYTES: usize = 16;
pub(crate) const TAG_BYTES: usize = 16;
/// The CRC-64 of the blocks, which is encrypted with them.
pub(crate) const CHECKSUM_BYTES: usize = 8;
/// All of the first sector behind the header of a record.
pub(crate) const ENVELOPE_BYTES: usize = 384;
const SALT_OFFSET: usize = 16;
const TAG_OFFSET: usize = 32;
const UNAUTHENTICATED_OFFSET: usize = 48;
const AUTHENTICATED_OFFSET: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_comes_back_and_nothing_else_is_one() {
        let description = KeyDescription {
            format: 2,
            unauthenticated: b"a name".to_vec(),
            authenticated: vec![7; AUTHENTICATED_BYTES_MAX],
            is_raw_read_disabled: true,
        };
        let envelope = Envelope { salt: [1; 16], tag: [2; 16], description };
        let bytes = envelope.encode();
        assert_eq!(Envelope::decode(&bytes), Some(envelope));
        assert_eq!(Envelope::decode(&[0; ENVELOPE_BYTES]), None);
        for (at, value) in [(0, 2), (3, 33), (4, 13)] {
            let mut other = bytes;
            other[at] = value;
            assert_eq!(Envelope::decode(&other), None, "{at}");
        }
        assert_eq!(Envelope::decode(&bytes[..80]), None);
    }

    /// A record sealed by this very key, salt and number must open for ever; the bytes were computed by another program (Python's hmac and
    /// cryptography).
    #[test]
    fn a_record_of_another_program_opens() {
        let key = Key::new(&[0x42; KEY_BYTES]).unwrap();
        let record = RecordKey::derive(&key, [0x17; SALT_BYTES]).unwrap();
        let mut data = *b"forty-two";
        let tag = record.seal(258, b"bound", &mut data).unwrap();
        assert_eq!(hex(&data), "b471a28777d598aaee");
        assert_eq!(hex(&tag), "3a4e41885e9f95c90ee6350a0b2e24df");
        let mut sealed = [&data[..], &tag[..]].concat();
        assert_eq!(record.open(258, b"bound", &mut sealed.clone()), Some(&b"forty-two"[..]));
        assert_eq!(record.open(259, b"bound", &mut sealed.clone()), None);
        assert_eq!(record.open(258, b"other", &mut sealed.clone()), None);
        sealed[3] ^= 1;
        assert_eq!(record.open(258, b"bound", &mut sealed), None);
        let other = RecordKey::derive(&Key::new(&[0x43; 32]).unwrap(), [0x17; 16]).unwrap();
        let mut sealed = [&data[..], &tag[..]].concat();
        assert_eq!(other.open(258, b"bound", &mut sealed), None);
    }

    #[test]
    fn a_key_has_its_length_and_is_not_printed() {
        assert_eq!(Key::new(&[1; 31]), None);
        assert_eq!(Key::new(&[1; 33]), None);
        let opening = Opening::Mixed(Key::new(&[0xab; 32]).unwrap());
        assert_eq!(format!("{opening:?}"), "Mixed(Key)");
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }
}
