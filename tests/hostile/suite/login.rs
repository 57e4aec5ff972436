//! Before the login is done.

use vtl_tests::{Pdu, login_pdu, noise, opcode};

use super::Case;
use super::see::*;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a connection and nothing else",
        sent: "nothing, and the end of the stream",
        happens: "closed",
        run: |scene| {
            let mut wire = stranger(scene);
            wire.finish();
            see_end(&mut wire)
        },
    },
    Case {
        name: "half a header",
        sent: "20 bytes of a login request, and the end of the stream",
        happens: "closed",
        run: |scene| {
            let mut wire = stranger(scene);
            wire.send_bytes(&first(scene).encode()[..20]).unwrap();
            wire.finish();
            see_end(&mut wire)
        },
    },
    Case {
        name: "noise",
        sent: "4000 random bytes that begin with no login request",
        happens: "closed",
        run: |scene| {
            let mut wire = stranger(scene);
            let mut bytes = noise(77, 4000);
            (bytes[0], bytes[4]) = (0x1b, 0);
            let _sent = wire.send_bytes(&bytes);
            see_end(&mut wire)
        },
    },
    Case {
        name: "another protocol",
        sent: "an HTTP request",
        happens: "closed",
        run: |scene| {
            let mut wire = stranger(scene);
            let _sent = wire
                .send_bytes(b"GET / HTTP/1.1\r\nHost: library.example\r\nUser-Agent: curl\r\n\r\n");
            wire.finish();
            see_end(&mut wire)
        },
    },
    Case {
        name: "a command before the login",
        sent: "SCSI Command as the first PDU",
        happens: "closed",
        run: |scene| stranger_sees(scene, &[Pdu::new(opcode::SCSI_COMMAND, FINAL)]),
    },
    Case {
        name: "a command in the middle of a login",
        sent: "a good first request, then SCSI Command",
        happens: "login goes on; closed",
        run: |scene| stranger_hears(scene, &[first(scene), Pdu::new(opcode::SCSI_COMMAND, FINAL)]),
    },
    Case {
        name: "a target's PDU before the login",
        sent: "Login Response as the first PDU",
        happens: "closed",
        run: |scene| stranger_sees(scene, &[Pdu::new(opcode::LOGIN_RESPONSE, FINAL)]),
    },
    Case {
        name: "a later version",
        sent: "Version-max and Version-min 1",
        happens: "login status 0205; closed",
        run: |scene| stranger_sees(scene, &[first(scene).with(2, &[1, 1])]),
    },
    Case {
        name: "the reserved tag",
        sent: "a login request with ITT ffffffff",
        happens: "login status 0200; closed",
        run: |scene| stranger_sees(scene, &[first(scene).with_word(16, NO_TAG)]),
    },
    Case {
        name: "a stage that does not exist",
        sent: "CSG 2",
        happens: "login status 0200; closed",
        run: |scene| stranger_sees(scene, &[first(scene).with(1, &[FINAL | 2 << 2 | 3])]),
    },
    Case {
        name: "on to a stage that does not exist",
        sent: "CSG 0, NSG 2",
        happens: "login status 0200; closed",
        run: |scene| stranger_sees(scene, &[first(scene).with(1, &[FINAL | 2])]),
    },
    Case {
        name: "full feature phase as the first stage",
        sent: "CSG 3, NSG 3",
        happens: "login status 0200; closed",
        run: |scene| stranger_sees(scene, &[first(scene).with(1, &[FINAL | 3 << 2 | 3])]),
    },
    Case {
        name: "from full feature phase back",
        sent: "CSG 3, NSG 1",
        happens: "login status 0200; closed",
        run: |scene| stranger_sees(scene, &[first(scene).with(1, &[FINAL | 3 << 2 | 1])]),
    },
    Case {
        name: "back to the stage before",
        sent: "CSG 1, NSG 0",
        happens: "login status 0200; closed",
        run: |scene| stranger_sees(scene, &[first(scene).with(1, &[FINAL | 1 << 2])]),
    },
    Case {
        name: "on to the same stage",
        sent: "CSG 0, NSG 0 with the transit bit",
        happens: "login status 0200; closed",
        run: |scene| stranger_sees(scene, &[first(scene).with(1, &[FINAL])]),
    },
    Case {
        name: "the stage before once more",
        sent: "CSG 0 to 1, and then CSG 0 again",
        happens: "login goes on; login status 020b; closed",
        run: |scene| stranger_hears(scene, &[first(scene), first(scene)]),
    },
    Case {
        name: "a stage skipped in the middle",
        sent: "CSG 0 without transit, and then CSG 1",
        happens: "login goes on; login status 020b; closed",
        run: |scene| {
            let stay = first(scene).with(1, &[0]);
            stranger_hears(scene, &[stay, login_pdu(1, 3, ISID, &[])])
        },
    },
    Case {
        name: "straight to full feature phase",
        sent: "CSG 0, NSG 3, which the standard allows",
        happens: "logged in; closed",
        run: |scene| stranger_hears(scene, &[login_pdu(0, 3, ISID, &keys(scene))]),
    },
    Case {
        name: "another ISID on the way",
        sent: "a second request with another ISID",
        happens: "login goes on; login status 020b; closed",
        run: |scene| {
            stranger_hears(scene, &[first(scene), login_pdu(1, 3, [0x80, 9, 9, 9, 0, 9], &[])])
        },
    },
    Case {
        name: "another tag on the way",
        sent: "a second request with another ITT",
        happens: "login goes on; login status 020b; closed",
        run: |scene| {
            stranger_hears(scene, &[first(scene), login_pdu(1, 3, ISID, &[]).with_word(16, 99)])
        },
    },
    Case {
        name: "another connection on the way",
        sent: "a second request with another CID",
        happens: "login goes on; login status 020b; closed",
        run: |scene| {
            stranger_hears(scene, &[first(scene), login_pdu(1, 3, ISID, &[]).with(20, &[0, 9])])
        },
    },
    Case {
        name: "another session on the way",
        sent: "a second request with another TSIH",
        happens: "login goes on; login status 020b; closed",
        run: |scene| {
            stranger_hears(scene, &[first(scene), login_pdu(1, 3, ISID, &[]).with(14, &[0, 9])])
        },
    },
    Case {
        name: "a session that is not there",
        sent: "TSIH 7777h",
        happens: "login status 020a; closed",
        run: |scene| {
            let pdu = login_pdu(0, 3, ISID, &keys(scene)).with(14, &[0x77, 0x77]);
            stranger_sees(scene, &[pdu])
        },
    },
    Case {
        name: "on and to be continued",
        sent: "T and C bit at once",
        happens: "login status 0200; closed",
        run: |scene| stranger_sees(scene, &[first(scene).with(1, &[FINAL | 0x40 | 1])]),
    },
    Case {
        name: "a length that nobody needs",
        sent: "a header that announces 16 MiB of text",
        happens: "login status 0200; closed",
        run: |scene| {
            let mut wire = stranger(scene);
            let mut bytes = first(scene).encode();
            bytes[5..8].copy_from_slice(&[0xff; 3]);
            wire.send_bytes(&bytes[..48]).unwrap();
            see_end(&mut wire)
        },
    },
    Case {
        name: "additional headers in a login",
        sent: "1020 bytes of additional header segments of zeros",
        happens: "login goes on; closed",
        run: |scene| {
            let mut wire = stranger(scene);
            let mut bytes = first(scene).encode();
            bytes[4] = 255;
            bytes.splice(48..48, [0; 1020]);
            wire.send_bytes(&bytes).unwrap();
            wire.finish();
            see_end(&mut wire)
        },
    },
    Case {
        name: "two requests at once",
        sent: "the second request before the answer to the first",
        happens: "login goes on; logged in; closed",
        run: |scene| {
            let mut wire = stranger(scene);
            let both = [first(scene).encode(), login_pdu(1, 3, ISID, &[]).encode()].concat();
            wire.send_bytes(&both).unwrap();
            let seen = see_some(&mut wire, 2);
            wire.finish();
            format!("{seen}; {}", see_end(&mut wire))
        },
    },
    Case {
        name: "gone in the middle",
        sent: "a good first request, and a reset of the TCP connection",
        happens: "login goes on; the same initiator port gets in at once",
        run: |scene| {
            let mut wire = stranger(scene);
            wire.send(&first(scene)).unwrap();
            wire.expect(opcode::LOGIN_RESPONSE);
            wire.send(&login_pdu(1, 3, ISID, &[])).unwrap();
            // Closed with an answer unread, the socket sends RST.
            drop(wire);
            let seen = stranger_hears(scene, &[login_pdu(0, 3, ISID, &keys(scene))]);
            assert_eq!(seen, "logged in; closed");
            "login goes on; the same initiator port gets in at once".into()
        },
    },
];
