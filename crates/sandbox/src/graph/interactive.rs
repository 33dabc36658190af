//! Room `sandbox`: the limits of interactive messages.

use super::checks::{Scene, check_media};
use super::errors::GraphError;
use super::params::{Param, count_within, distinct};

type Checked<T> = Result<T, GraphError>;

/// Characters of the body of an interactive message.
pub(crate) const BODY_MAX: usize = 1_024;
/// Characters of a text header.
pub(crate) const HEADER_MAX: usize = 60;
/// Characters of the footer.
pub(crate) const FOOTER_MAX: usize = 60;
/// Reply buttons of one message.
pub(crate) const BUTTONS_MAX: usize = 3;
/// Characters of a reply button's title; also of a list's button and of a link's text.
pub(crate) const BUTTON_TITLE_MAX: usize = 20;
/// Characters of a reply button's id.
pub(crate) const BUTTON_ID_MAX: usize = 256;
/// Sections of a list.
pub(crate) const SECTIONS_MAX: usize = 10;
/// Rows of a list, all sections together.
pub(crate) const ROWS_MAX: usize = 10;
/// Characters of a row's title; also of a section's.
pub(crate) const ROW_TITLE_MAX: usize = 24;
/// Characters of a row's description.
pub(crate) const ROW_DESCRIPTION_MAX: usize = 72;
/// Characters of a row's id.
pub(crate) const ROW_ID_MAX: usize = 200;
/// Characters of the button that opens a flow.
pub(crate) const FLOW_BUTTON_MAX: usize = 30;
/// Cards of a carousel, at least and at most.
pub(crate) const CARDS: (usize, usize) = (2, 10);
/// Characters of a card's body.
pub(crate) const CARD_BODY_MAX: usize = 160;
/// Products of a list of products, all sections together.
pub(crate) const PRODUCTS_MAX: usize = 30;

/// The kinds that a business can send, `voice_call` and the payment kinds included.
const TYPES: [&str; 14] = [
    "address_message",
    "button",
    "call_permission_request",
    "carousel",
    "catalog_message",
    "cta_url",
    "flow",
    "list",
    "location_request_message",
    "order_details",
    "order_status",
    "product",
    "product_list",
    "voice_call",
];

/// Checks an `interactive` object.
pub(crate) fn check(content: &Param<'_>, scene: Scene<'_>, fate: &mut Option<u32>) -> Checked<()> {
    content.only(&["type", "header", "body", "footer", "action"])?;
    let kind = content.need("type")?.one_of(&TYPES)?;
    if let Some(header) = content.find("header") {
        check_header(&header, &kind, scene, fate)?;
    }
    if kind == "product" {
        content.find("body").map_or(Ok(()), |body| check_body(&body, BODY_MAX))?;
    } else {
        check_body(&content.need("body")?, BODY_MAX)?;
    }
    if let Some(footer) = content.find("footer") {
        footer.only(&["text"])?;
        footer.need("text")?.text_within("Footer text", 0, FOOTER_MAX)?;
    }
    let action = content.need("action")?;
    match kind.as_str() {
        "button" => check_buttons(&action, "reply"),
        "list" => check_list(&action),
        "cta_url" => check_link(&action),
        "flow" => check_flow(&action),
        "location_request_message" => check_named(&action, "send_location"),
        "catalog_message" => check_named(&action, "catalog_message"),
        "carousel" => check_carousel(&action, scene, fate),
        "product_list" => check_products(content, &action),
        "product" => {
            action.need("catalog_id")?.text_or_number()?;
            action.need("product_retailer_id")?.text().map(drop)
        }
        _ => action.need("name")?.text().map(drop),
    }
}

/// Lists have only text headers.
fn check_header(
    header: &Param<'_>,
    kind: &str,
    scene: Scene<'_>,
    fate: &mut Option<u32>,
) -> Checked<()> {
    let allowed: &[&str] = match kind {
        "list" | "product_list" => &["text"],
        _ => &["text", "image", "video", "document"],
    };
    let form = header.need("type")?.one_of(allowed)?;
    header.only(&["type", form.as_str()])?;
    let content = header.need(&form)?;
    match form.as_str() {
        "text" => content.text_within("Header text", 1, HEADER_MAX).map(drop),
        media => check_media(&content, media, scene, fate),
    }
}

/// The text that every kind but a single product needs.
fn check_body(body: &Param<'_>, most: usize) -> Checked<()> {
    body.only(&["text"])?;
    body.need("text")?.text_within("Body text", 1, most).map(drop)
}

/// An action that repeats the kind's name.
fn check_named(action: &Param<'_>, name: &str) -> Checked<()> {
    action.need("name")?.one_of(&[name]).map(drop)
}

