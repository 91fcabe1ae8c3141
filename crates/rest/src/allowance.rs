//! What a service says is left of its budgets.

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;

/// What is left of one of Azure's budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Azure's name for the budget, such as `Microsoft.Compute/DeleteVMScaleSet3Min`; for those of Resource Manager
    /// itself `subscription-reads`, `subscription-writes` or `subscription-deletes`.
    pub policy: String,
    /// Calls left in it.
    pub left: u32,
}

/// What Azure DevOps says of the budget that a call was charged to, in TSTU:
/// <https://learn.microsoft.com/azure/devops/integrate/concepts/rate-limits>. What it does not say is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// The budget's name.
    pub resource: Option<String>,
    /// What the budget holds.
    pub limit: Option<u64>,
    /// What is left of it.
    pub remaining: Option<u64>,
    /// When it is whole again.
    pub reset: Option<Timestamp>,
    /// How long this call was held back.
    pub delay: Option<SignedDuration>,
}

/// Azure names two to six budgets an answer; more is no answer of Azure.
const MAX_POLICIES: usize = 16;

/// The longest name taken over, in characters.
const MAX_NAME: usize = 100;

/// Of each budget what it says last; what cannot be read is passed over.
pub(crate) fn remaining(headers: &HeaderMap) -> Vec<Remaining> {
    let texts = |name: &str| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    let of_compute: Vec<&str> = texts("x-ms-ratelimit-remaining-resource");
    let mut all: Vec<Remaining> = of_compute
        .into_iter()
        .flat_map(|text| text.split(','))
        .filter_map(|text| {
            let (policy, left) = text.rsplit_once(';')?;
            read(policy.trim(), left)
        })
        .take(MAX_POLICIES)
        .collect();
    for policy in ["subscription-reads", "subscription-writes", "subscription-deletes"] {
        let texts: Vec<&str> = texts(&format!("x-ms-ratelimit-remaining-{policy}"));
        all.extend(texts.last().and_then(|left| read(policy, left)));
    }
    all
}

fn read(policy: &str, left: &str) -> Option<Remaining> {
    let is_name = (1..=MAX_NAME).contains(&policy.len());
    is_name.then_some(())?;
    Some(Remaining { policy: policy.to_owned(), left: left.trim().parse().ok()? })
}

/// None where nothing of it is there, or can be read.
pub(crate) fn rate_limit(headers: &HeaderMap) -> Option<RateLimit> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    // Whole numbers; a fraction would change nothing.
    let number = |name: &str| text(name)?.split('.').next()?.parse::<u64>().ok();
    let limit = RateLimit {
        resource: text("x-ratelimit-resource")
            .filter(|name| (1..=MAX_NAME).contains(&name.len()))
            .map(str::to_owned),
        limit: number("x-ratelimit-limit"),
        remaining: number("x-ratelimit-remaining"),
        reset: number("x-ratelimit-reset")
            .and_then(|seconds| Timestamp::from_second(i64::try_from(seconds).ok()?).ok()),
        delay: text("x-ratelimit-delay").and_then(delay),
    };
    (limit != RateLimit::default()).then_some(limit)
}

/// Seconds with decimals. An hour is far above the documented 30 s; a longer one is not believed.
fn delay(text: &str) -> Option<SignedDuration> {
    let seconds: f64 = text.parse().ok()?;
    (0.0..=3600.0).contains(&seconds).then(|| SignedDuration::try_from_secs_f64(seconds).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            })
    }

    #[test]
    fn budgets_of_azure_come_joined_repeated_and_broken() {
        let resource = "x-ms-ratelimit-remaining-resource";
        let read = remaining(&headers(&[
            (resource, "Microsoft.Compute/GetVMScaleSet3Min;197, Microsoft.Compute/GetVMScaleSet30Min;1297"),
            (resource, "Microsoft.Compute/HighCostGet3Min;-1,nonsense,;5,Microsoft.Compute/Delete3Min;0"),
            ("x-ms-ratelimit-remaining-subscription-reads", "249"),
            ("x-ms-ratelimit-remaining-subscription-writes", "many"),
        ]));
        let read: Vec<_> = read.iter().map(|budget| (budget.policy.as_str(), budget.left)).collect();
        assert_eq!(
            read,
            [
                ("Microsoft.Compute/GetVMScaleSet3Min", 197),
                ("Microsoft.Compute/GetVMScaleSet30Min", 1297),
                ("Microsoft.Compute/Delete3Min", 0),
                ("subscription-reads", 249)
            ]
        );
        assert_eq!(remaining(&HeaderMap::new()), []);
    }

    #[test]
    fn the_budget_of_azure_devops_is_read_as_far_as_it_can_be() {
        let read = rate_limit(&headers(&[
            ("x-ratelimit-resource", "tasks"),
            ("x-ratelimit-limit", "200"),
            ("x-ratelimit-remaining", "12.5"),
            ("x-ratelimit-reset", "1767225600"),
            ("x-ratelimit-delay", "0.250"),
        ]));
        let expected = RateLimit {
            resource: Some("tasks".into()),
            limit: Some(200),
            remaining: Some(12),
            reset: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            delay: Some(SignedDuration::from_millis(250)),
        };
        assert_eq!(read, Some(expected));
        let broken = [
            ("x-ratelimit-limit", "-1"),
            ("x-ratelimit-reset", "99999999999999999999"),
            ("x-ratelimit-delay", "NaN"),
        ];
        assert_eq!(rate_limit(&headers(&broken)), None);
        let partly = rate_limit(&headers(&[broken[1], ("x-ratelimit-limit", "200")])).unwrap();
        assert_eq!((partly.limit, partly.reset), (Some(200), None));
    }
}
