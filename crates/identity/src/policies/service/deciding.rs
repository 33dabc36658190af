//! Room `identity`: decides whether a policy forbids what a role grants. From memory, but for what
//! has changed: policies are compiled once a version, roles believed for less than a second.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use misy_core::access::{Forbidden, Kind, Resource};
use misy_core::id::TypedId;
use misy_core::{Actor, Ambient, Ctx, Grants, Permission, PlatformCtx, Proof, TenantId, Timestamp};
use misy_policy::compiled::Panel;
use misy_policy::vocabulary::SENSITIVE;
use misy_policy::{Compiled, Situation, Stored, Thing, Verdict};
use misy_store::Db;
use misy_web::{Judge, Judging, Policies, Unrestricted};
use moka::sync::Cache;
use uuid::Uuid;

use crate::decisions::Log;
use crate::decisions::model::Decision;
use crate::entities::model::Known;
use crate::notices::Notices;
use crate::policies::model::{self, Error as PolicyError, NEVER_LOST};
use crate::policies::store;
use crate::roles::model::RoleBook;
use crate::{Error, entities, roles};

/// What somebody's roles are is believed this long.
const BELIEVED_FOR: Duration = Duration::from_millis(900);
/// Somebody who asks again and again for what no role grants is written down once in this time.
const NOTED_AGAIN: Duration = Duration::from_mins(1);
const PEOPLE_MAX: u64 = 50_000;
/// Tenants whose compiled policies are kept in memory.
const COMPILED_MAX: u64 = 2_000;
/// How many subjects and resources of all tenants' applications are kept in memory.
const KNOWN_MAX: u64 = 200_000;

/// What the grants of somebody were narrowed for: the policies' version, who exactly they are, what
/// they had and what their sign-in has proven.
type Asked = (i64, Actor, Grants, Proof);

/// Decides by the policies of all tenants.
pub struct Engine {
    db: Db,
    system: PlatformCtx,
    ambient: Ambient,
    notices: Arc<Notices>,
    log: Arc<Log>,
    compiled: Cache<TenantId, Arc<Compiled>>,
    known: Cache<TenantId, (i64, Arc<Known>)>,
    roles: Cache<(TenantId, Uuid), Arc<Vec<String>>>,
    narrowed: Cache<(TenantId, Uuid), (Asked, Grants)>,
    lacked: Cache<(TenantId, Actor, Permission), ()>,
}

/// The slugs of roles and of all that they inherit from, up to and with the built-in ones.
pub(crate) fn roles_in(slugs: &[String], book: &RoleBook) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for slug in slugs {
        let line = book.line(slug).unwrap_or_default();
        let line = line.iter().map(|role| role.slug.clone());
        all.extend(std::iter::once(slug.clone()).chain(line));
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|slug| seen.insert(slug.clone()));
    all
}

fn id_of(actor: Actor) -> Option<Uuid> {
    match actor {
        Actor::User(user) | Actor::Impersonator { user, .. } => Some(user.uuid()),
        Actor::ApiKey(key) => Some(key.uuid()),
        Actor::Operator(_) | Actor::Channel | Actor::System => None,
    }
}

/// In which circumstances somebody asks who was let in: by an active tenant, that is.
fn situation(actor: Actor, granted: bool, proof: Proof, now: Timestamp) -> Situation {
    let age_s = |at: Timestamp| now.as_second().saturating_sub(at.as_second()).max(0);
    Situation {
        impersonated: matches!(actor, Actor::Impersonator { .. }),
        mfa_required: proof.second_factor_needed,
        mfa_age_s: proof.second_factor_at.map(age_s),
        ..Situation::plain(granted)
    }
}

fn weigh(_: &TenantId, (_, known): &(i64, Arc<Known>)) -> u32 {
    u32::try_from(known.len()).unwrap_or(u32::MAX).saturating_add(1)
}

