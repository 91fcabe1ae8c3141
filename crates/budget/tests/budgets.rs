//! The rules, one by one, in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers outside of #[test]")]

use jiff::{SignedDuration, Timestamp};
use poolkeeper_budget::{Budgets, Call, OrganizationCall, Scope, Target, Wait};
use std::collections::{BTreeMap, BTreeSet};

fn at(seconds: f64) -> Timestamp {
    "2026-01-05T08:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs_f64(seconds)
}

fn set(name: &str) -> Target {
    Target {
        set: name.to_owned(),
        subscription: "fabrikam".to_owned(),
        location: Some("westeurope".to_owned()),
        ..Target::default()
    }
}

fn many(count: usize) -> Vec<Target> {
    (0..count).map(|index| set(&format!("agents-{index}"))).collect()
}

fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// Asks for each call at its time, and again whenever it may come back. Who was served when, until `end`.
fn served(
    arrivals: impl IntoIterator<Item = Timestamp>,
    end: Timestamp,
    take: impl Fn(usize, Timestamp) -> Result<(), Wait>,
) -> BTreeMap<usize, Timestamp> {
    let mut queue: BTreeSet<_> = arrivals.into_iter().enumerate().map(|(who, at)| (at, who)).collect();
    let mut served = BTreeMap::new();
    while let Some((now, who)) = queue.pop_first().filter(|(now, _)| *now <= end) {
        match take(who, now) {
            Ok(()) => drop(served.insert(who, now)),
            Err(wait) => drop(queue.insert((wait.until, who))),
        }
    }
    served
}

fn highest(budgets: &Budgets, bucket: &str, scope: Scope) -> u32 {
    let usage = budgets.usage(at(0.0));
    usage.iter().find(|row| row.bucket == bucket && row.scope == scope).unwrap().highest
}

#[test]
fn a_small_pool_waits_for_nothing() {
    let (budgets, who) = (Budgets::default(), set("agents"));
    for call in [Call::GetScaleSet, Call::ListInstances, Call::GetUsages, Call::GetAutoscale, Call::GetSubnet]
    {
        budgets.take(call, &who, at(0.0)).unwrap();
    }
    // The claim, and the first growth; then a list every 10 s.
    budgets.take(Call::UpdateScaleSet, &who, at(0.0)).unwrap();
    budgets.take(Call::UpdateScaleSet, &who, at(0.0)).unwrap();
    budgets.take(Call::DeleteInstances, &who, at(0.0)).unwrap();
    for turn in 1..=30 {
        budgets.take(Call::ListInstances, &who, at(f64::from(turn) * 10.0)).unwrap();
    }
}

#[test]
fn four_writes_a_minute_are_three_for_us() {
    let (budgets, who) = (Budgets::default(), set("agents"));
    for _ in 0..3 {
        budgets.take(Call::UpdateScaleSet, &who, at(0.0)).unwrap();
    }
    let wait = budgets.take(Call::UpdateScaleSet, &who, at(1.0)).unwrap_err();
    assert_eq!(wait, Wait { until: at(65.001), scope: Scope::Set, throttled: false });
    assert_eq!(budgets.take(Call::UpdateScaleSet, &who, at(40.0)), Err(wait), "too early changes nothing");
    budgets.take(Call::UpdateScaleSet, &set("AGENTS-2"), at(40.0)).unwrap();
    budgets.take(Call::UpdateScaleSet, &who, at(65.001)).unwrap();
}

#[test]
fn growth_never_waits_for_reimages() {
    let (budgets, who) = (Budgets::default(), set("agents"));
    for _ in 0..2 {
        budgets.take(Call::ReimageInstances, &who, at(0.0)).unwrap();
    }
    budgets.take(Call::ReimageInstances, &who, at(0.0)).unwrap_err();
    budgets.take(Call::UpdateScaleSet, &who, at(0.0)).unwrap();
}

#[test]
fn all_sets_are_served_in_turn() {
    let budgets = Budgets::default();
    let sets = many(300);
    let mut waiting = Vec::new();
    let mut first = 0;
    for who in &sets {
        match budgets.take(Call::ListInstances, who, at(0.0)) {
            Ok(()) => first += 1,
            Err(wait) => waiting.push((wait.until, who)),
        }
    }
    assert_eq!(first, 23);
    assert!(waiting.is_sorted_by_key(|(until, _)| *until), "who came first is served first");
    // Those who were served ask again at once, and take nobody's slot.
    for who in &sets[..first] {
        let again = budgets.take(Call::ListInstances, who, at(1.0)).unwrap_err();
        assert!(again.until >= waiting.last().unwrap().0);
    }
    for (until, who) in waiting {
        budgets.take(Call::ListInstances, who, until).unwrap();
        assert!(until <= at(100.0));
    }
    assert_eq!(highest(&budgets, "scale-set-list", Scope::Subscription), 270);
}

