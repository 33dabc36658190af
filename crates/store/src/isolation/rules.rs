//! Room `store`: what must hold of a database so that its tenants are apart. Each broken rule is
//! one [`Fault`] that says what breaks it and what to do.

use super::catalog::{Catalog, Function, Policy, Relation, Role, Session};
use super::{CONTROL, DEFINERS, Fault, LENT, Lent, PINNED_PATH, RESTRICTED, Weight};

const ALL_RIGHTS: [&str; 4] = ["DELETE", "INSERT", "SELECT", "UPDATE"];

/// What is to be done about something that no migration of this program has made.
const STRANGER: &str = "tables come from migrations alone: drop it, or move it to another database";

/// An index of words leads with the tenant in every single entry.
const WORDS: &str = "misy_tenant_words(tenant_id, ";

const REMAKE: &str = "restore it from a backup; migrations run once and do not mend it";

/// Everything that is wrong; empty if tenants are apart.
pub(super) fn faults(catalog: &Catalog) -> Vec<Fault> {
    if !catalog.relations.iter().any(|relation| relation.name == "schema_migrations") {
        return vec![fault("schema", "it was never migrated", "run `misybot migrate`")];
    }
    let mut faults = Vec::new();
    for relation in &catalog.relations {
        faults.extend(of_relation(relation, catalog));
    }
    for (name, _) in CONTROL {
        if !catalog.relations.iter().any(|one| one.name == name) {
            faults.push(fault(name, "is missing", "run `misybot migrate`"));
        }
    }
    catalog.functions.iter().for_each(|function| of_function(function, &mut faults));
    catalog.roles.iter().for_each(|role| of_role(role, &mut faults));
    if catalog.roles.len() != 5 {
        let remedy = "run `misybot migrate`, which makes the missing one";
        let broken = "misy_owner, misy_tenant, misy_platform, misy_search, misy_gateway must exist";
        faults.push(fault("roles", broken, remedy));
    }
    if catalog.default_grants != 0 {
        let remedy = "look at pg_default_acl and `alter default privileges .. revoke ..` each";
        faults.push(fault("default grants", "new tables must start without any", remedy));
    }
    if catalog.publications != 0 {
        let remedy = "`drop publication` what nobody here has made; replication asks no policy";
        let broken = "rows of all tenants are copied to whoever subscribes";
        let fault = fault("publications", broken, remedy);
        faults.push(Fault { weight: Weight::Weakens, ..fault });
    }
    faults
}

/// What is wrong with the session that looked, if it is to be one of `misy_tenant`.
pub(super) fn of_session(session: &Session) -> Vec<Fault> {
    let mut faults = Vec::new();
    let server = session.server();
    if !server.is_safe() {
        let broken = format!("PostgreSQL {server} lacks the last fixes to row-level security");
        let remedy = "update it to 15.14, 16.10, 17.6, 18.0 or later";
        faults.push(fault("server", broken, remedy));
    }
    let Session { user, signed_in_as, superuser, tenant, .. } = session;
    if user != "misy_tenant" || signed_in_as != "misy_tenant" || *superuser {
        let broken = format!("{user} is whom statements run as, signed in as {signed_in_as}");
        let remedy = "connect to the server itself, or have the pooler in between keep the user";
        faults.push(fault("session", broken, remedy));
    }
    if !tenant.is_empty() {
        let remedy = "`alter role misy_tenant reset \"misy.tenant\"`, in this database too, and \
                      remove it from the server's configuration";
        faults.push(fault("session", "begins inside a tenant", remedy));
    }
    faults
}

fn fault(subject: &str, broken: impl Into<String>, remedy: impl Into<String>) -> Fault {
    let (subject, broken, remedy) = (subject.to_owned(), broken.into(), remedy.into());
    Fault { subject, broken, remedy, weight: Weight::Opens }
}

/// The one expression that compares a column with the transaction's tenant, frozen for a statement.
fn isolation(column: &str) -> String {
    format!(
        "({column} = ( SELECT (current_setting('misy.tenant'::text))::uuid AS current_setting))"
    )
}

