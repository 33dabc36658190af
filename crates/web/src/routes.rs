//! Room `web`: what a route asks of the layers around it, written into its description in the
//! reference, so that it is documented and enforced from one place.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use utoipa::openapi::path::Operation;
use utoipa_axum::router::UtoipaMethodRouter;

use crate::rates::Class;

const CLASS: &str = "x-rate-class";
const BODY_LIMIT: &str = "x-body-limit-bytes";
const TIMEOUT: &str = "x-timeout-ms";
const ANY_QUERY: &str = "x-any-query";

/// What differs from the defaults; give it to [`with`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Traits {
    class: Option<Class>,
    body_limit_bytes: Option<usize>,
    timeout_ms: Option<u64>,
    any_query: bool,
}

impl Traits {
    /// The defaults.
    pub const fn new() -> Self {
        Self { class: None, body_limit_bytes: None, timeout_ms: None, any_query: false }
    }

    /// Counts against the limit of this class.
    #[must_use]
    pub const fn class(mut self, class: Class) -> Self {
        self.class = Some(class);
        self
    }

    /// Takes bodies up to this many bytes.
    #[must_use]
    pub const fn body_limit_bytes(mut self, bytes: usize) -> Self {
        self.body_limit_bytes = Some(bytes);
        self
    }

    /// Has to begin its answer within this many milliseconds.
    #[must_use]
    pub const fn timeout_ms(mut self, ms: u64) -> Self {
        self.timeout_ms = Some(ms);
        self
    }

    /// Takes query parameters that are not described, for callers that are not ours to teach.
    #[must_use]
    pub const fn any_query(mut self) -> Self {
        self.any_query = true;
        self
    }

    /// Extensions of the operation (`x-...`), visible in the reference.
    fn mark(self, operation: &mut Operation) {
        let marks = [
            (CLASS, self.class.map(|class| json!(class))),
            (BODY_LIMIT, self.body_limit_bytes.map(|bytes| json!(bytes))),
            (TIMEOUT, self.timeout_ms.map(|ms| json!(ms))),
            (ANY_QUERY, self.any_query.then_some(Value::Bool(true))),
        ];
        let extensions = operation.extensions.get_or_insert_default();
        for (name, value) in marks {
            if let Some(value) = value {
                extensions.insert(name.to_owned(), value);
            }
        }
    }
}

/// Gives traits to a route: `web::with(routes!(upload), Traits::new().body_limit_bytes(3 << 20))`.
pub fn with<S>(route: UtoipaMethodRouter<S>, traits: Traits) -> UtoipaMethodRouter<S> {
    let (schemas, mut paths, router) = route;
    for item in paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.head,
            &mut item.patch,
        ];
        operations.into_iter().flatten().for_each(|operation| traits.mark(operation));
    }
    (schemas, paths, router)
}

/// What the layers know of a route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) class: Class,
    pub(crate) body_limit_bytes: Option<usize>,
    pub(crate) timeout_ms: Option<u64>,
    /// The query parameters it takes; `None` is any.
    pub(crate) query: Option<Vec<String>>,
    /// Whether it needs no credential.
    pub(crate) public: bool,
    /// Whether there is a handler.
    pub(crate) described: bool,
}

impl Route {
    /// A route that the reference does not describe.
    pub(crate) fn undescribed(method: &Method) -> Self {
        Self {
            class: class_of(method),
            body_limit_bytes: None,
            timeout_ms: None,
            query: None,
            public: false,
            described: false,
        }
    }

    /// Reads what [`Traits`] wrote.
    fn described(method: &Method, operation: &Value) -> Self {
        let number = |name: &str| operation.get(name).and_then(Value::as_u64);
        let class =
            operation.get(CLASS).cloned().and_then(|class| serde_json::from_value(class).ok());
        Self {
            class: class.unwrap_or_else(|| class_of(method)),
            body_limit_bytes: number(BODY_LIMIT).and_then(|bytes| usize::try_from(bytes).ok()),
            timeout_ms: number(TIMEOUT),
            query: operation.get(ANY_QUERY).is_none().then(|| query_parameters(operation)),
            public: is_public(operation),
            described: true,
        }
    }
}

/// Whether an operation takes callers without a credential: `security(())`.
pub(crate) fn is_public(operation: &Value) -> bool {
    let alternatives = operation.get("security").and_then(Value::as_array);
    alternatives.is_some_and(|all| {
        all.is_empty()
            || all.iter().any(|one| one.as_object().is_some_and(serde_json::Map::is_empty))
    })
}

/// By name; their values are the extractor's business.
fn query_parameters(operation: &Value) -> Vec<String> {
    let all = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let of_query = all.filter(|one| one.get("in").and_then(Value::as_str) == Some("query"));
    of_query.filter_map(|one| one.get("name")?.as_str().map(str::to_owned)).collect()
}

/// What changes something is dearer than what looks.
fn class_of(method: &Method) -> Class {
    if crate::bodies::changes(method) { Class::Write } else { Class::Read }
}

/// All routes of the reference.
#[derive(Debug, Default)]
pub(crate) struct Routes(HashMap<String, HashMap<Method, Arc<Route>>>);

impl Routes {
    /// The reference is the only source: what is not described there is not special.
    pub(crate) fn read(document: &Value) -> Self {
        let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
        let table = paths.map(|(path, item)| {
            let operations = item.as_object().into_iter().flatten();
            let routes = operations.filter_map(|(name, operation)| {
                let method = Method::from_bytes(name.to_ascii_uppercase().as_bytes()).ok()?;
                let route = Route::described(&method, operation);
                Some((method, Arc::new(route)))
            });
            (path.clone(), routes.collect())
        });
        Self(table.collect())
    }

    /// The route of a template; `HEAD` is answered by `GET`.
    pub(crate) fn find(&self, template: &str, method: &Method) -> Arc<Route> {
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        let known = self.0.get(template).and_then(|methods| methods.get(wanted));
        known.map_or_else(|| Arc::new(Route::undescribed(method)), Arc::clone)
    }
}
