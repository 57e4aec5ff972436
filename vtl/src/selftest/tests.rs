//! The checks against the product, and against answers that are wrong on purpose: a check that cannot fail says nothing.

use super::host::{Answer, Target};
use super::*;

/// A target that lies.
struct Liar {
    honest: Initiator,
    lie: Lie,
}

impl Target for Liar {
    fn ask(
        &mut self,
        lun: u64,
        cdb: &[u8],
        data_out: Vec<u8>,
        room_bytes: u32,
    ) -> anyhow::Result<Answer> {
        let mut answer = self.honest.ask(lun, cdb, data_out, room_bytes)?;
        (self.lie)(&mut answer);
        Ok(answer)
    }
}

/// What fails if the target lies like this.
fn failures(stage: &Stage, client: Client, lie: Lie) -> Vec<&'static str> {
    let log_in = |name| log_in(stage, name).unwrap();
    let mut host = Host::new(Liar { honest: log_in("a"), lie }, log_in("b"));
    client.test(&mut host).unwrap_or_else(|error| panic!("{client:?}: {error:#}"));
    let rows = host.into_rows().into_iter().filter(|row| !row.is_ok);
    rows.map(|row| row.check).collect()
}

fn is(answer: &Answer, cdb: &[u8]) -> bool {
    answer.cdb.starts_with(cdb)
}

type Lie = fn(&mut Answer);

/// What is wrong on purpose, and which check of which client has to say so.
const LIES: &[(Client, &str, Lie)] = &[
    (Client::St, "MODE SENSE of page 0", |answer| {
        if is(answer, &[0x1a, 0, 0, 0, 12]) {
            answer.data.truncate(11);
        }
    }),
    (Client::St, "a block longer than READ", |answer| {
        // The residual as a count of what was too much.
        if answer.information() == Some(-2000) {
            answer.sense[3..7].copy_from_slice(&2000_i32.to_be_bytes());
        }
    }),
    (Client::St, "SPACE beyond the end of data", |answer| {
        if answer.code() == Some((8, 0, 5)) {
            answer.sense[0] = 0x70;
        }
    }),
    (Client::Bacula, "the first WRITE past early warning", |answer| {
        // As a VTL did that cost LTFS its last index.
        if answer.code() == Some((0, 0, 2)) {
            answer.sense[13] = 0;
        }
    }),
    (Client::Bacula, "TapeAlert flags", |answer| {
        if is(answer, &[0x4d, 0, 0x6e]) {
            answer.data[8] = 1;
        }
    }),
    (Client::Amanda, "where its cartridge came from", |answer| {
        if is(answer, &[0xb8, 0x14]) {
            answer.data[16 + 9] = 0;
        }
    }),
    (Client::Amanda, "the first command afterwards", |answer| {
        if answer.code().is_some_and(|(key, code, _)| (key, code) == (6, 0x28)) {
            answer.sense[12] = 0x29;
        }
    }),
    (Client::Ltfs, "INQUIRY", |answer| {
        if is(answer, &[0x12, 0]) {
            answer.data[8..16].copy_from_slice(b"ACME    ");
        }
    }),
    (Client::Ltfs, "a short block", |answer| answer.residual_bytes = 0),
    (Client::Proxmox, "element addresses, mode page 1Dh", |answer| {
        if is(answer, &[0x1a, 0x08, 0x1d]) {
            answer.data[0] = 27;
        }
    }),
    (Client::Proxmox, "READ POSITION, long form", |answer| {
        if is(answer, &[0x34, 0x06]) {
            answer.data.push(0);
        }
    }),
    (Client::Proxmox, "TapeAlert response, log page 12h", |answer| {
        if is(answer, &[0x4d, 0, 0x52]) {
            answer.data[3] = 8;
        }
    }),
    (Client::Proxmox, "without the key", |answer| {
        if answer.code() == Some((7, 0x74, 1)) {
            answer.sense[13] = 3;
        }
    }),
    (Client::Netbackup, "the drive's identifier in its element", |answer| {
        if is(answer, &[0xb8, 0x14]) && answer.cdb[6] == 1 {
            let last = answer.data.iter().rposition(|byte| !b" \0".contains(byte));
            answer.data[last.unwrap()] ^= 1;
        }
    }),
];

#[test]
fn each_client_notices_what_it_would_choke_on() {
    let directory = tempfile::tempdir().unwrap();
    let options = SelftestOptions {
        directory: Some(directory.path().to_owned()),
        ..SelftestOptions::default()
    };
    let models = Models::default();
    let chosen = chosen(directory.path(), &models, &options).unwrap();
    let stage = prepare(&options, chosen, models).unwrap();
    for client in Client::value_variants() {
        assert_eq!(failures(&stage, *client, |_| {}), [""; 0], "{client:?} of an honest target");
    }
    for (client, check, lie) in LIES {
        let failed = failures(&stage, *client, *lie);
        assert!(failed.contains(check), "{client:?} did not notice {check}: {failed:?}");
    }
    stage.close().unwrap();
}
