//! What is not scratch, or is in use, is refused before anything is written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod support;

use std::future::pending;

use poolkeeper_simulator::{
    WorldSpec,
    spec::Distribution,
    world::{JobSpec, OtherAgent},
};
use poolkeeper_verify::{Refusal, Report};
use rstest::rstest;
use support::{Bench, uniform};

fn tagged(tags: &[(&str, &str)]) -> WorldSpec {
    let mut spec = uniform();
    spec.scale_sets[0].tags =
        tags.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    spec
}

fn with_vms(count: u32) -> WorldSpec {
    let mut spec = uniform();
    spec.scale_sets[0].capacity = count;
    spec
}

fn elastic() -> WorldSpec {
    let mut spec = uniform();
    spec.organizations[0].pools[0].options = "elasticPool".into();
    spec
}

const SCRATCH: (&str, &str) = ("poolkeeper-verify", "scratch");

#[rstest]
#[case(tagged(&[]), "scale set scratch is not marked as scratch; make a set for this purpose")]
#[case(tagged(&[("poolkeeper-verify", "production")]), "is not marked as scratch")]
#[case(tagged(&[SCRATCH, ("__AzureDevOpsElasticPool", "p")]), "is in use, says its tag __AzureDevOpsElasticPool")]
#[case(tagged(&[SCRATCH, ("Poolkeeper-Owner", "poolkeeper/x")]), "is in use, says its tag Poolkeeper-Owner")]
#[case(with_vms(3), "scale set scratch has 3 VMs; scale it to 0 or 1")]
#[case(with_vms(2), "agent pool scratch has 3 agents; take one with at most 2")]
#[case(elastic(), "agent pool scratch is sized by Azure DevOps")]
#[tokio::test]
async fn worlds(#[case] spec: WorldSpec, #[case] said: &str) {
    refused(&Bench::new(spec).await, said).await;
}

#[tokio::test]
async fn jobs_agents_and_names() {
    let bench = Bench::new(uniform()).await;
    bench.simulator.with_world(|world| {
        world.queue_jobs(bench.pool, JobSpec::new(Distribution::seconds(600)), None).unwrap();
    });
    refused(&bench, "agent pool scratch has 1 unfinished jobs; wait until it has none").await;

    let bench = Bench::new(uniform()).await;
    bench.simulator.with_world(|world| {
        for name in ["one", "two"] {
            let other = OtherAgent {
                name: name.into(),
                version: "4.261.0".into(),
                capabilities: Default::default(),
                user_capabilities: Default::default(),
                runs: false,
            };
            world.add_agent(bench.pool, other).unwrap();
        }
    });
    refused(&bench, "agent pool scratch has 3 agents").await;

    let mut bench = Bench::new(uniform()).await;
    bench.options.pool = "scratches".into();
    refused(&bench, "there is no agent pool scratches that this credential sees").await;

    let mut bench = Bench::new(uniform()).await;
    bench.options.organization = "http://dev.azure.com/fabrikam".parse().unwrap();
    refused(&bench, "the organization's url is not usable: http://dev.azure.com is refused; use https").await;
}

#[tokio::test]
async fn a_growing_set_is_refused() {
    let bench = Bench::new(uniform()).await;
    bench.simulator.with_world(|world| {
        let change = poolkeeper_simulator::world::ScaleSetChange { capacity: Some(1), ..Default::default() };
        world.patch_scale_set(bench.set, change).unwrap();
    });
    refused(&bench, "scale set scratch is changing; wait until capacity and instances agree").await;
}

#[tokio::test]
async fn a_plan_names_what_is_touched() {
    let bench = Bench::new(uniform()).await;
    let plan = bench.prepare().await.unwrap().plan();
    for part in ["scale set scratch", "resource group trials", "pool scratch", "up to 3 VMs", "has 0 VMs now"]
    {
        assert!(plan.contains(part), "{part}: {plan}");
    }
}

#[tokio::test]
async fn a_no_is_heeded() {
    let bench = Bench::new(uniform()).await;
    let before = bench.snapshot();
    let no = |plan: &str| !plan.contains("scale set scratch");
    let report = poolkeeper_verify::run(bench.options.clone(), &bench.access, no, |_| {}, pending()).await;
    assert_eq!((report.exit_code(), report.findings().len()), (2, 0));
    assert_eq!(report.summary(), "nothing was tried: it was not agreed to; answer yes, or give --yes");
    assert_eq!(bench.snapshot(), before);
}

async fn refused(bench: &Bench, said: &str) {
    let before = (bench.snapshot(), bench.simulator.with_world(|world| world.journal().written()));
    let refusal: Refusal = bench.prepare().await.expect_err(said);
    let report = Report::refused(bench.options.scale_set.as_str(), &refusal);
    assert!(report.summary().contains(said), "{said} is not in: {}", report.summary());
    assert_eq!((report.exit_code(), report.findings().len()), (2, 0));
    assert!(report.markdown().contains(&format!("- result: {}", report.summary())));
    let after = (bench.snapshot(), bench.simulator.with_world(|world| world.journal().written()));
    assert_eq!(after, before);
}
