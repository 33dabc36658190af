//! Room `xtask`: who may make a context and who may work across tenants.

use super::Violation;
use super::source::Token;
use super::tree::{RustFile, Tree};

const MINTS_CTX: [&str; 4] = ["core", "web", "jobs", "testkit"];
const MINTS_PLATFORM: [&str; 6] = ["core", "web", "jobs", "testkit", "server", "bench"];
const OPENS_PLATFORM: [&str; 7] =
    ["store", "tenancy", "identity", "jobs", "server", "testkit", "bench"];

/// Rule `mint`: a context is made from a verified credential or from a job's envelope, so only where
/// those are read. Code of tests may make what it likes.
pub(super) fn contexts_are_minted_where_identity_is_known(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (file, _) in tree.places() {
        let tokens = file.source.tokens();
        for window in tokens.windows(3).filter(|it| it[1].text == "::" && it[2].text == "mint") {
            found.extend(minted(file, window[0]));
        }
    }
    found
}

fn minted(file: &RustFile, owner: Token<'_>) -> Option<Violation> {
    let (what, rooms) = match owner.text {
        "PlatformCtx" => ("PlatformCtx::mint", MINTS_PLATFORM.as_slice()),
        _ => ("Ctx::mint", MINTS_CTX.as_slice()),
    };
    let advice =
        format!("{what} is for {} only: take the context as an argument", rooms.join(", "));
    (!rooms.contains(&file.room())).then(|| file.at(owner.at, "mint", advice))
}

/// Rule `platform`: the role that sees all tenants is opened by operators' work, the routing of
/// what is delivered and its way into inboxes, and sweeps.
pub(super) fn the_platform_role_is_opened_by_few(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (file, place) in tree.places() {
        if is_of_arrivals(file.room(), place) || OPENS_PLATFORM.contains(&file.room()) {
            continue;
        }
        let tokens = file.source.tokens();
        for (at, token) in tokens.iter().enumerate() {
            if token.text == "PlatformTx" || is_call(&tokens, at, "platform") {
                let advice = "work inside the tenant of the Ctx; across tenants only tenancy, \
                              identity, jobs, conversation's hooks and inbox and \
                              integration's sources may work";
                found.push(file.at(token.at, "platform", advice.to_owned()));
            }
        }
    }
    found
}

/// Whether a file is of what is delivered: of its routing, or of its way into inboxes.
fn is_of_arrivals(room: &str, place: &str) -> bool {
    let first = place.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    match room {
        "conversation" => first.starts_with("hooks") || first == "inbox",
        "integration" => first == "sources",
        _ => false,
    }
}

fn is_call(tokens: &[Token<'_>], at: usize, name: &str) -> bool {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    at > 0 && text(at - 1) == "." && text(at) == name && text(at + 1) == "("
}
