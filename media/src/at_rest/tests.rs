//! Keys, wrapped and unwrapped.

use super::*;

fn ring() -> (KeyRing, Uuid) {
    let (ring, id) = (KeyRing::default(), Uuid::from_u128(9));
    ring.put(id, "mail", Key::new(&[7; KEY_BYTES]));
    (ring, id)
}

#[test]
fn a_cartridges_key_opens_with_its_pools_and_in_its_own_label_only() {
    let (ring, id) = ring();
    let cartridge = Uuid::from_u128(1);
    let wrapped = WrappedKey::make(&ring, id, cartridge).unwrap();
    let key = wrapped.open(&ring, cartridge).unwrap();
    assert_ne!(
        WrappedKey::make(&ring, id, cartridge).unwrap().open(&ring, cartridge).unwrap(),
        key
    );
    // In another cartridge's label, or with a bit turned, it is nothing.
    assert_eq!(wrapped.open(&ring, Uuid::from_u128(2)), Err(AtRestError::Wrong(id)));
    for at in 0..wrapped.wrapped.len() {
        let mut text = wrapped.wrapped.clone().into_bytes();
        text[at] = if text[at] == b'0' { b'1' } else { b'0' };
        let other = WrappedKey { wrapped: String::from_utf8(text).unwrap(), ..wrapped.clone() };
        assert_eq!(other.open(&ring, cartridge), Err(AtRestError::Wrong(id)), "{at}");
    }
    for text in ["0", "zz", "00", "é0"] {
        let other = WrappedKey { wrapped: text.to_owned(), ..wrapped.clone() };
        assert_eq!(other.open(&ring, cartridge), Err(AtRestError::Wrong(id)), "{text}");
    }
    ring.put(id, "mail", None);
    let locked = wrapped.open(&ring, cartridge).unwrap_err();
    assert_eq!(
        locked.to_string(),
        "it is encrypted, and the key of pool mail is locked: `vtl key list` says what opens it"
    );
    ring.put(id, "mail", Key::new(&[8; KEY_BYTES]));
    assert_eq!(wrapped.open(&ring, cartridge), Err(AtRestError::Wrong(id)));
    ring.remove(id);
    assert_eq!(wrapped.open(&ring, cartridge), Err(AtRestError::Unknown(id)));
    assert_eq!(wrapped.destroyed().open(&ring, cartridge), Err(AtRestError::Destroyed));
    assert_eq!(format!("{ring:?}"), "KeyRing");
}

#[test]
fn a_pools_key_opens_with_what_it_was_locked_with_last() {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let file = || Protection::KeyFile { path: "/x".into() };
    let few = || Protection::Passphrase { iterations: 10 };
    let secret = [3; 32];
    let (made, key) = PoolKey::make(Uuid::from_u128(1), "mail", now, (file(), &secret)).unwrap();
    assert_eq!(made.open(&secret).unwrap(), key);
    let wrong = made.open(&[4; 32]).unwrap_err();
    assert_eq!(wrong.to_string(), "the key of pool mail does not open with this key file");
    let changed = made.locked_with(&key, few(), b"a long passphrase").unwrap();
    assert_eq!(changed.open(b"a long passphrase").unwrap(), key);
    for other in [&b"a long passphrasf"[..], b"", &secret] {
        assert!(matches!(changed.open(other), Err(KeyError::Wrong { with: "passphrase", .. })));
    }
    // It is bound to its identity, and comes back from text.
    let text = serde_json::to_string(&changed).unwrap();
    let read: PoolKey = serde_json::from_str(&text).unwrap();
    assert_eq!(read, changed);
    let mut other = read;
    other.id = Uuid::from_u128(2);
    assert!(other.open(b"a long passphrase").is_err());
    assert_eq!(changed.locked_with(&key, few(), b"short"), Err(KeyError::ShortPassphrase));
    for length in [31, KEY_FILE_BYTES_MAX + 1] {
        let made = changed.locked_with(&key, file(), &vec![1; length]);
        assert_eq!(made, Err(KeyError::BadKeyFile));
    }
}

/// What was wrapped by another program (Python's hashlib, hmac and cryptography) opens here: cartridges and keys have to for ever.
#[test]
fn keys_of_another_program_open() {
    let text = include_str!("tests/keys.json");
    let keys: Vec<PoolKey> = serde_json::from_str(text).unwrap();
    assert_eq!(
        keys[0].open(b"correct horse battery staple").unwrap(),
        Key::new(&[0x11; 32]).unwrap()
    );
    assert_eq!(keys[1].open(&[0x55; 40]).unwrap(), Key::new(&[0x22; 32]).unwrap());
    let ring = KeyRing::default();
    ring.put(keys[1].id, "mail", Key::new(&[0x22; 32]));
    let wrapped: WrappedKey = serde_json::from_str(include_str!("tests/label.json")).unwrap();
    let key = wrapped.open(&ring, Uuid::from_u128(0x00c0_ffee)).unwrap();
    assert_eq!(key, Key::new(&[0x33; 32]).unwrap());
}
