use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::controllers::{
    relations::Managed,
    stores::{Stores, Writers},
};

fn object<K: Kind>(name: &str, version: u64, spec: &Value) -> Guarded<K> {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "ci", "uid": format!("{name}-uid"),
            "resourceVersion": version.to_string(), "generation": version
        },
        "spec": spec
    }))
    .unwrap()
}

fn pool(name: &str, version: u64, schedule: Option<&str>) -> Guarded<AgentPool> {
    let schedule = schedule.map(|name| json!({"name": name}));
    let standby = json!({"agents": 0, "scheduleRef": schedule});
    let organization = json!({"url": "https://dev.azure.com/fabrikam"});
    object(
        name,
        version,
        &json!({"organization": organization, "poolName": name, "maxAgents": 3, "standby": standby}),
    )
}

fn binding(name: &str, version: u64, pool: &str) -> Guarded<ScaleSetBinding> {
    object(name, version, &json!({"poolRef": {"name": pool}, "scaleSet": {"resourceID": "/subscriptions/x"}}))
}

fn schedule(name: &str, version: u64) -> Guarded<StandbySchedule> {
    object(name, version, &json!({"manual": {"type": "AllWeek", "allWeek": {"agents": 1}}}))
}

fn list<K: Kind>(writer: &mut Writer<Guarded<K>>, objects: Vec<Guarded<K>>) -> Vec<Change<K>> {
    let store = writer.as_reader();
    let all = objects.into_iter().map(Event::InitApply);
    let events = std::iter::once(Event::Init).chain(all).chain([Event::InitDone]);
    events.flat_map(|event| absorb(writer, &store, &event)).collect()
}

/// Names with what became of each: `+` new, `~` changed, `-` gone.
fn words<K: Kind>(changes: &[Change<K>]) -> BTreeSet<String> {
    let sign = |change: &Change<K>| match (&change.old, &change.new) {
        (None, Some(_)) => '+',
        (Some(_), Some(_)) => '~',
        (Some(_), None) => '-',
        (None, None) => '?',
    };
    let name = |change: &Change<K>| change.meta().and_then(|meta| meta.name.clone()).unwrap();
    changes.iter().map(|change| format!("{}{}", sign(change), name(change))).collect()
}

fn set_of(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_list_read_again_wakes_only_what_differs_and_finds_what_is_gone() {
    let mut writers = Writers::new(None);
    let first = vec![schedule("a", 1), schedule("b", 1), schedule("c", 1)];
    assert_eq!(words(&list(&mut writers.schedules, first)), set_of(&["+a", "+b", "+c"]));
    let second = vec![schedule("a", 1), schedule("b", 2), schedule("d", 1)];
    assert_eq!(words(&list(&mut writers.schedules, second)), set_of(&["~b", "-c", "+d"]));
}

#[test]
fn the_store_has_a_change_before_anybody_hears_of_it() {
    let mut writers = Writers::new(None);
    list(&mut writers.pools, vec![]);
    let store = writers.set.pools.clone();
    let changes = absorb(&mut writers.pools, &store, &Event::Apply(pool("p", 1, None)));
    assert_eq!((words(&changes), store.len()), (set_of(&["+p"]), 1));
    let changes = absorb(&mut writers.pools, &store, &Event::Apply(pool("p", 2, None)));
    assert!(words(&changes).contains("~p") && changes[0].is_of_the_spec());
    let changes = absorb(&mut writers.pools, &store, &Event::Delete(pool("p", 3, None)));
    assert_eq!((words(&changes), store.len()), (set_of(&["-p"]), 0));
}

/// The objects of `woken` after a change, as `kind/name`.
fn woken<K: Managed>(set: &Set, change: &Change<K>) -> BTreeSet<String> {
    let (pools, mut pool_wakes) = Queue::new();
    let (bindings, mut binding_wakes) = Queue::new();
    let (schedules, mut schedule_wakes) = Queue::new();
    K::wake_others(change, "ci", set, &Queues { pools, bindings, schedules });
    let mut all = BTreeSet::new();
    while let Ok(wake) = pool_wakes.try_recv() {
        all.insert(format!("pool/{}", wake.name));
    }
    while let Ok(wake) = binding_wakes.try_recv() {
        all.insert(format!("binding/{}", wake.name));
    }
    while let Ok(wake) = schedule_wakes.try_recv() {
        all.insert(format!("schedule/{}", wake.name));
    }
    all
}

fn world() -> Set {
    let mut writers = Writers::new(None);
    list(&mut writers.pools, vec![pool("linux", 1, Some("office")), pool("windows", 1, None)]);
    list(
        &mut writers.bindings,
        vec![binding("l1", 1, "linux"), binding("l2", 1, "linux"), binding("w1", 1, "windows")],
    );
    list(&mut writers.schedules, vec![schedule("office", 1), schedule("night", 1)]);
    writers.set
}

fn change<K: 'static>(old: Option<Guarded<K>>, new: Option<Guarded<K>>) -> Change<K> {
    Change { old: old.map(Arc::new), new: new.map(Arc::new) }
}

