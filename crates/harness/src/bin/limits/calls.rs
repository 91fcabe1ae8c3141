//! Calls a minute against the limits: as the operator counts them, and as the clouds do.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use poolkeeper_harness::control::{CallCount, Tally};

/// A class of the simulator's calls, the operator's name of its bucket, and Azure's limits a minute: of each scale set,
/// and of a subscription and region.
struct Class {
    bucket: &'static str,
    call: &'static str,
    each: Option<u32>,
    all: u32,
}

/// <https://learn.microsoft.com/azure/virtual-machines/compute-throttling-limits>. Instances and operations have limits
/// of their own, which the simulator's tally does not tell apart.
const CLASSES: [Class; 6] = [
    Class { bucket: "scale-set-get", call: "scaleSetGet", each: Some(12), all: 800 },
    Class { bucket: "scale-set-list", call: "instanceList", each: Some(10), all: 360 },
    Class { bucket: "scale-set-update", call: "scaleSetUpdate", each: Some(4), all: 500 },
    Class { bucket: "scale-set-delete", call: "instanceDelete", each: Some(4), all: 175 },
    Class { bucket: "instance-get", call: "instanceGet", each: None, all: 2000 },
    Class { bucket: "operation-get", call: "operationGet", each: None, all: 5000 },
];

/// Azure Resource Manager's own limits a minute, of a subscription:
/// <https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling>
const DOORS: [(&str, &[&str], u32); 2] = [
    (
        "front-door-read",
        &["scaleSetGet", "instanceList", "instanceGet", "operationGet", "surroundingsGet", "azureOther"],
        1500,
    ),
    ("front-door-write", &["scaleSetUpdate", "instanceDelete", "instanceUpdate"], 600),
];

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// One bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) bucket: String,
    /// Whose it is.
    pub(crate) of: &'static str,
    pub(crate) limit: u32,
    /// The highest minute by the operator's metrics.
    pub(crate) operator: Option<u32>,
    /// The highest minute by the simulator's tally.
    pub(crate) simulator: Option<u32>,
}

impl Row {
    /// The larger figure's part of the limit, in percent.
    pub(crate) fn share(&self) -> f64 {
        let most = self.operator.max(self.simulator).unwrap_or_default();
        100.0 * f64::from(most) / f64::from(self.limit.max(1))
    }

    /// Whether the limit is one that Azure documents; an organisation's is configured.
    pub(crate) fn is_documented(&self) -> bool {
        self.bucket != ORGANIZATION
    }
}

const ORGANIZATION: &str = "organization-call";

/// The front door's calls in the last minute, looked at every few seconds.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    samples: VecDeque<(Timestamp, [u64; 2])>,
    highest: [u32; 2],
}

impl Doors {
    pub(crate) fn take(&mut self, now: Timestamp, tally: &Tally) {
        let calls = DOORS.map(|(_, classes, _)| {
            classes.iter().filter_map(|class| tally.calls.get(*class)).map(|count| count.total).sum()
        });
        while self.samples.front().is_some_and(|(at, _)| now.duration_since(*at) > MINUTE) {
            self.samples.pop_front();
        }
        self.samples.push_back((now, calls));
        let Some((_, first)) = self.samples.front() else { return };
        for ((highest, now), then) in self.highest.iter_mut().zip(calls).zip(first) {
            *highest = (*highest).max(u32::try_from(now.saturating_sub(*then)).unwrap_or(u32::MAX));
        }
    }
}

/// All buckets that were used.
pub(crate) fn rows(metrics: &str, tally: &Tally, doors: &Doors) -> Vec<Row> {
    let limits: BTreeMap<(&str, &str), u32> = gauges(metrics, "poolkeeper_calls_per_minute_limit").collect();
    let mut rows: Vec<Row> = gauges(metrics, "poolkeeper_calls_per_minute_highest")
        .map(|((bucket, owner), highest)| {
            let of = match (bucket, owner) {
                (ORGANIZATION, _) => "organization",
                ("instance-get", "") => "each VM",
                ("operation-get", "") => "each operation",
                (_, "") => "each scale set",
                // Until a scale set has been read once.
                (_, owner) if owner.ends_with("/unknown") => "unknown region",
                (_, _) => "subscription",
            };
            let seen = simulated(bucket, of, tally, doors);
            let limit = limits.get(&(bucket, owner)).copied();
            let limit = seen.map(|(limit, _)| limit).or(limit).unwrap_or_default();
            let simulator = seen.map(|(_, calls)| calls);
            Row { bucket: bucket.to_owned(), of, limit, operator: Some(highest), simulator }
        })
        .collect();
    rows.sort_by(|one, other| (&one.bucket, one.of).cmp(&(&other.bucket, other.of)));
    rows
}

