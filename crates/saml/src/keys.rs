//! Room `saml`: our key for one provider, and the certificate that carries its public half.

use std::fmt;

use misy_core::Secret;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair as Pair, PKCS_RSA_SHA256};

use crate::Refusal;

/// A private key and its certificate.
#[derive(Clone)]
pub struct KeyPair {
    /// PKCS #8 in PEM.
    pub private: Secret,
    /// The certificate in PEM.
    pub certificate: String,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(…)")
    }
}

impl KeyPair {
    /// A new RSA key of 2048 bits, the one kind that every provider takes.
    pub fn generate(name: &str) -> Result<Self, Refusal> {
        let pair = Pair::generate_for(&PKCS_RSA_SHA256).map_err(|_| Refusal::Settings)?;
        Self::read(Secret::new(pair.serialize_pem()), name)
    }

    /// From a private key in PEM.
    pub fn read(private: Secret, name: &str) -> Result<Self, Refusal> {
        let certificate = certificate_of(&private, name)?;
        Ok(Self { private, certificate })
    }
}

/// The certificate of a private key. Always the same for the same key and name, so that it need not
/// be kept: its times and its number are fixed, and RSA PKCS #1 v1.5 signs without randomness.
/// Providers take the key from it and look at nothing else.
pub fn certificate_of(private: &Secret, name: &str) -> Result<String, Refusal> {
    let pair = Pair::from_pem_and_sign_algo(private.expose(), &PKCS_RSA_SHA256);
    let pair = pair.map_err(|_| Refusal::Settings)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(1_u64.into());
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
    let certificate = params.self_signed(&pair).map_err(|_| Refusal::Settings)?;
    Ok(certificate.pem())
}

/// Whether a text is a certificate, in PEM or bare base64, whose key can verify.
pub fn is_certificate(text: &str) -> bool {
    text.len() <= 16 * 1_024 && saml_rs::crypto::keys::load_certificate(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_certificate_for_a_name() {
        let pair = KeyPair::generate("sso_1").expect("a key");
        assert_eq!(certificate_of(&pair.private, "sso_1"), Ok(pair.certificate.clone()));
        assert_ne!(certificate_of(&pair.private, "sso_2"), Ok(pair.certificate.clone()));
        assert_eq!(format!("{pair:?}"), "KeyPair(…)");
    }

    #[test]
    fn what_is_no_rsa_key_is_refused() {
        let curve = Pair::generate().expect("a key").serialize_pem();
        for text in ["", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----", &curve] {
            let refused = KeyPair::read(Secret::new(text.to_owned()), "x");
            assert_eq!(refused.err(), Some(Refusal::Settings));
        }
    }
}
