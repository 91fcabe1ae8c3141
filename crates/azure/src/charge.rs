//! Which of Azure's budgets a call is charged to: told from its method and address alone, so that no call is forgotten.

use crate::fault::{self, Fault, ThrottleScope};
use poolkeeper_budget::{Call, Scope, Target};
use poolkeeper_rest::{Error, Method, Url};

/// What a call is to Azure's budgets; none for one that they do not count.
pub(crate) fn charge(method: &Method, url: &Url) -> Option<(Call, Target)> {
    let path = url.path().to_ascii_lowercase();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let ["subscriptions", subscription, rest @ ..] = segments.as_slice() else { return None };
    let target = Target { subscription: (*subscription).to_owned(), ..Target::default() };
    match rest {
        ["resourcegroups", group, "providers", provider, kind, name, below @ ..] => {
            let id = format!(
                "/subscriptions/{subscription}/resourcegroups/{group}/providers/{provider}/{kind}/{name}"
            );
            below_resource(method, &target, (provider, kind), name, &id, below)
        }
        ["resourcegroups", group, "providers", provider, kind] => {
            let call = match (*provider, *kind) {
                ("microsoft.compute", "virtualmachines") => Call::ListMachines,
                ("microsoft.insights", _) => Call::GetAutoscale,
                _ => return None,
            };
            // A filter names the set; without one it is the group's list.
            let filter = url.query_pairs().find(|(name, _)| name.eq_ignore_ascii_case("$filter"));
            let set = filter.and_then(|(_, filter)| filter.rsplit('\'').nth(1).map(str::to_ascii_lowercase));
            Some((call, Target { set: set.unwrap_or_else(|| (*group).to_owned()), ..target }))
        }
        ["providers", _, "locations", location, "operations", operation] => {
            let location = Some((*location).to_owned());
            Some((
                Call::PollOperation,
                Target { location, operation: Some((*operation).to_owned()), ..target },
            ))
        }
        ["providers", _, "locations", location, "usages"] => {
            Some((Call::GetUsages, Target { location: Some((*location).to_owned()), ..target }))
        }
        _ => None,
    }
}

fn below_resource(
    method: &Method,
    target: &Target,
    kind: (&str, &str),
    name: &str,
    id: &str,
    below: &[&str],
) -> Option<(Call, Target)> {
    let of_set = |call| Some((call, Target { set: id.to_owned(), ..target.clone() }));
    let of_instance = |call, instance: &str| {
        Some((call, Target { set: id.to_owned(), machine: Some(instance.to_owned()), ..target.clone() }))
    };
    // A VM of Flexible orchestration has buckets of its own; its set's name is not in its address.
    let of_machine =
        |call| Some((call, Target { set: id.to_owned(), machine: Some(name.to_owned()), ..target.clone() }));
    match (kind, method, below) {
        (("microsoft.compute", "virtualmachinescalesets"), &Method::GET, []) => of_set(Call::GetScaleSet),
        (("microsoft.compute", "virtualmachinescalesets"), &Method::GET, ["virtualmachines"]) => {
            of_set(Call::ListInstances)
        }
        (
            ("microsoft.compute", "virtualmachinescalesets"),
            &Method::GET,
            ["virtualmachines", instance, ..],
        ) => of_instance(Call::GetInstance, instance),
        (("microsoft.compute", "virtualmachinescalesets"), &Method::POST, ["delete"]) => {
            of_set(Call::DeleteInstances)
        }
        (("microsoft.compute", "virtualmachinescalesets"), &Method::POST, ["reimage"]) => {
            of_set(Call::ReimageInstances)
        }
        (("microsoft.compute", "virtualmachinescalesets"), _, _) => of_set(Call::UpdateScaleSet),
        (("microsoft.compute", "virtualmachines"), &Method::GET, _) => of_machine(Call::GetMachine),
        (("microsoft.compute", "virtualmachines"), &Method::DELETE, _) => of_machine(Call::DeleteMachine),
        (("microsoft.compute", "virtualmachines"), _, _) => of_machine(Call::ReimageMachine),
        (("microsoft.network", _), _, _) => of_set(Call::GetSubnet),
        _ => None,
    }
}

