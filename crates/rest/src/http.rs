use reqwest::{Response, Url, redirect};
use std::time::Duration;

/// Bounds of every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time to connect, TLS included. 5 s by default.
    pub connect: Duration,
    /// Time from the start of a call to the end of its body. 30 s by default; Azure DevOps delays a call that is
    /// near its rate limit by up to 30 s, and what is later than that is better asked again.
    pub total: Duration,
    /// The largest body read, in bytes. 16 MiB by default.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(30), body: 16 << 20 }
    }
}

/// The connections that all clients share. Made once: it loads the system's certificate authorities.
#[derive(Clone, Debug)]
pub struct Http {
    outward: reqwest::Client,
    /// Never through a proxy: plain HTTP to this machine, or to the metadata service of its own VM.
    local: reqwest::Client,
    limits: Limits,
}

/// Why a client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The HTTP client could not be built.
    #[error("the HTTP client cannot be built; check that the image has CA certificates")]
    Http(#[source] reqwest::Error),
    /// The text is not a URL.
    #[error("{text:?} is not a URL; write one such as https://dev.azure.com/fabrikam")]
    Url {
        /// The text given.
        text: String,
    },
    /// The address would send a credential in the clear.
    #[error("{scheme}://{host} is refused; use https, or http to this machine only")]
    Insecure {
        /// The scheme given.
        scheme: String,
        /// The host given.
        host: String,
    },
    /// The address has a user, a query or a fragment.
    #[error("the address at {host} must have no user, query or fragment; remove them")]
    NotABase {
        /// The host given.
        host: String,
    },
}

impl Http {
    /// Sets up TLS and both connection pools.
    ///
    /// reqwest is built without a TLS provider of its own and panics without one; so that no caller can forget, the
    /// process gets ring here, unless it has chosen already.
    ///
    /// # Errors
    /// [`SetupError::Http`] where the system has no certificate authorities.
    pub fn new(limits: Limits) -> Result<Self, SetupError> {
        // An error means that a provider is installed, which is all that is needed.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            outward: builder(limits).build().map_err(SetupError::Http)?,
            local: builder(limits).no_proxy().tls_certs_only([]).build().map_err(SetupError::Http)?,
            limits,
        })
    }

    /// The bounds of its calls.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The connections to use for `url`: plain HTTP never goes through a proxy.
    pub fn connections(&self, url: &Url) -> &reqwest::Client {
        if url.scheme() == "http" { &self.local } else { &self.outward }
    }
}

fn builder(limits: Limits) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("poolkeeper/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        .redirect(redirect::Policy::none())
        .referer(false)
}

/// Why no answer came, and what to do about it; `host` is the one called.
pub fn unreachable(error: &reqwest::Error, host: &str) -> String {
    if error.is_timeout() {
        return format!("{host} gave no answer in time");
    }
    match certificate_error(error) {
        Some(verdict) => format!("the certificate of {host} {}", fault_of_certificate(verdict)),
        None if error.is_connect() => format!("no connection to {host}; check the address and the network"),
        None => format!("the call to {host} broke off"),
    }
}

fn fault_of_certificate(verdict: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
    };
    match verdict {
        Expired | ExpiredContext { .. } => "has expired; renew it, or set this machine's clock",
        NotValidYet | NotValidYetContext { .. } => "is not valid yet; set this machine's clock",
        NotValidForName | NotValidForNameContext { .. } => "is for another name; correct the address",
        _ => "is not trusted; add its authority to the trusted ones (the file that SSL_CERT_FILE names)",
    }
}

/// The verdict on the certificate, at the bottom of a chain of wrappers. An `io::Error` passes over its own content
/// in `source()`.
fn certificate_error(error: &reqwest::Error) -> Option<&rustls::CertificateError> {
    let mut level: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = level {
        if let Some(rustls::Error::InvalidCertificate(verdict)) = error.downcast_ref() {
            return Some(verdict);
        }
        level = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The host of `url`, with its port where it names one.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether `url` names this machine: `localhost`, 127.0.0.0/8 or ::1.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `url`, if credentials may be sent below it: https, or http to this machine (the simulator).
pub(crate) fn checked_base(mut url: Url) -> Result<Url, SetupError> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let secure = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    if !secure || host.is_empty() {
        return Err(SetupError::Insecure { scheme: url.scheme().to_owned(), host });
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(SetupError::NotABase { host });
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Why a body was not read whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body passes the bound.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The connection broke, or the time was up.
    #[error("the body broke off")]
    Broken(#[source] reqwest::Error),
}

/// Reads a body, but no more than `limit` bytes of it.
///
/// # Errors
/// [`BodyError`] where it is larger, or ends early.
pub async fn read_bounded(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let too_large = |bytes: u64| u64::try_from(limit).is_ok_and(|limit| bytes > limit);
    if response.content_length().is_some_and(too_large) {
        return Err(BodyError::TooLarge { limit });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| BodyError::Broken(error.without_url()))? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(rustls::CertificateError::Expired, "has expired")]
    #[case(rustls::CertificateError::NotValidYet, "is not valid yet")]
    #[case(rustls::CertificateError::NotValidForName, "is for another name")]
    #[case(rustls::CertificateError::UnknownIssuer, "is not trusted")]
    fn a_certificate_s_fault_has_its_mend(#[case] verdict: rustls::CertificateError, #[case] said: &str) {
        assert!(fault_of_certificate(&verdict).starts_with(said));
    }

    #[rstest]
    #[case("https://dev.azure.com/fabrikam/", Ok("https://dev.azure.com/fabrikam"))]
    #[case("https://management.azure.com", Ok("https://management.azure.com/"))]
    #[case("http://127.0.0.1:8080/", Ok("http://127.0.0.1:8080/"))]
    #[case("http://[::1]:8080/org", Ok("http://[::1]:8080/org"))]
    #[case("http://LOCALHOST/org", Ok("http://localhost/org"))]
    #[case("http://dev.azure.com/fabrikam", Err("use https"))]
    #[case("http://localhost.contoso.com/", Err("use https"))]
    #[case("ftp://127.0.0.1/", Err("use https"))]
    #[case("https://user:pw@dev.azure.com/fabrikam", Err("must have no user"))]
    #[case("https://dev.azure.com/fabrikam?x=1", Err("must have no user"))]
    #[case("https://dev.azure.com/#x", Err("must have no user"))]
    fn bases(#[case] url: &str, #[case] expected: Result<&str, &str>) {
        match (checked_base(Url::parse(url).unwrap()), expected) {
            (Ok(base), Ok(text)) => assert_eq!(base.as_str(), text),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{error}");
                assert!(!error.to_string().contains("pw"));
            }
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }
}
