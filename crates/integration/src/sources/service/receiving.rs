//! Room `integration`: a request's way from the wire to the database. Whoever is refused is told
//! the same, whether there is such a source or not, and whatever was wrong.

use http::{HeaderMap, Method};
use misy_core::event::{EventType, RefusingData, Told};
use misy_core::id::TypedId;
use misy_core::{Code, Ctx, Grants, PlatformCtx, Public, ReceiptId, Secret, SourceId, Timestamp};
use misy_egress::Call;
use misy_jobs::Job;
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use super::unseal;
use crate::Deps;
use crate::sources::jobs::Process;
use crate::sources::model::{
    Algorithm, Answer, Challenge, Error, Incoming, Part, RATE_PER_S, Receipt, Refusal, Scheme,
    Secrets, Source, Stage, Status, With, answer_signed, answer_unsigned, certificate_der, check,
    external_id, marks, paypal_certificate_url, shake_hands as answer_handshake,
};
use crate::sources::store;

/// Characters of a header, or of a query, that are kept.
const KEPT_MAX: usize = 4_096;

/// Headers that are never kept.
const UNKEPT: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// Refusals within this many seconds that are an alarm, and how many; once in so many seconds.
const ALARM_WITHIN_S: i64 = 600;
const ALARM_AT: i64 = 10;
const ALARM_EVERY_S: i64 = 3_600;

/// What came in.
pub(crate) struct Question<'a> {
    /// The last part of the address.
    pub(crate) source: &'a str,
    /// The path and the query of the address.
    pub(crate) target: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// A source made ready to check requests.
struct Open {
    ctx: Ctx,
    source: Source,
    scheme: Scheme,
    secrets: Secrets,
}

impl Open {
    fn request<'a>(&self, deps: &Deps, method: &'a str, of: &Question<'a>) -> Option<Incoming<'a>> {
        let query = of.target.split_once('?').map(|(_, query)| query);
        let url = match &self.source.settings.public_url {
            Some(url) => {
                let mut url = Url::parse(url).ok()?;
                url.set_query(query.or(url.query().map(str::to_owned).as_deref()));
                url
            }
            None => Url::parse(&format!("{}{}", deps.public_url, of.target)).ok()?,
        };
        Some(Incoming::new(method, url, of.headers, of.body))
    }
}

/// Takes a request: checked, kept, to be told by a job.
pub(crate) async fn receive(
    deps: &Deps,
    ctx: &PlatformCtx,
    question: &Question<'_>,
) -> Result<Option<Answer>, Error> {
    let open = open(deps, ctx, question.source).await?;
    let Some(open) = open else {
        // As much work as a check of the body, so that the time tells little.
        let _ = misy_core::crypto::hmac_sha256(&deps.ambient.bytes::<32>(), question.body);
        count("unknown");
        return Err(Error::Refused);
    };
    let request = open.request(deps, "POST", question).ok_or(Error::Refused)?;
    let scheme = &open.scheme;
    if let Some(answer) = answer_unsigned(scheme.challenge, &request) {
        return Ok(Some(answer));
    }
    let now = deps.ambient.now();
    let secrets = open.secrets.live(now);
    let certificate = certificate(deps, &open, &request).await;
    let with = With {
        secrets: &secrets,
        certificate: certificate.as_deref().map(Vec::as_slice),
        tolerance_s: open.source.settings.tolerance_s,
        now,
    };
    if let Err(refusal) = check(scheme, &request, with) {
        refuse(deps, &open, &request, refusal).await?;
        return Err(Error::Refused);
    }
    if scheme.challenge != Challenge::None {
        let signs = |one: &&Secret| {
            check(scheme, &request, With { secrets: std::slice::from_ref(*one), ..with }).is_ok()
        };
        let answer = secrets.iter().find(signs);
        let answer = answer.and_then(|by| answer_signed(scheme.challenge, &request, by));
        if answer.is_some() {
            return Ok(answer);
        }
    }
    let rate = open.source.settings.rate_per_s.unwrap_or(RATE_PER_S);
    let of_tenant = (open.ctx.tenant(), deps.config.sources_rate_per_s);
    if !deps.gate.admits(of_tenant, (open.source.id, rate), now) {
        count("too_fast");
        return Err(Error::TooFast);
    }
    keep(deps, &open, &request).await?;
    Ok(None)
}

