//! Room `xtask`: each rule on small trees: it catches what it is for and leaves the rest alone.

use super::{Tree, check};

/// Rules and lines found in a tree of these files, `path:line rule`. Rust files get their head.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let headed = files.iter().map(|(path, text)| {
        let is_rust = path.to_ascii_lowercase().ends_with(".rs");
        let head = if is_rust { "//! Room.\n" } else { "" };
        ((*path).to_owned(), format!("{head}{text}"))
    });
    let found = check(&Tree::from_files(headed));
    found.iter().map(|it| format!("{}:{} {}", it.path, it.line, it.rule)).collect()
}

fn assert_clean(files: &[(&str, &str)]) {
    assert_eq!(found(files), [""; 0], "{files:#?}");
}

fn assert_found(files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(found(files), expected, "{files:#?}");
}

/// A file of a vertical beside the declaration of its resource.
fn in_resource(path: &str, text: &str) -> Vec<String> {
    let (folder, _) = path.rsplit_once('/').unwrap();
    let facade = format!("{folder}.rs");
    let model = format!("{folder}/model.rs");
    let mut files = vec![(path, text), (facade.as_str(), "pub mod model;")];
    if path != model {
        files.push((model.as_str(), ""));
    }
    found(&files)
}

#[test]
fn the_repository_s_own_manifests_are_read() {
    let manifest = "[package]\nname = \"misy-web\"\n[dependencies]\nmisy-jobs.workspace = true\n\
                    serde = { workspace = true, features = [\"derive\"] }\n\
                    [dev-dependencies]\nmisy-testkit.workspace = true\n";
    assert_clean(&[("crates/web/Cargo.toml", manifest), ("Cargo.toml", "[workspace]")]);
}

#[test]
fn a_dependency_without_an_arrow_is_found() {
    let manifest = "[package]\n\n[dependencies]\nmisy-web.workspace = true\n";
    assert_found(&[("crates/store/Cargo.toml", manifest)], &["crates/store/Cargo.toml:4 arrows"]);
}

#[test]
fn verticals_do_not_see_each_other_not_even_in_tests() {
    let manifest = "[dev-dependencies]\nmisy-tenancy = { workspace = true }\n";
    assert_found(
        &[("crates/identity/Cargo.toml", manifest)],
        &["crates/identity/Cargo.toml:2 arrows"],
    );
}

#[test]
fn testkit_outside_tests_is_found() {
    let manifest = "[dependencies.misy-testkit]\nworkspace = true\n";
    assert_found(&[("crates/web/Cargo.toml", manifest)], &["crates/web/Cargo.toml:1 arrows"]);
}

#[test]
fn nobody_but_server_sees_bench() {
    let manifest = "[dependencies]\nmisy-bench.workspace = true\n";
    assert_clean(&[("crates/server/Cargo.toml", manifest)]);
    assert_found(&[("crates/jobs/Cargo.toml", manifest)], &["crates/jobs/Cargo.toml:2 arrows"]);
}

#[test]
fn a_dependency_under_another_name_or_for_one_target_is_found() {
    let manifest = "[target.'cfg(unix)'.dependencies]\n\
                    words = { package = \"misy-web\", workspace = true }\n";
    assert_found(&[("crates/core/Cargo.toml", manifest)], &["crates/core/Cargo.toml:2 arrows"]);
}

#[test]
fn a_crate_without_arrows_and_xtask_with_some_are_found() {
    assert_found(
        &[
            ("crates/agent/Cargo.toml", "[package]\nname = \"misy-agent\"\n"),
            ("xtask/Cargo.toml", "[dependencies]\nmisy-core.workspace = true\n"),
        ],
        &["crates/agent/Cargo.toml:1 arrows", "xtask/Cargo.toml:2 arrows"],
    );
}

#[test]
fn a_version_or_a_path_in_a_member_is_found() {
    let manifest = "[dependencies]\nserde = \"1\"\nmisy-core = { path = \"../core\" }\n";
    assert_found(
        &[("crates/web/Cargo.toml", manifest)],
        &["crates/web/Cargo.toml:2 versions", "crates/web/Cargo.toml:3 versions"],
    );
}

#[test]
fn a_file_without_a_head_is_found() {
    let bare = Tree::from_files([("crates/web/src/lib.rs".to_owned(), "use a;\n".to_owned())]);
    assert_eq!(check(&bare)[0].rule, "head");
    assert_clean(&[("crates/web/src/lib.rs", "use a;")]);
}

