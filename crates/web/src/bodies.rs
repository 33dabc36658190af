//! Room `web`: JSON bodies. Whatever is wrong with one is told in one answer: what its schema
//! refuses, what its type refuses, what its rules refuse.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use garde::Validate;
use garde::error::Kind;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use http_body_util::LengthLimitError;
use misy_core::Code;
use misy_core::error::Fault;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::shapes::{MAX_FAULTS, Shape, join};
use crate::{Problem, json};

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// A type that a body can be read as.
pub trait Content: DeserializeOwned + Validate<Context: Default> + ToSchema + 'static {}
impl<T: DeserializeOwned + Validate<Context: Default> + ToSchema + 'static> Content for T {}

/// A JSON body that keeps every rule of its type. 415 for another content type, 413 if it is too
/// large, 400 if it is not JSON, 422 with every fault if its content is wrong.
#[derive(Debug, Clone)]
pub struct Valid<T>(pub T);

impl<S: Sync, T: Content> FromRequest<S> for Valid<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_type(request.headers(), &[JSON])?;
        read_json(request.into_body()).await.map(Self)
    }
}

/// A JSON merge patch (RFC 7396): a member that is absent stays, `null` removes. A member that can
/// be removed is an `Option<Option<T>>` with `#[serde(default, deserialize_with =
/// "misy_web::nullable")]`.
#[derive(Debug, Clone)]
pub struct MergePatch<T>(pub T);

impl<S: Sync, T: Content> FromRequest<S> for MergePatch<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_type(request.headers(), &[JSON, MERGE_PATCH])?;
        read_json(request.into_body()).await.map(Self)
    }
}

/// Tells a member that is `null` (`Some(None)`) from one that is absent (`None`).
pub fn nullable<'de, T, D>(reader: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(reader).map(Some)
}

/// A body as it came, byte for byte, for whoever must verify a signature over it.
#[derive(Debug, Clone)]
pub struct Raw(pub Bytes);

impl<S: Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read_bytes(request.into_body()).await.map(Self)
    }
}

/// RFC 9110 section 8.3; the only parameter looked at is the charset (RFC 8259 section 8.1: UTF-8).
fn require_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Problem> {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let known = accepted.iter().any(|one| one.eq_ignore_ascii_case(essence.trim()));
    let charset = parameters.split(';').filter_map(|one| one.split_once('='));
    let utf8 = charset
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .all(|(_, charset)| charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"));
    if known && utf8 {
        return Ok(());
    }
    let accepted = accepted.join("` or `");
    Err(Problem::new(Code::UnsupportedMediaType)
        .with_detail(format!("The content type has to be `{accepted}`, in UTF-8.")))
}

/// Reads to the end, as far as the route's limit allows.
pub(crate) async fn read_bytes(body: Body) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, usize::MAX).await.map_err(|error| {
        if is_length_limit(&error) {
            Problem::new(Code::TooLarge)
        } else {
            Problem::new(Code::MalformedRequest)
                .with_detail("The body ended before it was complete.")
        }
    })
}

/// The limit is somewhere in the chain, as deep as layers are around the body.
fn is_length_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// From bytes to a value of the type, or to the one problem that names all faults.
async fn read_json<T: Content>(body: Body) -> Result<T, Problem> {
    let bytes = read_bytes(body).await?;
    let value = json::parse(&bytes)?;
    drop(bytes);
    check(value).map_err(|faults| {
        let count = faults.len();
        let detail = if count == 1 { "1 fault".to_owned() } else { format!("{count} faults") };
        Problem::new(Code::Invalid)
            .with_detail(format!("The content has {detail}."))
            .with_faults(faults)
    })
}

/// Shapes are made once a type.
fn shape_of<T: ToSchema + 'static>() -> Arc<Shape> {
    static KNOWN: OnceLock<RwLock<HashMap<TypeId, Arc<Shape>>>> = OnceLock::new();
    let known = KNOWN.get_or_init(RwLock::default);
    let id = TypeId::of::<T>();
    if let Some(shape) = known.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
        return Arc::clone(shape);
    }
    let shape = Arc::new(Shape::of::<T>());
    known.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&shape));
    shape
}

