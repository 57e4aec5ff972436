//! Bit rot in the last records of a cartridge that was not closed.

use super::*;

#[test]
fn rot_in_the_last_synced_records_is_damage_and_no_torn_tail() {
    // Nothing came after these records, so that no header spoke for them: after a kill, a flipped bit in them once made the
    // tape end early, with nothing but a line in the log.
    let (disk, mut cartridge) = created(1 << 40);
    for n in 0..4 {
        write_block(&mut cartridge, &block(n, 5000));
    }
    cartridge.sync().unwrap();
    let killed = disk.snapshot();
    let path = segments(&killed).remove(0);
    flip(&killed, &path, 2 * 5632 + 1000, 1);
    let mut cartridge = load(&killed);
    for n in 0..4 {
        match cartridge.read() {
            Ok(ReadOutcome::Block(data)) => assert_eq!(data, block(n, 5000)),
            Err(MediumError::Damaged { object }) => assert_eq!((object.0, n), (2, 2)),
            other => panic!("object {n}: {other:?}"),
        }
    }
    assert_eq!(cartridge.read().unwrap(), ReadOutcome::EndOfData);
    // A power cut may take the promise; then the journal is as good as it was without.
    let cut = disk.after_power_cut();
    assert_eq!(read_all(&mut load(&cut)).len(), 4);
}
