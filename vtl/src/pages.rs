//! Text as PDF, to be printed: pages of A4 in one font of one width.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str};

const FONT: Name<'_> = Name(b"F1");
/// A4 in points.
const PAPER: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 50.0;
const FONT_SIZE: f32 = 9.0;
const LEADING: f32 = 11.5;
/// Courier is 0.6 of its size wide.
const COLUMNS: usize = 91;
const LINES: usize = 63;
/// What does not fit into a line goes on in the next one behind this.
const INDENT: &str = "    ";

/// The file.
pub(crate) fn pdf(text: &str) -> Vec<u8> {
    let lines: Vec<String> = text.lines().flat_map(wrapped).collect();
    let sheets: Vec<&[String]> = lines.chunks(LINES).collect();
    let (catalog, pages, font) = (Ref::new(1), Ref::new(2), Ref::new(3));
    let mut next = 4;
    let mut new = || {
        let reference = Ref::new(next);
        next += 1;
        reference
    };
    let references: Vec<(Ref, Ref)> = sheets.iter().map(|_| (new(), new())).collect();
    let mut file = Pdf::new();
    file.catalog(catalog).pages(pages);
    let count = i32::try_from(sheets.len()).unwrap_or(i32::MAX);
    file.pages(pages).kids(references.iter().map(|(page, _)| *page)).count(count);
    // With the encoding that the font has by itself a backtick is printed as a quotation mark, and nobody can type what is printed.
    file.type1_font(font).base_font(Name(b"Courier")).encoding_predefined(Name(b"WinAnsiEncoding"));
    for (number, ((page_reference, content), sheet)) in
        (1_usize..).zip(references.into_iter().zip(&sheets))
    {
        let mut page = file.page(page_reference);
        page.parent(pages).contents(content);
        page.media_box(Rect::new(0.0, 0.0, PAPER.0, PAPER.1));
        page.resources().fonts().pair(FONT, font);
        page.finish();
        let below = format!("{number} of {}", sheets.len());
        file.stream(content, &drawn(sheet, &below));
    }
    file.finish()
}

fn drawn(lines: &[String], below: &str) -> Vec<u8> {
    let mut content = Content::new();
    let mut y = PAPER.1 - MARGIN;
    let mut draw = |text: &str, y: f32| {
        content.begin_text().set_font(FONT, FONT_SIZE);
        content.set_text_matrix([1.0, 0.0, 0.0, 1.0, MARGIN, y]);
        // The fonts that each reader has know no other characters without more ado.
        let bytes: Vec<u8> = text
            .chars()
            .map(|character| u8::try_from(character).ok().filter(u8::is_ascii).unwrap_or(b'?'))
            .collect();
        content.show(Str(&bytes)).end_text();
    };
    for line in lines {
        draw(line, y);
        y -= LEADING;
    }
    draw(below, MARGIN / 2.0);
    content.finish().to_vec()
}

/// A line in pieces that fit, cut between words where that can be.
fn wrapped(line: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest: Vec<char> = line.chars().collect();
    while rest.len() > COLUMNS {
        let indent = if lines.is_empty() { 0 } else { INDENT.len() };
        let space = rest.iter().take(COLUMNS).rposition(|character| *character == ' ');
        // Not before the indent, or it would never come to an end.
        let at = space.filter(|at| *at > indent).unwrap_or(COLUMNS);
        let tail: Vec<char> = rest.split_off(at);
        lines.push(rest.into_iter().collect());
        rest = INDENT.chars().chain(tail.into_iter().skip_while(|c| *c == ' ')).collect();
    }
    lines.push(rest.into_iter().collect());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_and_nothing_is_lost() {
        let word = "w".repeat(300);
        let line = format!("{} {word} end", "short words ".repeat(20));
        let pieces = wrapped(&line);
        assert!(pieces.iter().all(|piece| piece.chars().count() <= COLUMNS));
        let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
        assert_eq!(letters(&pieces.concat()), letters(&line));
        assert_eq!(wrapped(""), [""]);
        assert_eq!(wrapped("ü"), ["ü"]);
    }

    #[test]
    fn a_long_text_has_several_pages() {
        let lines: Vec<String> = (0..200).map(|number| format!("line {number}")).collect();
        let text = lines.join("\n");
        let bytes = pdf(&text);
        let shown = String::from_utf8_lossy(&bytes);
        assert!(shown.starts_with("%PDF-") && shown.contains("/Count 4"));
        assert!(shown.contains("(line 199)") && shown.contains("(4 of 4)"));
    }
}
