//! A row of the journal, and the text of a journal: one JSON object a line, newest last.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Rows that a journal keeps.
pub(super) const ROWS: usize = 500;
/// Its text in bytes; an object of the API server holds 1 MiB (Kubernetes: limit of a ConfigMap).
const BYTES: usize = 256 * 1024;
/// A message in bytes; an error of Azure may be a page.
const MESSAGE: usize = 1_000;
/// How far back a failure that repeats itself is looked for.
const REPEATS: usize = 20;

/// Something that was done, tried, or went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// When, in whole seconds.
    pub at: Timestamp,
    /// What: `Create`, `Disable`, `Delete`, `Reimage`, `Save`, `Unmark`; the name of a change of agent records; `Notice`;
    /// or `Condition`.
    pub action: String,
    /// The ScaleSetBinding, if it is about one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub binding: String,
    /// How many VMs or records.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub count: u32,
    /// Names of the first five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// `Done`, `InFlight` (accepted), `Succeeded` (its operation), `Refused` (a precondition no longer held), `Failed`,
    /// `NeverEnded`; of a condition `Began` or `Ended`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub result: String,
    /// Id of the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The kind of error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How often in a row.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u32,
    /// When it was first so, if more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

fn once() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_once(times: &u32) -> bool {
    *times <= 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Row {
    pub(super) fn new(at: Timestamp, action: &str) -> Self {
        Self {
            at: Timestamp::from_second(at.as_second()).unwrap_or(at),
            action: action.to_owned(),
            binding: String::new(),
            count: 0,
            names: Vec::new(),
            reason: String::new(),
            result: String::new(),
            operation: None,
            message: String::new(),
            error: None,
            times: 1,
            since: None,
        }
    }

    /// The same went wrong before.
    fn repeats(&self, earlier: &Self) -> bool {
        let told = |row: &Self| {
            let Self { action, binding, count, names, reason, result, error, .. } = row.clone();
            (action, binding, count, names, reason, result, error)
        };
        matches!(self.result.as_str(), "Refused" | "Failed") && told(self) == told(earlier)
    }
}

/// Adds rows to a journal. A failure that repeats itself stays one row, so that it does not push out the history.
pub(super) fn add(journal: &mut Vec<Row>, rows: impl IntoIterator<Item = Row>) {
    for mut row in rows {
        let from = journal.len().saturating_sub(REPEATS);
        let earlier = journal.iter().skip(from).rposition(|earlier| row.repeats(earlier));
        if let Some(place) = earlier {
            let earlier = journal.remove(from + place);
            row.times = row.times.saturating_add(earlier.times);
            row.since = Some(earlier.since.unwrap_or(earlier.at));
        }
        journal.push(row);
    }
}

/// The newest rows as text, as many as a journal keeps.
pub(super) fn text(journal: &[Row]) -> Result<String, serde_json::Error> {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    for row in journal.iter().rev().take(ROWS) {
        let line = serde_json::to_string(&Row { message: cut(&row.message), ..row.clone() })?;
        bytes += line.len() + 1;
        if bytes > BYTES {
            break;
        }
        lines.push(line);
    }
    lines.reverse();
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

/// At a boundary of characters.
fn cut(message: &str) -> String {
    if message.len() <= MESSAGE {
        return message.to_owned();
    }
    format!("{}…", message.get(..message.floor_char_boundary(MESSAGE)).unwrap_or_default())
}

/// The rows of a text, and how many of its lines are none.
pub(super) fn parse(text: &str) -> (Vec<Row>, usize) {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let (rows, rest): (Vec<_>, Vec<_>) = lines.map(serde_json::from_str).partition(Result::is_ok);
    (rows.into_iter().flatten().collect(), rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(second: i64, result: &str, message: &str) -> Row {
        let at = Timestamp::from_second(second).unwrap();
        Row { result: result.into(), message: message.into(), ..Row::new(at, "Create") }
    }

    #[test]
    fn a_text_is_read_as_it_was_written() {
        let full = Row {
            binding: "linux-d4".into(),
            count: 2,
            names: vec!["vm-1".into()],
            reason: "has run its job".into(),
            operation: Some("reimage-linux-d4-1".into()),
            error: Some("Quota".into()),
            times: 3,
            since: Some(Timestamp::UNIX_EPOCH),
            ..row(60, "Failed", "two\nlines")
        };
        let rows = vec![row(1, "Done", "one"), full];
        let text = text(&rows).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert_eq!(
            text.lines().next().unwrap(),
            r#"{"at":"1970-01-01T00:00:01Z","action":"Create","result":"Done","message":"one"}"#
        );
        assert_eq!(parse(&text), (rows, 0));
    }

    #[test]
    fn lines_that_are_no_rows_are_counted_and_left_out() {
        let good = text(&[row(1, "Done", "one")]).unwrap();
        let (rows, dropped) = parse(&format!("not JSON\n\n{good}{{\"at\":5}}\n"));
        assert_eq!((rows.len(), dropped), (1, 2));
    }

    #[test]
    fn the_oldest_rows_go_first_by_number_and_by_size() {
        let many: Vec<Row> = (0..600).map(|second| row(second, "Done", "")).collect();
        let (rows, _) = parse(&text(&many).unwrap());
        assert_eq!((rows.len(), rows[0].at.as_second(), rows[499].at.as_second()), (500, 100, 599));
        let long: Vec<Row> = (0..500).map(|second| row(second, "Done", &"ä".repeat(2_000))).collect();
        let text = text(&long).unwrap();
        let (rows, dropped) = parse(&text);
        assert!(text.len() <= BYTES && text.len() > BYTES - 2 * MESSAGE, "{}", text.len());
        assert_eq!((rows.last().unwrap().at.as_second(), dropped), (499, 0));
        assert_eq!(rows[0].message, format!("{}…", "ä".repeat(500)));
    }

    #[test]
    fn a_failure_that_repeats_itself_stays_one_row() {
        let mut journal = Vec::new();
        add(&mut journal, (0..3).map(|second| row(second, "Failed", "no quota")));
        add(&mut journal, [row(5, "Done", "another"), row(6, "Done", "another")]);
        add(&mut journal, [row(9, "Failed", "no quota, in other words")]);
        let found: Vec<_> = journal.iter().map(|row| (row.at.as_second(), row.times)).collect();
        assert_eq!(found, [(5, 1), (6, 1), (9, 4)]);
        assert_eq!(journal[2].since, Some(Timestamp::UNIX_EPOCH));
    }
}
