//! A secret that nobody sees.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A CHAP secret. It is never shown, and its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// These bytes.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self(Zeroizing::new(bytes.as_ref().to_vec()))
    }

    /// For those who compute with it or store it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether two secrets are the same, without telling how far they agree.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("not-a-real-secret");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(secret.is_same(&secret.clone()));
        assert!(!secret.is_same(&Secret::new("not-a-real-secre")));
    }
}
