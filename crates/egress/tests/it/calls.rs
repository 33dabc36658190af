//! What comes of one call.

use http::Method;
use misy_core::Secret;
use misy_egress::{Call, Config, Error};

use crate::peer::{Act, Peer, answer, egress, local, post, tenant};

#[tokio::test]
async fn an_answer_comes_back_whole() {
    let peer = Peer::new(answer(201, "X-Kind: a\r\n", "made")).await;
    let call = post(&peer.url).secret_header("authorization", "Bearer ", &Secret::new("token"));
    let answer = egress(local()).call(call.expect("a header")).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (201, &b"made"[..]));
    assert_eq!(answer.headers["x-kind"], "a");
    let heard = peer.heard().join("");
    assert!(
        heard.contains("authorization: Bearer token") && heard.ends_with(r#"{"hello":"world"}"#)
    );
    assert!(heard.contains("content-length: 17"), "a length is declared: {heard}");
}

#[tokio::test]
async fn an_error_status_is_an_answer_and_a_redirect_is_not_followed() {
    for status in [302, 400, 404] {
        let peer = Peer::new(answer(status, "Location: http://127.0.0.1:9/\r\n", "no")).await;
        let answer = egress(local()).call(post(&peer.url)).await.expect("an answer");
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(peer.heard().len(), 1);
    }
}

#[tokio::test]
async fn a_request_that_was_read_and_not_answered_has_an_unknown_outcome() {
    for act in [Act::Drop, Act::Hang] {
        let peer = Peer::new(act).await;
        let mut call = post(&peer.url);
        call.deadline_ms = Some(300);
        let outcome = egress(local()).call(call).await;
        assert!(matches!(outcome, Err(Error::Unknown(_))), "{outcome:?}");
        assert_eq!(peer.heard().len(), 1, "it is not repeated");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_an_unknown_outcome() {
    let torn = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_owned();
    let peer = Peer::new(Act::Answer(torn)).await;
    let outcome = egress(local()).call(post(&peer.url)).await;
    assert!(matches!(outcome, Err(Error::Unknown(_))), "{outcome:?}");
}

#[tokio::test]
async fn no_connection_means_certainly_not_sent() {
    let peer = Peer::new(Act::Drop).await;
    let url = peer.url.clone();
    drop(peer);
    tokio::task::yield_now().await;
    let outcome = egress(local()).call(post(&url)).await;
    assert!(matches!(outcome, Err(Error::NotSent(_))), "{outcome:?}");
    let nowhere = post("http://no-such-host.invalid/");
    let outcome = egress(local()).call(nowhere).await;
    assert!(matches!(outcome, Err(Error::NotSent(_))), "{outcome:?}");
}

#[tokio::test]
async fn tls_to_a_peer_that_speaks_none_is_certainly_not_sent() {
    let peer = Peer::new(answer(200, "", "plain")).await;
    let url = peer.url.replace("http://", "https://");
    let mut call = post(&url);
    call.deadline_ms = Some(300);
    let outcome = egress(local()).call(call).await;
    assert!(matches!(outcome, Err(Error::NotSent(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_connection_that_never_stands_is_certainly_not_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("https://{}/", listener.local_addr().expect("bound"));
    let mut call = post(&url);
    call.deadline_ms = Some(300);
    let outcome = egress(local()).call(call).await;
    assert!(matches!(outcome, Err(Error::NotSent(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_read_on() {
    let declared = answer(200, "", &"x".repeat(5_000));
    let chunked = Act::Answer(format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "100\r\n".to_owned() + &"y".repeat(256) + "\r\n" + "1000\r\n" + &"y".repeat(4096)
    ));
    for act in [declared, chunked] {
        let peer = Peer::new(act).await;
        let mut call = post(&peer.url);
        call.max_body_bytes = Some(1_000);
        let outcome = egress(local()).call(call).await;
        let expected = Error::TooLarge { limit_bytes: 1_000, status: 200 };
        assert_eq!(outcome.map(|answer| answer.status), Err(expected));
    }
}

#[tokio::test]
async fn a_private_host_needs_both_the_operators_and_the_callers_word() {
    let peer = Peer::new(answer(200, "", "")).await;
    let operator_says_no = egress(Config::default()).call(post(&peer.url)).await;
    assert!(matches!(operator_says_no, Err(Error::Refused(_))));
    let mut from_data = post(&peer.url);
    from_data.private_hosts_allowed = false;
    let caller_says_no = egress(local()).call(from_data).await;
    assert!(matches!(caller_says_no, Err(Error::Refused(_))));
    assert_eq!(peer.heard().len(), 0);
}

/// The name passes the first check; the resolver that the connector uses refuses its address.
#[tokio::test]
async fn a_name_that_resolves_to_an_inner_address_is_refused() {
    let call =
        Call::new(tenant(1), "cha_1", Method::GET, "https://localhost:9/", "/").expect("a URL");
    let outcome = egress(Config::default()).call(call).await;
    assert!(matches!(outcome, Err(Error::Refused(_))), "{outcome:?}");
}
