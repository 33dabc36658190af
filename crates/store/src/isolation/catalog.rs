//! Room `store`: tables, policies, grants, functions and roles as PostgreSQL's catalog has them.

use serde::Deserialize;
use tokio_postgres::Client;

use crate::Error;
use crate::embedded::Version;

/// Everything in one statement. Of schemas other than ours only what somebody of ours, or
/// everybody, may touch: a database can be shared with another program.
const READ: &str = r"
select json_build_object(
'relations', (select coalesce(json_agg(json_build_object(
    'name', case c.relnamespace when 'public'::regnamespace then '' else
        c.relnamespace::regnamespace || '.' end || c.relname,
    'kind', c.relkind, 'leaf', c.relispartition, 'owner', c.relowner::regrole::text,
    'borrowed', exists (select from pg_depend d where d.classid = 'pg_class'::regclass
        and d.objid = c.oid and d.deptype = 'e'),
    'rewritten', (select coalesce(json_agg(w.rulename order by w.rulename), '[]')
        from pg_rewrite w where w.ev_class = c.oid and w.rulename <> '_RETURN'),
    'triggers', (select coalesce(json_agg(t.tgname order by t.tgname), '[]')
        from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal),
    'rls', c.relrowsecurity, 'forced', c.relforcerowsecurity,
    'invoker', coalesce('security_invoker=true' = any (c.reloptions), false),
    'columns', (select coalesce(json_agg(json_build_object('name', a.attname,
            'type', format_type(a.atttypid, null), 'class', t.typtype, 'not_null', a.attnotnull,
            'generated', case when a.attgenerated <> '' then (
                select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d
                where d.adrelid = c.oid and d.adnum = a.attnum) end)
            order by a.attnum), '[]')
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
    'indexes', (select coalesce(json_agg(json_build_object('name', x.indexrelid::regclass::text,
            'primary', x.indisprimary, 'method', (select amname from pg_class i
                join pg_am on pg_am.oid = i.relam where i.oid = x.indexrelid),
            'first', pg_get_indexdef(x.indexrelid, 1, true))
            order by x.indexrelid::regclass::text), '[]')
        from pg_index x where x.indrelid = c.oid),
    'foreign_keys', (select coalesce(json_agg(json_build_object('name', f.conname,
            'target', f.confrelid::regclass::text, 'columns', cardinality(f.conkey),
            'first', (select attname from pg_attribute
                where attrelid = c.oid and attnum = f.conkey[1]),
            'target_first', (select attname from pg_attribute
                where attrelid = f.confrelid and attnum = f.confkey[1])) order by f.conname), '[]')
        from pg_constraint f where f.conrelid = c.oid and f.contype = 'f'),
    'policies', (select coalesce(json_agg(json_build_object('name', p.polname, 'command', p.polcmd,
            'permissive', p.polpermissive,
            'roles', array(select case when r = 0 then 'public' else r::regrole::text end
                from unnest(p.polroles) r),
            'using', pg_get_expr(p.polqual, p.polrelid),
            'check', pg_get_expr(p.polwithcheck, p.polrelid)) order by p.polname), '[]')
        from pg_policy p where p.polrelid = c.oid),
    'grants', (select coalesce(json_agg(json_build_object('to', grantee, 'may', privilege,
            'column', col)
            order by grantee, privilege, col), '[]')
        from (select
                case when g.grantee = 0 then 'public' else g.grantee::regrole::text end as grantee,
                g.privilege_type as privilege, null as col
            from aclexplode(c.relacl) g where g.grantee <> c.relowner
            union all
            select case when g.grantee = 0 then 'public' else g.grantee::regrole::text end,
                g.privilege_type, a.attname::text
            from pg_attribute a, aclexplode(a.attacl) g
            where a.attrelid = c.oid and g.grantee <> c.relowner) all_grants))
    order by c.relname), '[]')
    from pg_class c
    where c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      and c.relnamespace::regnamespace::text not like 'pg\_t%'
      and c.relkind not in ('i', 'I', 't')
      and (c.relnamespace = 'public'::regnamespace or (
        has_schema_privilege('misy_tenant', c.relnamespace, 'usage') and
        has_any_column_privilege('misy_tenant', c.oid, 'select, insert, update, references')))),
'functions', (select coalesce(json_agg(json_build_object('name', p.proname, 'definer', p.prosecdef,
        'owner', p.proowner::regrole::text, 'settings', coalesce(p.proconfig, '{}'),
        'digest', encode(sha256(convert_to(
            pg_get_function_identity_arguments(p.oid) || ' ' || p.prosrc, 'UTF8')), 'hex'),
        'callers', array(select
            case when g.grantee = 0 then 'public' else g.grantee::regrole::text end
            from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
            where g.grantee <> p.proowner order by 1)) order by p.proname), '[]')
    from pg_proc p
    where p.pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      and (p.pronamespace = 'public'::regnamespace or (p.prosecdef
        and has_schema_privilege('misy_tenant', p.pronamespace, 'usage')
        and has_function_privilege('misy_tenant', p.oid, 'execute')))
      and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass
        and d.objid = p.oid and d.deptype = 'e' and not p.prosecdef)),
'roles', (select json_agg(json_build_object('name', r.rolname, 'signs_in', r.rolcanlogin,
        'power', r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb
            or r.rolreplication,
        'member_of', array(select roleid::regrole::text from pg_auth_members where member = r.oid),
        'may_set_config',
            has_function_privilege(r.oid, 'pg_catalog.set_config(text, text, boolean)', 'execute'),
        'owns', (select count(*) from pg_shdepend d where d.refclassid = 'pg_authid'::regclass
            and d.refobjid = r.oid and d.deptype = 'o' and d.dbid in (0,
                (select oid from pg_database where datname = current_database()))),
        'settings', (select coalesce(json_agg(one order by one), '[]')
            from pg_db_role_setting s, unnest(s.setconfig) one
            where s.setrole in (0, r.oid) and s.setdatabase in (0,
                (select oid from pg_database where datname = current_database()))),
        'may_create', has_schema_privilege(r.oid, 'public', 'create')
            or has_database_privilege(r.oid, current_database(), 'create')) order by r.rolname)
    from pg_roles r where r.rolname in ('misy_owner', 'misy_tenant', 'misy_platform',
        'misy_search', 'misy_gateway')),
'default_grants', (select count(*) from pg_default_acl),
'publications', (select count(*) from pg_publication),
'session', json_build_object('user', current_user, 'signed_in_as', session_user,
    'database', current_database(),
    'version', current_setting('server_version_num')::int,
    'superuser', current_setting('is_superuser') = 'on',
    'tenant', coalesce(current_setting('misy.tenant', true), '')))::text";

