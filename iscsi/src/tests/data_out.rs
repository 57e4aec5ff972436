//! Writes: immediate, unsolicited and solicited data.

use vtl_scsi::{Completion, Status};

use super::pair::*;
use crate::pdu::{
    InitiatorTaskTag, Opcode, ReadyToTransfer, Reject, RejectReason, Residual, TargetTransferTag,
};
use crate::{CloseReason, TargetConfig};

#[test]
fn a_block_of_256_kib_travels_with_its_command() {
    let mut pair = Pair::linux();
    let data = pattern(256 << 10);
    let command = pair.write_command(LUN_1, data.len());
    pair.send(command.encode(), &data);
    pair.receive_nothing();
    let (key, lun, task) = pair.expect_task();
    assert_eq!((lun, task.nexus, task.data_in_limit_bytes), (LUN_1, NEXUS, 0));
    assert_eq!(task.cdb.operation_code(), 0x0a);
    assert!(*task.data_out == *data);
    pair.complete(key, Completion::good().after_data_out(data.len() as u64));
    let answer = pair.answer();
    assert_eq!((answer.status, answer.residual), (Status::GOOD, Residual::None));
}

#[test]
fn a_block_of_1_mib_travels_with_one_r2t_that_leaves_before_the_immediate_data_is_in() {
    let mut pair = Pair::linux();
    let data = pattern(1 << 20);
    let command = pair.write_command(LUN_1, data.len());
    let bytes = pair.encode(command.encode(), &data[..256 << 10]);
    pair.send_bytes(&bytes[..48]);
    let r2t = ReadyToTransfer::parse(&pair.receive(Opcode::READY_TO_TRANSFER).bhs);
    assert_eq!((r2t.buffer_offset, r2t.desired_bytes), (256 << 10, 768 << 10));
    pair.send_bytes(&bytes[48..]);
    pair.send_burst(&command, r2t.ttt, &data, 256 << 10..1 << 20);
    pair.receive_nothing();
    assert!(*pair.expect_task().2.data_out == *data);
}

#[test]
fn data_arrives_whole_however_it_is_agreed_to_travel() {
    for initial_r2t in [false, true] {
        for immediate_data in [false, true] {
            for (first_burst, max_burst, max_pdu) in
                [(512, 1024, 512), (1024, 1024, 700), (700, 4096, 8192)]
            {
                let agreed =
                    Agreed { initial_r2t, immediate_data, first_burst, max_burst, max_pdu };
                let mut pair = Pair::agreeing(agreed);
                for length in
                    [0, 1, 3, 511, 512, 513, 699, 701, 1023, 1024, 1025, 1536, 2048, 5000, 20_000]
                {
                    pair.piece = 1 + length % 97;
                    let data = pattern(length);
                    let (key, task) = pair.write(LUN_1, &data);
                    assert!(*task.data_out == *data, "{agreed:?} {length}");
                    pair.complete(key, Completion::good().after_data_out(length as u64));
                    assert_eq!(pair.answer().residual, Residual::None);
                    pair.receive_nothing();
                }
            }
        }
    }
}

#[test]
fn several_r2ts_are_outstanding_up_to_the_agreed_number() {
    let agreed = Agreed {
        initial_r2t: true,
        immediate_data: false,
        first_burst: 512,
        max_burst: 512,
        max_pdu: 512,
    };
    let mut pair = Pair::agreeing(agreed);
    let data = pattern(6 * 512);
    let command = pair.begin_write(LUN_1, &data);
    let r2ts: Vec<_> = pair.inbox.drain(..).map(|pdu| ReadyToTransfer::parse(&pdu.bhs)).collect();
    let offsets: Vec<_> = r2ts.iter().map(|r2t| (r2t.r2t_sn, r2t.buffer_offset)).collect();
    assert_eq!(offsets, [(0, 0), (1, 512), (2, 1024), (3, 1536)]);
    for r2t in r2ts {
        let start = r2t.buffer_offset as usize;
        pair.send_burst(&command, r2t.ttt, &data, start..start + 512);
    }
    pair.answer_r2ts(&command, &data);
    assert!(*pair.expect_task().2.data_out == *data);
}

