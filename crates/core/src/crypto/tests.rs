//! Room `core`: what must hold of sealed values.

use super::*;
use proptest::prelude::*;

fn place(row: u128) -> Place<'static> {
    Place {
        tenant: TenantId::from_uuid(Uuid::from_u128(1)),
        table: "channels",
        column: "credentials",
        row: Uuid::from_u128(row),
    }
}

fn key(byte: u8) -> Key {
    Key::new([byte; 32])
}

#[test]
fn a_value_does_not_open_in_another_row_column_table_or_tenant() {
    let sealed = seal(&key(1), 1, &place(1), [9; 24], b"token");
    let elsewhere = [
        place(2),
        Place { column: "settings", ..place(1) },
        Place { table: "keys", ..place(1) },
        Place { tenant: TenantId::from_uuid(Uuid::from_u128(2)), ..place(1) },
    ];
    assert_eq!(open(&key(1), &place(1), &sealed).expect("its own place").as_slice(), b"token");
    for other in elsewhere {
        assert_eq!(open(&key(1), &other, &sealed), Err(OpenError));
    }
}

#[test]
fn another_key_is_told_by_the_commitment() {
    let sealed = seal(&key(1), 1, &place(1), [9; 24], b"token");
    assert_eq!(open(&key(2), &place(1), &sealed), Err(OpenError));
}

#[test]
fn the_version_is_readable_without_the_key() {
    let sealed = seal(&key(1), 77, &place(1), [9; 24], b"");
    assert_eq!(sealed_version(&sealed), Some(77));
    assert_eq!(sealed_version(b"MB"), None);
}

#[test]
fn derived_keys_differ_by_purpose() {
    assert_ne!(key(1).derive("a").expose(), key(1).derive("b").expose());
    assert_eq!(key(1).derive("a").expose(), key(1).derive("a").expose());
}

/// RFC 4231, test case 2.
#[test]
fn hmac_agrees_with_the_rfc() {
    let tag = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
    let hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(to_hex(&tag), hex);
    assert!(verify_hmac_sha256(b"Jefe", b"what do ya want for nothing?", &tag));
    assert!(!verify_hmac_sha256(b"Jefe", b"what do ya want for something?", &tag));
}

proptest! {
    #[test]
    fn whatever_is_sealed_opens(plain: Vec<u8>, nonce: [u8; 24], row: u128) {
        let sealed = seal(&key(3), 1, &place(row), nonce, &plain);
        let opened = open(&key(3), &place(row), &sealed).expect("same key and place");
        prop_assert_eq!(&opened[..], &plain[..]);
    }

    #[test]
    fn a_flipped_bit_anywhere_but_in_the_version_is_noticed(
        at: prop::sample::Index, bit in 0u8..8,
    ) {
        let mut sealed = seal(&key(3), 1, &place(1), [5; 24], b"a channel's access token");
        let at = at.index(sealed.len());
        prop_assume!(!(4..8).contains(&at));
        sealed[at] ^= 1 << bit;
        prop_assert_eq!(open(&key(3), &place(1), &sealed), Err(OpenError));
    }

    #[test]
    fn garbage_never_panics(bytes: Vec<u8>) {
        let _ = open(&key(3), &place(1), &bytes);
    }
}
