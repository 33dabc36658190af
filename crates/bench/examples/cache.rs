//! Room `bench`: the cache's bench on a Redis of its own, without the rest of the program.

use misy_bench::cache::{Settings, run};
use misy_core::crypto::Key;
use misy_store::cache::private::PrivateRedis;

#[tokio::main]
async fn main() -> Result<(), misy_bench::Failure> {
    let rounds = std::env::args().nth(1).map_or(Ok(400), |rounds| rounds.parse())?;
    let ambient = misy_testkit::postgres::unpredictable();
    let folder = tempfile::tempdir()?;
    let server = PrivateRedis::start(folder.path(), &ambient).await?;
    let ctx = misy_testkit::platform_ctx();
    let settings = Settings { ambient, root: Key::new([7; 32]), ctx, rounds };
    let report = run(&settings, &server).await?;
    println!("{report}{}", serde_json::to_string(&report)?);
    Ok(())
}