#[test]
fn a_change_wakes_those_that_read_it() {
    let set = world();
    let moved = change(Some(pool("linux", 1, Some("office"))), Some(pool("linux", 2, None)));
    assert_eq!(
        woken(&set, &moved),
        set_of(&["binding/l1", "binding/l2", "schedule/night", "schedule/office"])
    );
    let mut with_status = pool("linux", 1, None);
    with_status.meta_mut().resource_version = Some("9".to_owned());
    let status_only = change(Some(pool("linux", 1, None)), Some(with_status));
    assert_eq!(woken(&set, &status_only), set_of(&["binding/l1", "binding/l2"]));
    assert!(
        woken(&set, &change(Some(pool("gone", 1, None)), None))
            .is_superset(&set_of(&["pool/linux", "pool/windows"]))
    );

    let bound = change(None, Some(binding("l1", 1, "linux")));
    assert_eq!(woken(&set, &bound), set_of(&["pool/linux"]));
    assert_eq!(
        woken(&set, &change(Some(binding("l3", 1, "linux")), None)),
        set_of(&["pool/linux", "binding/l1", "binding/l2"])
    );
    let unreadable = object("odd", 1, &json!({"poolRef": 3}));
    assert_eq!(
        woken::<ScaleSetBinding>(&set, &change(None, Some(unreadable))),
        set_of(&["pool/linux", "pool/windows"])
    );

    assert_eq!(
        woken(&set, &change(Some(schedule("office", 1)), Some(schedule("office", 2)))),
        set_of(&["pool/linux"])
    );
    assert_eq!(woken(&set, &change(Some(schedule("office", 2)), Some(schedule("office", 2)))), set_of(&[]));
    assert_eq!(woken(&set, &change(Some(schedule("office", 2)), None)), set_of(&["pool/linux"]));
}

#[test]
fn stores_answer_by_namespace_and_hide_what_cannot_be_read() {
    let (stores, mut writers) = Stores::new(&["ci".to_owned(), "other".to_owned()]);
    list(
        &mut writers[0].bindings,
        vec![binding("b", 1, "linux"), binding("a", 1, "linux"), object("odd", 1, &json!({}))],
    );
    let names = |pool: &str| stores.bindings_of("ci", pool).iter().map(|b| b.name_any()).collect::<Vec<_>>();
    assert_eq!((names("linux"), names("windows")), (vec!["a".to_owned(), "b".to_owned()], vec![]));
    assert_eq!(stores.unreadable_bindings_in("ci"), ["odd"]);
    assert!(
        stores.bindings_of("other", "linux").is_empty()
            && stores.bindings_of("unwatched", "linux").is_empty()
    );
    list(&mut writers[0].schedules, vec![schedule("good", 1), object("bad", 1, &json!({"boosts": 1}))]);
    assert!(stores.schedule("ci", "good").is_some_and(|found| found.is_ok()));
    assert!(stores.schedule("ci", "bad").is_some_and(|found| found.is_err()));
    assert!(stores.schedule("ci", "none").is_none());
}

#[test]
fn a_pass_waits_for_the_version_that_was_written() {
    let (stores, _writers) = Stores::new(&[]);
    let at = |version| pool("p", version, None).meta().clone();
    assert!(!stores.is_behind(&at(3)));
    stores.wrote(&at(7));
    stores.wrote(&at(5));
    assert!(stores.is_behind(&at(6)));
    assert!(!stores.is_behind(&at(7)));
    // Seen once: an older one can then only be a list that went back in time, which the watch does not do.
    stores.wrote(&at(9));
    stores.forget(&at(9));
    assert!(!stores.is_behind(&at(8)));
}
