//! Room `store`: connections below the pools, for what the program itself must never do.

use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls};

/// A connection that lives as long as this.
pub(crate) struct Wire {
    client: Client,
    _driver: JoinSet<()>,
}

impl std::ops::Deref for Wire {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Connects, or says why not.
pub(crate) async fn try_wire(config: &Config) -> Result<Wire, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async { connection.await.unwrap_or_default() });
    Ok(Wire { client, _driver: driver })
}

/// Connects.
pub(crate) async fn wire(config: &Config) -> Wire {
    try_wire(config).await.expect("the server lets us in")
}
