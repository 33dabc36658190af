//! Room `bench`: whether a statement has the same plan under row-level security as without it.
//!
//! Every statement is planned twice: as the role that the application runs it as, and as the
//! superuser, whom no policy binds. Both the plan for all values and the one for given values are
//! looked at. What is compared is every access: its kind, table, index, direction and the
//! conditions that the index answers, and every sort; the policy's own condition, which is there
//! twice, counts once.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::statements::{RunsAs, Statement, without_policies};
use crate::Failure;

/// A statement whose plan is another one under row-level security.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// File and name of the statement.
    pub statement: String,
    /// `force_generic_plan` or `force_custom_plan`.
    pub mode: &'static str,
    /// The plan of the application's role.
    pub with_policies: String,
    /// The plan without policies.
    pub without: String,
}

/// What was compared and what came of it.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Statements that run as `misy_tenant`.
    pub of_tenants: Vec<String>,
    /// Statements that only `misy_platform` may run.
    pub of_platform: Vec<String>,
    /// Statements that neither may run, or that could not be planned, and why.
    pub failed: Vec<String>,
    /// Statements whose plan differs.
    pub differences: Vec<Difference>,
}

/// The connections that plans are asked for on.
pub struct Planners<'a> {
    /// Signed in as `misy_tenant`.
    pub tenant: &'a Client,
    /// Signed in as `misy_platform`.
    pub platform: &'a Client,
    /// Signed in as the superuser.
    pub superuser: &'a Client,
}

const MODES: [&str; 2] = ["force_generic_plan", "force_custom_plan"];

/// Compares all plans. `tenant` has rows, and every table has enough of them for plans to matter.
pub async fn compare(
    planners: &Planners<'_>,
    statements: &[Statement],
    tenant: Uuid,
) -> Result<Comparison, Failure> {
    let mut comparison = Comparison::default();
    for statement in statements {
        let label = format!("{} {}", statement.file, statement.name);
        let plain = without_policies(&statement.sql);
        let free = plans(planners.superuser, &plain, tenant).await?;
        let mut as_tenant = matches!(statement.runs_as, RunsAs::Tenant | RunsAs::Both);
        let mut as_platform = matches!(statement.runs_as, RunsAs::Platform | RunsAs::Both);
        if statement.runs_as == RunsAs::Either {
            let denied = Err(SqlState::INSUFFICIENT_PRIVILEGE.code().to_owned());
            as_platform = plans(planners.tenant, &statement.sql, tenant).await? == denied;
            as_tenant = !as_platform;
        }
        if as_tenant {
            let planned = plans(planners.tenant, &statement.sql, tenant).await?;
            comparison.note(&label, planned, &free);
            comparison.of_tenants.push(label.clone());
        }
        if as_platform {
            let planned = plans(planners.platform, &statement.sql, tenant).await?;
            comparison.note(&label, planned, &free);
            comparison.of_platform.push(label);
        }
    }
    Ok(comparison)
}

impl Comparison {
    fn note(&mut self, label: &str, planned: Planned, free: &Planned) {
        let (planned, free) = match (planned, free) {
            (Ok(planned), Ok(free)) => (planned, free),
            (Err(state), _) => return self.failed.push(format!("{label}: {state}")),
            (_, Err(state)) => return self.failed.push(format!("{label}: {state}")),
        };
        for ((mode, with_policies), without) in MODES.into_iter().zip(planned).zip(free) {
            if with_policies != *without {
                let (statement, without) = (label.to_owned(), without.clone());
                self.differences.push(Difference { statement, mode, with_policies, without });
            }
        }
    }
}

/// Both plans of a statement, or the state with which it was refused.
type Planned = Result<Vec<String>, String>;

/// Both plans of a statement, or the state with which it was refused.
async fn plans(client: &Client, sql: &str, tenant: Uuid) -> Result<Planned, Failure> {
    client.batch_execute(&format!("begin; set local misy.tenant = '{tenant}'")).await?;
    let planned = plan_both(client, sql, tenant).await;
    client.batch_execute("rollback; deallocate all").await?;
    match planned {
        Ok(plans) => Ok(Ok(plans.iter().map(described).collect())),
        Err(error) => match error.code() {
            Some(state) => Ok(Err(state.code().to_owned())),
            None => Err(error.into()),
        },
    }
}

async fn plan_both(
    client: &Client,
    sql: &str,
    tenant: Uuid,
) -> Result<Vec<Value>, tokio_postgres::Error> {
    client.batch_execute(&format!("prepare planned as {sql}")).await?;
    let types = "select parameter_types::text[] from pg_prepared_statements where name = 'planned'";
    let types: Vec<String> = client.query_one(types, &[]).await?.get(0);
    let value = |(at, name): (usize, &String)| match compared_with(sql, at + 1) {
        Some(text) if name == "text" => format!("'{text}'"),
        _ => sample(name, tenant),
    };
    let values: Vec<String> = types.iter().enumerate().map(value).collect();
    let execute = if values.is_empty() {
        "execute planned".to_owned()
    } else {
        format!("execute planned ({})", values.join(", "))
    };
    let mut plans = Vec::new();
    for mode in MODES {
        client.batch_execute(&format!("set local plan_cache_mode = {mode}")).await?;
        let explain = format!("explain (format json, costs off) {execute}");
        let row = client.query_one(&explain, &[]).await?;
        plans.push(row.get(0));
    }
    Ok(plans)
}

