//! Room `sandbox`: Meta's errors, word for word where a real answer has been seen.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An answer of the Graph API that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GraphError {
    status: StatusCode,
    kind: &'static str,
    pub(crate) code: u32,
    subcode: Option<u32>,
    message: String,
    details: Option<String>,
}

/// Title and HTTP status of each code, from Meta's list "Cloud API error codes". Throttling answers
/// are 400, not 429.
const TITLES: [(u32, u16, &str); 33] = [
    (0, 401, "AuthException"),
    (1, 400, "API Unknown"),
    (2, 503, "API Service"),
    (3, 500, "API Method"),
    (4, 400, "API Too Many Calls"),
    (10, 403, "Permission Denied"),
    (33, 400, "Parameter value is not valid"),
    (100, 400, "Invalid parameter"),
    (190, 401, "Access token has expired"),
    (368, 403, "Temporarily blocked for policies violations"),
    (80007, 400, "Rate limit issues"),
    (130_429, 400, "Rate limit hit"),
    (130_472, 400, "User's number is part of an experiment"),
    (131_000, 500, "Something went wrong"),
    (131_005, 403, "Access denied"),
    (131_008, 400, "Required parameter is missing"),
    (131_009, 400, "Parameter value is not valid"),
    (131_016, 500, "Service unavailable"),
    (131_021, 400, "Recipient cannot be sender"),
    (131_026, 400, "Message undeliverable"),
    (131_031, 403, "Account has been locked"),
    (131_042, 400, "Business eligibility payment issue"),
    (131_047, 400, "Re-engagement message"),
    (131_048, 400, "Spam rate limit hit"),
    (131_049, 400, "Meta chose not to deliver"),
    (131_051, 400, "Unsupported message type"),
    (131_052, 400, "Media download error"),
    (131_053, 400, "Media upload error"),
    (131_056, 400, "(Business Account, Consumer Account) pair rate limit hit"),
    (131_057, 500, "Account in maintenance mode"),
    (132_000, 400, "Number of parameters does not match the expected number of params"),
    (132_001, 404, "Template name does not exist in the translation"),
    (132_012, 400, "Template parameter format mismatch"),
];

/// What a `failed` status says in detail.
const DETAILS: [(u32, &str); 5] = [
    (131_026, "Message undeliverable."),
    (
        131_047,
        "Message failed to send because more than 24 hours have passed since the customer last \
         replied to this number.",
    ),
    (131_052, "Failed to download the media sent by the user."),
    (131_053, "Unable to upload the media used in the message."),
    (130_472, "Failed to send message because this user's phone number is part of an experiment"),
];

/// Status and title of a code; an unlisted one is a bad request.
fn title(code: u32) -> (u16, &'static str) {
    let known = TITLES.iter().find(|(known, ..)| *known == code);
    known.map_or((400, "Something went wrong"), |(_, status, title)| (*status, title))
}