/// Who has to wait after a 429.
pub(crate) fn throttled(error: &Error) -> Scope {
    match fault::of(error) {
        Fault::Throttled(ThrottleScope::Subscription) => Scope::Subscription,
        _ => Scope::Machine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBSCRIPTION: &str = "00000000-1111-2222-3333-444444444444";

    fn charged(method: &Method, path: &str) -> Option<(Call, Target)> {
        let url = format!("https://management.azure.com/subscriptions/{SUBSCRIPTION}{path}");
        charge(method, &url.parse().unwrap())
    }

    #[test]
    fn every_call_of_the_client_is_charged_to_its_budget() {
        let group = "/resourceGroups/Agents/providers";
        let set = format!("{group}/Microsoft.Compute/virtualMachineScaleSets/linux");
        let vm = format!("{group}/Microsoft.Compute/virtualMachines/linux_1a2b3c4d");
        let id = format!("/subscriptions/{SUBSCRIPTION}{set}").to_ascii_lowercase();
        for (method, path, call, machine) in [
            (Method::GET, set.clone(), Call::GetScaleSet, None),
            (Method::GET, format!("{set}/virtualMachines?$expand=instanceView"), Call::ListInstances, None),
            (Method::GET, format!("{set}/virtualMachines/7"), Call::GetInstance, Some("7")),
            (Method::PATCH, set.clone(), Call::UpdateScaleSet, None),
            (Method::POST, format!("{set}/delete"), Call::DeleteInstances, None),
            (Method::POST, format!("{set}/reimage"), Call::ReimageInstances, None),
        ] {
            let (found, target) = charged(&method, &path).unwrap();
            assert_eq!((found, target.set.as_str(), target.machine.as_deref()), (call, id.as_str(), machine));
        }
        let machine = |method: Method| charged(&method, &vm).map(|(call, target)| (call, target.machine));
        let name = Some("linux_1a2b3c4d".to_owned());
        assert_eq!(machine(Method::GET), Some((Call::GetMachine, name.clone())));
        assert_eq!(machine(Method::DELETE), Some((Call::DeleteMachine, name.clone())));
        assert_eq!(machine(Method::POST), Some((Call::ReimageMachine, name)));

        let filter = format!("'virtualMachineScaleSet/id' eq '/subscriptions/{SUBSCRIPTION}{set}'");
        let mut list: Url = "https://management.azure.com".parse().unwrap();
        list.set_path(&format!("/subscriptions/{SUBSCRIPTION}{group}/Microsoft.Compute/virtualMachines"));
        list.query_pairs_mut().append_pair("$filter", &filter);
        let (call, target) = charge(&Method::GET, &list).unwrap();
        assert_eq!((call, target.set), (Call::ListMachines, id));

        let poll = "/providers/Microsoft.Compute/locations/westeurope/operations/3f0e?p=1";
        let (call, target) = charged(&Method::GET, poll).unwrap();
        assert_eq!(
            (call, target.operation.as_deref(), target.location.as_deref()),
            (Call::PollOperation, Some("3f0e"), Some("westeurope"))
        );
        let usages = "/providers/Microsoft.Compute/locations/westeurope/usages";
        assert_eq!(charged(&Method::GET, usages).unwrap().0, Call::GetUsages);
        let autoscale = format!("{group}/Microsoft.Insights/autoscalesettings");
        assert_eq!(charged(&Method::GET, &autoscale).unwrap().0, Call::GetAutoscale);
        let subnet = format!("{group}/Microsoft.Network/virtualNetworks/vnet/usages");
        assert_eq!(charged(&Method::GET, &subnet).unwrap().0, Call::GetSubnet);
    }
}