/// Answers a handshake by `GET`.
pub(crate) async fn shake_hands(
    deps: &Deps,
    ctx: &PlatformCtx,
    question: &Question<'_>,
) -> Result<Answer, Error> {
    let open = match open(deps, ctx, question.source).await {
        Err(Error::Refused) | Ok(None) => return Err(Error::Handshake),
        Err(other) => return Err(other),
        Ok(Some(open)) => open,
    };
    let request = open.request(deps, "GET", question).ok_or(Error::Handshake)?;
    let secrets = open.secrets.live(deps.ambient.now());
    let token = open.secrets.verify_token.as_ref();
    let answer = answer_handshake(open.scheme.challenge, &request, &secrets, token);
    if answer.is_none() {
        refuse(deps, &open, &request, Refusal::HandshakeWrong).await?;
    }
    answer.ok_or(Error::Handshake)
}

/// The source, if there is one that is listened to, of a tenant that is active.
async fn open(deps: &Deps, ctx: &PlatformCtx, text: &str) -> Result<Option<Open>, Error> {
    let Ok(id) = text.parse::<SourceId>() else { return Ok(None) };
    let mut tx = deps.db.platform_read(ctx).await?;
    let Some(tenant) = store::find_route(&mut tx, id).await? else { return Ok(None) };
    drop(tx);
    match open_inside(deps, ctx.enter(tenant, Grants::NONE), id).await {
        Err(error) if error.code() == Code::TenantInactive => Ok(None),
        other => other,
    }
}

async fn open_inside(deps: &Deps, ctx: Ctx, id: SourceId) -> Result<Option<Open>, Error> {
    let mut tx = deps.db.read(&ctx).await?;
    let Some(stored) = store::find(&mut tx, id).await? else { return Ok(None) };
    if stored.source.status == Status::Disabled {
        return Ok(None);
    }
    let Some(scheme) = stored.source.settings.scheme() else { return Ok(None) };
    let secrets = unseal(deps, &mut tx, &stored).await?;
    drop(tx);
    Ok(Some(Open { ctx, source: stored.source, scheme, secrets }))
}

/// The certificate that the request names, from the provider's own host alone. It is fetched over
/// TLS, which proves whose it is.
async fn certificate(
    deps: &Deps,
    open: &Open,
    request: &Incoming<'_>,
) -> Option<std::sync::Arc<Vec<u8>>> {
    if open.scheme.algorithm != Algorithm::Paypal {
        return None;
    }
    let url = paypal_certificate_url(request)?;
    if let Some(known) = deps.gate.certificates.get(url.as_str()) {
        return Some(known);
    }
    let template = "/v1/notifications/certs/{certificate}";
    let tenant = open.ctx.tenant();
    let call = Call::new(tenant, open.source.id, Method::GET, url.as_str(), template).ok()?;
    let answer = deps.egress.of(&open.ctx).call(call).await.ok()?;
    let pem = answer.status.is_success().then(|| std::str::from_utf8(&answer.body).ok())??;
    let der = std::sync::Arc::new(certificate_der(pem)?);
    deps.gate.certificates.insert(url.as_str().to_owned(), std::sync::Arc::clone(&der));
    Some(der)
}

fn receipt(deps: &Deps, open: &Open, request: &Incoming<'_>, stage: Stage) -> Receipt {
    let id: ReceiptId = deps.ambient.id();
    let clean =
        |text: &str| -> String { text.chars().filter(|one| *one != '\0').take(KEPT_MAX).collect() };
    Receipt {
        id,
        source: open.source.id,
        stage,
        reason: None,
        faults: None,
        external_id: external_id(&open.scheme, request),
        query: query(&open.scheme, request).as_deref().map(clean).filter(|all| !all.is_empty()),
        headers: headers(&open.scheme, request),
        body: None,
        body_bytes: i32::try_from(request.body.len()).unwrap_or(i32::MAX),
        event: None,
        received_at: deps.ambient.now(),
        processed_at: None,
    }
}

/// The query, without the field that is the secret itself.
fn query(scheme: &Scheme, request: &Incoming<'_>) -> Option<String> {
    let (Algorithm::Token, Part::Query(token)) = (&scheme.algorithm, &scheme.signature) else {
        return request.url.query().map(str::to_owned);
    };
    let kept = request.url.query_pairs().filter(|(name, _)| name != token);
    Some(form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish())
}

