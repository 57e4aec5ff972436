//! CHAP (RFC 7143 §12.1.3, RFC 1994): who knows the secret proves it without sending it.
//!
//! What is computed is `H(identifier ‖ secret ‖ challenge)`. This module has the arithmetic, the challenges and the secrets;
//! [`login`](crate::login) has the order of the keys.

mod challenge;
mod secret;
mod value;

use std::fmt;

use aws_lc_rs::digest as lc;
use md5::{Digest as _, Md5};
use subtle::{Choice, ConstantTimeEq};

pub use challenge::{ChallengeBook, RandomFailed};
pub use secret::Secret;

pub(crate) use challenge::Challenge;
pub(crate) use value::{encode_hex, parse_binary};

/// The longest challenge that a peer may send (RFC 7143 §12.1.3).
pub(crate) const MAX_CHALLENGE_BYTES: usize = 1024;

/// A hash, by its number in the registry of CHAP algorithms. The later, the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChapAlgorithm {
    /// 5, which every initiator has.
    Md5,
    /// 6.
    Sha1,
    /// 7.
    Sha256,
    /// 8.
    Sha3_256,
}

/// What an initiator has to know, and what the target tells it in return.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The names that the initiator may call itself by; none if nobody knows the initiator.
    pub users: Vec<String>,
    /// The initiator's secret.
    pub secret: Option<Secret>,
    /// The target's own name and secret, for initiators that ask for proof.
    pub target: Option<(String, Secret)>,
}

/// How an initiator proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authenticated {
    /// The hash that was agreed on.
    pub algorithm: ChapAlgorithm,
    /// Whether the target proved itself too.
    pub is_mutual: bool,
}

impl ChapAlgorithm {
    /// All of them, the weakest first.
    pub const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha3_256];

    /// The number by which it is negotiated.
    pub fn number(self) -> u32 {
        match self {
            Self::Md5 => 5,
            Self::Sha1 => 6,
            Self::Sha256 => 7,
            Self::Sha3_256 => 8,
        }
    }

    /// The algorithm with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.number() == number)
    }

    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA-256",
            Self::Sha3_256 => "SHA3-256",
        }
    }

    /// The length of its responses.
    pub(crate) fn digest_bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 | Self::Sha3_256 => 32,
        }
    }

    /// What proves that somebody knows the secret.
    pub(crate) fn response(self, identifier: u8, secret: &Secret, challenge: &[u8]) -> Vec<u8> {
        let parts = [&[identifier][..], secret.as_bytes(), challenge];
        let algorithm = match self {
            Self::Md5 => {
                let mut hash = Md5::new();
                for part in parts {
                    hash.update(part);
                }
                return hash.finalize().to_vec();
            }
            Self::Sha1 => &lc::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &lc::SHA256,
            Self::Sha3_256 => &lc::SHA3_256,
        };
        let mut hash = lc::Context::new(algorithm);
        for part in parts {
            hash.update(part);
        }
        hash.finish().as_ref().to_vec()
    }
}

impl fmt::Display for ChapAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Credentials {
    /// Whether a user's response is right. The work is the same whether the user is known or not, and wherever a byte differs.
    pub(crate) fn accept(&self, user: &str, response: &[u8], challenge: &Challenge) -> bool {
        let secret = self.secret.as_ref().unwrap_or(challenge.decoy());
        let right = challenge.algorithm().response(
            challenge.identifier(),
            secret,
            challenge.bytes().as_slice(),
        );
        let is_known = self
            .users
            .iter()
            .fold(Choice::from(0), |known, other| known | other.as_bytes().ct_eq(user.as_bytes()));
        let has_secret = Choice::from(u8::from(self.secret.is_some()));
        (right.as_slice().ct_eq(response) & is_known & has_secret).into()
    }

    /// Whether both sides know the same secret, so that what one says would prove the other.
    pub(crate) fn is_symmetric(&self) -> bool {
        match (&self.secret, &self.target) {
            (Some(ours), Some((_, theirs))) => ours.is_same(theirs),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python 3: `hashlib.new(name, bytes([0x2a]) + b"not-a-real-secret" + bytes(range(16))).hexdigest()`.
    #[test]
    fn responses_are_those_of_another_implementation() {
        let secret = Secret::new("not-a-real-secret");
        let challenge: Vec<u8> = (0..16).collect();
        let known = [
            (ChapAlgorithm::Md5, "7c08ad8f7ceb125a8c1f9bfc84ce3a6d"),
            (ChapAlgorithm::Sha1, "0f2d3c4eaeea4e2031498e467b7b3ebed98f8dd5"),
            (
                ChapAlgorithm::Sha256,
                "5dc9eb2e5fb0bc37a00bd45377b2a620c4c56e27a7a60a502601af5ed7bd2c7f",
            ),
            (
                ChapAlgorithm::Sha3_256,
                "2fed0d7ea85582919018813607cad281336fc449b5c8f665eca139ec61928689",
            ),
        ];
        for (algorithm, digest) in known {
            let response = algorithm.response(0x2a, &secret, &challenge);
            assert_eq!(encode_hex(&response), format!("0x{digest}"), "{algorithm}");
            assert_eq!(response.len(), algorithm.digest_bytes());
            assert_eq!(ChapAlgorithm::from_number(algorithm.number()), Some(algorithm));
        }
        assert_eq!(ChapAlgorithm::from_number(4), None);
        assert!(ChapAlgorithm::Md5 < ChapAlgorithm::Sha3_256);
    }

    #[test]
    fn nobody_is_accepted_without_a_secret_or_a_name() {
        let book = ChallengeBook::new(|bytes| {
            bytes.fill(7);
            Ok(())
        });
        let challenge = book.issue(ChapAlgorithm::Sha256).unwrap();
        let secret = Secret::new("not-a-real-secret");
        let right = challenge.algorithm().response(7, &secret, challenge.bytes());
        let known = Credentials {
            users: vec!["host".to_owned(), "other".to_owned()],
            secret: Some(secret),
            target: None,
        };
        assert!(known.accept("host", &right, &challenge));
        assert!(known.accept("other", &right, &challenge));
        assert!(!known.accept("Host", &right, &challenge));
        assert!(!known.accept("host", &right[1..], &challenge));
        // The decoy is nobody's secret, even for whoever could guess it.
        let decoy = challenge.algorithm().response(7, challenge.decoy(), challenge.bytes());
        for unknown in [
            Credentials::default(),
            Credentials { users: vec!["host".to_owned()], ..Credentials::default() },
        ] {
            assert!(!unknown.accept("host", &decoy, &challenge));
            assert!(!unknown.accept("host", &right, &challenge));
        }
    }
}
