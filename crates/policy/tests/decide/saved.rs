//! VMs that are kept for investigation.

use poolkeeper_policy::{
    Action, AgentNow, Answer, Binding, Call, Cause, DeletionPolicy, Existing, HoldReason, LimitedBy, Mode,
    Next, Notice, Pool, PoolReason, Protocol, Provisioning, Removal, SetNow, State, Truth, decide,
};
use rstest::rstest;

use crate::support::{
    Machine, Passes, Scene, WEEK, binding, condition, deleted, disabled, first_look, grown, held, machine,
    minutes, monday, name, named, pool, saved, scene, seconds, standby, stateful, states, unmarked,
};

/// Up to 40 agents, none on standby, of which so many are saved when they fail to start.
fn saving(most: u32) -> Pool {
    let mut pool = pool();
    (pool.max_agents, pool.save_for_investigation) = (40, most);
    pool
}

/// So many machines that never come online, the first of them saved already.
fn duds(count: usize, marked: usize) -> Scene {
    let machines = (0..count).map(|number| machine(&format!("m{number:02}")));
    (0..marked).fold(scene(machines), |scene, number| scene.saved("d4", &format!("vm-m{number:02}")))
}

#[rstest]
#[case::the_option_is_off(0, 1, 0, &[], 1)]
#[case::the_first(1, 1, 0, &["m00"], 0)]
#[case::only_one(1, 3, 0, &["m00"], 2)]
#[case::one_is_saved_already(1, 2, 1, &[], 1)]
#[case::as_many_as_are_left(3, 5, 1, &["m01", "m02"], 2)]
#[case::at_most_thirty_of_a_scale_set(100, 32, 29, &["m29"], 2)]
fn what_fails_to_start_is_saved(
    #[case] most: u32,
    #[case] count: usize,
    #[case] marked: usize,
    #[case] expected: &[&str],
    #[case] removed: usize,
) {
    let mut passes = Passes::of(&saving(most));
    let scene = duds(count, marked);
    assert!(passes.watch(&scene, minutes(10) - seconds(10)).actions.is_empty());
    passes.wait(seconds(10));
    let plan = passes.look(&scene);
    let expected: Vec<_> = expected.iter().map(|name| (*name, Cause::FailedToStart)).collect();
    assert_eq!((saved(&plan), deleted(&plan).len(), grown(&plan)), (expected.clone(), removed, 0));
    // Each is told once, with what becomes of it.
    let told = |notice: &Notice| matches!(notice, Notice::FailedToStart { saved: true, .. });
    let kept = plan.notices.iter().filter(|notice| told(notice)).count();
    assert_eq!((plan.notices.len(), kept), (count - marked, expected.len()));
    passes.wait(seconds(10));
    assert!(passes.look(&scene).notices.is_empty());
}

#[rstest]
#[case::its_creation_failed(machine("a").provisioning(Provisioning::Failed).off(), 0, Cause::CreationFailed)]
#[case::it_was_stopped(machine("a").off(), 0, Cause::Stopped)]
#[case::it_went_offline(machine("a").offline(), 5, Cause::WentOffline)]
fn only_what_failed_to_start_is_saved(#[case] then: Machine, #[case] wait: i64, #[case] expected: Cause) {
    let mut pool = saving(5);
    pool.lifecycle = stateful(WEEK);
    let mut passes = Passes::of(&pool);
    let _ = passes.look(&scene([machine("a").idle()]));
    let mut plan = passes.look(&scene([then.clone()]));
    for _ in 0..wait {
        assert!(plan.actions.is_empty());
        passes.wait(minutes(1));
        plan = passes.look(&scene([then.clone()]));
    }
    assert_eq!((saved(&plan), deleted(&plan)), (vec![], vec![("a", expected)]));
}

