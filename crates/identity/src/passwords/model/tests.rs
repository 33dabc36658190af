//! Room `identity`: what must hold of passwords.

use super::*;
use proptest::prelude::*;

fn cheap(salt: &[u8]) -> Recipe {
    Recipe { memory_kib: 64, passes: 1, lanes: 1, salt: salt.to_vec() }
}

fn stored(salt: &[u8], password: &str) -> Stored {
    Stored::new(cheap(salt), &Secret::new(password), &mut Memory::new()).expect("the cost is valid")
}

fn detail(password: &str, about: &[&str]) -> Option<String> {
    match check(&Secret::new(password), about, "/password") {
        Err(Error::Weak(fault)) => Some(fault.detail),
        _ => None,
    }
}

#[test]
fn a_password_that_is_short_long_common_or_monotonous_is_refused_with_the_reason() {
    assert!(detail("elevenchars", &[]).is_some_and(|text| text.contains("at least 12")));
    assert!(detail(&"long".repeat(65), &[]).is_some_and(|text| text.contains("at most 256")));
    assert!(detail("Password1234", &[]).is_some_and(|text| text.contains("first")));
    assert!(detail("ana@acme.example", &["Ana@acme.example"]).is_some());
    for guessable in ["abababababab", "Password12345!", "qwertyuiop1234"] {
        let told = detail(guessable, &[]);
        assert!(told.is_some_and(|text| text.contains("too easy to guess")), "{guessable}");
    }
    assert!(detail("AnaRoyAnaRoy", &["ana.roy@acme.example", "Ana Roy"]).is_some());
    assert_eq!(detail("misty birch canoe tax", &["ana@acme.example"]), None);
    assert_eq!(detail("a wise old owl", &["ana@acme.example"]), None);
}

#[test]
fn length_is_counted_in_characters_and_not_in_bytes() {
    assert_eq!(detail("пароль-як-ключ", &[]), None);
    assert!(detail("ключ-ключ-к", &[]).is_some());
}

#[test]
fn every_realm_whose_password_it_is_matches() {
    let all = [
        stored(b"salt-of-ana-salt", "first"),
        stored(b"salt-of-ana-salt", "second"),
        stored(b"another-old-salt", "first"),
    ];
    let matches = |password: &str| {
        find_matches(&Secret::new(password), cheap(b"salt-of-ana-salt"), &all, &mut Memory::new())
            .expect("computes")
    };
    assert_eq!(matches("first"), [0, 2]);
    assert_eq!(matches("second"), [1]);
    assert!(matches("third").is_empty());
}

/// What another password has left there is written over, whatever that one cost.
#[test]
fn memory_that_was_used_before_gives_the_same_hash() {
    let password = Secret::new("a wise old owl");
    let fresh = stored(b"salt-of-ana-salt", "a wise old owl");
    let mut used = vec![argon2::Block::new(); 700];
    for block in &mut used {
        block.as_mut().fill(u64::MAX);
    }
    for _ in 0..2 {
        let again = Stored::new(cheap(b"salt-of-ana-salt"), &password, &mut used).expect("it can");
        assert_eq!(again.to_string(), fresh.to_string());
        Stored::new(cheap(b"salt-of-ben-salt"), &Secret::new("x"), &mut used).expect("it can");
    }
}

/// Made by the reference implementation: `echo -n password | argon2 somesalt -id -t 2 -k 256 -p 1`.
#[test]
fn a_hash_of_the_reference_implementation_is_read_and_matches() {
    let phc = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$\
               nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let stored: Stored = phc.parse().expect("valid");
    let (password, mut memory) = (Secret::new("password"), Memory::new());
    let found = find_matches(&password, cheap(b"unrelated"), &[stored], &mut memory);
    assert_eq!(found, Ok(vec![0]));
}

#[test]
fn the_usual_recipe_depends_on_key_and_address_only() {
    let (one, other) = (crypto::Key::new([1; 32]), crypto::Key::new([2; 32]));
    assert_eq!(Recipe::of_email(&one, "a@b.example"), Recipe::of_email(&one, "a@b.example"));
    assert_ne!(Recipe::of_email(&one, "a@b.example"), Recipe::of_email(&one, "b@b.example"));
    assert_ne!(Recipe::of_email(&one, "a@b.example"), Recipe::of_email(&other, "a@b.example"));
}

proptest! {
    #[test]
    fn what_is_stored_reads_back(salt: [u8; 16], tag: [u8; 32], memory_kib: u32, passes: u32) {
        let recipe = Recipe { memory_kib, passes, lanes: 1, salt: salt.to_vec() };
        let stored = Stored { recipe, tag };
        prop_assert!(stored.to_string().parse::<Stored>().is_ok_and(|read| read == stored));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,80}") {
        let _ = text.parse::<Stored>();
        let _ = format!("$argon2id$v=19${text}").parse::<Stored>();
    }
}
