//! Room `store`: pools, connections and sessions are nobody's but this room's.

use misy_store::pools::Pool; //~ E0603
use misy_store::seats::Seats; //~ E0603
use misy_store::session::Session; //~ E0603

fn inside(db: &misy_store::Db) {
    let _ = &db.0; //~ E0616
}

fn connection(tx: &misy_store::TenantTx) {
    let _ = &tx.session; //~ E0616
    let _ = tx.client(); //~ E0599
}

fn main() {}
