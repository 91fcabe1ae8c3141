//! From a pool of Managed DevOps Pools.

mod image;
mod organization;
mod shape;
mod standby;

use serde_json::Value;

use crate::{
    ImportError, Manifests, Options,
    elastic::{AZURE_CREDENTIALS, CREDENTIALS, OBSERVE, base, bootstrap, listed},
    manifest::{Map, Node, Object},
    name::Names,
    read::{Field, Source, same},
};

use image::Image;
use organization::Organization;
pub(crate) use organization::given;
use shape::{Profile, Shape};
use standby::Standby;

/// In the place of a resource id that nobody knows yet. The API server refuses it, and says what stands there.
const FILL_IN: &str = "FILL IN";

pub(crate) fn manifests(json: &Value, options: &Options) -> Result<Manifests, ImportError> {
    let source = Source::new(json);
    let shape = Shape::find(source.field())?;
    let properties = &shape.properties;
    let organizations = organization::read(&shape, options)?;
    let agent = Profile::read(properties.section("agentProfile")?, &["Stateless", "Stateful"])?;
    let lifecycle = Lifecycle::read(&agent)?;
    let standby = Standby::read(&agent)?;
    let fabric = Profile::read(properties.section("fabricProfile")?, &["Vmss"])?;
    let images = image::read(&fabric)?;
    let system = fabric.member("osProfile");
    system.members()?;
    let logon = system.member("logonType");
    let interactive = match logon.filled()? {
        None => false,
        Some(kind) if same(kind, "Service") => false,
        Some(kind) if same(kind, "Interactive") => true,
        Some(other) => return Err(logon.wrong(other, "Service or Interactive")),
    };
    let folder = properties.section("runtimeConfiguration")?.member("workFolder").filled()?;
    let rest = Rest::read(&shape, &fabric);

    let first = organizations.first().map_or("", |organization| organization.pool_name.as_str());
    let base = base(options, first)?;
    let several = organizations.len() > 1;
    let (mut pools, mut bindings) = (Names::default(), Names::default());
    let mut manifests = Manifests::default();
    let object = Object { kind: "AgentPool", name: &base, namespace: options.namespace.as_deref() };
    for (index, organization) in organizations.iter().enumerate() {
        let pool = pools.give(&base, if several { organization.label() } else { "" });
        let mut head = vec![format!("From the pool {} of Managed DevOps Pools.", organization.pool_name)];
        if several {
            head.push(format!(
                "One of {}: an AgentPool serves one organization, so each has its own VMs.",
                organizations.len()
            ));
        }
        if index == 0 {
            head.extend(rest.pool.iter().cloned());
        }
        let spec = organization.spec(&standby, &base, &lifecycle, &images);
        manifests.push(&head, Object { name: &pool, ..object }, spec);
        if index == 0
            && let Some(schedule) = standby.schedule()
        {
            let words = "Every AgentPool follows the whole schedule, and its counts were those of all \
                         organizations together: share them out, in one schedule for each.";
            let head: Vec<String> = several.then(|| words.to_owned()).into_iter().collect();
            manifests.push(&head, Object { kind: "StandbySchedule", ..object }, schedule);
        }
        for image in &images {
            let name = bindings.give(&pool, &image.name);
            let fabric = rest.fabric.as_ref().map(|words| format!("Belongs to the scale set: {words}"));
            let head: Vec<String> = image.belongs.iter().cloned().chain(fabric).collect();
            let spec = binding(&pool, image, interactive, folder);
            manifests.push(&head, Object { kind: "ScaleSetBinding", name: &name, ..object }, spec);
        }
    }
    Ok(manifests)
}

fn binding(pool: &str, image: &Image, interactive: bool, folder: Option<&str>) -> Map {
    let set = Map::new()
        .comment("The scale set that you make for this image: /subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.Compute/virtualMachineScaleSets/<name>")
        .text("resourceID", FILL_IN);
    let spec = Map::new()
        .map("poolRef", Map::new().text("name", pool))
        .map("scaleSet", set)
        .comment(AZURE_CREDENTIALS)
        .comment("Told from the image's name; must be what the scale set runs.")
        .text("operatingSystem", image.operating_system)
        .text("imageName", &image.name);
    bootstrap(spec, interactive, image.operating_system, folder)
}

/// What becomes of agents.
#[derive(Debug)]
pub(crate) enum Lifecycle {
    Stateless,
    Stateful { lifetime: Option<String>, grace: String },
}

