//! Room `channel`: the cases of what goes out on a good day, one for each thing a channel may
//! carry.

use super::{Outcome, Report, Suite, Verdict, ensure, record};
use crate::content::{
    Buttons, Card, Choice, Contacts, Content, List, Location, Media, MediaKind, Reaction, Section,
};
use crate::event::Status;
use crate::transcode;

/// Runs the cases in a row; each takes a number that keeps its messages apart.
pub(super) async fn run(suite: &Suite<'_>, report: &mut Report) {
    record(report, "a text arrives and its statuses come home", text(suite).await);
    record(report, "a reply quotes", reply(suite).await);
    for (index, (name, content)) in samples().into_iter().enumerate() {
        record(
            report,
            name,
            sample(suite, 300 + u32::try_from(index).unwrap_or(99), &content).await,
        );
    }
    record(report, "a template arrives", template(suite).await);
    record(report, "a reaction arrives and is taken back", reaction(suite).await);
    record(report, "whatever is transcoded is accepted", transcoded(suite).await);
    record(report, "a customer without a number is reached", by_user_id(suite).await);
    record(report, "a message is marked read, with typing", mark_read(suite).await);
    record(report, "a healthy account says so", health(suite).await);
}

async fn text(suite: &Suite<'_>) -> Outcome {
    let message = suite.message(1, Content::text("Hello there 👋"));
    let received = suite.deliver(&message).await?;
    ensure(received.raw.contains("Hello there"), "the words arrive")?;
    let capability = suite.channel.capability();
    if suite.channel.front().is_some() {
        // What the page fetches and shows is noted where it is fetched, not delivered.
        return Ok(Verdict::Passed);
    }
    let last = match (capability.read, capability.delivered) {
        (true, _) => Status::Read,
        (false, true) => Status::Delivered,
        (false, false) => return Ok(Verdict::Passed),
    };
    let status = suite.status(&message, |status| status.status == last).await?;
    ensure(status.external_id == received.external_id, "the status names the message")?;
    Ok(Verdict::Passed)
}

async fn reply(suite: &Suite<'_>) -> Outcome {
    if !suite.channel.capability().reply {
        return Ok(Verdict::Skipped("no replies"));
    }
    let quoted = suite.remote.customer_writes("a question").await;
    let mut message = suite.message(2, Content::text("an answer"));
    message.reply_to = Some(quoted.clone());
    let received = suite.deliver(&message).await?;
    ensure(received.raw.contains(&quoted), "it names the message that it answers")?;
    Ok(Verdict::Passed)
}

fn choice(id: &str, title: &str, description: Option<&str>) -> Choice {
    Choice { id: id.into(), title: title.into(), description: description.map(str::to_owned) }
}

fn file(kind: MediaKind, extension: &str, caption: Option<&str>) -> Content {
    Content::Media(Media {
        kind,
        text: caption.map(str::to_owned),
        mime_type: None,
        filename: (kind == MediaKind::Document).then(|| "bill.pdf".to_owned()),
        external_media_id: None,
        url: Some(format!("https://example.org/file.{extension}")),
        sha256: None,
        voice: false,
        animated: false,
    })
}

/// One message of each form, small enough for every channel that has the form at all.
fn samples() -> Vec<(&'static str, Content)> {
    let buttons = Buttons {
        text: "May we?".into(),
        buttons: vec![choice("y", "Yes", None), choice("n", "No", None)],
        ..Buttons::default()
    };
    let headed =
        Buttons { header: Some("Up".into()), footer: Some("Down".into()), ..buttons.clone() };
    let section = |title: &str, rows| Section { title: Some(title.into()), rows };
    let sections = vec![
        section("Soon", vec![choice("a", "Today", Some("before noon"))]),
        section("Later", vec![choice("b", "Tomorrow", None)]),
    ];
    let list = List { text: "When?".into(), button: Some("Times".into()), sections, chosen: None };
    let unlabelled = List { button: None, ..list.clone() };
    let place = Location {
        latitude: 52.5,
        longitude: 13.4,
        name: Some("Shop".into()),
        address: Some("Street 1".into()),
    };
    let card = serde_json::json!({"name": {"formatted_name": "Ann Lee", "first_name": "Ann"},
        "phones": [{"phone": "+49 151 5550001"}]});
    let contact = Contacts { text: "Ann Lee".into(), contacts: vec![card] };
    vec![
        ("buttons arrive", Content::Buttons(buttons)),
        ("buttons with lines above and below arrive", Content::Buttons(headed)),
        ("a list arrives", Content::List(list)),
        ("a list without a label arrives", Content::List(unlabelled)),
        ("a location arrives", Content::Location(place)),
        ("a contact card arrives", Content::Contact(contact)),
        ("a picture with a caption arrives", file(MediaKind::Image, "png", Some("a shop"))),
        ("a film arrives", file(MediaKind::Video, "mp4", None)),
        ("a sound arrives", file(MediaKind::Audio, "mp3", None)),
        ("a document arrives", file(MediaKind::Document, "pdf", Some("the bill"))),
        ("a sticker arrives", file(MediaKind::Sticker, "webp", None)),
    ]
}

