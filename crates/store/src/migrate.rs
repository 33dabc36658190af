//! Room `store`: brings a database to this program's schema.
//!
//! Every file of `migrations/` runs once, in the order of its name, in a transaction of its own,
//! as `misy_owner`. A file that was applied and has changed since is an error: write a new one
//! instead. How to change a schema that is in use (expand, backfill, contract) is in
//! `docs/how-to/add-a-table.md`.

use include_dir::{Dir, include_dir};
use misy_core::crypto;

use crate::roles::{DbRole, MARK, RolePasswords};
use crate::{Error, tls};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/migrations");

/// Serialises migrations of one database; any constant that nobody else uses.
const LOCK: i64 = 0x6d69_7379_6d69_6772;

/// Why a database could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The server could not be reached or signed in to.
    #[error("cannot connect to the database as its administrator")]
    Connect(#[source] tokio_postgres::Error),
    /// A statement outside the files failed.
    #[error("cannot prepare the database for migration")]
    Prepare(#[from] tokio_postgres::Error),
    /// A file failed; nothing of it was kept.
    #[error("migration {name} failed")]
    File {
        /// The file's name.
        name: String,
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A file differs from what was applied under its name.
    #[error("migration {0} was changed after it was applied; restore it and add a new one")]
    Changed(String),
    /// The database is newer than this program.
    #[error(
        "the database has migration {0}, which this program does not know; use a newer program"
    )]
    Newer(String),
    /// The roles of this server are another installation's, and there is only one set of them.
    #[error(
        "the roles misy_tenant and misy_platform of this PostgreSQL server belong to another \
         installation ({theirs}; this one is {ours}): nothing was changed. Roles are shared by all \
         databases of a server, so each installation needs a server of its own: name another in \
         database.url, or start with the root.key of the other installation if this is a copy of \
         it. Only if the other is gone for good: COMMENT ON ROLE misy_tenant IS NULL; COMMENT ON \
         ROLE misy_platform IS NULL; and migrate again, which gives the roles new passwords"
    )]
    OtherInstallation {
        /// The mark that was found.
        theirs: String,
        /// Our own.
        ours: String,
    },
    /// The pool could not be used.
    #[error(transparent)]
    Store(#[from] Error),
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Names of the files that were applied now.
    pub applied: Vec<String>,
    /// How many had been applied before.
    pub present: usize,
}

/// Hash of all migration files, by which test templates are told apart.
pub fn fingerprint() -> String {
    let all: Vec<u8> =
        files().iter().flat_map(|(name, sql)| [name.as_bytes(), sql.as_bytes()].concat()).collect();
    crypto::to_hex(&crypto::sha256(&all)[..8])
}

fn files() -> Vec<(&'static str, &'static str)> {
    let mut files: Vec<_> = FILES
        .files()
        .filter_map(|file| Some((file.path().file_stem()?.to_str()?, file.contents_utf8()?)))
        .collect();
    files.sort_unstable();
    files
}

/// Brings the database up to date. `admin` signs in as a role that may create roles; the server's
/// superuser can also take `set_config` from everyone, which others skip with a warning.
pub async fn migrate(
    admin: &tokio_postgres::Config,
    passwords: &RolePasswords,
) -> Result<Report, MigrateError> {
    let (client, connection) = tls::connect(admin).await.map_err(MigrateError::Connect)?;
    let mut driver = std::pin::pin!(connection);
    let work = apply(&client, admin, passwords);
    tokio::select! {
        report = work => report,
        ended = &mut driver => Err(match ended {
            Err(error) => MigrateError::Connect(error),
            Ok(()) => MigrateError::Store(Error::Aborted),
        }),
    }
}

async fn apply(
    client: &tokio_postgres::Client,
    admin: &tokio_postgres::Config,
    passwords: &RolePasswords,
) -> Result<Report, MigrateError> {
    client.execute("select pg_advisory_lock($1)", &[&LOCK]).await?;
    check_owner(client, passwords).await?;
    ensure_roles(client, admin, passwords).await?;
    client.batch_execute(LEDGER).await?;
    let rows =
        client.query("select name, checksum from schema_migrations order by name", &[]).await?;
    let present: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let files = files();
    check_history(&files, &present)?;
    let mut applied = Vec::new();
    for (name, sql) in files {
        if present.iter().any(|(known, _)| known == name) {
            continue;
        }
        apply_one(client, name, sql)
            .await
            .map_err(|source| MigrateError::File { name: name.to_owned(), source })?;
        applied.push(name.to_owned());
    }
    client.execute("select pg_advisory_unlock($1)", &[&LOCK]).await?;
    Ok(Report { applied, present: present.len() })
}

