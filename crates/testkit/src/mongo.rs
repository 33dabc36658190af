//! Room `testkit`: a MongoDB database of its own for a test, with the two users that the program
//! has, on the server that `misy-testdb` keeps beside PostgreSQL.

mod server;

use bson::{RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use serde::{Deserialize, Serialize};

use crate::postgres::{random_name, server as postgres, unpredictable};

pub use server::MongoServer;

const ADVICE: &str = "run `cargo xtask test`, or `cargo xtask db start`: it brings a server; \
                      MISYBOT_TEST_MONGO_URL names another's administrator";

/// What `misy-testdb` says about its document server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MongoReady {
    /// The administrator's way in.
    pub url: String,
    /// The program that serves; what it does not enforce is known by its name.
    pub program: String,
}

/// A database that only this test uses. It is gone with the server's folder.
#[derive(Debug, Clone)]
pub struct TestMongo {
    host: String,
    query: String,
    name: String,
    password: String,
    administrator: Client,
}

/// What the user of every day may do: no making, changing or dropping of collections, no going
/// round their walls.
const EVERYDAY: [&str; 6] =
    ["find", "insert", "update", "remove", "listCollections", "listIndexes"];

impl TestMongo {
    /// A fresh database and its two users. Panics with advice if no server is there.
    pub async fn create() -> Self {
        match Self::try_create().await {
            Ok(database) => database,
            Err(error) => panic!("no MongoDB for tests ({error}): {ADVICE}"),
        }
    }

    async fn try_create() -> Result<Self, Box<dyn std::error::Error>> {
        let url = match std::env::var("MISYBOT_TEST_MONGO_URL").ok() {
            Some(url) => url,
            None => postgres::kept()?.mongo.ok_or("the kept server is without one")?.url,
        };
        let administrator = Client::with_options(ClientOptions::parse(&url).await?)?;
        let ambient = unpredictable();
        let name = format!("misy_test_{}_{}", std::process::id(), random_name(&ambient));
        let after = url.split_once('@').ok_or("the address names no user")?.1;
        let (host, query) = after.split_once('/').unwrap_or((after, ""));
        let query = query.split_once('?').map_or("", |(_, query)| query);
        let password = random_name(&ambient);
        let of = |text: &str| text.to_owned();
        let made = Self { host: of(host), query: of(query), name, password, administrator };
        made.make_users().await?;
        Ok(made)
    }

    async fn make_users(&self) -> Result<(), mongodb::error::Error> {
        let database = self.database();
        let place = doc! { "db": &self.name, "collection": "" };
        let everyday = doc! { "createRole": "everyday", "roles": [],
        "privileges": [{ "resource": place, "actions": EVERYDAY.to_vec() }] };
        database.run_command(everyday).await?;
        for (user, role) in [("everyday", "everyday"), ("provisioner", "dbOwner")] {
            let roles = [doc! { "role": role, "db": &self.name }];
            let user = doc! { "createUser": user, "pwd": &self.password, "roles": roles.to_vec() };
            database.run_command(user).await?;
        }
        Ok(())
    }

    /// The database as its administrator, whom nothing binds but the walls of collections.
    pub fn database(&self) -> Database {
        self.administrator.database(&self.name)
    }

    /// Every document of every collection as it is kept, by the collection's name.
    pub async fn contents(&self) -> Result<Vec<(String, Vec<u8>)>, mongodb::error::Error> {
        let mut all = Vec::new();
        for name in self.database().list_collection_names().await? {
            let collection = self.database().collection::<RawDocumentBuf>(&name);
            let documents: Vec<_> = collection.find(doc! {}).await?.try_collect().await?;
            let bytes: Vec<&[u8]> = documents.iter().map(|one| one.as_bytes()).collect();
            all.push((name, bytes.concat()));
        }
        Ok(all)
    }

    /// The address of the user of every day.
    pub fn everyday_url(&self) -> String {
        self.url("everyday")
    }

    /// The address of the user who makes collections.
    pub fn provisioning_url(&self) -> String {
        self.url("provisioner")
    }

    fn url(&self, user: &str) -> String {
        let Self { host, query, name, password, .. } = self;
        format!("mongodb://{user}:{password}@{host}/{name}?authSource={name}&{query}")
    }

    /// The database through an address, below the program's own door.
    pub async fn raw(url: &str) -> Database {
        let options = ClientOptions::parse(url).await;
        let client = options.and_then(Client::with_options).ok();
        client.and_then(|client| client.default_database()).expect("an address of ours")
    }
}
