//! Room `identity`: why a directory's request is refused (RFC 7644 section 3.12).

use misy_core::{Code, Public};

/// What fails around SCIM. The texts go to whoever runs the directory; they name attributes and
/// never repeat a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body is not what the operation takes.
    #[error("the request cannot be read: {0}")]
    Syntax(String),
    /// The filter is not one, or asks for what cannot be compared.
    #[error("the filter cannot be read: {0}")]
    Filter(String),
    /// The path of a patch leads nowhere.
    #[error("the path leads nowhere: {0}")]
    Path(String),
    /// A patch selects what is not there.
    #[error("nothing is selected: {0}")]
    NoTarget(String),
    /// An attribute has a value that it cannot have.
    #[error("a value is not possible: {0}")]
    Value(String),
    /// An attribute cannot be written.
    #[error("an attribute cannot be changed: {0}")]
    Mutability(String),
    /// Another has this name already.
    #[error("it is taken: {0}")]
    Uniqueness(String),
    /// More would be looked through than one request may cost.
    #[error("too many to look through")]
    TooMany,
    /// No such person or group in this tenant.
    #[error("no such resource")]
    NotFound,
    /// A directory may not do this to an owner.
    #[error("an owner is kept by hand")]
    Owner,
    /// What RFC 7644 describes and this program does not do.
    #[error("not supported")]
    Unsupported,
}

impl Error {
    /// The word of RFC 7644 table 9, where there is one.
    pub(crate) fn scim_type(&self) -> Option<&'static str> {
        match self {
            Self::Syntax(_) => Some("invalidSyntax"),
            Self::Filter(_) => Some("invalidFilter"),
            Self::Path(_) => Some("invalidPath"),
            Self::NoTarget(_) => Some("noTarget"),
            Self::Value(_) => Some("invalidValue"),
            Self::Mutability(_) => Some("mutability"),
            Self::Uniqueness(_) => Some("uniqueness"),
            Self::TooMany => Some("tooMany"),
            Self::NotFound | Self::Owner | Self::Unsupported => None,
        }
    }

    /// The HTTP status that RFC 7644 gives it.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Uniqueness(_) => 409,
            Self::NotFound => 404,
            Self::Owner => 403,
            Self::Unsupported => 501,
            _ => 400,
        }
    }
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::Uniqueness(_) => Code::Conflict,
            Self::NotFound | Self::Unsupported => Code::NotFound,
            Self::Owner => Code::PermissionDenied,
            _ => Code::MalformedRequest,
        }
    }
    fn detail(&self) -> Option<String> {
        let text = match self {
            Self::Owner => "Owners are made, changed and removed by an owner, not by a directory.",
            Self::TooMany => {
                "Ask with a filter like `userName eq \"...\"`, or page by `startIndex`."
            }
            Self::NotFound => return None,
            Self::Unsupported => "This part of SCIM is not supported.",
            other => return Some(format!("{other}.")),
        };
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7644 tables 8 and 9.
    #[test]
    fn every_refusal_has_the_status_and_the_word_of_the_rfc() {
        let text = || "x".to_owned();
        let known = [
            (Error::Syntax(text()), 400, Some("invalidSyntax")),
            (Error::Filter(text()), 400, Some("invalidFilter")),
            (Error::Path(text()), 400, Some("invalidPath")),
            (Error::NoTarget(text()), 400, Some("noTarget")),
            (Error::Value(text()), 400, Some("invalidValue")),
            (Error::Mutability(text()), 400, Some("mutability")),
            (Error::Uniqueness(text()), 409, Some("uniqueness")),
            (Error::TooMany, 400, Some("tooMany")),
            (Error::NotFound, 404, None),
            (Error::Owner, 403, None),
            (Error::Unsupported, 501, None),
        ];
        for (error, status, word) in known {
            assert_eq!((error.status(), error.scim_type()), (status, word), "{error}");
            let code = error.code().status();
            assert!(code == status || status == 501, "{error}: {code}");
            assert_eq!(error.detail().is_none(), error == Error::NotFound, "{error}");
        }
    }
}
