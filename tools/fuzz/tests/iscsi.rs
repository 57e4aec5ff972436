//! Bytes of an initiator, before, during and after login, in pieces of any size.

use std::sync::Arc;
use std::time::Duration;

use bolero::{TypeGenerator, check};
use vtl_fuzz::pdu::{Numbers, Pdu, add_digests};
use vtl_fuzz::text::{Piece, keys};
use vtl_iscsi::{
    Connection, Event, LoginStatus, TargetConfig, TargetDescription, TaskManagementResponse,
};
use vtl_scsi::{BufferPool, Completion, ItNexus, Status};

const TARGET: &str = "iqn.2026-11.example:library";
/// One connection may have this much waiting to be sent, and keeps no more than this many events.
const MAX_EVENTS: usize = 4096;

fn connection() -> Connection {
    let mut config = TargetConfig::new(vec![TargetDescription::new(TARGET)]);
    config.limits.max_solicited_bytes = 4 << 20;
    config.limits.max_data_out_bytes = 4 << 20;
    let mut connection =
        Connection::new(Arc::new(config), BufferPool::new(1 << 20), Duration::ZERO);
    connection.set_portal("127.0.0.1:3260");
    connection
}

/// What the owner of a connection does with an event.
#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Owner {
    Good,
    Data(u16),
    Refuses,
    Aborts,
    Waits,
}

/// Feeds bytes in pieces, acts on all events, and takes everything that is to be sent.
fn feed(connection: &mut Connection, bytes: &[u8], pieces: &[u8], owner: Owner, now: Duration) {
    let mut rest = bytes;
    let mut turns = pieces.iter().cycle();
    while !rest.is_empty() && !connection.is_closed() {
        let size = usize::from(*turns.next().unwrap_or(&255)).max(1).min(rest.len());
        let (piece, behind) = rest.split_at(size);
        connection.handle_bytes(piece, now);
        rest = behind;
        act(connection, owner);
    }
}

fn act(connection: &mut Connection, owner: Owner) {
    let mut events = 0;
    while let Some(event) = connection.poll_event() {
        events += 1;
        assert!(events <= MAX_EVENTS, "events without end");
        match (event, owner) {
            (Event::LoginReady(_), Owner::Refuses) => {
                connection.refuse_login(LoginStatus::OUT_OF_RESOURCES);
            }
            (Event::LoginReady(_), _) => {
                connection.accept_login(1, ItNexus(1));
            }
            (Event::Task { key, .. }, Owner::Good) => {
                connection.complete(key, Completion::with_status(Status::GOOD));
            }
            (Event::Task { key, .. }, Owner::Data(length)) => {
                let mut completion = Completion::with_status(Status::GOOD);
                completion.data_in = vec![7; usize::from(length)].into();
                connection.complete(key, completion);
            }
            (Event::Task { key, .. }, Owner::Refuses) => {
                connection.complete(key, Completion::with_status(Status::TASK_SET_FULL));
            }
            (Event::Task { key, .. }, Owner::Aborts) => connection.abort_task(key),
            (Event::TaskManagement { key, .. }, _) => {
                connection.complete_task_management(key, TaskManagementResponse::FUNCTION_COMPLETE);
            }
            (Event::Task { .. }, Owner::Waits)
            | (Event::Closed { .. } | Event::LoginFailed { .. }, _) => {}
        }
    }
    while let Some(transmit) = connection.poll_transmit() {
        assert!(transmit.len() >= 48, "less than a header");
    }
}

