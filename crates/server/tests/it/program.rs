//! Room `server`: starts the real program on a folder of its own, and kills it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use misy_bench::http::Connection;
use serde_json::{Value, json};

/// A process of `misybot` with what its ready file says.
pub(crate) struct Program {
    child: Child,
    pub(crate) ready: Value,
}

impl Program {
    /// Starts it and waits until it says that it is ready.
    pub(crate) async fn start(folder: &Path, arguments: &[&str]) -> Self {
        let ready_file = folder.join(format!("ready-{}.json", arguments[0]));
        let _ = std::fs::remove_file(&ready_file);
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(folder.join("program.log"))
            .expect("a log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_misybot"))
            .args(arguments)
            .arg("--ready-file")
            .arg(&ready_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let begun = Instant::now();
        while !ready_file.exists() {
            let ended = child.try_wait().expect("asked");
            assert!(ended.is_none(), "it ended at once: {}", read_log(folder));
            assert!(begun.elapsed() < Duration::from_secs(90), "not ready: {}", read_log(folder));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let text = std::fs::read_to_string(&ready_file).expect("a ready file");
        Self { child, ready: serde_json::from_str(&text).expect("JSON") }
    }

    /// One that was started by other means, and what is known of it.
    pub(crate) fn of(child: Child, ready: Value) -> Self {
        Self { child, ready }
    }

    /// `up` with everything inside.
    pub(crate) async fn up(folder: &Path) -> Self {
        let data = folder.join("data");
        let data = data.to_str().expect("UTF-8");
        Self::start(folder, &["up", "--data", data, "--listen", "127.0.0.1:0"]).await
    }

    /// `up` on a database of its own, with the settings in the folder.
    pub(crate) async fn up_on(folder: &Path, url: &str) -> Self {
        let (data, settings) = (folder.join("data"), folder.join("misybot.toml"));
        let (data, settings) = (data.to_str().expect("UTF-8"), settings.to_str().expect("UTF-8"));
        let place = ["up", "--data", data, "--config", settings, "--listen", "127.0.0.1:0"];
        Self::start(folder, &[&place[..], &["--database-url", url]].concat()).await
    }

    /// `host:port` of one of its parts.
    pub(crate) fn host(&self, part: &str) -> String {
        let url = self.ready[part].as_str().expect("an address");
        url.trim_start_matches("http://").to_owned()
    }

    /// What the process has in memory now, in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib / 1_024.0
    }

    /// SIGKILL, then waits for the process to be gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// SIGTERM, then waits for the process to end by itself.
    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().expect("asked");
        assert!(asked.success());
        assert!(self.child.wait().expect("ended").success(), "it did not end well");
    }

    /// Signs in and gives the access token.
    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> String {
        let mut api = Connection::open(&self.host("api")).await.expect("connected");
        let login = json!({ "email": email, "password": password });
        let answer = api.json(Method::POST, "/v1/auth/login", None, &login).await;
        let answer = answer.expect("signed in");
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// Signs in as the operator.
    pub(crate) async fn operator(&self) -> String {
        let of = |name: &str| self.ready["operator"][name].as_str().expect("told").to_owned();
        self.sign_in(&of("email"), &of("password")).await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn read_log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("program.log")).unwrap_or_default()
}

/// A folder that is gone with the test.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    listener.local_addr().expect("an address").port()
}

/// A tenant with an owner and a channel that the sandbox delivers to.
pub(crate) struct Shop {
    pub(crate) bearer: String,
    pub(crate) account: Value,
    pub(crate) channel: Value,
    pub(crate) tenant: Value,
}

/// One call of the API or the sandbox that must succeed.
pub(crate) async fn call(
    host: &str,
    method: Method,
    path: &str,
    bearer: Option<&str>,
    body: Value,
) -> Value {
    let mut connection = Connection::open(host).await.expect("connected");
    connection.json(method, path, bearer, &body).await.expect("a success")
}

/// One call whose status and body are looked at.
pub(crate) async fn probe(
    host: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (StatusCode, Value) {
    let mut connection = Connection::open(host).await.expect("connected");
    let answer = connection.call(method, path, headers, body.into()).await.expect("an answer");
    (answer.0, serde_json::from_slice(&answer.1).unwrap_or(Value::Null))
}

impl Shop {
    /// Opens a shop: tenant, owner, channel, one answer.
    pub(crate) async fn open(program: &Program, sandbox: &str, slug: &str) -> Self {
        let api = program.host("api");
        let operator = program.operator().await;
        let (email, password) = (format!("owner@{slug}.example"), format!("{slug}-has-A-long-one"));
        let owner = json!({ "email": email, "name": "Owner", "password": password });
        let new = json!({ "slug": slug, "name": slug, "owner": owner });
        let tenant = call(&api, Method::POST, "/v1/tenants", Some(&operator), new).await;
        let bearer = program.sign_in(&email, &password).await;
        let account = call(sandbox, Method::POST, "/sandbox/accounts", None, json!({})).await;
        let new = json!({
            "kind": "whatsapp", "name": "Main", "external_id": account["phone_number_id"],
            "credentials": {
                "access_token": account["access_token"], "app_secret": account["app_secret"],
                "verify_token": account["verify_token"],
            },
            "settings": { "api_host": format!("http://{sandbox}") },
        });
        let channel = call(&api, Method::POST, "/v1/channels", Some(&bearer), new).await;
        let shop = Self { bearer, account, channel, tenant };
        let hook = json!({ "url": shop.channel["webhook_url"] });
        call(sandbox, Method::PUT, &shop.path("webhook"), None, hook).await;
        let entry = json!({
            "question": "What are your opening hours?", "language": "en",
            "answer": format!("{slug} is open from 9 to 18."),
        });
        call(&api, Method::POST, "/v1/knowledge-entries", Some(&shop.bearer), entry).await;
        shop
    }

    /// The path of something of the shop's account in the sandbox.
    pub(crate) fn path(&self, what: &str) -> String {
        format!(
            "/sandbox/accounts/{}/{what}",
            self.account["phone_number_id"].as_str().expect("id")
        )
    }
}

/// What the command line prints of an installation with a database of its own.
pub(crate) fn command(folder: &Path, url: &str, arguments: &[&str]) -> Vec<u8> {
    let settings = folder.join("misybot.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_misybot"))
        .args(arguments)
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--config")
        .arg(settings)
        .args(["--database-url", url])
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    [output.stdout, output.stderr].concat()
}

/// Asks again until the answer is as wanted; fails with the last answer when patience is over.
pub(crate) async fn until(
    what: &str,
    seconds: u64,
    mut ask: impl AsyncFnMut() -> Result<(), String>,
) {
    let begun = Instant::now();
    loop {
        let Err(last) = ask().await else { return };
        assert!(begun.elapsed() < Duration::from_secs(seconds), "{what}: {last}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The postmaster that runs for a folder, wherever its cluster was placed.
pub(crate) fn postmaster(folder: &Path) -> Option<u32> {
    let data = folder.join("data/postgres");
    let placed = std::fs::read_to_string(data.join("postgres.location")).ok();
    let home = placed.map_or_else(|| data.join("postgres"), |text| PathBuf::from(text.trim()));
    let text = std::fs::read_to_string(home.join("data/postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}
