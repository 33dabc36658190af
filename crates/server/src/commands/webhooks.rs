//! Room `server`: `misybot webhook`.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use misy_core::{Ctx, Cursor, EndpointId, Limit, Page, Role, Secret, SourceId};
use misy_integration::replays::model::{Scope, Wish};
use misy_integration::signatures::model::{Received, Verdict, verify};
use misy_integration::sources::model::Stage;
use misy_integration::{Deps, dead_letters, endpoints, replays, sources};
use serde_json::{Value, json};

use super::tenants::tables::table;
use super::tenants::told;
use super::{Installation, platform_ctx};
use crate::ambient;
use crate::app::{self, App};
use crate::cli::{OfTenant, ReceivedDelivery, ReplayOptions, WebhookCommand, Webhooks};

/// Does what an operator wants of webhooks.
pub async fn run(options: &Webhooks, file: Option<&Path>) -> anyhow::Result<()> {
    let OfTenant { tenant, place } = match &options.command {
        WebhookCommand::Verify(delivery) => return check(delivery, options.json),
        WebhookCommand::Endpoints(of)
        | WebhookCommand::Sources(of)
        | WebhookCommand::DeadLetters(of)
        | WebhookCommand::Replay(ReplayOptions { of, .. }) => of,
    };
    let installation = Installation::open(place, file)?;
    let ctx = platform_ctx(&installation.ambient);
    let public_url = app::public_url(&installation.config.server);
    let app = App::build(installation, &public_url).await?;
    let found = misy_tenancy::tenants::service::find_named(&app.tenancy().db, &ctx, tenant).await;
    let tenant = found.with_context(|| format!("there is no tenant `{tenant}`"))?.id;
    let office = Office {
        deps: app.integration(),
        ctx: ctx.enter(tenant, Role::Admin.grants()),
        json: options.json,
    };
    match &options.command {
        WebhookCommand::Endpoints(_) => office.endpoints().await,
        WebhookCommand::Sources(_) => office.sources().await,
        WebhookCommand::DeadLetters(_) => office.dead_letters().await,
        WebhookCommand::Replay(wish) => office.replay(wish).await,
        WebhookCommand::Verify(_) => Ok(()),
    }
}

/// What every command works with.
struct Office {
    deps: Arc<Deps>,
    ctx: Ctx,
    json: bool,
}

