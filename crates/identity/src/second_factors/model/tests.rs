//! Room `identity`: which codes are right, and when.

use proptest::prelude::*;

use super::*;

/// The seed of the examples of RFC 6238, appendix B.
const SEED: &[u8] = b"12345678901234567890";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn factor() -> Factor {
    Factor {
        id: Uuid::nil(),
        sealed_seed: Vec::new(),
        last_step: 0,
        confirmed_at: None,
        failures: 0,
        retry_at: None,
        recovery_codes_left: 0,
    }
}

#[test]
fn the_codes_are_those_of_the_standards_appendix() {
    // RFC 6238 appendix B gives eight digits; the last six are the same number modulo 10^6.
    let cases = [
        (59, 287_082),
        (1_111_111_109, 81_804),
        (1_111_111_111, 50_471),
        (1_234_567_890, 5_924),
        (2_000_000_000, 279_037),
        (20_000_000_000, 353_130),
    ];
    for (second, code) in cases {
        assert_eq!(code_at(SEED, second / STEP_S), code, "{second}");
    }
    // RFC 4226 appendix D.
    for (counter, code) in [755_224, 287_082, 359_152, 969_429, 338_314].into_iter().enumerate() {
        assert_eq!(code_at(SEED, i64::try_from(counter).expect("small")), code);
    }
}

#[test]
fn a_code_is_taken_one_step_early_or_late_and_no_further() {
    let code = code_at(SEED, 100);
    for (second, right) in [(2_969, false), (2_970, true), (3_000, true), (3_059, true)] {
        assert_eq!(find_step(SEED, code, at(second), 0).is_some(), right, "{second}");
    }
    assert_eq!(find_step(SEED, code, at(3_060), 0), None);
}

#[test]
fn a_step_is_taken_once_and_none_before_it_afterwards() {
    let now = at(3_000);
    assert_eq!(find_step(SEED, code_at(SEED, 100), now, 99), Some(100));
    assert_eq!(find_step(SEED, code_at(SEED, 100), now, 100), None, "it was used");
    assert_eq!(find_step(SEED, code_at(SEED, 99), now, 100), None, "it is older than a used one");
    assert_eq!(find_step(SEED, code_at(SEED, 101), now, 100), Some(101));
}

#[test]
fn a_recovery_code_reads_back_however_it_is_typed() {
    let bytes = [0x5a; RECOVERY_BYTES];
    let text = recovery_text(&bytes);
    assert_eq!(text.len(), 27, "{text}");
    let typed = Some(Typed::Recovery(recovery_hash(&bytes)));
    for text in [text.clone(), text.to_uppercase(), text.replace('-', " ")] {
        assert_eq!(read(&Secret::new(text)), typed);
    }
    assert_eq!(read(&Secret::new("123 456")), Some(Typed::Code(123_456)));
    for text in ["", "12345", "1234567", "abcdef", "0b1c2d"] {
        assert_eq!(read(&Secret::new(text)), None, "{text}");
    }
}

#[test]
fn whoever_guesses_has_to_wait_ever_longer() {
    let now = at(1_000);
    let after = |failures| Factor { failures, ..factor() }.wait_after_failure(now);
    assert_eq!([after(0), after(3)], [None, None]);
    assert_eq!([after(4), after(5)], [Some(at(1_030)), Some(at(1_060))]);
    assert_eq!([after(20), after(i32::MAX - 1)], [Some(at(4_600)), Some(at(4_600))]);
    let waiting = Factor { retry_at: Some(at(1_030)), ..factor() };
    assert_eq!(waiting.waits_ms(now), Some(30_000));
    assert_eq!(waiting.waits_ms(at(1_030)), None);
}

#[test]
fn the_picture_holds_what_a_generator_needs() {
    let shown = uri("Misy Bot", "ana@acme.example", SEED);
    assert_eq!(
        shown,
        "otpauth://totp/Misy%20Bot:ana%40acme.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
         &issuer=Misy%20Bot&algorithm=SHA1&digits=6&period=30"
    );
}

proptest! {
    #[test]
    fn the_code_of_now_is_right_whatever_the_seed(
        seed in prop::array::uniform20(any::<u8>()), second in 0i64..4_000_000_000,
    ) {
        let step = second.div_euclid(STEP_S);
        let code = code_at(&seed, step);
        // Another of the three steps may have the same code, one in a million.
        prop_assert!(find_step(&seed, code, at(second), 0).is_some());
        prop_assert_eq!(find_step(&seed, code, at(second), step + 1), None);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,40}") {
        let _ = read(&Secret::new(text));
    }
}
