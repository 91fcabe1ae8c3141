//! Events on the objects of poolkeeper, for `kubectl describe` and `kubectl events`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use poolkeeper_clock::Clock;

use crate::{kubernetes, metrics::Metrics};

/// The API server refuses notes above 1,024 bytes.
const NOTE: usize = 1_000;
/// A note that repeats itself within this time says nothing new.
const QUIET: SignedDuration = SignedDuration::from_mins(5);
/// Notes remembered; each is about a kilobyte at most.
const REMEMBERED: usize = 4_096;
/// An event is not worth a longer wait in the middle of a pass.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// A person might have to act.
    pub warning: bool,
    /// In one word, from a closed list.
    pub reason: &'static str,
    /// What was done or tried, in one word.
    pub action: &'static str,
    /// For the person; cut at 1,000 bytes.
    pub message: String,
}

/// Publishes events; clones share what they remember.
///
/// kube's own recorder joins events by reason and keeps the first note of a series, so a second message within six
/// minutes would be lost: hence this one.
#[derive(Clone)]
pub struct Events {
    client: Client,
    instance: String,
    clock: Clock,
    metrics: Metrics,
    recent: Arc<Mutex<Recent>>,
}

impl Events {
    /// `instance` tells operators apart, such as the name of the pod.
    #[must_use]
    pub fn new(client: Client, instance: &str, clock: Clock, metrics: Metrics) -> Self {
        Self { client, instance: instance.to_owned(), clock, metrics, recent: Arc::default() }
    }

    /// Publishes a note, unless the object had the same one within 5 minutes. A failure is logged and forgotten: the
    /// next pass tries again.
    pub async fn publish(&self, about: &ObjectReference, note: Note) {
        let key = Key {
            uid: about.uid.clone().unwrap_or_default(),
            note: Note { message: cut(note.message), ..note },
        };
        if !self.recent().admit(key.clone(), self.clock.now()) {
            return;
        }
        let event = event(about, &key.note, &self.instance);
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        self.metrics.api_write("Event");
        if let Err(error) = kubernetes::within(PATIENCE, events.create(&PostParams::default(), &event)).await
        {
            self.recent().0.remove(&key);
            tracing::warn!(
                object = about.name,
                reason = key.note.reason,
                error = kubernetes::words(&error),
                "an event was not published"
            );
        }
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    uid: String,
    note: Note,
}

impl std::hash::Hash for Note {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.warning, self.reason, self.action, &self.message).hash(state);
    }
}

/// When each note was last published.
#[derive(Debug, Default)]
struct Recent(HashMap<Key, Timestamp>);

impl Recent {
    /// Whether the note is to be published now.
    fn admit(&mut self, key: Key, now: Timestamp) -> bool {
        let fresh = |at: &Timestamp| now.duration_since(*at) < QUIET;
        if self.0.get(&key).is_some_and(fresh) {
            return false;
        }
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, at| fresh(at));
        }
        if self.0.len() >= REMEMBERED {
            // Repeating a few notes is better than growing without end.
            self.0.clear();
        }
        self.0.insert(key, now);
        true
    }
}

fn event(about: &ObjectReference, note: &Note, instance: &str) -> Event {
    // Wall time, also with a faster clock: `kubectl events` prints the age by its own.
    let now = Clock::REAL.now();
    let name = about.name.as_deref().unwrap_or_default();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{:x}", now.as_nanosecond())),
            namespace: about.namespace.clone(),
            ..ObjectMeta::default()
        },
        action: Some(note.action.to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(note.message.clone()),
        reason: Some(note.reason.to_owned()),
        regarding: Some(about.clone()),
        reporting_controller: Some(kubernetes::MANAGER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        ..Event::default()
    }
}

fn cut(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(NOTE));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(message: &str) -> Key {
        let note = Note { warning: false, reason: "Created", action: "Create", message: message.to_owned() };
        Key { uid: "u".to_owned(), note }
    }

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn the_same_note_comes_again_after_five_minutes_and_another_at_once() {
        let mut recent = Recent::default();
        assert!(recent.admit(key("2 VMs"), minute(0)));
        assert!(!recent.admit(key("2 VMs"), minute(4)));
        assert!(recent.admit(key("3 VMs"), minute(4)));
        assert!(recent.admit(key("2 VMs"), minute(5)));
        assert!(!recent.admit(key("2 VMs"), minute(9)));
        assert!(recent.admit(Key { uid: "other".to_owned(), ..key("2 VMs") }, minute(9)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut recent = Recent::default();
        for number in 0..REMEMBERED {
            assert!(recent.admit(key(&number.to_string()), minute(0)));
        }
        assert!(recent.admit(key("one more"), minute(1)));
        assert!(recent.0.len() <= REMEMBERED);
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let text = cut("ä".repeat(600));
        assert_eq!(text.len(), NOTE);
        assert_eq!(cut(format!("x{text}")).len(), NOTE - 1);
    }
}
