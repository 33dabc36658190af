//! Room `server`: where logs and traces go.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use misy_trace::Export;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

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

/// What exports the traces of this process. A process has one log and one way to its collector.
static EXPORTING: Mutex<Option<Export>> = Mutex::new(None);

/// Starts writing logs to standard error, and sending traces if they are asked for.
pub fn start(log: &Config, traces: &misy_trace::Config) -> anyhow::Result<()> {
    let lines = fmt::layer().with_writer(std::io::stderr);
    // Colours are for eyes: in a file or a pipe their codes are only in the way.
    let lines = if std::io::stderr().is_terminal() { lines } else { lines.with_ansi(false) };
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    let export = Export::start(traces)?;
    let spans = export.as_ref().map(Export::layer);
    let lines = lines.with_filter(filter(&log.filter)?);
    tracing_subscriber::registry().with(lines).with(spans).try_init()?;
    *EXPORTING.lock().unwrap_or_else(PoisonError::into_inner) = export;
    Ok(())
}

/// Sends the last traces, for a moment.
pub async fn finish() {
    let export = EXPORTING.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(export) = export {
        export.finish().await;
    }
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
