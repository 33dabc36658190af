//! Room `core`: cryptography as pure functions over `aws-lc-rs`.
//!
//! A sealed field is `magic "MB1" | algorithm 1 | key version u32 | nonce 24 | commitment 32 |
//! ciphertext and tag`. Its key is derived from the tenant's key, the nonce and the place (table,
//! column, row), so one AES-256-GCM key encrypts one value, and the tenant and place are the
//! associated data as well: a ciphertext pasted elsewhere does not open. The commitment rules out
//! a ciphertext that opens under two keys (invisible salamanders,
//! <https://eprint.iacr.org/2019/016>).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use aws_lc_rs::{constant_time, digest, hkdf, hmac};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::TenantId;
use crate::id::TypedId;

pub mod others;

const MAGIC: &[u8; 3] = b"MB1";
const ALGORITHM: u8 = 1;
const NONCE_BYTES: usize = 24;
const COMMITMENT_BYTES: usize = 32;
const HEADER_BYTES: usize = 3 + 1 + 4 + NONCE_BYTES + COMMITMENT_BYTES;

/// Bytes of randomness that [`seal`] takes.
pub const SEAL_NONCE_BYTES: usize = NONCE_BYTES;

/// 256 bits that seal or derive; wiped when dropped, never printed.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// Takes the bytes of a key into custody.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// `None` unless there are exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::new)
    }

    /// The bytes, for wrapping.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key for one purpose (HKDF-SHA256, RFC 5869); keys of different purposes are independent.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Self {
        let mut bytes = [0; 32];
        expand(&self.0[..], b"misybot", &[b"derive", purpose.as_bytes()], &mut bytes);
        Self::new(bytes)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Where a sealed value lives. It opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// The table, or the purpose for a value outside the database.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The row's id.
    pub row: Uuid,
}

impl Place<'_> {
    fn bytes(&self) -> Vec<u8> {
        let tenant = self.tenant.uuid().into_bytes();
        let row = self.row.into_bytes();
        frame(&[&tenant, self.table.as_bytes(), self.column.as_bytes(), &row])
    }
}

/// A sealed value did not open: another key, another place, or it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open under this key and place")]
pub struct OpenError;

/// Seals a value for one place. `nonce` must be fresh random bytes.
pub fn seal(
    key: &Key,
    version: u32,
    place: &Place<'_>,
    nonce: [u8; NONCE_BYTES],
    plain: &[u8],
) -> Vec<u8> {
    let aad = place.bytes();
    let (field_key, commitment) = field_key(key, &nonce, &aad);
    let mut sealed = Vec::with_capacity(HEADER_BYTES + plain.len() + 16);
    sealed.extend_from_slice(MAGIC);
    sealed.push(ALGORITHM);
    sealed.extend_from_slice(&version.to_be_bytes());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&commitment);
    let mut text = plain.to_vec();
    field_key
        .seal_in_place_append_tag(zero_nonce(), Aad::from(&aad), &mut text)
        .expect("a field is far below the 64 GiB that AES-GCM can seal");
    sealed.append(&mut text);
    sealed
}

/// The key version a sealed value names; `None` if it is not one of ours.
pub fn sealed_version(sealed: &[u8]) -> Option<u32> {
    let rest = sealed.strip_prefix(MAGIC)?.strip_prefix(&[ALGORITHM])?;
    rest.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Opens what [`seal`] made for the same key and place.
pub fn open(key: &Key, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    sealed_version(sealed).ok_or(OpenError)?;
    let (header, text) = sealed.split_at_checked(HEADER_BYTES).ok_or(OpenError)?;
    let (nonce, commitment) = header[8..].split_at(NONCE_BYTES);
    let aad = place.bytes();
    let (field_key, expected) = field_key(key, nonce, &aad);
    constant_time::verify_slices_are_equal(commitment, &expected).map_err(|_| OpenError)?;
    let mut text = Zeroizing::new(text.to_vec());
    let length = field_key
        .open_in_place(zero_nonce(), Aad::from(&aad), &mut text)
        .map_err(|_| OpenError)?
        .len();
    text.truncate(length);
    Ok(text)
}

fn field_key(key: &Key, nonce: &[u8], aad: &[u8]) -> (LessSafeKey, [u8; COMMITMENT_BYTES]) {
    let mut derived = Zeroizing::new([0; 32 + COMMITMENT_BYTES]);
    expand(&key.0[..], nonce, &[b"field", aad], &mut derived[..]);
    let (bytes, commitment) = derived.split_at(32);
    let unbound = UnboundKey::new(&AES_256_GCM, bytes).expect("the key has 32 bytes");
    let commitment = commitment.try_into().expect("split at its length");
    (LessSafeKey::new(unbound), commitment)
}

/// The derived key is used once, so the nonce inside AES-GCM may be constant.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

struct Length(usize);
impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(key: &[u8], salt: &[u8], info: &[&[u8]], out: &mut [u8]) {
    let info = frame(info);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(key)
        .expand(&[&info], Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .expect("at most 64 bytes are asked for, HKDF-SHA256 gives 8160");
}

/// Joins parts so that no two different lists give the same bytes.
fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let mut framed = Vec::new();
    for part in parts {
        framed.extend_from_slice(&(part.len() as u64).to_be_bytes());
        framed.extend_from_slice(part);
    }
    framed
}

/// SHA-256 (FIPS 180-4).
pub fn sha256(data: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, data).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// HMAC-SHA256 (RFC 2104).
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
    tag.as_ref().try_into().expect("HMAC-SHA256 gives 32 bytes")
}

/// Whether `tag` is the HMAC-SHA256 of `data`, compared in constant time.
pub fn verify_hmac_sha256(key: &[u8], data: &[u8], tag: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), data, tag).is_ok()
}

/// The public key of a seed (Ed25519, RFC 8032).
pub fn ed25519_public(seed: &[u8; 32]) -> [u8; 32] {
    let pair = pair_of(seed);
    pair.public_key().as_ref().try_into().expect("an Ed25519 key has 32 bytes")
}

/// An Ed25519 signature (RFC 8032).
pub fn ed25519_sign(seed: &[u8; 32], data: &[u8]) -> [u8; 64] {
    let signature = pair_of(seed).sign(data);
    signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
}

/// Whether it is the Ed25519 signature of `data` by the owner of the public key.
pub fn ed25519_verify(public: &[u8], data: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(data, signature).is_ok()
}

fn pair_of(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32 bytes are a seed")
}

/// Whether two byte strings are equal, in a time that depends only on their lengths.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Lower-case hexadecimal text.
pub fn to_hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Reads hexadecimal text of either case.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

/// Unpadded base64 that is safe in URLs (RFC 4648 section 5).
pub fn to_base64url(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}

/// Reads what [`to_base64url`] wrote.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests;
