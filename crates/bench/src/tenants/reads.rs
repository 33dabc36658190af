//! Room `bench`: how long a tenant waits for twenty contacts, from the API and from the store.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::Method;
use misy_core::id::TypedId;
use misy_core::{Cursor, Grants, TenantId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::stage::{Asker, People};
use super::{AT_ONCE, Settings, median};
use crate::Failure;
use crate::deliver::at;
use crate::dice::Dice;
use crate::http::Connection;

/// Reads of one round: two for each of ten thousand tenants, and the slowest hundredth of them are
/// so many that a hiccup of the machine does not decide.
const READS: usize = 20_000;

/// Rounds with one tenant, and as many in between with all.
const ROUNDS: usize = 5;

const LIST: &str = "
    select id, display_name from contacts
    where tenant_id = $1 and id < $2 order by id desc limit 20";

/// By which way is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Road {
    /// A request with a key.
    Api,
    /// Only what a request does in the store.
    Store,
}

/// Whose contacts are read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose<'a> {
    /// All twenty of any of these.
    Any(&'a [Asker]),
    /// Twenty anywhere among those of one.
    Large(&'a Asker),
}

impl<'a> Whose<'a> {
    /// A tenant and the contact before which is read, by lot.
    fn draw(self, dice: &mut Dice) -> (&'a Asker, Uuid) {
        match self {
            Self::Any(all) => (&all[dice.below(all.len() as u64) as usize], Uuid::max()),
            // Their ids are spread evenly.
            Self::Large(one) => (one, Uuid::from_u128(u128::from(dice.below(1 << 32) + 1) << 96)),
        }
    }
}

/// Both roads, one tenant and all in turns.
pub(super) async fn measure(settings: &Settings, people: &People) -> Result<Value, Failure> {
    let mut figures = serde_json::Map::new();
    for (prefix, road) in [("", Road::Api), ("store_", Road::Store)] {
        let (mut one, mut all, mut same_rows) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            one.push(times(settings, road, Whose::Any(&people.small[..1]), round).await?);
            all.push(times(settings, road, Whose::Any(&people.small), round).await?);
            same_rows.push(times(settings, road, Whose::Large(&people.large), round).await?);
        }
        let at = |rounds: &[Vec<Duration>], share| {
            median(rounds.iter().map(|times| at(times, share)).collect())
        };
        let mut tell = |name: &str, figure: f64| {
            figures.insert(format!("{prefix}{name}"), json!(figure));
        };
        let sides = [("1_tenant", &one), ("10000_tenants", &all), ("same_rows", &same_rows)];
        for (name, rounds) in sides {
            tell(&format!("read_p50_ms_{name}"), at(rounds, 0.5));
            tell(&format!("read_p99_ms_{name}"), at(rounds, 0.99));
        }
        tell("ratio", at(&all, 0.99) / at(&one, 0.99));
        tell("ratio_same_rows", at(&all, 0.99) / at(&same_rows, 0.99));
    }
    Ok(Value::Object(figures))
}

/// How long reads take, four at once.
pub(super) async fn times(
    settings: &Settings,
    road: Road,
    whose: Whose<'_>,
    round: usize,
) -> Result<Vec<Duration>, Failure> {
    let some = async |reader: usize| -> Result<Vec<Duration>, Failure> {
        let mut api = Connection::open(&settings.api).await?;
        let mut dice = Dice::new((round * AT_ONCE + reader) as u64);
        let mut times = Vec::with_capacity(READS / AT_ONCE);
        for _ in 0..READS / AT_ONCE {
            let (asker, below) = whose.draw(&mut dice);
            let begun = Instant::now();
            match road {
                Road::Api => ask(&mut api, asker, below).await?,
                Road::Store => read(settings, asker, below).await?,
            }
            times.push(begun.elapsed());
        }
        Ok(times)
    };
    Ok(try_join_all((0..AT_ONCE).map(some)).await?.concat())
}

/// A request of each of them.
pub(super) async fn each_once(settings: &Settings, askers: &[Asker]) -> Result<(), Failure> {
    let mut api = Connection::open(&settings.api).await?;
    for asker in askers {
        ask(&mut api, asker, Uuid::max()).await?;
    }
    Ok(())
}

async fn ask(api: &mut Connection, asker: &Asker, below: Uuid) -> Result<(), Failure> {
    let path = format!("/v1/contacts?limit=20&cursor={}", Cursor(below).encode());
    let authorization = format!("Bearer {}", asker.key.expose());
    let headers = [("authorization", authorization.as_str())];
    let (status, answer) = api.call(Method::GET, &path, &headers, Bytes::new()).await?;
    // Every one of the twenty tells how it can be reached.
    let found = answer.windows(7).filter(|part| part == b"\"email\"").count();
    if status.is_success() && found == 20 {
        return Ok(());
    }
    Err(format!("{status} with {found} contacts: {}", String::from_utf8_lossy(&answer)).into())
}

async fn read(settings: &Settings, asker: &Asker, below: Uuid) -> Result<(), Failure> {
    let ctx = settings.ctx.enter(TenantId::from_uuid(asker.tenant), Grants::NONE);
    if !settings.directory.is_active(ctx.tenant()).await? {
        return Err("the tenant is not active".into());
    }
    let mut tx = settings.db.read(&ctx).await?;
    let rows = tx.query(LIST, &[&ctx.tenant().uuid(), &below]).await?;
    if rows.len() == 20 { Ok(()) } else { Err(format!("{} contacts", rows.len()).into()) }
}
