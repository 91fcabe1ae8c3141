use crate::error::{Class, ServiceError};
use serde::Deserialize;

/// The services that we call. They differ in their error bodies and in how they refuse a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Azure Resource Manager.
    ResourceManager,
    /// Azure DevOps.
    AzureDevOps,
}

impl Service {
    /// Both services.
    pub const ALL: [Self; 2] = [Self::ResourceManager, Self::AzureDevOps];

    /// The name in metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ResourceManager => "Azure Resource Manager",
            Self::AzureDevOps => "Azure DevOps",
        }
    }

    /// The class of an answer by status and content type alone; `None` is success.
    ///
    /// Azure DevOps answers a bad or expired token with its sign-in page: 203, a page with 200, or a redirect to it.
    /// Read as data, that page would be an empty list.
    pub(crate) fn class(self, status: u16, is_html: bool) -> Option<Class> {
        match (self, status) {
            (Self::AzureDevOps, 203 | 302 | 303) => Some(Class::Unauthenticated),
            (Self::AzureDevOps, 200..=299) if is_html => Some(Class::Unauthenticated),
            (_, 200..=299) => None,
            (_, 401) => Some(Class::Unauthenticated),
            (_, 403) => Some(Class::Forbidden),
            (_, 404 | 410) => Some(Class::NotFound),
            (_, 409) => Some(Class::Conflict),
            (_, 412) => Some(Class::Precondition),
            (_, 429) => Some(Class::Throttled),
            (_, 408) => Some(Class::Server),
            (_, 400..=499) => Some(Class::Invalid),
            (_, 500..=599) => Some(Class::Server),
            _ => Some(Class::Unexpected),
        }
    }

    /// The error that a body carries, outermost first, then its details.
    pub(crate) fn errors(self, body: &str) -> Vec<ServiceError> {
        match self {
            Self::ResourceManager => serde_json::from_str::<ArmEnvelope>(body)
                .map(|envelope| envelope.error.flatten())
                .unwrap_or_default(),
            Self::AzureDevOps => serde_json::from_str::<DevOpsEnvelope>(body)
                .map(|envelope| vec![ServiceError::new(envelope.type_key, envelope.message)])
                .unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
struct ArmEnvelope {
    error: ArmError,
}

#[derive(Deserialize)]
struct ArmError {
    code: Option<String>,
    message: Option<String>,
    #[serde(default)]
    details: Option<Vec<ArmError>>,
}

impl ArmError {
    fn flatten(self) -> Vec<ServiceError> {
        let mut all = vec![ServiceError::new(self.code, self.message)];
        all.extend(self.details.into_iter().flatten().flat_map(Self::flatten));
        all
    }
}

#[derive(Deserialize)]
struct DevOpsEnvelope {
    #[serde(rename = "typeKey")]
    type_key: Option<String>,
    message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_envelopes() {
        let arm = r#"{"error":{"code":"OperationNotAllowed","message":"too many","details":[
            {"code":"TooManyRequests","target":"HighCostGet30Min","message":"{}"}]}}"#;
        let codes: Vec<_> = Service::ResourceManager.errors(arm).into_iter().map(|e| e.code).collect();
        assert_eq!(codes, [Some("OperationNotAllowed".to_owned()), Some("TooManyRequests".to_owned())]);
        let devops = r#"{"$id":"1","innerException":null,"message":"no pool","typeKey":"TaskAgentPoolNotFoundException"}"#;
        assert_eq!(
            Service::AzureDevOps.errors(devops),
            [ServiceError::new(Some("TaskAgentPoolNotFoundException".into()), Some("no pool".into()))]
        );
        assert_eq!(Service::ResourceManager.errors("<html>"), []);
        assert_eq!(Service::AzureDevOps.errors(""), []);
    }
}
