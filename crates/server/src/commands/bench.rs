//! Room `server`: `misybot bench`: makes what a bench needs, on a durable embedded server of its
//! own.

mod peer;
mod program;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use misy_bench::pgbench::Floor;
use misy_bench::{
    Failure, Report, authz, cache, deliver, ingest, logins, queue, quotas, rls, storm, tenants,
};
use misy_core::Ambient;
use misy_core::crypto::Key;
use misy_sandbox::Sandbox;
use misy_store::cache::private::PrivateRedis;
use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres};
use misy_store::{Db, Quota, RolePasswords, migrate};
use serde_json::{Value, json};

use super::{Installation, platform_ctx};
use crate::ambient;
use crate::app::{App, Listeners};
use crate::cli::Bench;
use crate::config::Config;
use peer::PeerProgram;
use program::Program;

/// Connections that drive the load, as many as the floor has.
const CONNECTIONS: usize = 32;

const NAMES: &str =
    "queue, ingest, deliver, noisy, storm, logins, tenants, quotas, cache, rls, authz, start";

/// Runs a bench by its name and prints what it measured.
pub async fn run(options: &Bench) -> anyhow::Result<()> {
    if let Some(peer) = &options.peer {
        anyhow::ensure!(options.name == "deliver", "`--peer` is for the bench `deliver` alone");
        // Its own rounds would be lost to a peer that cannot even be started.
        let asked = std::process::Command::new(peer).arg("--version").output();
        asked.with_context(|| format!("the peer `{}` cannot be run", peer.display()))?;
    }
    if options.name == "authz" {
        let rounds = options.size.map_or(Ok(20_000), u32::try_from)?;
        return print(options, Ok(authz::run(rounds)));
    }
    let folder = std::env::temp_dir().join(format!("misybot-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let ambient = ambient::machine();
    if options.name == "cache" {
        let report = measure_cache(options, &folder, ambient).await;
        std::fs::remove_dir_all(&folder)?;
        return print(options, report);
    }
    let embedded = EmbeddedConfig::new(folder.join("postgres"), ambient.clone());
    let postgres = EmbeddedPostgres::start(embedded).await?;
    let report = Box::pin(measure(options, &folder, &postgres, ambient)).await;
    postgres.stop().await?;
    std::fs::remove_dir_all(&folder)?;
    print(options, report)
}

fn print(options: &Bench, report: Result<Report, Failure>) -> anyhow::Result<()> {
    let report = report.map_err(|error| anyhow!(error))?;
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

async fn measure(
    options: &Bench,
    folder: &Path,
    postgres: &EmbeddedPostgres,
    ambient: Ambient,
) -> Result<Report, Failure> {
    let size = options.size.map(usize::try_from).transpose()?;
    // A hundredth of what a quiet tenant publishes is a handful only after a while.
    let seconds = options.seconds.unwrap_or(if options.name == "noisy" { 20 } else { 5 });
    match options.name.as_str() {
        "queue" => {
            let settings = queue::Settings {
                server: postgres.config("postgres"),
                passwords: RolePasswords::derive(&Key::new(ambient.bytes())),
                ctx: platform_ctx(&ambient),
                ambient,
                pgbench: postgres.installation().program("pgbench"),
                size: size.unwrap_or(100_000),
                tenants: 200,
                connections: CONNECTIONS,
                seconds,
            };
            queue::run(&settings).await
        }
        "ingest" => {
            let size = size.unwrap_or(8_000);
            Box::pin(measure_ingest(folder, postgres, ambient, size, seconds)).await
        }
        name @ ("deliver" | "noisy") => {
            let size = size.unwrap_or(if name == "deliver" { 20_000 } else { 100_000 });
            let peer = options.peer.as_deref();
            Box::pin(measure_deliver(folder, postgres, (name, peer), size, seconds)).await
        }
        "rls" => {
            let settings = rls::Settings {
                server: postgres.config("postgres"),
                passwords: RolePasswords::derive(&Key::new(ambient.bytes())),
                ctx: platform_ctx(&ambient),
                ambient,
                size: size.unwrap_or(5_000_000),
                tenants: 1_250,
                seconds,
            };
            Box::pin(rls::run(&settings)).await
        }
        "storm" => {
            let settings = storm::Settings {
                server: postgres.config("postgres"),
                passwords: RolePasswords::derive(&Key::new(ambient.bytes())),
                ctx: platform_ctx(&ambient),
                seed: u64::from_be_bytes(ambient.bytes()),
                ambient,
                tenants: 1_000,
                size: size.unwrap_or(100_000),
                connections: 4,
                at_once: CONNECTIONS,
            };
            Box::pin(storm::run(&settings)).await
        }
        "logins" => {
            let size = size.unwrap_or(1_000);
            Box::pin(measure_logins(folder, postgres, ambient, size, seconds)).await
        }
        "tenants" => {
            let size = size.unwrap_or(10_000);
            Box::pin(measure_tenants(folder, postgres, ambient, size)).await
        }
        "quotas" => {
            let size = size.unwrap_or(4_000);
            Box::pin(measure_quotas(folder, postgres, ambient, size)).await
        }
        "start" => Ok(measure_start(folder, postgres)?),
        other => Err(format!("there is no bench `{other}`: {NAMES}").into()),
    }
}

/// On a Redis of its own, which it attacks: no PostgreSQL is needed.
async fn measure_cache(
    options: &Bench,
    folder: &Path,
    ambient: Ambient,
) -> Result<Report, Failure> {
    let server = PrivateRedis::start(folder, &ambient).await?;
    let settings = cache::Settings {
        root: Key::new(ambient.bytes()),
        ctx: platform_ctx(&ambient),
        ambient,
        rounds: options.size.map_or(Ok(400), usize::try_from)?,
    };
    cache::run(&settings, &server).await
}

/// The whole program on an empty database.
struct House {
    app: App,
    listeners: Listeners,
    admin: tokio_postgres::Config,
    db: Db,
    email: String,
    password: String,
}

impl House {
    async fn build_with(
        folder: &Path,
        postgres: &EmbeddedPostgres,
        ambient: Ambient,
        change: impl FnOnce(&mut Config),
    ) -> Result<Self, Failure> {
        let counts = Arc::<misy_tenancy::Quotas>::default();
        Self::build_counting(folder, postgres, ambient, change, counts).await
    }

    async fn build_counting(
        folder: &Path,
        postgres: &EmbeddedPostgres,
        ambient: Ambient,
        change: impl FnOnce(&mut Config),
        counts: Arc<dyn Quota>,
    ) -> Result<Self, Failure> {
        let admin = postgres.config("postgres");
        let root = Key::new(ambient.bytes());
        let passwords = RolePasswords::derive(&root);
        migrate::migrate(&admin, &passwords).await?;
        let mut config = settings(folder);
        change(&mut config);
        let db = Db::open(&admin, &passwords, &config.database.pool, ambient.clone());
        let listeners = Listeners::bind(&config.server).await?;
        let own = (admin.clone(), db.clone());
        let installation = Installation { config, ambient, root, admin: own.0, db: own.1 };
        let url = listeners.public_url(None)?;
        let app = Box::pin(App::build_counting(installation, &url, counts)).await?;
        let (email, password) = app.ensure_operator(folder).await?;
        let password = password.context("the operator was just made")?.expose().to_owned();
        Ok(Self { app, listeners, admin, db, email, password })
    }
}

/// Serves until the work is over, or has failed.
async fn serving<T>(
    app: &App,
    listeners: Listeners,
    work: impl Future<Output = T>,
) -> anyhow::Result<T> {
    let (ending, ended) = tokio::sync::oneshot::channel::<()>();
    let stop = async {
        // The work is over, or it failed: either way the end has come.
        let _ = ended.await;
        Ok(())
    };
    let work = async {
        let done = work.await;
        drop(ending);
        done
    };
    let (served, done) = tokio::join!(app.serve(listeners, stop), work);
    served?;
    Ok(done)
}

async fn measure_tenants(
    folder: &Path,
    postgres: &EmbeddedPostgres,
    ambient: Ambient,
    size: usize,
) -> Result<Report, Failure> {
    let ctx = platform_ctx(&ambient);
    let house = House::build_with(folder, postgres, ambient, |config| {
        config.web.rates.read = config.web.rates.write;
    });
    let House { app, listeners, admin, db, email, password } = house.await?;
    let load = tenants::Settings {
        api: listeners.api_address()?.to_string(),
        email,
        password,
        server: admin,
        db,
        directory: app.directory(),
        ctx,
        key_text: misy_identity::api_keys::live_key,
        size,
    };
    let metrics = Box::pin(serving(&app, listeners, tenants::run(&load))).await??;
    Ok(Report::new("tenants", json!({ "size": size }), metrics))
}

async fn measure_quotas(
    folder: &Path,
    postgres: &EmbeddedPostgres,
    ambient: Ambient,
    size: usize,
) -> Result<Report, Failure> {
    let turnstile = Arc::new(quotas::Turnstile::new(Arc::<misy_tenancy::Quotas>::default()));
    let counts = Arc::<quotas::Turnstile>::clone(&turnstile);
    let house = House::build_counting(folder, postgres, ambient, |_| (), counts).await?;
    let House { app, listeners, admin: server, email, password, .. } = house;
    let api = listeners.api_address()?.to_string();
    let load = quotas::Settings { api, email, password, server, turnstile, size };
    let metrics = Box::pin(serving(&app, listeners, quotas::run(&load))).await??;
    Ok(Report::new("quotas", json!({ "size": size }), metrics))
}

async fn measure_ingest(
    folder: &Path,
    postgres: &EmbeddedPostgres,
    ambient: Ambient,
    size: usize,
    seconds: u64,
) -> Result<Report, Failure> {
    let sandbox = Sandbox::start(misy_sandbox::Config::default(), ambient).await?;
    let program = Program::start(folder, &settings(folder), &postgres.url("postgres")).await?;
    let (email, password) = program.operator()?;
    let load = ingest::Settings {
        api: program.api()?,
        sandbox: sandbox.address().to_string(),
        email,
        password,
        size,
        connections: CONNECTIONS,
        tenants: 8,
    };
    let (pgbench, server) =
        (postgres.installation().program("pgbench"), postgres.config("postgres"));
    let duration = Duration::from_secs(seconds);
    let floor = async |connections| {
        let (pgbench, server) = (pgbench.clone(), server.clone());
        Floor { pgbench, server, connections, duration }.measure().await
    };
    let metrics = Box::pin(ingest::run(&load, floor)).await;
    program.stop().await?;
    sandbox.stop().await;
    let settings = json!({ "size": size, "connections": CONNECTIONS, "tenants": load.tenants });
    Ok(Report::new("ingest", settings, metrics?))
}

/// Webhooks: how fast, or how fair. The program has a process of its own, so that what it uses is
/// told apart from what load and receivers use. A peer runs on the same server, once the program
/// has ended.
async fn measure_deliver(
    folder: &Path,
    postgres: &EmbeddedPostgres,
    (name, peer): (&str, Option<&Path>),
    size: usize,
    seconds: u64,
) -> Result<Report, Failure> {
    let program = Program::start(folder, &settings(folder), &postgres.url("postgres")).await?;
    let (email, password) = program.operator()?;
    let drive = deliver::Drive {
        api: program.api()?,
        server: postgres.config("postgres"),
        processes: vec![program.id()],
        size,
        connections: CONNECTIONS,
    };
    let load = deliver::Settings { drive, email, password, seconds };
    let settings = json!({ "size": size, "connections": CONNECTIONS, "seconds": seconds });
    let (name, metrics) = if name == "noisy" {
        ("noisy", Box::pin(deliver::run_noisy(&load)).await)
    } else {
        ("deliver", Box::pin(deliver::run(&load)).await)
    };
    program.stop().await?;
    let mut metrics = metrics?;
    if let Some(peer) = peer {
        metrics = measure_peer(folder, postgres, peer, load.drive, &metrics).await?;
    }
    Ok(Report::new(name, settings, metrics))
}

async fn measure_peer(
    folder: &Path,
    postgres: &EmbeddedPostgres,
    program: &Path,
    drive: deliver::Drive,
    own: &Value,
) -> Result<Value, Failure> {
    deliver::make_database(&drive.server).await?;
    let peer = PeerProgram::start(program, folder, &postgres.url(deliver::DATABASE)).await?;
    let (api, processes) = (peer.api(), peer.processes());
    let drive = deliver::Drive { api, processes, ..drive };
    deliver::run_peer(&deliver::Peer { drive, token: peer.token() }, own).await
}

/// With no limit but the one on hashing.
async fn measure_logins(
    folder: &Path,
    postgres: &EmbeddedPostgres,
    ambient: Ambient,
    size: usize,
    seconds: u64,
) -> Result<Report, Failure> {
    let wide = misy_identity::attempts::Allowance { burst: 1_000_000, refill_ms: 1 };
    let house = House::build_with(folder, postgres, ambient, |config| {
        config.identity.per_address = wide;
        config.identity.per_account = wide;
        config.web.rates.sign_in = config.web.rates.write;
        config.web.rates.read = config.web.rates.write;
    });
    let House { app, listeners, email, password, .. } = house.await?;
    let api = listeners.api_address()?.to_string();
    let load = logins::Settings { api, email, password, size, seconds };
    let metrics = Box::pin(serving(&app, listeners, logins::run(&load))).await??;
    Ok(Report::new("logins", json!({ "size": size, "seconds": seconds }), metrics))
}

fn settings(folder: &Path) -> Config {
    let mut config = Config::default();
    folder.clone_into(&mut config.server.data);
    config.server.listen.set_port(0);
    config.server.admin_listen.set_port(0);
    config.conversation.private_hosts_allowed = true;
    config.egress.private_hosts_allowed = true;
    config.webhooks.private_hosts_allowed = true;
    let free = misy_web::rates::Quota { requests: 1_000_000_000, window_s: 1 };
    config.web.rates.write = misy_web::rates::Allowance { each: free, tenant: free };
    config.jobs.sole = true;
    config.webhooks.courier.sole = true;
    config
}

/// Starts this very program on a migrated database, as an operator does.
fn measure_start(folder: &Path, postgres: &EmbeddedPostgres) -> anyhow::Result<Report> {
    let (program, data) = (std::env::current_exe()?, folder.join("data"));
    let url = postgres.url("postgres");
    let command = |verb: &str| {
        let mut command = std::process::Command::new(&program);
        command.arg(verb).arg("--data").arg(&data).env("MISYBOT__DATABASE__URL", url.expose());
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
        command
    };
    anyhow::ensure!(command("migrate").status()?.success(), "the migration failed");
    let begun = Instant::now();
    let mut child = command("serve").spawn()?;
    let mut line = String::new();
    let output = child.stdout.take().context("the output was piped")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)?;
    let ready = begun.elapsed();
    std::thread::sleep(Duration::from_secs(2));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    child.kill()?;
    child.wait()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    let kib: f64 = resident.trim().trim_end_matches(" kB").trim().parse()?;
    let metrics = json!({
        "ready_ms": ready.as_secs_f64() * 1_000.0, "idle_rss_mib": kib / 1_024.0,
    });
    Ok(Report::new("start", json!({ "command": "serve" }), metrics))
}
