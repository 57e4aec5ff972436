//! CRC32C digests (RFC 7143 §13.1): four bytes, the least significant first.

/// The size of a digest.
pub(crate) const DIGEST_BYTES: usize = 4;

/// A digest in the making.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Digest(u32);

impl Digest {
    /// The digest of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(crc32c::crc32c(bytes))
    }

    /// The same, with these bytes behind what it covers.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0 = crc32c::crc32c_append(self.0, bytes);
    }

    /// As it is sent.
    pub(crate) fn to_bytes(self) -> [u8; DIGEST_BYTES] {
        self.0.to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7143, appendix B.4 of RFC 3720.
    #[test]
    fn digests_are_those_of_the_standards_examples() {
        assert_eq!(Digest::of(&[0; 32]).to_bytes(), [0xaa, 0x36, 0x91, 0x8a]);
        assert_eq!(Digest::of(&[0xff; 32]).to_bytes(), [0x43, 0xab, 0xa8, 0x62]);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(Digest::of(&ascending).to_bytes(), [0x4e, 0x79, 0xdd, 0x46]);
    }

    #[test]
    fn a_digest_grows_piece_by_piece() {
        let mut digest = Digest::default();
        digest.update(b"1234");
        digest.update(b"");
        digest.update(b"56789");
        assert_eq!(digest.to_bytes(), Digest::of(b"123456789").to_bytes());
    }
}
