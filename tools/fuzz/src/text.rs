//! Text of logins and of text requests.

use bolero::TypeGenerator;

/// What such a text is made of.
#[derive(Debug, Clone, TypeGenerator)]
pub enum Piece {
    /// One of the keys that there are, and `=`.
    Key(u8),
    /// One of the values that there are, and its end.
    Value(u8),
    /// Anything.
    Raw(Vec<u8>),
    /// A number, and its end.
    Number(u64),
    /// So many bytes, as long values are written, and their end.
    Hex(u8),
    /// A stray `=`.
    Equals,
    /// A stray end.
    End,
}

const KEYS: [&str; 30] = [
    "InitiatorName",
    "TargetName",
    "SessionType",
    "AuthMethod",
    "HeaderDigest",
    "DataDigest",
    "MaxConnections",
    "InitialR2T",
    "ImmediateData",
    "MaxRecvDataSegmentLength",
    "MaxBurstLength",
    "FirstBurstLength",
    "DefaultTime2Wait",
    "DefaultTime2Retain",
    "MaxOutstandingR2T",
    "DataPDUInOrder",
    "DataSequenceInOrder",
    "ErrorRecoveryLevel",
    "IFMarker",
    "SendTargets",
    "InitiatorAlias",
    "TargetPortalGroupTag",
    "X-com.example.key",
    "CHAP_A",
    "CHAP_I",
    "CHAP_C",
    "CHAP_N",
    "CHAP_R",
    "TaskReporting",
    "iSCSIProtocolLevel",
];
const VALUES: [&str; 18] = [
    "Yes",
    "No",
    "None",
    "CRC32C,None",
    "Normal",
    "Discovery",
    "All",
    "CHAP,None",
    "0",
    "16777215",
    "0x1000",
    "iqn.2026-11.example:library",
    "?",
    "Irrelevant",
    "CHAP",
    "5,6,7,8",
    "iqn.2026-11.example:fuzz",
    "0b",
];

/// The text.
pub fn keys(pieces: &[Piece]) -> Vec<u8> {
    let mut text = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Key(key) => {
                text.extend(KEYS[usize::from(*key) % KEYS.len()].bytes());
                text.push(b'=');
            }
            Piece::Value(value) => {
                text.extend(VALUES[usize::from(*value) % VALUES.len()].bytes());
                text.push(0);
            }
            Piece::Raw(raw) => text.extend(raw),
            Piece::Number(number) => text.extend(format!("{number}\0").bytes()),
            Piece::Hex(count) => {
                text.extend(b"0x");
                text.extend(std::iter::repeat_n(b'a', 2 * usize::from(*count)));
                text.push(0);
            }
            Piece::Equals => text.push(b'='),
            Piece::End => text.push(0),
        }
    }
    text
}
