//! World files: the example, and what is said about bad ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use poolkeeper_simulator::{WorldSpec, spec::Run};
use rstest::rstest;

#[test]
fn the_example_is_the_world_of_the_quickstart() {
    let spec = support::example();
    let agents = spec.scale_sets[0].agents.as_ref().unwrap();
    assert_eq!(
        (agents.organization.as_str(), agents.pool.as_str(), agents.run),
        ("fabrikam", "linux-build", Run::Once)
    );
    assert_eq!(spec.organizations[0].pools[0].id, 44);
    assert_eq!(spec.scale_sets[0].capacity, 0);
    assert!(!format!("{spec:?}").contains("simulated-"), "secrets stay out of debug output");
}

const EXAMPLE: &str = include_str!("../../../examples/simulator/world.yaml");

#[rstest]
#[case::unknown_field("  capacity: 0\n", "  capacty: 0\n", "scaleSets[0].capacty: unknown field `capacty`")]
#[case::wrong_type("  quota: 100\n", "  quota: many\n", "scaleSets[0].quota: ")]
#[case::wrong_word("    run: Once ", "    run: Twice ", "scaleSets[0].agents.run: unknown variant `Twice`")]
#[case::duration("  capacity: 0\n", "  timings: {create: soon}\n", "scaleSets[0].timings")]
#[case::distribution(
    "    delete: {type: LogNormal, median: 40s, sigma: 0.25}",
    "    delete: {type: LogNormal, median: 40s, sigma: 9}",
    "scaleSets[0].timings.delete: sigma must be from 0 to 3"
)]
#[case::resource("/virtualMachineScaleSets/", "/sets/", "scaleSets[0].resourceID: must be /subscriptions/")]
#[case::organization(
    "    organization: fabrikam",
    "    organization: contoso",
    "scaleSets[0].agents.organization: contoso is not in organizations"
)]
#[case::pool(
    "    pool: linux-build",
    "    pool: linux",
    "scaleSets[0].agents.pool: linux is not a pool of fabrikam"
)]
#[case::quota(
    "  capacity: 0\n",
    "  capacity: 101\n",
    "scaleSets[0].capacity: must not be above the quota of 100"
)]
#[case::subnet(
    "  capacity: 0\n",
    "  subnet: {id: /subnets/agents, addresses: 3}\n",
    "scaleSets[0].subnet.id: must be /subscriptions/"
)]
#[case::addresses(
    "  capacity: 0\n",
    "  capacity: 3\n  subnet: {id: /subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n, addresses: 3, used: 1}\n",
    "scaleSets[0].subnet.addresses: must be enough"
)]
#[case::orchestration(
    "  capacity: 0\n",
    "  orchestration: Flexibel\n",
    "scaleSets[0].orchestration: unknown variant `Flexibel`"
)]
#[case::quotas(
    "scaleSets:\n",
    "quotas:\n- {subscriptionID: s, cores: 4}\n- {subscriptionID: S, cores: 5}\nscaleSets:\n",
    "quotas[1].location: is given twice"
)]
#[case::token(
    "  - value: simulated-token",
    "  - vale: simulated-token",
    "organizations[0].tokens[0].vale: unknown field `vale`"
)]
fn bad_files_get_one_sentence_with_the_path(#[case] from: &str, #[case] to: &str, #[case] said: &str) {
    assert!(EXAMPLE.contains(from), "the example has changed: {from}");
    let error = WorldSpec::parse(&EXAMPLE.replace(from, to)).unwrap_err().to_string();
    assert!(error.starts_with(said), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(!error.contains("simulated-"), "{error}");
}
