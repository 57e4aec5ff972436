//! Medium configuration, page 1Dh (SSC-5 §8.3.7): whether the cartridge that is loaded can be written only once.

use vtl_scsi::mode::{ModePage, ModeParameters};

const PAGE: u8 = 0x1d;
const WORMM: u8 = 0x01;

// 2 WORMM (bit 0); 4 label and 5 filemark restrictions of WORM media: 0, nothing is overwritten. 32 bytes with its header.
pub(super) fn page() -> ModePage {
    ModePage::fixed(PAGE, vec![0; 30])
}

/// The page says what is loaded.
pub(super) fn refresh(mode: &mut ModeParameters, is_worm: bool) {
    let flags = mode.page_mut(PAGE, 0).and_then(|page| page.current.first_mut());
    if let Some(flags) = flags {
        *flags = if is_worm { WORMM } else { 0 };
    }
}