/// Collects what is wrong with one relation.
struct Complaints<'a> {
    relation: &'a Relation,
    faults: Vec<Fault>,
}

impl Complaints<'_> {
    fn say(&mut self, broken: impl Into<String>, remedy: impl Into<String>) {
        let weight = if self.relation.is_reachable() { Weight::Opens } else { Weight::Weakens };
        let fault = fault(&self.relation.name, broken, remedy);
        self.faults.push(Fault { weight, ..fault });
    }

    fn statement(&mut self, broken: impl Into<String>, sql: &str) {
        let remedy = format!("as its owner: `{}`", sql.replace("{t}", &self.relation.name));
        self.say(broken, remedy);
    }
}

fn of_relation(relation: &Relation, catalog: &Catalog) -> Vec<Fault> {
    if relation.borrowed && !relation.is_reachable() {
        return Vec::new();
    }
    let mut say = Complaints { relation, faults: Vec::new() };
    of_every_relation(relation, &mut say);
    if relation.is_tenant_table() {
        of_tenant_table(relation, catalog, &mut say);
    } else if relation.is_table() && !relation.leaf {
        of_control_table(relation, &mut say);
    }
    say.faults
}

fn of_every_relation(relation: &Relation, say: &mut Complaints<'_>) {
    match relation.kind.as_str() {
        "r" | "p" => {}
        "v" if relation.invoker => {}
        "v" => say.statement(
            "a view must be security_invoker",
            "alter view {t} set (security_invoker = true)",
        ),
        "m" => say.say("a materialised view copies rows out of their policies", "drop it"),
        other => say.say(format!("relations of kind `{other}` have no place here"), STRANGER),
    }
    if relation.owner != "misy_owner" {
        let broken = format!("is owned by {}", relation.owner);
        say.say(broken, format!("`alter table {} owner to misy_owner`", relation.name));
    }
    if relation.leaf && !relation.grants.is_empty() {
        let broken = "a partition's leaf has grants, which go around the parent's policy";
        say.statement(broken, "revoke all on {t} from misy_tenant, misy_platform, public");
    }
    for name in &relation.rewritten {
        say.statement(
            format!("rule {name} rewrites statements"),
            &format!("drop rule {name} on {{t}}"),
        );
    }
    for name in &relation.triggers {
        let drop = format!("drop trigger {name} on {{t}}");
        say.statement(format!("trigger {name} does what no statement says"), &drop);
    }
    let lent = find_lent(&relation.name);
    for grant in &relation.grants {
        let known = matches!(grant.to.as_str(), "misy_tenant" | "misy_platform");
        if !known && lent.is_none_or(|lent| grant.to != lent.role) {
            let revoke = format!("revoke all on {{t}} from {}", grant.to);
            say.statement(format!("{} is granted to {}", grant.may, grant.to), &revoke);
        }
        if !ALL_RIGHTS.contains(&grant.may.as_str()) {
            let revoke = format!("revoke {} on {{t}} from {}", grant.may, grant.to);
            say.statement(format!("{} may {}", grant.to, grant.may), &revoke);
        }
    }
}

