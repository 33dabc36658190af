//! Room `tenancy`: making, reading, changing and stopping tenants over HTTP.

use futures_util::future::{join, join_all};
use http::{Method, StatusCode};
use serde_json::json;

use crate::house::{Admin, Agent, House, Operator, OtherOperator, wanted};

#[tokio::test]
async fn a_new_tenant_works_at_once_and_reads_back() {
    let house = House::build().await;
    let made = house.post(&Operator, "/v1/tenants", wanted("acme")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!((made.text("slug"), made.text("status")), ("acme", "active"));
    assert_eq!((made.text("locale"), made.text("time_zone")), ("en", "UTC"));
    assert!(made.text("site_id").starts_with("site_"));
    let path = format!("/v1/tenants/{}", made.id());
    let read = house.get(&Operator, &path).await;
    assert_eq!((&read.body, &read.etag), (&made.body, &made.etag));
    let own = house.get(&Agent(made.id()), "/v1/tenant").await;
    assert_eq!(own.body, made.body);
    let seeds = house.second.seeds.lock().expect("no panic");
    let owner = &seeds[0].owner;
    assert_eq!(owner.email.0, "ann@acme.example");
    assert_eq!(owner.password.as_ref().map(misy_core::Secret::expose), Some("a wise old owl"));
}

#[tokio::test]
async fn every_fault_of_a_new_tenant_is_told_at_once() {
    let house = House::build().await;
    let body = json!({
        "slug": "admin",
        "name": "",
        "owner": {"email": "nobody", "name": "A\u{0}", "nickname": "Al"},
        "locale": "klingon",
        "time_zone": "Mars/Olympus",
        "business": {"vat": "\u{0}"},
        "allowed_origins": ["https://ok.example", "ok.example"],
        "plan": 5,
    });
    let answer = house.post(&Operator, "/v1/tenants", body).await;
    assert_eq!(answer.refusal(), (422, "request.invalid"));
    let everything = [
        "/allowed_origins/1",
        "/business",
        "/locale",
        "/name",
        "/owner/email",
        "/owner/name",
        "/owner/nickname",
        "/plan",
        "/slug",
        "/time_zone",
    ];
    assert_eq!(answer.pointers(), everything, "{}", answer.body);
    assert_eq!(house.count("select count(*) from tenants").await, 0);
}

#[tokio::test]
async fn a_plan_that_does_not_exist_is_refused() {
    let house = House::build().await;
    let mut body = wanted("acme");
    body["plan"] = json!("golden");
    let answer = house.post(&Operator, "/v1/tenants", body).await;
    assert_eq!((answer.refusal(), answer.pointers()), ((422, "request.invalid"), vec!["/plan"]));
}

#[tokio::test]
async fn a_slug_is_given_once() {
    let house = House::build().await;
    let (one, other) = (wanted("acme"), wanted("acme"));
    let (one, other) = join(
        house.post(&Operator, "/v1/tenants", one),
        house.post(&OtherOperator, "/v1/tenants", other),
    )
    .await;
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    let late = house.post(&Operator, "/v1/tenants", wanted("acme")).await;
    assert_eq!(late.refusal(), (409, "request.conflict"));
    assert_eq!(house.count("select count(*) from tenants").await, 1);
}

#[tokio::test]
async fn the_same_key_makes_one_tenant_and_gives_its_answer_again() {
    let house = House::build().await;
    let key = [("idempotency-key", "k1")];
    let create = |body| house.send(&Operator, Method::POST, "/v1/tenants", &key, Some(body));
    let first = create(wanted("acme")).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    let again = create(wanted("acme")).await;
    assert!(again.replayed);
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(create(wanted("other")).await.refusal(), (422, "idempotency.mismatch"));
    assert_eq!(house.count("select count(*) from tenants").await, 1);
}

#[tokio::test]
async fn a_hundred_requests_at_once_with_one_key_make_one_tenant() {
    let house = House::build().await;
    let key = [("idempotency-key", "k1")];
    let create = |_| house.send(&Operator, Method::POST, "/v1/tenants", &key, Some(wanted("acme")));
    let answers = join_all((0..100).map(create)).await;
    let made: Vec<_> = answers.iter().filter(|one| one.status == StatusCode::CREATED).collect();
    assert!(made.iter().all(|one| one.body == made[0].body));
    assert_eq!(made.iter().filter(|one| !one.replayed).count(), 1);
    let waiting = answers.iter().filter(|one| one.status != StatusCode::CREATED);
    waiting.for_each(|one| assert_eq!(one.refusal(), (409, "idempotency.in_flight")));
    assert_eq!(house.count("select count(*) from tenants").await, 1);
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let house = House::build().await;
    for slug in ["one", "two", "three"] {
        house.tenant(slug).await;
    }
    let page = house.get(&Operator, "/v1/tenants?limit=2").await;
    assert_eq!(page.column("slug"), ["one", "two"]);
    let next = format!("/v1/tenants?limit=2&cursor={}", page.text("next_cursor"));
    let rest = house.get(&Operator, &next).await;
    assert_eq!((rest.column("slug"), rest.body["next_cursor"].is_null()), (vec!["three"], true));
    let found = house.get(&Operator, "/v1/tenants?slug=two&plan=trial&status=active").await;
    assert_eq!(found.column("slug"), ["two"]);
    let none = house.get(&Operator, "/v1/tenants?status=suspended").await;
    assert!(none.column("slug").is_empty());
    let strange = house.get(&Operator, "/v1/tenants?status=sleepy").await;
    assert_eq!((strange.status.as_u16(), strange.pointers()), (422, vec!["status"]));
    let unknown = house.get(&Operator, "/v1/tenants?colour=red").await;
    assert_eq!(unknown.refusal(), (400, "request.unknown_parameter"));
    let hostile = house.get(&Operator, "/v1/tenants?plan=%00&slug=%00").await;
    assert_eq!(hostile.pointers(), ["plan", "slug"]);
}

#[tokio::test]
async fn a_tenant_is_found_by_any_part_of_its_names() {
    let house = House::build().await;
    for (slug, name) in [("north", "Zoë & Söhne"), ("south", "abcab"), ("east", "ZO_ Partner")] {
        let mut new = wanted(slug);
        new["name"] = json!(name);
        assert_eq!(house.post(&Operator, "/v1/tenants", new).await.status, 201);
    }
    let find = async |query: &str| {
        let found = house.get(&Operator, &format!("/v1/tenants?{query}")).await;
        found.column("slug").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(find("q=zo%C3%AB%20%26%20S").await, ["north"], "capitals or not, spaces too");
    assert_eq!(find("q=%C3%B6").await, ["north"], "one character is enough");
    assert_eq!(find("q=th").await, ["north", "south"]);
    assert_eq!(find("q=zo_").await, ["east"], "nothing stands for anything else");
    assert_eq!(find("q=bcabc").await, Vec::<&str>::new(), "every run of it is there, it is not");
    assert_eq!(find("q=th&slug=south").await, ["south"]);
    assert_eq!(find("q=th&status=suspended").await, Vec::<&str>::new());
    assert_eq!(find("q=th&plan=trial&limit=1").await, ["north"]);
    let one = house.get(&Operator, "/v1/tenants?q=th&limit=1").await;
    let next = format!("q=th&limit=1&cursor={}", one.text("next_cursor"));
    assert_eq!(find(&next).await, ["south"]);
    let whole = house.get(&Operator, "/v1/tenants?slug=east").await;
    let site = whole.body["data"][0]["site_id"].as_str().expect("a site").to_uppercase();
    assert_eq!(find(&format!("q={}", &site[5..])).await, ["east"]);
    assert_eq!(find("plan=trial&status=active").await, ["north", "south", "east"]);
    assert_eq!(find("plan=unlimited").await, Vec::<&str>::new());
    let gone = house.tenant("west").await;
    house.suspend(gone).await;
    assert_eq!(find("status=suspended").await, ["west"]);
    assert_eq!(find("slug=west&status=active").await, Vec::<&str>::new());
    assert_eq!(find("slug=west&plan=trial").await, ["west"]);
}

#[tokio::test]
async fn a_stale_change_is_refused() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let path = format!("/v1/tenants/{tenant}");
    let seen = house.get(&Operator, &path).await.etag;
    let change = |etag: &str, name: &str| {
        let headers = [("if-match".to_owned(), etag.to_owned())];
        let (house, path, name) = (&house, &path, name.to_owned());
        async move {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let body = Some(json!({"name": name}));
            house.send(&Operator, Method::PATCH, path, &headers, body).await
        }
    };
    let changed = change(&seen, "Acme AG").await;
    assert_eq!((changed.status, changed.text("name")), (StatusCode::OK, "Acme AG"));
    assert_eq!(change(&seen, "Acme KG").await.refusal(), (412, "request.stale"));
    assert_eq!(change(&changed.etag, "Acme SE").await.status, StatusCode::OK);
    assert_eq!(change("Acme", "x").await.refusal(), (400, "request.malformed"));
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let before = house.get(&Admin(tenant), "/v1/tenant").await;
    let body = json!({"time_zone": "Europe/Berlin", "business": {"vat": "DE1"},
        "allowed_origins": ["https://acme.example"]});
    let after = house.patch(&Admin(tenant), "/v1/tenant", body.clone()).await;
    assert_eq!(after.status, StatusCode::OK, "{}", after.body);
    for (name, value) in body.as_object().expect("an object") {
        assert_eq!(&after.body[name], value);
    }
    assert_eq!(after.body["name"], before.body["name"]);
    assert_ne!(after.etag, before.etag);
    let bad =
        json!({"time_zone": "Nowhere", "allowed_origins": ["x"], "slug": "b", "plan": "unlimited"});
    let refused = house.patch(&Admin(tenant), "/v1/tenant", bad).await;
    assert_eq!(refused.pointers(), ["/allowed_origins/0", "/plan", "/slug", "/time_zone"]);
    let by_operator = json!({"locale": "?", "plan": "golden!", "slug": "b"});
    let refused = house.patch(&Operator, &format!("/v1/tenants/{tenant}"), by_operator).await;
    assert_eq!(refused.pointers(), ["/locale", "/plan", "/slug"]);
}

#[tokio::test]
async fn an_agent_reads_the_tenant_and_does_not_change_it() {
    let house = House::build().await;
    let agent = Agent(house.tenant("acme").await);
    let refused = house.patch(&agent, "/v1/tenant", json!({"name": "Mine"})).await;
    assert_eq!(refused.refusal(), (403, "auth.permission_denied"));
    assert_eq!(house.get(&agent, "/v1/tenant").await.text("name"), "Acme GmbH");
}

#[tokio::test]
async fn operators_and_tenants_have_routes_of_their_own() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let one = format!("/v1/tenants/{tenant}");
    let quotas = format!("{one}/quotas");
    let denied = (403, "auth.permission_denied");
    for path in ["/v1/tenants", &one, &quotas] {
        assert_eq!(house.get(&Admin(tenant), path).await.refusal(), denied, "{path}");
    }
    let made = house.post(&Admin(tenant), "/v1/tenants", wanted("mine")).await;
    assert_eq!(made.refusal(), denied);
    let changed = house.patch(&Admin(tenant), &one, json!({"plan": "unlimited"})).await;
    assert_eq!(changed.refusal(), denied);
    let of_none = (403, "context.missing_tenant");
    for path in ["/v1/tenant", "/v1/audit/records"] {
        assert_eq!(house.get(&Operator, path).await.refusal(), of_none, "{path}");
    }
}

#[tokio::test]
async fn a_tenant_that_does_not_exist_is_not_found() {
    let house = House::build().await;
    for id in ["ten_00000000000000000000000001", "usr_00000000000000000000000001", "acme"] {
        let path = format!("/v1/tenants/{id}");
        assert_eq!(house.get(&Operator, &path).await.refusal(), (404, "request.not_found"));
        let patched = house.patch(&Operator, &path, json!({"name": "x"})).await;
        assert_eq!(patched.refusal(), (404, "request.not_found"));
    }
}

#[tokio::test]
async fn only_steps_that_lead_somewhere_can_be_taken() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    assert_eq!(house.activate(tenant).await.refusal(), (409, "request.conflict"));
    let stopped = house.suspend(tenant).await;
    assert_eq!((stopped.text("status"), stopped.text("status_reason")), ("suspended", "billing"));
    assert_eq!(house.suspend(tenant).await.refusal(), (409, "request.conflict"));
    let active = house.activate(tenant).await;
    assert_eq!(active.text("status"), "active");
    assert!(active.body["status_reason"].is_null());
}