#[test]
fn less_unsolicited_data_than_allowed_is_completed_by_an_r2t() {
    let mut pair = Pair::linux();
    let data = pattern(10_000);
    let mut command = pair.write_command(LUN_1, data.len());
    command.is_final = false;
    pair.send(command.encode(), &data[..1000]);
    let pdu = pair.data_out(&command, TargetTransferTag::RESERVED, 1000, 0, true);
    pair.send(pdu.encode(), &data[1000..3001]);
    pair.answer_r2ts(&command, &data);
    assert!(*pair.expect_task().2.data_out == *data);
}

#[test]
fn a_write_that_is_cut_at_any_byte_delivers_nothing() {
    let agreed = Agreed {
        initial_r2t: false,
        immediate_data: true,
        first_burst: 600,
        max_burst: 600,
        max_pdu: 512,
    };
    let data = pattern(1500);
    // The R2Ts are the same in every run, so that the whole exchange can be recorded once.
    let mut pair = Pair::agreeing(agreed);
    let mut command = pair.write_command(LUN_1, data.len());
    command.is_final = false;
    let mut stream = pair.encode(command.encode(), &data[..512]);
    let pdu = pair.data_out(&command, TargetTransferTag::RESERVED, 512, 0, true);
    stream.extend(pair.encode(pdu.encode(), &data[512..600]));
    pair.send_bytes(&stream);
    while let Some(pdu) = pair.inbox.pop_front() {
        let r2t = ReadyToTransfer::parse(&pdu.bhs);
        let range = r2t.buffer_offset as usize..(r2t.buffer_offset + r2t.desired_bytes) as usize;
        let pdu = pair.data_out(&command, r2t.ttt, range.start, 0, true);
        let bytes = pair.encode(pdu.encode(), &data[range]);
        pair.send_bytes(&bytes);
        stream.extend(bytes);
    }
    assert!(*pair.expect_task().2.data_out == *data);
    for cut in 0..stream.len() {
        let mut pair = Pair::agreeing(agreed);
        pair.send_bytes(&stream[..cut]);
        pair.expect_no_event();
        pair.target.close(CloseReason::ConnectionLost);
        pair.pump();
        assert_eq!(pair.expect_closed(), CloseReason::ConnectionLost);
    }
}

#[test]
fn residuals_of_writes_compare_what_was_announced_with_what_the_command_takes() {
    let mut pair = Pair::linux();
    for (announced, taken, expected) in [
        (100, 100, Residual::None),
        (100, 60, Residual::Underflow(40)),
        (0, 24, Residual::Overflow(24)),
    ] {
        let (key, _) = pair.write(LUN_1, &pattern(announced));
        pair.complete(key, Completion::good().after_data_out(taken));
        assert_eq!(pair.answer().residual, expected);
    }
}

#[test]
fn a_command_that_announces_more_than_is_taken_gets_what_comes_unasked() {
    let mut pair = Pair::linux();
    let command = pair.write_command(LUN_1, u32::MAX as usize);
    let data = pattern(256 << 10);
    pair.send(command.encode(), &data);
    pair.receive_nothing();
    let (key, _, task) = pair.expect_task();
    assert!(*task.data_out == *data);
    pair.complete(key, Completion::with_status(Status::BUSY));
    assert_eq!(pair.answer().residual, Residual::Underflow(u32::MAX));
}

#[test]
fn solicited_data_is_bounded_and_the_oldest_command_is_always_served() {
    let mut settings = config();
    settings.limits.max_solicited_bytes = 1 << 20;
    let mut pair = Pair::new(settings);
    pair.login(LINUX_KEYS);
    let data = pattern(700 << 10);
    let first = pair.begin_write(LUN_1, &data);
    let second = pair.begin_write(LUN_2, &data);
    let large = pattern(3 << 20);
    let third = pair.begin_write(LUN_2, &large);
    let r2t =
        |pair: &mut Pair| ReadyToTransfer::parse(&pair.receive(Opcode::READY_TO_TRANSFER).bhs);
    let asked = r2t(&mut pair);
    assert_eq!(asked.itt, first.itt);
    pair.receive_nothing();
    pair.send_burst(&first, asked.ttt, &data, 256 << 10..700 << 10);
    let (key, _, task) = pair.expect_task();
    assert!(*task.data_out == *data);
    pair.receive_nothing();
    // Room is free once the command is answered.
    pair.complete(key, Completion::good());
    pair.answer();
    pair.answer_r2ts(&second, &data);
    let (key, _, task) = pair.expect_task();
    assert!(*task.data_out == *data);
    pair.complete(key, Completion::good());
    pair.answer();
    // The third is larger than the whole budget.
    pair.answer_r2ts(&third, &large);
    assert!(*pair.expect_task().2.data_out == *large);
}