#[test]
fn raw_bytes() {
    vtl_fuzz::watch();
    check!().with_type::<(Vec<u8>, Vec<u8>, Owner)>().for_each(|(bytes, pieces, owner)| {
        feed(&mut connection(), bytes, pieces, *owner, Duration::from_millis(1));
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}

fn login_pdu(flags: u8, text: &[u8]) -> Vec<u8> {
    let mut bhs = [0_u8; 48];
    bhs[0] = 0x43;
    bhs[1] = flags;
    bhs[5..8].copy_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes()[1..]);
    bhs[8] = 0x80;
    bhs[19] = 1;
    bhs[27] = 1;
    let mut bytes = bhs.to_vec();
    bytes.extend(text);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A connection whose login is over.
fn logged_in(digests: bool) -> Connection {
    let mut connection = connection();
    let digest = if digests { "HeaderDigest=CRC32C\0DataDigest=CRC32C\0" } else { "" };
    let text = format!(
        "InitiatorName=iqn.2026-11.example:fuzz\0TargetName={TARGET}\0SessionType=Normal\0\
         InitialR2T=No\0ImmediateData=Yes\0FirstBurstLength=65536\0MaxBurstLength=65536\0{digest}"
    );
    feed(&mut connection, &login_pdu(0x87, text.as_bytes()), &[], Owner::Good, Duration::ZERO);
    assert!(!connection.is_closed());
    connection
}

#[test]
fn a_session_is_reached() {
    // A target that never gets behind the login tests nothing.
    let mut connection = logged_in(false);
    let mut ping = [0_u8; 48];
    ping[0] = 0x40;
    ping[1] = 0x80;
    ping[19] = 9;
    ping[20..24].copy_from_slice(&[0xff; 4]);
    connection.handle_bytes(&ping, Duration::ZERO);
    assert!(connection.has_transmit(), "a ping is answered");
}

#[test]
fn pdus_after_login() {
    vtl_fuzz::watch();
    check!().with_type::<(Vec<Pdu>, Vec<u8>, Vec<Owner>, bool)>().for_each(
        |(pdus, pieces, owners, ticks)| {
            let mut connection = logged_in(false);
            let mut numbers = Numbers { cmd_sn: 1, tag: 100 };
            let mut now = Duration::from_millis(1);
            for (index, pdu) in pdus.iter().enumerate() {
                let owner = owners.get(index % owners.len().max(1)).copied();
                let bytes = pdu.encode(&mut numbers);
                feed(&mut connection, &bytes, pieces, owner.unwrap_or(Owner::Good), now);
                if *ticks && let Some(timeout) = connection.poll_timeout() {
                    now = now.max(timeout);
                    connection.handle_timeout(now);
                    act(&mut connection, Owner::Good);
                }
            }
            vtl_fuzz::executed();
        },
    );
    vtl_fuzz::check();
}

#[test]
fn pdus_with_digests_and_before_login() {
    vtl_fuzz::watch();
    check!().with_type::<(Vec<(Pdu, bool)>, Vec<u8>, Owner, bool)>().for_each(
        |(pdus, pieces, owner, is_logged_in)| {
            let mut connection = if *is_logged_in { logged_in(true) } else { connection() };
            let mut numbers = Numbers { cmd_sn: 1, tag: 100 };
            for (pdu, has_wrong_data) in pdus {
                let mut bytes = pdu.encode(&mut numbers);
                if *is_logged_in {
                    add_digests(&mut bytes, !has_wrong_data);
                }
                feed(&mut connection, &bytes, pieces, *owner, Duration::from_millis(1));
            }
            vtl_fuzz::executed();
        },
    );
    vtl_fuzz::check();
}

#[test]
fn login_text() {
    vtl_fuzz::watch();
    check!().with_type::<(Vec<(u8, Vec<Piece>)>, bool)>().for_each(|(steps, well_begun)| {
        let mut connection = connection();
        for (flags, pieces) in steps {
            let mut text = Vec::new();
            if *well_begun {
                text.extend(b"InitiatorName=iqn.2026-11.example:fuzz\0SessionType=Discovery\0");
            }
            text.extend(keys(pieces));
            let bytes = login_pdu(*flags, &text);
            feed(&mut connection, &bytes, &[], Owner::Good, Duration::from_millis(1));
        }
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}
