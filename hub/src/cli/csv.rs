//! A table of devices, as spreadsheets write it (RFC 4180): `hub device add --from devices.csv`.
//!
//! The head names the columns: `id`, `profile`, `latitude`, `longitude`; every other column is a
//! label. Nothing is registered unless every row is right.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::args::device_id;
use super::exit::Failure;
use super::units::parse_position;

/// Bytes of a file; a line a device makes that far above 100,000 devices.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads the devices of a file.
pub(crate) fn devices(file: &Path) -> Result<Vec<Value>, Failure> {
    let wrong = |why: String| Failure::Usage(format!("--from {}: {why}", file.display()));
    let size = fs::metadata(file).map_err(|error| wrong(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(wrong(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    parse(&text).map_err(wrong)
}

fn parse(text: &str) -> Result<Vec<Value>, String> {
    let mut rows = rows(text.strip_prefix('\u{feff}').unwrap_or(text))?.into_iter();
    let head = rows.next().ok_or("the file is empty")?;
    if !head.iter().any(|name| name == "id") {
        return Err("the first row names no column `id`".to_owned());
    }
    rows.zip(2..)
        .filter(|(row, _)| row.iter().any(|cell| !cell.is_empty()))
        .map(|(row, number)| device(&head, &row).map_err(|why| format!("row {number}: {why}")))
        .collect()
}

fn device(head: &[String], row: &[String]) -> Result<Value, String> {
    if row.len() != head.len() {
        return Err(format!("{} cells under {} heads", row.len(), head.len()));
    }
    let mut device = Map::new();
    let mut labels = Map::new();
    let (mut latitude, mut longitude) = ("", "");
    for (name, cell) in head.iter().zip(row) {
        match name.as_str() {
            "latitude" => latitude = cell,
            "longitude" => longitude = cell,
            "id" => drop(device.insert("id".to_owned(), json!(device_id(cell)?))),
            _ if cell.is_empty() => {}
            "profile" => drop(device.insert("profile".to_owned(), json!(cell))),
            label => drop(labels.insert(label.to_owned(), json!(cell))),
        }
    }
    if !latitude.is_empty() || !longitude.is_empty() {
        let position = parse_position(&format!("{latitude},{longitude}"))?;
        device.insert("latitude_e7".to_owned(), json!(position.latitude_e7));
        device.insert("longitude_e7".to_owned(), json!(position.longitude_e7));
    }
    device.insert("labels".to_owned(), Value::Object(labels));
    Ok(Value::Object(device))
}

/// Cells by row. A quoted cell may hold commas, line breaks, and quotes written twice.
fn rows(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            _ if quoted => cell.push(c),
            ',' => row.push(take_cell(&mut cell)),
            '\n' => {
                row.push(take_cell(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            _ => cell.push(c),
        }
    }
    if quoted {
        return Err("a quote isn't closed".to_owned());
    }
    if !row.is_empty() || !cell.is_empty() {
        row.push(take_cell(&mut cell));
        rows.push(row);
    }
    Ok(rows)
}

fn take_cell(cell: &mut String) -> String {
    let taken = cell.trim().to_owned();
    cell.clear();
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_becomes_devices_with_labels() {
        let text = "id,profile,latitude,longitude,street\r\n\
            lamp-1,led-40,51.5,-0.1,\"Queen \"\"Q\"\", St\"\r\n\r\nlamp-2,,,,\n";
        let devices = parse(text).expect("a valid table");
        assert_eq!(
            devices,
            [
                json!({"id": "lamp-1", "profile": "led-40", "latitude_e7": 515_000_000,
                    "longitude_e7": -1_000_000, "labels": {"street": "Queen \"Q\", St"}}),
                json!({"id": "lamp-2", "labels": {}}),
            ]
        );
    }

    #[test]
    fn a_wrong_row_is_named_and_nothing_is_registered() {
        check("", "empty");
        check("name\nx", "no column `id`");
        check("id\nlamp-1\n$(id)\n", "row 3");
        check("id,street\nlamp-1\n", "1 cells under 2 heads");
        check("id\n\"lamp-1\n", "quote");
        check("id,latitude,longitude\nlamp-1,91,0\n", "row 2: a position");
    }

    #[track_caller]
    fn check(text: &str, why: &str) {
        let error = parse(text).expect_err("must be refused");
        assert!(error.contains(why), "{error}");
    }
}
