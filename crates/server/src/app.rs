//! Room `server`: the rooms tied together. What each needs is made here, in the order in which one
//! stands on another.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use misy_conversation::responders::KnowledgeResponder;
use misy_core::Secret;
use misy_core::crypto::Key;
use misy_egress::Gateway;
use misy_integration::Postman;
use misy_jobs::{Registry, Worker};
use misy_store::{Cache, Documents};
use misy_web::{Kit, Readiness, metrics::PrometheusHandle};
use tokio::net::TcpListener;
use utoipa_axum::router::OpenApiRouter;

use crate::commands::{Installation, platform_ctx};
use crate::onboarding::Facts;
use crate::{cache, config};

/// The sockets, bound before anything that must know their addresses.
pub struct Listeners {
    api: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    /// Binds both; port 0 takes free ones.
    pub async fn bind(server: &config::Server) -> anyhow::Result<Self> {
        Ok(Self { api: bind(server.listen).await?, admin: bind(server.admin_listen).await? })
    }

    /// Where the API is served.
    pub fn api_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.api.local_addr()?)
    }

    /// Where metrics are served.
    pub fn admin_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.admin.local_addr()?)
    }

    /// The API's address as the outside sees it: as configured, else as bound.
    pub fn public_url(&self, configured: Option<&str>) -> anyhow::Result<String> {
        match configured {
            Some(url) => Ok(url.trim_end_matches('/').to_owned()),
            None => Ok(format!("http://{}", self.api_address()?)),
        }
    }
}

/// Binds one socket.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| {
        format!(
            "cannot listen on {address}: is it in use? `--listen` and `--admin-listen` take others"
        )
    })
}

/// The API's address where nothing listens in this process.
pub fn public_url(server: &config::Server) -> String {
    let bound = || format!("http://{}", server.listen);
    server.public_url.as_deref().map_or_else(bound, |url| url.trim_end_matches('/').to_owned())
}

/// How long a stopping process tries to tell of payloads that it has stored.
const SETTLING: Duration = Duration::from_secs(2);

/// What works beside the API.
#[must_use = "it stops when this is dropped"]
pub struct Running {
    worker: misy_jobs::Running,
    courier: misy_jobs::Running,
}

impl Running {
    /// Takes up nothing more and waits for what is under way.
    pub async fn stop(self) {
        tokio::join!(self.worker.stop(), self.courier.stop());
    }
}

/// Everything, ready to run.
pub struct App {
    installation: Installation,
    identity: Arc<misy_identity::Deps>,
    tenancy: Arc<misy_tenancy::Deps>,
    conversation: Arc<misy_conversation::Deps>,
    integration: Arc<misy_integration::Deps>,
    kit: Kit,
    metrics: PrometheusHandle,
    cache: Cache,
}

impl App {
    /// Ties the rooms together; `public_url` is where the outside finds the API.
    pub async fn build(installation: Installation, public_url: &str) -> anyhow::Result<Self> {
        let quotas = Arc::<misy_tenancy::Quotas>::default();
        Box::pin(Self::build_counting(installation, public_url, quotas)).await
    }

