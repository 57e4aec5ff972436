//! How answers are printed.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use serde_json::{Map, Value};

use vtl_vault::{csv_cell, size};

use crate::cli::Format;

/// What only the story of a cartridge has.
const STORY: &str = "restore";
/// Columns of the inventory for people, in this order; the others only with JSON or CSV.
const COLUMNS: [&str; 10] = [
    "barcode",
    "kind",
    "location",
    "state",
    "written_bytes",
    "last_written",
    "last_proved",
    "copies",
    "copy_state",
    "pool",
];

/// Columns of copies that only programs compare.
const MACHINE_COLUMNS: [&str; 4] = ["hash", "id", "cartridge", "medium_serial"];

/// Prints one answer. Whoever has seen enough of it, as `head`, closes the pipe: that is no failure.
pub(crate) fn print(value: &Value, format: Format) -> io::Result<()> {
    match print_all(value, format) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn print_all(value: &Value, format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if let Some(list) = crate::vaulting::printed(value, format) {
        return write!(out, "{list}");
    }
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, value)?;
            writeln!(out)
        }
        Format::Csv => csv(&mut out, value),
        Format::Table => match value {
            Value::Array(rows) if rows.iter().any(|row| row.get(STORY).is_some()) => {
                stories(&mut out, rows)
            }
            Value::Array(rows) => rows_for_people(&mut out, rows),
            Value::Object(_) => fields_for_people(&mut out, value, 0),
            other => writeln!(out, "{}", text(other)),
        },
    }
}

fn rows_for_people(out: &mut impl Write, rows: &[Value]) -> io::Result<()> {
    let Some(first) = rows.first().and_then(Value::as_object) else {
        return Ok(());
    };
    let is_inventory = COLUMNS.iter().all(|column| first.contains_key(*column));
    let mut columns: Vec<String> = if is_inventory {
        COLUMNS.map(String::from).to_vec()
    } else {
        first.keys().cloned().collect()
    };
    if is_inventory && rows.iter().any(|row| !is_nothing(row.get("group"))) {
        columns.push("group".to_owned());
    }
    if !is_inventory {
        // A column that says nothing only makes the others hard to read.
        columns.retain(|column| rows.iter().any(|row| !is_nothing(row.get(column))));
    }
    // In the ledger it is beside the time of the host's clock, and hardly ever another one.
    columns.retain(|column| column != "compliance");
    if columns.iter().any(|column| column == "volume") {
        // Of a copy people want to know where it is; what else is known of it is in the JSON.
        columns.retain(|column| !MACHINE_COLUMNS.contains(&column.as_str()));
    }
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_header(columns.iter().map(|column| column.to_uppercase().replace('_', " ")));
    for row in rows {
        table.add_row(
            columns.iter().map(|column| cell(column, row.get(column).unwrap_or(&Value::Null))),
        );
    }
    writeln!(out, "{table}")
}

/// What is too much for a table: one thing after the other, without what is not known.
fn stories(out: &mut impl Write, rows: &[Value]) -> io::Result<()> {
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let fields = row.as_object().into_iter().flatten();
        let known = fields.filter(|(_, value)| !is_nothing(Some(value)));
        let known: Map<String, Value> =
            known.map(|(name, value)| (name.clone(), value.clone())).collect();
        fields_for_people(out, &Value::Object(known), 0)?;
    }
    Ok(())
}

fn fields_for_people(out: &mut impl Write, value: &Value, indent: usize) -> io::Result<()> {
    for (name, value) in value.as_object().into_iter().flatten() {
        let key = name.replace('_', " ");
        match value {
            Value::Array(rows) if rows.is_empty() => {}
            Value::Array(rows) if rows.iter().all(Value::is_object) => {
                writeln!(out, "{:indent$}{key}:", "")?;
                rows_for_people(out, rows)?;
            }
            Value::Array(lines) if lines.iter().any(is_sentence) => {
                writeln!(out, "{:indent$}{key}:", "")?;
                for line in lines {
                    writeln!(out, "{:indent$}  - {}", "", visible(&text(line)))?;
                }
            }
            Value::Object(_) => {
                writeln!(out, "{:indent$}{key}:", "")?;
                fields_for_people(out, value, indent + 2)?;
            }
            other => writeln!(out, "{:indent$}{key}: {}", "", for_people(name, other))?,
        }
    }
    Ok(())
}

/// Sentences have a line each; words stand in one.
fn is_sentence(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains(' '))
}

fn is_nothing(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::Array(values)) => values.is_empty(),
        Some(_) => false,
    }
}

/// Numbers stand at the right, everything else at the left.
fn cell(key: &str, value: &Value) -> Cell {
    let alignment = if value.is_number() { CellAlignment::Right } else { CellAlignment::Left };
    Cell::new(for_people(key, value)).set_alignment(alignment)
}

