//! `vtl label`: labels for cartridges, to be printed (IBM LTO Ultrium Cartridge Label Specification): six characters and the two of the
//! media type, in Code 39 without a check character, narrow elements of 0.423 mm, wide ones 2.75 times that, bars of 11.1 mm or more.

mod code_39;
mod pdf;
pub(crate) mod shipping;
mod svg;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};
use vtl_media::Barcode;

use crate::client;
use crate::files::create;
use crate::inventory::is_pattern;
use crate::request::{Failure, InventoryFilter, Request};

/// All in millimetres.
const NARROW: f64 = 25.4 / 60.0;
const LABEL: (f64, f64) = (79.0, 17.0);
const BARS_HEIGHT: f64 = 11.3;
const TEXT_HEIGHT: f64 = 4.4;
const BARS_TOP: f64 = 5.0;

/// Labels, and where they go.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LabelOptions {
    /// Barcodes of eight characters, in the library or not; or patterns of those that are in it, such as 'VTL0*'.
    #[arg(required = true)]
    barcodes: Vec<String>,
    /// The file, which must not be there yet: .pdf for a printer, .svg for a label shop or another program.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// The sheets of a PDF.
    #[arg(long, value_enum, default_value_t = Paper::A4)]
    paper: Paper,
}

/// A sheet of paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Paper {
    A4,
    Letter,
}

impl Paper {
    fn size(self) -> (f64, f64) {
        match self {
            Self::A4 => (210.0, 297.0),
            Self::Letter => (215.9, 279.4),
        }
    }
}

/// What is on a label, in millimetres from its upper left corner.
struct Label {
    barcode: Barcode,
    bars: Vec<Rectangle>,
    /// The characters that people read, each with the middle of its place.
    characters: Vec<(char, f64)>,
}

#[derive(Debug, Clone, Copy)]
struct Rectangle {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// Where labels are on sheets: as many columns and rows as there is room for.
struct Grid {
    columns: usize,
    rows: usize,
    left: f64,
    top: f64,
}

/// Makes the file.
pub(crate) fn run(directory: &Path, options: &LabelOptions) -> Result<Value, Failure> {
    let mut labels = Vec::new();
    for text in &options.barcodes {
        for barcode in matching(directory, text)? {
            labels.push(Label::new(barcode)?);
        }
    }
    let extension = options.output.extension().and_then(|extension| extension.to_str());
    let (bytes, sheets) = match extension {
        Some("pdf") => pdf::draw(&labels, options.paper.size()),
        Some("svg") => (svg::draw(&labels).into_bytes(), 1),
        _ => {
            return Err(Failure::usage(format!(
                "{}: the file's name has to end in .pdf or .svg",
                options.output.display()
            )));
        }
    };
    create(&options.output, &bytes)?;
    Ok(json!({
        "file": options.output.display().to_string(),
        "labels": labels.len(),
        "sheets": sheets,
        "next": "print at 100 %, not fitted to the page, and have a library or scanner read one before sticking them on",
    }))
}

/// One barcode as it is, or those in the library that match.
fn matching(directory: &Path, text: &str) -> Result<Vec<Barcode>, Failure> {
    let text = text.to_ascii_uppercase();
    let barcode =
        |text: &str| Barcode::new(text).map_err(|error| Failure::usage(format!("{text}: {error}")));
    if !is_pattern(&text) {
        return Ok(vec![barcode(&text)?]);
    }
    let filter = InventoryFilter { pattern: Some(text.clone()), ..InventoryFilter::default() };
    let rows = client::ask(directory, Request::Inventory(filter))?;
    let found = rows.as_array().into_iter().flatten();
    let found: Vec<_> = found
        .filter_map(|row| row.get("barcode")?.as_str())
        .map(barcode)
        .collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Err(Failure::not_found(format!("no cartridge matches {text}")));
    }
    Ok(found)
}

