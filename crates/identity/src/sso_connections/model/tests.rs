//! Room `identity`: what a connection may be, without a database.

use serde_json::json;

use super::*;

fn settings(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn oidc() -> Map<String, Value> {
    settings(json!({"issuer": "https://id.acme.example/realms/a", "client_id": "misy"}))
}

fn secret() -> Secrets {
    Secrets::from([("client_secret".to_owned(), Secret::new("hunter2"))])
}

fn rules() -> Rules {
    Rules {
        jit: false,
        default_role: None,
        role_ceiling: Role::Admin,
        role_mapping: Vec::new(),
        attributes: Attributes::default(),
    }
}

fn pointers(outcome: Result<(), Error>) -> Vec<String> {
    outcome.expect_err("refused").faults().into_iter().map(|fault| fault.pointer).collect()
}

#[test]
fn the_least_there_has_to_be_is_enough() {
    assert!(check(Kind::Oidc, &oidc(), &secret(), &rules()).is_ok());
    let read = OidcSettings::read(&oidc()).expect("valid");
    assert_eq!(read.algorithms, [SigningAlgorithm::RS256]);
    assert_eq!(read.scopes, ["openid", "email", "profile"]);
}

#[test]
fn every_fault_is_told_at_once() {
    let wrong = settings(json!({
        "issuer": "https://id.acme.example/?a=b", "client_id": "", "scopes": ["email"],
        "algorithms": [],
    }));
    let found = pointers(check(Kind::Oidc, &wrong, &Secrets::new(), &rules()));
    let expected = ["issuer", "client_id", "scopes", "algorithms"];
    assert_eq!(found, expected.map(|name| format!("/settings/{name}")));
}

#[test]
fn neither_none_nor_a_shared_secret_signs() {
    for algorithm in ["none", "HS256", "HS512", "RS1", "rs256"] {
        let mut wrong = oidc();
        wrong.insert("algorithms".to_owned(), json!(["RS256", algorithm]));
        let found = pointers(check(Kind::Oidc, &wrong, &secret(), &rules()));
        assert_eq!(found, ["/settings/algorithms/1"], "{algorithm}");
    }
}

#[test]
fn a_setting_that_is_not_known_is_named() {
    let mut wrong = oidc();
    wrong.insert("isuer".to_owned(), json!("x"));
    let refused = check(Kind::Oidc, &wrong, &secret(), &rules()).expect_err("refused");
    assert!(refused.faults()[0].detail.starts_with("unknown field `isuer`"), "{refused:?}");
}

#[test]
fn a_secret_is_there_exactly_if_it_is_used() {
    assert_eq!(
        pointers(check(Kind::Oidc, &oidc(), &Secrets::new(), &rules())),
        ["/secrets/client_secret"]
    );
    let mut public = oidc();
    public.insert("token_auth".to_owned(), json!("none"));
    assert!(check(Kind::Oidc, &public, &Secrets::new(), &rules()).is_ok());
    assert_eq!(
        pointers(check(Kind::Oidc, &public, &secret(), &rules())),
        ["/secrets/client_secret"]
    );
    let mut strange = secret();
    strange.insert("password".to_owned(), Secret::new("x"));
    assert_eq!(pointers(check(Kind::Oidc, &oidc(), &strange, &rules())), ["/secrets/password"]);
}

#[test]
fn no_rule_reaches_above_the_ceiling_and_no_ceiling_reaches_an_owner() {
    let high = Rules {
        default_role: Some(Role::Admin),
        role_ceiling: Role::Agent,
        role_mapping: vec![
            GroupRole { group: "a".to_owned(), role: Role::Viewer },
            GroupRole { group: "b".to_owned(), role: Role::Owner },
        ],
        ..rules()
    };
    let found = pointers(check(Kind::Oidc, &oidc(), &secret(), &high));
    assert_eq!(found, ["/default_role", "/role_mapping/1/role"]);
    for role_ceiling in [Role::Owner, Role::Operator] {
        let owner = Rules { role_ceiling, ..rules() };
        let found = pointers(check(Kind::Oidc, &oidc(), &secret(), &owner));
        assert_eq!(found, ["/role_ceiling"]);
    }
}

#[test]
fn issuers_that_are_no_plain_urls_are_refused() {
    for issuer in ["", "id.acme.example", "ftp://a", "https://", "https://a@b/", "https://a b"] {
        let mut wrong = oidc();
        wrong.insert("issuer".to_owned(), json!(issuer));
        let found = pointers(check(Kind::Oidc, &wrong, &secret(), &rules()));
        assert_eq!(found, ["/settings/issuer"], "{issuer}");
    }
}

#[test]
fn secrets_open_only_in_their_own_row() {
    let (key, tenant) = (Key::new([7; 32]), TenantId::from_uuid(uuid::Uuid::from_u128(1)));
    let id = |bits| SsoConnectionId::from_uuid(uuid::Uuid::from_u128(bits));
    let sealed = seal(&key, 1, tenant, id(1), [1; 24], &secret());
    assert_eq!(open(&key, tenant, id(1), &sealed), Ok(secret()));
    assert_eq!(open(&key, tenant, id(2), &sealed), Err(OpenError));
    let other = TenantId::from_uuid(uuid::Uuid::from_u128(2));
    assert_eq!(open(&key, other, id(1), &sealed), Err(OpenError));
}

#[test]
fn a_change_leaves_what_it_does_not_name() {
    let change = Change {
        secrets: BTreeMap::from([("client_secret".to_owned(), None)]),
        default_role: Some(Some(Role::Agent)),
        ..Change::default()
    };
    assert!(change.secrets(secret()).is_empty());
    let after = change.rules(&Rules { jit: true, ..rules() });
    assert_eq!((after.jit, after.default_role), (true, Some(Role::Agent)));
}
