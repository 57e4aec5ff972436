//! Pages that only IBM's drives have. Their drivers want them to be there; what is known of their content is little.

use vtl_scsi::mode::ModePage;

// 24h: 7 whether the drive can encrypt: not yet
// 25h: 5 logical end of partition, 6 early warning: as large as the medium allows
// 2Fh behavior configuration: 3 cleaning, 4 WORM: the default
pub(super) fn ibm() -> [ModePage; 3] {
    let mut ends = vec![0; 30];
    for byte in ends.iter_mut().skip(3).take(2) {
        *byte = 1;
    }
    [
        ModePage::fixed(0x24, vec![0; 6]),
        ModePage::fixed(0x25, ends),
        ModePage::fixed(0x2f, vec![0; 8]),
    ]
}