/// The text that a statement compares a parameter with, if it does: other values would only show
/// the plan of a statement that does nothing.
fn compared_with(sql: &str, number: usize) -> Option<&str> {
    let (_, after) = sql.rsplit_once(&format!("${number} = '"))?;
    Some(after.split_once('\'')?.0)
}

/// A value of a type, as it could come from the application.
fn sample(type_name: &str, tenant: Uuid) -> String {
    let (name, is_array) = match type_name.strip_suffix("[]") {
        Some(name) => (name, true),
        None => (type_name, false),
    };
    let value = match name {
        "uuid" => format!("'{tenant}'"),
        "text" => "'x'".to_owned(),
        "boolean" => "true".to_owned(),
        "timestamp with time zone" => "now()".to_owned(),
        "bytea" => "'\\x01'".to_owned(),
        "json" | "jsonb" => "'{}'".to_owned(),
        "smallint" | "integer" | "bigint" => "10".to_owned(),
        _ => "null".to_owned(),
    };
    if is_array { format!("array[{value}]::{name}[]") } else { format!("{value}::{name}") }
}

/// What a plan does with tables, as lines in alphabetical order: every access to a table or an
/// index with the conditions that the index answers, every sort, every write. Left out is what
/// only names things (aliases, numbers of parameters, values) and in which order single rows are
/// joined.
fn described(plan: &Value) -> String {
    let mut steps = Vec::new();
    if let Some(root) = plan.get(0).and_then(|one| one.get("Plan")) {
        describe(root, &mut steps);
    }
    steps.sort_unstable();
    steps.concat()
}

fn describe(node: &Value, steps: &mut Vec<String>) {
    let kind = node["Node Type"].as_str().unwrap_or_default();
    let touches = node.get("Relation Name").is_some() || node.get("Index Name").is_some();
    if touches || matches!(kind, "Sort" | "Incremental Sort" | "ModifyTable") {
        steps.push(step(node, kind));
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        describe(child, steps);
    }
}

fn step(node: &Value, kind: &str) -> String {
    let mut text = format!("  {kind}");
    for name in
        ["Relation Name", "Index Name", "Scan Direction", "Operation", "Conflict Arbiter Indexes"]
    {
        if let Some(value) = node.get(name) {
            // Memory takes whatever is written.
            let _ = write!(text, " {value}");
        }
    }
    for key in node["Sort Key"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let bare = key.rsplit_once('.').map_or(key, |(_, column)| column);
        let _ = write!(text, " by {bare}");
    }
    for name in ["Index Cond", "TID Cond"] {
        if let Some(condition) = node[name].as_str() {
            let _ = write!(text, " [{}]", conditions(condition).join(" and "));
        }
    }
    text.push('\n');
    text
}

/// The parts of a condition in alphabetical order, each once, with `$` for every value.
fn conditions(condition: &str) -> Vec<String> {
    let inside = condition.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let parts = inside.unwrap_or(condition).split(") AND (");
    let bare = |part: &str| {
        anonymous(part.trim_start_matches('(').trim_end_matches(')')).trim().to_owned()
    };
    let parts: BTreeSet<String> = parts.map(bare).collect();
    parts.into_iter().collect()
}

/// The same text with `$` for parameters and for literals with their types.
fn anonymous(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\'']) {
        plain.push_str(&rest[..at]);
        plain.push('$');
        let after = &rest[at + 1..];
        rest = if rest[at..].starts_with('$') {
            after.trim_start_matches(|one: char| one.is_ascii_digit())
        } else {
            let value = after.split_once('\'').map_or("", |(_, behind)| behind);
            let typed = value.strip_prefix("::").unwrap_or(value);
            if typed.len() == value.len() { value } else { after_type(typed) }
        };
    }
    plain.push_str(rest);
    plain
}

fn after_type(text: &str) -> &str {
    for name in ["timestamp with time zone", "uuid", "text", "bytea", "bigint", "integer"] {
        if let Some(rest) = text.strip_prefix(name) {
            return rest.strip_prefix("[]").unwrap_or(rest);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_the_policy_says_again_counts_once() {
        let ours = "((tenant_id = $0) AND (tenant_id = $1) AND (id = $2))";
        let free = "((tenant_id = 'a'::uuid) AND (id = 'b'::uuid))";
        assert_eq!(conditions(ours), conditions(free));
        assert_eq!(conditions("(id = ANY ('{a,b}'::uuid[]))"), conditions("(id = ANY ($4))"));
        assert_ne!(conditions("(tenant_id = $1)"), conditions("(id = $1)"));
    }

    #[test]
    fn another_index_or_a_lost_condition_is_another_plan() {
        let plan = |index: &str, condition: &str| {
            described(&serde_json::json!([{ "Plan": { "Node Type": "Index Scan",
                "Relation Name": "t", "Index Name": index, "Index Cond": condition } }]))
        };
        let wanted = plan("t_pkey", "((tenant_id = $1) AND (id = $2))");
        assert_ne!(wanted, plan("t_other", "((tenant_id = $1) AND (id = $2))"));
        assert_ne!(wanted, plan("t_pkey", "(tenant_id = $1)"));
        assert_eq!(wanted, plan("t_pkey", "((tenant_id = $0) AND (id = $2) AND (tenant_id = $1))"));
    }
}
