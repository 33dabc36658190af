//! Room `conversation`: customers are answered from the knowledge, once, or handed over to people.

use serde_json::json;

use crate::house::House;

const HOURS: &str = "We are open Monday to Friday from 9 to 17.";

async fn taught(house: &House) -> crate::house::Shop {
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
    assert_eq!(answer["citations"][0]["knowledge_entry_id"], json!(entry));
    assert_eq!(answer["status"], "sent");
    assert_eq!(house.conversation(&shop).await["status"], "open");
}
