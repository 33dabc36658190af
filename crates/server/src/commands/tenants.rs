//! Room `server`: `misybot tenant`.

mod folder;
mod signups;
pub(super) mod tables;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use misy_core::{Limit, Personal, PlatformCtx, Secret};
use misy_tenancy::Deps;
use misy_tenancy::exports::service as exports;
use misy_tenancy::inventories::service as inventories;
use misy_tenancy::lifecycles::service as lifecycles;
use misy_tenancy::tenants::model::{Brand, NewOwner, NewTenant, Placement, Reason, Status};
use misy_tenancy::tenants::service::{self, Filter};
use misy_tenancy::tenants::{self, Tenant};

use super::{Installation, platform_ctx};
use crate::app::{self, App};
use crate::cli::{NewTenantOptions, TenantCommand, Tenants};
use folder::Folder;
use tables::{Shown, print};

/// What every command works with.
struct Office {
    deps: Arc<Deps>,
    ctx: PlatformCtx,
    json: bool,
}

/// Does what an operator wants of tenants.
pub async fn run(options: &Tenants, file: Option<&Path>) -> anyhow::Result<()> {
    let installation = Installation::open(&options.place, file)?;
    let ctx = platform_ctx(&installation.ambient);
    let public_url = app::public_url(&installation.config.server);
    let app = App::build(installation, &public_url).await?;
    let office = Office { deps: app.tenancy(), ctx, json: options.json };
    office.run(&options.command).await
}

impl Office {
    async fn run(&self, command: &TenantCommand) -> anyhow::Result<()> {
        let Self { deps, ctx, .. } = self;
        let done = match command {
            TenantCommand::Create(options) => {
                told(service::create(deps, ctx, new(options)?).await)?
            }
            TenantCommand::List { status, plan, q } => {
                return self.list(status.as_deref(), plan.clone(), q.clone()).await;
            }
            TenantCommand::Show { tenant } => self.find(tenant).await?,
            TenantCommand::Suspend { tenant, reason, note } => {
                let id = self.find(tenant).await?.id;
                let reason = read_reason(reason)?;
                told(lifecycles::suspend(deps, ctx, id, reason, note.as_deref()).await)?
            }
            TenantCommand::Activate { tenant } => {
                let id = self.find(tenant).await?.id;
                told(lifecycles::activate(deps, ctx, id).await)?
            }
            TenantCommand::Close { tenant, grace_days } => {
                let id = self.find(tenant).await?.id;
                told(lifecycles::close(deps, ctx, id, *grace_days, None).await)?
            }
            TenantCommand::Restore { tenant } => {
                let id = self.find(tenant).await?.id;
                told(lifecycles::restore(deps, ctx, id).await)?
            }
            TenantCommand::Purge { tenant, confirm } => {
                let id = self.find(tenant).await?.id;
                told(lifecycles::purge_now(deps, ctx, id, confirm).await)?
            }
            TenantCommand::Inventory { tenant, mend } => {
                return self.inventory(tenant, *mend).await;
            }
            TenantCommand::Signups { status } => return self.signups(status.as_deref()).await,
            TenantCommand::Approve { signup } => return self.approve(*signup).await,
            TenantCommand::Reject(rejection) => return self.reject(rejection).await,
            TenantCommand::Onboarding { tenant } => return self.onboarding(tenant).await,
            TenantCommand::Export { tenant, out } => return self.export(tenant, out).await,
        };
        print(self.json, &[Shown::from(&done)])
    }

    async fn find(&self, name: &str) -> anyhow::Result<Tenant> {
        let found = service::find_named(&self.deps.db, &self.ctx, name).await;
        found.with_context(|| format!("there is no tenant `{name}`"))
    }

    async fn list(
        &self,
        status: Option<&str>,
        plan: Option<String>,
        text: Option<String>,
    ) -> anyhow::Result<()> {
        let unknown = |name: &str| anyhow!("`{name}` is no status");
        let status = status.map(|name| Status::parse(name).ok_or_else(|| unknown(name)));
        let filter = Filter { status: status.transpose()?, plan, slug: None, text };
        let limit = Limit::new(Limit::MAX).unwrap_or(Limit::DEFAULT);
        let (mut shown, mut cursor) = (Vec::new(), None);
        loop {
            let page = service::list(&self.deps, &self.ctx, filter.clone(), cursor, limit).await?;
            shown.extend(page.data.iter().map(Shown::from));
            cursor = page.next_cursor.as_deref().and_then(misy_core::Cursor::decode);
            if cursor.is_none() {
                return print(self.json, &shown);
            }
        }
    }

    async fn inventory(&self, name: &str, mend: bool) -> anyhow::Result<()> {
        let id = self.find(name).await?.id;
        if mend {
            let outcome = inventories::mend(&self.deps, &self.ctx, id).await?;
            eprintln!("{outcome:?}");
        }
        let inventory = inventories::look(&self.deps, &self.ctx, id).await?;
        tables::print_inventory(self.json, &inventory);
        anyhow::ensure!(inventory.is_sound(), "something is missing or left over");
        Ok(())
    }

    async fn export(&self, name: &str, out: &Path) -> anyhow::Result<()> {
        let id = self.find(name).await?.id;
        let export = told(exports::begin(&self.deps, &self.ctx, id).await)?;
        let mut folder = Folder::make(out)?;
        export.write(&self.deps, &mut folder).await?;
        let written = folder.finish()?;
        tables::print_export(self.json, &written);
        Ok(())
    }
}

/// What is wrong with each member, where the error alone would not say.
pub(super) fn told<T, E: misy_core::Public>(outcome: Result<T, E>) -> anyhow::Result<T> {
    outcome.map_err(|error| {
        let faults = misy_core::Public::faults(&error);
        let detail: Vec<String> =
            faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail)).collect();
        let detail = misy_core::Public::detail(&error).unwrap_or_else(|| detail.join("; "));
        anyhow::Error::new(error).context(detail)
    })
}

fn read_reason(name: &str) -> anyhow::Result<Reason> {
    let all = [Reason::Billing, Reason::Abuse, Reason::Admin, Reason::Legal];
    let found = all.into_iter().find(|reason| reason.slug() == name);
    found.ok_or_else(|| anyhow!("`{name}` is none of billing, abuse, admin, legal"))
}

fn new(options: &NewTenantOptions) -> anyhow::Result<NewTenant> {
    let password = options.password_file.as_ref().map(|file| {
        let text = std::fs::read_to_string(file);
        text.with_context(|| format!("{} cannot be read", file.display()))
    });
    let password = password.transpose()?.map(|text| Secret::new(text.trim_end()));
    Ok(NewTenant {
        slug: options.slug.clone(),
        name: options.name.clone(),
        owner: NewOwner {
            email: Personal(options.owner_email.to_lowercase()),
            name: Personal(options.owner_name.clone()),
            password,
        },
        plan: options.plan.clone(),
        locale: options.locale.clone(),
        time_zone: options.time_zone.clone(),
        business: serde_json::Map::new(),
        allowed_origins: Vec::new(),
        brand: Brand::default(),
        contacts: Vec::<tenants::model::Contact>::new(),
        placement: Placement::default(),
    })
}