impl Engine {
    /// Knows no tenant's policies yet.
    pub(crate) fn new(db: Db, system: PlatformCtx, notices: Arc<Notices>, log: Arc<Log>) -> Self {
        let ambient = db.ambient().clone();
        let believed =
            || Cache::builder().max_capacity(PEOPLE_MAX).time_to_live(BELIEVED_FOR).build();
        Self {
            db,
            system,
            ambient,
            notices,
            log,
            compiled: Cache::new(COMPILED_MAX),
            known: Cache::builder().max_capacity(KNOWN_MAX).weigher(weigh).build(),
            roles: believed(),
            narrowed: Cache::builder().max_capacity(PEOPLE_MAX).time_to_live(BELIEVED_FOR).build(),
            lacked: Cache::builder().max_capacity(PEOPLE_MAX).time_to_live(NOTED_AGAIN).build(),
        }
    }

    /// A context of the program itself inside the tenant, to read its policies.
    fn inside(&self, tenant: TenantId) -> Ctx {
        self.system.enter(tenant, Grants::NONE)
    }

    /// The newest policies of a tenant.
    pub(crate) async fn compiled(&self, tenant: TenantId) -> Result<Arc<Compiled>, Error> {
        let version = self.notices.policies(tenant).await?;
        if version == 0 {
            return Ok(Compiled::of_platform());
        }
        if let Some(known) = self.compiled.get(&tenant)
            && known.version() == version
        {
            return Ok(known);
        }
        let mut tx = self.db.read(&self.inside(tenant)).await?;
        let enabled = store::all(&mut tx).await?.into_iter().filter(|policy| policy.enabled);
        let stored: Vec<Stored> = enabled.map(|policy| policy.stored()).collect();
        let declared = store::find_schema(&mut tx).await?.map(|(text, _)| text);
        let compiled = Compiled::new(version, &stored, declared.as_deref());
        let compiled = Arc::new(compiled.map_err(PolicyError::from)?);
        self.compiled.insert(tenant, Arc::clone(&compiled));
        Ok(compiled)
    }

    /// What is known of the tenant's own applications, of the same version as its policies.
    pub(crate) async fn known(&self, tenant: TenantId) -> Result<Arc<Known>, Error> {
        let version = self.notices.policies(tenant).await?;
        if let Some((kept, known)) = self.known.get(&tenant)
            && kept == version
        {
            return Ok(known);
        }
        let mut tx = self.db.read(&self.inside(tenant)).await?;
        let (entities, _) = entities::store::find(&mut tx).await?;
        let known = Known::new(&entities);
        let known = known.map_err(|_| misy_store::Error::Corrupt { column: "entities" })?;
        let known = Arc::new(known);
        self.known.insert(tenant, (version, Arc::clone(&known)));
        Ok(known)
    }

    /// Who acts, as policies see them; `None` for whom no policy is meant: the program itself.
    async fn principal(&self, tenant: TenantId, actor: Actor) -> Result<Option<Thing>, Error> {
        let Some(id) = id_of(actor) else { return Ok(None) };
        let key = (tenant, id);
        let roles = if let Some(known) = self.roles.get(&key) {
            known
        } else {
            let mut tx = self.db.read(&self.inside(tenant)).await?;
            let slugs = store::roles_of(&mut tx, actor).await?;
            let book = roles::store::book(&mut tx).await?;
            let found = Arc::new(roles_in(&slugs, &book));
            self.roles.insert(key, Arc::clone(&found));
            found
        };
        Ok(model::principal(actor, &tenant.to_string(), &roles))
    }

