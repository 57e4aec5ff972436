//! What `vtl export` is told.

use serde::{Deserialize, Deserializer, Serialize};

/// How much of a tape is read back before a copy is called one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReadBack {
    /// Everything.
    #[default]
    Full,
}

/// What is to be exported, and where to.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExportChoice {
    /// The cartridges; several with as many --to, or with --library.
    #[arg(required_unless_present = "group", value_name = "BARCODE")]
    pub(crate) barcodes: Vec<String>,
    /// The members of this group, in place of barcodes.
    #[arg(long, value_name = "GROUP", conflicts_with = "barcodes")]
    pub(crate) group: Option<String>,
    /// How much is read back from the tape: all of it, which is what is done anyway.
    #[arg(long, value_enum, default_value_t = ReadBack::Full)]
    pub(crate) verify: ReadBack,
    /// The drive with the tape in it: /dev/nstN, or its /dev/sgN (`vtl physical list`). Given several times, the first cartridge goes to the
    /// first drive, the second to the second, and so on, at the same time.
    #[arg(
        long,
        value_name = "DEVICE",
        required_unless_present = "library",
        conflicts_with = "library"
    )]
    #[serde(deserialize_with = "one_or_several")]
    pub(crate) to: Vec<String>,
    /// The changer of a library (/dev/sgN) that has a tape with the same barcode: it is put into a free drive, and back. Several cartridges go to
    /// all its free drives at once.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) library: Option<String>,
    /// Use so many of the library's free drives at most.
    #[arg(long, value_name = "N", requires = "library", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) drives: Option<u32>,
    /// Where no tape has the cartridge's barcode: take an empty one with a barcode like this, such as 'SCR*'.
    #[arg(long, value_name = "PATTERN", requires = "library")]
    pub(crate) scratch: Option<String>,
    /// All cartridges on one tape, one behind the other, with an index in plain text; with --library on one that --scratch names.
    #[arg(long, conflicts_with_all = ["drives", "copies"])]
    pub(crate) stack: bool,
    /// Which of several copies it is. A policy goes beyond 5 where copies of what was on the cartridge before stand.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) copy: u32,
    /// Copies 1 to N of each cartridge, each on a tape of its own and with a receipt of its own: copy 1 on the tape with the cartridge's
    /// barcode where there is one, the others on tapes that --scratch names.
    #[arg(long, value_name = "N", requires = "library", conflicts_with = "copy", value_parser = clap::value_parser!(u32).range(1..=5))]
    pub(crate) copies: Option<u32>,
    /// Write on a tape that has something on it, or that failed before. What is there cannot be brought back.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Give a copy of this number up that was begun and not finished, and begin a new one.
    #[arg(long)]
    pub(crate) anew: bool,
}

/// One drive may be given as it is: it was the only way before there could be several.
pub(crate) fn one_or_several<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Several(Vec<String>),
        One(Option<String>),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::Several(several) => several,
        Given::One(one) => one.into_iter().collect(),
    })
}
