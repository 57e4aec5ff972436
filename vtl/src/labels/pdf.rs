//! Labels as PDF: sheets full of them, with thin lines to cut along.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str};

use super::{Grid, LABEL, Label, TEXT_HEIGHT};

/// Points in a millimetre.
const POINTS: f64 = 72.0 / 25.4;
const FONT: Name<'_> = Name(b"F1");
/// Of the capital letters of Helvetica Bold, in parts of the size of the font: near enough to put them in the middle.
const HALF_WIDTH: f64 = 0.35;

/// The file, and how many sheets it has.
pub(super) fn draw(labels: &[Label], paper: (f64, f64)) -> (Vec<u8>, usize) {
    let grid = Grid::of(paper);
    let sheets: Vec<&[Label]> = labels.chunks(grid.per_sheet()).collect();
    let (catalog, pages, font) = (Ref::new(1), Ref::new(2), Ref::new(3));
    let mut next = 4;
    let mut new = || {
        let reference = Ref::new(next);
        next += 1;
        reference
    };
    let references: Vec<(Ref, Ref)> = sheets.iter().map(|_| (new(), new())).collect();
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    let count = i32::try_from(sheets.len()).unwrap_or(i32::MAX);
    pdf.pages(pages).kids(references.iter().map(|(page, _)| *page)).count(count);
    pdf.type1_font(font).base_font(Name(b"Helvetica-Bold"));
    for ((page_reference, content), sheet) in references.into_iter().zip(&sheets) {
        let mut page = pdf.page(page_reference);
        page.parent(pages).contents(content);
        page.media_box(Rect::new(0.0, 0.0, points(paper.0), points(paper.1)));
        page.resources().fonts().pair(FONT, font);
        page.finish();
        pdf.stream(content, &drawn(sheet, &grid, paper.1));
    }
    (pdf.finish(), sheets.len())
}

fn drawn(sheet: &[Label], grid: &Grid, height: f64) -> Vec<u8> {
    let mut content = Content::new();
    // PDF counts from the lower edge upwards.
    let up = |y: f64| points(height - y);
    for (number, label) in sheet.iter().enumerate() {
        let (left, top) = grid.corner(number);
        content.set_stroke_gray(0.8).set_line_width(0.25);
        content.rect(points(left), up(top + LABEL.1), points(LABEL.0), points(LABEL.1)).stroke();
        content.set_fill_gray(0.0);
        for bar in &label.bars {
            let bottom = up(top + bar.y + bar.height);
            content.rect(points(left + bar.x), bottom, points(bar.width), points(bar.height));
        }
        content.fill_nonzero();
        let size = TEXT_HEIGHT;
        for (character, middle) in &label.characters {
            let x = points(left + middle - size * HALF_WIDTH);
            let mut bytes = [0; 4];
            let text = character.encode_utf8(&mut bytes).as_bytes();
            content.begin_text().set_font(FONT, points(size));
            content.set_text_matrix([1.0, 0.0, 0.0, 1.0, x, up(top + TEXT_HEIGHT)]);
            content.show(Str(text)).end_text();
        }
    }
    content.finish().to_vec()
}

/// Millimetres in points; half a micrometre more or less does not matter.
#[expect(clippy::cast_possible_truncation, reason = "a sheet of paper is small")]
pub(super) fn points(millimetres: f64) -> f32 {
    (millimetres * POINTS) as f32
}
