//! Writes to the scale set, and the operations that they begin.

use std::time::Duration;

use poolkeeper_rest::Method;
use serde_json::{Value, json};

use crate::{
    CallError,
    call::{Call, Seen},
    fact::{ACTION_ANSWER, PATCH_ANSWER},
    machines::{Listing, SetView},
    trial::{BEFORE_LIST, BEFORE_PAGE, BEFORE_POLL, BEFORE_READ, BEFORE_WRITE, Trial},
};

/// Polls of an operation before it is given up: half an hour.
const MOST_POLLS: u32 = 120;

/// Reads of a capacity that is higher than the list is long, before it is lowered: two minutes. Instances that are
/// still to be listed must not make Azure choose a victim.
const STEADY: u32 = 8;

impl<W: AsyncFn(Duration)> Trial<W> {
    /// A PATCH of the scale set, and whether it is answered as PATCH is.
    pub(crate) async fn patch(&mut self, body: Value, etag: Option<&str>) -> Result<Seen, CallError> {
        let call = self.site.of_set(Method::PATCH, "").json(body);
        let call = match etag {
            Some(etag) => call.header("if-match", etag),
            None => call,
        };
        let seen = self.azure(BEFORE_WRITE, call).await?;
        if seen.is_success() {
            let polled = seen.header("azure-asyncoperation").is_some();
            let without = if polled { "" } else { " without Azure-AsyncOperation" };
            self.judge(PATCH_ANSWER, seen.status == 200 && polled, format!("{}{without}", seen.status));
        }
        Ok(seen)
    }

    /// A deletion or reimage, and whether it is answered as actions are.
    pub(crate) async fn action(&mut self, before: Duration, call: Call) -> Result<Seen, CallError> {
        let seen = self.azure(before, call).await?;
        if seen.is_success() {
            let polled = seen.header("azure-asyncoperation").is_some() || seen.header("location").is_some();
            let without = if polled { "" } else { " without an address to poll" };
            self.judge(ACTION_ANSWER, seen.status == 202 && polled, format!("{}{without}", seen.status));
        }
        Ok(seen)
    }

    /// Waits until the operation that an answer began has ended.
    ///
    /// # Errors
    /// Where it fails, or does not end.
    pub(crate) async fn settle(&mut self, begun: &Seen) -> Result<(), CallError> {
        let Some(url) = begun.header("azure-asyncoperation").or_else(|| begun.header("location")) else {
            return self.settle_set().await;
        };
        for _ in 0..MOST_POLLS {
            let seen = self.azure(BEFORE_POLL, self.site.azure.follow(url)?).await?;
            let state = seen.text("/status").unwrap_or_default().to_lowercase();
            match (seen.status, state.as_str()) {
                (500..=599 | 202, _) => {}
                // An operation that Azure has forgotten ended before.
                (200, "succeeded") | (204, _) | (404, _) => {
                    self.ended = Some(url.to_owned());
                    return Ok(());
                }
                (200, "failed" | "canceled") | (400..=499, _) => {
                    let seen = format!("{state} {}", seen.full());
                    return Err(CallError::Answer { what: "an operation", seen });
                }
                _ => {}
            }
        }
        Err(CallError::Answer { what: "an operation", seen: "with no end in half an hour".to_owned() })
    }

    async fn settle_set(&mut self) -> Result<(), CallError> {
        for _ in 0..MOST_POLLS {
            self.wait(BEFORE_POLL).await;
            let state = self.set().await?.provisioning;
            if ["succeeded", "failed"].iter().any(|end| state.eq_ignore_ascii_case(end)) {
                return Ok(());
            }
        }
        Err(CallError::Answer { what: "a write", seen: "and had no end in half an hour".to_owned() })
    }

    /// The scale set now.
    pub(crate) async fn set(&self) -> Result<SetView, CallError> {
        let seen = self.azure(BEFORE_READ, self.site.of_set(Method::GET, "")).await?;
        Ok(SetView::of(&seen.must("GET of the scale set")?))
    }

    /// The instances now.
    pub(crate) async fn list(&mut self, before: Duration) -> Result<Listing, CallError> {
        self.wait(before).await;
        let send = async |call| self.azure(BEFORE_PAGE, call).await;
        let listing = self.site.list(self.start.set.flexible, send).await?;
        self.links(&listing);
        Ok(listing)
    }

    /// Sets a capacity that is not the number of instances, once it has been so for a while.
    pub(crate) async fn level(&mut self) -> Result<(), CallError> {
        for _ in 0..STEADY {
            let listed = self.list(BEFORE_LIST).await?.vms.len();
            if self.set().await?.capacity == u64::try_from(listed).unwrap_or(u64::MAX) {
                return Ok(());
            }
            self.wait(BEFORE_POLL).await;
        }
        let listed = self.list(BEFORE_LIST).await?.vms.len();
        let mut sku = self.set().await?.sku;
        if let Some(sku) = sku.as_object_mut() {
            sku.insert("capacity".to_owned(), json!(listed));
        }
        let seen = self.patch(json!({"sku": sku}), None).await?.must("PATCH of the capacity")?;
        self.settle(&seen).await
    }
}