/// Ids and titles must differ: the customer's choice is told by them.
fn check_buttons(action: &Param<'_>, form: &str) -> Checked<()> {
    action.only(&["buttons"])?;
    let buttons = action.need("buttons")?.items()?;
    count_within("buttons", buttons.len(), 1, BUTTONS_MAX)?;
    let (mut ids, mut titles) = (Vec::new(), Vec::new());
    for button in buttons {
        button.only(&["type", form])?;
        button.need("type")?.one_of(&[form])?;
        let reply = button.need(form)?;
        reply.only(&["id", "title"])?;
        ids.push(reply.need("id")?.text_within("Button id", 1, BUTTON_ID_MAX)?);
        titles.push(reply.need("title")?.text_within("Button title", 1, BUTTON_TITLE_MAX)?);
    }
    distinct("button id", ids)?;
    distinct("button title", titles)
}

/// With several sections each needs a title.
fn check_list(action: &Param<'_>) -> Checked<()> {
    action.only(&["button", "sections"])?;
    action.need("button")?.text_within("Button", 1, BUTTON_TITLE_MAX)?;
    let sections = action.need("sections")?.items()?;
    count_within("sections", sections.len(), 1, SECTIONS_MAX)?;
    let (mut ids, several) = (Vec::new(), sections.len() > 1);
    for section in sections {
        section.only(&["title", "rows"])?;
        let title = if several { Some(section.need("title")?) } else { section.find("title") };
        if let Some(title) = title {
            let least = usize::from(several);
            title.text_within("Section title", least, ROW_TITLE_MAX)?;
        }
        for row in section.need("rows")?.items()? {
            ids.push(check_row(&row)?);
        }
    }
    if ids.len() > ROWS_MAX {
        let details = format!("Total row count exceed max allowed count: {ROWS_MAX}");
        return Err(GraphError::messaging(131_009, details));
    }
    count_within("rows", ids.len(), 1, ROWS_MAX)?;
    distinct("row id", ids)
}

/// Gives the id, which must differ from all others.
fn check_row<'a>(row: &Param<'a>) -> Checked<&'a str> {
    row.only(&["id", "title", "description"])?;
    row.need("title")?.text_within("Row title", 1, ROW_TITLE_MAX)?;
    if let Some(description) = row.find("description") {
        description.text_within("Row description", 0, ROW_DESCRIPTION_MAX)?;
    }
    row.need("id")?.text_within("Row id", 1, ROW_ID_MAX)
}

/// A button that opens a web page.
fn check_link(action: &Param<'_>) -> Checked<()> {
    check_named(action, "cta_url")?;
    let parameters = action.need("parameters")?;
    parameters.only(&["display_text", "url"])?;
    parameters.need("display_text")?.text_within("Display text", 1, BUTTON_TITLE_MAX)?;
    parameters.need("url")?.web_address().map(drop)
}

/// A flow is named by its id or by its name.
fn check_flow(action: &Param<'_>) -> Checked<()> {
    check_named(action, "flow")?;
    let parameters = action.need("parameters")?;
    parameters.need("flow_message_version")?.text_or_number()?;
    parameters.need("flow_cta")?.text_within("Flow CTA", 1, FLOW_BUTTON_MAX)?;
    if let Some(mode) = parameters.find("mode") {
        mode.one_of(&["draft", "published"])?;
    }
    if let Some(step) = parameters.find("flow_action") {
        step.one_of(&["navigate", "data_exchange"])?;
    }
    match (parameters.find("flow_id"), parameters.find("flow_name")) {
        (Some(flow), None) | (None, Some(flow)) => flow.text_or_number().map(drop),
        _ => Err(GraphError::messaging(131_009, "Exactly one of flow_id and flow_name is needed")),
    }
}

/// Cards that each have a link or buttons.
fn check_carousel(action: &Param<'_>, scene: Scene<'_>, fate: &mut Option<u32>) -> Checked<()> {
    let cards = action.need("cards")?.items()?;
    count_within("cards", cards.len(), CARDS.0, CARDS.1)?;
    for card in cards {
        card.only(&["card_index", "type", "header", "body", "footer", "action"])?;
        card.need("card_index")?.number(0.0, 9.0)?;
        if let Some(header) = card.find("header") {
            check_header(&header, "carousel", scene, fate)?;
        }
        if let Some(body) = card.find("body") {
            check_body(&body, CARD_BODY_MAX)?;
        }
        let action = card.need("action")?;
        match action.find("buttons") {
            Some(_) => check_buttons(&action, "quick_reply")?,
            None if action.find("product_retailer_id").is_some() => {}
            None => check_link(&action)?,
        }
    }
    Ok(())
}

/// A list of products needs a header.
fn check_products(content: &Param<'_>, action: &Param<'_>) -> Checked<()> {
    content.need("header")?;
    action.need("catalog_id")?.text_or_number()?;
    let sections = action.need("sections")?.items()?;
    count_within("sections", sections.len(), 1, SECTIONS_MAX)?;
    let (mut products, several) = (0, sections.len() > 1);
    for section in sections {
        let title = if several { Some(section.need("title")?) } else { section.find("title") };
        if let Some(title) = title {
            title.text_within("Section title", 1, ROW_TITLE_MAX)?;
        }
        for item in section.need("product_items")?.items()? {
            item.need("product_retailer_id")?.text()?;
            products += 1;
        }
    }
    count_within("products", products, 1, PRODUCTS_MAX)
}
