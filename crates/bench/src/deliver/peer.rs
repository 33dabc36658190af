//! Room `bench`: the peer beside us, a svix-server of the same machine under the same load.

use http::Method;
use serde_json::{Value, json};

use super::manner::Manner;
use super::sink::Sink;
use super::stage::{Account, Tongue, text};
use super::{Drive, FAN, at, fan_out, resident_mib, rush};
use crate::Failure;
use crate::http::Connection;
use crate::sql;

/// The peer's database.
pub const DATABASE: &str = "peer";

/// Makes the peer's database, empty.
pub async fn make_database(server: &tokio_postgres::Config) -> Result<(), Failure> {
    sql::run(server, &format!("create database {DATABASE}")).await
}

/// A running svix-server that sends its headers as `webhook-*` and may reach loopback.
#[derive(Debug)]
pub struct Peer {
    /// The server.
    pub drive: Drive,
    /// What it signed for us: `svix-server jwt generate`.
    pub token: String,
}

/// Drives the peer as `run` drives the program. `own` is what that gave; gives both and what they
/// are to each other.
pub async fn run_peer(peer: &Peer, own: &Value) -> Result<Value, Failure> {
    let sink = Sink::start(Manner::PROMPT).await?;
    let account = app(peer, "deliver", &[&sink]).await?;
    let round = rush(&peer.drive, &account, &sink).await?;
    let resident = resident_mib(&peer.drive);
    let fan = Sink::start(Manner::PROMPT).await?;
    let wide = app(peer, "fan", &[&fan; FAN]).await?;
    let cpu_ms = round.program_ms + round.database_ms;
    let fanned_per_s = fan_out(&peer.drive, &wide, &fan).await?;
    let to = |name: &str, theirs: f64| own[name].as_f64().unwrap_or_default() / theirs;
    let mut both = own.clone();
    let beside = json!({
        "peer_accepted_per_s": round.accepted_per_s,
        "peer_delivered_per_s": round.delivered_per_s,
        "peer_cpu_ms_per_message": cpu_ms,
        "peer_cpu_ms_per_message_program": round.program_ms,
        "peer_cpu_ms_per_message_database": round.database_ms,
        "peer_p99_ms": at(&round.delays, 0.99),
        "peer_fanout_deliveries_per_s": fanned_per_s,
        "peer_rss_mib": resident,
        "peer_lost": round.lost,
        "ratio_delivered": to("delivered_per_s", round.delivered_per_s),
        "ratio_cpu": to("cpu_ms_per_message", cpu_ms),
        "ratio_fanout": to("fanout_deliveries_per_s", fanned_per_s),
    });
    for (name, figure) in beside.as_object().into_iter().flatten() {
        both[name] = figure.clone();
    }
    Ok(both)
}

/// An application with an endpoint for each receiver.
async fn app(peer: &Peer, name: &str, sinks: &[&Sink]) -> Result<Account, Failure> {
    let mut api = Connection::open(&peer.drive.api).await?;
    let new = json!({ "name": name });
    let made = api.json(Method::POST, "/api/v1/app/", Some(&peer.token), &new).await?;
    let id = text(&made, "id")?;
    for sink in sinks {
        let (path, endpoint) =
            (format!("/api/v1/app/{id}/endpoint/"), json!({ "url": sink.url() }));
        api.json(Method::POST, &path, Some(&peer.token), &endpoint).await?;
    }
    let tongue = Tongue::Peer { path: format!("/api/v1/app/{id}/msg/") };
    Ok(Account { api: peer.drive.api.clone(), bearer: peer.token.clone(), tongue })
}
