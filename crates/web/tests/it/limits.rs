//! Room `web`: rate limits, on a clock that is turned by hand.

use http::Method;
use insta::assert_snapshot;
use misy_web::Config;
use misy_web::rates::{Allowance, Allowances, Quota};

use crate::kit::{Admin, Agent, Anonymous, Guesser, OtherAdmin, TestApp};

fn app() -> TestApp {
    let quota = |requests, window_s| Quota { requests, window_s };
    let rates = Allowances {
        read: Allowance { each: quota(2, 10), tenant: quota(3, 10) },
        bad_credentials: quota(2, 60),
        ..Allowances::default()
    };
    TestApp::with(Config { rates, trusted_proxies: 1, ..Config::default() })
}

async fn read<U: crate::kit::User>(app: &TestApp) -> u16 {
    app.get::<U>("/v1/auth/me").await.status.as_u16()
}

#[tokio::test]
async fn every_answer_tells_what_is_left() {
    let answer = app().get::<Admin>("/v1/auth/me").await;
    assert_eq!(answer.header("ratelimit-policy"), "\"credential\";q=2;w=10, \"tenant\";q=3;w=10");
    assert_eq!(answer.header("ratelimit"), "\"credential\";r=1;t=5, \"tenant\";r=2;t=4");
    let anonymous = app().get::<Anonymous>("/v1/auth/me").await;
    assert_eq!(anonymous.header("ratelimit-policy"), "\"address\";q=2;w=10");
    assert_eq!(app().get::<Anonymous>("/healthz").await.header("ratelimit"), "");
}

#[tokio::test]
async fn one_too_many_is_429_and_says_how_long_to_wait() {
    let app = app();
    assert_eq!((read::<Admin>(&app).await, read::<Admin>(&app).await), (200, 200));
    let refused = app.get::<Admin>("/v1/auth/me").await;
    assert_snapshot!(refused, @r#"
    429 application/problem+json
    {
      "type": "/docs/errors#request.rate_limited",
      "title": "Too many requests",
      "status": 429,
      "detail": "The limit of each credential is 2 requests in 10 s. Wait 5 s.",
      "code": "request.rate_limited"
    }
    "#);
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(refused.header("ratelimit"), "\"credential\";r=0;t=5");
    app.clock.advance_ms(4_999);
    assert_eq!(read::<Admin>(&app).await, 429);
    app.clock.advance_ms(1);
    assert_eq!(read::<Admin>(&app).await, 200);
}

#[tokio::test]
async fn a_tenants_people_share_its_bucket_and_no_other_tenant_feels_it() {
    let app = app();
    assert_eq!((read::<Admin>(&app).await, read::<Admin>(&app).await), (200, 200));
    assert_eq!((read::<Agent>(&app).await, read::<Agent>(&app).await), (200, 429));
    assert_eq!((read::<OtherAdmin>(&app).await, read::<OtherAdmin>(&app).await), (200, 200));
}

#[tokio::test]
async fn a_refused_request_costs_nothing() {
    let app = app();
    for _ in 0..50 {
        read::<Admin>(&app).await;
    }
    app.clock.advance_ms(10_000);
    assert_eq!((read::<Admin>(&app).await, read::<Admin>(&app).await), (200, 200));
}

#[tokio::test]
async fn a_clock_set_back_shuts_nobody_out() {
    let app = app();
    assert_eq!((read::<Admin>(&app).await, read::<Admin>(&app).await), (200, 200));
    app.clock.advance_ms(-86_400_000);
    assert_eq!(read::<Admin>(&app).await, 200);
}

async fn guess(app: &TestApp, address: &str) -> u16 {
    let sent = [("x-forwarded-for", address)];
    app.send::<Guesser>(Method::POST, "/v1/notes", &sent, "").await.status.as_u16()
}

#[tokio::test]
async fn guessing_credentials_is_cut_short_for_its_address_alone() {
    let app = app();
    assert_eq!((guess(&app, "203.0.113.7").await, guess(&app, "203.0.113.7").await), (401, 401));
    assert_eq!(guess(&app, "203.0.113.7").await, 429);
    assert_eq!(guess(&app, "203.0.113.8").await, 401);
}

#[tokio::test]
async fn an_invented_hop_changes_no_address() {
    let app = app();
    guess(&app, "1.1.1.1, 203.0.113.7").await;
    guess(&app, "2.2.2.2, 203.0.113.7").await;
    assert_eq!(guess(&app, "3.3.3.3, 203.0.113.7").await, 429);
}

#[tokio::test]
async fn a_whole_ipv6_network_counts_as_one() {
    let app = app();
    guess(&app, "2001:db8:1:1::1").await;
    guess(&app, "2001:db8:1:1::2").await;
    assert_eq!(guess(&app, "2001:db8:1:1:ffff::3").await, 429);
    assert_eq!(guess(&app, "2001:db8:1:2::1").await, 401);
}

#[test]
fn a_limit_of_nothing_is_a_fault_of_the_configuration() {
    let mut config = Config { timeout_ms: 0, ..Config::default() };
    assert!(Config::default().validate().is_ok());
    config.rates.hook.tenant.window_s = 0;
    let faults = config.validate().expect_err("two faults");
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/timeout_ms", "/rates/hook/tenant/window_s"]);
}