/// A read larger than FirstBurstLength once took a place among the writes that wait for room, and never left it.
#[test]
fn reads_need_no_room_for_data_out() {
    let mut pair = Pair::linux();
    let read = pair.read_command(LUN_1, 1 << 20);
    pair.send(read.encode(), b"");
    pair.expect_task();
    let data = pattern(1 << 20);
    assert!(*pair.write(LUN_1, &data).1.data_out == *data);
}

#[test]
fn wrong_digests_of_data_end_the_command_and_nothing_else() {
    let mut pair = Pair::new(config());
    pair.login("DataDigest=CRC32C\0HeaderDigest=CRC32C\0InitialR2T=Yes\0ImmediateData=No\0");
    pair.agreed = Agreed { initial_r2t: true, immediate_data: false, max_pdu: 500, ..pair.agreed };
    let data = pattern(1000);
    let command = pair.begin_write(LUN_1, &data);
    let r2t = ReadyToTransfer::parse(&pair.receive(Opcode::READY_TO_TRANSFER).bhs);
    let pdu = pair.data_out(&command, r2t.ttt, 0, 0, false);
    let mut bytes = pair.encode(pdu.encode(), &data[..500]);
    *bytes.last_mut().unwrap() ^= 0xff;
    pair.send_bytes(&bytes);
    let reject = pair.receive(Opcode::REJECT);
    assert_eq!(Reject::parse(&reject.bhs).reason, RejectReason::DATA_DIGEST_ERROR);
    assert_eq!(reject.data[..4], bytes[..4]);
    pair.receive_nothing();
    let pdu = pair.data_out(&command, r2t.ttt, 500, 1, true);
    pair.send(pdu.encode(), &data[500..]);
    let answer = pair.answer();
    assert_eq!(
        (answer.status, answer.residual),
        (Status::CHECK_CONDITION, Residual::Underflow(1000))
    );
    assert_eq!((answer.sense[2], answer.sense[12], answer.sense[13]), (0x0b, 0x47, 0x05));
    pair.expect_no_event();
    assert!(*pair.write(LUN_1, &data).1.data_out == *data);
}

#[test]
fn a_wrong_digest_of_immediate_data_ends_the_connection() {
    let mut pair = Pair::new(config());
    pair.login("DataDigest=CRC32C\0");
    let command = pair.write_command(LUN_1, 8);
    let mut bytes = pair.encode(command.encode(), b"12345678");
    bytes[50] ^= 1;
    pair.send_bytes(&bytes);
    assert_eq!(
        Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
        RejectReason::DATA_DIGEST_ERROR
    );
    assert_eq!(pair.expect_closed(), CloseReason::DataDigest);
}

#[test]
fn a_wrong_digest_of_a_header_ends_the_connection_without_a_word() {
    let mut pair = Pair::new(config());
    pair.login("HeaderDigest=CRC32C\0");
    let command = pair.write_command(LUN_1, 8);
    let mut bytes = pair.encode(command.encode(), b"12345678");
    bytes[22] ^= 1;
    pair.send_bytes(&bytes);
    pair.receive_nothing();
    assert_eq!(pair.expect_closed(), CloseReason::HeaderDigest);
}

#[test]
fn unsolicited_data_that_was_not_agreed_on_ends_the_command() {
    let strict = Agreed {
        initial_r2t: true,
        immediate_data: false,
        first_burst: 512,
        max_burst: 512,
        max_pdu: 512,
    };
    let mut pair = Pair::agreeing(strict);
    let command = pair.write_command(LUN_1, 100);
    pair.send(command.encode(), &pattern(100));
    assert_eq!(pair.answer().sense[12..14], [0x0c, 0x0c]);
    // Announced Data-Out PDUs are awaited first.
    let mut command = pair.write_command(LUN_1, 100);
    command.is_final = false;
    pair.send(command.encode(), b"");
    pair.receive_nothing();
    let pdu = pair.data_out(&command, TargetTransferTag::RESERVED, 0, 0, true);
    pair.send(pdu.encode(), &pattern(100));
    assert_eq!(pair.answer().sense[12..14], [0x0c, 0x0c]);
    // Data with a command that writes nothing.
    let command = pair.command(LUN_1, 0);
    pair.send(command.encode(), b"data");
    assert_eq!(pair.answer().sense[12..14], [0x0c, 0x0c]);
    pair.expect_no_event();
}