#[test]
fn mod_rs_shapeless_names_and_second_test_binaries_are_found() {
    assert_found(
        &[
            ("crates/web/src/a/mod.rs", ""),
            ("crates/web/src/utils.rs", ""),
            ("crates/web/tests/it/main.rs", ""),
            ("crates/web/tests/it/helpers_of_a.rs", ""),
            ("crates/web/tests/more.rs", ""),
            ("crates/web/tests/second/main.rs", ""),
        ],
        &[
            "crates/web/src/a/mod.rs:1 no-mod-rs",
            "crates/web/src/utils.rs:1 names",
            "crates/web/tests/more.rs:1 one-test-binary",
            "crates/web/tests/second/main.rs:1 one-test-binary",
        ],
    );
}

#[test]
fn a_resource_has_five_kinds_of_file() {
    assert_clean(&[
        ("crates/identity/src/lib.rs", "pub mod users;"),
        ("crates/identity/src/config.rs", "pub struct Config;"),
        ("crates/identity/src/users.rs", "mod model;\npub use model::User;"),
        ("crates/identity/src/users/model.rs", "pub struct User;"),
        ("crates/identity/src/users/model/email.rs", ""),
        ("crates/identity/src/users/model/tests.rs", ""),
        ("crates/identity/src/users/http.rs", ""),
        ("crates/web/src/anything/extract.rs", ""),
    ]);
}

#[test]
fn a_sixth_kind_is_found() {
    assert_eq!(
        in_resource("crates/identity/src/users/queries.rs", ""),
        ["crates/identity/src/users/queries.rs:1 kinds"]
    );
}

#[test]
fn code_outside_a_resource_is_found() {
    assert_found(
        &[("crates/tenancy/src/slugs.rs", "pub fn f() {}")],
        &["crates/tenancy/src/slugs.rs:1 kinds"],
    );
    assert_found(
        &[
            ("crates/tenancy/src/slugs.rs", "mod model;\nfn f() {}"),
            ("crates/tenancy/src/slugs/model.rs", ""),
        ],
        &["crates/tenancy/src/slugs.rs:3 facade"],
    );
}

#[test]
fn a_model_is_pure() {
    let model = "crates/identity/src/users/model.rs";
    for line in [
        "use tokio_postgres::Row;",
        "use std::fmt; use axum::{Json, http};",
        "fn f(tx: &mut misy_store::TenantTx) {}",
        "use super::store;",
        "use super::{service::send, store};",
        "#[derive(postgres_types::FromSql)] struct A;",
    ] {
        let found = in_resource(model, line);
        assert_eq!(found[0], format!("{model}:2 imports"), "{line}");
    }
    let clean = "use misy_core::Code;\n// axum::Json\n#[cfg(test)]\nmod tests { use tokio::time; }\n\
                 enum Error { Store(#[from] misy_store::Error) }";
    assert_eq!(in_resource(model, clean), [""; 0]);
    assert_eq!(in_resource("crates/identity/src/users/model/email.rs", "use tokio::fs;").len(), 1);
}

#[test]
fn a_store_knows_no_web() {
    let store = "crates/tenancy/src/tenants/store.rs";
    assert_eq!(in_resource(store, "use misy_store::TenantTx;\nuse tokio_postgres::Row;"), [""; 0]);
    for line in
        ["use axum::Json;", "use misy_web::Page;", "use misy_jobs::Job;", "use super::service;"]
    {
        assert_eq!(in_resource(store, line), [format!("{store}:2 imports")], "{line}");
    }
}

#[test]
fn a_service_says_no_sql_and_no_http() {
    let service = "crates/tenancy/src/tenants/service.rs";
    let clean = "use super::{jobs::Deliver, model, store};\nuse misy_store::Db;\nuse misy_web::Authenticator;";
    assert_eq!(in_resource(service, clean), [""; 0]);
    for line in ["use tokio_postgres::Row;", "use axum::Json;", "fn f() { super::http::create() }"]
    {
        assert_eq!(in_resource(service, line), [format!("{service}:2 imports")], "{line}");
    }
}

#[test]
fn http_and_jobs_call_service_only() {
    for kind in ["http", "jobs"] {
        let file = format!("crates/conversation/src/messages/{kind}.rs");
        let clean = "use super::{model::Message, service};\nuse http::StatusCode;";
        assert_eq!(in_resource(&file, clean), [""; 0]);
        for line in [
            "use misy_store::Db;",
            "use tokio_postgres::Row;",
            "fn f() { super::store::insert() }",
            "use crate::contacts::{store};",
        ] {
            assert_eq!(in_resource(&file, line), [format!("{file}:2 imports")], "{line}");
        }
    }
}

