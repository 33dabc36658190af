//! Room `identity`: staying signed in.

use crate::house::{House, PASSWORD};

const REFUSED: u16 = 401;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

async fn house_with_pair() -> (House, crate::house::Pair) {
    let house = House::build().await;
    house.tenant("acme").await;
    let pair = house.sign_in("owner@acme.example", PASSWORD).await;
    (house, pair)
}

#[tokio::test]
async fn each_refresh_gives_a_new_pair_of_the_same_session() {
    let (house, mut pair) = house_with_pair().await;
    let session = pair.session.clone();
    for _ in 0..3 {
        let next = house.refresh(&pair.refresh).await;
        assert_ne!(next.refresh, pair.refresh);
        assert!(house.lets_in(&next.access).await);
        pair = next;
    }
    assert_eq!(pair.session, session);
}

#[tokio::test]
async fn a_token_that_comes_back_after_its_pair_was_used_ends_the_session() {
    let (house, first) = house_with_pair().await;
    let second = house.refresh(&first.refresh).await;
    assert!(house.lets_in(&second.access).await);
    let reused = house.try_refresh(&first.refresh).await;
    assert_eq!(reused.refusal(), (REFUSED, "auth.invalid_refresh_token".to_owned()));
    assert!(!house.lets_in(&second.access).await);
    assert_eq!(house.try_refresh(&second.refresh).await.refusal().0, REFUSED);
    let audited = "select count(*) from platform_audit_records
        where action = 'session.ended' and detail->>'reason' = 'reuse'";
    assert_eq!(house.count(audited).await, 1);
}

#[tokio::test]
async fn a_refreshed_pair_counts_as_used_by_its_refresh_token_too() {
    let (house, first) = house_with_pair().await;
    let second = house.refresh(&first.refresh).await;
    let third = house.refresh(&second.refresh).await;
    assert_eq!(house.try_refresh(&first.refresh).await.refusal().0, REFUSED);
    assert_eq!(house.try_refresh(&third.refresh).await.refusal().0, REFUSED);
}

#[tokio::test]
async fn a_client_that_lost_the_answer_may_ask_again() {
    let (house, first) = house_with_pair().await;
    house.lets_in(&first.access).await;
    let lost = house.refresh(&first.refresh).await;
    let again = house.refresh(&first.refresh).await;
    assert!(house.lets_in(&again.access).await);
    let next = house.refresh(&again.refresh).await;
    assert!(house.lets_in(&next.access).await);
    assert_eq!(house.try_refresh(&lost.refresh).await.refusal().0, REFUSED);
    assert!(!house.lets_in(&next.access).await, "two hold the session, so it ended");
}

#[tokio::test]
async fn use_of_the_access_token_at_another_process_counts_within_a_tick() {
    let (house, first) = house_with_pair().await;
    let second = house.refresh(&first.refresh).await;
    let other = house.second_process().await;
    assert!(other.lets_in(&second.access).await);
    other.deps.tick().await.expect("the database is there");
    assert_eq!(house.try_refresh(&first.refresh).await.refusal().0, REFUSED);
    assert_eq!(house.try_refresh(&second.refresh).await.refusal().0, REFUSED);
}

#[tokio::test]
async fn of_two_refreshes_at_once_none_is_taken_for_theft() {
    let (house, first) = house_with_pair().await;
    let both = tokio::join!(house.try_refresh(&first.refresh), house.try_refresh(&first.refresh));
    assert_eq!((both.0.status.as_u16(), both.1.status.as_u16()), (200, 200));
    let alive =
        "select count(*) from refresh_tokens where spent_at is null and superseded_at is null";
    assert_eq!(house.count(alive).await, 1, "one of the two pairs goes on");
}

#[tokio::test]
async fn an_idle_session_ends_and_a_busy_one_ends_too_in_the_end() {
    let (house, mut pair) = house_with_pair().await;
    let idle = house.sign_in("owner@acme.example", PASSWORD).await;
    for _ in 0..6 {
        house.clock.advance_ms(13 * DAY_MS);
        pair = house.refresh(&pair.refresh).await;
    }
    assert_eq!(house.try_refresh(&idle.refresh).await.refusal().0, REFUSED);
    house.clock.advance_ms(13 * DAY_MS);
    assert_eq!(house.try_refresh(&pair.refresh).await.refusal().0, REFUSED, "91 days");
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused_alike() {
    let (house, pair) = house_with_pair().await;
    let unknown = house.try_refresh(&format!("mbr_{}", "A".repeat(43))).await;
    let malformed = house.try_refresh("' or 1=1 --").await;
    let access = house.try_refresh(&pair.access[..200]).await;
    assert_eq!(unknown.refusal(), (REFUSED, "auth.invalid_refresh_token".to_owned()));
    assert_eq!(unknown.without_instance(), malformed.without_instance());
    assert_eq!(unknown.without_instance(), access.without_instance());
    assert!(!house.lets_in(&pair.refresh).await, "a refresh token is no access token");
}

#[tokio::test]
async fn nothing_that_could_be_used_is_in_the_database() {
    let (house, pair) = house_with_pair().await;
    let body = serde_json::json!({"name": "shop", "role": "agent"});
    let key = house.post("/v1/api-keys", &pair.access, body).await.text("secret");
    for (table, secret) in [
        ("refresh_tokens", pair.refresh.trim_start_matches("mbr_")),
        ("api_key_routes", &key[34..]),
        ("credentials", PASSWORD),
    ] {
        let sql = format!("select count(*) from {table} t where t::text like '%{secret}%'");
        assert_eq!(house.count(&sql).await, 0, "{table}");
    }
}