    /// The same with another way of counting messages, for a bench that measures what it costs.
    pub async fn build_counting(
        installation: Installation,
        public_url: &str,
        quotas: Arc<dyn misy_store::Quota>,
    ) -> anyhow::Result<Self> {
        let documents = match installation.mongo().await? {
            Some(mongo) => Documents::mongo(installation.db.clone(), mongo),
            None => Documents::embedded(installation.db.clone()),
        };
        let Installation { config, ambient, root, db, .. } = &installation;
        let metrics = metrics()?;
        let system = platform_ctx(ambient);
        let cache = Box::pin(Cache::open(&config.cache, root, ambient.clone())).await?;
        let settings =
            misy_identity::Config { issuer: public_url.to_owned(), ..config.identity.clone() };
        let own = root.derive("identity");
        let identity = misy_identity::Deps::open(db.clone(), &own, system.clone(), settings);
        let mailer = misy_egress::mail::mailer(&config.mail, &outbox(&config.server))?;
        let identity = identity.await?.with_mailer(Arc::clone(&mailer));
        let identity = identity.with_quotas(Arc::<misy_tenancy::Quotas>::default());
        let keys = Arc::new(misy_tenancy::Keys::new(root, ambient.clone()));
        let gateway = Gateway::new(config.egress.clone(), ambient.clone());
        let vault = Arc::<misy_tenancy::Keys>::clone(&keys);
        let names = Arc::new(config.egress.name_servers());
        let (way, time) = (gateway.clone(), ambient.clone());
        let outside = misy_identity::Outside::new(way, names, vault, &own, time);
        let identity = Arc::new(identity.with_outside(outside));
        let directory = Arc::new(misy_tenancy::Directory::new(db.clone(), system.clone()));
        let integration = Arc::new(misy_integration::Deps {
            db: db.clone(),
            ambient: ambient.clone(),
            egress: gateway.clone(),
            vault: Arc::<misy_tenancy::Keys>::clone(&keys),
            quotas: Arc::<misy_tenancy::Quotas>::default(),
            heralds: Arc::new(misy_identity::Stewards),
            config: config.webhooks.clone(),
            opened: misy_integration::endpoints::Opened::default(),
            backlogs: misy_integration::events::Backlogs::default(),
            publications: misy_integration::events::Publications::default(),
            gate: misy_integration::sources::Gate::default(),
            public_url: public_url.to_owned(),
        });
        let conversation = Arc::new(misy_conversation::Deps {
            db: db.clone(),
            documents: documents.clone(),
            ambient: ambient.clone(),
            channels: misy_adapters::registry(),
            egress: gateway,
            vault: Arc::<misy_tenancy::Keys>::clone(&keys),
            policies: identity.policies(),
            quotas,
            responder: Arc::new(KnowledgeResponder::new(config.conversation.answer_threshold)),
            config: config.conversation.clone(),
            routing_key: root.derive("channel-routing"),
            public_url: public_url.to_owned(),
            accounts: misy_conversation::channels::AccountCache::default(),
            routes: misy_conversation::hooks::Routes::default(),
            tenants: Arc::<misy_tenancy::Directory>::clone(&directory),
            seats: misy_conversation::visitors::Seats::default(),
            writers: misy_conversation::inbox::Writers::default(),
            archives: misy_conversation::inbox::Archives::default(),
        });
        let people = Arc::new(misy_identity::Provisioner(Arc::clone(&identity)));
        let talk = Arc::new(misy_conversation::Provisioner(Arc::clone(&conversation)));
        let webhooks = Arc::new(misy_integration::Provisioner(Arc::clone(&integration)));
        let tenancy = Arc::new(misy_tenancy::Deps::new(misy_tenancy::Base {
            db: db.clone(),
            system,
            keys,
            directory: Arc::clone(&directory),
            cache: cache.clone(),
            documents,
            kinds: &misy_conversation::DOCUMENT_KINDS,
            parts: vec![people.clone(), talk.clone(), webhooks.clone()],
            data: vec![people, talk, webhooks],
            facts: Arc::new(Facts {
                identity: Arc::clone(&identity),
                conversation: Arc::clone(&conversation),
            }),
            front: misy_tenancy::signups::Front {
                config: config.signup.clone(),
                mailer,
                key: root.derive("signups"),
                app_url: config.identity.links.app_url.clone(),
                public_url: public_url.to_owned(),
            },
        }));
        let mut kit = Kit::new(
            db.clone(),
            Arc::new(misy_identity::Bearers(Arc::clone(&identity))),
            directory,
            answer_key(root),
            config.web.clone(),
        );
        kit.limits = Arc::new(tenancy.rates.beside(config.web.rates));
        kit.readiness = cache::watch(kit.readiness, &cache);
        kit.readiness = watch_documents(kit.readiness, &conversation.documents);
        Ok(Self { installation, identity, tenancy, conversation, integration, kit, metrics, cache })
    }

    /// Every route of every room.
    pub fn routes(&self) -> OpenApiRouter {
        misy_identity::router(&self.identity)
            .merge(misy_tenancy::router(&self.tenancy))
            .merge(misy_conversation::router(&self.conversation))
            .merge(misy_integration::router(&self.integration))
    }

    /// Tenants, for commands that work on them.
    pub fn tenancy(&self) -> Arc<misy_tenancy::Deps> {
        Arc::clone(&self.tenancy)
    }

    /// Webhooks, for commands that look at them.
    pub fn integration(&self) -> Arc<misy_integration::Deps> {
        Arc::clone(&self.integration)
    }

    /// Who is active, as this program knows it.
    pub fn directory(&self) -> Arc<dyn misy_jobs::Tenants> {
        Arc::<misy_tenancy::Directory>::clone(&self.tenancy.directory)
    }

    fn registry(&self) -> Registry {
        let registry = misy_identity::jobs(Registry::new(), &self.identity);
        let registry = misy_tenancy::jobs(registry, &self.tenancy);
        let registry = misy_conversation::jobs(registry, &self.conversation);
        let registry = misy_integration::jobs(registry, &self.integration);
        registry.only_active(self.directory())
    }