#[rstest]
#[case::without_an_agent(machine("a"))]
#[case::offline(machine("a").offline())]
#[case::disabled(machine("a").disabled())]
#[case::used(machine("a").used().disabled())]
#[case::stopped(machine("a").off())]
#[case::failed(machine("a").provisioning(Provisioning::Failed).off())]
#[case::being_changed(machine("a").provisioning(Provisioning::Updating))]
fn a_saved_one_is_shielded_from_every_removal(
    #[case] machine: Machine,
    #[values("excess", "lifetime", "cordon", "existing", "drain", "drain all")] against: &str,
) {
    let mut pool = saving(1);
    pool.idle_delay = minutes(0);
    match against {
        "lifetime" => pool.lifecycle = stateful(1),
        "cordon" => pool.bindings[0].max_agents = Some(0),
        "existing" => {
            let replaced =
                Binding { existing: Existing::Replace, claimed_at: Some(monday()), ..binding("d4") };
            pool.bindings = vec![replaced];
        }
        "drain" => pool.verbs.drain = named(&["a"]),
        "drain all" => pool.verbs.drain = named(&["*"]),
        _ => {}
    }
    let mut passes = Passes::of(&pool);
    let scene = scene([machine]).saved("d4", "vm-a");
    for _ in 0..12 {
        let plan = passes.look(&scene);
        assert_eq!((states(&plan), plan.actions.len(), plan.counts.saved), (vec![State::Saved], 0, 1));
        assert_eq!((plan.saved.len(), plan.saved[0].at, plan.existing.len()), (1, Some(monday()), 0));
        passes.wait(minutes(1));
    }
}

#[test]
fn a_saved_one_that_takes_jobs_is_kept_from_them() {
    let plan = first_look(&saving(1), &scene([machine("a").idle()]).saved("d4", "vm-a"));
    assert_eq!((states(&plan), disabled(&plan)), (vec![State::Saved], vec![("a", Cause::FailedToStart)]));
    let busy = first_look(&saving(1), &scene([machine("a").busy()]).saved("d4", "vm-a"));
    assert_eq!((states(&busy), disabled(&busy)), (vec![State::Busy], vec![("a", Cause::FailedToStart)]));
    // Its job is counted, and it is saved again after it.
    assert_eq!((busy.counts.busy, busy.saved.len()), (1, 1));
}

#[rstest]
#[case::by_the_pools_deletion(true, false, "", Some(Cause::PoolDeleted))]
#[case::by_its_bindings_deletion(false, true, "", Some(Cause::BindingLeaves))]
#[case::by_its_name(false, false, "a", Some(Cause::Released))]
#[case::by_its_id(false, false, "vm-a", Some(Cause::Released))]
#[case::with_all(false, false, "*", Some(Cause::Released))]
#[case::not_by_anothers_name(false, false, "b", None)]
fn a_saved_one_is_released(
    #[case] pool_goes: bool,
    #[case] binding_goes: bool,
    #[case] verb: &str,
    #[case] expected: Option<Cause>,
) {
    let mut pool = saving(1);
    pool.deletion = pool_goes.then_some(DeletionPolicy::Drain);
    pool.bindings[0].draining = binding_goes;
    pool.verbs.release_saved = named(&[verb]);
    let plan = first_look(&pool, &scene([machine("a").offline()]).saved("d4", "vm-a"));
    assert_eq!(deleted(&plan).first().map(|(_, cause)| *cause), expected);
    // An online one is disabled first, and settles.
    let mut passes = Passes::of(&pool);
    let online = passes.look(&scene([machine("a").idle()]).saved("d4", "vm-a"));
    let kept = expected.unwrap_or(Cause::FailedToStart);
    assert_eq!((deleted(&online).len(), disabled(&online)), (0, vec![("a", kept)]));
}

#[test]
fn a_mark_lasts_until_its_vm_is_gone() {
    let mut pool = saving(1);
    pool.verbs.release_saved = named(&["a"]);
    let mut passes = Passes::of(&pool);
    let marked = |machines: Vec<Machine>| scene(machines).saved("d4", "vm-a");
    let _ = passes.look(&marked(vec![machine("a").offline()]));
    passes.accepted();
    passes.wait(seconds(10));
    let going = passes.look(&marked(vec![machine("a").provisioning(Provisioning::Deleting)]));
    assert_eq!((states(&going), going.saved.len(), unmarked(&going).len()), (vec![State::Deleting], 0, 0));
    passes.wait(minutes(1));
    let gone = passes.look(&marked(vec![]));
    assert_eq!(unmarked(&gone), ["vm-a"]);
    // Until the tags are read anew, once.
    passes.wait(seconds(10));
    assert!(passes.look(&marked(vec![])).actions.is_empty());
    passes.wait(minutes(1));
    assert_eq!(unmarked(&passes.look(&marked(vec![]))), ["vm-a"]);
    assert!(passes.look(&scene([])).actions.is_empty());
}

