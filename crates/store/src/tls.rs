//! Room `store`: connections to a server of the user's, encrypted where its URL says
//! `sslmode=require`.
//!
//! `require` means here what `verify-full` means to other programs: the certificate must be of an
//! authority that the machine trusts (or that `SSL_CERT_FILE` names) and for the host that was
//! asked for; the password is bound to the connection where the server offers that. `prefer`,
//! which is the default of URLs, means unencrypted: encryption that anybody on the way may switch
//! off protects nothing, and a server beside the program needs none.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls_improved::MakeRustlsConnect;

type Tls = MakeRustlsConnect;
type Stream = <Tls as MakeTlsConnect<Socket>>::Stream;

/// Makes encrypted streams. It is asked for sockets without a name too, which are never encrypted.
#[derive(Clone)]
pub(crate) struct Connector(Tls);

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Stream;
    type TlsConnect = <Tls as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = <Tls as MakeTlsConnect<Socket>>::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, Self::Error> {
        let host = if host.is_empty() { "localhost" } else { host };
        MakeTlsConnect::<Socket>::make_tls_connect(&mut self.0, host)
    }
}

/// Makes one connection, outside the pools: for migrations, and for the listener.
pub(crate) async fn connect(
    server: &Config,
) -> Result<(Client, Connection<Socket, Stream>), tokio_postgres::Error> {
    settled(server).connect(connector(server)).await
}

/// The same server with its encryption decided: all or none.
pub(crate) fn settled(server: &Config) -> Config {
    let mut server = server.clone();
    if !is_required(&server) {
        server.ssl_mode(SslMode::Disable);
    }
    server
}

fn is_required(server: &Config) -> bool {
    server.get_ssl_mode() == SslMode::Require
}

/// What makes an encrypted stream; without authorities where it will not be asked to.
pub(crate) fn connector(server: &Config) -> Connector {
    let roots = if is_required(server) { authorities() } else { RootCertStore::empty() };
    let provider = crypto::aws_lc_rs::default_provider().into();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has cipher suites for every version");
    let config = config.with_root_certificates(Arc::new(roots)).with_no_client_auth();
    Connector(MakeRustlsConnect::new(config))
}

fn authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (known, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if known == 0 {
        tracing::warn!(
            "no certificate authorities found: no server with sslmode=require is trusted"
        );
    }
    roots
}
