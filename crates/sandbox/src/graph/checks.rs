//! Room `sandbox`: whether a request to `/messages` is one that Meta would accept. Limits are those
//! of Meta's reference; each is told with the code and the words that a real refusal has.

use misy_core::Timestamp;
use serde_json::Value;

use super::errors::GraphError;
use super::params::{Param, count_within};
use super::{interactive, media, templates};
use crate::names;
use crate::world::Room;

type Checked<T> = Result<T, GraphError>;

/// Characters of a text message.
pub(crate) const TEXT_MAX: usize = 4_096;
/// Characters of a caption.
pub(crate) const CAPTION_MAX: usize = 1_024;
/// Contact cards of one message.
pub(crate) const CONTACTS_MAX: usize = 257;
/// Characters of `biz_opaque_callback_data`.
pub(crate) const OPAQUE_MAX: usize = 512;

/// Types that a business can send.
const TYPES: [&str; 11] = [
    "audio",
    "contacts",
    "document",
    "image",
    "interactive",
    "location",
    "reaction",
    "sticker",
    "template",
    "text",
    "video",
];

/// Types that exist, but only from customers.
const INBOUND_TYPES: [&str; 8] =
    ["button", "edit", "order", "poll", "request_welcome", "revoke", "system", "unsupported"];

/// An acceptable request.
pub(crate) enum Request {
    /// Mark a message (and all before it) read, and perhaps show that somebody types.
    Read { message_id: String, typing: bool },
    /// Send a message.
    Send(Outgoing),
}

/// What is to be sent.
pub(crate) struct Outgoing {
    pub(crate) recipient: Recipient,
    pub(crate) kind: String,
    pub(crate) opaque: Option<String>,
    /// It is acceptable but will fail afterwards with this code.
    pub(crate) fate: Option<u32>,
    /// What is billed: `service`, or the category of the template.
    pub(crate) category: String,
}

/// To whom, as written in the request.
pub(crate) enum Recipient {
    /// `to`: the text as given, and its digits.
    Phone { input: String, digits: String },
    /// `recipient`: a business-scoped user id.
    User(String),
}

/// The account's things that a request may name, at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) room: &'a Room,
    pub(crate) now: Timestamp,
}

/// Reads and checks a request.
pub(crate) fn check(body: &Value, scene: Scene<'_>) -> Checked<Request> {
    let root = Param::root(body);
    root.object()?;
    root.need("messaging_product")?.one_of(&["whatsapp"])?;
    if root.find("status").is_some() {
        return check_read(&root, scene);
    }
    let recipient = check_recipient(&root, scene.room)?;
    let kind = check_type(&root)?;
    let opaque = root.find("biz_opaque_callback_data");
    let opaque = opaque.map(|text| text.text_up_to(OPAQUE_MAX)).transpose()?.map(str::to_owned);
    if let Some(context) = root.find("context") {
        context.only(&["message_id"])?;
        check_message_id(&context.need("message_id")?)?;
    }
    let content = root.need(&kind)?;
    let mut outgoing =
        Outgoing { recipient, kind, opaque, fate: None, category: "service".to_owned() };
    check_content(&content, scene, &mut outgoing)?;
    Ok(Request::Send(outgoing))
}

/// A read mark must name a message that was received.
fn check_read(root: &Param<'_>, scene: Scene<'_>) -> Checked<Request> {
    root.need("status")?.one_of(&["read"])?;
    let id = root.need("message_id")?;
    let message_id = check_message_id(&id)?;
    let known = scene.room.find_message(message_id);
    if known.is_none_or(|message| message.direction != names::Direction::In) {
        let details = format!("Message ID {message_id} does not exist or was not received");
        return Err(GraphError::messaging(131_009, details));
    }
    if let Some(indicator) = root.find("typing_indicator") {
        indicator.only(&["type"])?;
        indicator.need("type")?.one_of(&["text"])?;
        return Ok(Request::Read { message_id: message_id.to_owned(), typing: true });
    }
    Ok(Request::Read { message_id: message_id.to_owned(), typing: false })
}

/// If both `to` and `recipient` are given, the phone number wins, as at Meta.
fn check_recipient(root: &Param<'_>, room: &Room) -> Checked<Recipient> {
    let form = root.find("recipient_type");
    let form = form.map(|form| form.one_of(&["individual", "group"])).transpose()?;
    if form.is_some_and(|form| form == "group") {
        return Err(GraphError::messaging(131_026, "Groups are not emulated."));
    }
    let (to, recipient) = (root.find("to"), root.find("recipient"));
    let Some(to) = to else {
        let user = recipient.ok_or_else(|| GraphError::absent("to"))?;
        let id = user.text()?;
        let valid = names::is_user_id(id);
        let wrong = || GraphError::messaging(131_009, "The business-scoped user ID is malformed");
        return valid.then(|| Recipient::User(id.to_owned())).ok_or_else(wrong);
    };
    let input = to.text_or_number()?;
    let digits = names::phone_digits(&input).ok_or_else(|| {
        let details = "The phone number is malformed: Please use the format: +1234567890.";
        GraphError::messaging(131_009, details)
    })?;
    if names::phone_digits(&room.account.display_phone_number).as_ref() == Some(&digits) {
        let details = "Recipient phone number can not be the sender phone number.";
        return Err(GraphError::messaging(131_021, details));
    }
    Ok(Recipient::Phone { input, digits })
}

