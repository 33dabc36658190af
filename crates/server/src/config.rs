//! Room `server`: the configuration. Defaults, then `misybot.toml`, then `MISYBOT__A__B` variables,
//! then the command line; a key that is not known is an error.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use misy_core::Secret;
use misy_store::documents::mongo::MongoConfig;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::telemetry;

/// Everything an operator can set. The sections belong to the rooms they are named after.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses.
    pub server: Server,
    /// The database.
    pub database: Database,
    /// The cache.
    pub cache: misy_store::CacheConfig,
    /// Where documents live.
    pub documents: MongoConfig,
    /// What is logged, and how it looks.
    pub log: telemetry::Config,
    /// Traces.
    pub telemetry: misy_trace::Config,
    /// The HTTP kit.
    pub web: misy_web::Config,
    /// Sign-in.
    pub identity: misy_identity::Config,
    /// Strangers who ask for a tenant of their own.
    pub signup: misy_tenancy::signups::Config,
    /// Outgoing calls.
    pub egress: misy_egress::Config,
    /// Outgoing mails.
    pub mail: misy_egress::mail::MailConfig,
    /// Conversations.
    pub conversation: misy_conversation::Config,
    /// Webhooks to the outside.
    pub webhooks: misy_integration::Config,
    /// Workers.
    pub jobs: misy_jobs::Config,
    /// The emulator of providers.
    pub sandbox: misy_sandbox::Config,
}

/// Addresses and the folder of the installation's own files.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Folder of keys and, with the embedded database, of all data.
    pub data: PathBuf,
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where metrics are served; keep it from the public.
    pub admin_listen: SocketAddr,
    /// Where `misybot work` serves the metrics of workers that run beside the API.
    pub work_admin_listen: SocketAddr,
    /// The API's address as the outside sees it; providers send their hooks there.
    pub public_url: Option<String>,
    /// Address of the first operator, made at the first start.
    pub operator_email: String,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            data: PathBuf::from(".misybot"),
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            admin_listen: (Ipv4Addr::LOCALHOST, 9090).into(),
            work_admin_listen: (Ipv4Addr::LOCALHOST, 9091).into(),
            public_url: None,
            operator_email: "operator@misybot.localhost".to_owned(),
        }
    }
}

/// Where the database is and how it is used.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgresql://user:password@host/database` of a server of your own; the user must be able to
    /// create roles. Without it `up` runs an embedded one.
    #[serde(skip_serializing)]
    pub url: Option<Secret>,
    /// A file that holds the address, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// Pools and time-outs.
    #[schemars(schema_with = "misy_store::pool_settings::schema")]
    pub pool: misy_store::Config,
}

impl Database {
    /// The address, from wherever it was given.
    pub fn address(&self) -> anyhow::Result<Option<Secret>> {
        match (&self.url, &self.url_file) {
            (Some(_), Some(_)) => {
                anyhow::bail!("set `database.url` or `database.url_file`, not both")
            }
            (Some(url), None) => Ok(Some(url.clone())),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read database.url_file {}", file.display()))?;
                Ok(Some(Secret::new(text.trim())))
            }
            (None, None) => Ok(None),
        }
    }
}

/// Reads defaults, file and environment. A file that was named must exist; `misybot.toml` in the
/// working folder is read if it is there.
pub fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    let defaults = toml::to_string(&Config::default())?;
    let path = file.unwrap_or(Path::new("misybot.toml"));
    let settings = config::Config::builder()
        .add_source(config::File::from_str(&defaults, config::FileFormat::Toml))
        .add_source(
            config::File::from(path).format(config::FileFormat::Toml).required(file.is_some()),
        )
        .add_source(config::Environment::with_prefix("MISYBOT").separator("__").try_parsing(true))
        .build()
        .context("the configuration cannot be read")?;
    let config: Config = settings.try_deserialize().context("the configuration is not valid")?;
    check(&config)?;
    Ok(config)
}

/// Refuses settings that cannot work, all of them at once.
pub fn check(config: &Config) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    let sentence = |section: &str, fault: String| format!("[{section}] {fault}");
    faults.extend(config.identity.validate().into_iter().map(|fault| sentence("identity", fault)));
    faults.extend(config.signup.validate().into_iter().map(|fault| sentence("signup", fault)));
    let sections = [
        ("database.pool", config.database.pool.validate()),
        ("web", config.web.validate()),
        ("egress", config.egress.validate()),
        ("mail", config.mail.validate()),
        ("webhooks", config.webhooks.validate()),
    ];
    for (section, outcome) in sections {
        let text = |fault: misy_core::error::Fault| format!("{}: {}", fault.pointer, fault.detail);
        let found = outcome.err().unwrap_or_default();
        faults.extend(found.into_iter().map(|fault| sentence(section, text(fault))));
    }
    let traces = config.telemetry.validate();
    faults.extend(traces.into_iter().map(|fault| sentence("telemetry", fault)));
    let documents = config.documents.validate();
    faults.extend(documents.into_iter().map(|fault| sentence("documents", fault)));
    if !(0.0..=1.0).contains(&config.conversation.answer_threshold) {
        faults.push(sentence("conversation", "answer_threshold must be from 0 to 1".to_owned()));
    }
    if faults.is_empty() {
        return Ok(());
    }
    anyhow::bail!("the configuration is not valid:\n  {}", faults.join("\n  "))
}

