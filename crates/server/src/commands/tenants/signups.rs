//! Room `server`: `misybot tenant signups`, `approve`, `reject` and `onboarding`.

use anyhow::anyhow;
use misy_core::{Limit, SignupId};
use misy_tenancy::onboardings::service as onboardings;
use misy_tenancy::signups::model::{Signup, Status};
use misy_tenancy::signups::service;
use serde_json::json;

use super::{Office, tables, told};
use crate::cli::Rejection;

impl Office {
    pub(super) async fn signups(&self, status: Option<&str>) -> anyhow::Result<()> {
        let unknown = |name: &str| anyhow!("`{name}` is no status of a sign-up");
        let status = status.map(|name| Status::parse(name).ok_or_else(|| unknown(name)));
        let (status, mut all, mut cursor) = (status.transpose()?, Vec::new(), None);
        let limit = Limit::new(Limit::MAX).unwrap_or(Limit::DEFAULT);
        loop {
            let page = told(service::list(&self.deps, &self.ctx, status, cursor, limit).await)?;
            all.extend(page.data);
            cursor = page.next_cursor.as_deref().and_then(misy_core::Cursor::decode);
            if cursor.is_none() {
                self.print_signups(&all);
                return Ok(());
            }
        }
    }

    pub(super) async fn approve(&self, id: SignupId) -> anyhow::Result<()> {
        let done = told(service::approve(&self.deps, &self.ctx, id).await)?;
        self.print_signups(&[done]);
        Ok(())
    }

    pub(super) async fn reject(&self, rejection: &Rejection) -> anyhow::Result<()> {
        let reason = rejection.reason.clone();
        let done = service::reject(&self.deps, &self.ctx, rejection.signup, reason).await;
        self.print_signups(&[told(done)?]);
        Ok(())
    }

    fn print_signups(&self, all: &[Signup]) {
        if self.json {
            let line = |one: &Signup| {
                json!({ "id": one.id, "slug": one.asked.slug, "status": one.status,
                        "email": one.asked.email, "name": one.asked.name, "plan": one.plan,
                        "tenant_id": one.tenant, "created_at": one.created_at })
            };
            println!("{}", json!(all.iter().map(line).collect::<Vec<_>>()));
            return;
        }
        let row = |one: &Signup| {
            let (slug, email) = (one.asked.slug.clone(), one.asked.email.0.clone());
            vec![one.id.to_string(), slug, one.status.slug().to_owned(), email]
        };
        let rows: Vec<_> = all.iter().map(row).collect();
        print!("{}", tables::table(&["ID", "SLUG", "STATUS", "EMAIL"], &rows));
    }

    pub(super) async fn onboarding(&self, name: &str) -> anyhow::Result<()> {
        let id = self.find(name).await?.id;
        let found = told(onboardings::show_of(&self.deps, &self.ctx, id).await)?;
        let next = found.next();
        if self.json {
            let step = |key: &str| json!({ "key": key, "state": found.standing(key).state });
            let steps: Vec<_> = found.steps.iter().map(|one| step(&one.key)).collect();
            let version = found.workflow_version;
            let all = json!({ "workflow": found.workflow, "version": version, "next": next,
                              "settled": found.settled(), "steps": steps });
            println!("{all}");
            return Ok(());
        }
        let row = |key: &str| {
            let turn = if next.contains(&key) { "next" } else { "" };
            vec![key.to_owned(), found.standing(key).state.slug().to_owned(), turn.to_owned()]
        };
        let rows: Vec<_> = found.steps.iter().map(|one| row(&one.key)).collect();
        print!("{}", tables::table(&["STEP", "STATE", "TURN"], &rows));
        Ok(())
    }
}
