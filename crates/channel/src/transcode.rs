//! Room `channel`: brings a message into forms that a channel can carry, deterministically and
//! without losing a word. What a channel cannot show becomes text; what is too long becomes several
//! messages, cut where people would pause.

mod split;

use crate::capability::Capability;
use crate::content::{
    Buttons, Card, Carousel, Choice, Contacts, Content, List, Location, Media, MediaKind, Section,
};
use crate::fit;

pub use split::split;

/// The messages to send instead of one, in their order. Every one of them passes [`fit::check`].
///
/// Empty if the channel can carry nothing of it: a template where there are none (its words are
/// with the provider), the taking back of a reaction where there are none, an event without a
/// sentence.
pub fn transcode(content: &Content, capability: &Capability) -> Vec<Content> {
    if fit::check(content, capability).is_ok() {
        return vec![content.clone()];
    }
    match content {
        Content::Text(one) => texts(&one.text, capability),
        Content::Media(one) => media(one, capability),
        Content::Buttons(one) => buttons(one, capability),
        Content::List(one) => list(one, capability),
        Content::Card(one) => card(one, capability),
        Content::Carousel(one) => carousel(one, capability),
        Content::Location(one) => texts(&location_text(one), capability),
        Content::Contact(one) => texts(&contact_text(one), capability),
        Content::Reaction(one) => texts(one.emoji.as_deref().unwrap_or_default(), capability),
        Content::Event(one) => texts(one.text.as_deref().unwrap_or_default(), capability),
        Content::Template(_) => Vec::new(),
    }
}

fn texts(text: &str, capability: &Capability) -> Vec<Content> {
    split(text, capability.text).into_iter().map(Content::text).collect()
}

/// Joins what is there, one part a line.
fn lines<'a>(parts: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let full = parts.into_iter().flatten().map(str::trim).filter(|part| !part.is_empty());
    full.collect::<Vec<_>>().join("\n")
}

fn media(media: &Media, capability: &Capability) -> Vec<Content> {
    let caption = media.text.as_deref();
    let bare = Content::Media(Media { text: None, ..media.clone() });
    if fit::check(&bare, capability).is_ok() {
        let mut parts = vec![bare];
        parts.extend(texts(caption.unwrap_or_default(), capability));
        return parts;
    }
    // Another kind may do: every channel that takes files at all shows a sticker as a picture.
    if media.kind == MediaKind::Sticker && capability.find_media(MediaKind::Image).is_some() {
        let picture = Media { kind: MediaKind::Image, ..media.clone() };
        return transcode(&Content::Media(picture), capability);
    }
    texts(&lines([caption, media.filename.as_deref(), media.url.as_deref()]), capability)
}

fn numbered<'a>(choices: impl Iterator<Item = &'a Choice>, first: usize) -> Vec<String> {
    let line = |(index, one): (usize, &Choice)| {
        let number = first + index;
        match &one.description {
            Some(more) => format!("{number}. {}: {more}", one.title),
            None => format!("{number}. {}", one.title),
        }
    };
    choices.enumerate().map(line).collect()
}

fn described(choices: &[Choice]) -> Option<String> {
    let line = |one: &Choice| one.description.as_ref().map(|more| format!("{}: {more}", one.title));
    let all: Vec<String> = choices.iter().filter_map(line).collect();
    (!all.is_empty()).then(|| all.join("\n"))
}

/// Puts what is too long for the form itself into texts before it. `None` if that does not help.
fn shortened(
    text: &str,
    text_max: usize,
    capability: &Capability,
    last: impl Fn(&str) -> Content,
) -> Option<Vec<Content>> {
    let limit =
        crate::capability::TextLimit { max: text_max, unit: crate::capability::Unit::Chars };
    let pieces = split(text, limit);
    let (tail, head) = pieces.split_last()?;
    let form = last(tail);
    fit::check(&form, capability).ok()?;
    let mut parts = texts(&head.join("\n"), capability);
    parts.push(form);
    Some(parts)
}

