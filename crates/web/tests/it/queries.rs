//! Room `web`: query parameters.

use insta::assert_snapshot;

use crate::kit::{Admin, TestApp};

async fn list(query: &str) -> crate::kit::Answer {
    TestApp::new().get::<Admin>(&format!("/v1/notes{query}")).await
}

#[tokio::test]
async fn parameters_arrive_typed() {
    let answer =
        list("?archived=true&colour=green&stars=7&limit=3&cursor=00000000000000000000000009").await;
    assert_snapshot!(answer, @r#"
    200 application/json
    {
      "archived": true,
      "colour": "green",
      "stars": 7,
      "limit": 3,
      "cursor": "00000000-0000-0000-0000-000000000009"
    }
    "#);
    assert_eq!(list("").await.json()["limit"], 50);
    assert_eq!(list("?limit=200").await.json()["limit"], 200);
}

#[tokio::test]
async fn an_unknown_parameter_is_400_and_the_known_are_listed() {
    assert_snapshot!(list("?archivd=true").await, @r#"
    400 application/problem+json
    {
      "type": "/docs/errors#request.unknown_parameter",
      "title": "A query parameter is not known",
      "status": 400,
      "detail": "This operation takes `archived`, `colour`, `stars`, `limit`, `cursor`.",
      "code": "request.unknown_parameter"
    }
    "#);
    let single = "/v1/notes/con_00000000000000000000000001?expand=all";
    assert_eq!(TestApp::new().get::<Admin>(single).await.status, 400);
}

#[tokio::test]
async fn all_faults_of_parameters_come_in_one_answer() {
    assert_snapshot!(list("?archived=yes&colour=blue&stars=11").await, @r#"
    422 application/problem+json
    {
      "type": "/docs/errors#request.invalid",
      "title": "The content is not valid",
      "status": 422,
      "detail": "A query parameter has a wrong value.",
      "errors": [
        {
          "pointer": "archived",
          "detail": "has to be `true` or `false`"
        },
        {
          "pointer": "colour",
          "detail": "has to be one of `red`, `green`"
        },
        {
          "pointer": "stars",
          "detail": "has to be at most 10"
        }
      ],
      "code": "request.invalid"
    }
    "#);
}

#[tokio::test]
async fn a_limit_outside_its_range_is_422() {
    assert_snapshot!(list("?limit=201&cursor=!").await, @r#"
    422 application/problem+json
    {
      "type": "/docs/errors#request.invalid",
      "title": "The content is not valid",
      "status": 422,
      "detail": "A query parameter has a wrong value.",
      "errors": [
        {
          "pointer": "limit",
          "detail": "has to be at most 200"
        },
        {
          "pointer": "cursor",
          "detail": "has to match `^[0-7][0-9a-z]{25}$`"
        }
      ],
      "code": "request.invalid"
    }
    "#);
    for limit in ["0", "-1", "1.5", "many", "", "99999999999999999999"] {
        assert_eq!(list(&format!("?limit={limit}")).await.status, 422, "{limit}");
    }
}

#[tokio::test]
async fn a_parameter_given_twice_is_422() {
    let answer = list("?limit=3&limit=4").await;
    assert_eq!(answer.json()["errors"][0]["detail"], "is given more than once");
}

#[tokio::test]
async fn a_query_that_is_not_utf8_is_400() {
    assert_eq!(list("?archived=%ff").await.status, 400);
}
