//! Many writes at once.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;
use vtl_scsi::{Completion, TaskAttribute};

use super::pair::*;
use crate::pdu::{InitiatorTaskTag, Opcode, ReadyToTransfer, ScsiCommand};
use crate::{Event, TaskKey};

/// Many writes under way at once.
#[derive(Debug, Default)]
struct Crowd {
    data: Vec<u8>,
    commands: HashMap<InitiatorTaskTag, ScsiCommand>,
    /// R2Ts that have not been answered.
    requests: VecDeque<ReadyToTransfer>,
    /// Delivered tasks that have not been answered.
    tasks: VecDeque<TaskKey>,
    /// Tags in the order of delivery, per logical unit, without those that may go ahead.
    delivered: HashMap<[u8; 8], Vec<u32>>,
    count_answers: usize,
}

impl Crowd {
    fn begin(&mut self, pair: &mut Pair, lun: u8, length: usize, is_urgent: bool) {
        let attribute_code = if is_urgent { 3 } else { 1 };
        let lun = [0, lun, 0, 0, 0, 0, 0, 0];
        let command = ScsiCommand { attribute_code, ..pair.write_command(lun, length) };
        self.commands.insert(command.itt, command);
        pair.send(command.encode(), &self.data[..length.min(512)]);
        self.look(pair);
    }

    fn step(&mut self, pair: &mut Pair, choice: usize) {
        match choice {
            0 => {
                if let Some(key) = self.tasks.pop_front() {
                    pair.complete(key, Completion::good());
                }
            }
            1 => {
                if let Some(key) = self.tasks.pop_back() {
                    pair.complete(key, Completion::good());
                }
            }
            _ => {
                if let Some(r2t) = self.requests.pop_front() {
                    let start = r2t.buffer_offset as usize;
                    let command = self.commands[&r2t.itt];
                    pair.send_burst(
                        &command,
                        r2t.ttt,
                        &self.data,
                        start..start + r2t.desired_bytes as usize,
                    );
                }
            }
        }
        self.look(pair);
    }

    fn look(&mut self, pair: &mut Pair) {
        while let Some(event) = pair.events.pop_front() {
            let Event::Task { key, lun, task } = event else { panic!("{event:?}") };
            assert!(
                *task.data_out
                    == self.data[..self.commands[&key.itt].expected_data_transfer_bytes as usize]
            );
            if task.attribute == TaskAttribute::Simple {
                self.delivered.entry(lun).or_default().push(key.itt.0);
            }
            self.tasks.push_back(key);
        }
        while let Some(pdu) = pair.inbox.pop_front() {
            match pdu.opcode() {
                Opcode::READY_TO_TRANSFER => {
                    self.requests.push_back(ReadyToTransfer::parse(&pdu.bhs));
                }
                Opcode::SCSI_RESPONSE => self.count_answers += 1,
                other => panic!("{other:?}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the budget and whoever is slow: each write gets its data and its answer, and those of one logical unit keep
    /// their order.
    #[test]
    fn no_write_is_held_up_for_ever(
        writes in prop::collection::vec((0..3_u8, 0..9000_usize, prop::bool::weighted(0.2)), 1..60),
        budget in 0..12_000_usize,
        choices in prop::collection::vec(0..4_usize, 400),
    ) {
        let mut settings = config();
        settings.limits.max_solicited_bytes = budget;
        let mut pair = Pair::new(settings);
        pair.login("InitialR2T=Yes\0MaxBurstLength=1024\0FirstBurstLength=512\0MaxOutstandingR2T=2\0");
        pair.agreed = Agreed { initial_r2t: true, immediate_data: true, first_burst: 512, max_burst: 1024, max_pdu: 700 };
        let mut crowd = Crowd { data: pattern(9000), ..Crowd::default() };
        for (step, (lun, length, is_urgent)) in writes.iter().enumerate() {
            crowd.begin(&mut pair, *lun, *length, *is_urgent);
            for choice in choices.iter().skip(step * 6).take(6) {
                crowd.step(&mut pair, *choice);
            }
        }
        for round in 0..2000 {
            crowd.step(&mut pair, round % 4);
        }
        prop_assert_eq!(crowd.count_answers, writes.len());
        for order in crowd.delivered.values() {
            prop_assert!(order.is_sorted(), "{:?}", order);
        }
    }
}
