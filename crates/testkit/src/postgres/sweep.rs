//! Room `testkit`: removes databases that nobody needs any more: those of test processes that have
//! ended, and templates of other migrations.

use std::path::Path;

use misy_core::Ambient;
use tokio_postgres::Config;

use super::{connected, random_name, template};

const PREFIX: &str = "misy_test_";

/// A name that tells whose the database is: `misy_test_<process id>_<random>`.
pub(super) fn new_name(ambient: &Ambient) -> String {
    format!("{PREFIX}{}_{}", std::process::id(), random_name(ambient))
}

/// Whether the name is one of ours and its process is no more. A process id that was given anew
/// only keeps a database longer.
fn is_orphan(name: &str) -> bool {
    let pid =
        name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')?.0.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

/// Drops what is not needed if it is `at_least` so much; says how many databases it dropped. In
/// numbers it is cheaper: each drop forces a checkpoint, and only the first of them has much to
/// write.
pub async fn sweep(server: &Config, at_least: usize) -> Result<usize, tokio_postgres::Error> {
    connected(server, async |client| {
        let rows = client.query("select datname::text from pg_database", &[]).await?;
        let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let orphans: Vec<_> = names.into_iter().filter(|name| is_orphan(name)).collect();
        if orphans.len() < at_least {
            return Ok(0);
        }
        for name in &orphans {
            client.batch_execute(&format!("drop database if exists {name} with (force)")).await?;
        }
        Ok(orphans.len())
    })
    .await
}

/// Drops the templates of migrations that are not this program's.
pub async fn sweep_templates(server: &Config) -> Result<(), tokio_postgres::Error> {
    let ours = template::name();
    connected(server, async |client| {
        let sql = "select datname::text from pg_database \
                   where starts_with(datname, $1) and datname <> $2";
        for row in client.query(sql, &[&template::PREFIX, &ours]).await? {
            let name: String = row.get(0);
            let sql = format!("alter database {name} is_template false; drop database {name}");
            for statement in sql.split(';') {
                client.batch_execute(statement).await?;
            }
        }
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::unpredictable;

    #[test]
    fn a_database_lives_as_long_as_the_process_in_its_name() {
        assert!(!is_orphan(&new_name(&unpredictable())));
        assert!(is_orphan("misy_test_4194305_aa"), "ids end at 2^22");
        assert!(!is_orphan("postgres"));
        assert!(!is_orphan("misy_test_x_aa"));
    }
}
