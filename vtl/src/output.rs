//! How answers are printed.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Table};
use serde_json::Value;

use crate::cli::Format;

/// Columns of the inventory for people, in this order; the others only with JSON or CSV.
const COLUMNS: [&str; 7] =
    ["barcode", "kind", "location", "state", "written_bytes", "last_written", "pool"];

/// Prints one answer.
pub(crate) fn print(value: &Value, format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, value)?;
            writeln!(out)
        }
        Format::Csv => csv(&mut out, value),
        Format::Table => match value {
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
    let columns: Vec<String> = if is_inventory {
        COLUMNS.map(String::from).to_vec()
    } else {
        first.keys().cloned().collect()
    };
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_header(columns.iter().map(|column| column.to_uppercase().replace('_', " ")));
    for row in rows {
        table.add_row(
            columns.iter().map(|column| Cell::new(row.get(column).map(text).unwrap_or_default())),
        );
    }
    writeln!(out, "{table}")
}

fn fields_for_people(out: &mut impl Write, value: &Value, indent: usize) -> io::Result<()> {
    for (key, value) in value.as_object().into_iter().flatten() {
        let key = key.replace('_', " ");
        match value {
            Value::Array(rows) if rows.iter().all(Value::is_object) => {
                writeln!(out, "{:indent$}{key}:", "")?;
                rows_for_people(out, rows)?;
            }
            Value::Object(_) => {
                writeln!(out, "{:indent$}{key}:", "")?;
                fields_for_people(out, value, indent + 2)?;
            }
            other => writeln!(out, "{:indent$}{key}: {}", "", text(other))?,
        }
    }
    Ok(())
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
        let fields: Vec<_> = columns
            .iter()
            .map(|column| quoted(&row.get(column).map(text).unwrap_or_default()))
            .collect();
        writeln!(out, "{}", fields.join(","))?;
    }
    Ok(())
}

/// A CSV field (RFC 4180 §2).
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
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
    fn csv_quotes_what_needs_it() {
        let mut out = Vec::new();
        csv(&mut out, &serde_json::json!([{ "a": "x,\"y\"", "b": null, "c": 5 }])).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a,b,c\n\"x,\"\"y\"\"\",,5\n");
    }
}
