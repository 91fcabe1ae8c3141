use crate::id::PoolId;
use poolkeeper_rest::open_enum;
use serde::Deserialize;

/// An agent pool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// Its number.
    pub id: PoolId,
    /// Its name, unique in the organisation without regard to case.
    pub name: String,
    /// What Azure DevOps itself does with it.
    #[serde(default)]
    pub options: PoolOptions,
    /// Whether Microsoft hosts its agents.
    #[serde(default)]
    pub is_hosted: bool,
    /// How many agents are registered in it.
    #[serde(default)]
    pub size: u32,
    #[serde(default)]
    pool_type: Option<PoolType>,
}

open_enum! {
    /// What a pool serves.
    pub(crate) enum PoolType {
        /// Pipelines.
        Automation = "automation",
        /// A deployment group.
        Deployment = "deployment",
    }
}

impl Pool {
    /// Whether it serves pipelines, not a deployment group.
    pub(crate) fn is_automation(&self) -> bool {
        match &self.pool_type {
            None | Some(PoolType::Automation) => true,
            Some(PoolType::Deployment) => false,
            // The number of the first; what is new is none that we know how to serve.
            Some(PoolType::Other(other)) => other == "1",
        }
    }
}

/// The flags of a pool's `options`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct PoolOptions {
    /// Azure DevOps itself sizes the pool with a scale set; a second sizer would fight it.
    pub elastic_pool: bool,
    /// Agents run one job.
    pub single_use_agents: bool,
    /// Agents are kept after a failed job.
    pub preserve_agent_on_job_failure: bool,
    /// Flags that this version does not know, as sent.
    pub other: Vec<String>,
}

/// Flags come as words, or, from some versions, as their sum.
#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Words(String),
    Sum(u32),
    Absent(()),
}

impl From<Wire> for PoolOptions {
    fn from(wire: Wire) -> Self {
        let mut options = Self::default();
        match wire {
            Wire::Words(words) => {
                for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                    match word.to_ascii_lowercase().as_str() {
                        "none" => {}
                        "elasticpool" => options.elastic_pool = true,
                        "singleuseagents" => options.single_use_agents = true,
                        "preserveagentonjobfailure" => options.preserve_agent_on_job_failure = true,
                        _ => options.other.push(word.to_owned()),
                    }
                }
            }
            Wire::Sum(sum) => {
                options.elastic_pool = sum & 1 != 0;
                options.single_use_agents = sum & 2 != 0;
                options.preserve_agent_on_job_failure = sum & 4 != 0;
                if sum & !7 != 0 {
                    options.other.push((sum & !7).to_string());
                }
            }
            Wire::Absent(()) => {}
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_flags() {
        let read = |json: &str| serde_json::from_str::<PoolOptions>(json).unwrap();
        assert_eq!(read(r#""none""#), PoolOptions::default());
        assert_eq!(read("null"), PoolOptions::default());
        let flags = read(r#""ElasticPool, singleUseAgents, new""#);
        assert!(flags.elastic_pool && flags.single_use_agents && !flags.preserve_agent_on_job_failure);
        assert_eq!(flags.other, ["new"]);
        let flags = read("13");
        assert!(flags.elastic_pool && !flags.single_use_agents && flags.preserve_agent_on_job_failure);
        assert_eq!(flags.other, ["8"]);
        assert!(serde_json::from_str::<PoolOptions>("true").is_err());
    }
}
