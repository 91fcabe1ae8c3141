//! Facts of Azure about tags and etags.

use std::time::Duration;

use serde_json::json;

use crate::{
    CallError,
    fact::{IF_MATCH, TAGS_LIMIT, TAGS_REPLACE},
    trial::Trial,
};

/// A tag of this run.
const PROBE: &str = "poolkeeper-verify-probe";

/// Tags that a resource may have, and one more (limits of Azure Resource Manager).
const TOO_MANY: usize = 51;

impl<W: AsyncFn(Duration)> Trial<W> {
    pub(crate) async fn tags(&mut self) -> Result<(), CallError> {
        let before = self.set().await?;
        let tags = self.start.set.tags.clone();
        let mut more = tags.clone();
        more.insert(PROBE.to_owned(), "1".to_owned());

        let seen = self.patch(json!({"tags": more}), None).await?.must("PATCH of the tags")?;
        self.settle(&seen).await?;
        let after = self.set().await?;
        match (&before.etag, &after.etag) {
            (Some(old), Some(new)) if old != new => {
                let seen = self.patch(json!({"tags": more}), Some(old)).await?;
                self.judge_noting(IF_MATCH, seen.status == 412, seen.brief());
                if seen.is_success() {
                    self.settle(&seen).await?;
                }
            }
            (Some(_), Some(_)) => self.judge(IF_MATCH, false, "the same etag before and after a write"),
            _ => self.not_tried(IF_MATCH, "the set shows no etag"),
        }

        let mut too_many = tags.clone();
        for number in (0..).take_while(|number| *number < TOO_MANY) {
            if too_many.len() < TOO_MANY {
                too_many.insert(format!("poolkeeper-verify-{number:02}"), "1".to_owned());
            }
        }
        let seen = self.patch(json!({"tags": too_many}), None).await?;
        if seen.is_success() {
            self.settle(&seen).await?;
        }
        let written = self.set().await?.tags.len() >= TOO_MANY;
        self.judge_noting(TAGS_LIMIT, seen.status == 400 && !written, seen.brief());

        let seen = self.patch(json!({"tags": tags}), None).await?.must("PATCH of the tags")?;
        self.settle(&seen).await?;
        let after = self.set().await?.tags;
        let merged = after.contains_key(PROBE);
        self.judge(TAGS_REPLACE, !merged, "they stay: the body is merged into the tags");
        Ok(())
    }
}
