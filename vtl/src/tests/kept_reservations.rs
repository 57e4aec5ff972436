//! Persistent reservations that outlive the program.

use vtl_media::disk::{Call, Fault, Reaction};
use vtl_scsi::sense::Asc;

use super::*;

const REGISTER_AND_IGNORE: u8 = 0x06;
const RESERVE: u8 = 0x01;
const CLEAR: u8 = 0x03;
const EXCLUSIVE_ACCESS: u8 = 3;
const EIO: i32 = 5;

impl Scene {
    fn reserve_out(
        &self,
        nexus: ItNexus,
        action: u8,
        (key, new): (u64, u64),
        is_kept: bool,
    ) -> Completion {
        let mut list = key.to_be_bytes().to_vec();
        list.extend(new.to_be_bytes());
        list.extend([0, 0, 0, 0, u8::from(is_kept), 0, 0, 0]);
        let kind = if action == RESERVE { EXCLUSIVE_ACCESS } else { 0 };
        self.send_with(nexus, &[0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0], &list)
    }

    fn reserve_in(&self, action: u8) -> Vec<u8> {
        let done = self.send(B, &[0x5e, action, 0, 0, 0, 0, 0, 1, 0, 0]);
        good(&done);
        done.data_in.to_vec()
    }

    /// What is on the disk after the power has gone.
    fn after_power_cut(&self) -> Self {
        Self::boot(self.memory.after_power_cut(), options())
    }
}

#[test]
fn what_was_to_be_kept_is_there_after_a_power_cut_and_the_rest_is_not() {
    let scene = Scene::new();
    // PTPL_C, and not PTPL_A yet.
    assert_eq!(scene.reserve_in(2)[2..4], [0x01, 0x80]);
    good(&scene.reserve_out(A, REGISTER_AND_IGNORE, (0, 0xa), true));
    good(&scene.reserve_out(B, REGISTER_AND_IGNORE, (0, 0xb), true));
    good(&scene.reserve_out(A, RESERVE, (0xa, 0), false));
    assert_eq!(scene.reserve_in(2)[2..4], [0x01, 0x81]);
    let scene = scene.after_power_cut();
    assert_eq!(scene.reserve_in(2)[2..4], [0x01, 0x81]);
    assert_eq!(scene.reserve_in(1)[15], 0xa);
    assert_eq!(scene.write(B, &block(1, 100)).status, Status::RESERVATION_CONFLICT);
    good(&scene.write(A, &block(1, 100)));
    // Somebody registers without it: from then on nothing outlives the program.
    good(&scene.reserve_out(B, REGISTER_AND_IGNORE, (0, 0xbb), false));
    assert_eq!(scene.write(B, &block(1, 100)).status, Status::RESERVATION_CONFLICT);
    let scene = scene.after_power_cut();
    assert_eq!(scene.reserve_in(0)[4..8], [0; 4]);
    good(&scene.write(B, &block(1, 100)));
    // And what is cleared stays cleared.
    good(&scene.reserve_out(A, REGISTER_AND_IGNORE, (0, 0xa), true));
    good(&scene.reserve_out(A, CLEAR, (0xa, 0), false));
    let scene = scene.after_power_cut();
    assert_eq!(scene.reserve_in(0)[4..8], [0; 4]);
}

#[test]
fn a_reservation_that_cannot_be_kept_is_not_made() {
    let scene = Scene::new();
    good(&scene.reserve_out(A, REGISTER_AND_IGNORE, (0, 0xa), true));
    scene.disk.inject(Fault::forever(Call::SyncData, "ledger", Reaction::Errno(EIO)));
    let refused = scene.reserve_out(A, RESERVE, (0xa, 0), false);
    assert_eq!(sense(&refused).asc, Asc::INTERNAL_TARGET_FAILURE);
    assert_eq!(scene.reserve_in(1)[4..8], [0; 4]);
    good(&scene.write(B, &block(1, 100)));
    let scene = scene.after_power_cut();
    assert_eq!(scene.reserve_in(0)[15], 0xa);
    assert_eq!(scene.reserve_in(1)[4..8], [0; 4]);
}

/// A host that registered the same key again and again made the ledger grow each time; and one that was not registered and did not want to be
/// took away what others had asked for.
#[test]
fn only_what_changes_is_recorded_and_only_registrations_decide() {
    let scene = Scene::new();
    let head = || scene.library.store().ledger().head().sequence;
    good(&scene.reserve_out(A, REGISTER_AND_IGNORE, (0, 0xa), true));
    let before = head();
    for _ in 0..3 {
        good(&scene.reserve_out(A, REGISTER_AND_IGNORE, (0, 0xa), true));
    }
    assert_eq!(head(), before);
    good(&scene.reserve_out(B, REGISTER_AND_IGNORE, (0, 0), false));
    assert_eq!((head(), scene.reserve_in(2)[3]), (before, 0x81));
    good(&scene.reserve_out(A, REGISTER_AND_IGNORE, (0, 0xaa), true));
    assert_eq!(head(), before + 1);
}

// The last registration says whether all of them outlive the program. That of an initiator that may only read said so for the backup server,
// whose reservation was gone after the next start.
#[test]
fn a_reader_does_not_say_what_others_have_kept() {
    let scene = Scene::new();
    good(&scene.reserve_out(A, REGISTER_AND_IGNORE, (0, 0xa), true));
    good(&scene.reserve_out(A, RESERVE, (0xa, 0), false));
    let mut list = [0; 24];
    list[15] = 0xb;
    let cdb = [0x5f, REGISTER_AND_IGNORE, 0, 0, 0, 0, 0, 0, 24, 0];
    let mut task = Task::new(B, &cdb).with_data_out(&list);
    task.rights.is_read_only = true;
    let (sender, receiver) = mpsc::sync_channel(1);
    let reply = || -> Reply { Box::new(move |completion| sender.send(completion).unwrap()) };
    let done = scene.library.unit(Lun(1)).unwrap().submit(Ticket(u64::MAX), task, reply);
    good(&done.unwrap_or_else(|| receiver.recv_timeout(Duration::from_mins(1)).unwrap()));
    assert_eq!(scene.reserve_in(2)[2..4], [0x01, 0x81]);
    let scene = scene.after_power_cut();
    assert_eq!(scene.reserve_in(1)[15], 0xa);
}