async fn sample(suite: &Suite<'_>, number: u32, content: &Content) -> Outcome {
    if crate::fit::check(content, suite.channel.capability()).is_err() {
        return Ok(Verdict::Skipped("not among its capabilities"));
    }
    let received = suite.deliver(&suite.message(number, content.clone())).await?;
    let words = content.words().unwrap_or_default();
    ensure(received.raw.contains(words), "the words arrive")?;
    Ok(Verdict::Passed)
}

async fn template(suite: &Suite<'_>) -> Outcome {
    let Some(template) = suite.remote.template().filter(|_| suite.channel.capability().template)
    else {
        return Ok(Verdict::Skipped("no templates"));
    };
    let name = template.name.clone();
    let received = suite.deliver(&suite.message(3, Content::Template(template))).await?;
    ensure(received.raw.contains(&name), "the template is named")?;
    Ok(Verdict::Passed)
}

async fn reaction(suite: &Suite<'_>) -> Outcome {
    if !suite.channel.capability().reaction {
        return Ok(Verdict::Skipped("no reactions"));
    }
    let on = suite.remote.customer_writes("I like it").await;
    for (number, emoji) in [(4, Some("👍")), (5, None)] {
        let reaction =
            Reaction { external_message_id: on.clone(), emoji: emoji.map(str::to_owned) };
        let received = suite.deliver(&suite.message(number, Content::Reaction(reaction))).await?;
        ensure(received.raw.contains(&on), "it names the message that it is on")?;
    }
    Ok(Verdict::Passed)
}

/// Messages that are too much for any channel, after transcoding: the provider takes each part.
async fn transcoded(suite: &Suite<'_>) -> Outcome {
    let long = "One more sentence of a long story, with Ümläuts and 👩‍👩‍👧 in it. ".repeat(120);
    let many: Vec<Choice> = (1..=15)
        .map(|n| choice(&n.to_string(), &format!("Choice number {n}, a rather long one"), None))
        .collect();
    let few = many.iter().take(8).map(|one| choice(&one.id, &one.title[..16], Some("x"))).collect();
    let all = [
        Content::text(long.clone()),
        Content::Buttons(Buttons { text: long.clone(), buttons: few, ..Buttons::default() }),
        Content::Buttons(Buttons { text: "Which?".into(), buttons: many, ..Buttons::default() }),
        file(MediaKind::Image, "png", Some(&long)),
        Content::Card(Card { text: long, ..Card::default() }),
    ];
    let mut number = 600;
    for part in all.iter().flat_map(|one| transcode(one, suite.channel.capability())) {
        number += 1;
        suite.deliver(&suite.message(number, part)).await?;
    }
    ensure(number > 604, "each gave at least one message")?;
    Ok(Verdict::Passed)
}

async fn by_user_id(suite: &Suite<'_>) -> Outcome {
    let Some(customer) = suite.remote.customer_by_user_id() else {
        return Ok(Verdict::Skipped("no user ids"));
    };
    let mut message = suite.message(6, Content::text("Hello, whoever you are"));
    message.to = customer.clone();
    suite.deliver(&message).await?;
    let status = suite.status(&message, |status| status.status >= Status::Sent).await?;
    let named = status.recipient.iter().any(|claim| customer.0.contains(claim));
    ensure(named, "the status names the same user id")?;
    Ok(Verdict::Passed)
}

async fn mark_read(suite: &Suite<'_>) -> Outcome {
    let (capability, account) = (suite.channel.capability(), suite.remote.account());
    let id = suite.remote.customer_writes("are you there?").await;
    for typing in [false, capability.typing] {
        let marked = suite.channel.mark_read(suite.io, &account, &id, typing).await;
        marked.map_err(|error| error.to_string())?;
    }
    Ok(Verdict::Passed)
}

async fn health(suite: &Suite<'_>) -> Outcome {
    let good = suite.channel.check_health(suite.io, &suite.remote.account()).await;
    ensure(good.is_ok_and(|health| health.ok), "the account is healthy")?;
    let Some(account) = suite.remote.account_with_bad_token() else { return Ok(Verdict::Passed) };
    let bad = suite.channel.check_health(suite.io, &account).await;
    let told = bad.is_ok_and(|health| !health.ok && health.detail.is_some());
    ensure(told, "an account with a bad token is told to be ill, with a reason")?;
    Ok(Verdict::Passed)
}
