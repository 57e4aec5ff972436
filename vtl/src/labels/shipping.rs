//! `vtl vault manifest --output FILE`: pick lists and shipping manifests as PDF, with bars to be scanned, as text or as CSV.

use std::path::Path;

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str};
use serde_json::{Value, json};
use vtl_vault::{Row, ShippingList};

use super::Paper;
use super::code_39::bars;
use super::pdf::points;
use crate::client;
use crate::files::create;
use crate::request::{Failure, Request};
use crate::vaulting::VaultRequest;

/// All in millimetres.
const MARGIN: f64 = 15.0;
const ROW_HEIGHT: f64 = 13.0;
const BARS_HEIGHT: f64 = 9.0;
/// Wide enough for each scanner, and narrow enough for eight characters beside the rest of a row.
const NARROW: f64 = 0.3;
/// Where the columns of a row begin, from the left margin: box, bars, text, copy, medium, state, size, receipt.
const COLUMNS: [f64; 8] = [0.0, 8.0, 60.0, 80.0, 90.0, 118.0, 138.0, 158.0];
const HEADINGS: [&str; 8] = ["", "", "tape", "copy", "medium", "state", "size", "receipt"];
/// What is above the rows on each sheet, and what is below them on the last one.
const HEAD_HEIGHT: f64 = 52.0;
const FOOT_HEIGHT: f64 = 34.0;
const PLAIN: Name<'_> = Name(b"F1");
const BOLD: Name<'_> = Name(b"F2");
/// As many digits of a hash as people compare.
const RECEIPT_DIGITS: usize = 12;

/// Writes the list that goes with a container, or the pick list, to a new file.
pub(crate) fn run(
    directory: &Path,
    container: Option<String>,
    file: &Path,
) -> Result<Value, Failure> {
    // The wrong ending is told before anything is asked.
    let kind = file.extension().and_then(|extension| extension.to_str());
    let Some(kind @ ("pdf" | "txt" | "csv")) = kind else {
        return Err(Failure::usage(format!(
            "{}: the file's name has to end in .pdf, .txt or .csv",
            file.display()
        )));
    };
    let answer = client::ask(directory, Request::Vault(VaultRequest::Manifest { container }))?;
    let list: ShippingList = serde_json::from_value(answer).map_err(Failure::failed)?;
    let (bytes, sheets) = match kind {
        "pdf" => draw(&list),
        "csv" => (list.to_csv().into_bytes(), 1),
        _ => (list.to_text().into_bytes(), 1),
    };
    create(file, &bytes)?;
    Ok(json!({
        "file": file.display().to_string(),
        "list": list.title,
        "tapes": list.rows.len(),
        "sheets": sheets,
    }))
}

