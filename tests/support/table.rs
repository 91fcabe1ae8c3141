//! Tables of kubectl.

use anyhow::{Context, Result};

/// The cells of these columns in a table with one row, `-` for an empty one, with blanks between: `1 Manual - -`.
///
/// Columns are aligned with the header, and their names have no blanks.
pub(crate) fn cells(table: &str, columns: &[&str]) -> Result<String> {
    let mut lines = table.lines().filter(|line| !line.is_empty());
    let (header, row) = lines.next().zip(lines.next()).with_context(|| format!("no row: {table}"))?;
    anyhow::ensure!(lines.next().is_none(), "more than one row:\n{table}");
    let cell = |column: &&str| -> Result<String> {
        let name = |(at, _): &(usize, &str)| header[*at..].split(' ').next() == Some(column);
        let start = header.match_indices(column).find(|found| starts_word(header, found.0) && name(found));
        let start = start.with_context(|| format!("no column {column}: {table}"))?.0;
        let text = row.get(start..).unwrap_or_default();
        Ok(if text.starts_with(' ') || text.is_empty() {
            "-".to_owned()
        } else {
            text.split(' ').next().unwrap_or_default().to_owned()
        })
    };
    Ok(columns.iter().map(cell).collect::<Result<Vec<_>>>()?.join(" "))
}

fn starts_word(header: &str, at: usize) -> bool {
    at == 0 || header.as_bytes().get(at - 1) == Some(&b' ')
}
