//! RFC 7143, the target's side.
