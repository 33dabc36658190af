//! Room `conversation`: messages are found by their words, in the tenant's own conversations alone.

use http::Method;
use misy_core::Role;
use serde_json::{Value, json};

use crate::house::{House, Shop};

const PATH: &str = "/v1/messages/search";

async fn texts(house: &House, shop: &Shop, query: &str) -> Vec<String> {
    let page = house.get(shop, &format!("{PATH}?{query}")).await.expect(200);
    let text = |one: &Value| one["content"]["text"].as_str().unwrap_or_default().to_owned();
    page["data"].as_array().expect("a list").iter().map(text).collect()
}

#[tokio::test]
async fn messages_of_every_conversation_are_found_by_their_words_newest_first() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    house.customer_writes(&shop, "+4911", "m1", "My parcel arrived broken.").await;
    house.customer_writes(&shop, "+4912", "m2", "Where is my PARCEL?").await;
    house.customer_writes(&shop, "+4912", "m3", "Nothing to do with it").await;
    let both = ["Where is my PARCEL?", "My parcel arrived broken."];
    assert_eq!(texts(&house, &shop, "q=parcel").await, both);
    assert_eq!(texts(&house, &shop, "q=broken%20parcel").await, both[1..]);
    assert_eq!(texts(&house, &shop, "q=parcels").await, Vec::<String>::new(), "as written");
    assert_eq!(texts(&house, &shop, "q=parcel%20nothing").await, Vec::<String>::new());
    assert_eq!(texts(&house, &shop, "q=%27%26%7C%21%3A*%5C%00").await, Vec::<String>::new());
    assert_eq!(texts(&house, &shop, "q=text").await, Vec::<String>::new(), "words of people only");
    let first = house.get(&shop, &format!("{PATH}?q=parcel&limit=1")).await.expect(200);
    let next = first["next_cursor"].as_str().expect("there is more");
    let rest = texts(&house, &shop, &format!("q=parcel&limit=1&cursor={next}")).await;
    assert_eq!(rest, both[1..]);
}

#[tokio::test]
async fn what_people_read_around_the_text_of_a_message_is_found() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    house.customer_writes(&shop, "+4911", "m1", "Hello").await;
    let conversation = house.conversation(&shop).await["id"].as_str().expect("an id").to_owned();
    let content = json!({ "type": "buttons", "text": "Which size do you need?", "header": "Sizes",
        "footer": "Exchange within a month", "buttons": [{ "id": "xl", "title": "XL" }] });
    let path = format!("/v1/conversations/{conversation}/messages");
    house.post(&shop, &path, json!({ "content": content })).await.expect(202);
    for words in ["q=size", "q=sizes", "q=exchange%20month"] {
        assert_eq!(texts(&house, &shop, words).await.len(), 1, "{words}");
    }
}

#[tokio::test]
async fn messages_of_another_tenant_are_not_found() {
    let house = House::new().await;
    let (one, two) = (house.shop("one").await, house.shop("two").await);
    house.customer_writes(&one, "+4911", "m1", "The canary sings at noon").await;
    house.customer_writes(&two, "+4911", "m1", "Nothing sings here").await;
    assert_eq!(texts(&house, &two, "q=canary").await, Vec::<String>::new());
    assert_eq!(texts(&house, &two, "q=sings").await, ["Nothing sings here"]);
    assert_eq!(texts(&house, &one, "q=sings").await, ["The canary sings at noon"]);
}

#[tokio::test]
async fn a_search_needs_words_and_the_right_to_read_messages() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    house.get(&shop, PATH).await.expect(422);
    house.get(&shop, &format!("{PATH}?q=a&colour=red")).await.expect(400);
    house.get(&shop, &format!("{PATH}?q={}", "a".repeat(201))).await.expect(422);
    house
        .call((&shop, Role::Viewer), Method::GET, &format!("{PATH}?q=a"), &[], None)
        .await
        .expect(200);
}
