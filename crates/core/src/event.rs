//! Room `core`: what can happen that is told to the outside, and what is said of it. Verticals say
//! it ([`Happening`]), the outbox writes it, `integration` brings it to those who want it; none of
//! them sees another. The types here are the schemas of `/v1/event-types`.

use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::{
    ChannelId, ContactId, ConversationId, EndpointId, MessageId, OnboardingWorkflowId, ReceiptId,
    SourceId, TenantId, Timestamp, UserId,
};

macro_rules! event_types {
    ($($name:ident = $slug:literal, $about:literal, $data:ty;)*) => {
        /// A type of event. The slug and what it says never change once published; what changes
        /// incompatibly becomes another type.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventType {
            $(#[doc = $about] $name,)*
        }

        impl EventType {
            /// Every type, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable name, for example `message.received`.
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// When it is told.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)* }
            }

            /// The schema of its data.
            pub fn schema(self) -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                match self {
                    $(Self::$name => <$data as utoipa::PartialSchema>::schema(),)*
                }
            }

            /// The named schemas that [`Self::schema`] refers to.
            pub fn named(self) -> Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)> {
                let mut named = Vec::new();
                match self {
                    $(Self::$name => <$data as utoipa::ToSchema>::schemas(&mut named),)*
                }
                named
            }
        }
    };
}

event_types! {
    MessageReceived = "message.received", "A customer's message was stored.", MessageData;
    MessageSent = "message.sent", "The provider took a message to a customer.", MessageStatusData;
    MessageDelivered = "message.delivered", "A message reached the customer's device.",
        MessageStatusData;
    MessageRead = "message.read", "The customer has seen a message.", MessageStatusData;
    MessageFailed = "message.failed", "A message could not be delivered.", MessageStatusData;
    ConversationCreated = "conversation.created", "A conversation with a contact began.",
        ConversationData;
    ConversationHandedOver = "conversation.handed_over",
        "The customer waits for a person from now on.", ConversationData;
    ConversationUpdated = "conversation.updated",
        "Status or assignment of a conversation was changed.", ConversationData;
    ContactCreated = "contact.created", "Somebody wrote who was not known.", ContactData;
    OnboardingStepCompleted = "onboarding.step_completed",
        "A step of the tenant's onboarding was done or skipped.", OnboardingData;
    OnboardingCompleted = "onboarding.completed",
        "The last step of the tenant's onboarding was settled.", OnboardingData;
    EndpointDisabled = "webhook_endpoint.disabled",
        "An endpoint was switched off because it was gone or failed for days.", EndpointData;
    QuotaWarning = "quota.warning", "Most of what the plan allows is used.", QuotaData;
    QuotaReached = "quota.reached", "All that the plan allows is used.", QuotaData;
    TenantActivated = "tenant.activated", "The operator lets the tenant work.", TenantData;
    TenantSuspended = "tenant.suspended",
        "The operator has stopped the tenant; told once it works again.", TenantData;
    TenantClosed = "tenant.closed",
        "The operator has closed the tenant; told if it is restored.", TenantData;
    TenantRestored = "tenant.restored", "The tenant is no longer closed.", TenantData;
    TenantPlanChanged = "tenant.plan_changed", "The tenant has another plan from now on.",
        TenantData;
    SourceReceived = "webhook_source.received",
        "Something genuine was received from another service.", ReceivedData;
    SourceRefusing = "webhook_source.refusing",
        "Many requests to a source were refused within minutes.", RefusingData;
    Test = "webhook_endpoint.test", "A test that somebody asked for.", EndpointData;
}

impl EventType {
    /// The version of what is said of it.
    pub const VERSION: u32 = 1;

    /// Reads [`EventType::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.slug() == text)
    }

    /// Its part before the dot. Events of tenants' own keep away from these.
    pub fn area(self) -> &'static str {
        self.slug().split('.').next().unwrap_or_default()
    }
}

/// A customer's message.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct MessageData {
    /// The message.
    pub message_id: MessageId,
    /// Where it belongs.
    pub conversation_id: ConversationId,
    /// Who wrote it.
    pub contact_id: ContactId,
    /// Over which channel account it came.
    pub channel_id: ChannelId,
    /// What it says, as in `GET /v1/messages/{id}`.
    #[schema(value_type = Object)]
    pub content: Value,
    /// The provider's id of it.
    pub external_id: String,
    /// When the customer sent it.
    #[schema(value_type = String, format = DateTime)]
    pub sent_at: Timestamp,
}

/// How far a message to a customer has come.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct MessageStatusData {
    /// The message.
    pub message_id: MessageId,
    /// Where it belongs.
    pub conversation_id: ConversationId,
    /// Over which channel account it went.
    pub channel_id: ChannelId,
    /// `sent`, `delivered`, `read` or `failed`.
    pub status: &'static str,
    /// The provider's id of it.
    pub external_id: Option<String>,
    /// Why it failed.
    #[schema(value_type = Option<Object>)]
    pub failure: Option<Value>,
}

