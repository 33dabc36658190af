//! Room `identity`: the text of keys, and what they may do.

use super::*;
use proptest::prelude::*;

#[test]
fn a_key_is_one_word_with_a_pattern() {
    for (mode, prefix) in [(Mode::Live, "mb_live_"), (Mode::Test, "mb_test_")] {
        let id = ApiKeyId::from_uuid(Uuid::max());
        let text = text_of(mode, id, [0xff; 32]);
        assert_eq!(text.expose().len(), 92);
        assert!(text.expose().bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()));
        assert!(text.expose().starts_with(&prefix_of(mode, id)));
        assert!(text.expose().starts_with(prefix));
    }
}

fn chosen(
    role: Option<&str>,
    list: Option<&[Permission]>,
    maker: Grants,
) -> Result<Scope, Refusal> {
    scope(role, list.map(<[_]>::to_vec), maker, &RoleBook::default())
}

#[test]
fn a_key_does_no_more_than_its_maker() {
    let maker = Role::Admin.grants();
    assert!(chosen(Some("agent"), None, maker).is_ok());
    assert_eq!(chosen(Some("owner"), None, maker), Err(Refusal::Beyond(Beyond)));
    let listed = |list: &[Permission]| chosen(None, Some(list), maker);
    assert!(listed(&[Permission::MessageSend]).is_ok());
    assert_eq!(
        listed(&[Permission::MessageSend, Permission::OwnerManage]),
        Err(Refusal::Beyond(Beyond))
    );
    assert_eq!(listed(&[Permission::PlatformTenantRead]), Err(Refusal::Beyond(Beyond)));
}

#[test]
fn a_key_has_a_role_or_permissions_and_not_both_or_none() {
    let all = Role::Owner.grants();
    let one: Option<&[Permission]> = Some(&[Permission::MessageSend]);
    for (role, permissions) in [
        (None, None),
        (None, Some([].as_slice())),
        (Some("agent"), one),
        (Some("operator"), None),
        (Some("auditor"), None),
        (Some("unheard_of"), None),
    ] {
        assert!(matches!(chosen(role, permissions, all), Err(Refusal::Rule(_))), "{role:?}");
    }
}

#[test]
fn a_scope_reads_back_from_its_columns() {
    let listed = Scope::Permissions(vec![Permission::MessageSend]);
    for scope in [Scope::Role(Role::Agent), Scope::Own("lead".to_owned()), listed, Scope::Account] {
        let own: Vec<String> = scope.own().iter().map(|one| one.slug().to_owned()).collect();
        assert_eq!(Scope::from_columns(scope.role(), &own), Some(scope));
    }
    assert_eq!(Scope::from_columns(None, &["no.such".to_owned()]), None);
}

#[test]
fn a_key_is_never_more_than_its_account_and_a_test_key_sends_nothing() {
    let viewer = Effect { base: Some(Role::Viewer), permissions: Vec::new() };
    let none = Effect::default();
    let agent = Scope::Role(Role::Agent);
    let live = |account| bearer_grants(Mode::Live, &agent, &none, account);
    assert_eq!(live(None), Role::Agent.grants());
    assert_eq!(live(Some(&viewer)), Role::Viewer.grants());
    let whole = bearer_grants(Mode::Live, &Scope::Account, &none, Some(&viewer));
    assert_eq!(whole, Role::Viewer.grants());
    assert_eq!(bearer_grants(Mode::Live, &Scope::Account, &none, None), Grants::NONE);
    let test = bearer_grants(Mode::Test, &agent, &none, None);
    assert!(!test.has(Permission::MessageSend) && test.has(Permission::MessageRead));
}

#[test]
fn a_key_opens_by_its_secret_and_for_a_while_by_the_one_before() {
    let at = |second| Timestamp::from_second(second).expect("in range");
    let id = ApiKeyId::from_uuid(Uuid::from_u128(7));
    let route = Route {
        key: id,
        tenant: TenantId::from_uuid(Uuid::nil()),
        secret_hash: vec![1; 32],
        previous: Some((vec![2; 32], at(10))),
        disabled: false,
        changes: 0,
        mode: Mode::Live,
        grants: Grants::NONE,
        expires_at: None,
    };
    let shown = |byte| Presented { mode: Mode::Live, id, hash: [byte; 32] };
    assert!(route.opens(&shown(1), at(9)) && route.opens(&shown(1), at(11)));
    assert!(route.opens(&shown(2), at(9)) && !route.opens(&shown(2), at(10)));
    assert!(!route.opens(&shown(3), at(9)));
    assert!(!route.opens(&Presented { mode: Mode::Test, ..shown(1) }, at(9)));
    let disabled = Route { disabled: true, ..route };
    assert!(!disabled.opens(&shown(1), at(9)));
}

#[test]
fn an_expiry_in_the_past_is_refused() {
    let at = |second| Timestamp::from_second(second).expect("in range");
    assert!(check_expiry(Some(at(10)), at(10)).is_err());
    assert_eq!(check_expiry(Some(at(11)), at(10)), Ok(()));
    assert_eq!(check_expiry(None, at(10)), Ok(()));
}

proptest! {
    #[test]
    fn every_key_reads_back(bits: u128, secret: [u8; 32], test: bool) {
        let mode = if test { Mode::Test } else { Mode::Live };
        let id = ApiKeyId::from_uuid(Uuid::from_u128(bits));
        let text = text_of(mode, id, secret);
        prop_assert_eq!(read(&text), Some(Presented { mode, id, hash: crypto::sha256(&secret) }));
    }

    #[test]
    fn a_typing_error_is_noticed(secret: [u8; 32], at in 8usize..92, to in "[0-9a-z]") {
        let text = text_of(Mode::Live, ApiKeyId::from_uuid(Uuid::from_u128(7)), secret);
        let text = text.expose();
        prop_assume!(text[at..=at] != to);
        let typed = Secret::new(format!("{}{to}{}", &text[..at], &text[at + 1..]));
        prop_assert_eq!(read(&typed), None);
    }

    #[test]
    fn a_live_key_is_not_read_as_a_test_key(secret: [u8; 32]) {
        let text = text_of(Mode::Live, ApiKeyId::from_uuid(Uuid::from_u128(7)), secret);
        let turned = text.expose().replacen("mb_live_", "mb_test_", 1);
        prop_assert_eq!(read(&Secret::new(turned)), None);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(mb_live_)?.{0,100}") {
        prop_assert_eq!(read(&Secret::new(text)), None);
    }
}
