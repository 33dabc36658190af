//! Room `conversation`: what a new tenant begins with, and the removal of all that it had.

use std::sync::Arc;

use async_trait::async_trait;
use misy_core::{Ctx, Secret};
use misy_jobs::provision::{Found, Promise, Provision, Step, StepError, TenantSeed};
use misy_store::{Audit, TenantData, TenantTable, TenantTx};
use serde_json::{Value, json};
use uuid::Uuid;

use super::store;
use crate::knowledge_entries::model::NewEntry;
use crate::{Deps, channels};

/// What this room keeps of each tenant.
pub const TABLES: [TenantTable; 13] = [
    TenantTable::new("channel_routes").without(&["handshake_digest"]),
    TenantTable::new("channel_events"),
    TenantTable::new("early_statuses"),
    TenantTable::new("inbox").without(&["digest"]),
    TenantTable::new("message_attempts"),
    TenantTable::new("messages").without(&["words"]),
    TenantTable::new("conversations"),
    TenantTable::new("contact_identities"),
    TenantTable::new("contacts"),
    TenantTable::new("knowledge_passages").without(&["words"]),
    TenantTable::new("knowledge_documents"),
    TenantTable::new("knowledge_entries").without(&["words", "question_words", "answer_words"]),
    TenantTable::new("channels").without(&["credentials"]),
];

/// Gives a new tenant the channels and the knowledge that its plan comes with, and takes all
/// conversations from one that is gone.
pub struct Provisioner(pub Arc<Deps>);

impl TenantData for Provisioner {
    fn tables(&self) -> &'static [TenantTable] {
        &TABLES
    }
}

#[async_trait]
impl Step<TenantSeed> for Provisioner {
    fn name(&self) -> &'static str {
        "conversation.starter"
    }

    async fn write(
        &self,
        tx: &mut TenantTx,
        seed: &TenantSeed,
        _: Option<Secret>,
    ) -> Result<(), StepError> {
        let channels = channels(&self.0, &seed.starter["channels"])?;
        give_channels(tx, &seed.site_id, &channels).await?;
        let entries = starter(&seed.starter["knowledge"], &seed.locale)?;
        if entries.is_empty() || store::insert_starter(tx, &entries).await? == 0 {
            return Ok(());
        }
        let audit = Audit::new("knowledge_entry.created", "tenant", seed.id);
        tx.audit(audit.with(json!({ "starter": true, "count": entries.len() })));
        Ok(())
    }

    async fn undo(&self, ctx: &Ctx, _: Uuid) -> Result<(), StepError> {
        self.erase(&self.0.db, ctx).await?;
        Ok(())
    }
}

#[async_trait]
impl Provision for Provisioner {
    async fn find(&self, ctx: &Ctx) -> Result<Vec<Found>, StepError> {
        let rows = self.count(&self.0.db, ctx).await?;
        let found =
            |(table, rows): (TenantTable, i64)| Found::new("postgresql", table.name(), rows);
        let mut all: Vec<Found> = rows.into_iter().map(found).collect();
        let mut tx = self.0.db.read(ctx).await?;
        let fronts = channels::service::fronts(&self.0);
        let counts = channels::store::count_of_kinds(&mut tx, &fronts).await?;
        let found = |(kind, count)| Found::new("postgresql", kind, count);
        all.extend(counts.into_iter().map(found));
        Ok(all)
    }

    /// The channels that the plan gives. One that the tenant has disconnected is not missing.
    fn wanted(&self, promise: &Promise) -> Vec<&'static str> {
        let channels = channels(&self.0, &promise.starter["channels"]).unwrap_or_default();
        channels.into_iter().map(|(kind, _)| kind).collect()
    }

    async fn repair(&self, ctx: &Ctx, promise: &Promise) -> Result<bool, StepError> {
        let channels = channels(&self.0, &promise.starter["channels"])?;
        let mut tx = self.0.db.tenant(ctx).await?;
        give_channels(&mut tx, &promise.site_id, &channels).await?;
        tx.commit().await?;
        Ok(true)
    }
}

async fn give_channels(
    tx: &mut TenantTx,
    site_id: &str,
    channels: &[(&'static str, String)],
) -> Result<(), StepError> {
    let (kinds, names): (Vec<_>, Vec<_>) =
        channels.iter().map(|(kind, name)| (*kind, name.as_str())).unzip();
    if kinds.is_empty() {
        return Ok(());
    }
    for id in channels::store::give(tx, site_id, &kinds, &names).await? {
        tx.audit(Audit::new("channel.connected", "channel", id).with(json!({ "starter": true })));
    }
    Ok(())
}

/// What a plan brings is not as it must be: the operator's to mend, not the tenant's.
#[derive(Debug, thiserror::Error)]
#[error("the starter of the plan is not as the reference of plans says")]
struct Unreadable;

fn unreadable() -> StepError {
    StepError::Impossible { faults: Vec::new(), source: Unreadable.into() }
}

/// The channels that a plan gives, with their names: only such as need nothing from anybody.
fn channels(deps: &Deps, plan: &Value) -> Result<Vec<(&'static str, String)>, StepError> {
    let channel = |item: &Value| {
        let channel = deps.channels.find(item["kind"].as_str()?)?;
        channel.front()?;
        let name = item["name"].as_str().unwrap_or(channel.kind());
        Some((channel.kind(), name.to_owned()))
    };
    let items = plan.as_array().map(Vec::as_slice).unwrap_or_default();
    let channels: Option<Vec<_>> = items.iter().map(channel).collect();
    channels.ok_or_else(unreadable)
}

/// The questions and answers that a plan brings.
fn starter(plan: &Value, locale: &str) -> Result<Vec<NewEntry>, StepError> {
    let language = locale.split('-').next().unwrap_or(locale);
    let entry = |item: &Value| {
        let text = |name: &str| item[name].as_str().map(str::to_owned);
        let new = NewEntry {
            question: text("question")?,
            answer: text("answer")?,
            language: text("language").unwrap_or_else(|| language.to_owned()),
            tags: Vec::new(),
        };
        let new = new.normalised();
        new.faults().is_empty().then_some(new)
    };
    let items = plan.as_array().map(Vec::as_slice).unwrap_or_default();
    let entries: Option<Vec<NewEntry>> = items.iter().map(entry).collect();
    entries.ok_or_else(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starter_speaks_the_tenants_language_unless_it_says_so() {
        let plan = json!([{"question": "Wann?", "answer": "Jetzt."},
            {"question": "When?", "answer": "Now.", "language": "en"}]);
        let entries = starter(&plan, "de-DE").expect("readable");
        let languages: Vec<_> = entries.iter().map(|one| one.language.as_str()).collect();
        assert_eq!(languages, ["de", "en"]);
        assert!(starter(&Value::Null, "en").expect("none").is_empty());
    }

    #[test]
    fn a_starter_that_cannot_be_read_is_refused_as_a_whole() {
        let good = json!({"question": "When?", "answer": "Now."});
        for bad in
            [json!("?"), json!({"question": "When?"}), json!({"question": "", "answer": "x"})]
        {
            let refused = starter(&json!([good, bad]), "en");
            assert!(matches!(refused, Err(StepError::Impossible { .. })), "{bad}");
        }
    }
}