#[test]
fn a_slot_that_nobody_takes_up_lapses() {
    for (late, is_held) in [(59.0, true), (66.0, false)] {
        let (budgets, who) = (Budgets::default(), set("agents"));
        let update = |who: &Target, now| budgets.take(Call::UpdateScaleSet, who, now).is_ok();
        for _ in 0..3 {
            assert!(update(&who, at(0.0)));
        }
        let until = budgets.take(Call::UpdateScaleSet, &who, at(1.0)).unwrap_err().until;
        // Three others want to write to the same set before the holder is back.
        let back = until + SignedDuration::from_secs_f64(late);
        let rivals = ["a", "b", "c"].map(|name| Target { machine: Some(name.to_owned()), ..who.clone() });
        assert_eq!(rivals.map(|rival| update(&rival, back)), [true, true, !is_held]);
        assert_eq!(update(&who, back), is_held);
    }
}

#[test]
fn late_holders_never_break_the_minute() {
    let budgets = Budgets::default();
    let sets = many(600);
    let first =
        served([at(0.0); 600], at(0.0), |who, now| budgets.take(Call::ListInstances, &sets[who], now));
    assert_eq!(first.len(), 23);
    // Nobody comes back for a minute and a half; then all do, those whose turn it was and those whose turn comes.
    let all = served([at(90.0); 577], at(300.0), |who, now| {
        budgets.take(Call::ListInstances, &sets[who + 23], now)
    });
    let at_once = all.values().filter(|served| **served == at(90.0)).count();
    assert!((200..=270).contains(&at_once), "{at_once} come through at once");
    assert_eq!(all.len(), 577);
    assert!(*all.values().max().unwrap() < at(240.0));
    assert_eq!(highest(&budgets, "scale-set-list", Scope::Subscription), 270);
}

#[test]
fn the_last_tenth_is_for_deletions() {
    // Compute allows 175 deletions and 500 updates a minute: 131 and 375 of ours, of which 337 may be no deletions. The
    // front door allows 600 writes of both: 450 of ours.
    let budgets = Budgets::default();
    let sets = many(900);
    let growth = served([at(0.0); 900], at(64.0), |who, now| {
        let location = Some(if who % 2 == 0 { "westeurope" } else { "northeurope" }.to_owned());
        budgets.take(Call::UpdateScaleSet, &Target { location, ..sets[who].clone() }, now)
    });
    assert_eq!(growth.len(), 405);
    // While hundreds wait, a tenth goes to deletions at once.
    let deletions =
        sets.iter().filter(|who| budgets.take(Call::DeleteInstances, who, at(58.0)).is_ok()).count();
    assert_eq!(deletions, 45);

    let budgets = Budgets::default();
    let growth =
        served([at(0.0); 900], at(64.0), |who, now| budgets.take(Call::UpdateScaleSet, &sets[who], now));
    assert_eq!(growth.len(), 337);
}

#[test]
fn throttling_stops_its_scope_and_nothing_else() {
    let budgets = Budgets::default();
    let (one, other) = (set("agents-1"), set("agents-2"));
    let machine = |name: &str| Target { machine: Some(name.to_owned()), ..one.clone() };
    budgets.note_throttled(Scope::Set, &one, secs(30), at(0.0));
    let wait = budgets.take(Call::ListInstances, &one, at(1.0)).unwrap_err();
    assert_eq!(wait, Wait { until: at(30.0), scope: Scope::Set, throttled: true });
    budgets.take(Call::ListInstances, &other, at(1.0)).unwrap();
    assert_eq!(budgets.take(Call::GetInstance, &machine("3"), at(1.0)).unwrap_err().until, at(30.0));
    budgets.take(Call::ListInstances, &one, at(30.0)).unwrap();

    budgets.note_throttled(Scope::Machine, &machine("3"), secs(30), at(40.0));
    assert_eq!(budgets.take(Call::GetInstance, &machine("3"), at(41.0)).unwrap_err().scope, Scope::Machine);
    budgets.take(Call::GetInstance, &machine("4"), at(41.0)).unwrap();
    budgets.take(Call::ListInstances, &one, at(41.0)).unwrap();

    let operation = Target { operation: Some("op-1".to_owned()), ..one.clone() };
    budgets.note_throttled(Scope::Operation, &operation, secs(30), at(80.0));
    let wait = budgets.take(Call::PollOperation, &operation, at(81.0)).unwrap_err();
    assert_eq!(wait, Wait { until: at(110.0), scope: Scope::Operation, throttled: true });

    budgets.note_throttled(Scope::Subscription, &one, secs(30), at(120.0));
    let wait = budgets.take(Call::ListInstances, &other, at(121.0)).unwrap_err();
    assert_eq!(wait, Wait { until: at(150.0), scope: Scope::Subscription, throttled: true });
    let elsewhere = Target { location: Some("northeurope".to_owned()), ..other.clone() };
    budgets.take(Call::ListInstances, &elsewhere, at(121.0)).unwrap();
    let whole = Target { location: None, ..one.clone() };
    budgets.note_throttled(Scope::Subscription, &whole, secs(60), at(121.0));
    assert_eq!(budgets.take(Call::ListInstances, &elsewhere, at(122.0)).unwrap_err().until, at(181.0));

    // A senseless one stops nothing for good.
    budgets.note_throttled(Scope::Set, &one, SignedDuration::MAX, at(200.0));
    assert_eq!(budgets.take(Call::ListInstances, &one, at(201.0)).unwrap_err().until, at(86_600.0));
}