/// Where a conversation stands.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ConversationData {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// With whom.
    pub contact_id: Option<ContactId>,
    /// Over which channel account answers go.
    pub channel_id: Option<ChannelId>,
    /// `open`, `waiting` or `closed`.
    pub status: &'static str,
    /// Who looks after it.
    pub assignee_id: Option<UserId>,
}

/// A contact.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ContactData {
    /// The contact.
    pub contact_id: ContactId,
    /// Over which channel account it wrote.
    pub channel_id: Option<ChannelId>,
}

/// Where a tenant stands in its onboarding.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct OnboardingData {
    /// What it is led through.
    pub workflow_id: OnboardingWorkflowId,
    /// In which version.
    pub workflow_version: i64,
    /// Which step was settled.
    pub step: Option<String>,
    /// `done` or `skipped`.
    pub state: Option<&'static str>,
    /// How many steps are settled.
    pub settled: usize,
    /// Of how many.
    pub steps: usize,
}

/// A webhook endpoint.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct EndpointData {
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// Why, in a word: `gone`, `failing`, `test`.
    pub reason: &'static str,
}

/// How much of a limit is used.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct QuotaData {
    /// What is limited, as in `GET /v1/tenant/usage`.
    pub name: &'static str,
    /// How much is used.
    pub used: i64,
    /// How much may be.
    pub max_count: i64,
    /// The month, as `2026-11`; each is told once in it.
    pub period: String,
}

/// What became of a tenant.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = TenantEventData)]
pub struct TenantData {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Where it stood then.
    pub status: &'static str,
    /// Why, if it was stopped: `billing`, `abuse`, `admin` or `legal`.
    pub reason: Option<String>,
    /// Its plan then.
    pub plan: String,
    /// Its plan before, if that changed.
    pub plan_before: Option<String>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Something that another service sent.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ReceivedData {
    /// From which source.
    pub source_id: SourceId,
    /// What was received, with headers and raw body, at `GET /v1/source-receipts/{id}`.
    pub receipt_id: ReceiptId,
    /// The sender's own id of it.
    pub external_id: Option<String>,
    /// The sender's own type of it, as far as its scheme says where that is: `orders/create`.
    pub external_type: Option<String>,
    /// What it says, as the source's mapping has it: the body, if it is JSON.
    #[schema(value_type = Object)]
    pub content: Value,
}

/// A source whose senders are refused.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct RefusingData {
    /// The source.
    pub source_id: SourceId,
    /// Why the last one was refused, in a word, like `signature_mismatch`.
    pub reason: &'static str,
    /// How many were refused since the count began, some minutes ago.
    pub refusals: i64,
}

/// Something that happened.
pub trait Happening: Serialize {
    /// Of which type it is.
    fn kind(&self) -> EventType;

    /// Over which channel account it happened.
    fn channel(&self) -> Option<ChannelId> {
        None
    }
}

/// Data together with the type that it is told as.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Told<T> {
    #[serde(skip)]
    kind: EventType,
    #[serde(skip)]
    channel: Option<ChannelId>,
    data: T,
}

impl<T: Serialize> Happening for Told<T> {
    fn kind(&self) -> EventType {
        self.kind
    }

    fn channel(&self) -> Option<ChannelId> {
        self.channel
    }
}

impl<T> Told<T> {
    /// Tells `data` as an event of this type, over this channel account.
    pub const fn new(kind: EventType, channel: Option<ChannelId>, data: T) -> Self {
        Self { kind, channel, data }
    }
}

#[derive(Serialize)]
struct Envelope<'a, T: ?Sized> {
    r#type: &'a str,
    timestamp: Timestamp,
    data: &'a T,
}

/// What is sent of an event, as text. It is kept and signed as it is here.
pub fn envelope<T: Serialize + ?Sized>(kind: &str, at: Timestamp, data: &T) -> String {
    let data = serde_json::value::to_raw_value(data);
    let data = data.expect("events are structs of ids, texts, times and JSON, which serialise");
    let envelope = Envelope::<RawValue> { r#type: kind, timestamp: at, data: &data };
    serde_json::to_string(&envelope).expect("text, a time and JSON serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TypedId;

    #[test]
    fn every_type_has_a_name_of_its_own_that_reads_back() {
        for one in EventType::ALL {
            assert_eq!(EventType::parse(one.slug()), Some(*one));
            assert!(one.about().ends_with('.') && one.slug().split('.').count() == 2, "{one:?}");
        }
    }

    #[test]
    fn an_envelope_is_type_timestamp_and_data_in_this_order() {
        let contact_id = ContactId::from_uuid(uuid::Uuid::from_u128(7));
        let data = ContactData { contact_id, channel_id: None };
        let told = Told::new(EventType::ContactCreated, None, data);
        let text = envelope(told.kind().slug(), Timestamp::UNIX_EPOCH, &told);
        let wanted = "{\"type\":\"contact.created\",\"timestamp\":\"1970-01-01T00:00:00Z\",\
            \"data\":{\"contact_id\":\"con_00000000000000000000000007\",\"channel_id\":null}}";
        assert_eq!(text, wanted);
    }
}
