//! What Azure's error codes mean. The same condition comes at once (a 4xx) or later, in the body of an operation; both
//! are read here. `OperationNotAllowed` stands for three conditions, told apart by status and text.

use poolkeeper_rest::{Class, Error, ServiceError};

/// What an error of Azure means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A quota of the subscription is used up.
    Quota(Quota),
    /// Azure has no free machine of this size here, now.
    Allocation,
    /// The size is not offered to this subscription in this place.
    SkuUnavailable,
    /// The subnet has no free address.
    SubnetFull,
    /// Too many calls, of one resource or of the whole subscription.
    Throttled(ThrottleScope),
    /// Another change of the same resource is under way.
    Conflict,
    /// A later operation took this one's place.
    Preempted,
    /// The instance is being deleted already.
    MarkedForDeletion,
    /// The resource does not exist, or may not be seen.
    NotFound,
    /// A right is missing, or a policy, a lock or the state of the subscription forbids it.
    Forbidden,
    /// The credential is not accepted.
    Unauthenticated,
    /// An extension of a machine, or the agent of Azure that runs them, failed.
    Extension,
    /// The request is not one that Azure takes.
    Invalid,
    /// Anything else.
    Other,
}

/// Whom a throttled call concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ThrottleScope {
    /// Calls about the same resource. Also what does not tell: who is throttled besides hears so by itself.
    Resource,
    /// All calls of the subscription.
    Subscription,
}

/// A used-up quota, as far as its message tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Its name, such as `Total Regional Cores` or `standardDSv5 Family Cores`.
    pub name: Option<String>,
    /// Its limit, in cores; with 0 no request can succeed before it is raised.
    pub limit: Option<u64>,
    /// What is in use, in cores.
    pub usage: Option<u64>,
    /// What the request needs besides, in cores.
    pub required: Option<u64>,
}

impl Fault {
    /// The class of calls that fail with it; `None` leaves the class of the HTTP status.
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Quota(_) => Some(Class::Quota),
            Self::Allocation | Self::SkuUnavailable | Self::SubnetFull => Some(Class::Allocation),
            Self::Throttled(_) => Some(Class::Throttled),
            Self::Conflict | Self::Preempted | Self::MarkedForDeletion => Some(Class::Conflict),
            Self::NotFound => Some(Class::NotFound),
            Self::Forbidden => Some(Class::Forbidden),
            Self::Unauthenticated => Some(Class::Unauthenticated),
            Self::Invalid => Some(Class::Invalid),
            Self::Extension | Self::Other => None,
        }
    }
}

/// Reads one error; `status` is the HTTP status, or none for an error in the body of an operation.
///
/// Codes and texts: <https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors>
/// and <https://learn.microsoft.com/troubleshoot/azure/virtual-machines/troubleshooting-throttling-errors>.
pub fn classify(status: Option<u16>, code: &str, message: &str) -> Fault {
    // Both texts are of equal length, so that positions in one hold for the other.
    let folded = message.to_ascii_lowercase();
    let code = code.to_ascii_lowercase();
    if status == Some(429) {
        return Fault::Throttled(scope(&code, &folded));
    }
    match code.as_str() {
        "operationnotallowed" if folded.contains("too many requests") => {
            Fault::Throttled(scope(&code, &folded))
        }
        "operationnotallowed" if folded.contains("marked for deletion") => Fault::MarkedForDeletion,
        "operationnotallowed" if folded.contains("quota") => Fault::Quota(quota(message, &folded)),
        "quotaexceeded" | "resourcequotaexceeded" => Fault::Quota(quota(message, &folded)),
        "allocationfailed"
        | "zonalallocationfailed"
        | "overconstrainedallocationrequest"
        | "overconstrainedzonalallocationrequest" => Fault::Allocation,
        "skunotavailable" => Fault::SkuUnavailable,
        "subnetisfull" => Fault::SubnetFull,
        "toomanyrequests" | "subscriptionrequeststhrottled" => Fault::Throttled(scope(&code, &folded)),
        // The platform reads a vanished VM agent as a failed extension too.
        "vmextensionprovisioningerror"
        | "vmextensionprovisioningtimeout"
        | "vmextensionhandlernontransienterror"
        | "vmagentstatuscommunicationerror" => Fault::Extension,
        "invalidparameter" | "badrequest" | "invalidrequestformat" | "propertychangenotallowed" => {
            Fault::Invalid
        }
        "operationpreempted" => Fault::Preempted,
        "conflict" | "anotheroperationinprogress" => Fault::Conflict,
        "resourcenotfound"
        | "parentresourcenotfound"
        | "resourcegroupnotfound"
        | "subscriptionnotfound"
        | "notfound" => Fault::NotFound,
        // The last three come with 403 or 409; no retry mends them, a person does.
        "authorizationfailed"
        | "linkedauthorizationfailed"
        | "requestdisallowedbypolicy"
        | "scopelocked"
        | "readonlydisabledsubscription" => Fault::Forbidden,
        "invalidauthenticationtoken" | "expiredauthenticationtoken" | "authenticationfailed" => {
            Fault::Unauthenticated
        }
        _ => match status {
            Some(401) => Fault::Unauthenticated,
            Some(403) => Fault::Forbidden,
            Some(404) => Fault::NotFound,
            _ => Fault::Other,
        },
    }
}

