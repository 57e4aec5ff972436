//! Listings that are kept: whoever restores one file of a long archive must not have all of its headers read again.

use serde::{Deserialize, Serialize};
use vtl_media::CartridgeEntry;
use vtl_vault::archive::{self, Budget, Listing, TapeFile};

use crate::library::Library;

/// A listing, and of what it is one.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// The first and the last record of the tape file: what lies between them is what lay there when it was listed.
    records: String,
    listing: Listing,
}

// 2: names that are no UTF-8 have their bytes.
const VERSION: u32 = 2;

/// What is in a tape file: as it was found before, if it is the same one, else by reading its headers.
pub(super) fn listing(
    library: &Library,
    entry: &CartridgeEntry,
    (partition, number): (u8, u64),
    file: &mut TapeFile<'_>,
    budget: &mut Budget<'_>,
) -> std::io::Result<Listing> {
    let store = &library.store;
    let records = file.records()?;
    let kept = store.listing(entry.uuid, partition, number);
    let kept = kept.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
    if let Some(kept) =
        kept.filter(|kept| kept.version == VERSION && records.as_ref() == Some(&kept.records))
    {
        budget.take(&kept.listing)?;
        return Ok(kept.listing);
    }
    let listing = archive::list(file, budget)?;
    // One that ends early may do so for want of room, or of a key.
    let Some(records) = records.filter(|_| listing.broken.is_none() && !listing.members.is_empty())
    else {
        return Ok(listing);
    };
    let kept = Kept { version: VERSION, records, listing };
    let written = serde_json::to_vec(&kept)
        .map_err(std::io::Error::other)
        .and_then(|bytes| store.keep_listing(entry.uuid, (partition, number), &bytes));
    if let Err(error) = written {
        tracing::warn!(barcode = %entry.barcode, number, %error, "a listing is not kept: it will be made again");
    }
    Ok(kept.listing)
}