    /// What is left of grants where a policy forbids something of the tenant as a whole: it bites
    /// at every boundary, for all of them ask for a grant.
    pub(crate) async fn narrow(
        &self,
        tenant: TenantId,
        actor: Actor,
        grants: Grants,
        proof: Proof,
    ) -> Result<Grants, Error> {
        let compiled = match self.compiled(tenant).await {
            Err(Error::Policy(error)) => {
                // Nothing can be decided any more; whoever can mend it must get in.
                tracing::error!(error = &error as &dyn std::error::Error, "policies are broken");
                return Ok(grants.intersect(NEVER_LOST.into_iter().collect()));
            }
            found => found?,
        };
        let Some(id) = id_of(actor).filter(|_| compiled.version() > 0) else { return Ok(grants) };
        let known = self.narrowed.get(&(tenant, id));
        let asked = (compiled.version(), actor, grants, proof);
        if let Some((known, after)) = known
            && known == asked
        {
            return Ok(after);
        }
        let Some(principal) = self.principal(tenant, actor).await? else { return Ok(grants) };
        let whole = model::thing(&Resource::new(Kind::Tenant, tenant), &tenant.to_string());
        let now = self.ambient.now();
        let keeps = |permission: &Permission| {
            let safe = grants.has(Permission::OwnerManage) && NEVER_LOST.contains(permission);
            let action = compiled.vocabulary().action(*permission);
            let context = situation(actor, true, proof, now).context();
            let panel = compiled.panel(principal.clone(), &action, &whole, context);
            safe || !panel.has_own_policies() || panel.decide(whole.clone()).allowed
        };
        let after: Grants = grants.iter().filter(keeps).collect();
        self.narrowed.insert((tenant, id), (asked, after));
        Ok(after)
    }

    async fn seat(&self, ctx: &Ctx, permission: Permission) -> Result<Judge, Error> {
        let (tenant, actor) = (ctx.tenant(), ctx.actor());
        if id_of(actor).is_none() {
            return Ok(Box::new(Unrestricted));
        }
        let compiled = self.compiled(tenant).await?;
        let principal = if compiled.version() == 0 {
            model::principal(actor, &tenant.to_string(), &[])
        } else {
            self.principal(tenant, actor).await?
        };
        let Some(principal) = principal else { return Ok(Box::new(Unrestricted)) };
        Ok(Box::new(Bench {
            situation: situation(
                actor,
                ctx.grants().has(permission),
                ctx.proof(),
                self.ambient.now(),
            ),
            ctx: ctx.clone(),
            ambient: self.ambient.clone(),
            log: Arc::clone(&self.log),
            permission,
            compiled,
            principal,
            panel: OnceLock::new(),
        }))
    }

    /// Refuses unless policies let this one be done with this one.
    pub(crate) async fn require(
        &self,
        ctx: &Ctx,
        permission: Permission,
        resource: &Resource,
    ) -> Result<(), Error> {
        Ok(self.seat(ctx, permission).await?.require(resource)?)
    }

    /// Writes down that a role grants somebody too little, once a minute for each permission.
    pub(crate) fn note_lacked(&self, ctx: &Ctx, permission: Permission) {
        let (tenant, actor) = (ctx.tenant(), ctx.actor());
        if !self.lacked.entry((tenant, actor, permission)).or_insert(()).is_fresh() {
            return;
        }
        let version = self.compiled.get(&tenant).map_or(0, |compiled| compiled.version());
        let verdict = Verdict { allowed: false, policies: Vec::new(), errors: Vec::new(), version };
        let told = (&*actor.to_string(), permission.slug(), &*tenant.to_string());
        self.note(ctx, told, &verdict, "No role of theirs grants it.");
    }

    /// Writes down a decision that somebody else made.
    pub(crate) fn note(&self, ctx: &Ctx, told: (&str, &str, &str), verdict: &Verdict, why: &str) {
        let (principal, action, resource) = told;
        let decision = Decision {
            id: self.ambient.id(),
            principal: principal.to_owned(),
            action: action.to_owned(),
            resource: resource.to_owned(),
            allowed: verdict.allowed,
            policies: verdict.policies.clone(),
            policy_version: verdict.version,
            reason: why.to_owned(),
            request_id: ctx.request().to_string(),
            created_at: self.ambient.now(),
        };
        self.log.note(ctx, decision);
    }
}