/// Compute's own sentence, "too many requests have been received for this subscription", comes with each of its
/// budgets, those of one resource included, and so does not tell. The front door's code and sentence do:
/// <https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling>.
fn scope(code: &str, folded: &str) -> ThrottleScope {
    let is_of_all = code == "subscriptionrequeststhrottled"
        || ["number of requests for subscription", "subscription-level", "subscription level"]
            .iter()
            .any(|text| folded.contains(text));
    if is_of_all { ThrottleScope::Subscription } else { ThrottleScope::Resource }
}

/// Reads an error and its details: the first of them that means something. A throttling of the whole subscription, and
/// a quota with its numbers, go before what says less of the same.
pub fn of(error: &Error) -> Fault {
    first(error.status(), error.said())
}

pub(crate) fn first(status: Option<u16>, said: &[ServiceError]) -> Fault {
    let none = ServiceError::default();
    let outer = said.first().unwrap_or(&none);
    let read = |status, error: &ServiceError| {
        classify(
            status,
            error.code.as_deref().unwrap_or_default(),
            error.message.as_deref().unwrap_or_default(),
        )
    };
    let faults: Vec<Fault> = std::iter::once(read(status, outer))
        .chain(said.iter().skip(1).map(|detail| read(None, detail)))
        .collect();
    let of_all = Fault::Throttled(ThrottleScope::Subscription);
    match faults.iter().find(|fault| !matches!(fault, Fault::Other | Fault::Invalid)) {
        Some(Fault::Throttled(_)) if faults.contains(&of_all) => of_all,
        Some(Fault::Quota(quota)) if *quota == Quota::default() => {
            let told = faults.iter().find(|fault| matches!(fault, Fault::Quota(told) if told != quota));
            told.cloned().unwrap_or_else(|| Fault::Quota(quota.clone()))
        }
        Some(fault) => fault.clone(),
        None => faults.into_iter().find(|fault| *fault == Fault::Invalid).unwrap_or(Fault::Other),
    }
}

/// Lets Azure's code decide the class of a failed call.
pub(crate) fn refine(error: Error) -> Error {
    match of(&error).class() {
        Some(class) if !error.said().is_empty() => error.reclassified(class),
        _ => error,
    }
}

