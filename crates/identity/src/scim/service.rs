//! Room `identity`: what a directory does to people and groups.

pub(crate) mod groups;
pub(crate) mod people;
pub(crate) mod roles;

use misy_core::{Ctx, Permission};
use misy_web::IfMatch;
use serde_json::Value;

use super::model::people::tag_of;
use crate::{Deps, Error};

/// Where the resources are, as the answers say it.
pub(crate) fn base(deps: &Deps) -> String {
    format!("{}/scim/v2", deps.config.issuer.trim_end_matches('/'))
}

/// Whoever looks at the description has to be allowed to use it.
pub(crate) fn enter(ctx: &Ctx) -> Result<(), Error> {
    Ok(ctx.require(Permission::ScimManage)?)
}

/// How a document becomes another one: as a whole, or by a patch.
pub(crate) enum Edit {
    Replace(Value),
    Patch(Value),
}

/// Refuses unless the writer has seen the newest version. Tags may come marked as weak.
fn check_seen(seen: &IfMatch, version: i64) -> Result<(), Error> {
    let newest = tag_of(version);
    match seen {
        IfMatch::Tags(tags) => {
            let known = tags.iter().any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == newest);
            if known { Ok(()) } else { Err(misy_web::Stale.into()) }
        }
        IfMatch::Any | IfMatch::Existing => Ok(()),
    }
}
