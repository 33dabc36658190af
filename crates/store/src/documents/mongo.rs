//! Room `store`: documents in collections of a MongoDB server (>= 7), one a tenant and kind.
//!
//! Two users: the one of every day reads and writes, the provisioning one also makes collections.
//! No statement here names a second collection: no aggregation is ever sent.

mod failures;
mod operations;
pub(super) mod values;
pub(super) mod walls;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::{RawDocumentBuf, doc};
use misy_core::crypto::Key;
use misy_core::{Secret, TenantId};
use mongodb::options::{Acknowledgment, ClientOptions, ReadConcern, WriteConcern};
use mongodb::{Client, Collection, Database};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DocumentError, Kind};
use walls::Name;

pub use failures::ServerError;

/// Where documents live if not in the database itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MongoConfig {
    /// `mongodb://user:password@host/database` of the user of every day.
    #[serde(skip_serializing)]
    pub url: Option<Secret>,
    /// The same for the user who may make collections and indexes; that of every day if absent.
    #[serde(skip_serializing)]
    pub provisioning_url: Option<Secret>,
    /// Connections to each server.
    pub connections: u32,
    /// How long to look for a server and for a free connection, in milliseconds.
    pub wait_ms: u64,
    /// How long one operation may take, in milliseconds; at most 20,000.
    pub operation_ms: u64,
}

impl Default for MongoConfig {
    fn default() -> Self {
        Self {
            url: None,
            provisioning_url: None,
            connections: 16,
            wait_ms: 5_000,
            operation_ms: 10_000,
        }
    }
}

impl MongoConfig {
    /// What cannot work, as sentences. An operation is waited for inside a transaction of the
    /// database, which ends one that is idle for 30 s.
    pub fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !(1..=1_000).contains(&self.connections) {
            faults.push("connections must be from 1 to 1,000".to_owned());
        }
        if !(1..=20_000).contains(&self.operation_ms) {
            faults.push("operation_ms must be from 1 to 20,000".to_owned());
        }
        if self.url.is_none() && self.provisioning_url.is_some() {
            faults.push("provisioning_url needs url".to_owned());
        }
        faults
    }
}

/// The database that is used if the address names none.
const DATABASE: &str = "misybot";
/// Whether the server answered when it was last asked.
const UP: &str = "misy_documents_up";

struct Inner {
    everyday: Database,
    provisioning: Database,
    own_provisioner: bool,
    names: Key,
    operation: Duration,
    /// Collections that this process has seen with their walls.
    ready: Mutex<HashSet<Name>>,
}

/// A MongoDB server. Cheap to clone.
#[derive(Clone)]
pub struct Mongo(Arc<Inner>);

impl std::fmt::Debug for Mongo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mongo")
    }
}

impl Mongo {
    /// Reads the addresses; connects to nothing yet. `None` if no address is given. The names of
    /// collections come from the installation's root key.
    pub async fn open(config: &MongoConfig, root: &Key) -> Result<Option<Self>, DocumentError> {
        let Some(url) = &config.url else { return Ok(None) };
        let everyday = database(url, config).await?;
        let provisioning = match &config.provisioning_url {
            Some(url) => database(url, config).await?,
            None => everyday.clone(),
        };
        Ok(Some(Self(Arc::new(Inner {
            everyday,
            provisioning,
            own_provisioner: config.provisioning_url.is_some(),
            names: root.derive("document-collections"),
            operation: Duration::from_millis(config.operation_ms),
            ready: Mutex::default(),
        }))))
    }

    /// The collection of a tenant and kind, to be read.
    fn collection(&self, tenant: TenantId, kind: &str) -> Collection<RawDocumentBuf> {
        self.0.everyday.collection(Name::new(&self.0.names, tenant, kind).as_str())
    }

