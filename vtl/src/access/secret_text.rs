//! A secret as text, on its way between the command line, the daemon and the file.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vtl_iscsi::Secret;
use zeroize::Zeroizing;

/// Text that is not shown by accident. Its memory is wiped when it is dropped.
#[derive(Clone)]
pub(crate) struct SecretText(Zeroizing<String>);

impl SecretText {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// For those who print or store it on purpose.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn to_secret(&self) -> Secret {
        Secret::new(self.0.as_bytes())
    }

    /// Whether two are the same, without telling how far they agree.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.to_secret().is_same(&other.to_secret())
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}
