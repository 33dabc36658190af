//! Room `identity`: an `OpenID` provider that says and signs whatever a test wants.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use misy_core::crypto;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A key that signs.
pub(crate) struct Signer {
    kid: String,
    pair: RsaKeyPair,
}

impl Signer {
    pub(crate) fn new(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("generates");
        Self { kid: kid.to_owned(), pair }
    }

    /// The public half, as the provider publishes it.
    pub(crate) fn jwk(&self) -> Value {
        let (n, e) = self.public();
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
            "n": crypto::to_base64url(&n), "e": crypto::to_base64url(&e)})
    }

    /// Modulus and exponent out of the DER of `RSAPublicKey` (RFC 8017 appendix A.1.1), whose
    /// layout is fixed for 2048 bits.
    fn public(&self) -> (Vec<u8>, Vec<u8>) {
        let der = self.pair.public_key().as_ref();
        assert_eq!(der.len(), 270, "SEQUENCE of two INTEGERs");
        (der[9..265].to_vec(), der[267..].to_vec())
    }

    /// The public half as bytes that a careless verifier would take as a shared secret.
    pub(crate) fn public_bytes(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": "RS256", "kid": self.kid, "typ": "JWT"}), claims)
    }

    pub(crate) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let mut signature = vec![0; 256];
        let random = aws_lc_rs::rand::SystemRandom::new();
        let message = signed.as_bytes();
        self.pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("signs");
        format!("{signed}.{}", crypto::to_base64url(&signature))
    }
}

/// The first two parts of a token.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| crypto::to_base64url(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

/// What the provider says when it is asked.
pub(crate) struct Said {
    pub(crate) metadata: Value,
    pub(crate) keys: Vec<Value>,
    pub(crate) tokens: (StatusCode, Value),
    pub(crate) userinfo: Value,
    /// How often its keys were fetched.
    pub(crate) fetched: usize,
    /// The forms that came to the token endpoint, with their `Authorization`.
    pub(crate) redeemed: Vec<(Option<String>, String)>,
}

type Shared = Arc<Mutex<Said>>;

/// The provider, on loopback until it is dropped.
pub(crate) struct Liar {
    pub(crate) issuer: String,
    pub(crate) signer: Signer,
    said: Shared,
    _serving: JoinSet<()>,
}

impl Liar {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let signer = Signer::new("first");
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize?tenant=7"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "end_session_endpoint": format!("{issuer}/end"),
            "authorization_response_iss_parameter_supported": true,
        });
        let said = Arc::new(Mutex::new(Said {
            metadata,
            keys: vec![signer.jwk()],
            tokens: (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"})),
            userinfo: Value::Null,
            fetched: 0,
            redeemed: Vec::new(),
        }));
        let router = router(&said);
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { issuer, signer, said, _serving: serving }
    }

    pub(crate) fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives this ID token for any code.
    pub(crate) fn gives(&self, id_token: &str) {
        let tokens = json!({"token_type": "Bearer", "access_token": ACCESS, "id_token": id_token});
        self.said().tokens = (StatusCode::OK, tokens);
    }
}

/// The access token that comes with every ID token.
pub(crate) const ACCESS: &str = "an access token of the provider";

fn router(said: &Shared) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/keys", get(keys))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo))
        .with_state(Arc::clone(said))
}

fn open(said: &Shared) -> MutexGuard<'_, Said> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn metadata(State(said): State<Shared>) -> Json<Value> {
    Json(open(&said).metadata.clone())
}

async fn keys(State(said): State<Shared>) -> Json<Value> {
    let mut said = open(&said);
    said.fetched += 1;
    Json(json!({"keys": said.keys}))
}

async fn token(
    State(said): State<Shared>,
    headers: axum::http::HeaderMap,
    form: String,
) -> (StatusCode, Json<Value>) {
    let mut said = open(&said);
    let proof = headers.get("authorization").and_then(|value| value.to_str().ok());
    said.redeemed.push((proof.map(str::to_owned), form));
    let (status, body) = said.tokens.clone();
    (status, Json(body))
}

async fn userinfo(State(said): State<Shared>) -> Json<Value> {
    Json(open(&said).userinfo.clone())
}
