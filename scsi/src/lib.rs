//! SAM and SPC.