impl Label {
    fn new(barcode: Barcode) -> Result<Self, Failure> {
        let text = barcode.as_str();
        if text.len() != 8 || !is_suffix(text.get(6..).unwrap_or_default()) {
            return Err(Failure::usage(format!(
                "{text}: an LTO label has six characters and the two of the media type: L1 to L9, LA, M8, for WORM LT to LZ"
            )));
        }
        let (bars, width) = code_39::bars(text)
            .ok_or_else(|| Failure::usage(format!("{text} cannot be written in Code 39")))?;
        let quiet = (LABEL.0 - width * NARROW) / 2.0;
        let bars = bars.into_iter().map(|bar| Rectangle {
            x: quiet + bar.from * NARROW,
            y: BARS_TOP,
            width: bar.width * NARROW,
            height: BARS_HEIGHT,
        });
        // Each above its own bars, behind the start character.
        let step = (width + 1.0) / 10.0 * NARROW;
        let middle = |number: u32| quiet + (f64::from(number) + 1.5) * step;
        let characters = (0..).zip(text.chars()).map(|(number, c)| (c, middle(number)));
        Ok(Self { bars: bars.collect(), characters: characters.collect(), barcode })
    }
}

/// Whether these two characters name a type of LTO media.
fn is_suffix(text: &str) -> bool {
    const OTHERS: [&str; 9] = ["LA", "M8", "LT", "LU", "LV", "LW", "LX", "LY", "LZ"];
    let is_generation = matches!(text.as_bytes(), [b'L', b'1'..=b'9']);
    is_generation || OTHERS.contains(&text)
}

impl Grid {
    fn of((width, height): (f64, f64)) -> Self {
        // Printers do not reach the edge.
        const EDGE: f64 = 8.0;
        let room = |size: f64, label: f64| {
            let mut count = 1_usize;
            let mut used = label;
            while used + label + 2.0 * EDGE <= size {
                used += label;
                count += 1;
            }
            (count, (size - used) / 2.0)
        };
        let ((columns, left), (rows, top)) = (room(width, LABEL.0), room(height, LABEL.1));
        Self { columns, rows, left, top }
    }

    fn per_sheet(&self) -> usize {
        self.columns * self.rows
    }

    /// The upper left corner of the label with this number on its sheet, going down the columns.
    fn corner(&self, number: usize) -> (f64, f64) {
        let place = |number: usize, size: f64| f64::from(u32::try_from(number).unwrap_or(0)) * size;
        let (column, row) = (number / self.rows, number % self.rows);
        (self.left + place(column, LABEL.0), self.top + place(row, LABEL.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Result<Label, Failure> {
        Label::new(Barcode::new(text).unwrap())
    }

    #[test]
    fn a_label_keeps_the_measures_of_the_specification() {
        let label = label("VTL001L9").unwrap();
        let narrowest = label.bars.iter().map(|bar| bar.width).fold(f64::MAX, f64::min);
        let widest = label.bars.iter().map(|bar| bar.width).fold(0.0, f64::max);
        assert!((narrowest - 0.423).abs() < 0.001 && (widest / narrowest - 2.75).abs() < 1e-9);
        let (first, last) = (label.bars[0], label.bars[label.bars.len() - 1]);
        let right = LABEL.0 - last.x - last.width;
        // Ten narrow elements, or 5.25 mm.
        assert!(first.x >= 5.25 && (first.x - right).abs() < 1e-9, "{} {right}", first.x);
        assert!(label.bars.iter().all(|bar| bar.height >= 11.1 && bar.y + bar.height < LABEL.1));
        assert!(label.characters.len() == 8 && label.characters.is_sorted_by(|a, b| a.1 < b.1));
    }

    #[test]
    fn what_is_no_lto_barcode_has_no_label() {
        for good in ["A00001L1", "A00001LA", "A00001M8", "CLN001L9", "A00001LZ", "A00001LT"] {
            assert!(label(good).is_ok(), "{good}");
        }
        for bad in ["A00001", "A00001L0", "A0001L9", "A000001L9", "A00001LS", "A00001TA"] {
            assert!(label(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sheets_hold_what_fits() {
        let grid = Grid::of(Paper::A4.size());
        assert_eq!((grid.columns, grid.rows), (2, 16));
        let (x, y) = grid.corner(31);
        assert!(x + LABEL.0 <= 202.0 && y + LABEL.1 <= 289.0, "{x} {y}");
        assert_eq!(Grid::of(Paper::Letter.size()).per_sheet(), 30);
    }
}
