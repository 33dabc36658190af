//! Room `core`: the vocabulary every other room speaks. Typed ids, the request context,
//! permissions, the catalogue of error codes, clock and entropy as values, secrets, pages, and
//! cryptography as pure functions.
//!
//! Never: input or output, async, the environment, the time of day. A function here gives the same
//! answer for the same arguments, always.

pub mod access;
pub mod ambient;
pub mod boundary;
pub mod crypto;
pub mod ctx;
pub mod error;
pub mod event;
pub mod id;
pub mod mail;
pub mod news;
pub mod page;
pub mod permission;
pub mod secret;

pub use ambient::{Ambient, Clock, Entropy};
pub use boundary::{Claim, Misplaced};
pub use ctx::{Actor, Ctx, PlatformCtx, Proof, RequestId, Trace};
pub use error::{Code, Public};
pub use id::{
    ApiKeyId, AuditId, ChannelId, ContactId, ConversationId, DecisionId, DeliveryId, DomainId,
    EndpointId, EventId, IdentityId, ImpersonationId, InboxId, InvitationId, JobId,
    KnowledgeDocumentId, KnowledgeEntryId, MessageId, OnboardingWorkflowId, OperationId,
    OperatorId, ParseIdError, PolicyId, ReceiptId, RoleId, ScimGroupId, ServiceAccountId,
    SessionId, SignupId, SourceId, SsoConnectionId, TenantId, UserId,
};
pub use mail::{Mail, MailError, Mailer};
pub use news::News;
pub use page::{Cursor, Limit, Page};
pub use permission::{Grants, Permission, Role};
pub use secret::{Personal, Secret};

/// A point in time, UTC; RFC 3339 on the wire.
pub type Timestamp = jiff::Timestamp;
