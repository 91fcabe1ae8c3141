//! How Azure says no.

use axum::http::{StatusCode, header};
use serde_json::json;

use super::{Call, Reply};
use crate::world::AzureError;

/// Seconds that a caller is asked to wait after a 429 of a fault.
const THROTTLED_FOR: &str = "30";

pub(super) fn refuse(status: StatusCode, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": message}}))
}

pub(super) fn refusal(error: &AzureError) -> Reply {
    let (status, code) = match error {
        AzureError::NotFound => (StatusCode::NOT_FOUND, "ResourceNotFound"),
        AzureError::PreconditionFailed { .. } => (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
        AzureError::Conflict => (StatusCode::CONFLICT, "Conflict"),
        AzureError::MarkedForDeletion(_)
        | AzureError::Quota(_)
        | AzureError::NotEphemeral(_)
        | AzureError::NotOnFlexible(_) => (StatusCode::CONFLICT, "OperationNotAllowed"),
        AzureError::Shortage(error) if error.code == "SubnetIsFull" => (StatusCode::BAD_REQUEST, error.code),
        AzureError::Shortage(error) => (StatusCode::CONFLICT, error.code),
        AzureError::TooManyTags(_) => (StatusCode::BAD_REQUEST, "TooManyTags"),
        AzureError::UnknownInstance(_)
        | AzureError::NoInstances
        | AzureError::TooLarge { .. }
        | AzureError::ProtectionInvalid => (StatusCode::BAD_REQUEST, "InvalidParameter"),
    };
    refuse(status, code, &error.to_string())
}

pub(super) fn invalid(error: &str) -> Reply {
    let message = format!("The request content was invalid and could not be deserialized: '{error}'.");
    refuse(StatusCode::BAD_REQUEST, "InvalidRequestContent", &message)
}

pub(super) fn invalid_parameter(message: &str) -> Reply {
    refuse(StatusCode::BAD_REQUEST, "InvalidParameter", message)
}

pub(super) fn forbidden(call: &Call) -> Reply {
    let message = format!(
        "The client does not have authorization to perform action on '/{}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
        call.segments.join("/")
    );
    refuse(StatusCode::FORBIDDEN, "AuthorizationFailed", &message)
}

pub(super) fn unavailable() -> Reply {
    let message = "The service is temporarily unavailable.";
    refuse(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
}

/// `kind` is the resource's type and name, such as `virtualMachines/x`.
pub(super) fn not_found(call: &Call, kind: &str) -> Reply {
    let group = call.segment(3);
    let message = format!(
        "The Resource 'Microsoft.Compute/{kind}' under resource group '{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    );
    refuse(StatusCode::NOT_FOUND, "ResourceNotFound", &message)
}

pub(super) fn no_such_call(served: &str) -> Reply {
    refuse(StatusCode::NOT_FOUND, "NotFound", &format!("The simulator serves {served} here."))
}

/// Compute's own limit, of a resource or of the subscription; `group` is the class of calls.
pub(super) fn throttled(group: &str, seconds: Option<i64>) -> Reply {
    let body = json!({"error": {
        "code": "OperationNotAllowed",
        "message": "The server rejected the request because too many requests have been received for this subscription.",
        "details": [{
            "code": "TooManyRequests",
            "target": group,
            "message": json!({"operationGroup": group}).to_string(),
        }],
    }});
    retry(Reply::json(StatusCode::TOO_MANY_REQUESTS, &body), seconds)
}

/// The front door's limit, over everything in the subscription.
pub(super) fn subscription_throttled(call: &Call, seconds: Option<i64>) -> Reply {
    let message = format!(
        "Number of requests for subscription '{}' exceeded the limit for time interval '00:01:00'. Please try again after some time.",
        call.segment(1)
    );
    retry(refuse(StatusCode::TOO_MANY_REQUESTS, "SubscriptionRequestsThrottled", &message), seconds)
}

fn retry(reply: Reply, seconds: Option<i64>) -> Reply {
    let seconds = seconds.map_or_else(|| THROTTLED_FOR.to_owned(), |seconds| seconds.to_string());
    reply.header(header::RETRY_AFTER.as_str(), seconds)
}
