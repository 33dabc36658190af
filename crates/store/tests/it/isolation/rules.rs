//! Room `store`: what must hold of a database so that its tenants are apart. Each broken rule is
//! one sentence that begins with the name of what broke it.

use super::catalog::{Catalog, Function, Policy, Relation, Role};
use super::{CONTROL, DEFINERS, RESTRICTED};

const ALL_RIGHTS: [&str; 4] = ["DELETE", "INSERT", "SELECT", "UPDATE"];

/// Everything that is wrong; empty if tenants are apart.
pub(crate) fn faults(catalog: &Catalog) -> Vec<String> {
    let mut faults = Vec::new();
    for relation in &catalog.relations {
        let mut say = |fault: String| faults.push(format!("{}: {fault}", relation.name));
        of_every_relation(relation, &mut say);
        if relation.is_tenant_table() {
            of_tenant_table(relation, catalog, &mut say);
        } else if relation.is_table() {
            of_control_table(relation, &mut say);
        }
    }
    catalog.functions.iter().for_each(|function| of_function(function, &mut faults));
    catalog.roles.iter().for_each(|role| of_role(role, &mut faults));
    if catalog.roles.len() != 3 {
        faults.push("roles: misy_owner, misy_tenant and misy_platform must exist".to_owned());
    }
    if catalog.default_grants != 0 {
        faults.push("default grants: new tables must start without any".to_owned());
    }
    if catalog.publications != 0 {
        faults.push("publications: replication asks no policy".to_owned());
    }
    faults
}

/// The one expression that compares a column with the transaction's tenant, frozen for a statement.
fn isolation(column: &str) -> String {
    format!(
        "({column} = ( SELECT (current_setting('misy.tenant'::text))::uuid AS current_setting))"
    )
}

fn of_every_relation(relation: &Relation, say: &mut impl FnMut(String)) {
    match relation.kind.as_str() {
        "r" | "p" => {}
        "v" if relation.invoker => {}
        "v" => say("a view must be security_invoker".to_owned()),
        "m" => say("a materialised view copies rows out of their policies".to_owned()),
        other => say(format!("relations of kind `{other}` have no place here")),
    }
    if relation.owner != "misy_owner" {
        say(format!("is owned by {}", relation.owner));
    }
    for code in &relation.hidden_code {
        say(format!("{code} runs on its rows though no statement names it"));
    }
    if relation.leaf && !relation.grants.is_empty() {
        say("a partition's leaf has grants, which go around the parent's policy".to_owned());
    }
    for grant in &relation.grants {
        if !matches!(grant.to.as_str(), "misy_tenant" | "misy_platform") {
            say(format!("{} is granted to {}", grant.may, grant.to));
        }
        if !ALL_RIGHTS.contains(&grant.may.as_str()) {
            say(format!("{} may {}", grant.to, grant.may));
        }
    }
}

fn of_tenant_table(table: &Relation, catalog: &Catalog, say: &mut impl FnMut(String)) {
    let owner = table.columns.iter().find(|column| column.name == "tenant_id");
    if !owner.is_some_and(|column| column.type_name == "uuid" && column.not_null) {
        say("has no `tenant_id uuid not null`".to_owned());
    }
    for column in &table.columns {
        if !matches!(column.class.as_str(), "b") || column.type_name == "citext" {
            say(format!("the type of `{}` is not leakproof to compare", column.name));
        }
    }
    if !table.indexes.iter().any(|index| index.primary) {
        say("has no primary key".to_owned());
    }
    for index in &table.indexes {
        if index.first.as_deref() != Some("tenant_id") {
            say(format!("index {} does not lead with tenant_id", index.name));
        }
    }
    for key in &table.foreign_keys {
        let to_tenant = catalog.tenant_tables().any(|other| other.name == key.target);
        let leads = key.first == "tenant_id" && key.target_first == "tenant_id";
        if !(to_tenant && leads && key.columns >= 2) {
            say(format!("foreign key {} reaches out of the tenant", key.name));
        }
    }
    if !table.rls {
        say("row-level security is off".to_owned());
    }
    if !table.forced {
        say("row-level security is not forced".to_owned());
    }
    if !matches!(table.policies.as_slice(), [only] if is_the_policy(only)) {
        say("must have the one policy tenant_isolation and no other".to_owned());
    }
    let restricted = RESTRICTED.iter().find(|(name, _)| *name == table.name);
    let wanted = restricted.map_or(&ALL_RIGHTS[..], |(_, rights)| rights);
    if table.rights_of("misy_tenant") != wanted {
        say("misy_tenant has other rights than it should".to_owned());
    }
    if table.grants.iter().any(|grant| grant.to == "misy_platform") {
        say("misy_platform may touch what is a tenant's".to_owned());
    }
}

fn is_the_policy(policy: &Policy) -> bool {
    let wanted = Some(isolation("tenant_id"));
    policy.name == "tenant_isolation"
        && policy.permissive
        && policy.command == "*"
        && policy.roles == ["misy_tenant"]
        && policy.using == wanted
        && policy.check == wanted
}

/// A control table is out of a tenant's reach, or shows each tenant its own rows alone.
fn of_control_table(table: &Relation, say: &mut impl FnMut(String)) {
    let column =
        CONTROL.iter().find(|(name, _)| *name == table.name).and_then(|(_, column)| *column);
    let granted = table.grants.iter().any(|grant| grant.to == "misy_tenant");
    let Some(column) = column else {
        if granted {
            say("misy_tenant may touch it".to_owned());
        }
        return;
    };
    if !granted {
        say("is listed as open to misy_tenant and is not".to_owned());
    }
    if !(table.rls && table.forced) {
        say("row-level security must be on and forced".to_owned());
    }
    let wanted = isolation(column);
    for policy in &table.policies {
        if policy.roles == ["misy_platform"] {
            continue;
        }
        if policy.roles != ["misy_tenant"] || !policy.permissive {
            say(format!("policy {} is for {:?}", policy.name, policy.roles));
        }
        let sides = [&policy.using, &policy.check];
        if sides.iter().any(|side| side.as_ref().is_some_and(|text| *text != wanted)) {
            say(format!("policy {} lets a tenant at rows of others", policy.name));
        }
        if sides.iter().all(|side| side.is_none()) {
            say(format!("policy {} has no condition", policy.name));
        }
    }
}

fn of_function(function: &Function, faults: &mut Vec<String>) {
    let name = &function.name;
    if !function.definer {
        return;
    }
    if !DEFINERS.contains(&name.as_str()) {
        faults.push(format!("{name}: runs with its owner's rights and is not on the list"));
    }
    if !function.search_path {
        faults.push(format!("{name}: runs with its owner's rights without a fixed search_path"));
    }
    if function.owner != "misy_owner" {
        faults.push(format!("{name}: runs with the rights of {}", function.owner));
    }
    if function.callers.iter().any(|caller| caller == "public") {
        faults.push(format!("{name}: everybody may run it with its owner's rights"));
    }
}

fn of_role(role: &Role, faults: &mut Vec<String>) {
    let Role { name, power, member_of, settings, .. } = role;
    let mut say = |fault: &str| faults.push(format!("{name}: {fault}"));
    if *power {
        say("has more power than a role of the program may have");
    }
    if !member_of.is_empty() {
        say("is a member of another role");
    }
    if !settings.is_empty() {
        say("begins its sessions with settings of its own");
    }
    if name == "misy_owner" {
        if role.signs_in {
            say("can sign in");
        }
        return;
    }
    if role.may_create {
        say("may create objects");
    }
    if role.may_set_config {
        say("may run set_config");
    }
}
