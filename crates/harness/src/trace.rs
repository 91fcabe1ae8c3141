//! Job traces: when jobs came, and how long they ran. CSV, plain or compressed with gzip.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::replay::ReplayJob;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A job of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceJob {
    /// When it could run, `arrival_unix_s`.
    pub arrival: Timestamp,
    /// How long it ran, `duration_s`.
    pub duration: SignedDuration,
    /// `pool`, if the trace has that column.
    pub pool: Option<String>,
}

/// Reads a trace. The first line names the columns; those that are not used are skipped.
///
/// # Errors
/// If the file cannot be read, lacks a column, or has a bad row, with the number of its line.
pub fn read(path: &Path) -> Result<Vec<TraceJob>> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut file = BufReader::new(file);
    let compressed = file.fill_buf()?.starts_with(&GZIP_MAGIC);
    let mut text = String::new();
    let read = if compressed {
        MultiGzDecoder::new(file).read_to_string(&mut text)
    } else {
        file.read_to_string(&mut text)
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

/// Reads a trace from its text.
///
/// # Errors
/// If it lacks a column, or has a bad row, with the number of its line.
pub fn parse(text: &str) -> Result<Vec<TraceJob>> {
    let mut lines = (1..).zip(text.lines());
    let header = lines.next().map_or("", |(_, header)| header);
    let names: Vec<&str> = header.split(',').map(str::trim).collect();
    let find = |wanted: &str| names.iter().position(|name| *name == wanted);
    let column = |wanted: &str| {
        find(wanted).with_context(|| format!("line 1: no column {wanted}; the columns are {header}"))
    };
    let (arrival, duration, pool) = (column("arrival_unix_s")?, column("duration_s")?, find("pool"));
    let mut jobs = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let job = row(&fields, names.len(), arrival, duration, pool);
        jobs.push(job.with_context(|| format!("line {number}"))?);
    }
    Ok(jobs)
}

fn row(
    fields: &[&str],
    width: usize,
    arrival: usize,
    duration: usize,
    pool: Option<usize>,
) -> Result<TraceJob> {
    ensure!(fields.len() == width, "{} fields instead of {width}", fields.len());
    let field = |index: usize| fields.get(index).copied().unwrap_or_default();
    let seconds = |name: &str, text: &str| {
        let number = text.parse::<f64>().ok().filter(|number| *number >= 0.0);
        let duration = number.and_then(|number| SignedDuration::try_from_secs_f64(number).ok());
        duration.with_context(|| format!("{name} {text:?} is not a number of seconds, 0 or more"))
    };
    let since_1970 = seconds("arrival_unix_s", field(arrival))?;
    let arrival = Timestamp::from_duration(since_1970).context("arrival_unix_s is no time")?;
    let duration = seconds("duration_s", field(duration))?;
    Ok(TraceJob { arrival, duration, pool: pool.map(|index| field(index).to_owned()) })
}

/// The jobs of one pool; those of all pools if none is named.
///
/// # Errors
/// If the trace has no such pool; the message has those that it has.
pub fn of_pool(mut jobs: Vec<TraceJob>, pool: Option<&str>) -> Result<Vec<TraceJob>> {
    let Some(pool) = pool else { return Ok(jobs) };
    let known: std::collections::BTreeSet<String> = jobs.iter().filter_map(|job| job.pool.clone()).collect();
    jobs.retain(|job| job.pool.as_deref() == Some(pool));
    if jobs.is_empty() {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        bail!("the trace has no jobs of pool {pool}; its pools: {known}");
    }
    Ok(jobs)
}

/// The first day from Monday to Friday that the trace has from midnight to midnight, UTC.
#[must_use]
pub fn first_weekday(jobs: &[TraceJob]) -> Option<Date> {
    let first = jobs.iter().map(|job| job.arrival).min()?;
    let last = jobs.iter().map(|job| job.arrival).max()?;
    let mut day = date(first);
    loop {
        let (start, end) = bounds(day)?;
        if end > last {
            return None;
        }
        let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        if start >= first && !weekend {
            return Some(day);
        }
        day = day.tomorrow().ok()?;
    }
}

/// The jobs of one day, UTC, in the order of their arrival.
#[must_use]
pub fn of_day(jobs: &[TraceJob], day: Date) -> Vec<ReplayJob> {
    let Some((start, end)) = bounds(day) else { return Vec::new() };
    let mut found: Vec<ReplayJob> = jobs
        .iter()
        .filter(|job| job.arrival >= start && job.arrival < end)
        .map(|job| ReplayJob { at: job.arrival.duration_since(start), duration: job.duration })
        .collect();
    found.sort_by_key(|job| (job.at, job.duration));
    found
}