/// A JSON Schema (2020-12) of the configuration: every key with what it is for, its type and its
/// default, as its room documents it.
pub fn schema() -> anyhow::Result<Value> {
    let settings = SchemaSettings::draft2020_12().with(|it| it.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    schema["title"] = "misybot.toml".into();
    add_defaults(&mut schema, &serde_json::to_value(Config::default())?);
    Ok(schema)
}

/// Writes each key's default beside it, so that a section's keys can be read without the section's.
fn add_defaults(schema: &mut Value, default: &Value) {
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    let Some(fields) = fields else {
        schema["default"] = default.clone();
        return;
    };
    for (name, field) in fields {
        add_defaults(field, default.get(name).unwrap_or(&Value::Null));
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("default");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    #[test]
    fn a_file_overrides_defaults_and_leaves_the_rest() {
        let file = file("[server]\nlisten = \"127.0.0.1:7000\"\n");
        let config = load(Some(file.path())).expect("valid");
        assert_eq!(config.server.listen.port(), 7000);
        assert_eq!(config.server.admin_listen.port(), 9090);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let file = file("[server]\nlistne = \"127.0.0.1:7000\"\n");
        let error = format!("{:#}", load(Some(file.path())).expect_err("refused"));
        assert!(error.contains("listne"), "{error}");
    }

    /// Every key below a schema, with its path.
    fn keys<'a>(schema: &'a Value, path: &str, all: &mut Vec<(String, &'a Value)>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            keys(field, &path, all);
            all.push((path, field));
        }
    }

    #[test]
    fn every_key_of_the_schema_says_what_it_is_for_and_what_it_is_without() {
        let schema = schema().expect("it is made");
        let mut all = Vec::new();
        keys(&schema, "", &mut all);
        assert!(all.len() > 90, "{}", all.len());
        for (path, field) in &all {
            let told = field["description"].as_str().unwrap_or_default();
            assert!(told.len() > 5, "{path} has no description");
            let is_section = field.get("properties").is_some();
            assert!(is_section || field.get("default").is_some(), "{path} has no default");
        }
        let of = |path: &str| all.iter().find(|(one, _)| one == path).map(|(_, field)| *field);
        let listen = of("/server/listen").expect("a key");
        assert_eq!(
            (&listen["type"], &listen["default"]),
            (&json!("string"), &json!("127.0.0.1:8080"))
        );
        assert_eq!(of("/cache/url").expect("a key")["default"], Value::Null);
        assert_eq!(of("/database/pool/wait_ms").expect("a key")["default"], json!(5_000));
        assert_eq!(schema["additionalProperties"], json!(false));
    }

    #[test]
    fn the_schema_knows_every_key_that_the_program_reads_and_no_other() {
        fn shape(value: &Value, path: &str, all: &mut std::collections::BTreeSet<String>) {
            for (name, value) in value.as_object().into_iter().flatten() {
                let path = format!("{path}/{name}");
                shape(value, &path, all);
                all.insert(path);
            }
        }
        let mut read = std::collections::BTreeSet::new();
        shape(&serde_json::to_value(Config::default()).expect("JSON"), "", &mut read);
        // Secrets are never written, so the defaults do not show them.
        let secrets = [
            "/database/url",
            "/cache/url",
            "/documents/url",
            "/documents/provisioning_url",
            "/mail/password",
        ];
        read.extend(secrets.map(str::to_owned));
        let schema = schema().expect("it is made");
        let mut all = Vec::new();
        keys(&schema, "", &mut all);
        let told: std::collections::BTreeSet<String> =
            all.into_iter().map(|(path, _)| path).collect();
        assert_eq!(told, read);
    }

    #[test]
    fn a_named_file_must_exist() {
        assert!(load(Some(Path::new("/nonexistent/misybot.toml"))).is_err());
    }

    #[test]
    fn the_database_address_is_never_printed() {
        let config = Config {
            database: Database {
                url: Some(Secret::new("postgresql://a:b@c")),
                ..Database::default()
            },
            documents: MongoConfig {
                url: Some(Secret::new("mongodb://a:b@c")),
                ..MongoConfig::default()
            },
            ..Config::default()
        };
        let shown = format!("{config:?}{}", toml::to_string(&config).expect("serialises"));
        assert!(!shown.contains("a:b@c"));
    }
}