#[test]
fn more_immediate_data_than_agreed_or_announced_ends_the_command() {
    let agreed = Agreed {
        initial_r2t: true,
        immediate_data: true,
        first_burst: 512,
        max_burst: 512,
        max_pdu: 512,
    };
    let mut pair = Pair::agreeing(agreed);
    for (announced, sent) in [(1000, 513), (10, 11)] {
        let command = pair.write_command(LUN_1, announced);
        pair.send(command.encode(), &pattern(sent));
        let answer = pair.answer();
        assert_eq!((answer.sense[2], answer.sense[12], answer.sense[13]), (0x0b, 0x0c, 0x0d));
    }
    pair.expect_no_event();
}

#[test]
fn a_burst_that_ends_short_ends_the_command() {
    let agreed = Agreed {
        initial_r2t: true,
        immediate_data: false,
        first_burst: 512,
        max_burst: 512,
        max_pdu: 512,
    };
    let mut pair = Pair::agreeing(agreed);
    let data = pattern(512);
    let command = pair.begin_write(LUN_1, &data);
    let r2t = ReadyToTransfer::parse(&pair.receive(Opcode::READY_TO_TRANSFER).bhs);
    pair.send_burst(&command, r2t.ttt, &data, 0..500);
    assert_eq!(pair.answer().sense[12..14], [0x0c, 0x0d]);
    pair.expect_no_event();
}

#[test]
fn data_in_the_wrong_place_ends_the_connection_and_writes_nothing() {
    let agreed = Agreed {
        initial_r2t: true,
        immediate_data: false,
        first_burst: 512,
        max_burst: 512,
        max_pdu: 512,
    };
    let data = pattern(2000);
    // Buffer offset, DataSN, length, and whether the transfer tag is ours.
    let cases = [
        (4, 0, 100, true),
        (0, 1, 100, true),
        (0, 0, 513, true),
        (u32::MAX as usize, 0, 100, true),
        (512, 0, 100, true),
        (0, 0, 100, false),
    ];
    for (offset, data_sn, length, is_ours) in cases {
        let mut pair = Pair::agreeing(agreed);
        let command = pair.begin_write(LUN_1, &data);
        let r2t = ReadyToTransfer::parse(&pair.receive(Opcode::READY_TO_TRANSFER).bhs);
        pair.inbox.clear();
        let ttt = if is_ours { r2t.ttt } else { TargetTransferTag(0xdead) };
        let pdu = pair.data_out(&command, ttt, offset, data_sn, true);
        pair.send(pdu.encode(), &data[..length]);
        assert_eq!(
            Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
            RejectReason::PROTOCOL_ERROR
        );
        assert_eq!(pair.expect_closed(), CloseReason::ProtocolError, "{offset} {data_sn} {length}");
    }
}

#[test]
fn data_for_no_task_is_let_pass() {
    let mut pair = Pair::linux();
    let mut command = pair.write_command(LUN_1, 100);
    command.itt = InitiatorTaskTag(0x5555);
    pair.next_cmd_sn = command.cmd_sn;
    let pdu = pair.data_out(&command, TargetTransferTag(3), 0, 0, true);
    pair.send(pdu.encode(), &pattern(100));
    pair.receive_nothing();
    pair.run(LUN_1, 0);
}

#[test]
fn the_buffer_has_room_in_front_for_a_record() {
    let mut pair = Pair::new(TargetConfig { ..config() });
    pair.login(LINUX_KEYS);
    let (_, mut task) = pair.write(LUN_1, &pattern(1000));
    let data = task.data_out.as_ptr().addr();
    assert_eq!(task.data_out.frame().as_ptr().addr() + vtl_scsi::HEADROOM_BYTES, data);
}
