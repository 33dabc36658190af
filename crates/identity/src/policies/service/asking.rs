//! Room `identity`: why something is denied, and who can do it.

use misy_core::id::TypedId;
use misy_core::{Actor, ApiKeyId, Ctx, Permission, UserId};
use misy_policy::things::uid;
use misy_policy::vocabulary::{API_KEY, CONVERSATION, TENANT, USER};
use misy_policy::{Compiled, Question, Situation, Thing, Value, Verdict};
use misy_store::TenantTx;

use super::deciding::roles_in;
use crate::policies::model::{self, invalid};
use crate::policies::store;
use crate::roles::model::RoleBook;
use crate::{Deps, Error, api_keys, roles, users};

/// How many people are asked about at most.
const PEOPLE_MAX: i64 = 2_000;

/// What is asked about, by names.
pub(crate) struct Named {
    /// The slug of a permission.
    pub(crate) action: String,
    /// `conversation`, `user`, `api_key` or `tenant`.
    pub(crate) kind: String,
    pub(crate) id: Option<String>,
    pub(crate) attributes: serde_json::Value,
}

impl Named {
    fn permission(&self) -> Result<Permission, Error> {
        let found = self.action.parse::<Permission>();
        Ok(found.map_err(|_| invalid("/action", "is no permission"))?)
    }

    fn thing(&self, ctx: &Ctx) -> Result<Thing, Error> {
        let kind = match self.kind.as_str() {
            "conversation" => &CONVERSATION,
            "user" => &USER,
            "api_key" => &API_KEY,
            "tenant" => &TENANT,
            _ => {
                let detail = "has to be `conversation`, `user`, `api_key` or `tenant`";
                return Err(invalid("/resource/type", detail).into());
            }
        };
        let tenant = ctx.tenant().to_string();
        let id = self.id.clone().unwrap_or_else(|| tenant.clone());
        let mut thing = Thing::new(uid(kind, &id));
        for (name, value) in Value::members(&self.attributes) {
            let person = match (name.as_str(), &value) {
                ("assignee", Value::Text(user)) => Some(Value::Entity(uid(&USER, user))),
                _ => None,
            };
            thing = thing.with(&name, person.unwrap_or(value));
        }
        Ok(thing.with("tenant", Value::Text(tenant)))
    }
}

/// Who is asked about.
pub(crate) enum Who {
    /// A person.
    User(UserId),
    /// An API key.
    ApiKey(ApiKeyId),
    /// Whoever asks.
    Me,
}

/// Why it is allowed or not.
pub(crate) struct Reply {
    pub(crate) verdict: Verdict,
    pub(crate) sentence: String,
    /// Id, name and whether it forbids.
    pub(crate) policies: Vec<(String, String, bool)>,
}

async fn granted(
    tx: &mut TenantTx,
    ctx: &Ctx,
    actor: Actor,
    permission: Permission,
    book: &RoleBook,
) -> Result<bool, Error> {
    let absent = || invalid("/principal/id", "is nobody of this tenant");
    Ok(match actor {
        actor if actor == ctx.actor() => ctx.grants().has(permission),
        Actor::User(id) => {
            users::store::find(tx, id).await?.ok_or_else(absent)?.grants(book).has(permission)
        }
        Actor::ApiKey(id) => {
            api_keys::store::find(tx, id).await?.ok_or_else(absent)?.grants.has(permission)
        }
        _ => false,
    })
}

/// Tells why somebody may do something, or may not.
pub(crate) async fn explain(
    deps: &Deps,
    ctx: &Ctx,
    who: Who,
    named: &Named,
) -> Result<Reply, Error> {
    ctx.require(Permission::PolicyRead)?;
    let (permission, resource) = (named.permission()?, named.thing(ctx)?);
    let compiled = deps.policies.compiled(ctx.tenant()).await?;
    let mut tx = deps.db.read(ctx).await?;
    let actor = match who {
        Who::User(user) => Actor::User(user),
        Who::ApiKey(key) => Actor::ApiKey(key),
        Who::Me => ctx.actor(),
    };
    let book = roles::store::book(&mut tx).await?;
    let granted = granted(&mut tx, ctx, actor, permission, &book).await?;
    let slugs = store::roles_of(&mut tx, actor).await?;
    let roles = roles_in(&slugs, &book);
    let principal = model::principal(actor, &ctx.tenant().to_string(), &roles);
    let principal = principal.ok_or_else(|| invalid("/principal", "has no policies"))?;
    let verdict = ask(&compiled, principal, permission, resource, granted);
    let titles = verdict.policies.iter().filter_map(|id| {
        let title = compiled.title(id)?;
        Some((id.clone(), title.name.clone(), title.forbids))
    });
    let policies = titles.collect();
    Ok(Reply { sentence: verdict.sentence(&compiled), policies, verdict })
}

/// The people of the tenant who may do something, each with their role, and how many were asked
/// about: one statement for all, and one slice of the policies.
pub(crate) async fn who_can(
    deps: &Deps,
    ctx: &Ctx,
    named: &Named,
) -> Result<(Vec<(UserId, String)>, usize), Error> {
    ctx.require(Permission::PolicyRead)?;
    ctx.require(Permission::UserRead)?;
    let (permission, resource) = (named.permission()?, named.thing(ctx)?);
    let compiled = deps.policies.compiled(ctx.tenant()).await?;
    let mut tx = deps.db.read(ctx).await?;
    let book = roles::store::book(&mut tx).await?;
    let people = store::people(&mut tx, PEOPLE_MAX).await?;
    let asked = people.len();
    let tenant = ctx.tenant().to_string();
    let may = |user: UserId, slug: &str| {
        let roles = roles_in(&[slug.to_owned()], &book);
        let principal = model::principal(Actor::User(user), &tenant, &roles)?;
        let granted = book.grants(slug).has(permission);
        let verdict = ask(&compiled, principal, permission, resource.clone(), granted);
        verdict.allowed.then(|| (user, slug.to_owned()))
    };
    let able = people.iter().filter_map(|(id, slug)| may(UserId::from_uuid(*id), slug));
    Ok((able.collect(), asked))
}

fn ask(
    compiled: &std::sync::Arc<Compiled>,
    principal: Thing,
    permission: Permission,
    resource: Thing,
    granted: bool,
) -> Verdict {
    let action = compiled.vocabulary().action(permission);
    let context = Situation::plain(granted).context();
    compiled.decide(Question { principal, action, resource, context })
}
