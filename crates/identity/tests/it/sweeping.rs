//! Room `identity`: what is over is removed.

use std::sync::Arc;

use misy_identity::sessions::Sweep;
use misy_jobs::{PlatformJob, Registry};
use misy_testkit::platform_ctx;

use crate::house::{House, PASSWORD};

const DAY_MS: i64 = 24 * 3_600 * 1_000;

#[tokio::test]
async fn the_sweep_removes_what_is_over_and_nothing_else() {
    let house = House::build().await;
    house.tenant("acme").await;
    let (id, _) = house.person("acme", "agent").await;
    let owner = house.owner("acme").await;
    house.delete(&format!("/v1/users/{id}"), &owner).await;
    house.clock.advance_ms(20 * DAY_MS);
    let kept = house.sign_in("owner@acme.example", PASSWORD).await;
    let next = house.refresh(&kept.refresh).await;
    Sweep {}.run(platform_ctx(), Arc::clone(&house.deps)).await.expect("sweeps");
    for (table, expected) in [("sessions", 1), ("refresh_tokens", 2), ("accounts", 1), ("users", 1)]
    {
        assert_eq!(
            house.count(&format!("select count(*) from {table}")).await,
            expected,
            "{table}"
        );
    }
    house.refresh(&next.refresh).await;
}

#[tokio::test]
async fn every_job_is_registered_under_its_name() {
    let house = House::build().await;
    let registry = misy_identity::jobs(Registry::new(), &Arc::clone(&house.deps));
    let expected = [
        "identity.domains.recheck",
        "identity.domains.watch",
        "identity.letters.send",
        "identity.letters.send_across",
        "identity.letters.tell",
        "identity.sessions.sweep",
    ];
    assert_eq!(registry.names(), expected);
}

#[tokio::test]
async fn the_sweep_forgets_no_revocation_that_a_living_token_could_be_below() {
    let house = House::build().await;
    house.tenant("acme").await;
    let access = house.owner("acme").await;
    house.send("POST", "/v1/auth/logout", Some(&access), None).await;
    Sweep {}.run(platform_ctx(), Arc::clone(&house.deps)).await.expect("sweeps");
    let other = house.second_process().await;
    assert!(!other.lets_in(&access).await);
    house.alter("update revocations set created_at = '2026-03-01T11:53:00Z'").await;
    Sweep {}.run(platform_ctx(), Arc::clone(&house.deps)).await.expect("sweeps");
    assert_eq!(house.count("select count(*) from revocations").await, 0);
}

#[tokio::test]
async fn letters_and_challenges_that_are_over_go_and_an_invitation_stays() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let invited = serde_json::json!({"email": "ana@b.example", "name": "Ana", "role": "agent"});
    house.post("/v1/invitations", &owner, invited).await;
    let ask = || serde_json::json!({"email": "owner@acme.example"});
    house.send("POST", "/v1/auth/recovery", None, Some(ask())).await;
    let challenge = "insert into sign_in_challenges (hash, account_id, realm, expires_at)
        select 'x', id, id, '2000-01-01' from accounts limit 1";
    house.alter(challenge).await;
    house.clock.advance_ms(3 * DAY_MS);
    house.send("POST", "/v1/auth/recovery", None, Some(ask())).await;
    Sweep {}.run(platform_ctx(), Arc::clone(&house.deps)).await.expect("sweeps");
    let kinds = [("invitation", 1), ("recovery", 1)];
    for (kind, expected) in kinds {
        let left = format!("select count(*) from letters where kind = '{kind}'");
        assert_eq!(house.count(&left).await, expected, "{kind}");
    }
    assert_eq!(house.count("select count(*) from sign_in_challenges").await, 0);
}
