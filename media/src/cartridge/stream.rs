//! What a tape file holds, for messages: which file of a tar archive an object belongs to.

use std::io::{self, Read};

use bytes::{Buf, Bytes};

use super::{Cartridge, ObjectNumber, ReadOutcome};

impl Cartridge {
    /// The name of the file in which an object lies, if the tape file that holds it is a tar archive. The object itself need
    /// not be readable. The position is lost.
    pub fn file_of(&mut self, object: ObjectNumber) -> Option<String> {
        self.locate(object).ok()?;
        let filemarks = self.position().filemarks;
        self.locate_filemark(filemarks).ok()?;
        let mut seen: Option<(String, u64)> = None;
        let mut stream = Stream { cartridge: self, until: object, rest: Bytes::new(), given: 0 };
        {
            let mut archive = tar::Archive::new(&mut stream);
            for entry in archive.entries().ok()? {
                // Where the damage begins, so does what cannot be read: the last one before is the one.
                let Ok(entry) = entry else { break };
                let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                let end = entry.raw_file_position().saturating_add(entry.size());
                seen = Some((path, end));
            }
        }
        let at = stream.given;
        seen.map(|(path, end)| if at < end { path } else { format!("what follows {path}") })
    }
}

/// The blocks of a tape file up to an object.
struct Stream<'a> {
    cartridge: &'a mut Cartridge,
    until: ObjectNumber,
    rest: Bytes,
    given: u64,
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            if self.cartridge.position().object >= self.until {
                return Ok(0);
            }
            match self.cartridge.read() {
                Ok(ReadOutcome::Block(block)) => self.rest = block,
                Ok(ReadOutcome::Filemark | ReadOutcome::EndOfData) => return Ok(0),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        let count = self.rest.len().min(buffer.len());
        let (target, _) = buffer.split_at_mut(count);
        self.rest.copy_to_slice(target);
        self.given = self.given.saturating_add(count as u64);
        Ok(count)
    }
}