/// Everything that decides who sees what.
#[derive(Debug, Deserialize)]
pub struct Catalog {
    /// Tables, views and whatever else holds rows.
    pub relations: Vec<Relation>,
    /// Functions of ours, and those of others that run with their owner's rights.
    pub functions: Vec<Function>,
    /// The program's roles.
    pub roles: Vec<Role>,
    /// Grants that new objects would get by themselves.
    pub default_grants: i64,
    /// What is copied to other servers, past every policy.
    pub publications: i64,
    /// The session that looked.
    pub session: Session,
}

/// What holds rows.
#[derive(Debug, Deserialize)]
pub struct Relation {
    /// Its name, with its schema if that is not ours.
    pub name: String,
    /// The catalog's letter: `r` a table, `p` a partitioned one, `v` a view, and so on.
    pub kind: String,
    /// Whether it is a partition of another.
    pub leaf: bool,
    /// Whose it is.
    pub owner: String,
    /// Whether it belongs to an extension.
    pub borrowed: bool,
    /// Names of rewrite rules, but for a view's own.
    pub rewritten: Vec<String>,
    /// Names of triggers.
    pub triggers: Vec<String>,
    /// Whether row-level security is on.
    pub rls: bool,
    /// Whether it binds the owner as well.
    pub forced: bool,
    /// Whether a view runs with its caller's rights.
    pub invoker: bool,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
    /// Its indexes, by name.
    pub indexes: Vec<Index>,
    /// Where its rows point to, by name.
    pub foreign_keys: Vec<ForeignKey>,
    /// Its policies, by name.
    pub policies: Vec<Policy>,
    /// Who but its owner may do what.
    pub grants: Vec<Grant>,
}

/// A column.
#[derive(Debug, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its type's letter: `b` a base type, `e` an enum, `d` a domain.
    pub class: String,
    /// Whether it must have a value.
    pub not_null: bool,
    /// The expression that it is computed by, if it is.
    pub generated: Option<String>,
}

/// An index.
#[derive(Debug, Deserialize)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Whether it is the primary key's.
    pub primary: bool,
    /// The first column, or the first expression as PostgreSQL writes it.
    pub first: String,
    /// How it is built: `btree`, `gin` and others.
    pub method: String,
}