#[async_trait]
impl Policies for Engine {
    async fn judge(&self, ctx: &Ctx, permission: Permission) -> Result<Judge, misy_store::Error> {
        self.seat(ctx, permission).await.map_err(|error| match error {
            Error::Store(error) => error,
            // Policies that cannot be compiled allow nothing; the log says which.
            error => {
                tracing::error!(error = &error as &dyn std::error::Error, "policies are broken");
                misy_store::Error::Corrupt { column: "policies.text" }
            }
        })
    }
}

/// Decides what one actor may do of one kind.
struct Bench {
    ctx: Ctx,
    ambient: Ambient,
    log: Arc<Log>,
    permission: Permission,
    situation: Situation,
    compiled: Arc<Compiled>,
    principal: Thing,
    /// Made for the kind of the first resource; all of a bench are of one kind.
    panel: OnceLock<(Panel, OnceLock<Verdict>)>,
}

impl Bench {
    fn decide(&self, resource: &Resource) -> Verdict {
        let thing = model::thing(resource, &self.ctx.tenant().to_string());
        let (panel, of_all) = self.panel.get_or_init(|| {
            let action = self.compiled.vocabulary().action(self.permission);
            let context = self.situation.context();
            let panel = self.compiled.panel(self.principal.clone(), &action, &thing, context);
            (panel, OnceLock::new())
        });
        if panel.has_own_policies() {
            return panel.decide(thing);
        }
        of_all.get_or_init(|| panel.decide(thing)).clone()
    }

    fn note(&self, resource: &Resource, verdict: &Verdict, reason: &str) {
        self.log.note(
            &self.ctx,
            Decision {
                id: self.ambient.id(),
                principal: self.ctx.actor().to_string(),
                action: self.permission.slug().to_owned(),
                resource: resource.id.clone(),
                allowed: verdict.allowed,
                policies: verdict.policies.clone(),
                policy_version: verdict.version,
                reason: reason.to_owned(),
                request_id: self.ctx.request().to_string(),
                created_at: self.ambient.now(),
            },
        );
    }
}

impl Judging for Bench {
    /// A tenant without policies of its own has what its roles grant, and the platform's policies
    /// ask nothing of what is not sensitive.
    fn is_open(&self) -> bool {
        self.compiled.version() == 0 && !SENSITIVE.contains(&self.permission)
    }

    fn allows(&self, resource: &Resource) -> bool {
        self.decide(resource).allowed
    }

    fn require(&self, resource: &Resource) -> Result<(), Forbidden> {
        let verdict = self.decide(resource);
        let noted = !verdict.allowed || SENSITIVE.contains(&self.permission);
        if !noted {
            return Ok(());
        }
        let reason = verdict.sentence(&self.compiled);
        self.note(resource, &verdict, &reason);
        if verdict.allowed {
            return Ok(());
        }
        Err(Forbidden { permission: self.permission, reason })
    }
}

#[cfg(test)]
mod tests {
    use misy_core::{OperatorId, UserId};

    use super::*;

    #[test]
    fn circumstances_are_those_of_the_sign_in() {
        let (operator, user) = (OperatorId::from_uuid(Uuid::nil()), UserId::from_uuid(Uuid::nil()));
        let at = |second| Timestamp::from_second(second).expect("a time");
        let proof = Proof { second_factor_needed: true, second_factor_at: Some(at(1_000)) };
        let own = situation(Actor::User(user), true, proof, at(1_901));
        assert_eq!((own.mfa_required, own.mfa_age_s, own.impersonated), (true, Some(901), false));
        let visit = Actor::Impersonator { operator, user };
        let visit = situation(visit, false, Proof::default(), at(0));
        assert_eq!((visit.mfa_required, visit.mfa_age_s, visit.impersonated), (false, None, true));
    }
}
