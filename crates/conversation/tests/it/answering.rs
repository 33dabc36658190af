//! Room `conversation`: customers are answered from the knowledge, once, or handed over to people.

use serde_json::{Value, json};

use crate::house::{House, Shop};

const HOURS: &str = "We are open Monday to Friday from 9 to 17.";
const STUNDEN: &str = "Montag bis Freitag, 9 bis 17 Uhr.";

async fn taught(house: &House) -> Shop {
    let shop = house.shop("one").await;
    house.teach(&shop, "en", "What are your opening hours?", HOURS).await;
    house.teach(&shop, "en", "Do you deliver to Austria?", "Yes, within three days.").await;
    shop
}

#[tokio::test]
async fn a_known_question_is_answered_and_the_entry_cited() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let entry = house.teach(&shop, "en", "What are your opening hours?", HOURS).await;
    house.customer_writes(&shop, "+4911", "m1", "what are your opening hours?").await;
    assert_eq!(house.paper.texts(), [HOURS]);
    let answer = house.outbound(&shop).await;
    assert_eq!(answer["author"], json!({ "kind": "agent", "id": "knowledge" }));
    assert_eq!(answer["citations"], json!([{ "knowledge_entry_id": entry, "score": 1.0 }]));
    assert_eq!(answer["status"], "sent");
    assert_eq!(house.conversation(&shop).await["status"], "open");
}

#[tokio::test]
async fn the_answer_goes_to_every_identity_and_the_question_is_marked_as_read() {
    let house = House::new().await;
    let shop = taught(&house).await;
    let question = json!({ "kind": "message", "id": "m1", "from": ["+4911", "DE.77"],
        "text": "When are you open?" });
    house.hears(&shop, json!([question])).await;
    let taken = house.paper.taken();
    let to: Vec<_> =
        taken[0].to.0.iter().map(|claim| (claim.namespace, claim.value.0.as_str())).collect();
    assert_eq!(to, [("phone", "+4911"), ("paper_user", "DE.77")]);
    assert_eq!(house.paper.marked(), [("m1".to_owned(), true)]);
}

#[tokio::test]
async fn other_words_of_the_same_stem_find_the_entry() {
    let house = House::new().await;
    let shop = taught(&house).await;
    house.customer_writes(&shop, "+4911", "m1", "Hello, when are you open please?").await;
    house.customer_writes(&shop, "+4911", "m2", "are you delivering to austria").await;
    assert_eq!(house.paper.texts(), [HOURS, "Yes, within three days."]);
}

#[tokio::test]
async fn an_unknown_question_is_handed_over_with_one_sentence_and_no_more() {
    let house = House::new().await;
    let shop = taught(&house).await;
    house.customer_writes(&shop, "+4911", "m1", "My parcel arrived broken, what now?").await;
    let texts = house.paper.texts();
    assert_eq!(texts.len(), 1);
    assert!(texts[0].starts_with("Thank you for your message."), "{texts:?}");
    let conversation = house.conversation(&shop).await;
    assert_eq!(conversation["status"], "waiting");
    assert!(conversation["handed_over_at"].is_string());
    house.customer_writes(&shop, "+4911", "m2", "Is anybody there who can help me?").await;
    assert_eq!(house.paper.texts().len(), 1, "the sentence is said once");
}

#[tokio::test]
async fn while_no_person_leads_a_good_match_is_still_answered() {
    let house = House::new().await;
    let shop = taught(&house).await;
    house.customer_writes(&shop, "+4911", "m1", "My parcel arrived broken, what now?").await;
    house.customer_writes(&shop, "+4911", "m2", "What are your opening hours?").await;
    assert_eq!(house.paper.texts()[1], HOURS);
    assert_eq!(house.conversation(&shop).await["status"], "waiting", "the first still waits");
}

#[tokio::test]
async fn once_a_person_has_written_the_responder_is_silent_until_the_conversation_is_given_back() {
    let house = House::new().await;
    let shop = taught(&house).await;
    house.customer_writes(&shop, "+4911", "m1", "My parcel arrived broken, what now?").await;
    let path = conversation_path(&house, &shop).await;
    let reply = json!({ "content": { "type": "text", "text": "I am looking into it." } });
    house.post(&shop, &format!("{path}/messages"), reply).await.expect(202);
    house.run().await;
    house.customer_writes(&shop, "+4911", "m2", "What are your opening hours?").await;
    assert_eq!(house.paper.texts()[1..], ["I am looking into it."]);
    house.patch(&shop, &path, json!({ "status": "open" })).await.expect(200);
    house.customer_writes(&shop, "+4911", "m3", "What are your opening hours?").await;
    assert_eq!(house.paper.texts().last().map(String::as_str), Some(HOURS));
}

#[tokio::test]
async fn an_assigned_conversation_is_left_to_its_assignee() {
    let house = House::new().await;
    let shop = taught(&house).await;
    house.customer_writes(&shop, "+4911", "m1", "When are you open?").await;
    let (path, person) = (conversation_path(&house, &shop).await, house.person(&shop).await);
    let assign = json!({ "assignee_id": person });
    let assigned = house.post(&shop, &format!("{path}/assign"), assign).await.expect(200);
    assert_eq!(assigned["assignee_id"], json!(person));
    house.customer_writes(&shop, "+4911", "m2", "Do you deliver to Austria?").await;
    assert_eq!(house.paper.texts(), [HOURS]);
}

