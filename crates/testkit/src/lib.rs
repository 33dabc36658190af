//! Room `testkit`: what tests of every room share. A real database each, a clock turned by hand,
//! contexts without a credential. A dev-dependency, never part of the program.

pub mod ambient;
pub mod contexts;
pub mod judges;
pub mod mail;
pub mod mongo;
pub mod plan;
pub mod postgres;
pub mod providers;
pub mod redis;

pub use ambient::{HandClock, Seeded, WallClock, ambient, ambient_with, wall_ambient};
pub use contexts::{ctx, platform_ctx};
pub use judges::judges;
pub use mongo::TestMongo;
pub use plan::Plan;
pub use postgres::TestDatabase;
pub use providers::{OidcProvider, SamlProvider};
pub use redis::TestRedis;
