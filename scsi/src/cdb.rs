//! Reading CDBs and parameter lists: nom parsers with no room for running past the end.

use nom::Parser;
use nom::error::Error;

use crate::device::Refusal;
use crate::sense::Sense;
use crate::{Cdb, Task};

/// A parser over the bytes of one CDB or parameter list.
pub trait Fields<'a, T>: Parser<&'a [u8], Output = T, Error = Error<&'a [u8]>> {}

impl<'a, T, P: Parser<&'a [u8], Output = T, Error = Error<&'a [u8]>>> Fields<'a, T> for P {}

impl Cdb {
    /// Reads the fields of the CDB that stand behind the operation code. What the parser leaves over is padding.
    pub fn fields<'a, T>(&'a self, mut fields: impl Fields<'a, T>) -> Result<T, Refusal> {
        let behind_the_code = self.bytes().get(1..).unwrap_or_default();
        match fields.parse(behind_the_code) {
            Ok((_, value)) => Ok(value),
            Err(_) => Err(Sense::invalid_field_in_cdb(0, None).into()),
        }
    }
}

impl Task {
    /// Takes the parameter list: the CDB names its length, and that many bytes have to have come.
    pub fn parameter_list(&self, length: usize) -> Result<&[u8], Refusal> {
        self.data_out.get(..length).ok_or(Refusal(Sense::parameter_list_length_error()))
    }
}

/// Whether a bit of a byte is set.
pub const fn bit(byte: u8, number: u8) -> bool {
    byte >> number & 1 == 1
}
