//! Room `conversation`: how a text is cut into passages: at its headings, between its paragraphs,
//! and within a paragraph that is too long at the end of a sentence.

use unicode_segmentation::UnicodeSegmentation;

/// The longest passage, in characters: what one message can say.
pub(crate) const PASSAGE_CHARS_MAX: usize = 900;

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passage {
    /// Under which heading it stands; the document's title before the first one.
    pub(crate) heading: String,
    /// What it says.
    pub(crate) text: String,
}

/// The passages of a text, in its order. Nothing of the text is lost but white space between
/// paragraphs and the marks of headings.
pub(crate) fn cut(title: &str, text: &str) -> Vec<Passage> {
    let mut passages = Vec::new();
    let mut heading = title.to_owned();
    let mut open = String::new();
    for paragraph in paragraphs(text) {
        if let Some(next) = as_heading(&paragraph) {
            close(&mut passages, &heading, &mut open);
            next.clone_into(&mut heading);
            continue;
        }
        for piece in pieces(&paragraph) {
            let long = open.chars().count() + 2 + piece.chars().count() > PASSAGE_CHARS_MAX;
            if long {
                close(&mut passages, &heading, &mut open);
            }
            if !open.is_empty() {
                open.push_str("\n\n");
            }
            open.push_str(&piece);
        }
    }
    close(&mut passages, &heading, &mut open);
    passages
}

fn close(passages: &mut Vec<Passage>, heading: &str, open: &mut String) {
    if !open.is_empty() {
        let (heading, text) = (heading.to_owned(), std::mem::take(open));
        passages.push(Passage { heading, text });
    }
}

/// Runs of lines that are not empty. A heading is a paragraph of its own, whatever is next to it.
fn paragraphs(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for line in text.lines() {
        let line = line.trim_end();
        if line.trim().is_empty() || as_heading(line).is_some() {
            all.extend([line.to_owned(), String::new()]);
            continue;
        }
        let last = all.last_mut().expect("it begins with one, and none is ever taken away");
        if !last.is_empty() {
            last.push('\n');
        }
        last.push_str(line);
    }
    all.retain(|paragraph| !paragraph.trim().is_empty());
    all
}

/// The text of a heading of Markdown (<https://spec.commonmark.org/0.31.2/#atx-headings>).
fn as_heading(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    let text = rest.strip_prefix(' ')?.trim().trim_end_matches('#').trim_end();
    ((1..=6).contains(&level) && !text.is_empty()).then_some(text)
}

/// A paragraph in pieces that fit: whole, else by sentences, else by words, else by characters.
fn pieces(paragraph: &str) -> Vec<String> {
    if paragraph.chars().count() <= PASSAGE_CHARS_MAX {
        return vec![paragraph.to_owned()];
    }
    let sentences = paragraph.split_sentence_bounds();
    let parts = sentences.flat_map(|sentence| {
        let long = sentence.chars().count() > PASSAGE_CHARS_MAX;
        if long { split_long(sentence) } else { vec![sentence.to_owned()] }
    });
    joined(parts)
}

/// By words, and a word that does not fit by what is seen as one character; should even that not
/// fit, by its code points.
fn split_long(sentence: &str) -> Vec<String> {
    let fits = |part: &str| part.chars().count() <= PASSAGE_CHARS_MAX;
    let mut parts = Vec::new();
    for word in sentence.split_word_bounds() {
        if fits(word) {
            parts.push(word.to_owned());
            continue;
        }
        for letter in word.graphemes(true) {
            if fits(letter) {
                parts.push(letter.to_owned());
            } else {
                parts.extend(letter.chars().map(String::from));
            }
        }
    }
    joined(parts.into_iter())
}

/// Parts put together again as long as they fit.
fn joined(parts: impl Iterator<Item = String>) -> Vec<String> {
    let mut all = vec![String::new()];
    for part in parts {
        let last = all.last_mut().expect("it begins with one, and none is ever taken away");
        if last.chars().count() + part.chars().count() <= PASSAGE_CHARS_MAX {
            last.push_str(&part);
        } else {
            all.push(part);
        }
    }
    let trimmed = all.into_iter().map(|piece| piece.trim().to_owned());
    trimmed.filter(|piece| !piece.is_empty()).collect()
}
