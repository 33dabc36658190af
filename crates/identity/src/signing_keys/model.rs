//! Room `identity`: which key signs and which still verify.

use std::sync::Arc;

use misy_core::Timestamp;
use uuid::Uuid;

use crate::tokens::{PublicKey, Sealer};

/// A signing key as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct SigningKey {
    pub(crate) id: Uuid,
    pub(crate) public: PublicKey,
    pub(crate) sealed_seed: Vec<u8>,
    /// Published from its making on, it signs from here on: verifiers that keep the published set
    /// for a while know it by then.
    pub(crate) signs_from: Timestamp,
}

/// The keys in force, oldest first.
#[derive(Default)]
pub(crate) struct Ring {
    keys: Vec<(Arc<Sealer>, Timestamp)>,
}

impl Ring {
    pub(crate) fn new(mut keys: Vec<(Arc<Sealer>, Timestamp)>) -> Self {
        keys.sort_by(|(a, a_from), (b, b_from)| (a_from, a.kid()).cmp(&(b_from, b.kid())));
        Self { keys }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The newest key whose time has come; the first one ever signs at once.
    pub(crate) fn signer(&self, now: Timestamp) -> Option<&Arc<Sealer>> {
        let due = self.keys.iter().rev().find(|(_, from)| *from <= now);
        due.or_else(|| self.keys.first()).map(|(sealer, _)| sealer)
    }

    pub(crate) fn find(&self, kid: &str) -> Option<PublicKey> {
        self.keys.iter().find(|(sealer, _)| sealer.kid() == kid).map(|(sealer, _)| sealer.public())
    }

    /// Every key that verifies, for publication.
    pub(crate) fn public_keys(&self) -> Vec<(String, PublicKey)> {
        self.keys.iter().map(|(sealer, _)| (sealer.kid().to_owned(), sealer.public())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn sealer(n: u8) -> Arc<Sealer> {
        Arc::new(Sealer::new(Uuid::from_u128(n.into()), &[n; 32]))
    }

    #[test]
    fn a_new_key_verifies_at_once_and_signs_when_its_time_has_come() {
        let ring = Ring::new(vec![(sealer(2), at(200)), (sealer(1), at(100))]);
        let signer = |now| ring.signer(at(now)).map(|sealer| sealer.kid().to_owned());
        assert_eq!(signer(199).as_deref(), Some(sealer(1).kid()));
        assert_eq!(signer(200).as_deref(), Some(sealer(2).kid()));
        assert_eq!(signer(50).as_deref(), Some(sealer(1).kid()), "a clock behind still signs");
        assert_eq!(ring.find(sealer(2).kid()), Some(sealer(2).public()));
        assert_eq!(ring.find("another"), None);
    }
}
