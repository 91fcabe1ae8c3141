//! JSON web tokens, signed with the keys of the tests.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{digest, rand::SystemRandom, signature};
use serde_json::Value;

pub(crate) const CLIENT_KEY: &str = include_str!("../keys/client.key");
pub(crate) const OTHER_KEY: &str = include_str!("../keys/other.key");

pub(crate) fn signed(header: &Value, claims: &Value, algorithm: &str, key: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let key = signature::RsaKeyPair::from_pkcs8(&der(key)).unwrap();
    let scheme: &dyn signature::RsaEncoding =
        if algorithm == "PS256" { &signature::RSA_PSS_SHA256 } else { &signature::RSA_PKCS1_SHA256 };
    let mut signed = vec![0; key.public().modulus_len()];
    key.sign(scheme, &SystemRandom::new(), text.as_bytes(), &mut signed).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signed))
}

/// The thumbprint of a certificate, as `x5t#S256` has it.
pub(crate) fn sha256(certificate: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &der(certificate)))
}

/// The thumbprint of a certificate, as `x5t` has it.
pub(crate) fn sha1(certificate: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &der(certificate)))
}

fn der(pem: &str) -> Vec<u8> {
    let lines = pem.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    let text: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
    STANDARD.decode(text).unwrap()
}
