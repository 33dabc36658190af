//! Room `bench`: every statement of the application, read out of its own source, so that none can
//! be forgotten when plans are compared.

use crate::Failure;

/// The files that hold statements, below `crates/`. A test looks for files that are missing here.
pub const FILES: [(&str, &str); 65] = [
    (
        "conversation/src/channels/store.rs",
        include_str!("../../../conversation/src/channels/store.rs"),
    ),
    (
        "conversation/src/contacts/store.rs",
        include_str!("../../../conversation/src/contacts/store.rs"),
    ),
    (
        "conversation/src/conversations/store.rs",
        include_str!("../../../conversation/src/conversations/store.rs"),
    ),
    ("conversation/src/hooks/store.rs", include_str!("../../../conversation/src/hooks/store.rs")),
    ("conversation/src/inbox/store.rs", include_str!("../../../conversation/src/inbox/store.rs")),
    (
        "conversation/src/knowledge_documents/store.rs",
        include_str!("../../../conversation/src/knowledge_documents/store.rs"),
    ),
    (
        "conversation/src/knowledge_entries/store.rs",
        include_str!("../../../conversation/src/knowledge_entries/store.rs"),
    ),
    (
        "conversation/src/messages/store.rs",
        include_str!("../../../conversation/src/messages/store.rs"),
    ),
    (
        "conversation/src/messages/store/delivery.rs",
        include_str!("../../../conversation/src/messages/store/delivery.rs"),
    ),
    (
        "conversation/src/messages/store/inbound.rs",
        include_str!("../../../conversation/src/messages/store/inbound.rs"),
    ),
    (
        "conversation/src/messages/store/progress.rs",
        include_str!("../../../conversation/src/messages/store/progress.rs"),
    ),
    (
        "conversation/src/messages/store/visits.rs",
        include_str!("../../../conversation/src/messages/store/visits.rs"),
    ),
    (
        "conversation/src/responders/store.rs",
        include_str!("../../../conversation/src/responders/store.rs"),
    ),
    ("identity/src/accounts/store.rs", include_str!("../../../identity/src/accounts/store.rs")),
    ("identity/src/api_keys/store.rs", include_str!("../../../identity/src/api_keys/store.rs")),
    ("identity/src/domains/store.rs", include_str!("../../../identity/src/domains/store.rs")),
    ("identity/src/exchanges/store.rs", include_str!("../../../identity/src/exchanges/store.rs")),
    (
        "identity/src/impersonations/store.rs",
        include_str!("../../../identity/src/impersonations/store.rs"),
    ),
    (
        "identity/src/invitations/store.rs",
        include_str!("../../../identity/src/invitations/store.rs"),
    ),
    ("identity/src/letters/store.rs", include_str!("../../../identity/src/letters/store.rs")),
    (
        "identity/src/revocations/store.rs",
        include_str!("../../../identity/src/revocations/store.rs"),
    ),
    ("identity/src/notices/store.rs", include_str!("../../../identity/src/notices/store.rs")),
    ("identity/src/operators/store.rs", include_str!("../../../identity/src/operators/store.rs")),
    (
        "identity/src/service_accounts/store.rs",
        include_str!("../../../identity/src/service_accounts/store.rs"),
    ),
    ("identity/src/decisions/store.rs", include_str!("../../../identity/src/decisions/store.rs")),
    ("identity/src/entities/store.rs", include_str!("../../../identity/src/entities/store.rs")),
    ("identity/src/policies/store.rs", include_str!("../../../identity/src/policies/store.rs")),
    ("identity/src/roles/store.rs", include_str!("../../../identity/src/roles/store.rs")),
    (
        "identity/src/scim/store/groups.rs",
        include_str!("../../../identity/src/scim/store/groups.rs"),
    ),
    (
        "identity/src/scim/store/people.rs",
        include_str!("../../../identity/src/scim/store/people.rs"),
    ),
    ("identity/src/scim/store/roles.rs", include_str!("../../../identity/src/scim/store/roles.rs")),
    (
        "identity/src/second_factors/store.rs",
        include_str!("../../../identity/src/second_factors/store.rs"),
    ),
    ("identity/src/sessions/store.rs", include_str!("../../../identity/src/sessions/store.rs")),
    (
        "identity/src/signing_keys/store.rs",
        include_str!("../../../identity/src/signing_keys/store.rs"),
    ),
    ("identity/src/sso/store.rs", include_str!("../../../identity/src/sso/store.rs")),
    (
        "identity/src/sso_connections/store.rs",
        include_str!("../../../identity/src/sso_connections/store.rs"),
    ),
    ("identity/src/users/store.rs", include_str!("../../../identity/src/users/store.rs")),
    (
        "integration/src/dead_letters/store.rs",
        include_str!("../../../integration/src/dead_letters/store.rs"),
    ),
    (
        "integration/src/deliveries/store.rs",
        include_str!("../../../integration/src/deliveries/store.rs"),
    ),
    (
        "integration/src/endpoints/store.rs",
        include_str!("../../../integration/src/endpoints/store.rs"),
    ),
    ("integration/src/events/store.rs", include_str!("../../../integration/src/events/store.rs")),
    ("integration/src/replays/store.rs", include_str!("../../../integration/src/replays/store.rs")),
    ("integration/src/sources/store.rs", include_str!("../../../integration/src/sources/store.rs")),
    ("jobs/src/belongings.rs", include_str!("../../../jobs/src/belongings.rs")),
    ("jobs/src/dead_letters.rs", include_str!("../../../jobs/src/dead_letters.rs")),
    ("jobs/src/sagas/log.rs", include_str!("../../../jobs/src/sagas/log.rs")),
    ("jobs/src/parcels/store.rs", include_str!("../../../jobs/src/parcels/store.rs")),
    ("jobs/src/schedules.rs", include_str!("../../../jobs/src/schedules.rs")),
    ("jobs/src/store.rs", include_str!("../../../jobs/src/store.rs")),
    ("store/src/documents/embedded.rs", include_str!("../../../store/src/documents/embedded.rs")),
    ("store/src/documents/homes.rs", include_str!("../../../store/src/documents/homes.rs")),
    ("store/src/documents/sides.rs", include_str!("../../../store/src/documents/sides.rs")),
    ("store/src/idempotency.rs", include_str!("../../../store/src/idempotency.rs")),
    ("store/src/tx.rs", include_str!("../../../store/src/tx.rs")),
    (
        "tenancy/src/audit_records/store.rs",
        include_str!("../../../tenancy/src/audit_records/store.rs"),
    ),
    ("tenancy/src/keys/store.rs", include_str!("../../../tenancy/src/keys/store.rs")),
    ("tenancy/src/lifecycles/store.rs", include_str!("../../../tenancy/src/lifecycles/store.rs")),
    ("tenancy/src/plans/store.rs", include_str!("../../../tenancy/src/plans/store.rs")),
    (
        "tenancy/src/onboarding_workflows/store.rs",
        include_str!("../../../tenancy/src/onboarding_workflows/store.rs"),
    ),
    ("tenancy/src/onboardings/store.rs", include_str!("../../../tenancy/src/onboardings/store.rs")),
    (
        "tenancy/src/provisionings/store.rs",
        include_str!("../../../tenancy/src/provisionings/store.rs"),
    ),
    ("tenancy/src/quotas/store.rs", include_str!("../../../tenancy/src/quotas/store.rs")),
    ("tenancy/src/signups/store.rs", include_str!("../../../tenancy/src/signups/store.rs")),
    ("tenancy/src/tenants/store.rs", include_str!("../../../tenancy/src/tenants/store.rs")),
    ("store/src/outbox.rs", include_str!("../../../store/src/outbox.rs")),
];