#[test]
fn a_mark_is_not_forgotten_by_an_old_list_nor_while_a_delete_is_on_its_way() {
    let passes = Passes::of(&saving(1));
    let mut seen = scene([]).saved("d4", "vm-a").seen(passes.now);
    let set = seen.sets.get_mut(&name("d4")).unwrap();
    let old = passes.now.checked_sub(seconds(13)).unwrap();
    set.instances = poolkeeper_policy::Seen::Fresh { value: Vec::new(), at: old };
    assert!(decide(&passes.pool, &seen, &passes.memory, passes.now).actions.is_empty());
    let mut passes = Passes::of(&saving(1));
    passes.pool.verbs.release_saved = named(&["a"]);
    let _ = passes.look(&scene([machine("a").offline()]).saved("d4", "vm-a"));
    // Azure has not confirmed it, and its list has lost the VM for a moment.
    let mut missing = scene([]).saved("d4", "vm-a").seen(passes.now);
    let set = missing.sets.get_mut(&name("d4")).unwrap();
    crate::support::scene::lose(&mut set.instances);
    assert!(decide(&passes.pool, &missing, &passes.memory, passes.now).actions.is_empty());
}

#[test]
fn who_is_being_marked_is_saved_already_and_nobody_takes_its_place() {
    let mut passes = Passes::of(&saving(1));
    let dud = scene([machine("b")]);
    let plan = passes.watch(&dud, minutes(10));
    assert_eq!(saved(&plan), [("b", Cause::FailedToStart)]);
    // The tags are read again within a minute.
    passes.wait(seconds(10));
    let plan = passes.look(&dud);
    assert_eq!((states(&plan), plan.actions.len(), plan.saved[0].at), (vec![State::Saved], 0, None));
    // The write was refused, so it is tried again.
    passes.wait(seconds(30));
    assert_eq!(saved(&passes.look(&dud)), [("b", Cause::FailedToStart)]);
    passes.wait(seconds(40));
    let marked = dud.saved("d4", "vm-b");
    let plan = passes.look(&marked);
    assert_eq!(
        (states(&plan), plan.actions.len(), plan.saved[0].at),
        (vec![State::Saved], 0, Some(monday()))
    );
    // Another one that fails is not saved besides.
    let both = scene([machine("a"), machine("b")]).saved("d4", "vm-b");
    let plan = passes.watch(&both, minutes(10));
    assert_eq!((saved(&plan), deleted(&plan)), (vec![], vec![("a", Cause::FailedToStart)]));
}

#[rstest]
#[case::without_saved_ones_it_would_fit(4, 2, 1, LimitedBy::SavedAgents, 2)]
#[case::it_would_not_fit_either(4, 5, 1, LimitedBy::MaxAgents, 3)]
#[case::it_fits(4, 3, 1, LimitedBy::Nothing, 3)]
fn saved_ones_take_room(
    #[case] max: u32,
    #[case] wanted: u32,
    #[case] marked: usize,
    #[case] limit: LimitedBy,
    #[case] expected: u32,
) {
    let mut pool = standby(wanted);
    pool.max_agents = max;
    let others = if limit == LimitedBy::SavedAgents { 2 } else { 0 };
    // Disabled ones take room too, and are no capacity.
    let taken = (0..others).map(|number| machine(&format!("x{number}")).disabled());
    let mut scene = duds(marked, marked);
    scene.machines.extend(taken);
    let plan = first_look(&pool, &scene);
    assert_eq!(
        (plan.decision.limited_by, plan.counts.total()),
        (limit, u32::try_from(marked).unwrap() + others)
    );
    let expected = if limit == LimitedBy::SavedAgents { 1 } else { expected };
    assert_eq!(grown(&plan), expected);
    if limit == LimitedBy::SavedAgents {
        let (truth, reason, message) = condition(&plan, "CapacityLimited").unwrap();
        assert_eq!((truth, reason), (Truth::True, PoolReason::AtMaximum));
        assert!(message.contains("1 are saved") && message.contains("release-saved"), "{message}");
    }
}

