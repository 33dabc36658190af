//! Room `channel`: whether a message is in a form that a channel can carry, by its [`Capability`].

use std::collections::HashSet;

use crate::capability::{ButtonLimit, Capability, ListLimit};
use crate::content::{Buttons, Choice, Content, List, Location, Media};

/// Why a channel cannot carry a message as it is. The sentence names the limit, never the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misfit(pub &'static str);

/// Checks a message against what the channel can carry.
pub fn check(content: &Content, capability: &Capability) -> Result<(), Misfit> {
    match content {
        Content::Text(one) => {
            demand(!one.text.trim().is_empty(), "a text must not be empty")?;
            let length = capability.text.measure(&one.text);
            demand(length <= capability.text.max, "the text is too long")
        }
        Content::Media(one) => check_media(one, capability),
        Content::Buttons(one) => match &capability.buttons {
            Some(limit) => check_buttons(one, limit),
            None => Err(Misfit("the channel has no buttons")),
        },
        Content::List(one) => match &capability.list {
            Some(limit) => check_list(one, limit),
            None => Err(Misfit("the channel has no lists")),
        },
        Content::Card(_) => demand(capability.carousel_cards_max.is_some(), "it has no cards"),
        Content::Carousel(one) => {
            let max = capability.carousel_cards_max.unwrap_or(0);
            demand((1..=max).contains(&one.cards.len()), "the channel cannot carry so many cards")
        }
        Content::Location(one) => {
            demand(capability.location, "the channel shows no locations")?;
            check_location(one)
        }
        Content::Contact(one) => {
            demand(capability.contact, "the channel shows no contact cards")?;
            demand(!one.contacts.is_empty(), "there is no contact card")
        }
        Content::Template(_) => demand(capability.template, "the channel has no templates"),
        Content::Reaction(_) => demand(capability.reaction, "the channel has no reactions"),
        Content::Event(_) => Err(Misfit("an event cannot be sent")),
    }
}

fn demand(holds: bool, otherwise: &'static str) -> Result<(), Misfit> {
    if holds { Ok(()) } else { Err(Misfit(otherwise)) }
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

fn is_within(text: &str, max: usize) -> bool {
    !text.trim().is_empty() && chars(text) <= max
}

fn check_media(media: &Media, capability: &Capability) -> Result<(), Misfit> {
    let Some(limit) = capability.find_media(media.kind) else {
        return Err(Misfit("the channel does not carry this kind of file"));
    };
    let is_there = media.url.is_some() || media.external_media_id.is_some();
    demand(is_there, "the file has neither an address nor an id")?;
    let Some(caption) = &media.text else { return Ok(()) };
    let max = capability.caption_max.filter(|_| limit.caption).unwrap_or(0);
    demand(is_within(caption, max), "the caption is too long, or the file cannot have one")
}

/// Whether choices can be told apart and fit: the provider refuses doubles.
fn check_choices(choices: &[&Choice], title_max: usize, id_max: usize) -> Result<(), Misfit> {
    let fit = |one: &&&Choice| is_within(&one.title, title_max) && is_within(&one.id, id_max);
    demand(choices.iter().all(|one| fit(&one)), "a choice's title or id is too long or empty")?;
    let ids: HashSet<&str> = choices.iter().map(|one| one.id.as_str()).collect();
    demand(ids.len() == choices.len(), "two choices have the same id")
}

fn check_buttons(buttons: &Buttons, limit: &ButtonLimit) -> Result<(), Misfit> {
    let choices: Vec<&Choice> = buttons.buttons.iter().collect();
    demand((1..=limit.max).contains(&choices.len()), "there are too many buttons, or none")?;
    check_choices(&choices, limit.title_max, limit.id_max)?;
    let titles: HashSet<&str> = choices.iter().map(|one| one.title.as_str()).collect();
    demand(titles.len() == choices.len(), "two buttons have the same title")?;
    let plain = choices.iter().all(|one| one.description.is_none());
    demand(plain, "a button cannot have a description")?;
    demand(is_within(&buttons.text, limit.text_max), "the text above the buttons is too long")?;
    let line = |text: &Option<String>, max| text.as_ref().is_none_or(|text| is_within(text, max));
    demand(line(&buttons.header, limit.header_max), "the line above is too long")?;
    demand(line(&buttons.footer, limit.footer_max), "the line below is too long")
}

fn check_list(list: &List, limit: &ListLimit) -> Result<(), Misfit> {
    let rows: Vec<&Choice> = list.sections.iter().flat_map(|section| &section.rows).collect();
    demand((1..=limit.rows_max).contains(&rows.len()), "there are too many rows, or none")?;
    demand(list.sections.len() <= limit.sections_max, "there are too many sections")?;
    let full = list.sections.iter().all(|section| !section.rows.is_empty());
    demand(full, "a section is empty")?;
    check_choices(&rows, limit.row_title_max, limit.row_id_max)?;
    let described = rows.iter().filter_map(|row| row.description.as_ref());
    let short = described.clone().all(|text| is_within(text, limit.row_description_max));
    demand(short, "a row's description is too long")?;
    let mut titles = list.sections.iter().map(|section| section.title.as_deref());
    let titled = titles.all(|title| match title {
        Some(title) => is_within(title, limit.section_title_max),
        None => list.sections.len() == 1,
    });
    demand(titled, "a section's title is missing or too long")?;
    let button = list.button.as_ref().is_none_or(|text| is_within(text, limit.button_max));
    demand(button, "the text of the list's button is too long")?;
    demand(is_within(&list.text, limit.text_max), "the text above the list is too long")
}

fn check_location(place: &Location) -> Result<(), Misfit> {
    let holds =
        (-90.0..=90.0).contains(&place.latitude) && (-180.0..=180.0).contains(&place.longitude);
    demand(holds, "the place is not on Earth")
}

#[cfg(test)]
mod tests;
