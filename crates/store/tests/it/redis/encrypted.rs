//! Room `store`: a Redis over TLS, whose authority the operator names.

use misy_store::cache::Refusal;
use misy_store::cache::private::Tls;
use misy_store::{Cache, CacheConfig};
use misy_testkit::TestRedis;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::outages::{ctx, put, text};

/// An authority in PEM, and what a server with a certificate of it for `name` needs.
fn certified(name: &str) -> (String, Tls) {
    let mut of_authority = CertificateParams::new([]).expect("no names");
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = || KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(of_authority, key()).expect("an authority");
    let own = key();
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    let certificate = params.signed_by(&own, &authority).expect("signed");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("bound").port();
    let key = misy_core::Secret::new(own.serialize_pem());
    (authority.pem(), Tls { certificate: certificate.pem(), key, port })
}

struct Trust {
    config: CacheConfig,
    _file: tempfile::NamedTempFile,
}

/// How the program reaches the server over TLS, trusting this authority alone.
fn trusting(redis: &TestRedis, authority: &str) -> Trust {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), authority).expect("written");
    let ca_file = Some(file.path().to_owned());
    Trust { config: CacheConfig { url: redis.tls_url(), ca_file, ..redis.config() }, _file: file }
}

#[tokio::test]
async fn a_cache_over_tls_keeps_and_finds_and_needs_its_authority() {
    let (authority, tls) = certified("localhost");
    let redis = TestRedis::start_with(Some(&tls)).await;
    let trust = trusting(&redis, &authority);
    let cache = redis.cache_with(&trust.config).await;
    assert_eq!(cache.ready(), Ok(()));
    put(&cache.of(&ctx(1)), "k", "in secret").await;
    let through_the_socket = redis.cache().await;
    assert_eq!(text(&through_the_socket.of(&ctx(1)), "k").await.as_deref(), Some("in secret"));
    let notes = cache.inspect().await.expect("it answers").notes;
    assert!(notes.iter().all(|note| !note.contains("plain text")), "{notes:?}");

    let (stranger, _) = certified("localhost");
    let mistrust = trusting(&redis, &stranger);
    let cache = redis.cache_with(&mistrust.config).await;
    assert!(cache.ready().is_err(), "signed by somebody else");
    assert_eq!(text(&cache.of(&ctx(1)), "k").await, None);
    let unnamed = CacheConfig { ca_file: None, ..trust.config.clone() };
    let cache = redis.cache_with(&unnamed).await;
    assert!(cache.ready().is_err(), "the system does not know the authority");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_enough() {
    let (authority, tls) = certified("elsewhere.example");
    let redis = TestRedis::start_with(Some(&tls)).await;
    let trust = trusting(&redis, &authority);
    let cache = redis.cache_with(&trust.config).await;
    assert!(cache.ready().is_err());
}

#[tokio::test]
async fn authorities_that_cannot_be_read_are_told_by_their_file() {
    let redis = TestRedis::start().await;
    let ca_file = Some("/nonexistent/ca.pem".into());
    let config = CacheConfig { ca_file, ..redis.config() };
    let root = misy_core::crypto::Key::new([1; 32]);
    let refused = Cache::open(&config, &root, misy_testkit::ambient()).await;
    let refused = refused.expect_err("there is no such file");
    assert!(matches!(&refused, Refusal::CaFile { .. }), "{refused}");
    assert!(refused.to_string().contains("/nonexistent/ca.pem"));
}
