//! Room `integration`: rules of endpoints.

use serde_json::json;

use super::*;

fn condition(field: &str, operator: Operator, value: Option<Value>) -> Condition {
    Condition { field: field.to_owned(), operator, value }
}

fn key(byte: u8) -> SigningKey {
    SigningKey::symmetric([byte; 32])
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

#[test]
fn a_replaced_secret_stays_good_for_a_while_and_then_goes() {
    let mut secrets =
        Secrets { keys: vec![LiveKey { key: key(1), until: None }], ..Secrets::default() };
    secrets.rotate(key(2), at(100), at(200));
    let live: Vec<_> = secrets.keys.iter().map(|it| (it.key.clone(), it.until)).collect();
    assert_eq!(live, [(key(2), None), (key(1), Some(at(200)))]);
    secrets.rotate(key(3), at(150), at(900));
    let ends: Vec<_> = secrets.keys.iter().map(|it| it.until).collect();
    assert_eq!(ends, [None, Some(at(900)), Some(at(200))], "no secret lives longer by a rotation");
    secrets.rotate(key(4), at(250), at(950));
    assert_eq!(secrets.keys.len(), 3, "what was over is gone");
    for byte in 5..12 {
        secrets.rotate(key(byte), at(300), at(1_000));
    }
    assert_eq!(secrets.keys.len(), SECRETS_MAX);
}

#[test]
fn secrets_read_back() {
    let headers = BTreeMap::from([("x-token".to_owned(), Secret::new("s3"))]);
    let certificate =
        Some(ClientCertificate { certificates: "PEM".to_owned(), key: Secret::new("KEY") });
    let keys = vec![LiveKey { key: SigningKey::asymmetric([7; 32]), until: Some(at(9)) }];
    let secrets = Secrets { keys, headers, certificate, oauth: Some(Secret::new("0A")) };
    assert_eq!(Secrets::read(&secrets.write()), Some(secrets));
    let older = br#"{"keys": [], "headers": {}, "certificate": null}"#;
    assert_eq!(Secrets::read(older), Some(Secrets::default()), "from before there were tokens");
    assert_eq!(Secrets::read(b"{}"), None);
}

#[test]
fn conditions_hold_or_not() {
    let payload = json!({"data": {"a": "x", "n": 5, "list": [1, {"k": "v"}], "null": null}});
    let holds = |field, operator, value| condition(field, operator, value).holds(&payload);
    assert!(holds("/data/a", Operator::Equals, Some(json!("x"))));
    assert!(holds("/data/n", Operator::Equals, Some(json!(5.0))));
    assert!(!holds("/data/n", Operator::Equals, Some(json!("5"))));
    assert!(holds("/data/none", Operator::NotEquals, Some(json!("x"))));
    assert!(holds("/data/a", Operator::NotEquals, Some(json!(5))));
    assert!(holds("/data/a", Operator::OneOf, Some(json!(["y", "x"]))));
    assert!(holds("/data/n", Operator::Greater, Some(json!(4))));
    assert!(!holds("/data/a", Operator::Greater, Some(json!(4))));
    assert!(holds("/data/a", Operator::BeginsWith, Some(json!("x"))));
    assert!(holds("/data/null", Operator::Exists, None));
    assert!(holds("/data/list/1/k", Operator::Equals, Some(json!("v"))));
    assert!(holds("/data/none", Operator::Absent, None));
}

#[test]
fn a_condition_that_makes_no_sense_is_a_fault() {
    let fault = |field, operator, value| condition(field, operator, value).fault();
    assert!(fault("data", Operator::Exists, None).is_some());
    assert!(fault("/data", Operator::Exists, Some(json!(1))).is_some());
    assert!(fault("/data", Operator::Equals, None).is_some());
    assert!(fault("/data", Operator::OneOf, Some(json!([]))).is_some());
    assert!(fault("/data", Operator::Greater, Some(json!("9"))).is_some());
    assert!(fault("/data", Operator::Equals, Some(json!("a\0b"))).is_some());
    assert_eq!(fault("/data/0/a", Operator::Equals, Some(json!(null))), None);
}

#[test]
fn no_text_gets_out_of_its_quotes_in_a_predicate() {
    let bad = condition("/a\") || (1 == 1", Operator::Equals, Some(json!("\") || (1 == 1")));
    let text = predicate(&[bad]).expect("one condition");
    assert_eq!(text, r#"lax ($."a\") || (1 == 1" == "\") || (1 == 1")"#);
    assert_eq!(predicate(&[]), None);
}
