//! RSA public keys, alone or in certificates.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::{digest, signature};
use x509_parser::{
    certificate::X509Certificate, pem::Pem, prelude::FromDer, public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

/// An RSA public key.
#[derive(Debug)]
pub(crate) struct Key {
    rsa: Vec<u8>,
    certificate: Option<Certificate>,
}

#[derive(Debug)]
struct Certificate {
    sha1: String,
    sha256: String,
    from: i64,
    to: i64,
}

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Ps256,
}

impl Key {
    /// All keys and certificates of a PEM text, or what is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Vec<Self>, String> {
        let mut keys = Vec::new();
        for block in Pem::iter_from_buffer(text.as_bytes()) {
            let Pem { label, contents } = block.map_err(|error| format!("is not PEM: {error}"))?;
            keys.push(match label.as_str() {
                "CERTIFICATE" => Self::of_certificate(&contents)?,
                "PUBLIC KEY" => {
                    let (_, key) = SubjectPublicKeyInfo::from_der(&contents)
                        .map_err(|error| format!("holds no public key: {error}"))?;
                    Self { rsa: rsa(&key)?, certificate: None }
                }
                label => return Err(format!("holds {label}; give CERTIFICATE or PUBLIC KEY")),
            });
        }
        if keys.is_empty() {
            return Err("is not PEM: it has no -----BEGIN".into());
        }
        Ok(keys)
    }

    fn of_certificate(der: &[u8]) -> Result<Self, String> {
        let (_, parsed) =
            X509Certificate::from_der(der).map_err(|error| format!("holds no certificate: {error}"))?;
        let hash = |algorithm| URL_SAFE_NO_PAD.encode(digest::digest(algorithm, der));
        let validity = parsed.validity();
        let certificate = Certificate {
            sha1: hash(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            sha256: hash(&digest::SHA256),
            from: validity.not_before.timestamp(),
            to: validity.not_after.timestamp(),
        };
        Ok(Self { rsa: rsa(parsed.public_key())?, certificate: Some(certificate) })
    }

    /// Whether this is the certificate with the thumbprint, in base 64 for URLs; the longer one counts.
    pub(crate) fn has_thumbprint(&self, sha1: Option<&str>, sha256: Option<&str>) -> bool {
        self.certificate.as_ref().is_some_and(|own| match (sha256, sha1) {
            (Some(given), _) => given.trim_end_matches('=') == own.sha256,
            (None, Some(given)) => given.trim_end_matches('=') == own.sha1,
            (None, None) => false,
        })
    }

    /// Whether it is in its time; a key without a certificate always is.
    pub(crate) fn is_valid_at(&self, now: Timestamp) -> bool {
        self.certificate.as_ref().is_none_or(|own| (own.from..=own.to).contains(&now.as_second()))
    }

    /// Whether its private key has signed `text`.
    pub(crate) fn has_signed(&self, algorithm: Algorithm, text: &str, signed: &[u8]) -> bool {
        let scheme = match algorithm {
            Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        };
        signature::UnparsedPublicKey::new(scheme, &self.rsa).verify(text.as_bytes(), signed).is_ok()
    }
}

fn rsa(key: &SubjectPublicKeyInfo<'_>) -> Result<Vec<u8>, String> {
    match key.parsed() {
        Ok(PublicKey::RSA(_)) => Ok(key.subject_public_key.data.to_vec()),
        Ok(_) | Err(_) => Err("holds a key that is not RSA, which Entra ID does not take".into()),
    }
}
