//! Room `server`: `misybot documents`.

mod progress;

use std::path::Path;

use anyhow::{Context, bail};
use misy_conversation::DOCUMENT_KINDS;
use misy_core::id::TypedId;
use misy_core::{Ctx, Grants, PlatformCtx};
use misy_store::Documents as Store;
use misy_store::documents::Home;
use misy_store::documents::moves::{Moved, Mover};
use misy_store::documents::shared::{Importer, Shared};
use misy_tenancy::tenants::{Tenant, service};

use super::{Installation, platform_ctx};
use crate::cli::{self, Documents, Migrate};
use progress::Progress;

/// Says where documents live, or moves them.
pub async fn run(command: &Documents, file: Option<&Path>) -> anyhow::Result<()> {
    match command {
        Documents::Status { tenant, place } => {
            let installation = Installation::open(place, file)?;
            status(&installation, tenant.as_deref()).await
        }
        Documents::Migrate(options) => {
            let installation = Installation::open(&options.place, file)?;
            migrate(&installation, options).await
        }
    }
}

async fn status(installation: &Installation, tenant: Option<&str>) -> anyhow::Result<()> {
    let ctx = platform_ctx(&installation.ambient);
    let documents = Store::embedded(installation.db.clone());
    for tenant in tenants(installation, &ctx, tenant).await? {
        let inside = ctx.enter(tenant.id, Grants::NONE);
        let told = match documents.of(&inside).state().await? {
            None => "nothing was written yet".to_owned(),
            Some(state) => match state.other {
                None => state.home.to_string(),
                Some(other) => format!("{}, {:?}, other: {other}", state.home, state.phase),
            },
        };
        println!("{}  {}  {told}", tenant.id, tenant.slug);
    }
    Ok(())
}

/// The tenants to work on: all, or the one that is named by id, UUID or slug.
async fn tenants(
    installation: &Installation,
    ctx: &PlatformCtx,
    named: Option<&str>,
) -> anyhow::Result<Vec<Tenant>> {
    let mut all = service::every(&installation.db, ctx).await?;
    let Some(name) = named else { return Ok(all) };
    all.retain(|tenant| names_of(tenant).iter().any(|one| one == name));
    if all.is_empty() {
        bail!("there is no tenant `{name}`");
    }
    Ok(all)
}

/// What a tenant may be called.
fn names_of(tenant: &Tenant) -> Vec<String> {
    vec![tenant.id.to_string(), tenant.id.uuid().to_string(), tenant.slug.clone()]
}

async fn migrate(installation: &Installation, options: &Migrate) -> anyhow::Result<()> {
    let to = match options.to {
        cli::Store::Jsonb => Home::Embedded,
        cli::Store::Mongo => Home::Mongo,
        cli::Store::Shared => bail!("documents cannot go to a shared collection; --rollback can"),
    };
    match (options.from, to) {
        (cli::Store::Shared, to) => import(installation, options, to).await,
        (cli::Store::Jsonb, Home::Mongo) | (cli::Store::Mongo, Home::Embedded) => {
            relocate(installation, options, to).await
        }
        _ => bail!("--from and --to are the same"),
    }
}

/// Between the database and the document server.
async fn relocate(installation: &Installation, options: &Migrate, to: Home) -> anyhow::Result<()> {
    let mongo = installation.mongo().await?;
    let mongo = mongo.context("set `documents.url` in misybot.toml: it is one of the two sides")?;
    let batch = i64::from(options.batch);
    let mover = Mover::new(installation.db.clone(), mongo, &DOCUMENT_KINDS, batch);
    let ctx = platform_ctx(&installation.ambient);
    let mut failed = 0;
    for tenant in tenants(installation, &ctx, options.tenant.as_deref()).await? {
        let inside = ctx.enter(tenant.id, Grants::NONE);
        match relocate_one(&mover, &inside, &tenant.slug, options, to).await {
            Ok(told) => println!("{}: {told}", tenant.slug),
            Err(error) => {
                failed += 1;
                eprintln!("{}: {error:#}", tenant.slug);
            }
        }
    }
    if failed > 0 {
        bail!("{failed} tenants were not moved; run it again once the reasons are gone");
    }
    Ok(())
}

