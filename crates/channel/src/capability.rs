//! Room `channel`: what a channel can carry, as data.

use serde::Serialize;

use crate::content::MediaKind;

/// In what a length limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Unicode scalar values.
    Chars,
    /// Bytes of UTF-8.
    Bytes,
}

/// The longest text a channel takes in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct TextLimit {
    /// How many units.
    pub max: usize,
    /// Which unit.
    pub unit: Unit,
}

impl TextLimit {
    /// The length of a text in this limit's unit.
    pub fn measure(self, text: &str) -> usize {
        match self.unit {
            Unit::Chars => text.chars().count(),
            Unit::Bytes => text.len(),
        }
    }
}

/// Buttons under a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ButtonLimit {
    /// Longest text above them, in characters.
    pub text_max: usize,
    /// Longest line above the text, in characters; 0 if there is none.
    pub header_max: usize,
    /// Longest line below the text, in characters; 0 if there is none.
    pub footer_max: usize,
    /// How many.
    pub max: usize,
    /// Longest title, in characters.
    pub title_max: usize,
    /// Longest id, in characters.
    pub id_max: usize,
}

/// A list to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ListLimit {
    /// Longest text above it, in characters.
    pub text_max: usize,
    /// Rows over all sections.
    pub rows_max: usize,
    /// Sections.
    pub sections_max: usize,
    /// Longest title of a row, in characters.
    pub row_title_max: usize,
    /// Longest id of a row, in characters.
    pub row_id_max: usize,
    /// Longest description of a row, in characters.
    pub row_description_max: usize,
    /// Longest title of a section, in characters.
    pub section_title_max: usize,
    /// Longest text of the button that opens it, in characters.
    pub button_max: usize,
}

/// A kind of file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct MediaLimit {
    /// Which kind.
    pub kind: MediaKind,
    /// Whether it can have a caption.
    pub caption: bool,
    /// Largest file, in bytes.
    pub max_bytes: u64,
    /// MIME types that need no conversion.
    pub mime: &'static [&'static str],
}

/// What a channel can carry. Data, not code: routing and transcoding decide by it,
/// `/v1/channel-types` shows it, the conformance suite runs the cases it turns on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Capability {
    /// The longest text.
    pub text: TextLimit,
    /// The longest caption of a file, in characters.
    pub caption_max: Option<usize>,
    /// Buttons, if it has them.
    pub buttons: Option<ButtonLimit>,
    /// Lists, if it has them.
    pub list: Option<ListLimit>,
    /// Cards in a carousel, if it has them.
    pub carousel_cards_max: Option<usize>,
    /// Files it takes.
    pub media: Vec<MediaLimit>,
    /// Whether it shows a location.
    pub location: bool,
    /// Whether it shows a contact card.
    pub contact: bool,
    /// Whether it shows templates that were approved before.
    pub template: bool,
    /// Whether it shows a reaction to a message.
    pub reaction: bool,
    /// Whether an answer can quote the message it answers.
    pub reply: bool,
    /// Whether the customer sees that we type.
    pub typing: bool,
    /// Whether it tells that a message was delivered.
    pub delivered: bool,
    /// Whether it tells that a message was read.
    pub read: bool,
    /// How many hours after the customer's last message free text may be sent; `None` is without
    /// end.
    pub window_hours: Option<u32>,
}

impl Capability {
    /// What it takes of a kind of file.
    pub fn find_media(&self, kind: MediaKind) -> Option<&MediaLimit> {
        self.media.iter().find(|one| one.kind == kind)
    }
}