fn check_history(files: &[(&str, &str)], present: &[(String, String)]) -> Result<(), MigrateError> {
    for (name, checksum) in present {
        let Some((_, sql)) = files.iter().find(|(known, _)| known == name) else {
            return Err(MigrateError::Newer(name.clone()));
        };
        if sum(sql) != *checksum {
            return Err(MigrateError::Changed(name.clone()));
        }
    }
    Ok(())
}

fn sum(sql: &str) -> String {
    crypto::to_hex(&crypto::sha256(sql.as_bytes()))
}

async fn apply_one(
    client: &tokio_postgres::Client,
    name: &str,
    sql: &str,
) -> Result<(), tokio_postgres::Error> {
    let checksum = sum(sql);
    client
        .batch_execute(&format!(
            "begin; set local role misy_owner; {sql};
             insert into schema_migrations (name, checksum) values ('{name}', '{checksum}'); commit"
        ))
        .await
}

const LEDGER: &str = "
    grant create, usage on schema public to misy_owner;
    revoke create on schema public from public;
    grant usage on schema public to misy_tenant, misy_platform;
    create table if not exists schema_migrations (
        name text primary key,
        checksum text not null,
        applied_at timestamptz not null default now());
    alter table schema_migrations owner to misy_owner";

/// Refuses a server whose roles another installation has marked as its own, before anything is
/// changed there.
async fn check_owner(
    client: &tokio_postgres::Client,
    passwords: &RolePasswords,
) -> Result<(), MigrateError> {
    let ours = passwords.mark();
    let other = client.query_opt(OTHER_MARK, &[&MARK, &ours]).await?;
    match other {
        Some(row) => Err(MigrateError::OtherInstallation { theirs: row.get(0), ours }),
        None => Ok(()),
    }
}

const OTHER_MARK: &str = "
    select shobj_description(oid, 'pg_authid') from pg_roles
    where rolname in ('misy_tenant', 'misy_platform')
        and starts_with(shobj_description(oid, 'pg_authid'), $1)
        and shobj_description(oid, 'pg_authid') <> $2
    order by rolname limit 1";

/// Marks a role as ours, once. Who may not comment on it (a managed server whose roles somebody
/// else has made) goes on without the mark; two who comment at once want the same.
fn mark(role: DbRole, passwords: &RolePasswords) -> String {
    let (name, mark) = (role.name(), passwords.mark());
    format!(
        "do $$ begin
             if shobj_description('{name}'::regrole, 'pg_authid') is distinct from '{mark}' then
                 comment on role {name} is '{mark}';
             end if;
         exception when others then raise warning '{name} not marked: %', sqlerrm; end $$"
    )
}

/// Makes the roles that are missing and sets a password only where the present one does not work,
/// so that several databases of one server can be migrated side by side.
async fn ensure_roles(
    client: &tokio_postgres::Client,
    admin: &tokio_postgres::Config,
    passwords: &RolePasswords,
) -> Result<(), MigrateError> {
    let make = |name: &str, login: &str| {
        format!(
            "do $$ begin
                 create role {name} {login} nosuperuser nobypassrls nocreatedb
                     nocreaterole noreplication;
             exception when duplicate_object or unique_violation then null; end $$"
        )
    };
    for role in ["misy_owner", "misy_search", "misy_gateway"] {
        client.batch_execute(&make(role, "nologin")).await?;
        client
            .batch_execute(&format!(
                "do $$ begin execute format('grant {role} to %I', current_user);
                 exception when others then raise warning '{role} not granted: %', sqlerrm; end $$"
            ))
            .await?;
    }
    for role in DbRole::ALL {
        client.batch_execute(&make(role.name(), "login")).await?;
        if !signs_in(admin, role, passwords).await {
            let password = passwords.of(role);
            let sql = format!("alter role {} password '{}'", role.name(), password.expose());
            client.batch_execute(&sql).await?;
        }
        client.batch_execute(&mark(role, passwords)).await?;
    }
    client.batch_execute(REVOKE_SET_CONFIG).await?;
    Ok(())
}

/// `set_config` in a statement could name another tenant. Taking it from everyone needs the
/// superuser; elsewhere the policy's frozen value is the wall that remains.
const REVOKE_SET_CONFIG: &str = "
    do $$ begin
        revoke execute on function pg_catalog.set_config(text, text, boolean) from public;
        grant execute on function pg_catalog.set_config(text, text, boolean) to misy_owner;
    exception when insufficient_privilege then
        raise warning 'set_config stays executable: the migrating role is no superuser';
    end $$";

async fn signs_in(admin: &tokio_postgres::Config, role: DbRole, passwords: &RolePasswords) -> bool {
    let mut config = admin.clone();
    config.user(role.name());
    config.password(passwords.of(role).expose());
    let connected = tls::connect(&config).await;
    connected.is_ok()
}
