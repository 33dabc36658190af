//! Room `bench`: how long an operator waits for a page of the list of tenants, and for what is
//! searched among them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::Method;
use misy_core::Cursor;
use misy_core::crypto::to_hex;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AT_ONCE, Settings, drawn, median};
use crate::Failure;
use crate::deliver::at;
use crate::dice::Dice;
use crate::http::Connection;

/// Questions of each kind in a round.
const QUESTIONS: usize = 2_000;

/// Questions of each kind that open connections, prepare statements and warm caches.
const WARM_UP: usize = 200;

/// Rounds; the figure is their median, for one hiccup of the machine is no property of the program.
const ROUNDS: usize = 3;

/// What may be asked.
type Question = fn(&mut Dice, &[Uuid]) -> String;

/// A page somewhere in the list: of all, of a status, of a plan.
fn page(dice: &mut Dice, ids: &[Uuid]) -> String {
    let filter = ["", "&status=active", "&plan=trial"];
    let behind = Cursor(drawn(dice, ids)).encode();
    let chosen = filter[dice.below(filter.len() as u64) as usize];
    format!("/v1/tenants?limit=50&cursor={behind}{chosen}")
}

/// A part of a slug or of a name, a whole slug, two properties that nobody has both of.
fn search(dice: &mut Dice, ids: &[Uuid]) -> String {
    let number = dice.below(ids.len() as u64);
    match dice.below(6) {
        0 => format!("/v1/tenants?q=dle-{number}"),
        1 => format!("/v1/tenants?q={}", &to_hex(&dice.next().to_be_bytes())[..4]),
        2 => format!("/v1/tenants?q={:02x}&limit=50", dice.below(256)),
        3 => format!("/v1/tenants?slug=idle-{number}"),
        4 => "/v1/tenants?q=nobody%20has%20this%20name".to_owned(),
        _ => "/v1/tenants?status=suspended&plan=unlimited".to_owned(),
    }
}

/// Half and all but a hundredth of both.
pub(super) async fn measure(settings: &Settings, ids: &[Uuid]) -> Result<Value, Failure> {
    let operator =
        Connection::open(&settings.api).await?.sign_in(&settings.email, &settings.password).await?;
    let mut figures = serde_json::Map::new();
    for (name, question) in [("list", page as Question), ("search", search as Question)] {
        ask(settings, (&operator, ids), question, (WARM_UP, 0)).await?;
        let (mut half, mut most) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            let times = ask(settings, (&operator, ids), question, (QUESTIONS, round)).await?;
            half.push(at(&times, 0.5));
            most.push(at(&times, 0.99));
        }
        figures.insert(format!("{name}_p50_ms"), json!(median(half)));
        figures.insert(format!("{name}_p99_ms"), json!(median(most)));
    }
    Ok(Value::Object(figures))
}

async fn ask(
    settings: &Settings,
    (operator, ids): (&str, &[Uuid]),
    question: Question,
    (count, round): (usize, usize),
) -> Result<Vec<Duration>, Failure> {
    let authorization = format!("Bearer {operator}");
    let headers = [("authorization", authorization.as_str())];
    let some = async |asker: usize| -> Result<Vec<Duration>, Failure> {
        let mut api = Connection::open(&settings.api).await?;
        let mut dice = Dice::new((round * AT_ONCE + asker) as u64);
        let mut times = Vec::with_capacity(count / AT_ONCE);
        for _ in 0..count / AT_ONCE {
            let path = question(&mut dice, ids);
            let begun = Instant::now();
            let (status, _) = api.call(Method::GET, &path, &headers, Bytes::new()).await?;
            times.push(begun.elapsed());
            if !status.is_success() {
                return Err(format!("{path} was answered {status}").into());
            }
        }
        Ok(times)
    };
    Ok(try_join_all((0..AT_ONCE).map(some)).await?.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_question_is_asked() {
        let mut dice = Dice::new(1);
        let asked: Vec<String> = (0..200).map(|_| search(&mut dice, &[Uuid::nil(); 50])).collect();
        for part in ["?q=dle-", "?slug=idle-", "status=suspended", "limit=50", "nobody"] {
            assert!(asked.iter().any(|path| path.contains(part)), "{part}: {asked:?}");
        }
        let pages: Vec<String> = (0..50).map(|_| page(&mut dice, &[Uuid::nil(); 50])).collect();
        assert!(pages.iter().all(|path| path.contains("&cursor=")), "{pages:?}");
        assert!(pages.iter().any(|path| path.contains("plan=trial")), "{pages:?}");
    }
}
