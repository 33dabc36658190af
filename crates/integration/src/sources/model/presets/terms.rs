//! Room `integration`: the words in which schemes of providers are written down.

use crate::sources::model::scheme::{
    Algorithm, Challenge, Encoding, KeyForm, Part, Repetition, Scheme, SignedTime, TimeForm,
};

pub(super) fn header(name: &str) -> Part {
    Part::Header(name.to_owned())
}

pub(super) fn field(of: &str, name: &str) -> Part {
    Part::Field { header: of.to_owned(), name: name.to_owned() }
}

pub(super) fn json(pointer: &str) -> Part {
    Part::Json(pointer.to_owned())
}

/// A signature over the body alone, in hexadecimal digits.
pub(super) fn scheme(algorithm: Algorithm, signature: Part) -> Scheme {
    Scheme {
        algorithm,
        signature,
        prefix: String::new(),
        encoding: Encoding::Hex,
        key: KeyForm::Text,
        signed: "{body}".to_owned(),
        timestamp: None,
        id: None,
        kind: None,
        repetition: Repetition::Id,
        challenge: Challenge::None,
    }
}

pub(super) fn hmac(signature: Part) -> Scheme {
    scheme(Algorithm::HmacSha256, signature)
}

impl Scheme {
    pub(super) fn after(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    pub(super) fn base64(mut self) -> Self {
        self.encoding = Encoding::Base64;
        self
    }

    pub(super) fn over(mut self, signed: &str) -> Self {
        signed.clone_into(&mut self.signed);
        self
    }

    pub(super) fn keyed(mut self, key: KeyForm) -> Self {
        self.key = key;
        self
    }

    pub(super) fn at(mut self, part: Part, form: TimeForm, tolerance_s: u32) -> Self {
        self.timestamp = Some(SignedTime { part, form, tolerance_s });
        self
    }

    /// An id that is signed or lies in a body that is.
    pub(super) fn id(mut self, part: Part) -> Self {
        self.id = Some(part);
        self
    }

    /// An id that is not signed.
    pub(super) fn loose_id(mut self, part: Part) -> Self {
        (self.id, self.repetition) = (Some(part), Repetition::IdAndBody);
        self
    }

    pub(super) fn says(mut self, kind: Part) -> Self {
        self.kind = Some(kind);
        self
    }

    pub(super) fn asks(mut self, challenge: Challenge) -> Self {
        self.challenge = challenge;
        self
    }

    pub(super) fn never_repeats(mut self) -> Self {
        self.repetition = Repetition::Never;
        self
    }
}
