//! The world of the lives: VMs start in half a minute, most run one job, and one pool refuses jobs without an agent.

use anyhow::Result;
use serde_json::{Value, json};

/// Pools whose agents take one job after the other.
const CONTINUOUS: [&str; 4] = ["crowd", "aged", "reused", "graceful"];
/// Its organisation refuses jobs that no agent record could run.
const REFUSES: &str = "empty";

/// Every other one has a scale set of Flexible orchestration.
pub(crate) fn world(sites: &[&str], more: &str) -> Result<Value> {
    let mut world = crate::support::world(&[sites, &[more]].concat())?;
    for (index, set) in world["scaleSets"].as_array_mut().into_iter().flatten().enumerate() {
        set["timings"] = json!({"create": "60s", "register": "20s", "reimage": "40s", "delete": "20s"});
        if index % 2 == 1 {
            set["orchestration"] = json!("Flexible");
            set["model"] = json!({"ephemeralOSDisk": true});
        }
        let name = set["computerNamePrefix"].clone();
        if CONTINUOUS.iter().any(|continuous| name == *continuous) {
            set["agents"]["run"] = json!("Continuous");
        }
    }
    for pool in world["organizations"][0]["pools"].as_array_mut().into_iter().flatten() {
        if pool["name"] == REFUSES {
            pool["unmatchedJobs"] = json!("Fail");
        }
    }
    Ok(world)
}
