//! The proof that we hold a certificate's key: a short-lived, signed statement in the place of a secret.
//! <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>

use azure_core::error::ErrorKind;
use azure_core::http::ClientMethodOptions;
use azure_identity::ClientAssertion;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use poolkeeper_rest::Url;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// How long a statement can be used; Entra ID takes at most ten minutes.
const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// Signs statements with a certificate's key.
#[derive(Clone)]
pub(super) struct Assertion(Arc<Parts>);

struct Parts {
    key: RsaKeyPair,
    /// The SHA-256 of the certificate, by which Entra ID finds it among those of the principal.
    thumbprint: String,
    audience: String,
    client: String,
}

/// Why a certificate and its key are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AssertionError {
    #[error("the certificate is not PEM; give the text that begins with -----BEGIN CERTIFICATE-----")]
    Certificate,
    #[error(
        "the certificate expired at {0}; put a new one in its place, and register it with the service principal"
    )]
    Expired(Timestamp),
    #[error("the certificate is not valid before {0}; wait, give another one, or set this machine's clock")]
    NotYetValid(Timestamp),
    #[error("the key is encrypted; give it decrypted, as openssl pkey writes it")]
    Encrypted,
    #[error("the key is not PEM; give the text that begins with -----BEGIN PRIVATE KEY-----")]
    Key,
    #[error("the key is not an RSA key of 2048 to 4096 bits; make a certificate with such a key")]
    NotRsa,
    #[error(
        "the key is not the one of the certificate; give the pair, the principal's own certificate first"
    )]
    OtherKey,
    #[error("the statement could not be signed; check the machine's source of random numbers")]
    Signature,
}

impl Assertion {
    pub(super) fn new(
        authority: &Url,
        tenant: &str,
        client: &str,
        certificate_pem: &str,
        key_pem: &SecretString,
        now: Timestamp,
    ) -> Result<Self, AssertionError> {
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| AssertionError::Certificate)?;
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| AssertionError::Certificate)?;
        let key = key(key_pem.expose_secret())?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.public_key().as_ref() {
            return Err(AssertionError::OtherKey);
        }
        // Dates that jiff cannot express lie in other millennia.
        let moment = |seconds, else_| Timestamp::from_second(seconds).unwrap_or(else_);
        let begin = moment(certificate.validity().not_before.timestamp(), Timestamp::MIN);
        let end = moment(certificate.validity().not_after.timestamp(), Timestamp::MAX);
        if now > end {
            return Err(AssertionError::Expired(end));
        }
        if now < begin {
            return Err(AssertionError::NotYetValid(begin));
        }
        Ok(Self(Arc::new(Parts {
            key,
            thumbprint: encoded(ring::digest::digest(&ring::digest::SHA256, &der)),
            audience: format!("{}/{tenant}/oauth2/v2.0/token", authority.as_str().trim_end_matches('/')),
            client: client.to_owned(),
        })))
    }

    fn signed(&self, now: Timestamp) -> Result<String, AssertionError> {
        let Parts { key, thumbprint, audience, client } = &*self.0;
        let random = SystemRandom::new();
        let mut bytes = [0; 16];
        random.fill(&mut bytes).map_err(|_| AssertionError::Signature)?;
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        let begin = now.as_second();
        let header = json!({ "alg": "RS256", "typ": "JWT", "x5t#S256": thumbprint });
        let claims = json!({
            "aud": audience, "iss": client, "sub": client, "jti": id.to_string(),
            "nbf": begin, "exp": begin + LIFETIME.as_secs()
        });
        let part = |value: &Value| encoded(value.to_string());
        let text = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .map_err(|_| AssertionError::Signature)?;
        Ok(format!("{text}.{}", encoded(signature)))
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key(pem: &str) -> Result<RsaKeyPair, AssertionError> {
    // Both forms say so: `BEGIN ENCRYPTED PRIVATE KEY`, and `Proc-Type: 4,ENCRYPTED`.
    if pem.contains("ENCRYPTED") {
        return Err(AssertionError::Encrypted);
    }
    match PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| AssertionError::Key)? {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        // SEC 1 holds elliptic curves; the enum is open to kinds that are new.
        _ => return Err(AssertionError::NotRsa),
    }
    .map_err(|_| AssertionError::NotRsa)
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assertion").field("thumbprint", &self.0.thumbprint).finish_non_exhaustive()
    }
}

/// The trait is `azure_identity`'s, and so is the need for `async_trait`.
#[async_trait::async_trait]
impl ClientAssertion for Assertion {
    async fn secret(&self, _options: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        self.signed(Timestamp::now()).map_err(|error| azure_core::Error::new(ErrorKind::Credential, error))
    }
}
