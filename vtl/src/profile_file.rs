//! A file that describes a library or drives that this program has not heard of: `vtl library create --profile FILE`.
//!
//! Each model is like one that is built in, with what the file says in place of what that one has: names, element addresses,
//! how drives are named, and vital product data pages as a real device has answered them. Mistakes are found while the file is
//! read, so that they are told with line and field.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use vtl_changer::{DriveIdentifier, IdentifierForm};
use vtl_drive::PageContent;
use vtl_media::disk::Disk;

/// What a file describes.
#[derive(Debug, Clone)]
pub(crate) struct ProfileFile {
    /// A library model.
    pub(crate) library: Option<&'static vtl_changer::Profile>,
    /// Drive models.
    pub(crate) drives: Vec<&'static vtl_drive::Profile>,
}

/// Why a file describes nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text; the message names line and field.
    #[error("{}: {message}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong where.
        message: String,
    },
}

impl FileError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

impl ProfileFile {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|source| FileError::io(path, source))?;
        Self::parse(path, &text)
    }

    /// Reads a file that is kept in a data directory.
    pub(crate) fn read_kept(disk: &dyn Disk, path: &Path) -> Result<Self, FileError> {
        let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
        let text = crate::config::read_text(disk, path, limit);
        Self::parse(path, &text.map_err(|source| FileError::io(path, source))?)
    }

    /// Reads the text of a file.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let bad = |message| FileError::Bad { path: path.into(), message };
        if text.len() > MAX_FILE_BYTES {
            return Err(bad(format!("more than {MAX_FILE_BYTES} bytes")));
        }
        let raw: RawFile = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        if raw.library.is_none() && raw.drive.is_empty() {
            return Err(bad("line 1: neither [library] nor [[drive]]".to_owned()));
        }
        // Models are what drives and changers refer to as long as the program runs. Nothing is leaked of a file with a mistake,
        // else whoever sends one again and again would fill the memory.
        let library = raw.library.map(|library| &*Box::leak(Box::new(library.profile())));
        let drives = raw.drive.into_iter().map(|drive| &*Box::leak(Box::new(drive.profile())));
        Ok(Self { library, drives: drives.collect() })
    }

    /// The name of its library, else of its first drive.
    pub(crate) fn name(&self) -> &'static str {
        let drive = self.drives.first().map_or("profile", |drive| drive.name);
        self.library.map_or(drive, |library| library.name)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    library: Option<RawLibrary>,
    #[serde(default)]
    drive: Vec<RawDrive>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawLibrary {
    name: Name,
    like: Like<vtl_changer::Profile>,
    vendor: Option<Text<8>>,
    product: Option<Text<16>>,
    revision: Option<Text<4>>,
    elements: Option<Elements>,
    identifier: Option<Identifier>,
    #[serde(default)]
    drives: Option<String>,
    #[serde(default)]
    pages: Vec<Page>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawDrive {
    name: Name,
    like: Like<vtl_drive::Profile>,
    vendor: Option<Text<8>>,
    product: Option<Text<16>>,
    revision: Option<Text<4>>,
    #[serde(default)]
    pages: Vec<Page>,
}

/// First addresses.
#[derive(Deserialize)]
#[serde(try_from = "RawElements")]
struct Elements([u16; 4]);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawElements {
    transport: u16,
    storage: u16,
    import_export: u16,
    drive: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Identifier {
    form: Form,
    #[serde(default)]
    length: Option<u8>,
    #[serde(default)]
    always: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Form {
    VendorProductSerial,
    Serial,
}

impl RawLibrary {
    fn profile(self) -> vtl_changer::Profile {
        let Like(like) = self.like;
        let pages = self.pages.into_iter();
        let pages =
            pages.map(|page| vtl_changer::VendorPage { code: page.code, body: page.body.leak() });
        let pages: Vec<_> = like.vendor_pages.iter().copied().chain(pages).collect();
        vtl_changer::Profile {
            name: self.name.0.leak(),
            vendor: self.vendor.map_or(like.vendor, Text::leak),
            product: self.product.map_or(like.product, Text::leak),
            revision: self.revision.map_or(like.revision, Text::leak),
            first_addresses: self.elements.map_or(like.first_addresses, |first| first.0),
            identifier: self.identifier.map_or(like.identifier, Identifier::parsed),
            default_drive: self.drives.map_or(like.default_drive, |name| name.leak()),
            vendor_pages: newest(pages, |page| page.code).leak(),
            ..*like
        }
    }
}

impl RawDrive {
    fn profile(self) -> vtl_drive::Profile {
        let Like(like) = self.like;
        let pages = self.pages.into_iter().map(|page| vtl_drive::VendorPage {
            code: page.code,
            content: PageContent::Raw(page.body.leak()),
        });
        let pages: Vec<_> = like.vendor_pages.iter().copied().chain(pages).collect();
        vtl_drive::Profile {
            name: self.name.0.leak(),
            vendor: self.vendor.map_or(like.vendor, Text::leak),
            product: self.product.map_or(like.product, Text::leak),
            revision: self.revision.map_or(like.revision, Text::leak),
            vendor_pages: newest(pages, |page| page.code).leak(),
            ..*like
        }
    }
}

impl Identifier {
    fn parsed(self) -> DriveIdentifier {
        const SERIAL_BYTES: u8 = 10;
        let form = match self.form {
            Form::VendorProductSerial => IdentifierForm::VendorProductSerial,
            Form::Serial => IdentifierForm::Serial { length: self.length.unwrap_or(SERIAL_BYTES) },
        };
        DriveIdentifier { form, is_always_sent: self.always }
    }
}

impl TryFrom<RawElements> for Elements {
    type Error = &'static str;

    fn try_from(raw: RawElements) -> Result<Self, Self::Error> {
        let first = [raw.transport, raw.storage, raw.import_export, raw.drive];
        let is_twice =
            |at: usize| first.iter().skip(at + 1).any(|other| first.get(at) == Some(other));
        if (0..first.len()).any(is_twice) {
            return Err("elements: two types of element cannot begin at one address");
        }
        Ok(Self(first))
    }
}

/// A model's name: what the configuration calls it.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let begins_well = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if !begins_well || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_plain) {
            return Err(D::Error::custom(
                "name: 1 to 64 of a-z, 0-9, `-`, `_` and `.`, and a letter or digit first",
            ));
        }
        let is_taken = vtl_changer::Profile::find(&name).is_some()
            || vtl_drive::Profile::find(&name).is_some();
        if is_taken {
            return Err(D::Error::custom("name: a model of this name is built in"));
        }
        Ok(Self(name))
    }
}

