//! The standby agents of a pool of Managed DevOps Pools.

use super::shape::Profile;
use crate::{ImportError, manifest::Map, week::Plan, zone};

/// Standby as the pool has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standby {
    Off {
        /// Whether there is a plan of the week that nothing follows.
        planned: bool,
    },
    Manual {
        zone: Option<String>,
        plan: Plan,
    },
    Automatic {
        zone: Option<String>,
        preference: &'static str,
    },
}

const PREFERENCES: [&str; 5] =
    ["MostCostEffective", "MoreCostEffective", "Balanced", "MorePerformance", "BestPerformance"];

impl Standby {
    pub(crate) fn read(agent: &Profile<'_>) -> Result<Self, ImportError> {
        let mode = agent.member("resourcePredictionsProfile");
        mode.members()?;
        let predictions = agent.member("resourcePredictions");
        predictions.members()?;
        if !mode.is_there() {
            let planned = predictions.is_there();
            predictions.skip();
            return Ok(Self::Off { planned });
        }
        let mode = Profile::read(mode, &["Manual", "Automatic"])?;
        let field = predictions.member("timeZone");
        let zone = match field.filled()? {
            None => None,
            Some(name) => Some(
                zone::iana(name)
                    .ok_or_else(|| ImportError::UnknownZone { path: field.path(), zone: name.to_owned() })?,
            ),
        };
        if mode.kind == "Manual" {
            let plan = Plan::read(&predictions.member("daysData"))?;
            return Ok(Self::Manual { zone, plan });
        }
        // Managed DevOps Pools: automatic has no plan of the week.
        predictions.member("daysData").skip();
        let field = mode.member("predictionPreference");
        let preference = match field.filled()? {
            None => "Balanced",
            Some(name) => {
                let known = PREFERENCES.into_iter().find(|known| known.eq_ignore_ascii_case(name));
                let expected =
                    "MostCostEffective, MoreCostEffective, Balanced, MorePerformance or BestPerformance";
                known.ok_or_else(|| field.wrong(name, expected))?
            }
        };
        Ok(Self::Automatic { zone, preference })
    }

    /// `spec` of the StandbySchedule, if there is one.
    pub(crate) fn schedule(&self) -> Option<Map> {
        let in_zone = |zone: &Option<String>| Map::new().text("timeZone", zone.as_deref().unwrap_or("UTC"));
        match self {
            Self::Off { .. } => None,
            Self::Manual { zone, plan } => Some(in_zone(zone).map("manual", plan.manual()?)),
            Self::Automatic { zone, preference } => {
                Some(in_zone(zone).map("automatic", Map::new().text("preference", preference)))
            }
        }
    }

    /// `spec.standby` of an AgentPool of at most so many agents.
    pub(crate) fn map(&self, schedule: &str, most: u32) -> Map {
        let above = match self {
            Self::Off { .. } | Self::Automatic { .. } => None,
            Self::Manual { plan, .. } => plan.highest().filter(|(agents, _)| *agents > most),
        };
        let words = match (self, above) {
            (_, Some((agents, entry))) => Some(format!(
                "{entry} of the schedule wants {agents} agents, above maxAgents: lower it or raise maxAgents, else the \
                 pool reports ScheduleAboveMaximum."
            )),
            (Self::Off { planned: true }, None) => {
                Some("resourcePredictions without resourcePredictionsProfile: standby is off.".to_owned())
            }
            (Self::Manual { plan: Plan::Nothing, .. }, None) => {
                Some("daysData never asks for an agent: standby is off.".to_owned())
            }
            (Self::Off { .. } | Self::Manual { .. } | Self::Automatic { .. }, None) => None,
        };
        let map =
            Map::new().comments(words).comment("Total counts busy agents too, as Managed DevOps Pools does.");
        if self.schedule().is_some() {
            map.text("basis", "Total").map("scheduleRef", Map::new().text("name", schedule))
        } else {
            map.number("agents", 0).text("basis", "Total")
        }
    }
}