/// A statement and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The file, below `crates/`.
    pub file: String,
    /// The constant's name.
    pub name: String,
    /// What is sent to the database.
    pub sql: String,
    /// As whom.
    pub runs_as: RunsAs,
}

/// The role that a statement runs as, told from the functions that use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsAs {
    /// Inside a tenant.
    Tenant,
    /// Across tenants.
    Platform,
    /// Some functions this, some that.
    Both,
    /// The functions do not tell: whichever role may.
    Either,
}

fn runs_as(source: &str, name: &str) -> RunsAs {
    let is_part =
        |byte: Option<&u8>| byte.is_some_and(|one| one.is_ascii_alphanumeric() || *one == b'_');
    let (mut tenant, mut platform) = (false, false);
    for (at, _) in source.match_indices(name) {
        let (before, after) = (&source.as_bytes()[..at], &source.as_bytes()[at + name.len()..]);
        let is_definition = source[..at].ends_with("const ");
        if is_part(before.last()) || is_part(after.first()) || is_definition {
            continue;
        }
        let function = source[..at].rfind("fn ").map_or("", |begin| &source[begin..at]);
        let says = |words: &[&str]| words.iter().any(|word| function.contains(word));
        tenant |= says(&["TenantTx", "db.tenant(", "db.read("]);
        platform |= says(&["PlatformTx", "PlatformCtx", "db.platform(", ".platform_read("]);
        // A method of what wraps a transaction.
        let wrapped = says(&["self.0."]);
        tenant |= wrapped && source.contains("(TenantTx);");
        platform |= wrapped && source.contains("(PlatformTx);");
    }
    match (tenant, platform) {
        (true, false) => RunsAs::Tenant,
        (false, true) => RunsAs::Platform,
        (true, true) => RunsAs::Both,
        (false, false) => RunsAs::Either,
    }
}

/// Every statement of the application.
pub fn all() -> Vec<Statement> {
    FILES.iter().flat_map(|(file, source)| in_source(file, source)).collect()
}

