//! Room `store`: pools, connections and sessions are nobody's but this room's.

use misy_store::pools::Pool;
use misy_store::seats::Seats;
use misy_store::session::Session;

fn inside(db: &misy_store::Db) {
    let _ = &db.0;
}

fn connection(tx: &misy_store::TenantTx) {
    let _ = &tx.session;
    let _ = tx.client();
}

fn main() {}
