//! Writing, reading and moving about.

use super::*;

#[test]
fn what_was_written_is_read_again() {
    let (disk, mut cartridge) = created(1 << 30);
    let blocks: Vec<Vec<u8>> =
        (0..50).map(|n| block(n, 1 + usize::try_from(n).unwrap() * 3000)).collect();
    for data in &blocks {
        assert_eq!(write_block(&mut cartridge, data), WriteOutcome::Written);
    }
    assert_eq!(cartridge.write_filemarks(2).unwrap(), WriteOutcome::Written);
    let expected: Vec<_> = blocks.into_iter().map(Some).chain([None, None]).collect();
    cartridge.rewind().unwrap();
    assert_eq!(read_all(&mut cartridge), expected);
    let position = cartridge.position();
    assert_eq!((position.object, position.filemarks), (ObjectNumber(52), 2));
    assert!(position.is_at_end_of_data && position.buffered_objects == 0);
    let facts = cartridge.unload().unwrap();
    assert_eq!((facts.block_count, facts.filemark_count, facts.load_count), (50, 2, 1));
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    assert_eq!(Cartridge::inspect(&shared, &directory()).unwrap(), facts);
    let mut cartridge = load(&disk);
    assert_eq!(read_all(&mut cartridge), expected);
    assert_eq!(cartridge.label().owner_epoch, 2);
}

/// A daemon that was started again had loaded the cartridge in its drive once more: its inventory was never quite the same.
#[test]
fn a_cartridge_that_lay_in_the_drive_is_not_counted_as_loaded_again() {
    let (disk, mut cartridge) = created(1 << 30);
    write_block(&mut cartridge, b"data");
    assert_eq!(cartridge.unload().unwrap().load_count, 1);
    let resumed = LoadOptions { is_resumed: true, ..options() };
    let cartridge = Cartridge::load(Arc::new(disk.clone()), &directory(), resumed).unwrap();
    assert_eq!(cartridge.unload().unwrap().load_count, 1);
    assert_eq!(load(&disk).unload().unwrap().load_count, 2);
}
