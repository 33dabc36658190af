//! Room `bench`: the queue's bench on a durable server of its own, without the rest of the program.

use misy_bench::queue::{Settings, run};
use misy_core::crypto::Key;
use misy_store::RolePasswords;
use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres};

#[tokio::main]
async fn main() -> Result<(), misy_bench::Failure> {
    let size = std::env::args().nth(1).map_or(Ok(100_000), |size| size.parse())?;
    let ambient = misy_testkit::postgres::unpredictable();
    let data = tempfile::tempdir()?;
    let server = EmbeddedPostgres::start(EmbeddedConfig::new(data.path(), ambient.clone())).await?;
    let settings = Settings {
        server: server.config("postgres"),
        passwords: RolePasswords::derive(&Key::new([7; 32])),
        ambient,
        ctx: misy_testkit::platform_ctx(),
        pgbench: server.installation().program("pgbench"),
        size,
        tenants: 200,
        connections: 32,
        seconds: 3,
    };
    let report = run(&settings).await;
    server.stop().await?;
    let report = report?;
    println!("{report}{}", serde_json::to_string(&report)?);
    Ok(())
}
