//! Headers of an answer, broken in thousands of ways.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of #[test]"
)]

#[path = "support/mutations.rs"]
mod mutations;

use poolkeeper_rest::fuzzing;

const SAMPLES: [&str; 3] = [
    "content-type: application/json\nretry-after: 17\netag: \"1\"\nx-ms-request-id: 1\n\
     x-ms-ratelimit-remaining-resource: Microsoft.Compute/GetVMScaleSet3Min;197,Microsoft.Compute/GetVMScaleSet30Min;1297\n\
     x-ms-ratelimit-remaining-subscription-reads: 249",
    "content-type: text/html; charset=utf-8\nretry-after: Wed, 21 Oct 2026 07:29:30 GMT\ndate: Wed, 21 Oct 2026 07:28:00 GMT\n\
     location: https://login.contoso.com/x?y=z",
    "content-type: application/problem+json\nx-ratelimit-resource: tasks\nx-ratelimit-limit: 200\nx-ratelimit-remaining: 12\n\
     x-ratelimit-reset: 1767225600\nx-ratelimit-delay: 0.250\nactivityid: 2",
];

#[test]
fn no_header_breaks_an_answer() {
    let samples = SAMPLES.map(str::as_bytes);
    for sample in samples {
        assert_eq!(fuzzing::parse(sample), Vec::<String>::new());
    }
    for bytes in mutations::mutations(&samples, 2500) {
        assert_eq!(fuzzing::parse(&bytes), Vec::<String>::new(), "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_broken_invariant_is_told() {
    let mut broken = Vec::new();
    fuzzing::check_text("two\nlines", &mut broken);
    fuzzing::check_text(&"x".repeat(301), &mut broken);
    assert_eq!(broken, ["more than a line", "long text"]);
}
