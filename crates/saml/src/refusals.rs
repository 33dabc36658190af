//! Room `saml`: why a message is not believed. The administrator reads the slug; the visitor learns
//! nothing of it.

use saml_rs::SamlError;
use saml_rs::error::SubjectConfirmationReason;

/// Why a message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// It is larger, deeper or longer than any honest message.
    #[error("the message is too large")]
    TooLarge,
    /// It holds what no honest message holds: a DTD, an entity, a comment, a second assertion.
    #[error("the message holds what it must not")]
    Hostile,
    /// It is no message of SAML, or not one of this kind.
    #[error("the message cannot be read")]
    Malformed,
    /// It is from another issuer.
    #[error("the issuer is another")]
    Issuer,
    /// It is for another address.
    #[error("the destination is another")]
    Destination,
    /// It is for another audience, or for none.
    #[error("the audience is another")]
    Audience,
    /// The subject is confirmed for another address or request, or not at all.
    #[error("the subject is not confirmed for us")]
    Confirmation,
    /// It answers another request, or answers one where none was asked.
    #[error("it answers another request")]
    InResponseTo,
    /// It is over, or not yet begun.
    #[error("it is not valid at this time")]
    Expired,
    /// What must be signed is not.
    #[error("a signature is missing")]
    Unsigned,
    /// A signature is wrong, by another key, or over something else.
    #[error("a signature is not good")]
    Signature,
    /// An algorithm is too weak or unknown.
    #[error("an algorithm is not allowed")]
    Algorithm,
    /// It is encrypted and does not open.
    #[error("it cannot be decrypted")]
    Encryption,
    /// The provider says that the person did not get in.
    #[error("the provider refused")]
    Status,
    /// It came before.
    #[error("it was used before")]
    Replayed,
    /// The connection is not whole: a certificate or an address is missing or no such thing.
    #[error("the connection's settings do not work")]
    Settings,
}

impl Refusal {
    /// One word for the audit log and for metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::TooLarge => "saml_too_large",
            Self::Hostile => "saml_hostile",
            Self::Malformed => "saml_malformed",
            Self::Issuer => "saml_issuer",
            Self::Destination => "saml_destination",
            Self::Audience => "saml_audience",
            Self::Confirmation => "saml_confirmation",
            Self::InResponseTo => "saml_in_response_to",
            Self::Expired => "saml_expired",
            Self::Unsigned => "saml_unsigned",
            Self::Signature => "saml_signature",
            Self::Algorithm => "saml_algorithm",
            Self::Encryption => "saml_encryption",
            Self::Status => "saml_status",
            Self::Replayed => "saml_replayed",
            Self::Settings => "saml_settings",
        }
    }
}

impl From<SamlError> for Refusal {
    /// The library's texts may repeat what a message says, so only the kind goes on.
    fn from(error: SamlError) -> Self {
        match error {
            SamlError::IssuerMismatch { .. } | SamlError::UnmatchIssuer => Self::Issuer,
            SamlError::DestinationMismatch { .. } | SamlError::UnmatchDestination => {
                Self::Destination
            }
            SamlError::AudienceMismatch { .. } | SamlError::UnmatchAudience => Self::Audience,
            SamlError::TimeWindowInvalid { .. }
            | SamlError::ExpiredSession
            | SamlError::SubjectConfirmationInvalid {
                reason: SubjectConfirmationReason::TimeWindowInvalid,
            } => Self::Expired,
            SamlError::SubjectConfirmationInvalid { .. } | SamlError::SubjectUnconfirmed => {
                Self::Confirmation
            }
            SamlError::InResponseToMismatch { .. }
            | SamlError::InvalidInResponseTo
            | SamlError::RelayStateMismatch { .. } => Self::InResponseTo,
            SamlError::SignatureMissing
            | SamlError::AssertionSignatureRequired
            | SamlError::SignedReferenceMismatch => Self::Unsigned,
            SamlError::SignatureVerification { .. }
            | SamlError::ReferenceResolution { .. }
            | SamlError::NoTrustedCertificate
            | SamlError::CertificateMismatch => Self::Signature,
            SamlError::PotentialWrappingAttack | SamlError::PrincipalMismatch => Self::Hostile,
            SamlError::AlgorithmUnsupported => Self::Algorithm,
            SamlError::Crypto(_) => Self::Encryption,
            SamlError::StatusNotSuccess { .. }
            | SamlError::FailedStatus { .. }
            | SamlError::UndefinedStatus => Self::Status,
            SamlError::ReplayDetected { .. } => Self::Replayed,
            SamlError::MissingMetadata(_) | SamlError::MissingKey(_) => Self::Settings,
            _ => Self::Malformed,
        }
    }
}
