//! Room `egress`: mails to a server that really speaks SMTP.

use misy_core::{Mail, MailError, Mailer, Personal, Secret, Timestamp};
use misy_egress::mail::{MailConfig, Mode, Smtp, Tls, mailer};
use misy_testkit::mail::{Manner, SmtpSink};
use uuid::Uuid;

fn mail() -> Mail {
    Mail {
        id: Uuid::from_u128(7),
        tenant: None,
        to: Personal("ana@acme.example".to_owned()),
        from: misy_core::mail::From::default(),
        subject: "You are invited".to_owned(),
        text: Secret::new("Open this:\n\n  mbl_link\n.\nThe end\n"),
        written_at: Timestamp::UNIX_EPOCH,
    }
}

fn config(sink: &SmtpSink) -> MailConfig {
    MailConfig {
        mode: Mode::Smtp,
        from: "MisyBot <bot@misybot.example>".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: sink.address().port(),
        tls: Tls::None,
        timeout_ms: 2_000,
        ..MailConfig::default()
    }
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written_and_goes_to_one_receiver() {
    let sink = SmtpSink::start(Manner::Takes).await;
    let way = mailer(&config(&sink), std::path::Path::new("/nonexistent")).expect("usable");
    way.send(&mail()).await.expect("is taken");
    let taken = sink.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].from, "<bot@misybot.example>");
    assert_eq!(taken[0].to, ["<ana@acme.example>"]);
    assert!(taken[0].text.contains("Subject: You are invited\r\n"), "{}", taken[0].text);
    assert!(taken[0].text.contains("  mbl_link\r\n.\r\nThe end"), "{}", taken[0].text);
}

#[tokio::test]
async fn a_refusal_for_good_is_told_from_one_for_now_and_names_no_receiver() {
    let cases = [(Manner::Refuses, true), (Manner::Defers, false), (Manner::HangsUp, false)];
    for (manner, for_good) in cases {
        let sink = SmtpSink::start(manner).await;
        let error = Smtp::new(&config(&sink)).expect("usable").send(&mail()).await;
        let error = error.expect_err("is not taken");
        assert_eq!(matches!(error, MailError::Refused(_)), for_good, "{manner:?}: {error}");
        assert!(!format!("{error:?}{error}").contains("ana@"), "{error:?}");
        assert!(sink.taken().is_empty());
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again_later() {
    let sink = SmtpSink::start(Manner::Takes).await;
    let config = config(&sink);
    sink.stop().await;
    let error = Smtp::new(&config).expect("usable").send(&mail()).await;
    assert!(matches!(error, Err(MailError::Unavailable(_))), "{error:?}");
}

#[tokio::test]
async fn a_server_without_tls_gets_nothing_where_tls_is_demanded() {
    let sink = SmtpSink::start(Manner::Takes).await;
    for tls in [Tls::Starttls, Tls::Implicit] {
        let config = MailConfig { tls, host: "localhost".to_owned(), ..config(&sink) };
        let error = Smtp::new(&config).expect("usable").send(&mail()).await;
        assert!(matches!(error, Err(MailError::Unavailable(_))), "{tls:?}: {error:?}");
    }
    assert!(sink.taken().is_empty());
}

#[tokio::test]
async fn who_we_are_is_shown_to_a_server_that_asks_and_a_wrong_password_is_ours_to_mend() {
    let sink = SmtpSink::start(Manner::AsksWho).await;
    let user = Some("bot".to_owned());
    let right =
        MailConfig { user: user.clone(), password: Some(Secret::new("hunter2")), ..config(&sink) };
    Smtp::new(&right).expect("usable").send(&mail()).await.expect("is taken");
    let wrong = MailConfig { user, password: Some(Secret::new("hunter3")), ..config(&sink) };
    let error = Smtp::new(&wrong).expect("usable").send(&mail()).await;
    assert!(matches!(error, Err(MailError::Unavailable(_))), "{error:?}");
    assert_eq!(sink.taken().len(), 1);
}