/// A value as people like to read it: sizes with a unit, times to the second, marks for what is so.
fn for_people(key: &str, value: &Value) -> String {
    match value {
        Value::Number(number) if key.ends_with("bytes") => {
            number.as_u64().map_or_else(|| number.to_string(), size)
        }
        // As much of it as people compare.
        Value::String(hash) if key == "hash" => hash.chars().take(12).collect(),
        Value::Number(number) if key == "bytes_per_second" => {
            number.as_u64().map_or_else(|| number.to_string(), |rate| format!("{}/s", size(rate)))
        }
        Value::String(text) => text
            .parse::<jiff::Timestamp>()
            .map_or_else(|_| visible(text), |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(values) if values.iter().all(Value::is_object) => {
            let rows = values.iter().filter_map(Value::as_object).map(|row| {
                let fields = row.values().filter(|value| !value.is_null()).map(text);
                fields.collect::<Vec<_>>().join(" ")
            });
            rows.collect::<Vec<_>>().join("; ")
        }
        Value::Array(values) => visible(&values.iter().map(text).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => cut(&visible(&event(fields))),
        other => text(other),
    }
}

/// An entry of the ledger: what happened, and to what. The whole of it is in the JSON.
fn event(fields: &Map<String, Value>) -> String {
    let mut words = Vec::new();
    words.extend(fields.get("type").map(text));
    let others = fields.iter().filter(|(name, value)| *name != "type" && !is_nothing(Some(value)));
    words.extend(others.map(|(name, value)| match value {
        Value::Object(fields) => event(fields),
        Value::Bool(true) => name.clone(),
        value => format!("{name}={}", text(value)),
    }));
    words.join(" ")
}

/// A name that somebody has chosen, or a label that somebody has written, does nothing to a terminal.
fn visible(text: &str) -> String {
    let shown = |character: char| -> String {
        if character.is_control() {
            character.escape_default().to_string()
        } else {
            character.to_string()
        }
    };
    text.chars().map(shown).collect()
}

/// No longer than what fits beside other columns.
fn cut(text: &str) -> String {
    const WIDTH: usize = 140;
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH - 1).chain(['…']).collect()
}

fn csv(out: &mut impl Write, value: &Value) -> io::Result<()> {
    let single = [value.clone()];
    let rows = value.as_array().map_or(&single[..], Vec::as_slice);
    let Some(first) = rows.first().and_then(Value::as_object) else {
        return Ok(());
    };
    let columns: Vec<_> = first.keys().cloned().collect();
    writeln!(out, "{}", columns.join(","))?;
    for row in rows {
        let fields: Vec<_> =
            columns.iter().map(|column| row.get(column).map(field).unwrap_or_default()).collect();
        writeln!(out, "{}", fields.join(","))?;
    }
    Ok(())
}

/// A CSV field. A text that somebody has written is none that a spreadsheet works out; a number may begin as it likes.
fn field(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        other => csv_cell(&text(other)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_people_like_them() {
        for (key, value, expected) in [
            ("written_bytes", serde_json::json!(18_000_000_000_000_u64), "18.0 TB"),
            ("written_bytes", serde_json::json!(1_234_567), "1.23 MB"),
            ("written_bytes", serde_json::json!(999), "999 B"),
            ("bytes_per_second", serde_json::json!(123_456_789), "123 MB/s"),
            ("objects", serde_json::json!(1_234_567), "1234567"),
            ("time", serde_json::json!("2026-07-01T12:00:00.123456Z"), "2026-07-01 12:00:00Z"),
            ("is_current", serde_json::json!(true), "yes"),
            ("pool", serde_json::json!("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb"),
            ("hash", serde_json::json!("0123456789abcdef"), "0123456789ab"),
            (
                "event",
                serde_json::json!({"type": "access_granted", "rule": {"initiator": "iqn.x", "chap": true, "luns": null}, "library": "x"}),
                "access_granted initiator=iqn.x chap library=x",
            ),
            (
                "damage",
                serde_json::json!([{"first_object": 5, "last_object": 5, "file": "a/b"}]),
                "5 5 a/b",
            ),
        ] {
            assert_eq!(for_people(key, &value), expected);
        }
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let mut out = Vec::new();
        csv(&mut out, &serde_json::json!([{ "a": "x,\"y\"", "b": null, "c": 5 }])).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a,b,c\n\"x,\"\"y\"\"\",,5\n");
    }

    /// The reason of a copy that was retired was a formula when `vtl vault list --format csv` was opened; the manifest had a guard.
    #[test]
    fn csv_has_texts_and_no_formulas() {
        let mut out = Vec::new();
        let row = serde_json::json!([{ "reason": "=1+1,\"x\"", "site": "@north", "offset": -3 }]);
        csv(&mut out, &row).unwrap();
        let out = String::from_utf8(out).unwrap();
        let cells = ["\"'=1+1,\"\"x\"\"\"", "'@north", "-3"];
        assert!(cells.iter().all(|cell| out.contains(cell)), "{out}");
    }
}
