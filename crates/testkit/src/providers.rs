//! Room `testkit`: identity providers of others, as processes beside the tests. `cargo xtask`
//! installs them below `target/`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;

const ADVICE: &str = "run `cargo xtask test` once, or `cargo xtask db start`: it installs them";

/// The npm package `oidc-provider`, which is certified by the `OpenID` Foundation. It has no
/// password: whoever is among the accounts signs in with any.
#[derive(Debug)]
pub struct OidcProvider {
    /// Its issuer, on loopback.
    pub issuer: String,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl OidcProvider {
    /// Starts one. Panics with advice if it is not installed.
    pub async fn start() -> Self {
        let mut command = Command::new("node");
        command.arg("provider.mjs").current_dir(folder("oidc")).stdin(Stdio::piped());
        let (mut child, mut lines) = spawn(command);
        let stdin = child.stdin.take().expect("is piped");
        let said = read(&mut lines).await;
        let issuer = said["issuer"].as_str().expect("it says where it is").to_owned();
        Self { issuer, stdin, lines, _child: child }
    }

    /// Makes it know these clients and people (`OpenID` metadata; claims by subject), and whether
    /// claims are in the ID token or at the userinfo endpoint only.
    pub async fn configure(&mut self, clients: Value, accounts: Value, claims_in_id_token: bool) {
        let order = json!({"order": "configure", "clients": clients, "accounts": accounts,
            "claims_in_id_token": claims_in_id_token});
        self.tell(&order).await;
    }

    /// Signs with another key from now on; publishes the old ones too if `keep`.
    pub async fn rotate(&mut self, keep: bool) {
        self.tell(&json!({"order": "rotate", "keep": keep})).await;
    }

    async fn tell(&mut self, order: &Value) {
        let line = format!("{order}\n");
        self.stdin.write_all(line.as_bytes()).await.expect("it listens");
        let answer = read(&mut self.lines).await;
        assert!(answer.get("error").is_none(), "{answer}");
    }
}

/// Starts it; it ends with what is given back. Panics with advice if it does not start.
fn spawn(mut command: Command) -> (Child, Lines<BufReader<ChildStdout>>) {
    let child = command.kill_on_drop(true).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("it does not start ({error}): {ADVICE}"));
    let lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
    (child, lines)
}

/// What it says beside its answers (warnings on loopback addresses) is not JSON.
async fn read(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    loop {
        let line = lines.next_line().await.expect("it can be read").expect("it is alive");
        if let Ok(value) = serde_json::from_str(&line) {
            return value;
        }
    }
}

/// Where `cargo xtask` has put a provider: beside the programs that this test was built with.
/// Panics with advice if it has not.
fn folder(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let mut above = program.ancestors().map(|folder| folder.join("identity-providers").join(name));
    let whole = above.find(|folder| folder.join("whole").is_file());
    whole.unwrap_or_else(|| panic!("no identity provider `{name}`: {ADVICE}"))
}

/// A SAML identity provider: `saml-idp` of npm or `pysaml2` of `PyPI`, which ask for no password,
/// or `SimpleSAMLphp` of Debian, which does.
#[derive(Debug)]
pub struct SamlProvider {
    /// Where it is, on loopback.
    pub base: String,
    _child: Child,
    _reading: JoinSet<()>,
}

impl SamlProvider {
    /// Starts `saml-idp` with its options. Panics with advice if it is not installed.
    pub async fn node(options: &Value) -> Self {
        let mut command = Command::new("node");
        command.arg("provider.js").arg(options.to_string()).current_dir(folder("saml"));
        Self::start(command).await
    }

    /// Starts `pysaml2` with the options of its script. Panics with advice if it is not installed.
    pub async fn python(options: &Value) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/providers/saml_pysaml2.py");
        let mut command = Command::new(crate::judges().join("bin/python"));
        command.arg(script).arg(options.to_string());
        Self::start(command).await
    }

    /// Starts `SimpleSAMLphp` behind the server that PHP has for itself. `options` is a file of
    /// JSON, alone in a folder for what it writes; a change of the file holds from the next request
    /// on. Panics with advice if it is not installed.
    pub async fn php(options: &Path) -> Self {
        let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/providers/simplesamlphp");
        let site = folder("simplesamlphp").join("usr/share/simplesamlphp/www");
        let mut command = Command::new("php");
        command.args(["-S", "127.0.0.1:0", "-t"]).arg(site).stderr(Stdio::piped());
        command.env("SIMPLESAMLPHP_CONFIG_DIR", settings).env("PROVIDER_OPTIONS", options);
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let child = command.spawn();
        let mut child = child.unwrap_or_else(|error| panic!("no PHP ({error}): {ADVICE}"));
        let mut lines = BufReader::new(child.stderr.take().expect("is piped")).lines();
        let port = loop {
            let line = lines.next_line().await.expect("it can be read").expect("it is alive");
            let told =
                line.split_once("http://127.0.0.1:").and_then(|(_, rest)| rest.split_once(')'));
            if let Some((port, _)) = told {
                break port.parse().expect("a port");
            }
        };
        Self::ready(child, port, lines)
    }

    async fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        let (child, mut lines) = spawn(command);
        // Of what it says of its settings some is JSON as well.
        let port = loop {
            if let Some(port) = read(&mut lines).await["port"].as_u64() {
                break port;
            }
        };
        Self::ready(child, port, lines)
    }

    /// What it says from here on must not fill the pipe.
    fn ready<R>(child: Child, port: u64, mut lines: Lines<BufReader<R>>) -> Self
    where
        R: AsyncRead + Unpin + Send + 'static,
    {
        let mut reading = JoinSet::new();
        reading.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { base: format!("http://127.0.0.1:{port}"), _child: child, _reading: reading }
    }
}
