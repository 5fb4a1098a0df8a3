//! Tables that fit: aligned columns where there is room, one record below the other where there
//! isn't, and one line a record where nobody sees a terminal (for `grep`).

use comfy_table::{ContentArrangement, Table, presets};

use super::out::{Charset, printable};

/// Columns of terminal that a column of the table needs to be readable.
const COLUMN_MIN: usize = 11;

/// Renders rows under heads. `width` is the terminal's, `None` for unlimited.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>], width: Option<u16>) -> String {
    // Escaped here, because a line break in a cell would tear the row apart.
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| printable(cell, Charset::Unicode)).collect())
        .collect();
    match width {
        Some(width) if usize::from(width) < heads.len() * COLUMN_MIN => {
            records(heads, &rows, usize::from(width))
        }
        Some(_) | None => columns(heads, rows, width),
    }
}

fn columns(heads: &[&str], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heads.iter().map(|head| head.to_uppercase()));
    match width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table.add_rows(rows);
    // Every cell has a space before it; the first would indent the table.
    let lines =
        table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// `head: value` lines, values folded below themselves.
fn records(heads: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let mut lines = Vec::new();
    for row in rows {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        for (head, cell) in heads.iter().zip(row) {
            let line = format!("{head}: {cell}");
            fold(&line, width.max(8), &mut lines);
        }
    }
    lines.join("\n")
}

/// Folds one line to `width` characters; what goes on is indented by two.
fn fold(line: &str, width: usize, into: &mut Vec<String>) {
    let mut current = String::new();
    for c in line.chars() {
        if current.chars().count() == width {
            into.push(std::mem::replace(&mut current, "  ".to_owned()));
        }
        current.push(c);
    }
    into.push(current);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        vec![
            row(["lamp-0001", "online", "street=Queen St"]),
            row(["lamp-0002", "off\u{1b}line\n", "-"]),
        ]
    }

    const HEADS: [&str; 3] = ["device", "presence", "labels"];

    #[test]
    fn without_a_terminal_each_row_is_one_line() {
        let text = table(&HEADS, &rows(), None);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("DEVICE"), "{text}");
        assert!(lines[2].contains("off\\u{1b}line\\u{a}"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [20, 33, 40, 80] {
            let text = table(&HEADS, &rows(), Some(width));
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width.into()), "{width} columns:\n{text}");
        }
    }
}