fn of_tenant_table(table: &Relation, catalog: &Catalog, say: &mut Complaints<'_>) {
    of_its_form(table, catalog, say);
    if !table.rls {
        say.statement("row-level security is off", "alter table {t} enable row level security");
    }
    if !table.forced {
        let force = "alter table {t} force row level security";
        say.statement("row-level security is not forced", force);
    }
    let lent = find_lent(&table.name);
    let is_lent = |policy: &Policy| lent.is_some_and(|lent| lets(lent, policy));
    let policies: Vec<&Policy> = table.policies.iter().filter(|one| !is_lent(one)).collect();
    if !matches!(policies.as_slice(), [only] if is_the_policy(only)) {
        let remedy = "`drop policy` each that it has, then as misy_owner `select \
                      misy_protect_tenant_table('{t}')`";
        let remedy = remedy.replace("{t}", &table.name);
        say.say("must have the one policy tenant_isolation and no other", remedy);
    }
    let restricted = RESTRICTED.iter().find(|(name, _)| *name == table.name);
    let wanted = restricted.map_or(&ALL_RIGHTS[..], |(_, rights)| rights);
    if table.rights_of("misy_tenant") != wanted {
        let grant = wanted.join(", ").to_lowercase();
        let sql =
            format!("revoke all on {{t}} from misy_tenant; grant {grant} on {{t}} to misy_tenant");
        say.statement("misy_tenant has other rights than it should", &sql);
    }
    if let Some(Lent { role, rights, .. }) = lent
        && table.rights_of(role) != *rights
    {
        let grants = rights.iter().map(|right| format!("; grant {right} on {{t}} to {role}"));
        let sql = format!("revoke all on {{t}} from {role}{}", grants.collect::<String>());
        say.statement(format!("{role} has other rights than it should"), &sql);
    }
    if table.grants.iter().any(|grant| grant.to == "misy_platform") {
        let revoke = "revoke all on {t} from misy_platform";
        say.statement("misy_platform may touch what is a tenant's", revoke);
    }
}

fn of_its_form(table: &Relation, catalog: &Catalog, say: &mut Complaints<'_>) {
    let owner = table.columns.iter().find(|column| column.name == "tenant_id");
    if !owner.is_some_and(|column| column.type_name == "uuid" && column.not_null) {
        say.say("has no `tenant_id uuid not null`", STRANGER);
    }
    for column in &table.columns {
        if !matches!(column.class.as_str(), "b") || column.type_name == "citext" {
            let broken = format!("the type of `{}` is not leakproof to compare", column.name);
            say.say(broken, "use text with a check");
        }
    }
    if !table.indexes.iter().any(|index| index.primary) {
        say.statement("has no primary key", "alter table {t} add primary key (tenant_id, id)");
    }
    for index in &table.indexes {
        let of_words = index.method == "gin" && index.first.starts_with(WORDS);
        if index.first != "tenant_id" && !of_words {
            let broken = format!("index {} does not lead with tenant_id", index.name);
            say.say(broken, format!("`drop index {}`, or the constraint behind it", index.name));
        }
    }
    for key in &table.foreign_keys {
        let to_tenant = catalog.tenant_tables().any(|other| other.name == key.target);
        let leads = key.first == "tenant_id" && key.target_first == "tenant_id";
        if !(to_tenant && leads && key.columns >= 2) {
            let broken = format!("foreign key {} reaches out of the tenant", key.name);
            say.statement(broken, &format!("alter table {{t}} drop constraint {}", key.name));
        }
    }
}

fn find_lent(table: &str) -> Option<&'static Lent> {
    LENT.iter().find(|one| one.table == table)
}

