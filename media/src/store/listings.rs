//! What was found in the tape files of cartridges, kept beside their journals: an index that may be removed at any time.

use std::io;
use std::path::PathBuf;

use uuid::Uuid;

use super::Store;
use crate::whole::{read_whole, replace_whole};

/// Longer ones are found anew each time.
pub const LISTING_BYTES_MAX: usize = 64 << 20;

impl Store {
    /// What was kept of a tape file; `None` if nothing was, or nothing that can be read.
    pub fn listing(&self, uuid: Uuid, partition: u8, number: u64) -> Option<Vec<u8>> {
        let path = self.listing_path(uuid, partition, number);
        self.disk.exists(&path).ok().filter(|is_there| *is_there)?;
        read_whole(&*self.disk, &path, LISTING_BYTES_MAX as u64).ok()
    }

    /// Keeps what was found in a tape file that is not encrypted.
    pub fn keep_listing(
        &self,
        uuid: Uuid,
        (partition, number): (u8, u64),
        bytes: &[u8],
    ) -> io::Result<()> {
        if self.cartridge(uuid).is_none() || bytes.len() > LISTING_BYTES_MAX {
            return Ok(());
        }
        let path = self.listing_path(uuid, partition, number);
        let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        if !self.disk.exists(directory)? {
            self.disk.create_dir(directory)?;
        }
        replace_whole(&*self.disk, &path, bytes)
    }

    fn listing_path(&self, uuid: Uuid, partition: u8, number: u64) -> PathBuf {
        self.directory_of(uuid).join(LISTINGS).join(format!("{partition}-{number}.json"))
    }
}

const LISTINGS: &str = "listings";
