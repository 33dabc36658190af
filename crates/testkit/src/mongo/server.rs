//! Room `testkit`: the MongoDB-compatible server of the tests, a process of its own: `mongod` if
//! one is installed, else the one that `cargo xtask` put into `target/` (see `docs/adr`).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bson::doc;
use mongodb::Client;
use mongodb::options::ClientOptions;
use tokio::process::{Child, Command};

use super::MongoReady;
use crate::postgres::{random_name, unpredictable};

type Failure = Box<dyn std::error::Error>;

/// Python takes a second to start, on a busy machine several.
const START_LIMIT: Duration = Duration::from_mins(1);
const USER: &str = "misy_test";

/// A running server on loopback with one administrator.
#[derive(Debug)]
pub struct MongoServer {
    child: Child,
    folder: PathBuf,
    ready: MongoReady,
}

impl MongoServer {
    /// Starts a program in an empty folder: once without sign-in to make the administrator, then
    /// for good.
    pub async fn start(program: &Path, folder: &Path) -> Result<Self, Failure> {
        end_left_over(folder).await?;
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir_all(folder.join("data"))?;
        let password = random_name(&unpredictable());
        let address = free_address()?;
        let open = format!("mongodb://{address}/?directConnection=true");
        let mut first = spawn(program, folder, address, false)?;
        let admin = answering(&open, &mut first).await?.database("admin");
        let roles = vec![doc! { "role": "root", "db": "admin" }];
        let user = doc! { "createUser": USER, "pwd": &password, "roles": roles };
        admin.run_command(user).await?;
        stop(&mut first).await?;
        let mut child = spawn(program, folder, address, true)?;
        let url = format!("mongodb://{USER}:{password}@{address}/?directConnection=true");
        answering(&url, &mut child).await?;
        let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let pid = child.id().ok_or("it has ended")?;
        std::fs::write(folder.join("pid"), pid.to_string())?;
        Ok(Self { child, folder: folder.to_owned(), ready: MongoReady { url, program } })
    }

    /// How to reach it.
    pub fn ready(&self) -> &MongoReady {
        &self.ready
    }

    /// Stops it and removes what it wrote.
    pub async fn stop(mut self) -> Result<(), Failure> {
        stop(&mut self.child).await?;
        Ok(std::fs::remove_dir_all(&self.folder)?)
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn spawn(
    program: &Path,
    folder: &Path,
    address: SocketAddr,
    signs_in: bool,
) -> Result<Child, Failure> {
    let log = std::fs::File::options().append(true).create(true).open(folder.join("log"))?;
    let mut command = Command::new(program);
    let data = folder.join("data");
    if program.ends_with("mongod") {
        command.arg("--bind_ip").arg(address.ip().to_string()).arg("--dbpath").arg(data);
    } else {
        command.arg("--host").arg(address.ip().to_string()).arg("--storage-path").arg(data);
        command.arg("--log-level").arg("ERROR").arg("--sync-on-commit");
    }
    command.arg("--port").arg(address.port().to_string());
    if signs_in {
        command.arg("--auth");
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    Ok(command.spawn()?)
}

/// A client of the server once it answers.
async fn answering(url: &str, child: &mut Child) -> Result<Client, Failure> {
    let mut options = ClientOptions::parse(url).await?;
    options.server_selection_timeout = Some(Duration::from_millis(250));
    let client = Client::with_options(options)?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Err(format!("the document server ended at once: {status}").into());
        }
        match client.database("admin").run_command(doc! { "ping": 1 }).await {
            Ok(_) => return Ok(client),
            Err(error) if start.elapsed() > START_LIMIT => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn stop(child: &mut Child) -> Result<(), Failure> {
    let Some(pid) = child.id() else { return Ok(()) };
    terminate(pid).await?;
    if tokio::time::timeout(Duration::from_secs(20), child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(())
}

async fn terminate(pid: u32) -> std::io::Result<()> {
    let pid = pid.to_string();
    Command::new("kill").args(["-TERM", &pid]).stderr(Stdio::null()).status().await.map(drop)
}

/// A `misy-testdb` that was killed leaves its server behind; process ids are given anew, so only
/// one that serves our folder is ended.
async fn end_left_over(folder: &Path) -> std::io::Result<()> {
    let Ok(text) = std::fs::read_to_string(folder.join("pid")) else { return Ok(()) };
    let Ok(pid) = text.trim().parse::<u32>() else { return Ok(()) };
    let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if arguments.contains(&*folder.join("data").to_string_lossy()) {
        terminate(pid).await?;
    }
    Ok(())
}
