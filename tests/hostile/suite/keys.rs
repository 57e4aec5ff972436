//! Text keys of a login.

use vtl_tests::{Scene, login_pdu};

use super::Case;
use super::see::*;

/// A first request with one key more.
fn with_key(scene: &Scene, key: &str) -> String {
    let mut keys = keys(scene);
    keys.push(key.into());
    stranger_hears(scene, &[login_pdu(0, 1, ISID, &keys)])
}

/// A first request with other text.
fn with_text(scene: &Scene, text: &[u8]) -> String {
    stranger_hears(scene, &[login_pdu(0, 1, ISID, &[]).with_data(text)])
}

/// A first request in which one of the keys is another one.
fn with_instead(scene: &Scene, index: usize, key: &str) -> String {
    let mut keys = keys(scene);
    keys[index] = key.into();
    stranger_hears(scene, &[login_pdu(0, 1, ISID, &keys)])
}

/// An operational key; the answer.
fn operational(scene: &Scene, key: &str) -> String {
    stranger_hears(scene, &[first(scene), login_pdu(1, 1, ISID, &[key.into()]).with(1, &[1 << 2])])
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "no text",
        sent: "a first request without text",
        happens: "login status 0207; closed",
        run: |scene| with_text(scene, b""),
    },
    Case {
        name: "zeros only",
        sent: "300 zero bytes as text",
        happens: "login status 0207; closed",
        run: |scene| with_text(scene, &[0; 300]),
    },
    Case {
        name: "a key without a value",
        sent: "`AuthMethod` without `=`",
        happens: "login status 0200; closed",
        run: |scene| with_instead(scene, 3, "AuthMethod"),
    },
    Case {
        name: "a value without a key",
        sent: "`=None`",
        happens: "login status 0200; closed",
        run: |scene| with_key(scene, "=None"),
    },
    Case {
        name: "a key that is too long",
        sent: "a key of 64 bytes",
        happens: "login status 0200; closed",
        run: |scene| with_key(scene, &format!("{}=1", "K".repeat(64))),
    },
    Case {
        name: "a key of the greatest length",
        sent: "a key of 63 bytes that nobody knows",
        happens: "login goes on with KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK=NotUnderstood; closed",
        run: |scene| with_key(scene, &format!("{}=1", "K".repeat(63))),
    },
    Case {
        name: "characters that keys do not have",
        sent: "`Auth Method=None`",
        happens: "login status 0200; closed",
        run: |scene| with_key(scene, "Auth Method=None"),
    },
    Case {
        name: "the same key twice",
        sent: "AuthMethod twice in one request",
        happens: "login status 0200; closed",
        run: |scene| with_key(scene, "AuthMethod=None"),
    },
    Case {
        name: "the same key in two requests",
        sent: "HeaderDigest in two requests of the operational stage",
        happens: "login goes on; login goes on; login status 0200; closed",
        run: |scene| {
            let stay = login_pdu(1, 1, ISID, &["HeaderDigest=None".into()]).with(1, &[1 << 2]);
            stranger_hears(scene, &[first(scene), stay.clone(), stay])
        },
    },
    Case {
        name: "bytes that are no text",
        sent: "300 bytes ffh",
        happens: "login status 0200; closed",
        run: |scene| with_text(scene, &[0xff; 300]),
    },
    Case {
        name: "no initiator",
        sent: "a first request without InitiatorName",
        happens: "login status 0207; closed",
        run: |scene| {
            let keys = keys(scene)[1..].to_vec();
            stranger_hears(scene, &[login_pdu(0, 1, ISID, &keys)])
        },
    },
    Case {
        name: "an initiator without a name",
        sent: "`InitiatorName=`",
        happens: "login status 0200; closed",
        run: |scene| with_instead(scene, 0, "InitiatorName="),
    },
    Case {
        name: "a name that is too long",
        sent: "an InitiatorName of 224 bytes",
        happens: "login status 0200; closed",
        run: |scene| with_instead(scene, 0, &format!("InitiatorName=iqn.{}", "a".repeat(220))),
    },
    Case {
        name: "a name with control characters",
        sent: "an InitiatorName with a line feed and an escape sequence",
        happens: "login status 0200; closed",
        run: |scene| with_instead(scene, 0, "InitiatorName=iqn.2026-07.a:\n\u{1b}[31mroot"),
    },
    Case {
        name: "another initiator on the way",
        sent: "another InitiatorName in the second request",
        happens: "login goes on; login status 0200; closed",
        run: |scene| operational(scene, "InitiatorName=iqn.2026-07.test:somebody"),
    },
    Case {
        name: "no target",
        sent: "a normal session without TargetName",
        happens: "login status 0207; closed",
        run: |scene| {
            let mut keys = keys(scene);
            keys.remove(1);
            stranger_hears(scene, &[login_pdu(0, 1, ISID, &keys)])
        },
    },
    Case {
        name: "a target that is not there",
        sent: "another TargetName",
        happens: "login status 0203; closed",
        run: |scene| with_instead(scene, 1, "TargetName=iqn.2026-07.nobody:nothing"),
    },
    Case {
        name: "a type of session that does not exist",
        sent: "`SessionType=Strange`",
        happens: "login status 0209; closed",
        run: |scene| with_instead(scene, 2, "SessionType=Strange"),
    },
    Case {
        name: "a method that is not offered",
        sent: "`AuthMethod=KRB5`",
        happens: "login status 0201; closed",
        run: |scene| with_instead(scene, 3, "AuthMethod=KRB5"),
    },
    Case {
        name: "text without end",
        sent: "requests of 8 KiB, each to be continued",
        happens: "8 parts taken; login status 0200; closed",
        run: |scene| {
            let mut wire = stranger(scene);
            let pdu = login_pdu(0, 0, ISID, &[]).with(1, &[0x40]).with_data(&[b'a'; 8192]);
            let mut parts = 0;
            loop {
                wire.send(&pdu).unwrap();
                let answer = wire.receive().unwrap();
                if answer.bhs[36] != 0 {
                    let status =
                        format!("login status {:02x}{:02x}", answer.bhs[36], answer.bhs[37]);
                    return format!("{parts} parts taken; {status}; {}", see_end(&mut wire));
                }
                parts += 1;
            }
        },
    },
    Case {
        name: "a thousand keys",
        sent: "1000 keys that nobody knows, in 13 KiB",
        happens: "1000 keys not understood; closed",
        run: |scene| {
            let mut keys = keys(scene);
            keys.extend((0..1000).map(|number| format!("X-key{number}=1")));
            let mut wire = stranger(scene);
            wire.send(&login_pdu(0, 1, ISID, &keys)).unwrap();
            let (mut count, mut text) = (0, String::new());
            // The answer comes in parts, as long as it is asked for.
            while let Ok(answer) = wire.receive() {
                text += &String::from_utf8(answer.data).unwrap();
                count += 1;
                assert!(count < 100 && answer.bhs[36] == 0);
                if answer.bhs[1] & 0x80 != 0 {
                    break;
                }
                wire.send(&login_pdu(0, 1, ISID, &[])).unwrap();
            }
            wire.finish();
            format!(
                "{} keys not understood; {}",
                text.matches("=NotUnderstood").count(),
                see_end(&mut wire)
            )
        },
    },
    Case {
        name: "a number that is none",
        sent: "`MaxBurstLength=many`",
        happens: "login goes on; login goes on with MaxBurstLength=Reject; closed",
        run: |scene| operational(scene, "MaxBurstLength=many"),
    },
    Case {
        name: "a number out of range",
        sent: "`MaxRecvDataSegmentLength=511`",
        happens: "login goes on; login goes on with MaxRecvDataSegmentLength=Reject; closed",
        run: |scene| operational(scene, "MaxRecvDataSegmentLength=511"),
    },
    Case {
        name: "a number beyond 64 bits",
        sent: "`FirstBurstLength=99999999999999999999999`",
        happens: "login goes on; login goes on with FirstBurstLength=Reject; closed",
        run: |scene| operational(scene, "FirstBurstLength=99999999999999999999999"),
    },
    Case {
        name: "a digest that is not offered",
        sent: "`HeaderDigest=MD5`",
        happens: "login goes on; login goes on with HeaderDigest=Reject; closed",
        run: |scene| operational(scene, "HeaderDigest=MD5"),
    },
    Case {
        name: "a choice in the wrong case",
        sent: "`InitialR2T=YES`",
        happens: "login goes on; login goes on with InitialR2T=Reject; closed",
        run: |scene| operational(scene, "InitialR2T=YES"),
    },
];