/// Every member of every page.
async fn all<T>(
    mut page: impl AsyncFnMut(Option<Cursor>, Limit) -> anyhow::Result<Page<T>>,
) -> anyhow::Result<Vec<T>> {
    let limit = Limit::new(Limit::MAX).unwrap_or(Limit::DEFAULT);
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let next = page(cursor, limit).await?;
        found.extend(next.data);
        cursor = next.next_cursor.as_deref().and_then(Cursor::decode);
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

impl Office {
    async fn endpoints(&self) -> anyhow::Result<()> {
        let Self { deps, ctx, .. } = self;
        let list =
            async |cursor, limit| told(endpoints::service::list(deps, ctx, cursor, limit).await);
        let row = |one: &endpoints::Endpoint| {
            json!({
                "id": one.id,
                "status": one.status,
                "disabled_reason": one.disabled_reason,
                "failing_since": one.failing_since,
                "event_types": one.event_types,
                "url": without_query(&one.url),
            })
        };
        let names = ["id", "status", "disabled_reason", "failing_since", "event_types", "url"];
        self.print(&names, all(list).await?.iter().map(row).collect());
        Ok(())
    }

    async fn sources(&self) -> anyhow::Result<()> {
        let Self { deps, ctx, .. } = self;
        let list =
            async |cursor, limit| told(sources::service::list(deps, ctx, cursor, limit).await);
        let row = |(one, tally): &(sources::Source, sources::model::Tally)| {
            json!({
                "id": one.id,
                "status": one.status,
                "preset": one.settings.preset,
                "refusals": tally.refusals,
                "repetitions": tally.repetitions,
                "last_refused_at": tally.last_refused_at,
                "name": one.name,
            })
        };
        let names =
            ["id", "status", "preset", "refusals", "repetitions", "last_refused_at", "name"];
        self.print(&names, all(list).await?.iter().map(row).collect());
        Ok(())
    }

    async fn dead_letters(&self) -> anyhow::Result<()> {
        let Self { deps, ctx, .. } = self;
        let list = async |cursor, limit| {
            told(dead_letters::service::list(deps, ctx, None, cursor, limit).await)
        };
        let row = |one: &dead_letters::DeadLetter| {
            json!({
                "id": one.id,
                "endpoint_id": one.endpoint,
                "event_type": one.kind,
                "attempts": one.attempts,
                "died_at": one.died_at,
                "reason": one.reason,
            })
        };
        let names = ["id", "endpoint_id", "event_type", "attempts", "died_at", "reason"];
        self.print(&names, all(list).await?.iter().map(row).collect());
        Ok(())
    }

    async fn replay(&self, options: &ReplayOptions) -> anyhow::Result<()> {
        let ReplayOptions { endpoint, source, until, .. } = options;
        let endpoint = endpoint.as_deref().map(str::parse::<EndpointId>).transpose();
        let source = source.as_deref().map(str::parse::<SourceId>).transpose();
        let scope = match (options.dead, options.received) {
            (true, _) => Scope::Dead,
            (_, true) => Scope::Received,
            _ => Scope::Missed,
        };
        let stage = options
            .status
            .as_deref()
            .map(|slug| Stage::parse(slug).with_context(|| format!("--status cannot be `{slug}`")));
        let wish = Wish {
            endpoint: endpoint.context("--endpoint is no id of an endpoint")?,
            kind: options.event_type.clone(),
            source: source.context("--source is no id of a source")?,
            stage: stage.transpose()?,
            since: options.since,
            ..Wish::all(scope, until.unwrap_or_else(|| self.deps.ambient.now()))
        };
        let begun = told(replays::service::begin(&self.deps, &self.ctx, wish).await)?;
        let row = json!({ "id": begun.id, "status": begun.status });
        self.print(&["id", "status"], vec![row]);
        Ok(())
    }

    fn print(&self, names: &[&str], rows: Vec<Value>) {
        if self.json {
            println!("{}", json!({ "data": rows }));
            return;
        }
        let cell = |value: &Value| match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| names.iter().map(|name| cell(&row[*name])).collect()).collect();
        let head: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
        print!("{}", table(&head.iter().map(String::as_str).collect::<Vec<_>>(), &rows));
    }
}

/// A query may hold a secret, which is the tenant's.
fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(before, _)| before)
}

/// Checks a delivery without a database; the exit code says whether it is genuine.
fn check(delivery: &ReceivedDelivery, as_json: bool) -> anyhow::Result<()> {
    let read = |file: &Path| {
        std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
    };
    let secret =
        String::from_utf8(read(&delivery.secret_file)?).context("the secret is no text")?;
    let secret = Secret::new(secret.trim());
    let body = if let Some(file) = &delivery.body {
        read(file)?
    } else {
        let mut body = Vec::new();
        std::io::stdin().read_to_end(&mut body)?;
        body
    };
    let ReceivedDelivery { id, timestamp, signature, .. } = delivery;
    let received = Received { secret: &secret, id, timestamp, signature, body: &body };
    let verdict = verify(&received, ambient::machine().now());
    let word = serde_json::to_value(verdict)?;
    if as_json {
        println!("{}", json!({ "verdict": word, "advice": verdict.advice() }));
    } else {
        println!("{}: {}", word.as_str().unwrap_or_default(), verdict.advice());
    }
    if verdict == Verdict::Genuine { Ok(()) } else { bail!("the delivery is not genuine") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_the_query_is_not_shown() {
        assert_eq!(without_query("https://a.example/h?token=s"), "https://a.example/h");
        assert_eq!(without_query("https://a.example/h"), "https://a.example/h");
    }

    #[tokio::test]
    async fn every_page_is_read() {
        let pages = async |cursor: Option<Cursor>, _: Limit| {
            let at = cursor.map_or(0, |cursor| cursor.0.as_u128());
            let next = Cursor(uuid::Uuid::from_u128(at + 1)).encode();
            Ok(Page { data: vec![at], next_cursor: (at < 3).then_some(next) })
        };
        assert_eq!(all(pages).await.expect("pages"), [0, 1, 2, 3]);
    }
}
