//! CHAP with MD5, as an initiator does it, written from RFC 7143 §12.1.3 and RFC 1994.

use std::fmt::Write;
use std::io;

use md5::{Digest, Md5};

use crate::initiator::Initiator;
use crate::wire::{login_pdu, opcode};

/// Who an initiator says to be.
#[derive(Debug, Clone)]
pub struct Chap {
    /// The name that it goes by.
    pub user: String,
    /// What it knows.
    pub secret: String,
    /// The target's name and secret, if it wants proof in return.
    pub target: Option<(String, String)>,
}

impl Chap {
    /// In one direction.
    pub fn new(user: &str, secret: &str) -> Self {
        Self { user: user.to_owned(), secret: secret.to_owned(), target: None }
    }

    /// The steps behind `keys`, which offer CHAP, up to the next stage. An answer with another status than success is an error.
    pub(crate) fn log_in(
        &self,
        initiator: &mut Initiator,
        isid: [u8; 6],
        keys: &[String],
        before_proof: impl FnOnce(),
    ) -> io::Result<()> {
        let method = step(initiator, isid, false, keys)?;
        assert_eq!(value(&method, "AuthMethod"), Some("CHAP"), "{method}");
        let asked = step(initiator, isid, false, &["CHAP_A=5".to_owned()])?;
        let identifier: u8 = value(&asked, "CHAP_I").expect("CHAP_I").parse().expect("a number");
        let challenge = bytes(value(&asked, "CHAP_C").expect("CHAP_C"));
        let proof = response(identifier, &self.secret, &challenge);
        before_proof();
        let mut keys = vec![format!("CHAP_N={}", self.user), format!("CHAP_R=0x{}", hex(&proof))];
        let own: Vec<u8> = (100..120).collect();
        if self.target.is_some() {
            keys.extend(["CHAP_I=77".to_owned(), format!("CHAP_C=0x{}", hex(&own))]);
        }
        let answer = step(initiator, isid, true, &keys)?;
        if let Some((user, secret)) = &self.target {
            assert_eq!(value(&answer, "CHAP_N"), Some(user.as_str()));
            let proof = format!("0x{}", hex(&response(77, secret, &own)));
            assert_eq!(value(&answer, "CHAP_R"), Some(proof.as_str()), "the target's proof");
        }
        Ok(())
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

fn step(
    initiator: &mut Initiator,
    isid: [u8; 6],
    is_transit: bool,
    keys: &[String],
) -> io::Result<String> {
    let mut pdu = login_pdu(0, 1, isid, keys).with_word(28, initiator.exp_stat_sn);
    if !is_transit {
        pdu.bhs[1] &= !0x83;
    }
    initiator.wire.send(&pdu)?;
    let answer = initiator.wire.receive()?;
    assert_eq!(answer.opcode(), opcode::LOGIN_RESPONSE);
    let status = [answer.bhs[36], answer.bhs[37]];
    if status != [0, 0] {
        return Err(io::Error::other(format!("login status {status:02x?}")));
    }
    initiator.exp_stat_sn = answer.word(24).wrapping_add(1);
    Ok(String::from_utf8(answer.data).expect("keys are text"))
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split('\0')
        .filter_map(|pair| pair.split_once('='))
        .find(|(other, _)| *other == key)
        .map(|(_, value)| value)
}

fn bytes(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("0x").expect("hexadecimal digits");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits"))
        .collect()
}

fn response(identifier: u8, secret: &str, challenge: &[u8]) -> Vec<u8> {
    let mut hash = Md5::new();
    hash.update([identifier]);
    hash.update(secret.as_bytes());
    hash.update(challenge);
    hash.finalize().to_vec()
}
