//! The protocol without a socket: a login text through the whole state machine, as random peers send it, and the headers that each READ
//! and WRITE consist of.

#![allow(missing_docs, reason = "criterion's macros make items without documentation")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use vtl_iscsi::pdu::{DataIn, DataOut, ReadyToTransfer, ScsiCommand, ScsiResponse};
use vtl_iscsi::{Connection, TargetConfig, TargetDescription};
use vtl_scsi::BufferPool;

const KEYS: &str = "InitiatorName=iqn.2026-11.bench:a\0SessionType=Discovery\0AuthMethod=None\0\
    HeaderDigest=None\0DataDigest=None\0MaxRecvDataSegmentLength=262144\0";

/// A login request for the full-feature phase (RFC 7143 §11.12).
fn login() -> Vec<u8> {
    let mut pdu = vec![0_u8; 48];
    pdu.splice(0..2, [0x43, 0x87]);
    let [_, high, middle, low] = u32::try_from(KEYS.len()).unwrap_or(0).to_be_bytes();
    pdu.splice(5..8, [high, middle, low]);
    pdu.splice(8..14, [0x80, 0, 0, 1, 0, 1]);
    pdu.extend(KEYS.as_bytes());
    pdu.resize(pdu.len().next_multiple_of(4), 0);
    pdu
}

fn protocol(criterion: &mut Criterion) {
    let config =
        Arc::new(TargetConfig::new(vec![TargetDescription::new("iqn.2026-11.bench:library")]));
    let pool = BufferPool::new(1 << 20);
    let login = login();
    criterion.bench_function("login request to event", |bencher| {
        bencher.iter(|| {
            let mut connection = Connection::new(config.clone(), pool.clone(), Duration::ZERO);
            connection.handle_bytes(&login, Duration::ZERO);
            connection.poll_event().is_some() || connection.has_transmit()
        });
    });
}

/// Parses a header and writes it again, for each PDU of the full-feature phase that a READ or a WRITE is made of.
fn codec(criterion: &mut Criterion) {
    // Whatever a peer sends is parsed: any bytes will do, and these leave no field zero.
    let bhs = [0x5a_u8; 48];
    macro_rules! both_ways {
        ($($pdu:ident),*) => {$(
            criterion.bench_function(concat!("header, both ways: ", stringify!($pdu)), |bencher| {
                bencher.iter(|| $pdu::parse(black_box(&bhs)).encode());
            });
        )*};
    }
    both_ways!(ScsiCommand, ScsiResponse, DataIn, DataOut, ReadyToTransfer);
}

criterion_group!(benches, protocol, codec);
criterion_main!(benches);