fn date(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn bounds(day: Date) -> Option<(Timestamp, Timestamp)> {
    let midnight = |day: Date| day.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).ok();
    Some((midnight(day)?, midnight(day.tomorrow().ok()?)?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::Directory;

    /// 1774483200 is Thursday 2026-03-26 00:00:00 UTC.
    const THURSDAY: i64 = 1_774_483_200;
    const DAY: i64 = 86_400;

    fn trace(arrivals: &[i64]) -> Vec<TraceJob> {
        let rows: String = arrivals.iter().map(|at| format!("{at},60,linux\n")).collect();
        parse(&format!("arrival_unix_s,duration_s,pool\n{rows}")).unwrap()
    }

    #[test]
    fn columns_are_found_by_name_and_others_are_skipped() {
        let text = "run,duration_s,arrival_unix_s\nci#1,90.5,1774483201\n\nci#2,0,1774483202\n";
        let jobs = parse(text).unwrap();
        assert_eq!(jobs.len(), 2);
        assert_eq!(jobs[0].arrival, Timestamp::from_second(THURSDAY + 1).unwrap());
        assert_eq!(jobs[0].duration, SignedDuration::from_millis(90_500));
        assert_eq!(jobs[0].pool, None);
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let head = "arrival_unix_s,duration_s,pool\n1,2,linux\n";
        for (row, says) in [
            ("x,2,linux", "arrival_unix_s \"x\""),
            ("1,-2,linux", "duration_s \"-2\""),
            ("1,NaN,linux", "duration_s \"NaN\""),
            ("1,2", "2 fields instead of 3"),
            ("1e300,2,linux", "arrival_unix_s"),
        ] {
            let error = format!("{:#}", parse(&format!("{head}{row}\n")).unwrap_err());
            assert!(error.starts_with("line 3: ") && error.contains(says), "{error}");
        }
        let error = parse("arrival_unix_s,length\n").unwrap_err().to_string();
        assert!(error.starts_with("line 1: no column duration_s"), "{error}");
        assert!(parse("").is_err());
    }

    #[test]
    fn gzip_is_recognised_by_its_content() {
        let text = b"arrival_unix_s,duration_s,pool\n1774483201,5,linux\n";
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        let folder = Directory::create().unwrap();
        let compressed = folder.write("compressed", &encoder.finish().unwrap()).unwrap();
        let plain = folder.write("plain", text).unwrap();
        assert_eq!(read(&compressed).unwrap(), read(&plain).unwrap());
        assert!(read(&folder.path().join("none")).unwrap_err().to_string().contains("cannot read"));
    }

    #[test]
    fn the_first_whole_weekday_is_taken() {
        // Thursday is cut at its start, Friday is whole.
        let cut = trace(&[THURSDAY + 5, THURSDAY + 3 * DAY]);
        assert_eq!(first_weekday(&cut), Some(jiff::civil::date(2026, 3, 27)));
        let whole = trace(&[THURSDAY, THURSDAY + DAY]);
        assert_eq!(first_weekday(&whole), Some(jiff::civil::date(2026, 3, 26)));
        // From Friday morning on the first whole weekday is Monday.
        let weekend = trace(&[THURSDAY + DAY + 5, THURSDAY + 6 * DAY]);
        assert_eq!(first_weekday(&weekend), Some(jiff::civil::date(2026, 3, 30)));
        assert_eq!(first_weekday(&trace(&[THURSDAY, THURSDAY + DAY - 1])), None);
        assert_eq!(first_weekday(&[]), None);
    }

    #[test]
    fn a_day_begins_at_midnight_and_pools_are_told_apart() {
        let jobs = trace(&[THURSDAY + DAY, THURSDAY + 60, THURSDAY, THURSDAY - 1]);
        let day = of_day(&jobs, jiff::civil::date(2026, 3, 26));
        let seconds: Vec<i64> = day.iter().map(|job| job.at.as_secs()).collect();
        assert_eq!(seconds, [0, 60]);
        assert_eq!(of_pool(jobs.clone(), Some("linux")).unwrap().len(), 4);
        let error = of_pool(jobs, Some("windows")).unwrap_err().to_string();
        assert!(error.ends_with("its pools: linux"), "{error}");
    }
}
