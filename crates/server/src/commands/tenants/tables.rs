//! Room `server`: tenants as people read them in a terminal, and as programs read them.

use misy_tenancy::inventories::{Inventory, Verdict};
use misy_tenancy::tenants::Tenant;
use serde::Serialize;
use serde_json::json;

/// What is told of a tenant.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: String,
    slug: String,
    status: &'static str,
    reason: Option<String>,
    plan: String,
    name: String,
    created_at: String,
    purge_at: Option<String>,
}

impl From<&Tenant> for Shown {
    fn from(tenant: &Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            slug: tenant.slug.clone(),
            status: tenant.status.slug(),
            reason: tenant.status_reason.clone(),
            plan: tenant.plan.clone(),
            name: tenant.name.clone(),
            created_at: tenant.created_at.to_string(),
            purge_at: tenant.purge_at.map(|at| at.to_string()),
        }
    }
}

/// Prints tenants, a line each.
pub(super) fn print(json: bool, shown: &[Shown]) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(&json!({ "data": shown }))?);
        return Ok(());
    }
    let row = |one: &Shown| {
        let status = match &one.reason {
            Some(reason) => format!("{} ({reason})", one.status),
            None => one.status.to_owned(),
        };
        vec![one.id.clone(), one.slug.clone(), status, one.plan.clone(), one.name.clone()]
    };
    let head = ["ID", "SLUG", "STATUS", "PLAN", "NAME"];
    print!("{}", table(&head, &shown.iter().map(row).collect::<Vec<_>>()));
    Ok(())
}

/// Prints what every store holds of a tenant.
pub(super) fn print_inventory(json: bool, found: &Inventory) {
    let verdict = |verdict: Verdict| serde_json::to_value(verdict).unwrap_or_default();
    if json {
        let item = |item: &misy_tenancy::inventories::Item| {
            json!({ "part": item.part, "store": item.store, "what": item.what,
                    "count": item.count, "verdict": verdict(item.verdict) })
        };
        let items: Vec<_> = found.items.iter().map(item).collect();
        let all = json!({ "tenant": found.tenant, "status": found.status,
                          "sound": found.is_sound(), "items": items });
        println!("{all}");
        return;
    }
    let row = |item: &misy_tenancy::inventories::Item| {
        let verdict = verdict(item.verdict).as_str().unwrap_or_default().to_owned();
        let (part, store) = (item.part.to_owned(), item.store.to_owned());
        vec![part, store, item.what.clone(), item.count.to_string(), verdict]
    };
    let rows: Vec<_> = found.items.iter().map(row).collect();
    print!("{}", table(&["PART", "STORE", "WHAT", "COUNT", "VERDICT"], &rows));
}

/// Prints what an export has written.
pub(super) fn print_export(json: bool, written: &[(String, u64)]) {
    if json {
        let files: serde_json::Map<_, _> =
            written.iter().map(|(name, rows)| (name.clone(), json!(rows))).collect();
        println!("{}", json!({ "rows": files }));
        return;
    }
    let row = |(name, rows): &(String, u64)| vec![format!("{name}.ndjson"), rows.to_string()];
    print!("{}", table(&["FILE", "ROWS"], &written.iter().map(row).collect::<Vec<_>>()));
}

/// Columns as wide as their widest cell, two blanks apart.
pub(in crate::commands) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width = |at: usize| all.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in all {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_heads() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [row(["acme", "1"]), row(["é", "22"])];
        assert_eq!(table(&["SLUG", "N"], &rows), "SLUG  N\nacme  1\né     22\n");
        assert_eq!(table(&["SLUG"], &[]), "SLUG\n");
    }
}
