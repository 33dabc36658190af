//! Room `conversation`: whatever fails and whenever the program dies, every message of a customer
//! is kept once and answered once, in order.

use std::collections::BTreeMap;

use misy_channel::FailureKind;
use misy_core::Entropy;
use misy_testkit::Seeded;
use serde_json::{Value, json};

use crate::house::{House, Shop};
use crate::paper::Act;

const CUSTOMERS: u64 = 3;
const QUESTIONS: usize = 8;

struct Dice(Seeded);

impl Dice {
    fn roll(&self, sides: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_be_bytes(bytes) % sides
    }

    fn act(&self) -> Act {
        match self.roll(9) {
            0 => Act::TakeAndHang,
            1 => Act::LoseAndHang,
            2 => Act::TakeAndLoseAnswer,
            3 => Act::fail(FailureKind::Throttled),
            4 => Act::fail(FailureKind::Transient),
            _ => Act::Take,
        }
    }
}

/// The provider's reports on everything that it took, some twice, in any order; it knows what we
/// gave it to carry along.
fn reports(house: &House, dice: &Dice) -> Vec<Value> {
    let mut reports = Vec::new();
    for message in house.paper.taken() {
        for status in ["sent", "delivered"] {
            let report = json!({ "kind": "status", "id": format!("out-{}", message.id),
                "ours": message.id, "status": status });
            reports.extend(std::iter::repeat_n(report, 1 + usize::from(dice.roll(4) == 0)));
        }
    }
    for at in (1..reports.len()).rev() {
        let other = dice.roll(at as u64 + 1);
        reports.swap(at, usize::try_from(other).expect("small"));
    }
    reports
}

async fn taught(house: &House) -> Shop {
    let shop = house.shop("one").await;
    for number in 0..QUESTIONS {
        let word = word(number);
        house.teach(&shop, "en", &format!("What is a {word}?"), &format!("Answer {word}")).await;
    }
    shop
}

fn word(number: usize) -> &'static str {
    ["bicycle", "tyre", "saddle", "pump", "chain", "brake", "pedal", "helmet"][number]
}

/// Plays one whole story that the seed decides: deliveries, repeated ones, deaths, reports. What
/// the provider reports is delivered within a minute, and taken in whenever the program lives.
async fn play(seed: u64) {
    let (house, dice) = (House::new().await, Dice(Seeded::new(seed)));
    let shop = taught(&house).await;
    for number in 0..QUESTIONS {
        for customer in 0..CUSTOMERS {
            let (id, from) = (format!("c{customer}m{number}"), format!("+49{customer}"));
            let text = format!("what is a {}?", word(number));
            let now = house.deps.ambient.now().to_string();
            let event =
                json!({ "kind": "message", "id": id, "from": from, "text": text, "at": now });
            for _ in 0..=dice.roll(3) / 2 {
                house.deliver(&shop, json!([event])).await.expect(200);
            }
        }
        house.paper.will([dice.act(), dice.act()]);
        house.run_or_die().await;
        if number % 2 == 0 || dice.roll(2) == 0 {
            house.deliver(&shop, json!(reports(&house, &dice))).await.expect(200);
        }
        house.later(i64::try_from(dice.roll(28)).expect("small"));
    }
    house.paper.forget_script();
    for _ in 0..80 {
        let all = reports(&house, &dice);
        house.deliver(&shop, json!(all)).await.expect(200);
        house.run_or_die().await;
        house.later(31);
    }
    check(&house, seed);
}

/// What the provider took of each customer is the answers to its questions, each once, in order.
fn check(house: &House, seed: u64) {
    let mut answers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in house.paper.taken() {
        let to = message.to.0[0].value.0.clone();
        let text = message.content.words().unwrap_or_default().to_owned();
        answers.entry(to).or_default().push(text);
    }
    let expected: Vec<String> =
        (0..QUESTIONS).map(|number| format!("Answer {}", word(number))).collect();
    assert_eq!(answers.len() as u64, CUSTOMERS, "seed {seed}");
    for (customer, given) in answers {
        assert_eq!(given, expected, "seed {seed}, customer {customer}");
    }
}

#[tokio::test]
async fn every_question_is_answered_once_and_in_order_story_one() {
    play(1).await;
}

#[tokio::test]
async fn every_question_is_answered_once_and_in_order_story_two() {
    play(2).await;
}

#[tokio::test]
async fn every_question_is_answered_once_and_in_order_story_three() {
    play(3).await;
}

#[tokio::test]
async fn every_question_is_answered_once_and_in_order_story_four() {
    play(4).await;
}
