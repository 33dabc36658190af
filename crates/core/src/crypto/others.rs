//! Room `core`: checks of signatures that others made by other means than ours. Nothing of ours is
//! signed with these.

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use aws_lc_rs::{digest, hmac};

/// A hash function under an HMAC. SHA-1 is broken as a hash, not under an HMAC (RFC 6194).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    fn key(self, key: &[u8]) -> hmac::Key {
        let algorithm = match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::Key::new(algorithm, key)
    }
}

/// HMAC (RFC 2104).
pub fn hmac(hash: Hash, key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hash.key(key), data).as_ref().to_vec()
}

/// Whether `tag` is the whole HMAC of `data`, compared in constant time.
pub fn verify_hmac(hash: Hash, key: &[u8], data: &[u8], tag: &[u8]) -> bool {
    hmac::verify(&hash.key(key), data, tag).is_ok()
}

/// SHA-512 (FIPS 180-4).
pub fn sha512(data: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA512, data).as_ref().to_vec()
}

/// A signature that is checked by a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicScheme {
    /// Ed25519 (RFC 8032); the key is 32 bytes.
    Ed25519,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017), 2048 to 8192 bits; the key is a
    /// `SubjectPublicKeyInfo`.
    RsaSha256,
    /// The same with SHA-384.
    RsaSha384,
    /// The same with SHA-512.
    RsaSha512,
    /// ECDSA on P-256 with SHA-256, the signature in DER; the key is a `SubjectPublicKeyInfo` or an
    /// uncompressed point.
    EcdsaP256,
    /// The same on P-384 with SHA-384.
    EcdsaP384,
    /// ECDSA on P-256 with SHA-256, the signature as r and s side by side (JWS).
    EcdsaP256Fixed,
    /// The same on P-384 with SHA-384.
    EcdsaP384Fixed,
}

impl PublicScheme {
    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Ed25519 => &ED25519,
            Self::RsaSha256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::RsaSha384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::RsaSha512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384 => &ECDSA_P384_SHA384_ASN1,
            Self::EcdsaP256Fixed => &ECDSA_P256_SHA256_FIXED,
            Self::EcdsaP384Fixed => &ECDSA_P384_SHA384_FIXED,
        }
    }
}

/// Whether it is the signature of `data` by the owner of the public key.
pub fn verify_public(scheme: PublicScheme, key: &[u8], data: &[u8], signature: &[u8]) -> bool {
    let key: UnparsedPublicKey<&[u8]> = signature::UnparsedPublicKey::new(scheme.algorithm(), key);
    key.verify(data, signature).is_ok()
}

/// CRC-32 as in gzip (RFC 1952 section 8), reflected polynomial `0xEDB88320`. No security at all;
/// some sign it in place of the body.
pub fn crc32(data: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    };
    !data.iter().fold(u32::MAX, step)
}
