//! Room `bench`: the tenants, channels and knowledge that the load needs, made by the API.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use super::{Settings, wire};
use crate::Failure;
use crate::http::Connection;

/// One account that receives.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) waba_id: String,
    pub(super) app_secret: String,
    pub(super) now_s: i64,
}

/// Everything that was set up.
pub(super) struct Stage {
    pub(super) api: String,
    pub(super) accounts: Vec<Account>,
    /// How many webhooks were made so far; each has a number of its own.
    pub(super) made: u64,
    sandbox: Connection,
    seen: HashMap<String, u64>,
    after: HashMap<String, u64>,
}

impl Stage {
    /// Makes tenants with a channel and an answer each.
    pub(super) async fn set(settings: &Settings) -> Result<Self, Failure> {
        let mut api = Connection::open(&settings.api).await?;
        let mut sandbox = Connection::open(&settings.sandbox).await?;
        let login = json!({ "email": settings.email, "password": settings.password });
        let signed_in = api.json(Method::POST, "/v1/auth/login", None, &login).await?;
        let operator = text(&signed_in, "access_token")?;
        let mut accounts = Vec::new();
        let run = std::process::id();
        for number in 0..settings.tenants {
            let slug = format!("bench-{run}-{number}");
            let account = account(&mut sandbox, &settings.sandbox).await?;
            tenant(&mut api, &operator, &slug, &account, &settings.sandbox).await?;
            open_windows(&mut sandbox, &account.0, number, settings.tenants).await?;
            accounts.push(account.0);
        }
        let (seen, after) = (HashMap::new(), HashMap::new());
        Ok(Self { api: settings.api.clone(), accounts, made: 0, sandbox, seen, after })
    }

    /// How many answers have arrived so far.
    pub(super) async fn answers(&mut self) -> Result<u64, Failure> {
        let mut sum = 0;
        for account in &self.accounts {
            let path = format!("/sandbox/accounts/{}/stats", account.id);
            let stats = self.sandbox.json(Method::GET, &path, None, &Value::Null).await?;
            sum += stats["outbound"].as_u64().unwrap_or(0);
        }
        Ok(sum)
    }

    /// Waits until so many answers have arrived, or for as long as there is patience.
    pub(super) async fn wait_for(
        &mut self,
        wanted: u64,
        patience: Duration,
    ) -> Result<u64, Failure> {
        let begun = Instant::now();
        loop {
            let answers = self.answers().await?;
            if answers >= wanted || begun.elapsed() > patience {
                return Ok(answers);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Reads every answer and says how many of the last `count` are missing and how many came
    /// twice.
    pub(super) async fn compare(&mut self, count: usize) -> Result<(u64, u64), Failure> {
        let (mut fresh, mut duplicated) = (0, 0);
        for account in &self.accounts {
            let after = self.after.entry(account.id.clone()).or_default();
            loop {
                let path =
                    format!("/sandbox/accounts/{}/outbound?after={after}&limit=500", account.id);
                let page = self.sandbox.json(Method::GET, &path, None, &Value::Null).await?;
                let rows = page["data"].as_array().cloned().unwrap_or_default();
                for row in &rows {
                    let ours = row["biz_opaque_callback_data"].as_str().unwrap_or_default();
                    let times = self.seen.entry(ours.to_owned()).or_default();
                    *times += 1;
                    if *times == 1 { fresh += 1 } else { duplicated += 1 }
                }
                match page["next"].as_u64() {
                    Some(next) if !rows.is_empty() => *after = next,
                    _ => break,
                }
            }
        }
        Ok(((count as u64).saturating_sub(fresh), duplicated))
    }
}

async fn account(sandbox: &mut Connection, host: &str) -> Result<(Account, Value), Failure> {
    let made = sandbox.json(Method::POST, "/sandbox/accounts", None, &json!({})).await?;
    let id = text(&made, "phone_number_id")?;
    let free = json!({ "mps": 0, "pair_burst": 0, "connections": 8, "batch": 50 });
    let path = format!("/sandbox/accounts/{id}/behaviour");
    sandbox.json(Method::PATCH, &path, None, &free).await?;
    let channel = json!({
        "kind": "whatsapp", "name": "Load", "external_id": id,
        "credentials": {
            "access_token": made["access_token"], "app_secret": made["app_secret"],
            "verify_token": made["verify_token"],
        },
        "settings": { "api_host": format!("http://{host}") },
    });
    let account = Account {
        waba_id: text(&made, "waba_id")?,
        app_secret: text(&made, "app_secret")?,
        now_s: seconds(&made),
        id,
    };
    Ok((account, channel))
}

/// The load does not come from the sandbox's phones, so it is told that they have written: to
/// others no answer would be accepted.
async fn open_windows(
    sandbox: &mut Connection,
    account: &Account,
    number: usize,
    accounts: usize,
) -> Result<(), Failure> {
    for customer in (number as u64..wire::CUSTOMERS).step_by(accounts) {
        let path = format!("/sandbox/accounts/{}/phones/{}", account.id, wire::phone(customer));
        sandbox.json(Method::PATCH, &path, None, &json!({ "wrote": true })).await?;
    }
    Ok(())
}

/// The sandbox's own time of creation is near enough to now for the customer's window.
fn seconds(made: &Value) -> i64 {
    let at = made["created_at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    at.map_or(0, jiff::Timestamp::as_second)
}

async fn tenant(
    api: &mut Connection,
    operator: &str,
    slug: &str,
    account: &(Account, Value),
    sandbox: &str,
) -> Result<(), Failure> {
    let password = format!("bench-{slug}-Passw0rd!");
    let email = format!("owner@{slug}.example");
    let owner = json!({ "email": email, "name": "Owner", "password": password });
    let new = json!({ "slug": slug, "name": slug, "owner": owner, "plan": "unlimited" });
    api.json(Method::POST, "/v1/tenants", Some(operator), &new).await?;
    let login = json!({ "email": email, "password": password });
    let signed_in = api.json(Method::POST, "/v1/auth/login", None, &login).await?;
    let bearer = text(&signed_in, "access_token")?;
    let channel = api.json(Method::POST, "/v1/channels", Some(&bearer), &account.1).await?;
    let entry = json!({
        "question": "What are your opening hours?", "answer": "We are open from 9 to 18.",
        "language": "en",
    });
    api.json(Method::POST, "/v1/knowledge-entries", Some(&bearer), &entry).await?;
    let hook = json!({ "url": channel["webhook_url"] });
    let mut connection = Connection::open(sandbox).await?;
    let path = format!("/sandbox/accounts/{}/webhook", account.0.id);
    connection.json(Method::PUT, &path, None, &hook).await?;
    Ok(())
}

fn text(object: &Value, name: &str) -> Result<String, Failure> {
    let found = object[name].as_str().map(str::to_owned);
    found.ok_or_else(|| format!("the answer has no `{name}`").into())
}
