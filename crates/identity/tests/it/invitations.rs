//! Room `identity`: people are asked in and come with the link that they were sent.

use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, House, PASSWORD};

const ANA: &str = "ana@people.example";

fn body(role: &str) -> Value {
    json!({"email": ANA, "name": "Ana Roy", "role": role})
}

async fn accept(house: &House, link: &str, password: &str) -> Answer {
    let body = json!({"token": link, "password": password});
    house.send("POST", "/v1/auth/invitation", None, Some(body)).await
}

async fn house() -> (House, String) {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    (house, owner)
}

#[tokio::test]
async fn an_invited_person_chooses_a_password_and_is_in() {
    let (house, owner) = house().await;
    let made = house.post("/v1/invitations", &owner, body("agent")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!((made.text("state").as_str(), made.text("email").as_str()), ("waiting", ANA));
    assert!(!made.body.contains("mbl_"), "whoever invites need not read the mail");
    let link = house.link_to(ANA).await;
    let listed = house.get("/v1/invitations", &owner).await.json();
    assert_eq!(listed["data"][0]["id"], made.json()["id"]);
    assert_eq!(listed["data"][0]["state"], "sent");
    assert_eq!(house.try_sign_in(ANA, PASSWORD).await.refusal().0, 401, "not yet");
    let signed_in = accept(&house, &link, "misty birch canoe tax").await;
    assert_eq!(signed_in.status, StatusCode::OK, "{}", signed_in.body);
    assert_eq!(signed_in.text("tenant"), "acme");
    let me = house.get("/v1/auth/me", &signed_in.text("access_token")).await.json();
    assert_eq!((me["role"].as_str(), me["email_verified"].as_bool()), (Some("agent"), Some(true)));
    house.sign_in(ANA, "misty birch canoe tax").await;
    let open = house.get("/v1/invitations", &owner).await.json();
    assert_eq!(open["data"], json!([]));
    let audited = "select count(*) from audit_records where action = 'invitation.accepted'";
    assert_eq!(house.count(audited).await, 1);
}

#[tokio::test]
async fn a_link_opens_once_and_of_two_at_once_one() {
    let (house, owner) = house().await;
    house.post("/v1/invitations", &owner, body("agent")).await;
    let link = house.link_to(ANA).await;
    let (one, two) = tokio::join!(
        accept(&house, &link, "misty birch canoe tax"),
        accept(&house, &link, "another birch canoe tax"),
    );
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    let again = accept(&house, &link, "a third birch canoe tax").await;
    assert_eq!(again.refusal(), (401, "auth.invalid_link".to_owned()));
}

#[tokio::test]
async fn a_weak_password_does_not_use_the_link_up() {
    let (house, owner) = house().await;
    house.post("/v1/invitations", &owner, body("agent")).await;
    let link = house.link_to(ANA).await;
    for weak in ["short", "passwordpassword", ANA] {
        assert_eq!(accept(&house, &link, weak).await.refusal().0, 422, "{weak}");
    }
    assert_eq!(accept(&house, &link, "misty birch canoe tax").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_invitation_that_was_sent_again_withdrawn_or_is_late_opens_nothing() {
    let (house, owner) = house().await;
    let made = house.post("/v1/invitations", &owner, body("agent")).await;
    let path = format!("/v1/invitations/{}", made.text("id"));
    let first = house.link_to(ANA).await;
    let again = house.post(&format!("{path}/resend"), &owner, json!({})).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.body);
    let second = house.link_to(ANA).await;
    assert_ne!(first, second);
    assert_eq!(accept(&house, &first, "misty birch canoe tax").await.refusal().0, 401);
    house.clock.advance_ms(8 * 24 * 3_600 * 1_000);
    let owner = house.owner("acme").await;
    assert_eq!(accept(&house, &second, "misty birch canoe tax").await.refusal().0, 401, "late");
    let listed = house.get("/v1/invitations", &owner).await.json();
    assert_eq!(listed["data"][0]["state"], "expired");
    house.post(&format!("{path}/resend"), &owner, json!({})).await;
    let third = house.link_to(ANA).await;
    assert_eq!(house.delete(&path, &owner).await.status, StatusCode::NO_CONTENT);
    assert_eq!(accept(&house, &third, "misty birch canoe tax").await.refusal().0, 401);
    assert_eq!(house.delete(&path, &owner).await.refusal().0, 404);
    assert_eq!(house.count("select count(*) from users").await, 1, "the person went as well");
}

#[tokio::test]
async fn a_link_of_one_kind_or_installation_is_none_of_another() {
    let (house, owner) = house().await;
    house.post("/v1/invitations", &owner, body("agent")).await;
    let link = house.link_to(ANA).await;
    let recovery = json!({"token": link, "password": "misty birch canoe tax"});
    let path = "/v1/auth/recovery/complete";
    let other = house.send("POST", path, None, Some(recovery)).await;
    assert_eq!(other.refusal(), (401, "auth.invalid_link".to_owned()));
    let verification = house
        .send("POST", "/v1/auth/verification/complete", None, Some(json!({"token": link})))
        .await;
    assert_eq!(verification.refusal().0, 401);
    let changed = format!("{}A", &link[..link.len() - 1]);
    assert_ne!(changed, link);
    for bad in [&*changed, "mbl_", "", &link[4..]] {
        let answer = accept(&house, bad, "misty birch canoe tax").await;
        assert_eq!(answer.refusal().0, 401, "{bad}");
    }
}

#[tokio::test]
async fn nobody_invites_above_themselves_or_beyond_their_tenant() {
    let (house, owner) = house().await;
    house.tenant("bolt").await;
    let bolt = house.owner("bolt").await;
    let (_, admin) = house.person("acme", "admin").await;
    let (_, agent) = house.person("acme", "agent").await;
    assert_eq!(house.post("/v1/invitations", &admin, body("owner")).await.refusal().0, 403);
    assert_eq!(house.post("/v1/invitations", &agent, body("viewer")).await.refusal().0, 403);
    let made = house.post("/v1/invitations", &owner, body("owner")).await;
    let path = format!("/v1/invitations/{}", made.text("id"));
    assert_eq!(house.delete(&path, &admin).await.refusal().0, 403, "it is an owner's");
    let resend = format!("{path}/resend");
    assert_eq!(house.post(&resend, &admin, json!({})).await.refusal().0, 403);
    assert_eq!(house.delete(&path, &bolt).await.refusal().0, 404);
    assert_eq!(house.post(&resend, &bolt, json!({})).await.refusal().0, 404);
    assert_eq!(house.get("/v1/invitations", &bolt).await.json()["data"], json!([]));
}

#[tokio::test]
async fn an_invitation_leaves_the_same_person_elsewhere_alone_and_tells_nothing_of_them() {
    let (house, owner) = house().await;
    house.provision(&house.seed("bolt", ANA, Some(PASSWORD))).await;
    let known = house.post("/v1/invitations", &owner, body("agent")).await;
    let other = json!({"email": "bo@people.example", "name": "Bo", "role": "agent"});
    let unknown = house.post("/v1/invitations", &owner, other).await;
    assert_eq!((known.status, unknown.status), (StatusCode::CREATED, StatusCode::CREATED));
    let link = house.link_to(ANA).await;
    accept(&house, &link, "misty birch canoe tax").await;
    let signed_in = house.try_sign_in(ANA, PASSWORD).await;
    assert_eq!(signed_in.text("tenant"), "bolt", "the password there is what it was");
}

#[tokio::test]
async fn an_owner_of_a_new_tenant_without_a_password_gets_one_mail() {
    let house = House::build().await;
    let seed = house.seed("acme", ANA, None);
    house.provision(&seed).await;
    house.provision(&seed).await;
    let link = house.link_to(ANA).await;
    assert_eq!(house.mailbox.taken().len(), 1, "however often it is provisioned");
    let signed_in = accept(&house, &link, "misty birch canoe tax").await;
    let me = house.get("/v1/auth/me", &signed_in.text("access_token")).await;
    assert_eq!(me.text("role"), "owner");
}

#[tokio::test]
async fn a_mail_that_could_not_leave_leaves_later_with_the_same_link_and_none_is_in_the_queue() {
    let (house, owner) = house().await;
    house.mailbox.set_away(true);
    house.post("/v1/invitations", &owner, body("agent")).await;
    house.work().await;
    assert!(house.mailbox.taken().is_empty());
    let leaks = "select count(*) from jobs where payload::text ~ 'mbl_|people' or \
                 envelope::text ~ 'mbl_|people'";
    assert_eq!(house.count(leaks).await, 0);
    assert_eq!(house.count("select count(*) from jobs").await, 1);
    house.mailbox.set_away(false);
    house.clock.advance_ms(60_000);
    let link = house.link_to(ANA).await;
    assert_eq!(accept(&house, &link, "misty birch canoe tax").await.status, StatusCode::OK);
    let stored = format!("select count(*) from letters l where l::text like '%{}%'", &link[30..60]);
    assert_eq!(house.count(&stored).await, 0);
}

#[tokio::test]
async fn what_a_person_belongs_to_is_told_once_the_address_is_proved_to_be_theirs() {
    let (house, _) = house().await;
    house.provision(&house.seed("bolt", "owner@acme.example", Some("another wise owl"))).await;
    let acme = house.owner("acme").await;
    let me = house.get("/v1/auth/me", &acme).await.json();
    assert_eq!((&me["email_verified"], &me["memberships"]), (&json!(false), &json!([])));
    let asked = house.post("/v1/auth/verification", &acme, json!({})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{}", asked.body);
    let link = house.link_to("owner@acme.example").await;
    let body = json!({"token": link});
    let path = "/v1/auth/verification/complete";
    let done = house.send("POST", path, None, Some(body.clone())).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT, "{}", done.body);
    let again = house.send("POST", path, None, Some(body)).await;
    assert_eq!(again.refusal().0, 401, "once");
    let me = house.get("/v1/auth/me", &acme).await.json();
    let slugs: Vec<_> = me["memberships"].as_array().expect("a list").iter().collect();
    assert_eq!(slugs.len(), 2);
    assert_eq!((&slugs[0]["tenant"]["slug"], &slugs[0]["current"]), (&json!("acme"), &json!(true)));
    assert_eq!((&slugs[1]["tenant"]["slug"], &slugs[1]["role"]), (&json!("bolt"), &json!("owner")));
    let bolt = house.sign_in("owner@acme.example", "another wise owl").await;
    let me = house.get("/v1/auth/me", &bolt.access).await.json();
    assert_eq!(me["memberships"], json!([]), "whoever set that password is not told");
}

#[tokio::test]
async fn a_mail_carries_its_tenants_sender_and_page_once_the_domain_is_verified() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let brand = json!({
        "name": "Acme", "mail_sender_name": "Acme Desk",
        "mail_sender_address": "desk@acme.example", "app_url": "https://chat.acme.example",
    });
    let mut tx = house.db.platform(&misy_testkit::platform_ctx()).await.expect("a connection");
    let row = "
        insert into tenants (id, slug, site_id, name, status, plan, locale, time_zone, brand)
        values ($1, 'acme', 'site_acme', 'Acme', 'active', 'standard', 'en', 'UTC', $2)";
    let id = misy_core::id::TypedId::uuid(tenant);
    tx.execute(row, &[&id, &brand]).await.expect("the tenant");
    tx.commit().await.expect("commits");
    let invite = async |email: &str| {
        let new = json!({"email": email, "name": "x", "role": "agent"});
        house.post("/v1/invitations", &owner, new).await;
        house.link_to(email).await;
        house.mailbox.taken().pop().expect("a mail")
    };
    let before = invite("a@people.example").await;
    assert_eq!((before.from.address, before.from.name.as_deref()), (None, Some("Acme Desk")));
    assert!(!before.text.expose().contains("chat.acme.example"));
    let domain = house.post("/v1/domains", &owner, json!({"name": "acme.example"})).await;
    let record = domain.json()["record"].clone();
    let text = |field: &str| record[field].as_str().expect("text").to_owned();
    house.names.publish(&text("name"), &text("value"));
    let path = format!("/v1/domains/{}/verify", domain.text("id"));
    let verified = house.send("POST", &path, Some(&owner), None).await;
    assert_eq!(verified.status, StatusCode::OK, "{}", verified.body);
    let after = invite("b@people.example").await;
    assert_eq!(after.from.address.as_deref(), Some("desk@acme.example"));
    let page = "https://chat.acme.example/invitation#token=mbl_";
    assert!(after.text.expose().contains(page), "{}", after.text.expose());
    let other = house.tenant("bolt").await;
    assert_ne!(other, tenant);
    let theirs = house.owner("bolt").await;
    let new = json!({"email": "c@people.example", "name": "x", "role": "agent"});
    house.post("/v1/invitations", &theirs, new).await;
    house.link_to("c@people.example").await;
    let theirs = house.mailbox.taken().pop().expect("a mail");
    assert_eq!(theirs.from, misy_core::mail::From::default(), "each in its own name");
}