#[test]
fn who_waits_after_throttling_is_served_in_turn() {
    let budgets = Budgets::default();
    let sets = many(100);
    budgets.note_throttled(Scope::Subscription, &sets[0], secs(30), at(0.0));
    let untils: Vec<_> =
        sets.iter().map(|who| budgets.take(Call::ListInstances, who, at(1.0)).unwrap_err().until).collect();
    assert!(untils.is_sorted() && untils[0] == at(30.0) && untils[99] > at(45.0));
    for (who, until) in sets.iter().zip(untils) {
        budgets.take(Call::ListInstances, who, until).unwrap();
    }
}

#[test]
fn a_bucket_that_others_empty_gives_half() {
    let who = set("agents");
    let updates = |budgets: &Budgets, now| {
        many(100).iter().filter(|who| budgets.take(Call::ListInstances, who, now).is_ok()).count()
    };
    let noted = |policy: &str, left| {
        let budgets = Budgets::default();
        budgets.note_remaining(Call::ListInstances, &who, policy, left, at(0.0));
        updates(&budgets, at(1.0))
    };
    let policy = "Microsoft.Compute/HighCostGetVMScaleSetSubscriptionMaximum";
    assert_eq!(noted(policy, 270), 23, "a quarter of 1080 is no alarm");
    assert_eq!(noted(policy, 269), 12);
    assert_eq!(noted("Microsoft.Compute/HighCostGetVMScaleSet3Min", 1), 23, "of unknown size");
    assert_eq!(
        noted("Microsoft.Compute/VMScaleSetBatchedVMRequestsSubscriptionMaximum", 1),
        23,
        "counts VMs"
    );
    assert_eq!(noted("x-ms-ratelimit-remaining-subscription-reads", 11_999), 23, "of another size");

    let budgets = Budgets::default();
    budgets.note_remaining(Call::ListInstances, &who, policy, 1, at(0.0));
    budgets.note_remaining(Call::ListInstances, &who, policy, 900, at(0.5));
    assert_eq!(updates(&budgets, at(1.0)), 23, "until it says otherwise");

    // Of one set's twelve reads two are left: it is the one that gives four instead of nine.
    let budgets = Budgets::default();
    let policy = "Microsoft.Compute/GetVMScaleSetResource";
    budgets.note_remaining(Call::GetScaleSet, &who, policy, 2, at(0.0));
    let reads =
        |who: &Target| (0..20).filter(|_| budgets.take(Call::GetScaleSet, who, at(1.0)).is_ok()).count();
    assert_eq!((reads(&who), reads(&set("agents-2"))), (4, 9));
}

#[test]
fn an_organization_has_its_own_budget() {
    let budgets = Budgets::new(120);
    let take =
        |call, who: usize, now| budgets.take_organization("Contoso", call, &format!("pool-{who}"), now);
    let reads = served([at(0.0); 300], at(64.0), |who, now| take(OrganizationCall::Read, who, now));
    assert_eq!(reads.len(), 108, "reads leave a tenth");
    let removals = served([at(58.0); 20], at(59.0), |who, now| take(OrganizationCall::Delete, who, now));
    assert_eq!(removals.len(), 12, "to removals");
    let row = &budgets.usage(at(60.0))[0];
    assert_eq!((row.scope, row.owner.as_deref(), row.limit), (Scope::Organization, Some("contoso"), 120));

    budgets.note_organization_throttled("fabrikam", secs(20), at(60.0));
    let wait = budgets.take_organization("fabrikam", OrganizationCall::Delete, "pool", at(61.0)).unwrap_err();
    assert_eq!(wait, Wait { until: at(80.0), scope: Scope::Organization, throttled: true });
}

#[test]
fn reads_slow_down_so_that_the_rest_lasts() {
    let budgets = Budgets::default();
    let read = |caller: &str, now| {
        budgets.take_organization("contoso", OrganizationCall::Read, caller, at(now)).is_ok()
    };
    // 200 calls cost 160 of 200 units; the other 40 buy 50 calls in the 150 s to the reset: 20 a minute.
    for turn in 0..200 {
        assert!(read("pool", f64::from(turn)));
    }
    budgets.note_rate_limit("contoso", 200, 40, at(350.0), at(200.0));
    let reads = (0..1500).filter(|turn| read("pool", 200.0 + f64::from(*turn) * 0.1)).count();
    assert!((25..=50).contains(&reads), "{reads}");
    let removal = budgets.take_organization("contoso", OrganizationCall::Delete, "pool", at(210.0));
    assert_eq!(removal, Ok(()));

    budgets.note_rate_limit("contoso", 200, 120, at(600.0), at(340.0));
    assert_eq!((0..9).filter(|turn| read(&turn.to_string(), 345.0)).count(), 9, "there is plenty again");
}