/// A foreign key.
#[derive(Debug, Deserialize)]
pub struct ForeignKey {
    /// Its name.
    pub name: String,
    /// The table it points to.
    pub target: String,
    /// How many columns it has.
    pub columns: usize,
    /// Its first column.
    pub first: String,
    /// The first column that it points to.
    pub target_first: String,
}

/// A policy of row-level security.
#[derive(Debug, Deserialize)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// The catalog's letter: `*` all, `r` select, `a` insert, `w` update, `d` delete.
    pub command: String,
    /// Whether it opens; a restrictive one only closes.
    pub permissive: bool,
    /// For whom.
    pub roles: Vec<String>,
    /// Which rows are seen.
    pub using: Option<String>,
    /// Which rows may be written.
    pub check: Option<String>,
}

/// A right that somebody other than the owner has.
#[derive(Debug, Deserialize)]
pub struct Grant {
    /// Whose.
    pub to: String,
    /// What, in capitals.
    pub may: String,
    /// On which column only.
    pub column: Option<String>,
}

/// A function.
#[derive(Debug, Deserialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Whether it runs with its owner's rights.
    pub definer: bool,
    /// Whose it is.
    pub owner: String,
    /// Settings in force while it runs.
    pub settings: Vec<String>,
    /// SHA-256 of its arguments and body, in hexadecimal digits.
    pub digest: String,
    /// Who but its owner may run it.
    pub callers: Vec<String>,
}

/// A role of the program.
#[derive(Debug, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether it may sign in.
    pub signs_in: bool,
    /// Whether it is superuser or may bypass policies, create roles or databases, or replicate.
    pub power: bool,
    /// The roles whose rights it has beside its own.
    pub member_of: Vec<String>,
    /// How many objects of this database, or of the whole server, are its own.
    pub owns: i64,
    /// Settings that its sessions begin with.
    pub settings: Vec<String>,
    /// Whether it may change settings in the middle of a statement.
    pub may_set_config: bool,
    /// Whether it may create schemas, or objects in ours.
    pub may_create: bool,
}

/// The session that looked.
#[derive(Debug, Deserialize)]
pub struct Session {
    /// Whose rights it has.
    pub user: String,
    /// Who signed in.
    pub signed_in_as: String,
    /// The database it is in.
    pub database: String,
    /// The server's version as a number, for example 150018.
    pub version: u32,
    /// Whether nothing binds it.
    pub superuser: bool,
    /// The tenant that it is in before any was set; must be none.
    pub tenant: String,
}

impl Session {
    /// The server's version.
    pub fn server(&self) -> Version {
        Version { major: self.version / 10_000, minor: self.version % 10_000 }
    }
}

impl Catalog {
    /// Reads it, with whatever rights the client has: the catalog is open to every role.
    pub async fn read(client: &Client) -> Result<Self, Error> {
        let row = client.query_one(READ, &[]).await?;
        serde_json::from_str(row.get(0)).map_err(|_| Error::Corrupt { column: "catalog" })
    }

    /// The tables that hold what belongs to tenants.
    pub fn tenant_tables(&self) -> impl Iterator<Item = &Relation> {
        self.relations.iter().filter(|relation| relation.is_tenant_table())
    }
}

impl Relation {
    /// Whether it holds what belongs to tenants: every table does that is not listed as control. A
    /// partition is reached through its parent's policy alone, because nobody has a grant on it.
    pub fn is_tenant_table(&self) -> bool {
        self.is_table() && !self.leaf && !super::CONTROL.iter().any(|(name, _)| *name == self.name)
    }

    /// Whether it is a table, partitioned or not.
    pub fn is_table(&self) -> bool {
        matches!(self.kind.as_str(), "r" | "p")
    }

    /// Whether a tenant's role may do anything with it.
    pub fn is_reachable(&self) -> bool {
        self.grants.iter().any(|grant| matches!(grant.to.as_str(), "misy_tenant" | "public"))
    }

    /// What a role may, in alphabetical order; with columns where it is granted on some only.
    pub fn rights_of(&self, role: &str) -> Vec<String> {
        let mut whole: Vec<String> = Vec::new();
        let mut columns: Vec<(&str, Vec<&str>)> = Vec::new();
        for grant in self.grants.iter().filter(|grant| grant.to == role) {
            let Some(column) = &grant.column else {
                whole.push(grant.may.clone());
                continue;
            };
            match columns.iter_mut().find(|(may, _)| *may == grant.may) {
                Some((_, names)) => names.push(column),
                None => columns.push((&grant.may, vec![column])),
            }
        }
        let some = columns.iter().map(|(may, names)| format!("{may} ({})", names.join(", ")));
        whole.into_iter().chain(some).collect()
    }
}
