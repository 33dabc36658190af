//! Room `bench`: statements of the administrator, outside the program's own door.

use tokio_postgres::{Client, Config, NoTls};

use crate::Failure;

/// Runs statements on a connection of their own, each outside a transaction.
pub(crate) async fn run(server: &Config, sql: &str) -> Result<(), Failure> {
    with(server, async |client| Ok(client.batch_execute(sql).await?)).await
}

/// Lends a connection for as long as the work takes.
pub(crate) async fn with<T>(
    server: &Config,
    work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (client, connection) = server.connect(NoTls).await?;
    let driver = async { connection.await.map_err(Failure::from) };
    let work = async move { work(&client).await };
    let (done, ()) = futures_util::try_join!(work, driver)?;
    Ok(done)
}