#[rstest]
#[case::paused(Mode::Paused, false, Some(HoldReason::Paused))]
#[case::claimed_by_another(Mode::Active, true, Some(HoldReason::ClaimLost))]
#[case::only_observed(Mode::Observe, false, None)]
fn saving_is_held_like_a_removal(
    #[case] mode: Mode,
    #[case] blocked: bool,
    #[case] expected: Option<HoldReason>,
) {
    let mut pool = saving(1);
    pool.mode = mode;
    let mut passes = Passes::of(&pool);
    let dud = if blocked { duds(1, 0).blocked("d4", false) } else { duds(1, 0) };
    let plan = passes.watch(&dud, minutes(10));
    assert_eq!((plan.actions.len(), held(&plan)), (0, expected.into_iter().collect()));
    let observed: Vec<_> = plan.observed.iter().map(|action| matches!(action, Action::Save { .. })).collect();
    assert_eq!(observed, if mode == Mode::Observe { vec![true] } else { vec![] });
}

#[test]
fn where_tags_are_unknown_nobody_is_saved_or_removed_for_it() {
    let mut pool = saving(1);
    pool.bindings.push(binding("spot"));
    let mut passes = Passes::of(&pool);
    let dud = duds(1, 0).set("spot");
    let _ = passes.watch(&dud, minutes(10) - seconds(10));
    passes.wait(seconds(10));
    let mut seen = dud.seen(passes.now);
    crate::support::scene::lose_all(&mut seen.sets.get_mut(&name("spot")).unwrap().scale_set);
    assert!(decide(&passes.pool, &seen, &passes.memory, passes.now).actions.is_empty());
    assert_eq!(saved(&passes.look(&dud)).len(), 1);
}

/// An agent as it is read right before its VM is saved.
fn read(enabled: bool, online: bool, assigned: bool) -> AgentNow {
    AgentNow { name: "A".to_owned(), enabled, online, assigned }
}

#[rstest]
#[case::offline(read(true, false, false), Some(true))]
#[case::offline_and_disabled(read(false, false, false), Some(false))]
#[case::online_and_disabled(read(false, true, false), Some(false))]
#[case::it_takes_jobs(read(true, true, false), None)]
#[case::it_has_a_job(read(false, true, true), None)]
#[case::it_has_a_job_and_is_offline(read(false, false, true), None)]
#[case::it_is_anothers(AgentNow { name: "b".to_owned(), ..read(false, false, false) }, None)]
fn an_agent_is_read_again_before_it_is_saved(#[case] agent: AgentNow, #[case] disables: Option<bool>) {
    let instance = &first_look(&pool(), &scene([machine("a").offline()])).instances[0];
    let member = poolkeeper_policy::Member {
        vm_id: instance.vm_id.clone(),
        instance_id: instance.instance_id.clone(),
        computer_name: "a".to_owned(),
        agent: instance.agent,
        cause: Cause::FailedToStart,
    };
    let mut protocol = Protocol::new(&Action::Save { binding: name("d4"), members: vec![member] });
    let _ = protocol.next(Vec::new());
    let set = SetNow { refused: None, capacity: Some(1), flexible: false };
    let _ = protocol.next(vec![Answer::Set(set)]);
    let mut next = protocol.next(vec![Answer::Agent(Some(agent))]);
    if disables == Some(true) {
        assert!(
            matches!(&next, Next::Calls(calls) if matches!(calls.as_slice(), [Call::Disable(_)])),
            "{next:?}"
        );
        next = protocol.next(vec![Answer::Done]);
    }
    match disables {
        Some(_) => {
            assert!(matches!(&next, Next::Calls(calls) if matches!(calls.as_slice(), [Call::Mark { .. }])));
        }
        None => assert!(matches!(&next, Next::End(end) if end.refused.is_some()), "{next:?}"),
    }
}

#[test]
fn a_removal_never_names_a_saved_one() {
    let mut passes = Passes::of(&saving(1));
    let plan = passes.watch(&duds(4, 1), minutes(10));
    let removes = |action: &Action| match action {
        Action::Remove { removal, members, .. } => {
            assert_eq!(*removal, Removal::Delete);
            members.iter().any(|member| member.computer_name == "m00")
        }
        Action::Grow { .. } | Action::Disable { .. } | Action::Save { .. } | Action::Unmark { .. } => false,
    };
    assert!(!plan.actions.iter().any(removes) && deleted(&plan).len() == 3);
}
