//! Room `server`: where logs go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Settings of logs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which lines are written, as `level` or `crate=level,...`.
    pub filter: String,
    /// How they look.
    pub format: Format,
}

impl Default for Config {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: Format::Text }
    }
}

/// The driver of the database. Below a warning its lines hold the parameters of every statement:
/// what customers write, addresses, sealed keys.
const DRIVER: &str = "tokio_postgres";

/// What is written. No setting makes the driver talk.
fn filter(wished: &str) -> anyhow::Result<EnvFilter> {
    let others: Vec<&str> =
        wished.split(',').filter(|one| !one.trim_start().starts_with(DRIVER)).collect();
    let quiet = format!("{DRIVER}=warn").parse()?;
    Ok(EnvFilter::try_new(others.join(","))?.add_directive(quiet))
}

/// Starts writing logs to standard error.
pub fn start_logs(config: &Config) -> anyhow::Result<()> {
    let filter = filter(&config.filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format {
        Format::Text => lines.try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_makes_the_driver_write_what_statements_hold() {
        for wished in ["trace", "tokio_postgres=trace", "info, tokio_postgres::query=debug"] {
            let filter = filter(wished).expect("a filter").to_string();
            let of_driver: Vec<&str> =
                filter.split(',').filter(|one| one.contains(DRIVER)).collect();
            assert_eq!(of_driver, ["tokio_postgres=warn"], "{filter}");
        }
        assert!(filter("misy_web=debug").expect("a filter").to_string().contains("misy_web=debug"));
    }
}
