//! Which secrets are good enough. One that was recorded on the network can be guessed at leisure.

use std::ops::RangeInclusive;

use super::SecretText;

/// Bytes of a secret: RFC 7143 §12.1.3 wants 96 bits at least.
const SECRET_BYTES: RangeInclusive<usize> = 12..=255;
/// Fewer different characters are a pattern.
const DIFFERENT_CHARACTERS_MIN: usize = 5;
/// What people type in place of a secret.
const WORDS: [&str; 8] =
    ["password", "passwort", "secret", "changeme", "letmein", "iscsi", "chap", "qwerty"];
/// 62 characters, 24 of them: 142 bits.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const GENERATED_CHARACTERS: usize = 24;

/// A secret that nobody could guess. It begins with a letter, as some programs read `0x` as a number.
pub(super) fn generate() -> Result<SecretText, getrandom::Error> {
    // The largest multiple of 62 that a byte can hold: what is above it would make some characters likelier.
    const FAIR: u8 = 248;
    let mut text = String::with_capacity(GENERATED_CHARACTERS);
    while text.len() < GENERATED_CHARACTERS {
        let mut bytes = zeroize::Zeroizing::new([0_u8; 2 * GENERATED_CHARACTERS]);
        getrandom::fill(bytes.as_mut_slice())?;
        for byte in bytes.iter().filter(|byte| **byte < FAIR) {
            let character = ALPHABET.get(usize::from(byte % 62)).copied().map(char::from);
            let fits = |character: &char| !text.is_empty() || character.is_ascii_alphabetic();
            if let Some(character) = character.filter(fits)
                && text.len() < GENERATED_CHARACTERS
            {
                text.push(character);
            }
        }
    }
    Ok(SecretText::new(text))
}

/// Why a secret that somebody chose cannot be taken. `names` are those that everybody knows. The secret is not in the message.
pub(super) fn weakness(secret: &SecretText, names: &[&str]) -> Option<String> {
    let text = secret.reveal();
    if !SECRET_BYTES.contains(&text.len()) {
        return Some(format!(
            "a secret has {} to {} bytes; this one has {}",
            SECRET_BYTES.start(),
            SECRET_BYTES.end(),
            text.len()
        ));
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return Some("a secret is one line of text, without blanks around it".to_owned());
    }
    let lower = text.to_lowercase();
    if names.iter().any(|name| !name.is_empty() && (lower == name.to_lowercase())) {
        return Some("a secret must not be a name that everybody knows".to_owned());
    }
    is_weak(&lower)
        .then(|| "this secret is easy to guess; `vtl secret new` makes one that is not".to_owned())
}

/// One character, few characters, a piece that is repeated, a sequence, or a word with a little around it.
fn is_weak(lower: &str) -> bool {
    let bytes = lower.as_bytes();
    let mut different = bytes.to_vec();
    different.sort_unstable();
    different.dedup();
    let repeats = |length: usize| {
        bytes.iter().zip(bytes.iter().skip(length)).all(|(byte, later)| byte == later)
    };
    let mut steps: Vec<i16> = bytes
        .iter()
        .zip(bytes.iter().skip(1))
        .map(|(byte, next)| i16::from(*next) - i16::from(*byte))
        .collect();
    let all = steps.len();
    // 9 is followed by 0, so that a sequence may have a jump in it.
    steps.retain(|step| !(-1..=1).contains(step));
    let rest = WORDS.iter().fold(lower.to_owned(), |rest, word| rest.replace(word, ""));
    different.len() < DIFFERENT_CHARACTERS_MIN
        || (1..=bytes.len() / 2).any(repeats)
        || steps.len() * 8 <= all
        || rest.len() < 8 && rest.len() < lower.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 2] = ["iqn.2026-11.example:host", "backup-server"];

    fn is_refused(text: &str) -> bool {
        weakness(&SecretText::new(text), &NAMES).is_some()
    }

    #[test]
    fn what_can_be_guessed_is_refused() {
        for text in [
            "",
            "elevenbytes",
            "aaaaaaaaaaaaaaaa",
            "abababababababab",
            "abcabcabcabc",
            "123456789012",
            "1234567890123456",
            "abcdefghijklmn",
            "zyxwvutsrqpo",
            "Password1234",
            "changeme-2026",
            "secretsecret",
            "IQN.2026-11.example:HOST",
            "backup-server",
            " 7hR2kq9XvTzL4",
            "7hR2kq9XvTzL4\n",
            "7hR2kq9X\tvTzL4",
            "000000000001",
            "112233445566",
            "MySecret1234",
        ] {
            assert!(is_refused(text), "{text:?}");
        }
        assert!(is_refused(&"x7Q!".repeat(64)), "256 bytes, and a pattern");
        for text in
            ["7hR2kq9XvTzL4", "correct horse battery", "Zürich-Ost/47#Gleis", "not-a-real-secret"]
        {
            assert!(!is_refused(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_generated_secret_is_good_and_no_other(_round in 0..200_u32) {
            let (one, other) = (generate().unwrap(), generate().unwrap());
            prop_assert!(!is_refused(one.reveal()));
            prop_assert!(!one.is_same(&other));
            prop_assert_eq!(one.reveal().len(), GENERATED_CHARACTERS);
            prop_assert!(one.reveal().starts_with(|first: char| first.is_ascii_alphabetic()));
        }

        #[test]
        fn length_is_counted_in_bytes(text in "[a-zA-Z0-9äß€]{0,300}") {
            if !SECRET_BYTES.contains(&text.len()) {
                prop_assert!(is_refused(&text));
            }
        }

        #[test]
        fn random_secrets_of_allowed_lengths_are_taken(bytes in proptest::collection::vec(0x21_u8..0x7f, 20..=255)) {
            let text = String::from_utf8(bytes).unwrap();
            let mut different: Vec<char> = text.chars().collect();
            different.sort_unstable();
            different.dedup();
            prop_assume!(different.len() > 8);
            prop_assert!(!is_refused(&text), "{}", text);
        }

        #[test]
        fn a_refusal_does_not_show_the_secret(text in "[a-z]{1,6}[0-9]{1,4}") {
            let secret = SecretText::new(text.clone());
            if let Some(message) = weakness(&secret, &NAMES) {
                prop_assert!(!message.contains(&text) || text.len() < 3, "{}", message);
            }
            prop_assert_eq!(format!("{secret:?}"), "SecretText(…)");
        }
    }

    #[test]
    fn a_generated_secret_has_128_bits_at_least() {
        // A letter, and 23 of 62 characters: more than 2^5 times (62^2 > 2^11) each two of them.
        assert!(5 + (GENERATED_CHARACTERS - 1) / 2 * 11 + 5 >= 128 && ALPHABET.len() == 62);
    }
}
