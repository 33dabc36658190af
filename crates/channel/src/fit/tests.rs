//! Room `channel`: each limit at its edge: the longest that passes, and one more.

use super::*;
use crate::capability::{MediaLimit, TextLimit, Unit};
use crate::content::{
    Carousel, Contacts, EventContent, MediaKind, Reaction, Section, Template, Text,
};

fn capability() -> Capability {
    let file = |kind, caption| MediaLimit { kind, caption, max_bytes: 1_000, mime: &[] };
    Capability {
        text: TextLimit { max: 10, unit: Unit::Bytes },
        caption_max: Some(5),
        buttons: Some(ButtonLimit {
            text_max: 10,
            header_max: 4,
            footer_max: 0,
            max: 2,
            title_max: 3,
            id_max: 3,
        }),
        list: Some(ListLimit {
            text_max: 10,
            rows_max: 3,
            sections_max: 2,
            row_title_max: 3,
            row_id_max: 3,
            row_description_max: 3,
            section_title_max: 3,
            button_max: 3,
        }),
        carousel_cards_max: Some(2),
        media: vec![file(MediaKind::Image, true), file(MediaKind::Audio, false)],
        location: true,
        contact: true,
        template: false,
        reaction: false,
        reply: true,
        typing: true,
        delivered: true,
        read: true,
        window_hours: None,
    }
}

fn fits(content: &Content) -> bool {
    check(content, &capability()).is_ok()
}

fn choice(id: &str, title: &str) -> Choice {
    Choice { id: id.to_owned(), title: title.to_owned(), description: None }
}

fn buttons(change: impl Fn(&mut Buttons)) -> bool {
    let mut one = Buttons {
        text: "0123456789".into(),
        buttons: vec![choice("abc", "Yes"), choice("def", "No")],
        header: Some("Head".into()),
        ..Buttons::default()
    };
    change(&mut one);
    fits(&Content::Buttons(one))
}

fn list(change: impl Fn(&mut List)) -> bool {
    let row = |id: &str| Choice { description: Some("yes".into()), ..choice(id, "Row") };
    let section = |title: &str, rows| Section { title: Some(title.into()), rows };
    let sections = vec![section("One", vec![row("a"), row("b")]), section("Two", vec![row("c")])];
    let mut one =
        List { text: "0123456789".into(), button: Some("See".into()), sections, chosen: None };
    change(&mut one);
    fits(&Content::List(one))
}

fn media(kind: MediaKind, text: Option<&str>, url: Option<&str>) -> bool {
    let text = text.map(str::to_owned);
    let url = url.map(str::to_owned);
    let (mime_type, filename, external_media_id, sha256) = (None, None, None, None);
    fits(&Content::Media(Media {
        kind,
        text,
        mime_type,
        filename,
        external_media_id,
        url,
        sha256,
        voice: false,
        animated: false,
    }))
}

#[test]
fn a_text_is_measured_in_the_unit_of_the_limit() {
    assert!(fits(&Content::text("0123456789")));
    assert!(!fits(&Content::text("0123456789a")));
    assert!(!fits(&Content::text("ääääää")), "twelve bytes");
    assert!(!fits(&Content::Text(Text { text: " \n".into() })));
}

#[test]
fn buttons_are_checked_in_every_part() {
    assert!(buttons(|_| {}));
    assert!(!buttons(|one| one.text.push('x')));
    assert!(!buttons(|one| one.text.clear()));
    assert!(!buttons(|one| one.header = Some("Heads".into())));
    assert!(!buttons(|one| one.footer = Some("x".into())), "there is no line below");
    assert!(!buttons(|one| one.buttons.push(choice("g", "3"))));
    assert!(!buttons(|one| one.buttons.clear()));
    assert!(!buttons(|one| one.buttons[0].title.push('x')));
    assert!(!buttons(|one| one.buttons[0].id.push('x')));
    assert!(!buttons(|one| one.buttons[0].title.clear()));
    assert!(!buttons(|one| one.buttons[1].id = "abc".into()), "the same id twice");
    assert!(!buttons(|one| one.buttons[1].title = "Yes".into()), "the same title twice");
    assert!(!buttons(|one| one.buttons[0].description = Some("x".into())));
}

#[test]
fn a_list_is_checked_in_every_part() {
    assert!(list(|_| {}));
    assert!(list(|one| one.button = None));
    assert!(!list(|one| one.button = Some("Seen".into())));
    assert!(!list(|one| one.text.push('x')));
    assert!(!list(|one| one.sections[1].rows.push(choice("d", "4th"))), "rows count in total");
    assert!(!list(|one| one.sections.clear()));
    assert!(!list(|one| one.sections[1].rows.clear()), "an empty section");
    assert!(!list(|one| one.sections[0].title = None), "one of several without a title");
    assert!(!list(|one| one.sections[0].title = Some("Four".into())));
    assert!(!list(|one| one.sections[0].rows[0].description = Some("long".into())));
    assert!(!list(|one| one.sections[0].rows[0].title.push('x')));
    assert!(!list(|one| one.sections[1].rows[0].id = "a".into()), "the same id twice");
    let single = |one: &mut List| {
        one.sections.truncate(1);
        one.sections[0].title = None;
    };
    assert!(list(single), "a single section needs no title");
}

#[test]
fn a_file_needs_a_reference_and_a_caption_a_place() {
    let url = Some("https://example.org/a");
    assert!(media(MediaKind::Image, Some("12345"), url));
    assert!(!media(MediaKind::Image, Some("123456"), url));
    assert!(!media(MediaKind::Image, None, None));
    assert!(media(MediaKind::Audio, None, url));
    assert!(!media(MediaKind::Audio, Some("x"), url), "a sound has no caption");
    assert!(!media(MediaKind::Video, None, url), "no such kind");
}

#[test]
fn a_place_is_on_earth() {
    let at = |latitude, longitude| {
        fits(&Content::Location(Location { latitude, longitude, name: None, address: None }))
    };
    assert!(at(-90.0, 180.0));
    assert!(!at(90.1, 0.0) && !at(0.0, -180.1) && !at(f64::NAN, 0.0));
}

#[test]
fn what_the_channel_has_not_does_not_fit() {
    let template = Template { name: "a".into(), language: "de".into(), components: Vec::new() };
    let reaction = Reaction { external_message_id: "x".into(), emoji: Some("👍".into()) };
    let event = EventContent { name: "order".into(), text: None, data: serde_json::Map::default() };
    let nobody = Contacts { text: String::new(), contacts: Vec::new() };
    for content in [
        Content::Template(template),
        Content::Reaction(reaction),
        Content::Event(event),
        Content::Contact(nobody),
        Content::Carousel(Carousel { text: None, cards: Vec::new() }),
        Content::Carousel(Carousel { text: None, cards: vec![crate::content::Card::default(); 3] }),
    ] {
        assert!(!fits(&content), "{content:?}");
    }
}
