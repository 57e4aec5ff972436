//! One cartridge of a stack as if it were a tape of its own, for reading.

use std::fmt;

use super::super::tape::{Medium, Tape, TapeError, TapeRead};
use crate::receipt::{Attribute, Counters, DriveIdentity};

/// So many objects of a tape, from one on.
pub struct Region<'a> {
    tape: &'a mut dyn Tape,
    first: u64,
    objects: u64,
    left: u64,
}

impl<'a> Region<'a> {
    /// It has to be rewound before it is read.
    pub(super) fn new(tape: &'a mut dyn Tape, first: u64, objects: u64) -> Self {
        Self { tape, first, objects, left: 0 }
    }
}

impl fmt::Debug for Region<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "objects {} to {}", self.first, self.first.saturating_add(self.objects))
    }
}

fn read_only() -> TapeError {
    TapeError::Refused("one cartridge of several on a tape is only read".to_owned())
}

impl Tape for Region<'_> {
    fn identity(&self) -> DriveIdentity {
        self.tape.identity()
    }
    fn medium(&mut self) -> Medium {
        Medium { additional_partitions: 0, ..self.tape.medium() }
    }
    fn enter(&mut self, _: u8) -> Result<(), TapeError> {
        self.rewind()
    }
    fn protect(&mut self) {
        self.tape.protect();
    }
    fn unprotect(&mut self) {
        self.tape.unprotect();
    }
    fn protection(&self) -> &'static str {
        self.tape.protection()
    }
    fn counters(&mut self, is_writing: bool) -> Counters {
        self.tape.counters(is_writing)
    }
    fn max_block_bytes(&self) -> usize {
        self.tape.max_block_bytes()
    }
    fn ready(&mut self) -> Result<(), TapeError> {
        self.tape.ready()
    }
    fn rewind(&mut self) -> Result<(), TapeError> {
        self.locate(0)
    }
    fn locate(&mut self, object: u64) -> Result<(), TapeError> {
        self.tape.locate(self.first.saturating_add(object))?;
        self.left = self.objects.saturating_sub(object);
        Ok(())
    }
    fn reload(&mut self) -> Result<(), TapeError> {
        self.left = 0;
        self.tape.reload()
    }
    fn write_block(&mut self, _: &[u8]) -> Result<(), TapeError> {
        Err(read_only())
    }
    fn write_filemark(&mut self) -> Result<(), TapeError> {
        Err(read_only())
    }
    fn synchronize(&mut self) -> Result<(), TapeError> {
        Err(read_only())
    }
    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<TapeRead, TapeError> {
        if self.left == 0 {
            return Ok(TapeRead::EndOfData);
        }
        self.left -= 1;
        self.tape.read(buffer)
    }
    fn attributes(&mut self, _: u8) -> Result<Vec<Attribute>, TapeError> {
        Err(TapeError::Refused("the tape has one memory for all its cartridges".to_owned()))
    }
    fn write_attribute(&mut self, _: &Attribute) -> Result<(), TapeError> {
        Err(read_only())
    }
}
