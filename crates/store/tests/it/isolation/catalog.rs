//! Room `store`: tables, policies, grants, functions and roles as PostgreSQL's catalog has them.

use serde::Deserialize;
use tokio_postgres::Client;

const READ: &str = "
select json_build_object(
'relations', (select json_agg(json_build_object(
    'name', c.relname, 'kind', c.relkind, 'leaf', c.relispartition,
    'owner', c.relowner::regrole::text,
    'rls', c.relrowsecurity, 'forced', c.relforcerowsecurity,
    'invoker', coalesce('security_invoker=true' = any (c.reloptions), false),
    'hidden_code', array(
        select tgname::text from pg_trigger where tgrelid = c.oid and not tgisinternal
        union all select rulename from pg_rewrite
            where ev_class = c.oid and rulename <> '_RETURN' order by 1),
    'columns', (select coalesce(json_agg(json_build_object('name', a.attname,
            'type', format_type(a.atttypid, null), 'class', t.typtype, 'not_null', a.attnotnull,
            'generated', a.attgenerated <> '')
            order by a.attnum), '[]')
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
    'indexes', (select coalesce(json_agg(json_build_object('name', x.indexrelid::regclass::text,
            'primary', x.indisprimary,
            'first', (select attname from pg_attribute
                where attrelid = c.oid and attnum = x.indkey[0]))
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
    order by c.relname)
    from pg_class c
    where c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      and c.relnamespace::regnamespace::text not like 'pg_t%' and c.relkind not in ('i', 'I', 't')),
'functions', (select coalesce(json_agg(json_build_object('definer', p.prosecdef,
        'name', case when p.pronamespace = 'public'::regnamespace then p.proname::text
            else p.pronamespace::regnamespace || '.' || p.proname end,
        'owner', p.proowner::regrole::text,
        'search_path', coalesce(array_to_string(p.proconfig, ' ') like '%search_path=%', false),
        'callers', array(select
            case when g.grantee = 0 then 'public' else g.grantee::regrole::text end
            from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
            where g.grantee <> p.proowner order by 1)) order by p.proname), '[]')
    from pg_proc p where p.pronamespace not in
        ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)),
'roles', (select json_agg(json_build_object('name', r.rolname, 'signs_in', r.rolcanlogin,
        'power', r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb
            or r.rolreplication,
        'member_of', array(select roleid::regrole::text from pg_auth_members where member = r.oid),
        'may_set_config',
            has_function_privilege(r.oid, 'pg_catalog.set_config(text, text, boolean)', 'execute'),
        'settings', array(select unnest(s.setconfig) from pg_db_role_setting s
            where s.setrole = r.oid),
        'may_create', has_schema_privilege(r.oid, 'public', 'create')) order by r.rolname)
    from pg_roles r where r.rolname in ('misy_owner', 'misy_tenant', 'misy_platform')),
'default_grants', (select count(*) from pg_default_acl),
'publications', (select count(*) from pg_publication))::text";

/// Everything that decides who sees what.
#[derive(Debug, Deserialize)]
pub(crate) struct Catalog {
    pub(crate) relations: Vec<Relation>,
    pub(crate) functions: Vec<Function>,
    pub(crate) roles: Vec<Role>,
    pub(crate) default_grants: i64,
    pub(crate) publications: i64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Relation {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) leaf: bool,
    pub(crate) owner: String,
    pub(crate) rls: bool,
    pub(crate) forced: bool,
    pub(crate) invoker: bool,
    /// Triggers and rewrite rules.
    pub(crate) hidden_code: Vec<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) indexes: Vec<Index>,
    pub(crate) foreign_keys: Vec<ForeignKey>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) grants: Vec<Grant>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    pub(crate) class: String,
    pub(crate) not_null: bool,
    pub(crate) generated: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) primary: bool,
    /// The first column; an expression is none.
    pub(crate) first: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ForeignKey {
    pub(crate) name: String,
    pub(crate) target: String,
    pub(crate) columns: usize,
    pub(crate) first: String,
    pub(crate) target_first: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) permissive: bool,
    pub(crate) roles: Vec<String>,
    pub(crate) using: Option<String>,
    pub(crate) check: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Grant {
    pub(crate) to: String,
    pub(crate) may: String,
    pub(crate) column: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) definer: bool,
    pub(crate) search_path: bool,
    pub(crate) callers: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) signs_in: bool,
    pub(crate) power: bool,
    pub(crate) member_of: Vec<String>,
    pub(crate) may_set_config: bool,
    /// What its sessions begin with.
    pub(crate) settings: Vec<String>,
    pub(crate) may_create: bool,
}

impl Catalog {
    pub(crate) async fn read(client: &Client) -> Self {
        let row = client.query_one(READ, &[]).await.expect("the catalog is readable");
        serde_json::from_str(row.get(0)).expect("in the form that was asked for")
    }

    pub(crate) fn tenant_tables(&self) -> impl Iterator<Item = &Relation> {
        self.relations.iter().filter(|relation| relation.is_tenant_table())
    }
}

impl Relation {
    pub(crate) fn is_tenant_table(&self) -> bool {
        self.is_table() && !super::CONTROL.iter().any(|(name, _)| *name == self.name)
    }

    pub(crate) fn is_table(&self) -> bool {
        matches!(self.kind.as_str(), "r" | "p")
    }

    /// What a role may, in alphabetical order; with columns where it is granted on some only.
    pub(crate) fn rights_of(&self, role: &str) -> Vec<String> {
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