impl Lifecycle {
    fn read(agent: &Profile<'_>) -> Result<Self, ImportError> {
        if agent.kind == "Stateless" {
            return Ok(Self::Stateless);
        }
        let lifetime = span(&agent.member("maxAgentLifetime"), 60)?;
        let grace = span(&agent.member("gracePeriodTimeSpan"), 0)?;
        Ok(Self::Stateful { lifetime, grace: grace.unwrap_or_else(|| "0s".to_owned()) })
    }

    fn write(&self, spec: Map) -> Map {
        match self {
            Self::Stateless => spec.map("scaleIn", Map::new().text("idleDelay", "0s")).map(
                "lifecycle",
                Map::new().text("type", "Stateless").map("stateless", Map::new().text("recycle", "Replace")),
            ),
            Self::Stateful { lifetime, grace } => {
                let stateful = Map::new()
                    .maybe("maxAgentLifetime", lifetime.clone().map(Node::Text))
                    .text("gracePeriod", grace);
                spec.map("lifecycle", Map::new().text("type", "Stateful").map("stateful", stateful))
            }
        }
    }
}

/// `d.hh:mm:ss`, which our fields take as it is, up to a week.
fn span(field: &Field<'_>, least: i64) -> Result<Option<String>, ImportError> {
    const WEEK: i64 = 7 * 24 * 60 * 60;
    let Some(text) = field.filled()? else { return Ok(None) };
    let seconds = poolkeeper_api::duration::parse_agent_lifetime(text).map(|span| span.as_secs());
    match seconds {
        Ok(seconds) if (least..=WEEK).contains(&seconds) => Ok(Some(text.to_owned())),
        Ok(_) | Err(_) => {
            Err(field
                .wrong(text, "a span of at most a week, and of a minute for a lifetime, like 7.00:00:00"))
        }
    }
}

/// What no field of ours holds, in words.
#[derive(Debug)]
struct Rest {
    pool: Vec<String>,
    fabric: Option<String>,
}

impl Rest {
    fn read(shape: &Shape<'_>, fabric: &Profile<'_>) -> Self {
        let properties = &shape.properties;
        let prefix = properties.prefix();
        for silent in ["id", "type", "apiVersion", "systemData", "resourceGroup", "etag", "name", "dependsOn"]
        {
            shape.envelope.member(silent).skip();
        }
        properties.member("provisioningState").skip();
        let take = |field: Field<'_>| {
            let rest = listed(&field.rest(), &prefix);
            field.skip();
            rest
        };
        let location = shape.envelope.member("location");
        let place = listed(&location.rest(), &shape.envelope.prefix());
        location.skip();
        let fabric = [place, take(fabric.outer.clone())].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let mut pool = Vec::new();
        let organization = take(properties.member("organizationProfile"));
        let project = take(properties.member("devCenterProjectResourceId"));
        let access: Vec<String> = [organization, project].into_iter().flatten().collect();
        if !access.is_empty() {
            pool.push(format!("No equal; rights on the pool are set in Azure DevOps: {}", access.join(", ")));
        }
        let outer = |name: &str| {
            let field = shape.envelope.member(name);
            let rest = listed(&field.rest(), &shape.envelope.prefix());
            field.skip();
            rest
        };
        let owned: Vec<String> = [outer("tags"), outer("identity")].into_iter().flatten().collect();
        if !owned.is_empty() {
            pool.push(format!("No equal; give the scale sets their own: {}", owned.join(", ")));
        }
        let unknown: Vec<String> =
            [take(properties.clone()), listed(&shape.envelope.rest(), &shape.envelope.prefix())]
                .into_iter()
                .flatten()
                .collect();
        if !unknown.is_empty() {
            pool.push(format!("Left out, unknown to poolkeeper: {}", unknown.join(", ")));
        }
        Self { pool, fabric: (!fabric.is_empty()).then_some(fabric) }
    }
}

impl Organization {
    fn spec(&self, standby: &Standby, schedule: &str, lifecycle: &Lifecycle, images: &[Image]) -> Map {
        let organization = Map::new().text("url", &self.url).comment(CREDENTIALS);
        let spec = Map::new()
            .map("organization", organization)
            .comment(
                "A pool of Managed DevOps Pools cannot be shared: make a self-hosted pool, under another name while \
                 the old one exists.",
            )
            .text("poolName", &self.pool_name)
            .comment(OBSERVE)
            .text("mode", "Observe")
            .comments(self.comments.clone())
            .number("maxAgents", self.most)
            .comments(image::comments(images));
        let spec = spec.field("images", Node::Maps(images.iter().map(Image::map).collect()));
        let spec = spec.map("standby", standby.map(schedule, self.most));
        lifecycle.write(spec)
    }
}