/// The statement of a name; an error if the application has none of it.
pub fn get(file: &str, name: &str) -> Result<String, Failure> {
    let found = all().into_iter().find(|one| one.file == file && one.name == name);
    let found = found.ok_or_else(|| format!("{file} has no statement {name}"))?;
    Ok(found.sql)
}

/// The same statement for a role without policies. `uuid_eq(a, b)` says that the policy is to find
/// the rows and the statement only to check them; where there is no policy, `=` finds them.
pub fn without_policies(sql: &str) -> String {
    let mut plain = String::new();
    let mut rest = sql;
    while let Some((before, behind)) = rest.split_once("uuid_eq(") {
        let Some((sides, after)) = behind.split_once(')') else { break };
        plain.push_str(before);
        plain.push_str(&sides.replace(", ", " = "));
        rest = after;
    }
    plain + rest
}

/// The statements among the text constants of a source, but for those of its own tests.
pub fn in_source(file: &str, source: &str) -> Vec<Statement> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find("const ") {
        rest = &rest[at + "const ".len()..];
        let Some((name, after)) = rest.split_once(':') else { break };
        let is_text = after.trim_start().starts_with("&str =")
            || after.trim_start().starts_with("&'static str =");
        if !is_text || !name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            continue;
        }
        let Some((_, value)) = after.split_once('=') else { break };
        let Some(sql) = literal(value.trim_start()) else { continue };
        if is_statement(&sql) {
            let runs_as = runs_as(source, name);
            found.push(Statement { file: file.to_owned(), name: name.to_owned(), sql, runs_as });
        }
    }
    found
}

/// Whether a text is a statement that has a plan.
fn is_statement(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default().to_lowercase();
    matches!(first.as_str(), "select" | "insert" | "update" | "delete" | "with" | "merge")
}

/// The text of a literal, raw or with escapes, at the start of a source.
fn literal(source: &str) -> Option<String> {
    if let Some(raw) = source.strip_prefix('r') {
        let fence = raw.bytes().take_while(|byte| *byte == b'#').count();
        let end = format!("\"{}", "#".repeat(fence));
        let inside = raw[fence..].strip_prefix('"')?;
        return Some(inside[..inside.find(&end)?].to_owned());
    }
    let mut text = String::new();
    let mut inside = source.strip_prefix('"')?.chars();
    loop {
        match inside.next()? {
            '"' => return Some(text),
            '\\' => match inside.next()? {
                'n' => text.push('\n'),
                '\n' => inside = inside.as_str().trim_start().chars(),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_read_as_the_compiler_reads_them() {
        let source = "const A: &str = \"select \\
            1\";\npub(crate) const B: &'static str = r#\"with \"x\" as (select 2) select\"#;
            const NOT: &str = \"hello\"; const NUMBER: i64 = 1; const C: &str = \"delete \\\"t\\\"\";
            #[cfg(test)] const D: &str = \"select 3\";";
        let sql: Vec<String> = in_source("x", source).into_iter().map(|one| one.sql).collect();
        assert_eq!(sql, ["select 1", "with \"x\" as (select 2) select", "delete \"t\""]);
    }

    #[test]
    fn without_policies_the_statement_finds_the_rows() {
        let ours = "select 1 from t where uuid_eq(t.tenant_id, $1) and id = any($2)";
        let plain = "select 1 from t where t.tenant_id = $1 and id = any($2)";
        assert_eq!(without_policies(ours), plain);
        assert_eq!(without_policies(plain), plain);
    }

    #[test]
    fn whom_a_statement_runs_as_is_told_from_its_functions() {
        let source = "const A: &str = \"select 1\"; const B: &str = \"select 2\";
            const C: &str = \"select 3\"; const AB: &str = \"select 4\";
            fn a(tx: &mut TenantTx) { tx.query(A) } fn b(tx: &mut PlatformTx) { tx.query(B) }
            fn c(db: &Db) { db.platform_read(ctx).query(C) } fn d(tx: &mut TenantTx) { (B) }";
        let roles: Vec<RunsAs> = in_source("x", source).iter().map(|one| one.runs_as).collect();
        assert_eq!(roles, [RunsAs::Tenant, RunsAs::Both, RunsAs::Platform, RunsAs::Either]);
        let wrapped = "struct Turn(PlatformTx); const A: &str = \"select 1\";
            impl Turn { fn a(&mut self) { self.0.query(A) } }";
        assert_eq!(in_source("x", wrapped)[0].runs_as, RunsAs::Platform);
    }

    #[test]
    fn there_are_as_many_as_were_counted_by_hand_or_more() {
        assert!(all().len() >= 120, "{}", all().len());
        assert!(get("conversation/src/messages/store.rs", "FIND").is_ok());
        assert!(get("conversation/src/messages/store.rs", "NONE").is_err());
    }
}
