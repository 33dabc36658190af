//! Room `testkit`: `misy-testdb --dir DIR --ready-file FILE [--mongo PROGRAM]` keeps a PostgreSQL
//! for tests, and a document server beside it. It says in the file where, removes databases of
//! tests that have ended, and stops with its parent.

use std::io::Write;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres};
use misy_testkit::mongo::MongoServer;
use misy_testkit::postgres::{Ready, sweep, sweep_templates, unpredictable};
use tokio::signal::unix::{SignalKind, signal};

type Failure = Box<dyn std::error::Error>;

struct Arguments {
    dir: PathBuf,
    ready_file: PathBuf,
    mongo: Option<PathBuf>,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Option<Self> {
        let (mut dir, mut ready_file, mut mongo) = (None, None, None);
        while let Some(name) = given.next() {
            match name.as_str() {
                "--dir" => dir = Some(given.next()?.into()),
                "--ready-file" => ready_file = Some(given.next()?.into()),
                "--mongo" => mongo = Some(given.next()?.into()),
                _ => return None,
            }
        }
        Some(Self { dir: dir?, ready_file: ready_file?, mongo })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        eprintln!("usage: misy-testdb --dir DIR --ready-file FILE [--mongo PROGRAM]");
        return ExitCode::from(2);
    };
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("misy-testdb: {error}");
            let mut reason = error.source();
            while let Some(error) = reason {
                eprintln!("  because: {error}");
                reason = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let parent = parent_id();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut config = EmbeddedConfig::new(&arguments.dir, unpredictable());
    config.disposable = true;
    let search_path = std::env::var_os("PATH");
    config.search_path = search_path;
    let (server, mongo) = tokio::join!(EmbeddedPostgres::start(config), start_mongo(arguments));
    let (server, mongo) = (server?, mongo?);
    let admin = server.config("postgres");
    sweep_templates(&admin).await?;
    sweep(&admin, 1).await?;
    announce(&server, mongo.as_ref(), &arguments.ready_file)?;
    let end = tokio::select! {
        _ = term.recv() => None,
        _ = int.recv() => None,
        () = parents_end(parent) => None,
        reason = server.exited() => reason,
        () = sweep_for_ever(&server) => None,
    };
    std::fs::remove_file(&arguments.ready_file)?;
    let stopped = match mongo {
        Some(mongo) => mongo.stop().await,
        None => Ok(()),
    };
    server.stop().await?;
    stopped?;
    end.map_or(Ok(()), |reason| Err(reason.into()))
}

async fn start_mongo(arguments: &Arguments) -> Result<Option<MongoServer>, Failure> {
    match &arguments.mongo {
        Some(program) => Ok(Some(MongoServer::start(program, &arguments.dir.join("mongo")).await?)),
        None => Ok(None),
    }
}

/// The file holds the superuser's password: it is its owner's alone, and there whole or not at all.
fn announce(
    server: &EmbeddedPostgres,
    mongo: Option<&MongoServer>,
    path: &Path,
) -> Result<(), Failure> {
    let endpoint = server.endpoint();
    let ready = Ready {
        url: server.url("postgres").expose().to_owned(),
        socket_dir: endpoint.socket_dir.clone(),
        port: endpoint.port,
        pid: std::process::id(),
        mongo: mongo.map(|mongo| mongo.ready().clone()),
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(parent.unwrap_or(Path::new(".")))?;
    file.write_all(&serde_json::to_vec(&ready)?)?;
    file.persist(path)?;
    Ok(())
}

/// Our parent is another one when the first has ended.
async fn parents_end(parent: u32) {
    while parent_id() == parent {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// So many databases of ended tests, about 10 MB each, are left to the next sweep.
const TOLERATED: usize = 32;

/// That a sweep fails, for example while the server is started again, only delays it.
async fn sweep_for_ever(server: &EmbeddedPostgres) {
    loop {
        if let Err(error) = sweep(&server.config("postgres"), TOLERATED).await {
            eprintln!("misy-testdb: cannot sweep: {error}");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
