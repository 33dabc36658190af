//! Room `identity`: the first people of a tenant, and the removal of the last.

use std::sync::Arc;

use async_trait::async_trait;
use misy_core::{Ctx, Permission, Role, Secret, TenantId};
use misy_jobs::provision::{Found, Promise, Provision, Step, StepError, TenantSeed};
use misy_store::{Audit, TenantData, TenantTable, TenantTx};
use serde_json::json;
use uuid::Uuid;

use super::{activate, insert, store};
use crate::accounts::{self, Email};
use crate::roles::model::Assigned;
use crate::users::model::{self, Error as UserError, Status};
use crate::{Deps, Error, letters, passwords, roles, sessions};

/// What this room keeps of each tenant.
pub const TABLES: [TenantTable; 32] = [
    TenantTable::new("scim_given_roles"),
    TenantTable::new("scim_members"),
    TenantTable::new("scim_role_mappings"),
    TenantTable::new("scim_groups"),
    TenantTable::new("scim_users"),
    TenantTable::new("sso_sessions").without(&["id_token"]),
    TenantTable::new("sso_logins").without(&[
        "state_hash",
        "browser_hash",
        "id_token",
        "code_hash",
    ]),
    TenantTable::new("sso_identities"),
    TenantTable::new("sso_replays"),
    TenantTable::new("domains"),
    TenantTable::new("domain_routes"),
    TenantTable::new("sso_routes"),
    TenantTable::new("sso_connections").without(&["secrets"]),
    TenantTable::new("impersonations"),
    TenantTable::new("decisions"),
    TenantTable::new("policies"),
    TenantTable::new("policy_schemas"),
    TenantTable::new("policy_entities"),
    TenantTable::new("access_notices"),
    TenantTable::new("letters").without(&["nonce"]),
    TenantTable::new("recovery_codes").of("realm").without(&["hash"]),
    TenantTable::new("second_factors").of("realm").without(&["sealed_seed"]),
    TenantTable::new("second_factor_rules"),
    TenantTable::new("memberships"),
    TenantTable::new("credentials").of("realm").without(&["password_hash"]),
    TenantTable::new("users"),
    TenantTable::new("api_key_routes").without(&["secret_hash", "previous_hash"]),
    TenantTable::new("api_keys"),
    TenantTable::new("service_accounts"),
    TenantTable::new("roles"),
    TenantTable::new("realms"),
    TenantTable::new("revocations"),
];

/// Gives a new tenant its roles and its owner, and takes everybody from one that is gone.
pub struct Provisioner(pub Arc<Deps>);

impl TenantData for Provisioner {
    fn tables(&self) -> &'static [TenantTable] {
        &TABLES
    }
}

#[async_trait]
impl Step<TenantSeed> for Provisioner {
    fn name(&self) -> &'static str {
        "identity.people"
    }

    /// Hashes the owner's password.
    async fn prepare(&self, seed: &TenantSeed) -> Result<Option<Secret>, StepError> {
        Ok(hash(&self.0, seed).await?)
    }

    async fn write(
        &self,
        tx: &mut TenantTx,
        seed: &TenantSeed,
        hash: Option<Secret>,
    ) -> Result<(), StepError> {
        Ok(provision(&self.0, tx, seed, hash.as_ref().map(Secret::expose)).await?)
    }

    async fn undo(&self, ctx: &Ctx, _: Uuid) -> Result<(), StepError> {
        Ok(remove(self, ctx).await?)
    }
}

#[async_trait]
impl Provision for Provisioner {
    async fn find(&self, ctx: &Ctx) -> Result<Vec<Found>, StepError> {
        let rows = self.count(&self.0.db, ctx).await?;
        let found =
            |(table, rows): (TenantTable, i64)| Found::new("postgresql", table.name(), rows);
        let mut all: Vec<Found> = rows.into_iter().map(found).collect();
        all.push(Found::new("postgresql", "sessions", sessions_of(&self.0, ctx.tenant()).await?));
        Ok(all)
    }

    fn wanted(&self, _: &Promise) -> Vec<&'static str> {
        vec!["memberships", "realms", "roles", "users"]
    }
}

async fn sessions_of(deps: &Deps, tenant: TenantId) -> Result<i64, Error> {
    let mut tx = deps.db.platform_read(&deps.system).await?;
    Ok(sessions::store::count_of_tenant(&mut tx, tenant).await?)
}

async fn hash(deps: &Deps, seed: &TenantSeed) -> Result<Option<Secret>, Error> {
    let (email, owner) = (email(seed)?, &seed.owner);
    let Some(password) = &owner.password else { return Ok(None) };
    passwords::model::check(password, &[email.as_str(), &owner.name.0], "/owner/password")?;
    Ok(Some(Secret::new(deps.hasher.hash(email.as_str(), password).await?)))
}

fn email(seed: &TenantSeed) -> Result<Email, Error> {
    let not_an_email =
        |_| UserError::Invalid(vec![model::fault("/owner/email", "is not an e-mail address")]);
    Ok(seed.owner.email.0.parse().map_err(not_an_email)?)
}

async fn provision(
    deps: &Deps,
    tx: &mut TenantTx,
    seed: &TenantSeed,
    hash: Option<&str>,
) -> Result<(), Error> {
    tx.ctx().require(Permission::OwnerManage)?;
    let email = email(seed)?;
    accounts::store::save_realm(tx, &seed.slug).await?;
    roles::store::seed(tx).await?;
    if let Some(owner) = store::lock_by_email(tx, email.as_str()).await? {
        // An owner of an earlier run who has no password gets the one that is there now.
        return match hash.filter(|_| owner.status == Status::Invited) {
            Some(hash) => activate(tx, owner, hash, None).await,
            None => Ok(()),
        };
    }
    let role = Assigned { base: Role::Owner, own: None };
    let owner = insert(tx, &email, seed.owner.name.clone(), role, hash).await?;
    if hash.is_none() {
        letters::service::invite(deps, tx, owner.account, owner.id).await?;
    }
    tx.audit(Audit::new("user.created", "user", owner.id).with(json!({"role": "owner"})));
    Ok(())
}

/// Removes people, what they signed in with, and addresses that no other tenant knows.
async fn remove(part: &Provisioner, ctx: &Ctx) -> Result<(), Error> {
    let deps = &part.0;
    part.erase(&deps.db, ctx).await?;
    let mut tx = deps.db.platform(&deps.system).await?;
    sessions::store::delete_of_tenant(&mut tx, ctx.tenant()).await?;
    tx.commit().await?;
    loop {
        let mut tx = deps.db.platform(&deps.system).await?;
        let removed = accounts::store::sweep_unused(&mut tx).await?;
        tx.commit().await?;
        if removed == 0 {
            return Ok(());
        }
    }
}
