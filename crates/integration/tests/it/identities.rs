//! Room `integration`: receivers that ask who we are (mutual TLS), with real certificates.

use std::sync::Arc;

use misy_integration::Config;
use misy_testkit::TestDatabase;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, crypto};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use crate::house::{House, text};
use crate::sink::{Manner, Sink};

/// Somebody who vouches for others.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// A certificate for a name, as PEM and with its key.
    fn vouch(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        (params.signed_by(&key, &self.0).expect("signed"), key)
    }

    /// Lets in only those for whom another one vouches.
    fn door(&self, clients: &Self) -> TlsAcceptor {
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(clients.0.der().clone()).expect("an authority");
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let (certificate, key) = self.vouch("localhost");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(vec![certificate.der().clone()], key);
        TlsAcceptor::from(Arc::new(config.expect("key and certificate fit")))
    }

    fn identity(&self) -> Value {
        let (certificate, key) = self.vouch("misybot.example");
        json!({ "certificates": certificate.pem(), "key": key.serialize_pem() })
    }
}

/// A house that believes an authority.
async fn house(trusted: &Authority) -> (House, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, trusted.0.pem()).expect("written");
    let reach = misy_egress::Config {
        private_hosts_allowed: true,
        authority_file: Some(file),
        ..misy_egress::Config::default()
    };
    let config = Config { private_hosts_allowed: true, ..Config::default() };
    let database = TestDatabase::create().await;
    let names = Arc::new(misy_egress::guard::OfMachine);
    (House::reaching(database, config, reach, names), folder)
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_certificate_gets_the_one_of_its_endpoint() {
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let (house, _folder) = house(&servers).await;
    let kind = Manner::Each(vec![200]);
    let sink = Sink::behind(kind, Some(servers.door(&clients))).await;
    let tenant = house.tenant();
    let of =
        |identity: Value| json!({ "url": sink.named("localhost"), "client_certificate": identity });
    let made = house.post(tenant, "/v1/webhook-endpoints", of(clients.identity())).await;
    let made = made.expect(201);
    let id = house.publish(tenant, "order.created", json!({"n": 1})).await;
    house.carry().await;
    let delivery = house.deliveries(tenant).await.remove(0);
    assert_eq!(delivery["status"], "succeeded", "{delivery}");
    assert_eq!(sink.heard()[0].header("webhook-id"), id);
    let shown = house.get(tenant, &format!("/v1/webhook-endpoints/{}", text(&made["id"]))).await;
    assert!(!shown.expect(200).to_string().contains("PRIVATE KEY"));

    // Nobody at all, and somebody for whom the wrong one vouches.
    for identity in [Value::Null, strangers.identity()] {
        let tenant = house.tenant();
        house.post(tenant, "/v1/webhook-endpoints", of(identity)).await.expect(201);
        house.publish(tenant, "order.created", json!({})).await;
        house.carry().await;
        let delivery = house.deliveries(tenant).await.remove(0);
        assert_eq!(
            (&delivery["status"], &delivery["last_status"]),
            (&json!("pending"), &Value::Null)
        );
        assert!(delivery["last_error"].is_string(), "{delivery}");
    }
    assert_eq!(sink.heard().len(), 1);
}

#[tokio::test]
async fn a_receiver_for_whom_nobody_vouches_gets_nothing() {
    let (servers, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let (house, _folder) = house(&others).await;
    let sink = Sink::behind(Manner::Each(vec![200]), Some(servers.door(&clients))).await;
    let tenant = house.tenant();
    let body = json!({ "url": sink.named("localhost"), "client_certificate": clients.identity() });
    house.post(tenant, "/v1/webhook-endpoints", body).await.expect(201);
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    let delivery = house.deliveries(tenant).await.remove(0);
    assert_eq!(delivery["last_error"], "not sent: no connection");
    assert!(sink.heard().is_empty());
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused_when_it_is_given() {
    let (own, other) = (Authority::new(), Authority::new());
    let house = House::new().await;
    let mut mixed = own.identity();
    mixed["key"] = other.identity()["key"].clone();
    let torn = json!({ "certificates": "-----BEGIN CERTIFICATE-----\nx", "key": "none" });
    for identity in [mixed, torn] {
        let body = json!({ "url": "https://shop.example/", "client_certificate": identity });
        let refused = house.post(house.tenant(), "/v1/webhook-endpoints", body).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/client_certificate");
    }
}