/// The documented limit, and the highest minute; none where the simulator's tally does not tell.
fn simulated(bucket: &str, of: &str, tally: &Tally, doors: &Doors) -> Option<(u32, u32)> {
    if let Some(class) = CLASSES.iter().find(|class| class.bucket == bucket) {
        let count = tally.calls.get(class.call).copied().unwrap_or_default();
        let CallCount { busiest_minute, .. } = count;
        return match of {
            "subscription" => Some((class.all, busiest_minute.subscription)),
            "each scale set" => class.each.map(|each| (each, busiest_minute.scale_set)),
            _ => None,
        };
    }
    let mut doors = DOORS.iter().zip(doors.highest);
    doors.find(|((name, ..), _)| *name == bucket).map(|((.., limit), highest)| (*limit, highest))
}

/// Gauges by bucket and owner.
fn gauges<'a>(metrics: &'a str, name: &'a str) -> impl Iterator<Item = ((&'a str, &'a str), u32)> {
    samples(metrics, name).filter_map(|(labels, value)| {
        // A gauge is written as a whole number, or with its decimals.
        let value = value.split('.').next()?.parse().ok()?;
        Some(((label(labels, "bucket")?, label(labels, "owner")?), value))
    })
}

/// The answers of 429 that the operator has counted.
pub(crate) fn refused(metrics: &str) -> u64 {
    let throttled = |labels: &str| label(labels, "class") == Some("throttled");
    samples(metrics, "poolkeeper_cloud_calls_total")
        .filter(|(labels, _)| throttled(labels))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum()
}

/// Labels and value of each sample of a metric.
fn samples<'a>(metrics: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    metrics.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?.strip_prefix('{')?;
        rest.rsplit_once("} ").map(|(labels, value)| (labels, value.trim()))
    })
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = labels.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use poolkeeper_harness::control::Busiest;

    use super::*;

    const METRICS: &str = r#"# TYPE poolkeeper_calls_per_minute_highest gauge
poolkeeper_calls_per_minute_highest{bucket="scale-set-list",owner=""} 6
poolkeeper_calls_per_minute_highest{bucket="scale-set-list",owner="sub/westeurope"} 270
poolkeeper_calls_per_minute_highest{bucket="scale-set-list",owner="sub/unknown"} 5
poolkeeper_calls_per_minute_limit{bucket="scale-set-list",owner="sub/unknown"} 360
poolkeeper_calls_per_minute_highest{bucket="organization-call",owner="fabrikam"} 240
poolkeeper_calls_per_minute_highest{bucket="front-door-read",owner="sub"} 900
poolkeeper_calls_per_minute_limit{bucket="organization-call",owner="fabrikam"} 300
poolkeeper_cloud_calls_total{service="azure",operation="list",class="throttled"} 4
poolkeeper_cloud_calls_total{service="azure",operation="get",class="throttled"} 3
poolkeeper_cloud_calls_total{service="azure",operation="get",class="ok"} 100
"#;

    #[test]
    fn both_counts_meet_in_one_row() {
        let busiest_minute = Busiest { subscription: 280, scale_set: 7 };
        let lists = |total| CallCount { total, busiest_minute, ..CallCount::default() };
        let tally = |total| Tally { calls: BTreeMap::from([("instanceList".to_owned(), lists(total))]) };
        let mut doors = Doors::default();
        for (second, total) in [(0, 10), (30, 400), (60, 700), (90, 800)] {
            doors.take(Timestamp::from_second(second).unwrap(), &tally(total));
        }
        let rows = rows(METRICS, &tally(800), &doors);
        let row = |bucket: &str, of, limit, operator, simulator| Row {
            bucket: bucket.to_owned(),
            of,
            limit,
            operator: Some(operator),
            simulator,
        };
        let expected = [
            row("front-door-read", "subscription", 1500, 900, Some(690)),
            row("organization-call", "organization", 300, 240, None),
            row("scale-set-list", "each scale set", 10, 6, Some(7)),
            row("scale-set-list", "subscription", 360, 270, Some(280)),
            row("scale-set-list", "unknown region", 360, 5, None),
        ];
        assert_eq!(rows, expected);
        assert!(rows.iter().filter(|row| row.is_documented()).count() == 4 && rows[3].share() > 75.0);
        assert_eq!(refused(METRICS), 7);
    }
}