impl GraphError {
    /// The bare error of a code.
    fn new(code: u32) -> Self {
        let (status, title) = title(code);
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            kind: "OAuthException",
            code,
            subcode: None,
            message: format!("(#{code}) {title}"),
            details: None,
        }
    }

    /// An error of the messaging product: the title of its code and a detail.
    pub(crate) fn messaging(code: u32, details: impl Into<String>) -> Self {
        Self { details: Some(details.into()), ..Self::new(code) }
    }

    /// As ordered by a script.
    pub(crate) fn ordered(code: u32) -> Self {
        let details = DETAILS.iter().find(|(known, _)| *known == code).map(|(_, text)| *text);
        Self::messaging(code, details.unwrap_or("Ordered over the sandbox's script API."))
    }

    /// Code 100 with a message of its own and no detail, as the Graph layer answers before the
    /// messaging product is asked.
    pub(crate) fn parameter(message: impl std::fmt::Display) -> Self {
        Self { message: format!("(#100) {message}"), ..Self::new(100) }
    }

    /// A needed parameter is not there.
    pub(crate) fn absent(path: &str) -> Self {
        Self::parameter(format_args!("The parameter {path} is required."))
    }

    /// There is no such object, or it is another's: Meta does not tell which.
    pub(crate) fn unknown_object(method: &str, id: &str) -> Self {
        Self {
            kind: "GraphMethodException",
            subcode: Some(33),
            message: format!(
                "Unsupported {} request. Object with ID '{id}' does not exist, cannot be loaded due \
                 to missing permissions, or does not support this operation. Please read the Graph \
                 API documentation at https://developers.facebook.com/docs/graph-api",
                method.to_lowercase()
            ),
            ..Self::new(100)
        }
    }

    /// No token at all.
    pub(crate) fn no_token() -> Self {
        let message = "An access token is required to request this resource.".to_owned();
        Self { status: StatusCode::UNAUTHORIZED, code: 104, message, ..Self::new(190) }
    }

    /// A token nobody gave out.
    pub(crate) fn bad_token() -> Self {
        let message = "Invalid OAuth access token - Cannot parse access token".to_owned();
        Self { message, ..Self::new(190) }
    }

    /// A token whose time is over.
    pub(crate) fn expired_token(expired_at: misy_core::Timestamp) -> Self {
        let message = format!(
            "Error validating access token: Session has expired on {}.",
            expired_at.strftime("%A, %d-%b-%y %H:%M:%S UTC")
        );
        Self { message, subcode: Some(463), ..Self::new(190) }
    }

    /// A path the Graph API does not have.
    pub(crate) fn unknown_path(path: &str) -> Self {
        let message = format!("Unknown path components: {path}");
        Self { code: 2500, message, ..Self::new(100) }
    }

    /// A field that the object does not have.
    pub(crate) fn unknown_field(field: &str, node: &str) -> Self {
        Self::parameter(format_args!(
            "Tried accessing nonexisting field ({field}) on node type ({node})"
        ))
    }

    /// The emulator itself failed, for example to write its journal.
    pub(crate) fn broken() -> Self {
        Self::messaging(131_000, "The sandbox could not store the request.")
    }

    /// Meta's body.
    pub(crate) fn body(&self, trace_id: &str) -> Value {
        let mut error = json!({
            "message": self.message, "type": self.kind, "code": self.code, "fbtrace_id": trace_id,
        });
        if let Some(subcode) = self.subcode {
            error["error_subcode"] = subcode.into();
        }
        if let Some(details) = &self.details {
            error["error_data"] = json!({"messaging_product": "whatsapp", "details": details});
        }
        json!({ "error": error })
    }
}

impl IntoResponse for GraphError {
    /// The layer around all routes of the Graph side puts the trace id in.
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body(""))).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The element of `errors` in a `failed` status.
pub(crate) fn status_error(code: u32) -> Value {
    let (_, title) = title(code);
    let details = DETAILS.iter().find(|(known, _)| *known == code).map_or(title, |(_, text)| text);
    json!({
        "code": code, "title": title, "message": title, "error_data": {"details": details},
        "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_metas_shape() {
        let body = GraphError::messaging(131_009, "Invalid buttons count.").body("Atrace");
        let expected = json!({"error": {
            "message": "(#131009) Parameter value is not valid", "type": "OAuthException",
            "code": 131_009, "fbtrace_id": "Atrace",
            "error_data": {"messaging_product": "whatsapp", "details": "Invalid buttons count."},
        }});
        assert_eq!(body, expected);
    }

    #[test]
    fn an_unknown_object_is_100_with_subcode_33() {
        let body = GraphError::unknown_object("POST", "17").body("A");
        assert_eq!(
            (&body["error"]["code"], &body["error"]["error_subcode"]),
            (&json!(100), &json!(33))
        );
        assert!(body["error"].get("error_data").is_none());
    }
}
