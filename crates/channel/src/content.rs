//! Room `channel`: the unified message, the one shape in which every channel's messages are stored.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a message says. `type` on the wire names the variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// Plain text.
    Text(Text),
    /// One file with an optional caption.
    Media(Media),
    /// A text with buttons, or the press of one.
    Buttons(Buttons),
    /// A text with a list to choose from, or the choice.
    List(List),
    /// One card: title, picture, buttons.
    Card(Card),
    /// Cards side by side.
    Carousel(Carousel),
    /// A place.
    Location(Location),
    /// Contact cards.
    Contact(Contacts),
    /// A template that the provider approved before.
    Template(Template),
    /// An emoji on another message.
    Reaction(Reaction),
    /// Something that happened in the conversation and is no message, or that has no form of its
    /// own here; nothing is dropped.
    Event(EventContent),
}

/// Plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Text {
    /// The text.
    pub text: String,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Media {
    /// What kind of file.
    pub kind: MediaKind,
    /// The caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// MIME type as declared by the sender; not to be trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// File name as declared by the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// The provider's reference to fetch it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_media_id: Option<String>,
    /// An address to fetch it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// SHA-256 as the provider states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether it is a recorded voice note.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub voice: bool,
    /// Whether it moves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub animated: bool,
}

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// Sound.
    Audio,
    /// Any other file.
    Document,
    /// A sticker.
    Sticker,
}

/// Something to press or to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Choice {
    /// What comes back when it is chosen.
    pub id: String,
    /// What is shown.
    pub title: String,
    /// A second line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A text with buttons. Inbound, `pressed` holds the one that was pressed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Buttons {
    /// The text above the buttons, or the title of the pressed one.
    pub text: String,
    /// The buttons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Choice>,
    /// The pressed button.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressed: Option<Choice>,
    /// A line above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// A line below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
}

/// A text with a list to choose from. Inbound, `chosen` holds the choice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct List {
    /// The text above the list, or the title of the choice.
    pub text: String,
    /// The text of the button that opens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub button: Option<String>,
    /// The sections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<Section>,
    /// The choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Choice>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Section {
    /// Its heading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its rows.
    pub rows: Vec<Choice>,
}

/// One card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Card {
    /// Its heading.
    pub text: String,
    /// The line below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtitle: Option<String>,
    /// A picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// Where it leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Buttons under it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Choice>,
}

/// Cards side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Carousel {
    /// The text above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The cards.
    pub cards: Vec<Card>,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Location {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its postal address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Contact cards, each as the provider gave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Contacts {
    /// The names, for display.
    pub text: String,
    /// The cards with all their fields.
    pub contacts: Vec<Value>,
}

/// An approved template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Template {
    /// Its name at the provider.
    pub name: String,
    /// Its language, for example `de` or `en_US`.
    pub language: String,
    /// Its parameters in the provider's own form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Value>,
}

/// An emoji on another message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reaction {
    /// The provider's id of the message it is on.
    pub external_message_id: String,
    /// The emoji; `None` takes an earlier one back.
    pub emoji: Option<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventContent {
    /// What, for example `order`, `unsupported` or `number_changed`.
    pub name: String,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Everything the provider said of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

impl Content {
    /// A plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text { text: text.into() })
    }

    /// The words somebody wrote or chose, if any: what search and the responder go by. An event has
    /// none, because a provider's sentence about it is not the customer's question.
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Text(one) => Some(&one.text),
            Self::Media(one) => one.text.as_deref(),
            Self::Buttons(one) => Some(&one.text),
            Self::List(one) => Some(&one.text),
            Self::Card(one) => Some(&one.text),
            Self::Carousel(one) => one.text.as_deref(),
            Self::Contact(one) => Some(&one.text),
            Self::Location(one) => one.name.as_deref(),
            Self::Template(_) | Self::Reaction(_) | Self::Event(_) => None,
        }
    }

    /// One line for a list of conversations: the words, or the sentence of an event.
    pub fn preview(&self) -> Option<&str> {
        match self {
            Self::Event(one) => one.text.as_deref(),
            Self::Reaction(one) => one.emoji.as_deref(),
            Self::Template(one) => Some(&one.name),
            _ => self.words(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_of_an_event_is_shown_and_not_answered() {
        let event = Content::Event(EventContent {
            name: "customer_identity_changed".to_owned(),
            text: Some("User identity changed".to_owned()),
            data: Map::new(),
        });
        assert_eq!((event.words(), event.preview()), (None, Some("User identity changed")));
    }

    #[test]
    fn the_wire_form_names_its_variant() {
        let text = serde_json::to_value(Content::text("hello")).expect("plain data");
        assert_eq!(text, serde_json::json!({"type": "text", "text": "hello"}));
        assert_eq!(serde_json::from_value::<Content>(text).ok(), Some(Content::text("hello")));
    }
}
