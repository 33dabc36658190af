//! Room `server`: what the rooms know of a tenant that is led through its onboarding, each asked in
//! one round trip.

use std::sync::Arc;

use async_trait::async_trait;
use misy_conversation::{channels, knowledge_entries, messages};
use misy_core::{Ctx, Timestamp};
use misy_identity::users;
use misy_tenancy::onboarding_workflows::model::Check;
use misy_tenancy::onboardings;

/// Asks the room that knows.
pub(crate) struct Facts {
    pub(crate) identity: Arc<misy_identity::Deps>,
    pub(crate) conversation: Arc<misy_conversation::Deps>,
}

#[async_trait]
impl onboardings::Facts for Facts {
    async fn count(
        &self,
        ctx: &Ctx,
        check: Check,
        since: Timestamp,
    ) -> Result<i64, misy_store::Error> {
        let Self { identity, conversation } = self;
        match check {
            Check::Team => users::count_others(identity, ctx).await,
            Check::Channel => channels::service::count_working(conversation, ctx).await,
            Check::Knowledge => knowledge_entries::service::count(conversation, ctx).await,
            Check::TestConversation => {
                messages::service::count_answered(conversation, ctx, since).await
            }
            // What `tenancy` knows by itself is asked of nobody.
            Check::Form | Check::BusinessProfile | Check::OpeningHours | Check::GoLive => Ok(0),
        }
    }
}