/// Without a type it is a text.
fn check_type(root: &Param<'_>) -> Checked<String> {
    let Some(kind) = root.find("type") else { return Ok("text".to_owned()) };
    let word = kind.text()?.to_ascii_lowercase();
    if INBOUND_TYPES.contains(&word.as_str()) {
        let details = format!("Message type {word} cannot be sent by a business.");
        return Err(GraphError::messaging(131_051, details));
    }
    kind.one_of(&TYPES)
}

/// Only the shape: a reply to a message that is gone is sent without its quotation.
fn check_message_id<'a>(id: &Param<'a>) -> Checked<&'a str> {
    let text = id.text()?;
    if text.len() > "wamid.".len() && text.starts_with("wamid.") {
        return Ok(text);
    }
    Err(GraphError::messaging(131_009, format!("Param {} is not a message ID", id.path())))
}

/// What stands under the key of the type.
fn check_content(content: &Param<'_>, scene: Scene<'_>, outgoing: &mut Outgoing) -> Checked<()> {
    match outgoing.kind.as_str() {
        "text" => check_text(content),
        "location" => check_location(content),
        "contacts" => check_contacts(content),
        "reaction" => check_reaction(content),
        "interactive" => interactive::check(content, scene, &mut outgoing.fate),
        "template" => {
            outgoing.category = templates::check(content, scene, &mut outgoing.fate)?;
            Ok(())
        }
        kind => check_media(content, kind, scene, &mut outgoing.fate),
    }
}

/// An empty body is as good as none.
fn check_text(text: &Param<'_>) -> Checked<()> {
    text.only(&["body", "preview_url"])?;
    let body = text.need("body")?;
    if body.text_up_to(TEXT_MAX)?.is_empty() {
        return Err(GraphError::absent(body.path()));
    }
    text.find("preview_url").map_or(Ok(()), |flag| flag.flag().map(drop))
}

/// A media object by id or by link. What is wrong with the file itself shows only afterwards, as a
/// `failed` status: then `fate` is set.
pub(crate) fn check_media(
    content: &Param<'_>,
    kind: &str,
    scene: Scene<'_>,
    fate: &mut Option<u32>,
) -> Checked<()> {
    let keys: &[&str] = match kind {
        "image" | "video" => &["id", "link", "caption", "provider"],
        "document" => &["id", "link", "caption", "filename", "provider"],
        "audio" => &["id", "link", "voice", "provider"],
        _ => &["id", "link", "provider"],
    };
    content.only(keys)?;
    if let Some(caption) = content.find("caption") {
        caption.text_up_to(CAPTION_MAX)?;
    }
    if let Some(name) = content.find("filename") {
        name.text()?;
    }
    if let Some(voice) = content.find("voice") {
        voice.flag()?;
    }
    match (content.find("id"), content.find("link")) {
        (Some(_), Some(_)) => Err(GraphError::parameter(format_args!(
            "Param {} must have either id or link, not both.",
            content.path()
        ))),
        (None, None) => Err(GraphError::absent(&format!("{}['link']", content.path()))),
        (None, Some(link)) => link.web_address().map(drop),
        (Some(id), None) => {
            let id = id.text_or_number()?;
            let known = media::find_alive(scene, &id).ok_or_else(|| {
                let details = format!("Media ID {id} does not exist or has expired");
                GraphError::messaging(131_009, details)
            })?;
            if !media::suits(&known.mime_type, kind) {
                *fate = Some(131_053);
            }
            Ok(())
        }
    }
}

/// Coordinates in degrees, as numbers or as texts.
fn check_location(location: &Param<'_>) -> Checked<()> {
    location.only(&["latitude", "longitude", "name", "address", "url"])?;
    location.need("latitude")?.number(-90.0, 90.0)?;
    location.need("longitude")?.number(-180.0, 180.0)?;
    for key in ["name", "address", "url"] {
        if let Some(text) = location.find(key) {
            text.text()?;
        }
    }
    Ok(())
}

/// A card needs its full name and one part of it.
fn check_contacts(contacts: &Param<'_>) -> Checked<()> {
    let cards = contacts.items()?;
    count_within("contacts", cards.len(), 1, CONTACTS_MAX)?;
    for card in cards {
        card.only(&["addresses", "birthday", "emails", "name", "org", "phones", "urls", "ims"])?;
        let name = card.need("name")?;
        let parts = ["first_name", "last_name", "middle_name", "prefix", "suffix"];
        name.only(&[
            "formatted_name",
            "first_name",
            "last_name",
            "middle_name",
            "prefix",
            "suffix",
        ])?;
        name.need("formatted_name")?.text()?;
        if !parts.iter().any(|part| name.find(part).is_some()) {
            let details = format!("{} needs one part beside formatted_name", name.path());
            return Err(GraphError::messaging(131_009, details));
        }
        for list in ["addresses", "emails", "phones", "urls"] {
            if let Some(list) = card.find(list) {
                list.items()?;
            }
        }
    }
    Ok(())
}

/// One emoji with its modifiers; an empty text takes a reaction back.
fn check_reaction(reaction: &Param<'_>) -> Checked<()> {
    reaction.only(&["message_id", "emoji"])?;
    check_message_id(&reaction.need("message_id")?)?;
    let emoji = reaction.need("emoji")?;
    let text = emoji.text()?;
    let one_sign = text.chars().count() <= 16 && !text.chars().any(char::is_alphabetic);
    if one_sign && (text.is_empty() || !text.is_ascii()) {
        return Ok(());
    }
    Err(GraphError::messaging(131_009, "Reaction emoji is not a single emoji"))
}
