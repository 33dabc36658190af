//! Room `adapters`: files, as they come and as they go.

use misy_channel::content::{Content, Media, MediaKind};
use serde_json::{Map, Value};

use super::wire;
use crate::meta::values::{Fields, Id};

/// The provider's word for a kind.
pub(crate) const fn word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
        MediaKind::Document => "document",
        MediaKind::Sticker => "sticker",
    }
}

/// Reads an inbound file; `None` if there is nothing to fetch it by.
pub(crate) fn read(message: &Fields<'_>, part: &str, kind: MediaKind) -> Option<Content> {
    let file: wire::Media = message.find(part)?;
    if file.id.is_none() && file.url.is_none() {
        return None;
    }
    Some(Content::Media(Media {
        kind,
        text: file.caption.filter(|caption| !caption.is_empty()),
        mime_type: file.mime_type,
        filename: file.filename,
        external_media_id: file.id.map(|Id(id)| id),
        url: file.url,
        sha256: file.sha256,
        voice: file.voice,
        animated: file.animated,
    }))
}

/// Writes an outbound file: by the provider's own id if there is one, else by a link that the
/// provider fetches.
pub(crate) fn write(media: &Media) -> Value {
    let mut object = Map::new();
    match (&media.external_media_id, &media.url) {
        (Some(id), _) => object.insert("id".to_owned(), id.as_str().into()),
        (None, link) => object.insert("link".to_owned(), link.as_deref().into()),
    };
    if let Some(caption) = &media.text {
        object.insert("caption".to_owned(), caption.as_str().into());
    }
    if let (MediaKind::Document, Some(name)) = (media.kind, &media.filename) {
        object.insert("filename".to_owned(), name.as_str().into());
    }
    if media.kind == MediaKind::Audio && media.voice {
        object.insert("voice".to_owned(), true.into());
    }
    Value::Object(object)
}
