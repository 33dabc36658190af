//! Room `store`: a statement needs a transaction.

use misy_store::Db;

async fn ask(db: &Db) {
    drop(db.query("select 1", &[]).await); //~ E0599
    drop(db.execute("select 1", &[]).await); //~ E0599
}

fn main() {}
