//! Room `bench`: a small HTTP client for loopback, as cheap as one can be, so that what is
//! measured is the program and not the one who asks.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::Failure;

/// One kept-alive connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    /// Connects to `host:port`.
    pub async fn open(host: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, host: host.to_owned() })
    }

    /// Sends a request and reads the whole answer.
    pub async fn call(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let (head, body) = self.exchange(method, path, headers, body).await?.into_parts();
        Ok((head.status, body))
    }

    /// The same with the answer's headers.
    pub async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response<Bytes>, Failure> {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(body))?).await?;
        let (head, body) = answer.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }

    /// Signs somebody in; gives the access token.
    pub async fn sign_in(&mut self, email: &str, password: &str) -> Result<String, Failure> {
        let login = json!({ "email": email, "password": password });
        let answer = self.json(Method::POST, "/v1/auth/login", None, &login).await?;
        Ok(answer["access_token"].as_str().ok_or("no access token")?.to_owned())
    }

    /// Sends JSON and reads JSON; anything but a success is a failure that shows the answer.
    pub async fn json(
        &mut self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: &Value,
    ) -> Result<Value, Failure> {
        let authorization = format!("Bearer {}", bearer.unwrap_or_default());
        let mut headers = vec![("content-type", "application/json")];
        if bearer.is_some() {
            headers.push(("authorization", &authorization));
        }
        let sent = if body.is_null() { Bytes::new() } else { serde_json::to_vec(body)?.into() };
        let (status, answer) = self.call(method.clone(), path, &headers, sent).await?;
        if !status.is_success() {
            let shown = String::from_utf8_lossy(&answer);
            return Err(format!("{method} {path}: {status} {shown}").into());
        }
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer)? })
    }
}
