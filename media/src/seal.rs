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

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
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

/// Whose keys open a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealedBy {
    /// The host's.
    Host,
    /// The cartridge's own, at rest.
    AtRest,
    /// Both together.
    Both,
}

impl SealedBy {
    /// The number of the algorithm in the envelope.
    fn algorithm(self) -> u8 {
        match self {
            Self::Host => 1,
            Self::AtRest => 2,
            Self::Both => 3,
        }
    }

    fn of_algorithm(algorithm: u8) -> Option<Self> {
        [Self::Host, Self::AtRest, Self::Both].into_iter().find(|by| by.algorithm() == algorithm)
    }

    /// What the key of a record is derived for.
    fn purpose(self) -> &'static [u8] {
        match self {
            Self::Host => b"vtl record 1",
            Self::AtRest => b"vtl record at rest 1",
            Self::Both => b"vtl record both 1",
        }
    }
}

/// The keys that together open a record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keys<'a> {
    Host(&'a Key),
    AtRest(&'a Key),
    Both { host: &'a Key, own: &'a Key },
}

impl Keys<'_> {
    pub(crate) fn by(self) -> SealedBy {
        match self {
            Self::Host(_) => SealedBy::Host,
            Self::AtRest(_) => SealedBy::AtRest,
            Self::Both { .. } => SealedBy::Both,
        }
    }

    fn material(self) -> Zeroizing<Vec<u8>> {
        let mut material = Zeroizing::new(Vec::with_capacity(2 * KEY_BYTES));
        match self {
            Self::Host(key) | Self::AtRest(key) => material.extend_from_slice(key.bytes()),
            Self::Both { host, own } => {
                material.extend_from_slice(host.bytes());
                material.extend_from_slice(own.bytes());
            }
        }
        material
    }
}

/// What stands before the encrypted bytes of a record, in the room that its header leaves in the first sector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) by: SealedBy,
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
                self.by.algorithm(),
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
        let by = SealedBy::of_algorithm(algorithm)?;
        Some(Self { by, salt: array(SALT_OFFSET)?, tag: array(TAG_OFFSET)?, description })
    }
}

/// The key of one load of a cartridge.
pub(crate) struct RecordKey {
    by: SealedBy,
    salt: [u8; SALT_BYTES],
    key: LessSafeKey,
}

impl RecordKey {
    /// `None` only if the library of ciphers fails.
    pub(crate) fn derive(keys: Keys<'_>, salt: [u8; SALT_BYTES]) -> Option<Self> {
        let mut derived = Zeroizing::new([0; KEY_BYTES]);
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &salt).extract(&keys.material());
        let purpose = [keys.by().purpose()];
        let expanded = extracted.expand(&purpose, DerivedLength).ok()?;
        expanded.fill(derived.as_mut_slice()).ok()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, derived.as_slice()).ok()?);
        Some(Self { by: keys.by(), salt, key })
    }

    /// Whether it is the one of these keys and this salt. Of other keys it is another one.
    pub(crate) fn is_of(&self, by: SealedBy, salt: [u8; SALT_BYTES]) -> bool {
        self.by == by && self.salt == salt
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

    /// Decrypts `data` to where `opened` is, which is as long; whether it is what was sealed with this key.
    pub(crate) fn open_to(
        &self,
        sequence: u64,
        bound: &[u8],
        (data, tag): (&[u8], &[u8]),
        opened: &mut [u8],
    ) -> bool {
        let bound = Aad::from(bound);
        self.key.open_separate_gather(nonce(sequence), bound, data, tag, opened).is_ok()
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
    pub(crate) by: SealedBy,
    pub(crate) key: RecordKey,
    pub(crate) description: KeyDescription,
}

impl Sealer {
    /// `None` if there is no randomness to be had.
    pub(crate) fn new(keys: Keys<'_>, description: KeyDescription) -> Option<Arc<Self>> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).ok()?;
        let key = RecordKey::derive(keys, salt)?;
        Some(Arc::new(Self { by: keys.by(), key, description }))
    }

    /// The envelope, as far as it is known before the data has been encrypted.
    pub(crate) fn envelope(&self) -> Envelope {
        let (salt, description) = (self.key.salt, self.description.clone());
        Envelope { by: self.by, salt, tag: [0; TAG_BYTES], description }
    }
}

/// Overwrites bytes that a key came in.
pub fn forget(bytes: &mut [u8]) {
    bytes.zeroize();
}

/// As long as a key.
#[derive(Clone, Copy)]
pub(crate) struct DerivedLength;

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
        let envelope = Envelope { by: SealedBy::Host, salt: [1; 16], tag: [2; 16], description };
        let bytes = envelope.encode();
        assert_eq!(Envelope::decode(&bytes), Some(envelope));
        assert_eq!(Envelope::decode(&[0; ENVELOPE_BYTES]), None);
        for (at, value) in [(0, 0), (0, 4), (3, 33), (4, 13)] {
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
        let record = RecordKey::derive(Keys::Host(&key), [0x17; SALT_BYTES]).unwrap();
        let mut data = *b"forty-two";
        let tag = record.seal(258, b"bound", &mut data).unwrap();
        assert_eq!(hex(&data), "b471a28777d598aaee");
        assert_eq!(hex(&tag), "3a4e41885e9f95c90ee6350a0b2e24df");
        let opens = |record: &RecordKey, sequence, bound: &[u8], data: &[u8]| {
            let mut opened = [0; 9];
            record.open_to(sequence, bound, (data, &tag), &mut opened).then_some(opened)
        };
        assert_eq!(opens(&record, 258, b"bound", &data), Some(*b"forty-two"));
        assert_eq!(opens(&record, 259, b"bound", &data), None);
        assert_eq!(opens(&record, 258, b"other", &data), None);
        let mut changed = data;
        changed[3] ^= 1;
        assert_eq!(opens(&record, 258, b"bound", &changed), None);
        let other = Key::new(&[0x43; 32]).unwrap();
        let both = Keys::Both { host: &key, own: &other };
        for keys in [Keys::Host(&other), Keys::AtRest(&key), both] {
            let other = RecordKey::derive(keys, [0x17; 16]).unwrap();
            assert_eq!(opens(&other, 258, b"bound", &data), None);
        }
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