/// The list as PDF, and how many sheets it has.
fn draw(list: &ShippingList) -> (Vec<u8>, usize) {
    let sheets = sheets(&list.rows);
    let mut next = 1;
    let mut new = || {
        let reference = Ref::new(next);
        next += 1;
        reference
    };
    let (catalog, pages, plain, bold) = (new(), new(), new(), new());
    let references: Vec<(Ref, Ref)> = sheets.iter().map(|_| (new(), new())).collect();
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    let count = i32::try_from(sheets.len()).unwrap_or(i32::MAX);
    pdf.pages(pages).kids(references.iter().map(|(page, _)| *page)).count(count);
    for (font, name) in [(plain, Name(b"Helvetica")), (bold, Name(b"Helvetica-Bold"))] {
        pdf.type1_font(font).base_font(name).encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    let (width, height) = Paper::A4.size();
    for (number, ((page_reference, content), rows)) in
        references.into_iter().zip(&sheets).enumerate()
    {
        let mut page = pdf.page(page_reference);
        page.parent(pages).contents(content);
        page.media_box(Rect::new(0.0, 0.0, points(width), points(height)));
        page.resources().fonts().pair(PLAIN, plain).pair(BOLD, bold);
        page.finish();
        let mut sheet = Sheet { content: Content::new(), width, height };
        sheet.head(list, number + 1, sheets.len());
        sheet.rows(rows);
        if number + 1 == sheets.len() {
            sheet.foot(list);
        }
        pdf.stream(content, &sheet.content.finish());
    }
    (pdf.finish(), sheets.len())
}

/// As many rows on each sheet as there is room for above the foot; a list of nothing has one sheet that says so.
fn sheets(rows: &[Row]) -> Vec<&[Row]> {
    let room = Paper::A4.size().1 - 2.0 * MARGIN - HEAD_HEIGHT - FOOT_HEIGHT;
    let mut per_sheet = 1_u32;
    while f64::from(per_sheet + 1) * ROW_HEIGHT <= room {
        per_sheet += 1;
    }
    match rows {
        [] => vec![rows],
        _ => rows.chunks(usize::try_from(per_sheet).unwrap_or(1)).collect(),
    }
}

/// A sheet of paper that is drawn on. Places are in millimetres from its upper left corner.
struct Sheet {
    content: Content,
    width: f64,
    height: f64,
}

impl Sheet {
    fn head(&mut self, list: &ShippingList, number: usize, count: usize) {
        let right = self.width - MARGIN;
        self.text((MARGIN, MARGIN + 6.0), BOLD, 6.0, &list.title);
        self.text((right - 25.0, MARGIN + 4.0), PLAIN, 3.2, &format!("sheet {number} of {count}"));
        let expected = list.expected.map(|time| time.strftime("%Y-%m-%d %H:%MZ").to_string());
        let facts = [
            ("Container", list.container.as_str()),
            ("Seal", &list.seal),
            ("From", &list.from),
            ("To", &list.to),
            ("Expected", expected.as_deref().unwrap_or_default()),
        ];
        for (line, (name, value)) in (0..).zip(facts) {
            let y = MARGIN + 14.0 + f64::from(line) * 5.5;
            self.text((MARGIN, y), BOLD, 3.6, name);
            let shown = if value.is_empty() { "......................" } else { value };
            self.text((MARGIN + 24.0, y), PLAIN, 3.6, shown);
        }
        self.bars((right - 75.0, MARGIN + 12.0), 12.0, &list.container);
        let y = MARGIN + HEAD_HEIGHT - 5.0;
        for (column, heading) in COLUMNS.iter().zip(HEADINGS) {
            self.text((MARGIN + column, y), BOLD, 3.0, heading);
        }
        self.line(y + 2.0);
    }

    fn rows(&mut self, rows: &[Row]) {
        if rows.is_empty() {
            self.text((MARGIN, MARGIN + HEAD_HEIGHT + 6.0), PLAIN, 3.6, "There is no tape in it.");
        }
        for (number, row) in (0..).zip(rows) {
            let top = MARGIN + HEAD_HEIGHT + f64::from(number) * ROW_HEIGHT;
            self.row(top, row);
        }
    }

    fn row(&mut self, top: f64, row: &Row) {
        let [tick, bars, barcode, copy, medium, state, size, receipt] =
            COLUMNS.map(|column| MARGIN + column);
        let text = top + BARS_HEIGHT / 2.0 + 1.5;
        self.rectangle((tick, top + 2.0), (4.5, 4.5));
        self.bars((bars, top), BARS_HEIGHT, row.barcode.as_str());
        self.text((barcode, text), BOLD, 3.6, row.barcode.as_str());
        let digits = row.receipt.as_deref().unwrap_or("none").chars();
        let digits: String = digits.take(RECEIPT_DIGITS).collect();
        for (x, words) in [
            (copy, row.copy.to_string()),
            (medium, row.medium_serial.clone().unwrap_or_else(|| "-".to_owned())),
            (state, row.state.to_string()),
            (size, vtl_vault::size(row.bytes)),
            (receipt, digits),
        ] {
            self.text((x, text), PLAIN, 3.0, &words);
        }
        self.line(top + ROW_HEIGHT - 2.0);
    }

    fn foot(&mut self, list: &ShippingList) {
        let top = self.height - MARGIN - FOOT_HEIGHT;
        let count = list.rows.len();
        let tapes = if count == 1 { "tape" } else { "tapes" };
        let total = vtl_vault::size(list.total_bytes());
        self.text((MARGIN, top + 8.0), BOLD, 3.6, &format!("{count} {tapes}, {total}"));
        for (line, who) in (0..).zip(["Handed over by", "Received by"]) {
            let y = top + 18.0 + f64::from(line) * 11.0;
            self.text((MARGIN, y), PLAIN, 3.2, who);
            self.text((MARGIN + 26.0, y), PLAIN, 3.2, &".".repeat(60));
            self.text((MARGIN + 92.0, y), PLAIN, 3.2, "Date, signature");
            self.text((MARGIN + 116.0, y), PLAIN, 3.2, &".".repeat(68));
        }
    }

    /// Bars of a text, if Code 39 has all its characters; else the text alone has to do.
    fn bars(&mut self, (x, y): (f64, f64), height: f64, text: &str) {
        let Some((bars, _)) = bars(&text.to_ascii_uppercase()).filter(|_| !text.is_empty()) else {
            return;
        };
        self.content.set_fill_gray(0.0);
        let bottom = self.up(y + height);
        for bar in bars {
            let (from, width) = (x + bar.from * NARROW, bar.width * NARROW);
            self.content.rect(points(from), bottom, points(width), points(height));
        }
        self.content.fill_nonzero();
    }

    fn text(&mut self, (x, y): (f64, f64), font: Name<'_>, size: f64, text: &str) {
        let bottom = self.up(y);
        self.content.set_fill_gray(0.0);
        self.content.begin_text().set_font(font, points(size));
        self.content.set_text_matrix([1.0, 0.0, 0.0, 1.0, points(x), bottom]);
        self.content.show(Str(&encoded(text))).end_text();
    }

    fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let bottom = self.up(y + height);
        self.content.set_stroke_gray(0.0).set_line_width(0.7);
        self.content.rect(points(x), bottom, points(width), points(height)).stroke();
    }

    fn line(&mut self, y: f64) {
        let (left, right, y) = (points(MARGIN), points(self.width - MARGIN), self.up(y));
        self.content.set_stroke_gray(0.7).set_line_width(0.3);
        self.content.move_to(left, y).line_to(right, y).stroke();
    }

    /// PDF counts from the lower edge upwards.
    fn up(&self, y: f64) -> f32 {
        points(self.height - y)
    }
}

