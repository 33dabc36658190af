//! Room `trace`: what an operator can set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// Where traces go.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The collector's address, OTLP over HTTP with Protobuf: `http://127.0.0.1:4318`. Without it
    /// nothing is traced. Headers that the collector asks for (a key of its own) are taken from the
    /// variable `OTEL_EXPORTER_OTLP_HEADERS`.
    pub otlp_endpoint: Option<String>,
    /// Which share of the traces that begin here is recorded, from 0 to 1. A trace that a caller
    /// records is recorded.
    pub sample_ratio: f64,
    /// How many spans wait for the collector; those beyond are dropped and counted.
    pub queue_spans: usize,
    /// How long one export may take, in milliseconds.
    pub export_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_ratio: 1.0, queue_spans: 8_192, export_ms: 5_000 }
    }
}

impl Config {
    /// What cannot work, each as a sentence.
    pub fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.otlp_endpoint.is_some() && self.target().is_none() {
            let told = "otlp_endpoint has to be http://host:port or https://host:port";
            faults.push(told.to_owned());
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            faults.push("sample_ratio must be from 0 to 1".to_owned());
        }
        if self.queue_spans == 0 || self.export_ms == 0 {
            faults.push("queue_spans and export_ms have to be at least 1".to_owned());
        }
        faults
    }

    /// Where spans are sent: the endpoint with the path that the protocol gives them, unless it has
    /// one of its own.
    pub(crate) fn target(&self) -> Option<Url> {
        let mut url = Url::parse(self.otlp_endpoint.as_deref()?).ok()?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return None;
        }
        if url.path() == "/" {
            url.set_path("/v1/traces");
        }
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_gets_the_protocols_path_unless_it_has_its_own() {
        let target = |text: &str| {
            let config = Config { otlp_endpoint: Some(text.to_owned()), ..Config::default() };
            config.target().map(|url| url.to_string())
        };
        let told = Some("http://127.0.0.1:4318/v1/traces".to_owned());
        assert_eq!(target("http://127.0.0.1:4318"), told);
        let own = "https://collector.example/otlp/v1/traces";
        assert_eq!(target(own).as_deref(), Some(own));
        assert_eq!(target("127.0.0.1:4318"), None);
        assert_eq!(target("grpc://127.0.0.1:4317"), None);
    }

    #[test]
    fn what_cannot_work_is_said_at_once() {
        assert!(Config::default().validate().is_empty());
        let wrong = Config {
            otlp_endpoint: Some("collector".to_owned()),
            sample_ratio: 1.5,
            queue_spans: 0,
            export_ms: 5_000,
        };
        assert_eq!(wrong.validate().len(), 3);
    }
}