#[tokio::test]
async fn the_customers_language_decides_between_entries_and_over_the_sentence() {
    let house = House::new().await;
    let shop = taught(&house).await;
    house.teach(&shop, "de", "Wann haben Sie geöffnet?", STUNDEN).await;
    house.customer_writes(&shop, "+4911", "m1", "Hallo, wann habt ihr denn geöffnet?").await;
    assert_eq!(house.paper.texts(), [STUNDEN]);
    let lost = "Meine Bestellung ist leider immer noch nicht bei mir angekommen.";
    house.customer_writes(&shop, "+4911", "m2", lost).await;
    assert!(house.paper.texts()[1].starts_with("Vielen Dank für Ihre Nachricht."));
    let contacts = house.get(&shop, "/v1/contacts").await.expect(200);
    assert_eq!(contacts["data"][0]["language"], "de", "learnt from what the customer wrote");
}

#[tokio::test]
async fn what_is_no_text_is_handed_over_and_a_reaction_is_left_alone() {
    let house = House::new().await;
    let shop = taught(&house).await;
    let reaction = json!({ "type": "reaction", "external_message_id": "x", "emoji": "👍" });
    let place = json!({ "type": "location", "latitude": 48.2, "longitude": 16.4 });
    let event = |id: &str, content: Value| {
        let event = json!({ "kind": "message", "id": id, "from": "+4911", "content": content });
        json!([event])
    };
    house.hears(&shop, event("m1", reaction)).await;
    assert_eq!(house.conversation(&shop).await["status"], "open");
    house.hears(&shop, event("m2", place)).await;
    assert_eq!(house.conversation(&shop).await["status"], "waiting");
    assert_eq!(house.paper.texts().len(), 1);
}

#[tokio::test]
async fn a_question_that_comes_after_its_window_waits_for_a_person_in_silence() {
    let house = House::new().await;
    let shop = taught(&house).await;
    let old = json!({ "kind": "message", "id": "m1", "from": "+4911", "text": "When are you open?",
        "at": "2026-02-27T12:00:00Z" });
    house.hears(&shop, json!([old])).await;
    assert_eq!(house.paper.asked(), 0);
    assert_eq!(house.conversation(&shop).await["status"], "waiting");
}

#[tokio::test]
async fn the_same_delivery_twice_is_one_message_and_one_answer() {
    let house = House::new().await;
    let shop = taught(&house).await;
    for _ in 0..3 {
        house.customer_writes(&shop, "+4911", "m1", "When are you open?").await;
    }
    assert_eq!(house.paper.texts(), [HOURS]);
    assert_eq!(house.messages(&shop).await.len(), 2);
}

#[tokio::test]
async fn answers_keep_the_order_of_the_questions() {
    let house = House::new().await;
    let shop = taught(&house).await;
    let ask = |id: &str, text: &str| {
        let (kind, from) = ("message", "+4911");
        json!({ "kind": kind, "id": id, "from": from, "text": text })
    };
    let (hours, delivery) = ("When are you open?", "Do you deliver to Austria?");
    let batch = [ask("m1", hours), ask("m2", delivery), ask("m3", hours), ask("m4", delivery)];
    house.hears(&shop, json!(batch)).await;
    let said = house.paper.texts();
    assert_eq!(said, [HOURS, "Yes, within three days.", HOURS, "Yes, within three days."]);
}

#[tokio::test]
async fn a_tenant_answers_from_its_own_knowledge_only() {
    let house = House::new().await;
    let one = taught(&house).await;
    let two = house.shop("two").await;
    house.customer_writes(&two, "+4911", "m1", "What are your opening hours?").await;
    assert_eq!(house.conversation(&two).await["status"], "waiting");
    assert!(!house.paper.texts().contains(&HOURS.to_owned()));
    assert_eq!(house.get(&one, "/v1/contacts").await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn words_that_all_count_for_nothing_are_matched_as_they_are_written() {
    let house = House::new().await;
    let shop = taught(&house).await;
    house.teach(&shop, "en", "Who are you?", "A bicycle shop in Graz.").await;
    house.customer_writes(&shop, "+4911", "m1", "who are you").await;
    assert_eq!(house.paper.texts(), ["A bicycle shop in Graz."]);
}

#[tokio::test]
async fn a_character_that_cannot_be_stored_loses_no_message() {
    let house = House::new().await;
    let shop = taught(&house).await;
    let event = json!({ "kind": "message", "id": "m1", "from": "+4911", "name": "A\u{0}nn",
        "text": "When are\u{0} you open?", "extra": { "a\u{0}": ["\u{0}"] } });
    house.hears(&shop, json!([event])).await;
    let inbound = house.messages(&shop).await.remove(0);
    assert_eq!(inbound["content"]["text"], "When are\u{fffd} you open?");
    assert_eq!(house.paper.texts(), [HOURS]);
}

async fn conversation_path(house: &House, shop: &Shop) -> String {
    let conversation = house.conversation(shop).await;
    format!("/v1/conversations/{}", conversation["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn no_text_of_a_customer_breaks_the_search() {
    let house = House::new().await;
    let shop = taught(&house).await;
    house.teach(&shop, "xx", r"o'clock \ back | & ! :* <->", "nasty").await;
    let texts =
        ["'", r"\", "a | b & !c:*", r"o'clock \ back", "\u{202e}", "''''", r"<-> 'x' \'", "%_"];
    for (number, text) in texts.into_iter().enumerate() {
        let tally = house.customer_writes(&shop, "+4911", &format!("m{number}"), text).await;
        assert_eq!((tally.retried, tally.buried), (0, 0), "{text}");
    }
    assert!(house.paper.texts().contains(&"nasty".to_owned()));
}
