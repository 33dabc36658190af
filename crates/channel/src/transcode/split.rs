//! Room `channel`: cuts a long text where people would pause: between paragraphs, then sentences,
//! then words; inside a word only between characters as people see them (Unicode UAX 29).

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use crate::capability::{TextLimit, Unit};

/// The pieces of a text, each within the limit and none empty. White space at the cuts is dropped,
/// everything else stays.
pub fn split(text: &str, limit: TextLimit) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let room = room(rest, limit);
        let cut = if room == rest.len() { room } else { pause(rest, room) };
        let (piece, behind) = rest.split_at(cut);
        pieces.push(piece.trim_end().to_owned());
        rest = behind.trim_start();
    }
    pieces
}

/// How many bytes from the start are within the limit; at least one character.
fn room(text: &str, limit: TextLimit) -> usize {
    let end = match limit.unit {
        Unit::Chars => text.char_indices().nth(limit.max).map_or(text.len(), |(at, _)| at),
        Unit::Bytes if text.len() <= limit.max => text.len(),
        Unit::Bytes => text.floor_char_boundary(limit.max),
    };
    end.max(text.chars().next().map_or(0, char::len_utf8))
}

/// The best place to cut within the first `room` bytes.
fn pause(text: &str, room: usize) -> usize {
    let window = &text[..room];
    // A piece that is cut too early makes one message more; below a third it is not worth it.
    let early = room / 3;
    let paragraph = window.rfind("\n\n").or_else(|| window.rfind('\n'));
    if let Some(at) = paragraph.filter(|at| *at > early) {
        return at;
    }
    let sentence = window.split_sentence_bound_indices().last().map(|(at, _)| at);
    if let Some(at) = sentence.filter(|at| *at > early) {
        return at;
    }
    if text[room..].starts_with(char::is_whitespace) {
        return room;
    }
    if let Some(at) = window.rfind(char::is_whitespace).filter(|at| *at > 0) {
        return at;
    }
    let mut cursor = GraphemeCursor::new(room, text.len(), true);
    match cursor.is_boundary(text, 0) {
        Ok(true) => room,
        _ => cursor.prev_boundary(text, 0).ok().flatten().filter(|at| *at > 0).unwrap_or(room),
    }
}
