//! Room `channel`: what must hold of every transcoded message.

use super::*;
use crate::capability::{ButtonLimit, ListLimit, MediaLimit, TextLimit, Unit};
use crate::content::{EventContent, Reaction, Template};
use proptest::prelude::*;

fn plain(max: usize, unit: Unit) -> Capability {
    Capability {
        text: TextLimit { max, unit },
        caption_max: None,
        buttons: None,
        list: None,
        carousel_cards_max: None,
        media: Vec::new(),
        location: false,
        contact: false,
        template: false,
        reaction: false,
        reply: false,
        typing: false,
        delivered: false,
        read: false,
        window_hours: None,
    }
}

fn rich() -> Capability {
    let picture = MediaLimit {
        kind: MediaKind::Image,
        caption: true,
        max_bytes: 5_000_000,
        mime: &["image/png"],
    };
    Capability {
        caption_max: Some(30),
        buttons: Some(ButtonLimit {
            text_max: 60,
            header_max: 20,
            footer_max: 20,
            max: 3,
            title_max: 10,
            id_max: 20,
        }),
        list: Some(ListLimit {
            text_max: 60,
            rows_max: 5,
            sections_max: 2,
            row_title_max: 12,
            row_id_max: 20,
            row_description_max: 24,
            section_title_max: 12,
            button_max: 10,
        }),
        media: vec![picture],
        location: true,
        ..plain(80, Unit::Chars)
    }
}

fn choice(id: &str, title: &str) -> Choice {
    Choice { id: id.to_owned(), title: title.to_owned(), description: None }
}

fn shown(parts: &[Content]) -> Vec<&str> {
    parts.iter().filter_map(Content::words).collect()
}

#[test]
fn too_many_buttons_become_a_list_and_then_numbered_text() {
    let make = |count: usize| {
        let buttons = (1..=count).map(|n| choice(&n.to_string(), &format!("Choice {n}"))).collect();
        Content::Buttons(Buttons { text: "Which?".into(), buttons, ..Buttons::default() })
    };
    assert!(matches!(&transcode(&make(3), &rich())[..], [Content::Buttons(_)]));
    assert!(matches!(&transcode(&make(5), &rich())[..], [Content::List(_)]));
    let six = transcode(&make(6), &rich());
    let expected =
        "Which?\n1. Choice 1\n2. Choice 2\n3. Choice 3\n4. Choice 4\n5. Choice 5\n6. Choice 6";
    assert_eq!(shown(&six).join("\n"), expected);
}

#[test]
fn buttons_of_the_same_title_become_text_because_nobody_could_tell_them_apart() {
    let buttons = vec![choice("a", "Yes"), choice("b", "Yes")];
    let twice = Content::Buttons(Buttons { text: "?".into(), buttons, ..Buttons::default() });
    let parts = transcode(&twice, &rich());
    assert!(matches!(&parts[..], [Content::List(_)]), "{parts:?}");
    assert_eq!(shown(&transcode(&twice, &plain(80, Unit::Chars))), ["?\n1. Yes\n2. Yes"]);
}

#[test]
fn a_long_text_above_buttons_goes_ahead_and_the_buttons_stay_last() {
    let text =
        "This is a long story that nobody reads to its end. It has two sentences. Choose now.";
    let buttons = vec![choice("a", "Yes"), choice("b", "No")];
    let parts = transcode(
        &Content::Buttons(Buttons { text: text.into(), buttons, ..Buttons::default() }),
        &rich(),
    );
    assert!(matches!(&parts[..], [Content::Text(_), Content::Buttons(_)]), "{parts:?}");
    assert_eq!(shown(&parts).join(" "), text);
}

#[test]
fn a_caption_that_is_too_long_follows_its_picture() {
    let card = Card {
        text: "A picture with a caption of more than thirty characters".into(),
        image_url: Some("https://example.org/a.png".into()),
        ..Card::default()
    };
    let parts = transcode(&Content::Card(card), &rich());
    assert!(matches!(&parts[..], [Content::Media(Media { text: None, .. }), Content::Text(_)]));
}

#[test]
fn a_file_the_channel_cannot_carry_becomes_its_link() {
    let film = Content::Media(Media {
        kind: MediaKind::Video,
        text: Some("Our shop".into()),
        mime_type: None,
        filename: None,
        external_media_id: None,
        url: Some("https://example.org/shop.mp4".into()),
        sha256: None,
        voice: false,
        animated: false,
    });
    assert_eq!(shown(&transcode(&film, &rich())), ["Our shop\nhttps://example.org/shop.mp4"]);
}

