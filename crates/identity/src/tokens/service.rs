//! Room `identity`: access tokens whose signature was found right before.
//!
//! A signature takes longer to verify than a quick request takes for all the rest, and who calls
//! often calls with the same token. What was verified is found again by the digest of the whole
//! token, so whatever differs in a single character is verified anew. Only the signature is
//! remembered: whether the key still counts, whether the token is due and whether it was revoked is
//! asked each time.

use std::time::Duration;

use misy_core::{Timestamp, crypto};
use moka::sync::Cache;

use super::model::{self, Claims, Error, PublicKey};

/// Tokens that are remembered at most, some 300 bytes each.
const KEPT_MAX: u64 = 20_000;

/// What a token said, and with which key.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    kid: String,
    key: PublicKey,
    claims: Claims,
}

impl Known {
    /// What it says, if it is still to be believed. `find_key` is the table of keys.
    pub(crate) fn believe(
        self,
        now: Timestamp,
        find_key: impl Fn(&str) -> Option<PublicKey>,
    ) -> Result<Claims, Error> {
        if find_key(&self.kid) != Some(self.key) {
            return Err(Error::UnknownKey);
        }
        let (exp, iat) = (self.claims.expires_at.as_second(), self.claims.issued_at.as_second());
        if model::is_due(now, exp, iat, iat) { Ok(self.claims) } else { Err(Error::Expired) }
    }
}

/// The tokens that this process has verified lately.
pub(crate) struct KnownTokens(Cache<[u8; 32], Known>);

impl KnownTokens {
    /// Remembers each for as long as one of ours lives.
    pub(crate) fn new(token_s: u32) -> Self {
        let kept = Duration::from_secs(token_s.into());
        Self(Cache::builder().max_capacity(KEPT_MAX).time_to_live(kept).build())
    }

    /// What is known of a token.
    pub(crate) fn find(&self, token: &str) -> Option<Known> {
        self.0.get(&crypto::sha256(token.as_bytes()))
    }

    /// Notes that a token was verified with this key.
    pub(crate) fn note(&self, token: &str, kid: &str, key: PublicKey, claims: &Claims) {
        let known = Known { kid: kid.to_owned(), key, claims: claims.clone() };
        self.0.insert(crypto::sha256(token.as_bytes()), known);
    }
}

#[cfg(test)]
mod tests {
    use misy_core::id::TypedId;
    use misy_core::{OperatorId, Proof, SessionId};
    use uuid::Uuid;

    use super::super::model::Subject;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn claims() -> Claims {
        Claims {
            subject: Subject::Operator(OperatorId::from_uuid(Uuid::from_u128(1))),
            session: SessionId::from_uuid(Uuid::from_u128(2)),
            sv: 1,
            uv: 1,
            limited: false,
            proof: Proof::default(),
            id: Uuid::from_u128(3),
            issued_at: at(1_000),
            expires_at: at(1_300),
        }
    }

    #[test]
    fn only_the_very_token_that_was_verified_is_known() {
        let tokens = KnownTokens::new(300);
        tokens.note("a.b.c", "key", PublicKey([1; 32]), &claims());
        assert!(tokens.find("a.b.c").is_some());
        assert!(tokens.find("a.b.d").is_none());
        assert!(tokens.find("a.b.c ").is_none());
    }

    #[test]
    fn what_is_known_is_believed_while_key_and_time_allow() {
        let known = Known { kid: "key".to_owned(), key: PublicKey([1; 32]), claims: claims() };
        let find = |kid: &str| (kid == "key").then_some(PublicKey([1; 32]));
        assert_eq!(known.clone().believe(at(1_299), find), Ok(claims()));
        assert_eq!(known.clone().believe(at(1_300), find), Err(Error::Expired));
        assert_eq!(known.clone().believe(at(900), find), Err(Error::Expired));
        assert_eq!(known.clone().believe(at(1_100), |_| None), Err(Error::UnknownKey));
        let another = |_: &str| Some(PublicKey([2; 32]));
        assert_eq!(known.believe(at(1_100), another), Err(Error::UnknownKey));
    }
}