/// Reads a value as its type, or tells every fault. A faulty place is mended with a sample, so that
/// the places after it are looked at too; what is then wrong with mended places is not told.
pub(crate) fn check<T: Content>(value: Value) -> Result<T, Vec<Fault>> {
    let mut bench = Bench { shape: shape_of::<T>(), value, faults: Vec::new(), mended: Vec::new() };
    for fault in bench.shape.check(&bench.value) {
        bench.mend(fault);
    }
    let read: Option<T> = bench.read();
    if let Some(read) = &read
        && let Err(report) = read.validate()
    {
        let broken = report.iter().map(|(path, error)| rule_fault(path, error));
        let told: Vec<_> = broken.filter(|fault| !bench.is_mended(&fault.pointer)).collect();
        bench.faults.extend(told);
    }
    match read {
        Some(read) if bench.faults.is_empty() => Ok(read),
        _ => Err(bench.faults),
    }
}

/// A value that is being mended.
struct Bench {
    shape: Arc<Shape>,
    value: Value,
    faults: Vec<Fault>,
    /// Where samples are.
    mended: Vec<String>,
}

impl Bench {
    /// Whether a place is a sample, is inside one, or holds one.
    fn is_mended(&self, pointer: &str) -> bool {
        let within = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.mended.iter().any(|one| within(one, pointer) || within(pointer, one))
    }

    /// Tells a fault and puts a sample in its place. `false` if nothing is left to mend.
    fn mend(&mut self, fault: Fault) -> bool {
        let mut place = fault.pointer.clone();
        if !self.is_mended(&place) {
            self.faults.push(fault);
        }
        // A sample that does not do either is replaced together with what is around it.
        while self.mended.contains(&place) {
            let Some((outer, _)) = place.rsplit_once('/') else { return false };
            place.truncate(outer.len());
        }
        self.shape.repair(&mut self.value, &place);
        self.mended.push(place);
        true
    }

    /// The value as its type, with samples where it was faulty; `None` if it cannot be mended.
    fn read<T: Content>(&mut self) -> Option<T> {
        // Each round reads the whole value again, so their number is bounded.
        while self.mended.len() < MAX_FAULTS {
            let error = match serde_path_to_error::deserialize::<_, T>(&self.value) {
                Ok(read) => return Some(read),
                Err(error) => error,
            };
            let pointer = pointer_of(error.path());
            if !self.mend(Fault { pointer, detail: plain(error.inner()) }) {
                return None;
            }
        }
        None
    }
}

/// Where a reader stopped, as a JSON pointer (RFC 6901).
pub(crate) fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => join(&pointer, key),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    })
}

/// A reader's message without the content that it repeats.
pub(crate) fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let ours = ["expected ", "missing field ", "unknown field "];
    if ours.iter().any(|start| text.starts_with(start)) {
        return text;
    }
    let standard = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    let wanted =
        text.rfind(", expected ").filter(|_| standard.iter().any(|one| text.starts_with(one)));
    let wanted = wanted.map(|from| &text[from + ", expected ".len()..]);
    let integer = |least: i64, most: u64| format!("has to be an integer from {least} to {most}");
    match wanted {
        None => "is not valid".to_owned(),
        Some("u8") => integer(0, u8::MAX.into()),
        Some("u16") => integer(0, u16::MAX.into()),
        Some("u32") => integer(0, u32::MAX.into()),
        Some("i16") => integer(i16::MIN.into(), i16::MAX as u64),
        Some("i32") => integer(i32::MIN.into(), i32::MAX as u64),
        Some("u64" | "usize") => integer(0, u64::MAX),
        Some("i64" | "isize") => integer(i64::MIN, i64::MAX as u64),
        Some(wanted) => format!("expected {wanted}"),
    }
}

/// What a rule of the type says, at its place. The components of a path are reachable only by a
/// method that the validator hides from its documentation; its text form cannot be split safely.
fn rule_fault(path: &garde::error::Path, error: &garde::error::Error) -> Fault {
    let pointer = path.__iter().rev().fold(String::new(), |pointer, (kind, name)| match kind {
        Kind::None => pointer,
        Kind::Key | Kind::Index => join(&pointer, name),
    });
    Fault { pointer, detail: error.message().to_owned() }
}

/// Whether a request of this method changes something.
pub(crate) fn changes(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method)
}