#[test]
fn what_has_no_words_of_its_own_gives_nothing() {
    let template =
        Content::Template(Template { name: "a".into(), language: "de".into(), components: vec![] });
    let back = Content::Reaction(Reaction { external_message_id: "x".into(), emoji: None });
    let event = Content::Event(EventContent {
        name: "order".into(),
        text: None,
        data: serde_json::Map::new(),
    });
    for content in [template, back, event] {
        assert_eq!(transcode(&content, &rich()), []);
    }
}

#[test]
fn a_text_is_cut_at_the_best_pause_there_is() {
    let at = |text: &str, max| split(text, TextLimit { max, unit: Unit::Chars });
    assert_eq!(at("One two. Three four.", 12), ["One two.", "Three four."]);
    assert_eq!(at("First line\nsecond line", 14), ["First line", "second line"]);
    assert_eq!(at("abcdefghij", 4), ["abcd", "efgh", "ij"]);
    assert_eq!(at("word another", 8), ["word", "another"]);
    assert_eq!(at("   ", 8), Vec::<String>::new());
}

#[test]
fn an_emoji_of_several_code_points_is_not_torn() {
    let family = "👨‍👩‍👧‍👦";
    let pieces = split(&family.repeat(3), TextLimit { max: 30, unit: Unit::Bytes });
    assert_eq!(pieces, [family, family, family]);
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn any_choice() -> impl Strategy<Value = Choice> {
    ("[a-z]{1,30}", "\\PC{0,16}", prop::option::of("\\PC{1,40}"))
        .prop_map(|(id, title, description)| Choice { id, title, description })
}

fn any_choices(max: usize) -> impl Strategy<Value = Vec<Choice>> {
    prop::collection::vec(any_choice(), 0..max)
}

fn any_content() -> impl Strategy<Value = Content> {
    let text = "(?s).{0,300}";
    let line = || prop::option::of("\\PC{0,40}");
    prop_oneof![
        text.prop_map(Content::text),
        (text, any_choices(8), line(), line()).prop_map(|(text, buttons, header, footer)| {
            Content::Buttons(Buttons { text, buttons, pressed: None, header, footer })
        }),
        (text, prop::collection::vec((line(), any_choices(5)), 0..4)).prop_map(|(text, parts)| {
            let sections = parts.into_iter().map(|(title, rows)| Section { title, rows }).collect();
            Content::List(List { text, button: None, sections, chosen: None })
        }),
        (text, line(), any_choices(4), any::<bool>()).prop_map(
            |(text, subtitle, buttons, image)| {
                let image_url = image.then(|| "https://example.org/a.png".to_owned());
                Content::Card(Card { text, subtitle, image_url, url: None, buttons })
            }
        ),
    ]
}

/// Every word that the customer must get, in no order.
fn said(content: &Content) -> Vec<String> {
    let of = |one: &Choice| [Some(one.title.clone()), one.description.clone()];
    let mut all = vec![content.words().map(str::to_owned)];
    match content {
        Content::Buttons(one) => {
            all.extend([one.header.clone(), one.footer.clone()]);
            all.extend(one.buttons.iter().flat_map(of));
        }
        Content::List(one) => {
            all.extend(one.sections.iter().map(|section| section.title.clone()));
            all.extend(one.sections.iter().flat_map(|section| &section.rows).flat_map(of));
        }
        Content::Card(one) => {
            all.push(one.subtitle.clone());
            all.extend(one.buttons.iter().flat_map(of));
        }
        _ => {}
    }
    all.into_iter().flatten().collect()
}

proptest! {
    #[test]
    fn every_part_fits_and_no_word_is_lost(
        content in any_content(),
        is_rich: bool,
        max in 8usize..200,
    ) {
        let capability = if is_rich { rich() } else { plain(max, Unit::Bytes) };
        let parts = transcode(&content, &capability);
        for part in &parts {
            prop_assert_eq!(fit::check(part, &capability), Ok(()), "{:?}", part);
        }
        let arrived: String = parts.iter().flat_map(said).map(|text| letters(&text)).collect();
        for word in said(&content) {
            let word = letters(&word);
            prop_assert!(arrived.contains(&word), "{:?} is not in {:?}", word, arrived);
        }
    }

    #[test]
    fn a_split_text_is_the_same_text(text in "(?s).{0,400}", max in 4usize..60, bytes: bool) {
        let unit = if bytes { Unit::Bytes } else { Unit::Chars };
        let limit = TextLimit { max, unit };
        let pieces = split(&text, limit);
        for piece in &pieces {
            prop_assert!(limit.measure(piece) <= max && !piece.trim().is_empty());
        }
        prop_assert_eq!(letters(&pieces.concat()), letters(&text));
    }
}