/// Text that INQUIRY data has room for.
struct Text<const LENGTH: usize>(String);

impl<const LENGTH: usize> Text<LENGTH> {
    fn leak(self) -> &'static str {
        self.0.leak()
    }
}

impl<'de, const LENGTH: usize> Deserialize<'de> for Text<LENGTH> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() > LENGTH || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(D::Error::custom(format_args!(
                "this has to be at most {LENGTH} printable characters of ASCII"
            )));
        }
        Ok(Self(text))
    }
}

/// A vital product data page as a device has answered it.
#[derive(Deserialize)]
#[serde(try_from = "RawPage")]
struct Page {
    code: u8,
    body: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPage {
    code: u8,
    data: Hex,
}

/// Bytes as pairs of hexadecimal digits.
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bytes(&String::deserialize(deserializer)?).map(Self).ok_or_else(|| {
            D::Error::custom("data: pairs of hexadecimal digits, with spaces or without")
        })
    }
}

impl TryFrom<RawPage> for Page {
    type Error = String;

    fn try_from(RawPage { code, data }: RawPage) -> Result<Self, String> {
        // They say who the device is, and that is never a copy of another one.
        const OURS: [u8; 3] = [0x00, 0x80, 0x83];
        if OURS.contains(&code) {
            return Err(format!(
                "code: page {code:02X}h cannot be replayed, it says who the device is"
            ));
        }
        let [_, of_page, high, low, body @ ..] = data.0.as_slice() else {
            return Err("data: a page begins with four bytes".to_owned());
        };
        if *of_page != code {
            return Err(format!("data: this is page {of_page:02X}h, and code is {code:02X}h"));
        }
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length != body.len() || length > MAX_PAGE_BYTES {
            return Err(format!(
                "data: the page says that {length} bytes follow its header, and {} do",
                body.len()
            ));
        }
        Ok(Self { code, body: body.to_vec() })
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(high.to_digit(16)? << 4 | low.to_digit(16)?).ok(),
            _ => None,
        })
        .collect()
}

