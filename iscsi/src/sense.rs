//! Sense data that the transport itself reports (RFC 7143 §11.4.7.2).

use vtl_scsi::sense::{Asc, Sense, SenseKey};

/// Data-out arrived damaged.
pub(crate) fn protocol_service_crc_error() -> Sense {
    Sense::new(SenseKey::AbortedCommand, Asc(0x47, 0x05))
}

/// Data-out came that nobody had asked for and that was not agreed on.
pub(crate) fn unexpected_unsolicited_data() -> Sense {
    Sense::new(SenseKey::AbortedCommand, Asc(0x0c, 0x0c))
}

/// Data-out was more or less than announced or asked for.
pub(crate) fn incorrect_amount_of_data() -> Sense {
    Sense::new(SenseKey::AbortedCommand, Asc(0x0c, 0x0d))
}