    /// The collection to be written: made, with its wall and indexes, if it is not there.
    async fn walled(
        &self,
        tenant: TenantId,
        kind: Kind,
    ) -> Result<Collection<RawDocumentBuf>, ServerError> {
        let name = Name::new(&self.0.names, tenant, kind.name());
        if !self.is_ready(&name) {
            self.wall(tenant, kind, &name).await?;
            let mut ready = self.0.ready.lock().unwrap_or_else(PoisonError::into_inner);
            ready.insert(name.clone());
        }
        Ok(self.0.everyday.collection(name.as_str()))
    }

    fn is_ready(&self, name: &Name) -> bool {
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// Makes a collection; one that is there gets the wall again, whoever has made it.
    async fn wall(&self, tenant: TenantId, kind: Kind, name: &Name) -> Result<(), ServerError> {
        let database = &self.0.provisioning;
        let wall = walls::validator(tenant);
        let making = database.create_collection(name.as_str()).validator(wall.clone());
        match self.patiently(async { making.await }).await {
            Err(error) if error.is_namespace_exists() => {
                let change = doc! { "collMod": name.as_str(), "validator": wall,
                "validationLevel": "strict", "validationAction": "error" };
                self.patiently(async { database.run_command(change).await }).await?;
            }
            made => made?,
        }
        let indexes = walls::indexes(kind);
        if !indexes.is_empty() {
            let collection: Collection<RawDocumentBuf> = database.collection(name.as_str());
            self.patiently(async { collection.create_indexes(indexes).await }).await?;
        }
        Ok(())
    }

    /// Makes a tenant's collections before they are needed.
    pub(super) async fn prepare(
        &self,
        tenant: TenantId,
        kinds: &[Kind],
    ) -> Result<(), ServerError> {
        for kind in kinds {
            self.walled(tenant, *kind).await?;
        }
        Ok(())
    }

    /// Drops the collection of a kind with everything in it.
    pub(super) async fn drop_collection(
        &self,
        tenant: TenantId,
        kind: &str,
    ) -> Result<(), ServerError> {
        let name = Name::new(&self.0.names, tenant, kind);
        let collection: Collection<RawDocumentBuf> = self.0.provisioning.collection(name.as_str());
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        self.patiently(async { collection.drop().await }).await
    }

    /// The kinds that a tenant has collections of.
    pub(super) async fn kinds(&self, tenant: TenantId) -> Result<Vec<String>, ServerError> {
        let prefix = walls::prefix(&self.0.names, tenant);
        let names = self.names().await?;
        let kinds = names.iter().filter_map(|name| name.strip_prefix(&prefix));
        let mut kinds: Vec<String> = kinds.map(str::to_owned).collect();
        kinds.sort_unstable();
        Ok(kinds)
    }

    async fn names(&self) -> Result<Vec<String>, ServerError> {
        self.patiently(async { self.0.provisioning.list_collection_names().await }).await
    }

    /// Whether the server answers the user of every day. What is found is a metric as well.
    pub(super) async fn ping(&self) -> Result<(), ServerError> {
        let ask = self.0.everyday.run_command(doc! { "ping": 1 });
        let answer = self.patiently(async { ask.await }).await;
        metrics::gauge!(UP).set(if answer.is_ok() { 1.0 } else { 0.0 });
        answer.map(drop)
    }

    /// Says how the server is set up for us.
    pub async fn report(&self) -> Result<MongoReport, DocumentError> {
        let hello = doc! { "buildInfo": 1 };
        let info = self.patiently(async { self.0.everyday.run_command(hello).await }).await?;
        let ours = self.names().await?.iter().filter(|name| walls::is_ours(name)).count();
        Ok(MongoReport {
            version: info.get_str("version").unwrap_or_default().to_owned(),
            database: self.0.everyday.name().to_owned(),
            collections: ours,
            own_provisioner: self.0.own_provisioner,
        })
    }

    /// Runs an operation for as long as one may take. One that is given up may still happen on the
    /// server: what is said of it is only that nobody knows.
    async fn patiently<T>(
        &self,
        operation: impl Future<Output = mongodb::error::Result<T>>,
    ) -> Result<T, ServerError> {
        let begun = Instant::now();
        let done = match tokio::time::timeout(self.0.operation, operation).await {
            Ok(done) => done.map_err(ServerError::from),
            Err(_) => Err(ServerError::TimedOut),
        };
        metrics::histogram!("misy_documents_operation_seconds").record(begun.elapsed());
        if let Err(error) = &done
            && let Some(kind) = error.kind()
        {
            metrics::counter!("misy_documents_errors_total", "kind" => kind).increment(1);
        }
        done
    }
}

/// What [`Mongo::report`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MongoReport {
    /// The server's version.
    pub version: String,
    /// The database in use.
    pub database: String,
    /// Collections of tenants.
    pub collections: usize,
    /// Whether collections are made by a user of their own.
    pub own_provisioner: bool,
}