/// Whether it is a policy by which a role of reviewed functions sees or adds rows of all tenants;
/// the functions name the tenant themselves.
fn lets(lent: &Lent, policy: &Policy) -> bool {
    let (using, check) = (policy.using.as_deref(), policy.check.as_deref());
    let open = match policy.command.as_str() {
        "r" => using == Some("true") && check.is_none(),
        "a" => using.is_none() && check == Some("true"),
        _ => false,
    };
    let known = lent.policies.contains(&(policy.name.as_str(), policy.command.as_str()));
    known && open && policy.permissive && policy.roles == [lent.role]
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
fn of_control_table(table: &Relation, say: &mut Complaints<'_>) {
    let column =
        CONTROL.iter().find(|(name, _)| *name == table.name).and_then(|(_, column)| *column);
    let granted = table.grants.iter().any(|grant| grant.to == "misy_tenant");
    let Some(column) = column else {
        if granted {
            say.statement("misy_tenant may touch it", "revoke all on {t} from misy_tenant");
        }
        return;
    };
    if !granted {
        say.say("is listed as open to misy_tenant and is not", REMAKE);
    }
    if !(table.rls && table.forced) {
        let sql = "alter table {t} enable row level security, force row level security";
        say.statement("row-level security must be on and forced", sql);
    }
    let wanted = isolation(column);
    for policy in &table.policies {
        if policy.roles == ["misy_platform"] {
            continue;
        }
        let drop = format!("drop policy {} on {{t}}", policy.name);
        if policy.roles != ["misy_tenant"] || !policy.permissive {
            say.statement(format!("policy {} is for {:?}", policy.name, policy.roles), &drop);
        }
        let sides = [&policy.using, &policy.check];
        if sides.iter().any(|side| side.as_ref().is_some_and(|text| *text != wanted)) {
            say.statement(format!("policy {} lets a tenant at rows of others", policy.name), &drop);
        }
        if sides.iter().all(|side| side.is_none()) {
            say.statement(format!("policy {} has no condition", policy.name), &drop);
        }
    }
}

/// A function with its owner's rights is one that was reviewed, whole, and nothing that the caller
/// makes can stand in for what it names.
fn of_function(function: &Function, faults: &mut Vec<Fault>) {
    let Function { name, definer: true, owner, .. } = function else { return };
    let mut say = |broken: String, remedy: &str| faults.push(fault(name, broken, remedy));
    let known = DEFINERS.iter().find(|one| one.name == name.as_str());
    let Some(known) = known else {
        let remedy = format!("`drop function {name}`, or `alter function {name} security invoker`");
        say("runs with its owner's rights and is not on the list".to_owned(), &remedy);
        return;
    };
    if known.digest != function.digest {
        let broken =
            format!("its arguments or body are not what was reviewed ({})", function.digest);
        say(broken, REMAKE);
    }
    if known.owner != owner.as_str() {
        let remedy = format!("`alter function {name} owner to {}`", known.owner);
        say(format!("has the rights of {owner}"), &remedy);
    }
    if !function.settings.iter().any(|one| one == PINNED_PATH) {
        let remedy = format!("`alter function {name} set {}`", PINNED_PATH.replacen('=', " = ", 1));
        say("runs with its owner's rights without the pinned search_path".to_owned(), &remedy);
    }
    if function.callers != [known.caller] {
        let remedy =
            format!("`revoke all on function {name} from ..` whoever is not {}", known.caller);
        say(format!("may be called by {:?}", function.callers), &remedy);
    }
}

fn of_role(role: &Role, faults: &mut Vec<Fault>) {
    let Role { name, power, member_of, owns, settings, .. } = role;
    let mut say = |broken: &str, remedy: String| faults.push(fault(name, broken, remedy));
    if *power {
        let remedy = format!(
            "as superuser: `alter role {name} nosuperuser nobypassrls nocreaterole nocreatedb \
             noreplication`"
        );
        say("has more power than a role of the program may have", remedy);
    }
    if !member_of.is_empty() {
        let remedy = format!("`revoke {} from {name}`", member_of.join(", "));
        say("is a member of another role", remedy);
    }
    if settings.iter().any(|one| one.starts_with("misy.") || one.starts_with("role=")) {
        let remedy = format!("`alter role {name} reset all`, also `in database`");
        say("begins its sessions with a tenant or another role", remedy);
    }
    if matches!(name.as_str(), "misy_owner" | "misy_search" | "misy_gateway") && role.signs_in {
        say("can sign in", format!("`alter role {name} nologin`"));
    }
    if name == "misy_owner" {
        return;
    }
    let lent = DEFINERS.iter().filter(|one| one.owner == name.as_str()).count();
    if usize::try_from(*owns) != Ok(lent) {
        let remedy = format!("`reassign owned by {name} to misy_owner`");
        say("owns what policies cannot bind it on", remedy);
    }
    if role.may_create {
        let remedy = format!(
            "`revoke create on schema public from {name}, public`; `revoke create on database .. \
             from {name}, public`"
        );
        say("may create objects", remedy);
    }
    if role.may_set_config {
        let remedy = "as superuser: `revoke execute on function pg_catalog.set_config(text, text, \
                      boolean) from public`; where nobody is superuser, the policies' frozen \
                      value is the wall that remains";
        let fault = fault(name, "may run set_config", remedy);
        faults.push(Fault { weight: Weight::Weakens, ..fault });
    }
}
