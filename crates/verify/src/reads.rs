//! Facts of Azure that reading shows.

use std::time::Duration;

use poolkeeper_azure::API_VERSION;
use poolkeeper_rest::Method;
use serde_json::Value;

use crate::{
    CallError,
    access::Authorization,
    call::Seen,
    fact::{
        BAD_TOKEN, BUDGET_HEADER, CORES, ETAG, LINK_HOST, MISSING_VERSION, NOT_FOUND_CODE, NOT_FOUND_TEXT,
        PATH_CASE, UNKNOWN_OPERATION,
    },
    machines::Listing,
    trial::{BEFORE_READ, Trial},
};

/// An id that no operation has.
const NO_OPERATION: &str = "00000000-0000-4000-8000-000000000001";

impl<W: AsyncFn(Duration)> Trial<W> {
    pub(crate) async fn reads(&mut self) -> Result<(), CallError> {
        let version = [("api-version", API_VERSION)];
        let set = self.site.set.clone();

        let call = self.site.azure.call(Method::GET, set.as_str(), &[]);
        let seen = self.azure(BEFORE_READ, call).await?;
        self.judge(MISSING_VERSION, is(&seen, 400, "MissingApiVersionParameter"), seen.brief());

        let call = self.site.of_set(Method::GET, "").signed(Authorization::false_bearer());
        let seen = self.azure(BEFORE_READ, call).await?;
        self.judge(BAD_TOKEN, is(&seen, 401, "InvalidAuthenticationToken"), seen.brief());

        let missing = format!("{}-poolkeeper-verify-none", set.as_str());
        let call = self.site.azure.call(Method::GET, &missing, &version);
        let seen = self.azure(BEFORE_READ, call).await?;
        if seen.status == 403 {
            let why = "this credential may read the set alone; 403 hides what is missing";
            self.not_tried(NOT_FOUND_CODE, why);
            self.not_tried(NOT_FOUND_TEXT, why);
        } else {
            self.judge(NOT_FOUND_CODE, is(&seen, 404, "ResourceNotFound"), seen.brief());
            let text = seen.message().unwrap_or_default().to_lowercase();
            let name = format!("{}-poolkeeper-verify-none", set.name());
            let parts = ["microsoft.compute/virtualmachinescalesets", &name, set.resource_group()];
            let named = parts.iter().all(|part| text.contains(&part.to_lowercase()));
            self.judge(NOT_FOUND_TEXT, named, seen.full());
        }

        let seen = self
            .azure(BEFORE_READ, self.site.azure.call(Method::GET, &set.as_str().to_uppercase(), &version))
            .await?;
        let same = seen.text("/id").is_some_and(|id| id.eq_ignore_ascii_case(set.as_str()));
        self.judge(PATH_CASE, seen.status == 200 && same, seen.brief());

        let seen = self.azure(BEFORE_READ, self.site.of_set(Method::GET, "")).await?;
        let etag = seen.text("/etag").or_else(|| seen.header("etag"));
        self.judge(ETAG, etag.is_some(), "none");
        let (met, text) = budget(&seen);
        self.judge_noting(BUDGET_HEADER, met, text);

        self.unknown_operation().await?;
        self.cores().await
    }

    async fn unknown_operation(&mut self) -> Result<(), CallError> {
        let path = format!(
            "/subscriptions/{}/providers/Microsoft.Compute/locations/{}/operations/{NO_OPERATION}",
            self.site.set.subscription(),
            self.start.set.location
        );
        let call = self.site.azure.call(Method::GET, &path, &[("api-version", API_VERSION)]);
        let seen = self.azure(BEFORE_READ, call).await?;
        self.judge_noting(UNKNOWN_OPERATION, seen.status == 404, seen.brief());
        Ok(())
    }

    async fn cores(&mut self) -> Result<(), CallError> {
        let path = format!(
            "/subscriptions/{}/providers/Microsoft.Compute/locations/{}/usages",
            self.site.set.subscription(),
            self.start.set.location
        );
        let call = self.site.azure.call(Method::GET, &path, &[("api-version", API_VERSION)]);
        let seen = self.azure(BEFORE_READ, call).await?;
        if seen.status == 403 {
            self.not_tried(CORES, "this credential may not read the region's usages");
            return Ok(());
        }
        let rows = seen.list().into_iter().flatten();
        let names: Vec<&str> = rows.filter_map(|row| row.pointer("/name/value")?.as_str()).collect();
        let found = names.iter().any(|name| name.eq_ignore_ascii_case("cores"));
        let some = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        self.judge(CORES, found, format!("{} with rows {some}", seen.brief()));
        Ok(())
    }

    /// Looks at the links between the pages of a list.
    pub(crate) fn links(&mut self, listing: &Listing) {
        for link in &listing.links {
            let host = poolkeeper_rest::Url::parse(link).ok();
            let host = host.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or("no host".into());
            self.judge(LINK_HOST, self.site.azure.follow(link).is_ok(), host);
        }
    }
}

pub(crate) fn is(seen: &Seen, status: u16, code: &str) -> bool {
    seen.status == status && seen.code() == Some(code)
}

fn budget(seen: &Seen) -> (bool, String) {
    let Some(text) = seen.header("x-ms-ratelimit-remaining-resource") else {
        return (false, "no such header".to_owned());
    };
    let fits = text.split(',').all(|policy| {
        let parts = policy.trim().strip_prefix("Microsoft.Compute/").and_then(|rest| rest.split_once(';'));
        parts.is_some_and(|(name, left)| !name.is_empty() && left.trim().parse::<u32>().is_ok())
    });
    (fits, text.to_owned())
}

/// The text of a field.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
