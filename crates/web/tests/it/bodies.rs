//! Room `web`: bodies. Every fault is told at once and none repeats what was sent.

use http::Method;
use insta::assert_snapshot;
use serde_json::json;

use crate::kit::{Admin, Anonymous, JSON, TestApp};

const NOTE: &str = "/v1/notes/con_00000000000000000000000001";

#[tokio::test]
async fn a_right_body_arrives_as_it_was_sent() {
    let note = json!({
        "title": "echo", "colour": "green", "contact": "con_01k8zq5m3ge0r8v0w1x2y3z4a5", "stars": 4,
        "attachments": [
            {"kind": "link", "href": "https://example.com/a"},
            {"kind": "place", "latitude": -8.5, "longitude": 115},
        ],
        "extra": {"anything": [1, null, {"goes": true}]},
    });
    let answer = TestApp::new().post::<Admin>("/v1/notes", &note.to_string()).await;
    assert_eq!(answer.status, 201, "{answer}");
    let mut expected = note;
    expected["attachments"][1]["longitude"] = json!(115.0);
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn all_faults_of_shape_type_and_rule_come_in_one_answer() {
    let body = json!({
        "title": "", "colour": "blue", "contact": "usr_1", "stars": 300, "colur": "red",
        "attachments": [
            {"kind": "link", "href": "no link"},
            {"kind": "place", "latitude": 91, "longitude": "west"},
            {"kind": "song"},
            {"href": "https://example.com"},
            7,
        ],
    });
    let answer = TestApp::new().post::<Admin>("/v1/notes", &body.to_string()).await;
    assert_snapshot!(answer, @r#"
    422 application/problem+json
    {
      "type": "/docs/errors#request.invalid",
      "title": "The content is not valid",
      "status": 422,
      "detail": "The content has 11 faults.",
      "errors": [
        {
          "pointer": "/title",
          "detail": "has to have at least 1 character"
        },
        {
          "pointer": "/colour",
          "detail": "has to be one of `red`, `green`"
        },
        {
          "pointer": "/contact",
          "detail": "has to match `^con_[0-9a-zA-Z-]{26,36}$`"
        },
        {
          "pointer": "/attachments/1/longitude",
          "detail": "has to be a number, not a string"
        },
        {
          "pointer": "/attachments/2/kind",
          "detail": "has to be one of `link`, `place`"
        },
        {
          "pointer": "/attachments/3/kind",
          "detail": "is missing; it has to be one of `link`, `place`"
        },
        {
          "pointer": "/attachments/4",
          "detail": "has to be an object, not a number"
        },
        {
          "pointer": "/colur",
          "detail": "is not known here"
        },
        {
          "pointer": "/stars",
          "detail": "has to be an integer from 0 to 255"
        },
        {
          "pointer": "/attachments/0/href",
          "detail": "not a valid url: relative URL without a base"
        },
        {
          "pointer": "/attachments/1/latitude",
          "detail": "greater than 90"
        }
      ],
      "code": "request.invalid"
    }
    "#);
}

#[tokio::test]
async fn a_rule_is_told_beside_a_missing_member() {
    let answer = TestApp::new().post::<Admin>("/v1/notes", r#"{"title": "a", "stars": 3}"#).await;
    assert_snapshot!(answer, @r#"
    422 application/problem+json
    {
      "type": "/docs/errors#request.invalid",
      "title": "The content is not valid",
      "status": 422,
      "detail": "The content has 2 faults.",
      "errors": [
        {
          "pointer": "/colour",
          "detail": "is missing"
        },
        {
          "pointer": "/stars",
          "detail": "has to be even"
        }
      ],
      "code": "request.invalid"
    }
    "#);
}

#[tokio::test]
async fn a_body_that_is_no_object_is_422() {
    let app = TestApp::new();
    for body in ["[]", "null", "7", "\"x\""] {
        let answer = app.post::<Admin>("/v1/notes", body).await;
        assert_eq!(answer.status, 422, "{body}");
        assert_eq!(answer.json()["errors"][0]["pointer"], "", "{answer}");
    }
}

#[tokio::test]
async fn what_was_sent_is_never_repeated() {
    let app = TestApp::new();
    for body in [
        r#"{"email": "hunter2", "password": {"hunter2": 1}}"#,
        r#"{"email": 5, "password": ["hunter2"]}"#,
        r#"{"password": "hunter2" "x""#,
        r#"{"email": "a@b.example", "password": hunter2}"#,
    ] {
        let answer = app.post::<Anonymous>("/v1/auth/login", body).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{answer}");
        assert!(!answer.to_string().contains("hunter2"), "{answer}");
    }
}

#[tokio::test]
async fn broken_json_is_400_and_says_where() {
    let answer =
        TestApp::new().post::<Admin>("/v1/notes", "{\"title\": \"a\",\n \"stars\": }").await;
    assert_snapshot!(answer, @r#"
    400 application/problem+json
    {
      "type": "/docs/errors#request.malformed",
      "title": "The request cannot be read",
      "status": 400,
      "detail": "The body is not valid JSON: expected value at line 2 column 11.",
      "code": "request.malformed"
    }
    "#);
}

#[tokio::test]
async fn a_key_twice_in_an_object_is_400() {
    let body = r#"{"title": "a", "title": "b", "colour": "red", "stars": 2}"#;
    let answer = TestApp::new().post::<Admin>("/v1/notes", body).await;
    assert_eq!(answer.status, 400, "{answer}");
}

#[tokio::test]
async fn another_content_type_is_415() {
    let app = TestApp::new();
    let send = |kind: &'static str| {
        let app = &app;
        async move {
            let headers: &[_] = if kind.is_empty() { &[] } else { &[("content-type", kind)] };
            app.send::<Admin>(Method::POST, "/v1/notes", headers, "{}").await
        }
    };
    assert_snapshot!(send("text/plain").await, @r#"
    415 application/problem+json
    {
      "type": "/docs/errors#request.unsupported_media_type",
      "title": "The content type is not supported",
      "status": 415,
      "detail": "The content type has to be `application/json`, in UTF-8.",
      "code": "request.unsupported_media_type"
    }
    "#);
    for kind in [
        "",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin1",
        "application/jsonx",
    ] {
        assert_eq!(send(kind).await.status, 415, "{kind}");
    }
    for kind in ["application/json", "Application/JSON; charset=\"UTF-8\""] {
        assert_eq!(send(kind).await.status, 422, "{kind}");
    }
}

#[tokio::test]
async fn a_patch_tells_null_from_absent() {
    let app = TestApp::new();
    let patch = async |kind, body| app.send::<Admin>(Method::PATCH, NOTE, &[kind], body).await;
    let stays = patch(JSON, r#"{"title": "new"}"#).await;
    assert_eq!(stays.json(), json!({"title": "new", "contact": "stays"}), "{stays}");
    let goes =
        patch(("content-type", "application/merge-patch+json"), r#"{"contact": null}"#).await;
    assert_eq!(goes.json(), json!({"title": null, "contact": "goes"}), "{goes}");
    let id = "con_00000000000000000000000005";
    let set = patch(JSON, r#"{"contact": "con_00000000000000000000000005"}"#).await;
    assert_eq!(set.json()["contact"], id);
    let wrong = patch(JSON, r#"{"contact": 5, "title": "", "x": 1}"#).await;
    assert_snapshot!(wrong, @r#"
    422 application/problem+json
    {
      "type": "/docs/errors#request.invalid",
      "title": "The content is not valid",
      "status": 422,
      "detail": "The content has 3 faults.",
      "errors": [
        {
          "pointer": "/contact",
          "detail": "has to be a string, not a number"
        },
        {
          "pointer": "/x",
          "detail": "is not known here"
        },
        {
          "pointer": "/title",
          "detail": "length is lower than 1"
        }
      ],
      "code": "request.invalid"
    }
    "#);
    assert_eq!(patch(("content-type", "application/json-patch+json"), "[]").await.status, 415);
}

#[tokio::test]
async fn who_asks_comes_before_what_they_sent() {
    let app = TestApp::new();
    assert_eq!(app.post::<Anonymous>("/v1/notes", "{broken").await.status, 401);
    assert_eq!(app.get::<Anonymous>("/v1/notes?x=1&limit=0").await.status, 401);
}