/// Text as the standard fonts have it: Latin letters; what they lack is a question mark.
fn encoded(text: &str) -> Vec<u8> {
    let code = |c: char| u8::try_from(c).ok().filter(|_| !c.is_control()).unwrap_or(b'?');
    text.chars().map(code).collect()
}

#[cfg(test)]
mod tests {
    use vtl_media::{Barcode, CopyState};

    use super::*;

    fn list(count: usize) -> ShippingList {
        let row = |number: usize| Row {
            barcode: Barcode::new(&format!("VTL{number:03}L9")).unwrap(),
            copy: 1,
            medium_serial: Some("S0001".to_owned()),
            state: CopyState::Courier,
            bytes: 1_234_567_890,
            receipt: Some("ab".repeat(32)),
        };
        ShippingList {
            title: "Shipping manifest".to_owned(),
            container: "C7".to_owned(),
            seal: "S-4711".to_owned(),
            from: "Zürich".to_owned(),
            to: "offsite:IRON".to_owned(),
            expected: None,
            rows: (0..count).map(row).collect(),
        }
    }

    #[test]
    fn each_tape_is_on_a_sheet_and_no_sheet_is_too_full() {
        for (count, expected) in [(0, 1), (1, 1), (12, 1), (14, 2), (100, 8)] {
            let list = list(count);
            let sheets = sheets(&list.rows);
            assert_eq!(sheets.len(), expected, "{count}");
            assert_eq!(sheets.iter().map(|rows| rows.len()).sum::<usize>(), count);
            let (bytes, drawn) = draw(&list);
            assert_eq!(drawn, expected);
            assert!(bytes.starts_with(b"%PDF-"));
        }
    }

    #[test]
    fn letters_that_fonts_lack_are_told() {
        assert_eq!(encoded("Zürich\n☃"), b"Z\xfcrich??");
    }
}