impl MongoReport {
    /// So many collections of tenants a server of middle size carries, with their indexes.
    pub const MANY_COLLECTIONS: usize = 4_000;
    /// The oldest major version that is known to do all that is asked of it.
    pub const OLDEST_MAJOR: u32 = 7;

    /// What an operator should know, as sentences.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let major = self.version.split('.').next().and_then(|text| text.parse::<u32>().ok());
        if major.is_none_or(|major| major < Self::OLDEST_MAJOR) {
            let oldest = Self::OLDEST_MAJOR;
            warnings.push(format!("MongoDB {} is older than {oldest}: upgrade it", self.version));
        }
        if self.collections > Self::MANY_COLLECTIONS {
            warnings.push(format!(
                "{} collections of tenants: each costs memory with its indexes; beyond about \
                 10,000 of both give the server more or move tenants to a second installation",
                self.collections
            ));
        }
        if !self.own_provisioner {
            warnings.push(
                "the user of every day makes collections too: set documents.provisioning_url and \
                 take that right from documents.url"
                    .to_owned(),
            );
        }
        warnings
    }
}

/// A write is safe once most servers have it on disk, and what was read is never undone.
async fn database(url: &Secret, config: &MongoConfig) -> Result<Database, ServerError> {
    let mut options = ClientOptions::parse(url.expose()).await?;
    let wait = Duration::from_millis(config.wait_ms);
    let majority = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    options.app_name = Some("misybot".to_owned());
    options.max_pool_size = Some(config.connections);
    options.connect_timeout = Some(wait);
    options.server_selection_timeout = Some(wait);
    options.write_concern = Some(majority);
    options.read_concern = Some(ReadConcern::majority());
    let name = options.default_database.clone();
    let client = Client::with_options(options)?;
    Ok(client.database(name.as_deref().unwrap_or(DATABASE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_not_shown() {
        let url = Some(Secret::new("mongodb://u:p4ss@h/d"));
        let config = MongoConfig { url, ..MongoConfig::default() };
        let shown = serde_json::to_string(&config).expect("JSON");
        assert!(!format!("{config:?}{shown}").contains("p4ss"));
    }

    #[test]
    fn settings_that_cannot_work_are_all_named() {
        let provisioning_url = Some(Secret::new("mongodb://h/d"));
        let wrong =
            MongoConfig { provisioning_url, connections: 0, operation_ms: 30_000, ..default() };
        assert_eq!(wrong.validate().len(), 3);
        assert!(default().validate().is_empty());
    }

    fn default() -> MongoConfig {
        MongoConfig::default()
    }

    #[test]
    fn an_old_server_many_collections_and_one_user_for_all_are_warned_of() {
        let mut report = MongoReport {
            version: "8.2.1".to_owned(),
            database: "d".to_owned(),
            collections: 10,
            own_provisioner: true,
        };
        assert_eq!(report.warnings(), Vec::<String>::new());
        report = MongoReport {
            version: "6.0.5".to_owned(),
            collections: 5_000,
            own_provisioner: false,
            ..report
        };
        assert_eq!(report.warnings().len(), 3);
    }
}
