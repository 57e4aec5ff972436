//! Labels as SVG: one below the other.

use std::fmt::Write;

use super::{LABEL, Label, Rectangle, TEXT_HEIGHT};

pub(super) fn draw(labels: &[Label]) -> String {
    let count = u32::try_from(labels.len()).unwrap_or(u32::MAX);
    let (width, height) = (LABEL.0, LABEL.1 * f64::from(count));
    let mut svg = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}mm\" height=\"{height}mm\" \
         viewBox=\"0 0 {width} {height}\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (number, label) in (0..count).zip(labels) {
        let top = LABEL.1 * f64::from(number);
        // Writing to a string cannot fail.
        let _ = write_label(&mut svg, label, top);
    }
    svg.push_str("</svg>\n");
    svg
}

fn write_label(svg: &mut String, label: &Label, top: f64) -> std::fmt::Result {
    writeln!(svg, "<g transform=\"translate(0 {top:.4})\"><title>{}</title>", label.barcode)?;
    for Rectangle { x, y, width, height } in &label.bars {
        writeln!(
            svg,
            "<rect x=\"{x:.4}\" y=\"{y:.4}\" width=\"{width:.4}\" height=\"{height:.4}\"/>"
        )?;
    }
    for (character, middle) in &label.characters {
        writeln!(
            svg,
            "<text x=\"{middle:.4}\" y=\"{TEXT_HEIGHT}\" font-family=\"sans-serif\" font-weight=\"bold\" font-size=\"4.4\" text-anchor=\"middle\">{character}</text>"
        )?;
    }
    writeln!(svg, "</g>")
}