/// `… exceeding approved Total Regional Cores quota. … Current Limit: 100, Current Usage: 96, Additional Required: 8, …`
fn quota(message: &str, folded: &str) -> Quota {
    let after = |label: &str| message.get(folded.find(label)? + label.len()..);
    let number = |label: &str| {
        let digits: String = after(label)?.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    let name = after("exceeding approved ")
        .and_then(|rest| rest.split_once(" quota"))
        .map(|(name, _)| name.to_owned());
    Quota {
        name,
        limit: number("current limit:"),
        usage: number("current usage:"),
        required: number("additional required:"),
    }
}

#[cfg(test)]
mod tests {
    use super::ThrottleScope::{Resource, Subscription};
    use super::*;
    use rstest::rstest;

    const CORES: &str = "Operation could not be completed as it results in exceeding approved Total Regional Cores \
        quota. Additional details - Deployment Model: Resource Manager, Location: eastus2, Current Limit: 100, Current \
        Usage: 96, Additional Required: 8, (Minimum) New Limit Required: 104. Submit a request for Quota increase at";
    const TOO_MANY: &str =
        "The server rejected the request because too many requests have been received for this subscription.";
    const MARKED: &str = "The request failed since it is marked for deletion";

    #[test]
    fn a_quota_message_tells_its_numbers() {
        let quota = Quota {
            name: Some("Total Regional Cores".into()),
            limit: Some(100),
            usage: Some(96),
            required: Some(8),
        };
        assert_eq!(classify(Some(409), "OperationNotAllowed", CORES), Fault::Quota(quota.clone()));
        assert_eq!(classify(None, "QuotaExceeded", CORES), Fault::Quota(quota));
        assert_eq!(classify(None, "QuotaExceeded", "no numbers"), Fault::Quota(Quota::default()));
    }

    #[rstest]
    #[case(Some(429), "OperationNotAllowed", TOO_MANY, Fault::Throttled(Resource))]
    #[case(Some(429), "", "", Fault::Throttled(Resource))]
    #[case(Some(409), "OperationNotAllowed", TOO_MANY, Fault::Throttled(Resource))]
    #[case(None, "TooManyRequests", "{}", Fault::Throttled(Resource))]
    #[case(Some(429), "SubscriptionRequestsThrottled", "", Fault::Throttled(Subscription))]
    #[case(None, "SubscriptionRequestsThrottled", "", Fault::Throttled(Subscription))]
    #[case(
        Some(429),
        "TooManyRequests",
        "Number of requests for subscription 'g' exceeded",
        Fault::Throttled(Subscription)
    )]
    #[case(None, "VMExtensionProvisioningError", "", Fault::Extension)]
    #[case(None, "VMAgentStatusCommunicationError", "", Fault::Extension)]
    #[case(Some(404), "ResourceGroupNotFound", "", Fault::NotFound)]
    #[case(None, "InvalidParameter", "", Fault::Invalid)]
    #[case(Some(409), "OperationNotAllowed", MARKED, Fault::MarkedForDeletion)]
    #[case(Some(409), "OperationNotAllowed", "the VM is stopped", Fault::Other)]
    #[case(None, "AllocationFailed", "", Fault::Allocation)]
    #[case(None, "ZonalAllocationFailed", "", Fault::Allocation)]
    #[case(None, "OverconstrainedAllocationRequest", "", Fault::Allocation)]
    #[case(None, "OverconstrainedZonalAllocationRequest", "", Fault::Allocation)]
    #[case(Some(409), "SkuNotAvailable", "", Fault::SkuUnavailable)]
    #[case(Some(400), "SubnetIsFull", "", Fault::SubnetFull)]
    #[case(Some(409), "Conflict", "", Fault::Conflict)]
    #[case(None, "operationpreempted", "", Fault::Preempted)]
    #[case(Some(404), "ParentResourceNotFound", "", Fault::NotFound)]
    #[case(Some(404), "ResourceNotFound", "", Fault::NotFound)]
    #[case(Some(403), "AuthorizationFailed", "", Fault::Forbidden)]
    #[case(Some(409), "ScopeLocked", "", Fault::Forbidden)]
    #[case(Some(401), "InvalidAuthenticationToken", "", Fault::Unauthenticated)]
    #[case(Some(400), "InvalidParameter", "the quota of patience", Fault::Invalid)]
    fn codes(#[case] status: Option<u16>, #[case] code: &str, #[case] message: &str, #[case] fault: Fault) {
        assert_eq!(classify(status, code, message), fault);
    }

    #[test]
    fn a_detail_speaks_where_the_outer_code_says_nothing() {
        let said = |codes: &[&str]| -> Vec<ServiceError> {
            codes.iter().map(|code| ServiceError::new(Some((*code).into()), None)).collect()
        };
        assert_eq!(first(None, &said(&["VMScaleSetFailed", "AllocationFailed"])), Fault::Allocation);
        assert_eq!(first(Some(409), &said(&["Conflict", "AllocationFailed"])), Fault::Conflict);
        assert_eq!(first(Some(400), &[]), Fault::Other);
        assert_eq!(first(Some(400), &said(&["InvalidParameter", "SubnetIsFull"])), Fault::SubnetFull);
        assert_eq!(first(Some(400), &said(&["Unheard", "InvalidParameter"])), Fault::Invalid);
        let throttled = ["OperationNotAllowed", "TooManyRequests", "SubscriptionRequestsThrottled"];
        assert_eq!(first(Some(429), &said(&throttled)), Fault::Throttled(Subscription));
        let quota = [
            said(&["QuotaExceeded"]),
            vec![ServiceError::new(Some("QuotaExceeded".into()), Some(CORES.into()))],
        ];
        assert!(matches!(first(None, &quota.concat()), Fault::Quota(quota) if quota.limit == Some(100)));
    }
}
