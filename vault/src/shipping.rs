//! What travels: the list that goes with a container, and the list by which an operator picks its tapes.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use vtl_media::{Barcode, CopyState};

use crate::age::moment;

/// A list of tapes that travel together, or are to be picked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippingList {
    /// What the list is: `Shipping manifest`, `Pick list`.
    pub title: String,
    /// The container's name; empty if none was chosen yet.
    pub container: String,
    /// The container's seal; empty if it has none yet.
    pub seal: String,
    /// Where it leaves from.
    pub from: String,
    /// Where it goes.
    pub to: String,
    /// When it is expected there.
    pub expected: Option<Timestamp>,
    /// The tapes, sorted by barcode.
    pub rows: Vec<Row>,
}

/// One tape of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What the tape's label says.
    pub barcode: Barcode,
    /// Which of several copies, from 1.
    pub copy: u32,
    /// The medium's serial number, as its memory tells it.
    pub medium_serial: Option<String>,
    /// Where the copy is on its way.
    pub state: CopyState,
    /// Bytes of all blocks.
    pub bytes: u64,
    /// SHA-256 of the receipt's file, in hexadecimal digits.
    pub receipt: Option<String>,
}

impl ShippingList {
    /// How many bytes travel, all rows together.
    pub fn total_bytes(&self) -> u64 {
        self.rows.iter().fold(0, |sum, row| sum.saturating_add(row.bytes))
    }

    /// For a printer or a terminal, with a box to tick in each row.
    pub fn to_text(&self) -> String {
        self.to_string()
    }

    /// For a spreadsheet: RFC 4180, the container's facts repeated in each row.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from(
            "container,seal,from,to,expected,barcode,copy,medium_serial,state,bytes,receipt\r\n",
        );
        let expected = self.expected.map(|time| time.to_string()).unwrap_or_default();
        for row in &self.rows {
            let cells = [
                self.container.clone(),
                self.seal.clone(),
                self.from.clone(),
                self.to.clone(),
                expected.clone(),
                row.barcode.to_string(),
                row.copy.to_string(),
                row.medium_serial.clone().unwrap_or_default(),
                row.state.to_string(),
                row.bytes.to_string(),
                row.receipt.clone().unwrap_or_default(),
            ];
            let quoted: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
            let _infallible = write!(csv, "{}\r\n", quoted.join(","));
        }
        csv
    }
}

impl fmt::Display for ShippingList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for (name, value) in [
            ("Container", &self.container),
            ("Seal", &self.seal),
            ("From", &self.from),
            ("To", &self.to),
        ] {
            if !value.is_empty() {
                writeln!(f, "  {name:<10}{value}")?;
            }
        }
        if let Some(expected) = self.expected {
            writeln!(f, "  {:<10}{}", "Expected", moment(expected))?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "      {:<10} {:>4}  {:<20} {:<10} {:>16}  receipt",
            "barcode", "copy", "medium serial", "state", "bytes"
        )?;
        for row in &self.rows {
            let serial = row.medium_serial.as_deref().unwrap_or("-");
            // The first digits are what people compare; the CSV and the JSON have all of them.
            let receipt: String =
                row.receipt.as_deref().unwrap_or("-").chars().take(RECEIPT_DIGITS).collect();
            writeln!(
                f,
                "  [ ] {:<10} {:>4}  {serial:<20} {:<10} {:>16}  {receipt}",
                row.barcode.as_str(),
                row.copy,
                row.state,
                row.bytes,
            )?;
        }
        let count = self.rows.len();
        let noun = if count == 1 { "tape" } else { "tapes" };
        writeln!(f, "\n  {count} {noun}, {} bytes", self.total_bytes())
    }
}

/// A cell as RFC 4180 wants it. A leading `=` and its like would be a formula for a spreadsheet: such a text is kept one.
pub fn csv_cell(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

const RECEIPT_DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> ShippingList {
        ShippingList {
            title: "Shipping manifest".into(),
            container: "BOX,7".into(),
            seal: "=1+1".into(),
            from: "here".into(),
            to: "offsite:\"north\"".into(),
            expected: Some("2031-01-02T00:00:00Z".parse().unwrap()),
            rows: vec![Row {
                barcode: Barcode::new("A00001L9").unwrap(),
                copy: 1,
                medium_serial: None,
                state: CopyState::Courier,
                bytes: 1_000,
                receipt: Some("ab".repeat(32)),
            }],
        }
    }

    #[test]
    fn a_spreadsheet_gets_texts_and_no_formulas() {
        let csv = list().to_csv();
        let row = csv.lines().nth(1).unwrap();
        assert!(
            row.starts_with(
                "\"BOX,7\",'=1+1,here,\"offsite:\"\"north\"\"\",2031-01-02T00:00:00Z,A00001L9,1,,courier,1000,abab"
            ),
            "{row}"
        );
    }

    #[test]
    fn the_printed_list_says_what_to_tick_and_how_many() {
        let text = list().to_text();
        assert!(text.contains("[ ] A00001L9      1  -"), "{text}");
        assert!(text.contains("1 tape, 1000 bytes"));
        assert!(text.contains("Expected  2031-01-02 00:00:00Z"));
    }
}
