use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderValue, InvalidHeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

/// How a call proves who we are. Never printed, not even in `Debug`.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// A personal access token of Azure DevOps, sent as the password of `Basic` with an empty user.
    Pat(SecretString),
    /// An access token of Entra ID.
    Bearer(SecretString),
}

impl Authorization {
    /// The header, marked sensitive. Space around the secret is dropped: Secrets made by `echo` end in a line break.
    pub(crate) fn header(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let scheme = match self {
            Self::Pat(_) => "Basic",
            Self::Bearer(_) => "Bearer",
        };
        let mut header = HeaderValue::try_from(format!("{scheme} {}", self.sent()))?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// `text` without the secret, should a service echo it, as it is or as it was sent.
    pub(crate) fn redact(&self, text: &str) -> String {
        if self.token().is_empty() {
            return text.to_owned();
        }
        text.replace(self.token(), "[redacted]").replace(&self.sent(), "[redacted]")
    }

    fn token(&self) -> &str {
        let (Self::Pat(token) | Self::Bearer(token)) = self;
        token.expose_secret().trim()
    }

    fn sent(&self) -> String {
        match self {
            Self::Pat(_) => STANDARD.encode(format!(":{}", self.token())),
            Self::Bearer(_) => self.token().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_right_and_sensitive() {
        let pat = Authorization::Pat(SecretString::from("s3cret\n")).header().unwrap();
        assert_eq!(pat, "Basic OnMzY3JldA==");
        assert_eq!(format!("{pat:?}"), "Sensitive");
        assert_eq!(Authorization::Bearer(SecretString::from("s3cret")).header().unwrap(), "Bearer s3cret");
        assert!(Authorization::Bearer(SecretString::from("two\nlines")).header().is_err());
    }

    #[test]
    fn debug_hides_and_redact_removes() {
        let bearer = Authorization::Bearer(SecretString::from("s3cret"));
        assert!(!format!("{bearer:?}").contains("s3cret"));
        assert_eq!(bearer.redact("token s3cret is bad"), "token [redacted] is bad");
        let pat = Authorization::Pat(SecretString::from("s3cret"));
        assert_eq!(pat.redact("s3cret, sent as OnMzY3JldA=="), "[redacted], sent as [redacted]");
        assert_eq!(Authorization::Pat(SecretString::from(" ")).redact("as is"), "as is");
    }
}
