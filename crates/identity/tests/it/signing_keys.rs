//! Room `identity`: which tokens are believed, and how keys change without anybody noticing.

use http::StatusCode;
use misy_core::crypto::{self, Key};
use misy_identity::tokens::Sealer;
use misy_identity::{Config, Deps};
use misy_testkit::platform_ctx;
use serde_json::{Value, json};

use crate::house::{House, PASSWORD, as_client, generous};

fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| crypto::from_base64url(part).expect("base64url"));
    let mut next = || serde_json::from_slice(&parts.next().expect("a part")).expect("JSON");
    (next(), next())
}

async fn kids(house: &House) -> Vec<String> {
    let set = house.send("GET", "/.well-known/jwks.json", None, None).await.json();
    let keys = set["keys"].as_array().expect("a set").clone();
    for key in &keys {
        assert_eq!((key["kty"].as_str(), key["crv"].as_str()), (Some("OKP"), Some("Ed25519")));
        assert!(key.get("d").is_none(), "the private half is nobody's");
    }
    keys.iter().map(|key| key["kid"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn a_token_says_what_it_should_and_is_verified_by_the_published_key() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let pair = house.sign_in("owner@acme.example", PASSWORD).await;
    let (header, claims) = parts(&pair.access);
    assert_eq!(kids(&house).await, [header["kid"].as_str().expect("a name")]);
    assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("EdDSA"), Some("at+jwt")));
    assert_eq!(claims["tid"], json!(tenant));
    assert_eq!(claims["sid"], json!(pair.session));
    assert_eq!(claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(e, i)| e - i), Some(300));
    assert!(!pair.access.contains("acme.example"));
    assert!(claims.get("email").is_none() && claims.get("name").is_none());
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let access = house.sign_in("owner@acme.example", PASSWORD).await.access;
    let (mut header, mut claims) = parts(&access);
    let seal = |header: &Value, claims: &Value| {
        let part = |value: &Value| crypto::to_base64url(value.to_string().as_bytes());
        format!("{}.{}.", part(header), part(claims))
    };
    let signature = access.rsplit('.').next().expect("a signature");
    header["alg"] = json!("none");
    let none = seal(&header, &claims);
    header["alg"] = json!("EdDSA");
    claims["tid"] = json!(house.tenant("bolt").await);
    let other_tenant = format!("{}{signature}", seal(&header, &claims));
    claims["tid"] = json!(tenant);
    claims["exp"] = json!(9_999_999_999_i64);
    let forever = format!("{}{signature}", seal(&header, &claims));
    for token in [none, other_tenant, forever, format!("{access}x"), access.to_uppercase()] {
        assert_eq!(house.get("/v1/auth/me", &token).await.refusal().0, 401);
    }
    assert!(house.lets_in(&access).await);
}

#[tokio::test]
async fn a_token_of_another_installation_or_audience_is_refused() {
    let (house, other) = (House::build().await, House::elsewhere().await);
    for house in [&house, &other] {
        house.tenant("acme").await;
    }
    let access = other.owner("acme").await;
    assert!(!house.lets_in(&access).await, "another installation's key");
    let elsewhere = Config { audience: "elsewhere".to_owned(), ..generous() };
    let root = Key::new([5; 32]);
    let same_keys = Deps::open(house.db.clone(), &root, platform_ctx(), elsewhere);
    let bearers = misy_identity::Bearers(std::sync::Arc::new(same_keys.await.expect("opens")));
    let access = misy_core::Secret::new(house.owner("acme").await);
    let peer = misy_web::Peer::UNKNOWN;
    let refused = misy_web::Authenticator::authenticate(&bearers, &access, peer).await;
    assert!(matches!(refused, Err(misy_web::AuthError::Invalid)));
}

#[tokio::test]
async fn keys_rotate_and_nobody_signs_in_again() {
    let house = House::build().await;
    house.tenant("acme").await;
    let before = house.sign_in("owner@acme.example", PASSWORD).await;
    house.deps.keys().rotate(&platform_ctx()).await.expect("rotates");
    let published = kids(&house).await;
    assert_eq!(published.len(), 2, "the new key is published before it signs");
    let kid = |access: &str| parts(access).0["kid"].as_str().expect("a name").to_owned();
    let meanwhile = house.refresh(&before.refresh).await;
    assert_eq!(kid(&meanwhile.access), kid(&before.access));
    house.clock.advance_ms(61_000);
    let after = house.refresh(&meanwhile.refresh).await;
    assert_ne!(kid(&after.access), kid(&before.access));
    assert!(house.lets_in(&before.access).await && house.lets_in(&after.access).await);
    house.clock.advance_ms(3_600_000);
    house.deps.keys().reload().await.expect("reloads");
    assert_eq!(kids(&house).await.len(), 1, "the old key has gone with the last token it signed");
    house.refresh(&after.refresh).await;
}

#[tokio::test]
async fn another_process_learns_of_a_new_key_from_the_first_token_it_meets() {
    let house = House::build().await;
    house.tenant("acme").await;
    let other = house.second_process().await;
    house.deps.keys().rotate(&platform_ctx()).await.expect("rotates");
    house.clock.advance_ms(61_000);
    let access = house.owner("acme").await;
    assert!(other.lets_in(&access).await);
}

#[tokio::test]
async fn two_first_starts_agree_on_one_key_and_another_root_key_is_refused() {
    let house = House::build().await;
    let other = house.second_process().await;
    assert_eq!(kids(&house).await, kids(&other).await);
    assert_eq!(house.count("select count(*) from signing_keys").await, 1);
    let wrong = Key::new([6; 32]);
    let opened = Deps::open(house.db.clone(), &wrong, platform_ctx(), generous()).await;
    assert!(matches!(opened, Err(misy_identity::Error::SigningKey(_))));
}

#[tokio::test]
async fn the_private_half_is_not_in_the_database() {
    let house = House::build().await;
    let sql = "select id, public_key, sealed_seed from signing_keys";
    let superuser = house.database.superuser();
    let row = as_client(superuser, async |client| client.query_one(sql, &[]).await);
    let row = row.await.expect("a row");
    let (public, sealed): (Vec<u8>, Vec<u8>) = (row.get(1), row.get(2));
    for window in sealed.windows(32) {
        let guess = Sealer::new(row.get(0), window.try_into().expect("32 bytes"));
        assert_ne!(guess.public().0.to_vec(), public);
    }
}

#[tokio::test]
async fn the_set_is_public() {
    let house = House::build().await;
    let set = house.send("GET", "/.well-known/jwks.json", None, None).await;
    assert_eq!(set.status, StatusCode::OK);
}

#[tokio::test]
async fn keys_are_rotated_by_operators_only_and_that_is_audited() {
    let house = House::build().await;
    let nobody = misy_core::PlatformCtx::mint(
        misy_core::Actor::System,
        misy_core::Grants::NONE,
        platform_ctx().request().clone(),
        platform_ctx().trace(),
    );
    let denied = house.deps.keys().rotate(&nobody).await;
    assert!(matches!(denied, Err(misy_identity::Error::Denied(_))));
    house.deps.keys().rotate(&platform_ctx()).await.expect("rotates");
    let audited =
        "select count(*) from platform_audit_records where action = 'signing_key.created'";
    assert_eq!(house.count(audited).await, 2, "the first key and the new one");
}
