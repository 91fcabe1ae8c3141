//! Which image a waiting job goes to, and which jobs nobody can run.

use poolkeeper_policy::{Agent, Binding, Demand, Image, Pool, PoolReason, State};
use rstest::rstest;

use crate::support::{binding, first_look, growths, machine, pool, scene, scene::agent};

/// `ubuntu`, also called `linux`, with docker and Java 17; and `windows`.
fn two_images() -> Pool {
    let mut pool = pool();
    pool.images = ["ubuntu", "windows"].map(|name| Image { name: name.into(), ..Image::default() }).to_vec();
    pool.images[0].aliases = vec!["linux".to_owned()];
    pool.images[0].capabilities = [("docker", "true"), ("java", "17.0.2")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    pool.bindings.push(Binding { image: 1, ..binding("win") });
    pool.ignore_demands = ["npm".to_owned()].into();
    pool
}

#[rstest]
#[case::without_demands_to_the_first(&[], Ok("d4"))]
#[case::by_name(&["ImageOverride -equals windows"], Ok("win"))]
#[case::by_alias_without_regard_to_case(&["IMAGEOVERRIDE -equals Linux"], Ok("d4"))]
#[case::by_declared_capability(&["Docker"], Ok("d4"))]
#[case::by_value(&["docker -equals TRUE"], Ok("d4"))]
#[case::by_version(&["java -gtVersion 17"], Ok("d4"))]
#[case::an_equal_version_is_high_enough(&["java -gtVersion 17.0.2.0"], Ok("d4"))]
#[case::by_what_its_agents_offer(&["msbuild -gtVersion 16.9"], Ok("win"))]
#[case::an_ignored_demand(&["NPM"], Ok("d4"))]
#[case::agents_update_themselves(&["Agent.Version -gtVersion 4.1"], Ok("d4"))]
#[case::a_version_that_no_image_declares(&["ImageVersionOverride -equals 1.2.3"], Err(PoolReason::DemandNotMet))]
#[case::an_unknown_image(&["ImageOverride -equals macos"], Err(PoolReason::NoSuchImage))]
#[case::an_unmet_demand(&["docker", "gpu"], Err(PoolReason::DemandNotMet))]
#[case::a_version_too_low(&["java -gtVersion 21"], Err(PoolReason::DemandNotMet))]
#[case::demands_that_nobody_meets_together(
    &["ImageOverride -equals windows", "docker"],
    Err(PoolReason::NoSuchImage)
)]
fn a_job_goes(#[case] demands: &[&str], #[case] expected: Result<&str, PoolReason>) {
    let windows = machine("w").on("win").busy().agent(|agent| {
        agent.capabilities.insert("msbuild".to_owned(), "16.11".to_owned());
    });
    let plan = first_look(&two_images(), &scene([windows]).job_that_demands(demands));
    match expected {
        Ok(set) => assert_eq!(growths(&plan), [(set, 1)]),
        Err(reason) => {
            assert_eq!((growths(&plan), plan.jobs.unroutable), (vec![], 1));
            assert_eq!(plan.unroutable[0].reason, reason);
            let condition =
                plan.conditions.iter().find(|condition| condition.kind == "UnroutableJob").unwrap();
            assert!(condition.message.contains(plan.unroutable[0].demands.last().unwrap()));
        }
    }
}

#[rstest]
#[case("docker", Demand::Exists("docker".into()))]
#[case("  Agent.OS   -equals  Windows_NT ", Demand::Equals("agent.os".into(), "Windows_NT".into()))]
#[case("Java -gtVersion 17", Demand::AtLeast("java".into(), "17".into()))]
fn demands_are_read_as_azure_devops_writes_them(#[case] text: &str, #[case] expected: Demand) {
    assert_eq!(Demand::parse(text), expected);
    assert_eq!(Demand::parse(&expected.words()), expected);
}

#[test]
fn a_placeholder_is_nobodys_agent() {
    let placeholder = |online| {
        let capabilities = [("poolkeeper.placeholder".to_owned(), "linux-build".to_owned())].into();
        Agent { online, capabilities, ..agent("a") }
    };
    // Even where it has the name of a VM.
    let plan = first_look(&pool(), &scene([machine("a")]).foreign(placeholder(false)));
    let [instance] = plan.instances.as_slice() else { panic!("{:?}", plan.instances) };
    assert_eq!((instance.agent, instance.leftover, instance.state), (None, None, State::Starting));
    assert_eq!((plan.counts.foreign, plan.counts.total()), (0, 1));
    // An agent that is online is one, whatever it says of itself.
    let plan = first_look(&pool(), &scene([machine("a")]).foreign(placeholder(true)));
    assert_eq!(plan.instances[0].agent, Some(agent("a").id));
}
