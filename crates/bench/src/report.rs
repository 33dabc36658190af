//! Room `bench`: what a bench prints.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// One run of one bench. Metric names are fixed, so that runs can be compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The bench's name.
    pub bench: &'static str,
    /// What it ran on.
    pub machine: Value,
    /// How it was run.
    pub settings: Value,
    /// What came out.
    pub metrics: Map<String, Value>,
}

impl Report {
    /// A report on this machine. `settings` and `metrics` are JSON objects.
    pub fn new(bench: &'static str, settings: Value, metrics: Value) -> Self {
        let metrics = match metrics {
            Value::Object(metrics) => metrics,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        Self { bench, machine: machine(), settings, metrics }
    }
}

impl fmt::Display for Report {
    /// A line for each metric.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  {}", self.bench, self.settings)?;
        let width = self.metrics.keys().map(String::len).max().unwrap_or(0);
        for (name, value) in &self.metrics {
            match value.as_f64() {
                Some(number) => writeln!(f, "  {name:width$}  {number:>14.2}")?,
                None => writeln!(f, "  {name:width$}  {value:>14}")?,
            }
        }
        Ok(())
    }
}

fn machine() -> Value {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    json!({
        "cores": cores,
        "processor": field(&read("/proc/cpuinfo"), "model name"),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_names_every_metric() {
        let report =
            Report::new("queue", json!({"size": 5}), json!({"jobs_per_s": 2.5, "lost": 0}));
        let shown = report.to_string();
        assert!(shown.contains("jobs_per_s") && shown.contains("2.50"), "{shown}");
        let object = serde_json::to_value(&report).expect("it serialises");
        assert_eq!(object["metrics"]["lost"], 0);
    }
}
