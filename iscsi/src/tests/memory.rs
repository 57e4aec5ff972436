//! Memory: what one connection may hold for its peer, and what all of them may.

use std::time::Duration;

use vtl_scsi::Completion;

use super::pair::*;
use crate::pdu::Opcode;
use crate::{Budget, CloseReason, Event};

fn events(pair: &mut Pair) -> Vec<Event> {
    std::iter::from_fn(|| pair.target.poll_event()).collect()
}

// The backlog was looked at only while more was received: sixty-four READs of 16 MiB, which fit into three kilobytes, were all
// carried out, and a gibibyte waited for a peer that took none of it.
#[test]
fn what_a_peer_does_not_take_keeps_its_next_reads_waiting() {
    let mut pair = Pair::linux();
    for _ in 0..40 {
        let mut command = pair.command(LUN_1, 0x08);
        (command.reads, command.expected_data_transfer_bytes) = (true, 1 << 20);
        let bytes = pair.encode(command.encode(), b"");
        pair.target.handle_bytes(&bytes, Duration::ZERO);
    }
    let delivered = events(&mut pair);
    assert_eq!(delivered.len(), 16, "as much as may wait to be sent");
    for event in delivered {
        let Event::Task { key, .. } = event else { panic!("{event:?}") };
        pair.target.complete(key, Completion::data_in(pattern(1 << 20)));
    }
    assert!(events(&mut pair).is_empty());
    assert!(pair.target.transmit_backlog_bytes() < 17 << 20);
    // What the peer takes makes room, but only once it has really been taken.
    let mut taken = 0;
    while taken < 2 << 20 {
        taken += pair.target.poll_transmit().unwrap().len();
    }
    pair.target.set_in_flight(taken, Duration::ZERO);
    assert!(events(&mut pair).is_empty());
    pair.target.set_in_flight(0, Duration::ZERO);
    assert!(!events(&mut pair).is_empty());
}

#[test]
fn a_session_that_has_nothing_gets_room_for_one_command_where_others_wait() {
    let mut settings = config();
    settings.budget = Budget::new(8 << 20);
    let (mut one, mut two) = (Pair::new(settings.clone()), Pair::new(settings.clone()));
    for pair in [&mut one, &mut two] {
        pair.login("InitialR2T=Yes\0ImmediateData=No\0MaxBurstLength=1048576\0");
    }
    let write = |pair: &mut Pair| {
        let mut command = pair.command(LUN_1, 0x0a);
        (command.writes, command.expected_data_transfer_bytes) = (true, 3 << 20);
        let itt = command.itt;
        pair.send(command.encode(), b"");
        itt
    };
    let count_r2ts = |pair: &mut Pair| {
        let r2ts = pair.inbox.iter().filter(|pdu| pdu.opcode() == Opcode::READY_TO_TRANSFER);
        let count = r2ts.count();
        pair.inbox.clear();
        count
    };
    write(&mut one);
    write(&mut one);
    assert_eq!(count_r2ts(&mut one), 1, "the second waits: half of the budget is for others");
    write(&mut two);
    assert_eq!(count_r2ts(&mut two), 1);
    one.advance(Duration::from_secs(14));
    two.advance(Duration::from_secs(14));
    assert!(!one.target.is_closed() && !two.target.is_closed());
    // What is given back is counted as free: the second command still has no part of the half that is for others.
    drop(two);
    one.advance(Duration::from_millis(14_100));
    assert_eq!(count_r2ts(&mut one), 0);
    assert_eq!(settings.budget.used_bytes(), (3 << 20) + (64 << 10));
    drop(one);
    assert_eq!(settings.budget.used_bytes(), 0);
}

#[test]
fn who_holds_what_others_need_and_gets_nothing_done_is_let_go() {
    let mut settings = config();
    settings.budget = Budget::new(4 << 20);
    settings.timeouts.nop_interval = Duration::from_secs(1000);
    let (mut hoarder, mut other) = (Pair::new(settings.clone()), Pair::new(settings));
    for pair in [&mut hoarder, &mut other] {
        pair.login("InitialR2T=Yes\0ImmediateData=No\0MaxBurstLength=1048576\0");
        let mut command = pair.command(LUN_1, 0x0a);
        (command.writes, command.expected_data_transfer_bytes) = (true, 3 << 20);
        pair.send(command.encode(), b"");
    }
    let asked =
        |pair: &Pair| pair.inbox.iter().any(|pdu| pdu.opcode() == Opcode::READY_TO_TRANSFER);
    assert!(asked(&hoarder) && !asked(&other));
    hoarder.advance(Duration::from_secs(29));
    other.advance(Duration::from_secs(29));
    assert!(hoarder.events.is_empty() && !asked(&other));
    hoarder.advance(Duration::from_secs(2));
    assert_eq!(hoarder.expect_closed(), CloseReason::Memory);
    other.advance(Duration::from_secs(2));
    assert!(asked(&other), "its turn has come");
}

#[test]
fn unasked_data_over_the_budget_ends_the_largest() {
    let mut settings = config();
    settings.budget = Budget::new(4 << 20);
    let mut pair = Pair::new(settings);
    pair.login(LINUX_KEYS);
    // Commands whose numbers are not in turn hold their data and are not delivered.
    pair.next_cmd_sn = pair.next_cmd_sn.next();
    let mut count = 0;
    while !pair.target.is_closed() {
        count += 1;
        let mut command = pair.command(LUN_1, 0x0a);
        (command.writes, command.expected_data_transfer_bytes) = (true, 256 << 10);
        pair.send(command.encode(), &pattern(256 << 10));
    }
    assert_eq!(count, 17);
    assert_eq!(pair.expect_closed(), CloseReason::Memory);
}