#[test]
fn a_context_is_minted_in_few_rooms() {
    let text = "fn f() { misy_core::Ctx::mint(a) }\nfn g() { PlatformCtx::mint(b) }";
    for room in ["web", "jobs", "testkit", "core"] {
        assert_clean(&[(format!("crates/{room}/src/a.rs").as_str(), text)]);
    }
    assert_found(&[("crates/server/src/a.rs", text)], &["crates/server/src/a.rs:2 mint"]);
    assert_found(
        &[("crates/channel/src/a.rs", text)],
        &["crates/channel/src/a.rs:2 mint", "crates/channel/src/a.rs:3 mint"],
    );
    assert_found(
        &[("crates/egress/src/a.rs", "use misy_core::Ctx as C;\nfn f() { C::mint() }")],
        &["crates/egress/src/a.rs:3 mint"],
    );
    assert_clean(&[
        ("crates/channel/tests/it/main.rs", text),
        ("crates/channel/src/a/tests.rs", text),
    ]);
}

#[test]
fn the_platform_role_is_opened_in_few_rooms() {
    let text = "async fn f(db: &Db) { db.platform(&ctx).await }\nfn g(tx: &mut PlatformTx) {}";
    assert_clean(&[("crates/jobs/src/a.rs", text)]);
    assert_clean(&[
        ("crates/conversation/src/hooks.rs", ""),
        ("crates/conversation/src/hooks/service.rs", text),
    ]);
    assert_clean(&[
        ("crates/conversation/src/inbox.rs", ""),
        ("crates/conversation/src/inbox/service.rs", text),
    ]);
    assert_clean(&[
        ("crates/integration/src/sources.rs", ""),
        ("crates/integration/src/sources/store.rs", text),
    ]);
    assert_found(
        &[("crates/web/src/a.rs", text)],
        &["crates/web/src/a.rs:2 platform", "crates/web/src/a.rs:3 platform"],
    );
    assert_clean(&[("crates/web/src/a.rs", "fn platform() {}\nfn f() { platform(x.platform) }")]);
}

#[test]
fn core_touches_nothing_outside_itself() {
    for line in [
        "use std::{fmt, fs};",
        "use tokio::sync;",
        "fn f() { std::env::args() }",
        "use std::net::IpAddr;",
    ] {
        assert_found(&[("crates/core/src/a.rs", line)], &["crates/core/src/a.rs:2 pure"]);
    }
    assert_clean(&[("crates/core/src/a.rs", "use std::fmt;\nfn f(env: u8, fs: u8) {}")]);
}

#[test]
fn an_adapter_never_waits_or_stores() {
    for line in
        ["use tokio::{sync, time};", "fn f() { std::thread::sleep(d) }", "use misy_jobs::Job;"]
    {
        assert_found(&[("crates/adapters/src/a.rs", line)], &["crates/adapters/src/a.rs:2 pure"]);
    }
    assert_clean(&[("crates/adapters/src/a.rs", "use misy_egress::Io;\nfn f() { for a in b {} }")]);
}

#[test]
fn a_provider_is_named_by_its_adapter_only() {
    let text = "/// As WhatsApp does.\nfn f() { g(\"graph.facebook.com\") }\nenum A { Instagram }";
    assert_found(
        &[("crates/channel/src/a.rs", text)],
        &["crates/channel/src/a.rs:3 providers", "crates/channel/src/a.rs:4 providers"],
    );
    assert_clean(&[
        ("crates/adapters/src/whatsapp.rs", text),
        ("crates/web/src/a.rs", "#[cfg(test)]\nmod tests { const A: &str = \"whatsapp\"; }"),
        ("crates/web/src/lib.rs", "#[cfg(test)]\nmod samples;"),
        ("crates/web/src/samples.rs", "const A: &str = \"whatsapp\";"),
    ]);
}

#[test]
fn a_violation_says_where_and_what_to_do() {
    let manifest =
        ("crates/store/Cargo.toml".to_owned(), "[dependencies]\nmisy-web = \"1\"".to_owned());
    let found = check(&Tree::from_files([manifest]));
    assert_eq!(
        found[0].to_string(),
        "crates/store/Cargo.toml:2: arrows: there is no arrow store -> web: put the word or trait \
         into a room both see, implement it above and tie it in server"
    );
}