/// The headers as text, without those that are secrets themselves.
fn headers(scheme: &Scheme, request: &Incoming<'_>) -> Value {
    let token = match (&scheme.algorithm, &scheme.signature) {
        (Algorithm::Token, Part::Header(name) | Part::Field { header: name, .. }) => name.as_str(),
        _ => "",
    };
    let kept = |name: &str| !UNKEPT.contains(&name) && !name.eq_ignore_ascii_case(token);
    let mut all = Map::new();
    for (name, value) in request.headers {
        let Some(text) = value.to_str().ok().filter(|_| kept(name.as_str())) else { continue };
        let text: String = text.chars().take(KEPT_MAX).collect();
        all.entry(name.as_str()).or_insert_with(|| json!(text));
    }
    Value::Object(all)
}

/// The lowest id of that moment: marks before it are not looked at.
fn lowest_id(at: Timestamp) -> Uuid {
    let ms = u64::try_from(at.as_millisecond()).unwrap_or(0);
    Uuid::from_u128(u128::from(ms) << 80)
}

fn before_s(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN)
}

async fn keep(deps: &Deps, open: &Open, request: &Incoming<'_>) -> Result<(), Error> {
    let marks = marks(&open.scheme, request);
    let new = Receipt {
        body: Some(request.body.to_vec()),
        ..receipt(deps, open, request, Stage::Stored)
    };
    let kept_s = i64::from(deps.config.keep_days) * 86_400;
    let since = lowest_id(before_s(deps.ambient.now(), kept_s));
    let mut tx = deps.db.tenant(&open.ctx).await?;
    if !marks.is_empty() {
        store::lock_marks(&mut tx, &lock_keys(open.source.id, &marks)).await?;
    }
    if store::keep(&mut tx, &new, &marks, since).await? {
        Process { receipt: new.id }.enqueue(&mut tx);
        tx.commit().await?;
        count("stored");
        return Ok(());
    }
    drop(tx);
    count("duplicate");
    let note = Receipt { stage: Stage::Duplicate, body: None, ..new };
    note_down(deps, open, note, (0, 1), None).await
}

/// In order, so that two that share several never wait for each other in a circle.
fn lock_keys(source: SourceId, marks: &[[u8; 32]]) -> Vec<i64> {
    let key = |mark: &[u8; 32]| {
        let whole = [source.uuid().as_bytes().as_slice(), mark].concat();
        let digest = misy_core::crypto::sha256(&whole);
        i64::from_be_bytes(*digest.first_chunk().expect("32 bytes hold 8"))
    };
    let mut keys: Vec<i64> = marks.iter().map(key).collect();
    keys.sort_unstable();
    keys
}

/// Counts a refusal and has its owner told why.
async fn refuse(
    deps: &Deps,
    open: &Open,
    request: &Incoming<'_>,
    refusal: Refusal,
) -> Result<(), Error> {
    metrics::counter!("misy_source_refusals_total", "reason" => refusal.slug()).increment(1);
    count("refused");
    let reason = Some(refusal.slug().to_owned());
    let note = Receipt { reason, ..receipt(deps, open, request, Stage::Refused) };
    note_down(deps, open, note, (1, 0), Some(refusal)).await
}

/// Writes down what was not taken, and gives the alarm when it is due. Of a flood only some are
/// written down.
async fn note_down(
    deps: &Deps,
    open: &Open,
    note: Receipt,
    counted: (i64, i64),
    refusal: Option<Refusal>,
) -> Result<(), Error> {
    let now = deps.ambient.now();
    let Some(counts) = deps.gate.note(open.source.id, counted, now) else { return Ok(()) };
    let mut tx = deps.db.tenant(&open.ctx).await?;
    let from = before_s(now, ALARM_WITHIN_S);
    let Some(refusals) = store::count(&mut tx, open.source.id, counts, from).await? else {
        return Ok(());
    };
    store::note(&mut tx, &note).await?;
    if let Some(refusal) = refusal.filter(|_| refusals >= ALARM_AT)
        && store::alarm(&mut tx, open.source.id, before_s(now, ALARM_EVERY_S)).await?
    {
        metrics::counter!("misy_source_alarms_total").increment(1);
        let data = RefusingData { source_id: open.source.id, reason: refusal.slug(), refusals };
        tx.emit(&Told::new(EventType::SourceRefusing, None, data));
    }
    Ok(tx.commit().await?)
}

fn count(outcome: &'static str) {
    metrics::counter!("misy_source_requests_total", "outcome" => outcome).increment(1);
}