    /// The names of every job that a worker of this program runs.
    pub fn job_names(&self) -> Vec<&'static str> {
        self.registry().names()
    }

    /// Starts a worker that runs every job of every room, and a courier that delivers webhooks.
    pub fn start_worker(&self) -> Running {
        let Installation { config, ambient, db, .. } = &self.installation;
        let courier = Postman::courier(&self.integration, Some(self.directory()));
        let courier = courier.start();
        let worker =
            Worker::start(db.clone(), self.registry(), config.jobs.clone(), ambient.clone());
        Running { worker, courier }
    }

    /// The first operator: made at the first start, found in the data folder later. The password is
    /// what was generated; `None` if it was made elsewhere or its file was removed.
    pub async fn ensure_operator(&self, data: &Path) -> anyhow::Result<(String, Option<Secret>)> {
        let file = data.join("operator.json");
        let email = self.installation.config.server.operator_email.clone();
        let address: misy_identity::Email = email
            .parse()
            .map_err(|_| anyhow!("server.operator_email `{email}` is not an address"))?;
        let ctx = platform_ctx(&self.installation.ambient);
        if let Some(made) = misy_identity::ensure_operator(&self.identity, &ctx, &address).await? {
            let kept = serde_json::json!({ "email": email, "password": made.expose() });
            crate::commands::up::write_ready(&file, &kept)?;
        }
        let Ok(text) = std::fs::read_to_string(&file) else { return Ok((email, None)) };
        let kept: serde_json::Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is not readable; remove it", file.display()))?;
        let email = kept["email"].as_str().unwrap_or(&email).to_owned();
        Ok((email, kept["password"].as_str().map(Secret::new)))
    }

    /// Serves until `stop` is ready and what was under way is done.
    pub async fn serve(
        &self,
        listeners: Listeners,
        stop: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let (ending, ended) = tokio::sync::watch::channel(false);
        let until = |mut ended: tokio::sync::watch::Receiver<bool>| async move {
            // A sender that is gone means the end as well.
            let _ = ended.wait_for(|over| *over).await;
        };
        let server = self.installation.config.web.server;
        let api = misy_web::app(self.routes(), self.kit.clone());
        let admin = misy_web::admin_router(self.metrics.clone());
        let api = misy_web::serve(listeners.api, api, server, until(ended.clone()));
        let admin = misy_web::serve(listeners.admin, admin, server, until(ended));
        let stopping = async {
            let asked = stop.await;
            self.kit.readiness.drain();
            let _ = ending.send(true);
            asked
        };
        let running = async {
            let asked = tokio::join!(api, admin, stopping).2;
            // What is not told by then, the next process finds by itself.
            let settled = self.conversation.writers.settle();
            let _ = tokio::time::timeout(SETTLING, settled).await;
            asked
        };
        tokio::select! {
            asked = running => asked,
            () = self.keep_views_fresh() => Ok(()),
            () = self.keep_stores() => Ok(()),
            () = misy_jobs::worker::announce(&self.installation.db) => Ok(()),
        }
    }

    /// Serves metrics and health alone, until `stop` is ready.
    pub async fn serve_metrics(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let admin = misy_web::admin_router(self.metrics.clone());
        let server = self.installation.config.web.server;
        let (ending, ended) = tokio::sync::oneshot::channel::<()>();
        let until = async { ended.await.unwrap_or_default() };
        let stopping = async {
            let asked = stop.await;
            drop(ending);
            asked
        };
        let served = misy_web::serve(listener, admin, server, until);
        tokio::join!(served, stopping).1
    }

    /// Looks after the connections of the cache and after the document server; never ends. Served
    /// or not, a process needs it.
    pub async fn keep_stores(&self) {
        tokio::select! {
            never = Box::pin(self.cache.keep()) => match never {},
            never = self.conversation.documents.keep() => match never {},
        }
    }

    /// Renews what this process knows of revocations and of tenants; never ends.
    async fn keep_views_fresh(&self) {
        let mut pulse = tokio::time::interval(Duration::from_millis(400));
        pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            pulse.tick().await;
            if let Err(error) = self.identity.tick().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "views are not fresh");
            }
            if let Err(error) = self.tenancy.tick().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "tenants are not watched");
            }
        }
    }
}

/// Says that the document server is away, and that the program goes on without it: what is in it is
/// missing and raw payloads wait, but customers are answered. Nothing is said of documents that are
/// in the database itself.
fn watch_documents(readiness: Readiness, documents: &Documents) -> Readiness {
    if !documents.has_server() {
        return readiness;
    }
    let documents = documents.clone();
    readiness.with_optional("documents", move || {
        let documents = documents.clone();
        async move { documents.ready().await }
    })
}

/// A process counts in one place, however many apps it builds.
fn metrics() -> anyhow::Result<PrometheusHandle> {
    static COUNTING: std::sync::Mutex<Option<PrometheusHandle>> = std::sync::Mutex::new(None);
    let mut counting = COUNTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(handle) = &*counting {
        return Ok(handle.clone());
    }
    let handle = misy_web::metrics::install_recorder()?;
    *counting = Some(handle.clone());
    Ok(handle)
}

/// Where mails lie if no server takes them.
pub fn outbox(server: &config::Server) -> std::path::PathBuf {
    server.data.join("outbox")
}

fn answer_key(root: &Key) -> Key {
    root.derive("idempotent-answers")
}