fn buttons(one: &Buttons, capability: &Capability) -> Vec<Content> {
    let described = described(&one.buttons);
    let parts =
        [one.header.as_deref(), Some(&*one.text), described.as_deref(), one.footer.as_deref()];
    let whole = lines(parts);
    let plain: Vec<Choice> =
        one.buttons.iter().map(|choice| Choice { description: None, ..choice.clone() }).collect();
    let as_buttons = |text: &str| {
        let (text, buttons) = (text.to_owned(), plain.clone());
        Content::Buttons(Buttons { text, buttons, ..Buttons::default() })
    };
    let as_list = |text: &str| {
        let section = Section { title: None, rows: one.buttons.clone() };
        Content::List(List { text: text.to_owned(), sections: vec![section], ..List::default() })
    };
    let bare = lines([one.header.as_deref(), Some(&*one.text), one.footer.as_deref()]);
    let buttons_max = capability.buttons.map_or(0, |limit| limit.text_max);
    let list_max = capability.list.map_or(0, |limit| limit.text_max);
    shortened(&whole, buttons_max, capability, as_buttons)
        .or_else(|| shortened(&bare, list_max, capability, as_list))
        .unwrap_or_else(|| {
            let choices = numbered(one.buttons.iter(), 1).join("\n");
            let parts = [one.header.as_deref(), Some(&*one.text), Some(&*choices)];
            texts(&lines(parts.into_iter().chain([one.footer.as_deref()])), capability)
        })
}

fn list(one: &List, capability: &Capability) -> Vec<Content> {
    let as_list = |text: &str| Content::List(List { text: text.to_owned(), ..one.clone() });
    let list_max = capability.list.map_or(0, |limit| limit.text_max);
    if let Some(parts) = shortened(&one.text, list_max, capability, as_list) {
        return parts;
    }
    if let [Section { title: None, rows }] = &one.sections[..] {
        let (text, rows) = (one.text.clone(), rows.clone());
        let few = Buttons { text, buttons: rows, ..Buttons::default() };
        let fits = capability.buttons.is_some_and(|limit| few.buttons.len() <= limit.max);
        if fits && capability.list.is_none() {
            return buttons(&few, capability);
        }
    }
    let mut block = vec![one.text.clone()];
    let mut first = 1;
    for section in &one.sections {
        block.extend(section.title.clone());
        block.extend(numbered(section.rows.iter(), first));
        first += section.rows.len();
    }
    texts(&lines(block.iter().map(|line| Some(line.as_str()))), capability)
}

fn card(one: &Card, capability: &Capability) -> Vec<Content> {
    let text = lines([Some(&*one.text), one.subtitle.as_deref(), one.url.as_deref()]);
    let has_buttons = !one.buttons.is_empty();
    let mut parts = Vec::new();
    if let Some(url) = &one.image_url {
        let picture = Media {
            kind: MediaKind::Image,
            text: Some(text.clone()).filter(|text| !has_buttons && !text.is_empty()),
            mime_type: None,
            filename: None,
            external_media_id: None,
            url: Some(url.clone()),
            sha256: None,
            voice: false,
            animated: false,
        };
        parts = transcode(&Content::Media(picture), capability);
    }
    if has_buttons {
        let below = Buttons { text, buttons: one.buttons.clone(), ..Buttons::default() };
        parts.extend(transcode(&Content::Buttons(below), capability));
    } else if one.image_url.is_none() {
        parts.extend(texts(&text, capability));
    }
    parts
}

fn carousel(one: &Carousel, capability: &Capability) -> Vec<Content> {
    let mut parts = texts(one.text.as_deref().unwrap_or_default(), capability);
    let cards = one.cards.iter().cloned().map(Content::Card);
    parts.extend(cards.flat_map(|card| transcode(&card, capability)));
    parts
}

fn location_text(place: &Location) -> String {
    let (north, east) = (place.latitude, place.longitude);
    let link = format!("https://www.openstreetmap.org/?mlat={north}&mlon={east}");
    lines([place.name.as_deref(), place.address.as_deref(), Some(&*link)])
}

/// The names, and every telephone number and address in the cards.
fn contact_text(one: &Contacts) -> String {
    let mut parts = vec![one.text.clone()];
    for card in &one.contacts {
        for (list, field) in [("phones", "phone"), ("emails", "email"), ("urls", "url")] {
            let found = card[list].as_array().into_iter().flatten();
            parts.extend(found.filter_map(|entry| entry[field].as_str()).map(str::to_owned));
        }
    }
    lines(parts.iter().map(|part| Some(part.as_str())))
}

#[cfg(test)]
mod tests;