async fn relocate_one(
    mover: &Mover,
    ctx: &Ctx,
    slug: &str,
    options: &Migrate,
    to: Home,
) -> anyhow::Result<String> {
    if options.dry_run {
        let counts = mover.count(ctx, to.opposite()).await?;
        let total: u64 = counts.iter().map(|(_, count)| count).sum();
        let each: Vec<_> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        return Ok(format!("{total} documents would be moved ({})", each.join(", ")));
    }
    let mut progress = Progress::of(slug);
    let watch = &mut |step| progress.step(step);
    if options.finish {
        mover.finish(ctx).await?;
        return Ok("the way back is closed".to_owned());
    }
    if options.rollback {
        return Ok(format!("back: {}", told(mover.roll_back(ctx, watch).await?)));
    }
    if options.resume && mover.state(ctx).await?.other != Some(to) {
        return Ok("no move was begun".to_owned());
    }
    Ok(told(mover.run(ctx, to, watch).await?))
}

fn told(moved: Moved) -> String {
    let Moved { copied, followed, compared, cut_over } = moved;
    if !cut_over {
        return "nothing had to be moved".to_owned();
    }
    format!(
        "{copied} copied, {followed} changes followed, {compared} compared by SHA-256 with no \
         difference, cut over"
    )
}

/// From the shared collection of an earlier deployment, and back to it.
async fn import(installation: &Installation, options: &Migrate, home: Home) -> anyhow::Result<()> {
    if options.finish {
        bail!("nothing is kept for the way back of an import: the source is never changed by it");
    }
    let named = (&options.source_url, &options.source_collection, &options.kind);
    let (Some(url), Some(collection), Some(kind)) = named else {
        bail!("--from shared needs --source-url, --source-collection and --kind");
    };
    let known: Vec<&str> = DOCUMENT_KINDS.iter().map(|kind| kind.name()).collect();
    let kind = DOCUMENT_KINDS.iter().find(|known| known.name() == kind);
    let kind = *kind.with_context(|| format!("--kind is one of {}", known.join(", ")))?;
    let source = Shared::open(url, collection, &options.tenant_field).await?;
    let mut counts = source.tenants().await?;
    let ctx = platform_ctx(&installation.ambient);
    let (db, mongo) = (installation.db.clone(), installation.mongo().await?);
    let importer = Importer::new(db, mongo, source, kind, i64::from(options.batch));
    for tenant in tenants(installation, &ctx, options.tenant.as_deref()).await? {
        let mut names = names_of(&tenant);
        names.retain(|name| counts.contains_key(name));
        let count: u64 = names.iter().filter_map(|name| counts.remove(name)).sum();
        let Some(name) = names.first() else { continue };
        let slug = &tenant.slug;
        if options.dry_run {
            println!("{slug}: {count} documents would become {}", kind.name());
            continue;
        }
        let inside = ctx.enter(tenant.id, Grants::NONE);
        let mut progress = Progress::of(slug);
        let watch = &mut |done| progress.count(done, count);
        if options.rollback {
            let back = importer.roll_back(&inside, name, home, watch).await?;
            println!("{slug}: {} written back, {} as they were", back.written, back.same);
        } else {
            let done = importer.run(&inside, &names, home, watch).await?;
            println!(
                "{slug}: {} found, {} written and compared, {} the same already, {} kept because \
                 they were written here since",
                done.found, done.written, done.same, done.newer
            );
        }
    }
    if options.tenant.is_none() && !counts.is_empty() {
        let left: Vec<_> = counts.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        bail!("no tenant is called: {}", left.join(", "));
    }
    Ok(())
}
