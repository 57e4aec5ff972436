//! A runbook as PDF: pages of text in one of the fonts that every reader and every printer has. What is to be typed stays in one piece, or
//! goes on behind a backslash, so that the shell takes it as it stands there.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str};

/// A4, in points.
const PAPER: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 48.0;
const SIZE: f32 = 8.5;
const HEADING_SIZE: f32 = 12.0;
const LEADING: f32 = 11.0;
/// Characters of Courier are 0.6 of its size wide.
const COLUMNS: usize = 97;
const LINES: usize = 66;
/// What is typed goes on in the next line, a little further in.
const CONTINUED: &str = " \\";
const INDENT: &str = "    ";
const TEXT: Name<'_> = Name(b"F1");
const BOLD: Name<'_> = Name(b"F2");

/// A line as it is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    text: String,
    is_heading: bool,
}

/// The file.
pub(super) fn draw(markdown: &str) -> Vec<u8> {
    let lines = lines(markdown);
    let sheets: Vec<&[Line]> = lines.chunks(LINES).collect();
    let (catalog, pages, text, bold) = (Ref::new(1), Ref::new(2), Ref::new(3), Ref::new(4));
    let mut numbers = (5..).map(Ref::new);
    let mut new = || numbers.next().unwrap_or(catalog);
    let references: Vec<(Ref, Ref)> = sheets.iter().map(|_| (new(), new())).collect();
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    let count = i32::try_from(sheets.len()).unwrap_or(i32::MAX);
    pdf.pages(pages).kids(references.iter().map(|(page, _)| *page)).count(count);
    for (font, name) in [(text, Name(b"Courier")), (bold, Name(b"Helvetica-Bold"))] {
        let mut font = pdf.type1_font(font);
        font.base_font(name).encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    for (number, ((page_reference, content), sheet)) in
        (1..).zip(references.into_iter().zip(&sheets))
    {
        let mut page = pdf.page(page_reference);
        page.parent(pages).contents(content);
        page.media_box(Rect::new(0.0, 0.0, PAPER.0, PAPER.1));
        page.resources().fonts().pair(TEXT, text).pair(BOLD, bold);
        page.finish();
        let foot = format!("page {number} of {}", sheets.len());
        pdf.stream(content, &drawn(sheet, &foot));
    }
    pdf.finish()
}

fn drawn(sheet: &[Line], foot: &str) -> Vec<u8> {
    let mut content = Content::new();
    let mut show = |face: Name<'_>, size: f32, y: f32, text: &str| {
        content.begin_text().set_font(face, size);
        content.set_text_matrix([1.0, 0.0, 0.0, 1.0, MARGIN, y]);
        content.show(Str(&encoded(text))).end_text();
    };
    // PDF counts from the lower edge upwards.
    let mut y = PAPER.1 - MARGIN;
    for line in sheet {
        y -= LEADING;
        let (face, size) = if line.is_heading { (BOLD, HEADING_SIZE) } else { (TEXT, SIZE) };
        show(face, size, y, &line.text);
    }
    show(TEXT, SIZE, MARGIN - LEADING, foot);
    content.finish().to_vec()
}

/// The text in lines that fit.
fn lines(markdown: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut is_typed = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            is_typed = !is_typed;
            continue;
        }
        let heading = line.trim_start_matches('#');
        let is_heading = !is_typed && heading.len() < line.len() && heading.starts_with(' ');
        let text = if is_heading { heading.trim() } else { line };
        let broken = if is_typed { typed(text) } else { wrapped(text, COLUMNS, "") };
        lines.extend(broken.into_iter().map(|text| Line { text, is_heading }));
    }
    lines
}

/// A line for a shell. What is said about it comes before it where both do not fit.
fn typed(line: &str) -> Vec<String> {
    if line.chars().count() <= COLUMNS {
        return vec![line.to_owned()];
    }
    match line.rsplit_once(" # ") {
        Some((command, about)) => {
            let about = wrapped(about.trim(), COLUMNS - INDENT.len(), "");
            let mut lines: Vec<String> = about.iter().map(|line| format!("# {line}")).collect();
            lines.extend(typed(command.trim_end()));
            lines
        }
        None => wrapped(line, COLUMNS, CONTINUED),
    }
}

/// Breaks a line at spaces. A word that is too long by itself stays in one piece: it may be a name or a key.
fn wrapped(line: &str, columns: usize, continued: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let count = lines.len();
        let Some(last) = lines.last_mut() else { break };
        let has_room = last.chars().count() + 1 + word.chars().count() + continued.len() <= columns;
        if last.is_empty() && count == 1 {
            last.push_str(word);
        } else if has_room || last.trim().is_empty() {
            last.push(' ');
            last.push_str(word);
        } else {
            last.push_str(continued);
            lines.push(format!("{INDENT}{word}"));
        }
    }
    lines
}

/// In the code page of the fonts (that of Windows for Western Europe). What it lacks is a question mark.
fn encoded(text: &str) -> Vec<u8> {
    let byte = |letter: char| match letter {
        ' '..='~' | '\u{a0}'..='ÿ' => u8::try_from(u32::from(letter)).unwrap_or(b'?'),
        '…' => 0x85,
        '–' => 0x96,
        '—' => 0x97,
        '€' => 0x80,
        '\t' => b' ',
        _ => b'?',
    };
    text.chars().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_can_be_typed_and_what_is_read_can_be_read() {
        let long = "word ".repeat(60);
        let markdown = format!(
            "# Title\n\n{long}\n```sh\nvtl {long}\nread {}   # a tape\n```\n",
            "x".repeat(95)
        );
        let lines = lines(&markdown);
        assert_eq!((lines[0].text.as_str(), lines[0].is_heading), ("Title", true));
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        let is_fit = |line: &&str| line.len() <= COLUMNS || line.contains("xxx");
        assert!(texts.iter().all(is_fit), "{texts:#?}");
        let vtl = texts.iter().position(|line| line.starts_with("vtl ")).unwrap();
        assert!(texts[vtl].ends_with(" \\") && texts[vtl + 1].starts_with(INDENT), "{texts:#?}");
        let about = texts.iter().position(|line| *line == "# a tape").unwrap();
        assert!(texts[about + 1] == "read \\", "{texts:#?}");
        assert_eq!(encoded("Bücher… 日"), b"B\xfccher\x85 ?");
    }
}
