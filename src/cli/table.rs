//! Tables and text as kubectl prints them.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

/// Between two columns.
const GAP: &str = "  ";
/// The last column is wrapped, but not into less than this.
const NARROWEST: usize = 30;

/// A column: its name, and the most that is shown of a cell.
pub(super) struct Column(pub(super) &'static str, pub(super) usize);

/// A table whose last column is wrapped at `width`; without one each row is a line.
pub(super) fn table(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> String {
    let Some(last) = columns.len().checked_sub(1) else { return String::new() };
    let header: Vec<String> = columns.iter().map(|Column(name, _)| (*name).to_owned()).collect();
    let cells: Vec<Vec<String>> = std::iter::once(header)
        .chain(
            rows.iter()
                .map(|row| columns.iter().zip(row).map(|(column, cell)| cut(cell, column.1)).collect()),
        )
        .collect();
    let widest =
        |column: usize| cells.iter().filter_map(|row| row.get(column)).map(|cell| length(cell)).max();
    let widths: Vec<usize> = (0..last).map(|column| widest(column).unwrap_or(0)).collect();
    let indent = widths.iter().map(|width| width + GAP.len()).sum::<usize>();
    let room = width.map(|width| width.saturating_sub(indent).max(NARROWEST));
    let mut text = String::new();
    for row in &cells {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _infallible = write!(line, "{cell}{}{GAP}", " ".repeat(width.saturating_sub(length(cell))));
        }
        let end = row.get(last).map_or("", String::as_str);
        let pieces = room.map_or_else(|| vec![end.to_owned()], |room| wrap(end, room));
        for (number, piece) in pieces.iter().enumerate() {
            let before = if number == 0 { line.clone() } else { " ".repeat(indent) };
            text.push_str(format!("{before}{piece}").trim_end());
            text.push('\n');
        }
    }
    text
}

/// A paragraph, wrapped at `width` if there is one, each line after `indent`.
pub(super) fn paragraph(words: &str, indent: &str, width: Option<usize>) -> String {
    let lines = width.map_or_else(
        || vec![words.to_owned()],
        |width| wrap(words, width.saturating_sub(indent.len()).max(NARROWEST)),
    );
    lines.iter().map(|line| format!("{indent}{line}\n")).collect()
}

/// At blanks; a word that is too long gets a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if length(line) + 1 + length(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// On one line, and not longer than `most`.
fn cut(cell: &str, most: usize) -> String {
    let cell = cell.split_whitespace().collect::<Vec<_>>().join(" ");
    let cell = if cell.is_empty() { "-".to_owned() } else { cell };
    if length(&cell) <= most {
        return cell;
    }
    cell.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// How long ago, in kubectl's form: two units while they matter, such as `45s`, `3m20s`, `35m`, `5h10m` or `12d`.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    length_of(now.duration_since(since))
}

/// A duration in kubectl's form; nothing below 0.
pub(super) fn length_of(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_kubectls() {
        let ages = [(0, "0s"), (-5, "0s"), (119, "119s"), (200, "3m20s"), (300, "5m"), (2_159, "35m")];
        let longer = [(18_600, "5h10m"), (86_400, "24h"), (200_000, "2d7h"), (1_036_800, "12d")];
        for (seconds, words) in ages.into_iter().chain(longer) {
            assert_eq!(length_of(SignedDuration::from_secs(seconds)), words, "{seconds}");
        }
    }

    #[test]
    fn the_last_column_is_wrapped_and_others_are_cut() {
        let columns = [Column("NAME", 8), Column("JOB", 10), Column("WHY", usize::MAX)];
        let rows = [
            vec![
                "linux-d4000001".to_owned(),
                String::new(),
                "idle since 08:42Z; kept: standby wants 6".to_owned(),
            ],
            vec!["a".to_owned(), "12".to_owned(), "short\nof it".to_owned()],
        ];
        let wrapped = "\
NAME      JOB  WHY
linux-d…  -    idle since 08:42Z; kept:
               standby wants 6
a         12   short of it
";
        assert_eq!(table(&columns, &rows, Some(44)), wrapped);
        let whole = "\
NAME      JOB  WHY
linux-d…  -    idle since 08:42Z; kept: standby wants 6
a         12   short of it
";
        assert_eq!(table(&columns, &rows, None), whole);
        assert_eq!(
            paragraph("one two three four five six seven", "  ", Some(20)),
            "  one two three four five six\n  seven\n"
        );
    }
}