/// Of several pages with one code, the last one.
fn newest<T: Copy>(pages: Vec<T>, code: impl Fn(&T) -> u8) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for page in pages {
        kept.retain(|other| code(other) != code(&page));
        kept.push(page);
    }
    kept
}

/// The model that is built in, and that one of a file is like.
struct Like<T: 'static>(&'static T);

impl<'de> Deserialize<'de> for Like<vtl_changer::Profile> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        vtl_changer::Profile::find(&name).map(Self).ok_or_else(|| {
            let known = vtl_changer::Profile::ALL.map(|profile| profile.name).join(", ");
            D::Error::custom(format_args!("like: there are {known}"))
        })
    }
}

impl<'de> Deserialize<'de> for Like<vtl_drive::Profile> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        vtl_drive::Profile::find(&name).map(Self).ok_or_else(|| {
            let known = vtl_drive::Profile::ALL.map(|profile| profile.name).join(", ");
            D::Error::custom(format_args!("like: there are {known}"))
        })
    }
}

/// A file with every page that there can be is much shorter.
const MAX_FILE_BYTES: usize = 1 << 20;
/// No INQUIRY has room for more.
const MAX_PAGE_BYTES: usize = 0xffff - 4;
const MAX_NAME_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[library]
name = "acme-x1"
like = "hp-msl-g3"
vendor = "ACME"
product = "X1"
elements = { transport = 1, storage = 0x1000, import-export = 0x10, drive = 0x100 }
identifier = { form = "serial", length = 12 }
drives = "acme-lto9"

[[library.pages]]
code = 0xc0
data = "08 c0 00 02 41 42"

[[drive]]
name = "acme-lto9"
like = "ibm-ult3580-td9"
revision = "1.00"
pages = [{ code = 0xc1, data = "01c1000158" }]
"#;

    fn parse(text: &str) -> Result<ProfileFile, String> {
        ProfileFile::parse(Path::new("/p/x.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_is_like_another_one_but_for_what_the_file_says() {
        let file = parse(GOOD).unwrap();
        let library = file.library.unwrap();
        assert_eq!((library.name, library.vendor, library.revision), ("acme-x1", "ACME", "5.30"));
        assert_eq!(library.first_addresses, [1, 0x1000, 0x10, 0x100]);
        assert_eq!(library.identifier.form, IdentifierForm::Serial { length: 12 });
        assert!(!library.identifier.is_always_sent);
        assert_eq!(
            (library.vendor_pages[0].code, library.vendor_pages[0].body),
            (0xc0, &b"AB"[..])
        );
        let drive = file.drives[0];
        assert_eq!((drive.vendor, drive.revision), ("IBM", "1.00"));
        let replayed: Vec<_> = drive.vendor_pages.iter().map(|page| page.code).collect();
        assert_eq!(replayed, [0xc0, 0xc1]);
        assert_eq!(drive.vendor_pages[1].content, PageContent::Raw(b"X"));
    }

    #[test]
    fn a_mistake_is_told_with_line_and_field() {
        let with = |from: &str, to: &str| {
            assert!(GOOD.contains(from), "{from}");
            parse(&GOOD.replacen(from, to, 1)).unwrap_err()
        };
        for (from, to, line, field) in [
            ("\"ACME\"", "\"NINE CHARS\"", 5, "vendor"),
            ("\"hp-msl-g3\"", "\"hp-msl-g9\"", 4, "like"),
            ("\"acme-x1\"", "\"hp-msl-g3\"", 3, "name"),
            ("\"acme-x1\"", "\"../x\"", 3, "name"),
            ("0x10,", "0x1000,", 7, "elements"),
            ("storage = 0x1000", "storage = 70000", 7, "storage"),
            ("product", "produkt", 6, "produkt"),
            ("41 42", "41 4", 13, "data"),
            ("41 42", "41", 13, "data"),
            ("code = 0xc0", "code = 0x80", 13, "code"),
            ("\"serial\"", "\"short\"", 8, "form"),
        ] {
            let message = with(from, to);
            let near = (line - 2..=line).any(|line| message.contains(&format!("line {line},")));
            assert!(message.starts_with("/p/x.toml") && near, "{line}: {message}");
            assert!(message.contains(field), "{field}: {message}");
        }
        assert!(parse("").unwrap_err().contains("neither"));
    }
}
