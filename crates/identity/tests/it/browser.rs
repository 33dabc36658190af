//! Room `identity`: a browser that keeps cookies, follows no redirect by itself and knows forms;
//! and the program behind a socket for it.

use std::collections::BTreeMap;

use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderValue, Method};
use misy_core::id::TypedId;
use misy_core::{Role, TenantId};
use misy_egress::{Answer, Call, Config, Egress, Gateway};
use misy_testkit::{HandClock, ctx, wall_ambient};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use crate::house::{House, generous};

/// The program on a socket, at the present time: providers of others have a clock of their own.
pub(crate) struct Online {
    pub(crate) house: House,
    pub(crate) base: String,
    _serving: JoinSet<()>,
}

impl Online {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let config = misy_identity::Config { issuer: base.clone(), ..generous() };
        let house = House::at(HandClock::at(wall_ambient(0).now()), config).await;
        let router = house.router();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { house, base, _serving: serving }
    }
}

/// A browser.
pub(crate) struct Browser {
    egress: Egress,
    tenant: TenantId,
    /// By host and port, then by name.
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

impl Browser {
    pub(crate) fn new() -> Self {
        let tenant = TenantId::from_uuid(uuid::Uuid::nil());
        let config = Config { private_hosts_allowed: true, ..Config::default() };
        let gateway = Gateway::new(config, wall_ambient(4));
        Self { egress: gateway.of(&ctx(tenant, Role::Viewer)), tenant, cookies: BTreeMap::new() }
    }

    pub(crate) async fn get(&mut self, url: &str) -> Answer {
        self.send(Method::GET, url, None).await
    }

    pub(crate) async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(Method::POST, url, Some(body)).await
    }

    async fn send(&mut self, method: Method, url: &str, form: Option<String>) -> Answer {
        let url = Url::parse(url).expect("a URL");
        let jar = url.authority().to_owned();
        let mut call = Call::new(self.tenant, "browser", method, url.as_str(), "/").expect("plain");
        call.private_hosts_allowed = true;
        if let Some(form) = form {
            call = call.body("application/x-www-form-urlencoded", form);
        }
        let kept = self.cookies.entry(jar).or_default();
        if !kept.is_empty() {
            let all: Vec<_> = kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
            call = call.header(COOKIE, HeaderValue::try_from(all.join("; ")).expect("visible"));
        }
        let answer = self.egress.call(call).await.expect("answers");
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let text = cookie.to_str().expect("visible");
            let (pair, rest) = text.split_once(';').unwrap_or((text, ""));
            let (name, value) = pair.split_once('=').expect("name and value");
            let over = value.is_empty() || rest.contains("Max-Age=0");
            if over {
                kept.remove(name);
            } else {
                kept.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Goes from link to link until the address begins with this, and gives the address.
    pub(crate) async fn follow(&mut self, mut answer: Answer, from: &str, until: &str) -> String {
        let mut here = from.to_owned();
        for _ in 0..12 {
            here = location(&answer, &here);
            if here.starts_with(until) {
                return here;
            }
            answer = self.get(&here).await;
            answer = self.fill_in(answer, &here).await;
        }
        panic!("went round and round, at last to {here}");
    }

    /// Confirms that one wants to sign out; the form is sent by a script in a real browser.
    pub(crate) async fn sign_out(&mut self, answer: Answer, here: &str) -> Answer {
        self.fill_in(answer, here).await
    }

    /// Signs in as `ana` where a form asks for it, and consents where one asks for that.
    async fn fill_in(&mut self, answer: Answer, here: &str) -> Answer {
        let page = String::from_utf8_lossy(&answer.body).into_owned();
        let Some(action) = between(&page, "action=\"", "\"") else { return answer };
        let action = Url::parse(here).expect("a URL").join(&action).expect("a URL");
        let hidden = |name: &str| between(&page, &format!("name=\"{name}\" value=\""), "\"");
        if page.contains("name=\"xsrf\"") {
            let xsrf = hidden("xsrf").expect("a token");
            return self.post(action.as_str(), &[("xsrf", &xsrf), ("logout", "yes")]).await;
        }
        match hidden("prompt").as_deref() {
            Some("login") => {
                let form = [("prompt", "login"), ("login", "ana"), ("password", "any")];
                self.post(action.as_str(), &form).await
            }
            Some("consent") => self.post(action.as_str(), &[("prompt", "consent")]).await,
            _ => answer,
        }
    }
}

/// Where an answer leads.
pub(crate) fn location(answer: &Answer, from: &str) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let to = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let to = to.unwrap_or_else(|| panic!("{} leads nowhere: {} {body}", from, answer.status));
    Url::parse(from).expect("a URL").join(to).expect("a URL").into()
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0.to_owned())
}
