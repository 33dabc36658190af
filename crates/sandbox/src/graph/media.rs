//! Room `sandbox`: files: what may be uploaded, how long it lives, and the signed address under
//! which its bytes are fetched.

use misy_core::{Timestamp, crypto};
use serde_json::{Value, json};

use super::checks::Scene;
use super::errors::GraphError;
use crate::model::{Account, Media};

/// Life of an uploaded file, seconds.
pub(crate) const UPLOADED_LIFE_S: i64 = 30 * 24 * 3_600;
/// Life of a file that came with a message, seconds.
pub(crate) const INBOUND_LIFE_S: i64 = 7 * 24 * 3_600;
/// Life of an address of bytes, seconds.
pub(crate) const ADDRESS_LIFE_S: i64 = 5 * 60;
/// Bytes of the largest file of all.
pub(crate) const FILE_MAX_BYTES: u64 = 100 << 20;

/// What may be uploaded: type, bytes at most, kind of message it can be part of.
const TYPES: [(&str, u64, &str); 18] = [
    ("audio/aac", 16 << 20, "audio"),
    ("audio/amr", 16 << 20, "audio"),
    ("audio/mp4", 16 << 20, "audio"),
    ("audio/mpeg", 16 << 20, "audio"),
    ("audio/ogg; codecs=opus", 16 << 20, "audio"),
    ("image/jpeg", 5 << 20, "image"),
    ("image/png", 5 << 20, "image"),
    ("image/webp", 500 << 10, "sticker"),
    ("video/3gpp", 16 << 20, "video"),
    ("video/mp4", 16 << 20, "video"),
    ("application/pdf", FILE_MAX_BYTES, "document"),
    ("text/plain", FILE_MAX_BYTES, "document"),
    ("application/msword", FILE_MAX_BYTES, "document"),
    ("application/vnd.ms-excel", FILE_MAX_BYTES, "document"),
    ("application/vnd.ms-powerpoint", FILE_MAX_BYTES, "document"),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        FILE_MAX_BYTES,
        "document",
    ),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        FILE_MAX_BYTES,
        "document",
    ),
    (
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        FILE_MAX_BYTES,
        "document",
    ),
];

/// Bytes of a sticker that does not move.
const STATIC_STICKER_MAX_BYTES: u64 = 100 << 10;

/// Types are compared without regard to case and blanks.
fn normalize(mime_type: &str) -> String {
    mime_type.to_ascii_lowercase().replace("; ", ";").replace(';', "; ")
}

/// Checks an upload and gives its type as Meta writes it.
pub(crate) fn check_upload(mime_type: &str, bytes: &[u8]) -> Result<String, GraphError> {
    let mime_type = normalize(mime_type);
    let Some((_, most, kind)) = TYPES.iter().find(|(known, ..)| *known == mime_type) else {
        let known: Vec<&str> = TYPES.iter().map(|(known, ..)| *known).collect();
        return Err(GraphError::parameter(format_args!(
            "Param file must be a file with one of the following types: {}. Received file of type \
             '{mime_type}'.",
            known.join(", ")
        )));
    };
    let moves = bytes.windows(4).take(4_096).any(|window| window == b"ANIM");
    let most = if *kind == "sticker" && !moves { STATIC_STICKER_MAX_BYTES } else { *most };
    if bytes.len() as u64 > most {
        let details =
            format!("File size is {} bytes, at most {most} bytes are allowed", bytes.len());
        return Err(GraphError::messaging(131_053, details));
    }
    if bytes.is_empty() {
        return Err(GraphError::messaging(131_053, "The file is empty"));
    }
    Ok(mime_type)
}

/// Whether a file of this type can be sent as this kind of message. Any can be sent as a document.
pub(crate) fn suits(mime_type: &str, kind: &str) -> bool {
    kind == "document"
        || TYPES.iter().any(|(known, _, suited)| *known == mime_type && *suited == kind)
}

/// The file of this id, if its time is not over.
pub(crate) fn find_alive<'a>(scene: Scene<'a>, id: &str) -> Option<&'a Media> {
    let life_s = |media: &Media| if media.inbound { INBOUND_LIFE_S } else { UPLOADED_LIFE_S };
    let age_s = |media: &Media| scene.now.duration_since(media.created_at).as_secs();
    scene.room.media.get(id).filter(|media| age_s(media) < life_s(media))
}

/// The signed address of a file's bytes, good for five minutes and only with the token.
pub(crate) fn address(base: &str, account: &Account, id: &str, now: Timestamp) -> String {
    let expires_at = now.as_second() + ADDRESS_LIFE_S;
    let hash = address_hash(account, id, expires_at);
    format!("{base}/whatsapp_business/attachments/?mid={id}&ext={expires_at}&hash={hash}")
}

/// The signature in an address.
pub(crate) fn address_hash(account: &Account, id: &str, expires_at: i64) -> String {
    let signed = format!("{id}:{expires_at}");
    crypto::to_hex(&crypto::hmac_sha256(account.app_secret.as_bytes(), signed.as_bytes()))
}

/// A file as the Graph API shows it. The hash is hexadecimal here, and base64 in webhooks.
pub(crate) fn show(media: &Media, url: &str) -> Value {
    json!({
        "messaging_product": "whatsapp", "url": url, "mime_type": media.mime_type,
        "sha256": media.sha256, "file_size": media.file_size, "id": media.id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ogg_with_opus_is_taken() {
        assert!(check_upload("audio/ogg", b"OggS").is_err());
        assert_eq!(
            check_upload("audio/ogg;codecs=opus", b"OggS"),
            Ok("audio/ogg; codecs=opus".into())
        );
    }

    #[test]
    fn a_still_sticker_is_smaller_than_one_that_moves() {
        let mut bytes = vec![0; 200 << 10];
        assert!(check_upload("image/webp", &bytes).is_err());
        bytes[30..34].copy_from_slice(b"ANIM");
        assert!(check_upload("image/webp", &bytes).is_ok());
        bytes.resize(501 << 10, 0);
        assert!(check_upload("image/webp", &bytes).is_err());
    }
}
