//! Room `sandbox`: message templates. A new one is approved at once; sending one is checked against
//! what its text and buttons ask for.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::checks::{Scene, check_media};
use super::errors::GraphError;
use super::params::{Param, count_within};
use crate::model::Template;
use crate::names;

type Checked<T> = Result<T, GraphError>;

/// Characters of a template's name.
pub(crate) const NAME_MAX: usize = 512;
/// Characters of a quick reply's payload.
pub(crate) const PAYLOAD_MAX: usize = 256;
/// Characters of a body with its parameters, of a header and of a footer.
pub(crate) const BODY_MAX: usize = 1_024;
/// Characters of a template's header and footer.
pub(crate) const LINE_MAX: usize = 60;
/// Buttons of a template.
pub(crate) const BUTTONS_MAX: usize = 10;
/// Characters of a template's button.
pub(crate) const BUTTON_MAX: usize = 25;

/// Checks a `template` object and gives the category that is billed.
pub(crate) fn check(
    content: &Param<'_>,
    scene: Scene<'_>,
    fate: &mut Option<u32>,
) -> Checked<String> {
    content.only(&["name", "language", "components", "namespace"])?;
    let name = content.need("name")?.text_up_to(NAME_MAX)?;
    let language = content.need("language")?;
    language.only(&["code", "policy"])?;
    let code = language.need("code")?.text()?;
    let known = scene.room.templates.iter().find(|it| it.name == name && it.language == code);
    let known = known.ok_or_else(|| {
        let details = format!("template name ({name}) does not exist in {code}");
        GraphError::messaging(132_001, details)
    })?;
    let components = content.find("components").map_or(Ok(vec![]), |list| list.items())?;
    for component in &components {
        check_component(component, scene, fate)?;
    }
    check_counts(known, &components)?;
    check_buttons(known, &components)?;
    Ok(known.category.to_lowercase())
}

/// A component of the sent template in itself, whatever the template asks for.
fn check_component(component: &Param<'_>, scene: Scene<'_>, fate: &mut Option<u32>) -> Checked<()> {
    let kinds = ["header", "body", "button", "carousel", "limited_time_offer", "order_status"];
    component.only(&["type", "sub_type", "index", "parameters", "cards"])?;
    let kind = component.need("type")?.one_of(&kinds)?;
    if kind == "button" {
        component.need("sub_type")?.text()?;
    }
    let parameters = component.find("parameters").map_or(Ok(vec![]), |list| list.items())?;
    for parameter in parameters {
        check_parameter(&parameter, scene, fate)?;
    }
    Ok(())
}

/// A value for a placeholder.
fn check_parameter(parameter: &Param<'_>, scene: Scene<'_>, fate: &mut Option<u32>) -> Checked<()> {
    let kind = parameter.need("type")?.text()?.to_ascii_lowercase();
    match kind.as_str() {
        "text" => check_text(&parameter.need("text")?),
        "payload" => {
            let payload = parameter.need("payload")?;
            payload.text_within("Button payload", 1, PAYLOAD_MAX).map(drop)
        }
        "image" | "video" | "document" => check_media(&parameter.need(&kind)?, &kind, scene, fate),
        "currency" | "date_time" | "location" | "action" | "coupon_code" | "product"
        | "limited_time_offer" | "order_status" => parameter.need(&kind).map(drop),
        _ => Err(GraphError::parameter(format_args!(
            "Param {}['type'] has unexpected value \"{kind}\".",
            parameter.path()
        ))),
    }
}

/// Meta refuses what would let a parameter break the layout.
fn check_text(text: &Param<'_>) -> Checked<()> {
    let words = text.text()?;
    if words.is_empty() {
        return Err(GraphError::absent(text.path()));
    }
    if words.contains(['\n', '\t', '\r']) || words.contains("     ") {
        let details = "Param text cannot have new-line/tab characters or more than 4 consecutive \
                       spaces";
        return Err(GraphError::messaging(100, details));
    }
    Ok(())
}

/// The component of the template with this type, as `BODY`.
fn part<'a>(template: &'a Template, kind: &str) -> Option<&'a Value> {
    let is_it = |it: &&Value| it["type"].as_str().is_some_and(|it| it.eq_ignore_ascii_case(kind));
    template.components.iter().find(is_it)
}

/// How many different `{{...}}` a text has.
fn placeholders(text: &str) -> usize {
    let names = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
    names.map(|(name, _)| name.trim()).collect::<BTreeSet<_>>().len()
}

/// The values given for a component.
fn parameters_of<'a>(components: &[Param<'a>], kind: &str) -> Option<Vec<Param<'a>>> {
    let is_it = |it: &&Param<'a>| {
        it.find("type")
            .and_then(|it| it.value().as_str())
            .is_some_and(|it| it.eq_ignore_ascii_case(kind))
    };
    components.iter().find(is_it)?.find("parameters")?.items().ok()
}

/// As many values as placeholders, and the right kind of header.
fn check_counts(template: &Template, components: &[Param<'_>]) -> Checked<()> {
    for kind in ["header", "body"] {
        let given = parameters_of(components, kind).unwrap_or_default();
        let known = part(template, kind);
        let format = known.and_then(|it| it["format"].as_str()).unwrap_or("TEXT").to_lowercase();
        if kind == "header"
            && matches!(format.as_str(), "image" | "video" | "document" | "location")
        {
            let fits = given.len() == 1
                && given[0].find("type").is_some_and(|it| it.value().as_str() == Some(&format));
            if !fits {
                let details =
                    format!("header: Format mismatch, expected {}", format.to_uppercase());
                return Err(GraphError::messaging(132_012, details));
            }
            continue;
        }
        // Meta writes the text of a one-time password itself, with the password as its parameter.
        let is_password = kind == "body" && template.category == "AUTHENTICATION";
        let text = known.and_then(|it| it["text"].as_str());
        let expected = text.map_or(usize::from(is_password), placeholders);
        if given.len() != expected {
            let details = format!(
                "{kind}: number of localizable_params ({}) does not match the expected number of \
                 params ({expected})",
                given.len()
            );
            return Err(GraphError::messaging(132_000, details));
        }
    }
    Ok(())
}

/// A link with a placeholder needs its value.
fn check_buttons(template: &Template, components: &[Param<'_>]) -> Checked<()> {
    let buttons = part(template, "buttons").and_then(|it| it["buttons"].as_array());
    for (index, button) in buttons.into_iter().flatten().enumerate() {
        let dynamic = button["url"].as_str().is_some_and(|url| url.contains("{{"));
        let given = components.iter().any(|it| {
            let at = it.find("index").and_then(|at| at.text_or_number().ok());
            let is_button = it.find("type").and_then(|it| it.value().as_str()) == Some("button");
            is_button && at.as_deref().unwrap_or("0") == index.to_string()
        });
        if dynamic && !given {
            let details =
                format!("buttons: Button at index {index} of type Url requires a parameter");
            return Err(GraphError::messaging(131_008, details));
        }
    }
    Ok(())
}

/// Checks a new template and makes it; the sandbox approves whatever Meta would take in.
pub(crate) fn create(body: &Value, scene: Scene<'_>, id: String) -> Checked<Template> {
    let root = Param::root(body);
    root.object()?;
    let name = root.need("name")?.text_up_to(NAME_MAX)?;
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    {
        let details = "Message template name must be lowercase letters, digits and underscores";
        return Err(GraphError::messaging(100, details));
    }
    let language = root.need("language")?.text()?.to_owned();
    let category = root.need("category")?.one_of(&["authentication", "marketing", "utility"])?;
    let format = root.find("parameter_format");
    let format = format.map(|it| it.one_of(&["named", "positional"])).transpose()?;
    let components = root.need("components")?.items()?;
    for component in &components {
        check_new_component(component)?;
    }
    let taken = |it: &Template| it.name == name && it.language == language;
    if scene.room.templates.iter().any(taken) {
        let details = "There is already content in this language for this template.";
        return Err(GraphError::messaging(100, details));
    }
    Ok(Template {
        id,
        name: name.to_owned(),
        language,
        category: category.to_uppercase(),
        parameter_format: format.as_deref().unwrap_or("positional").to_uppercase(),
        components: components.iter().map(|it| it.value().clone()).collect(),
    })
}

/// The limits of a template's own texts.
fn check_new_component(component: &Param<'_>) -> Checked<()> {
    let kinds = ["header", "body", "footer", "buttons", "carousel", "limited_time_offer"];
    let kind = component.need("type")?.one_of(&kinds)?;
    let most = if kind == "body" { BODY_MAX } else { LINE_MAX };
    if let Some(text) = component.find("text") {
        text.text_up_to(most)?;
    }
    if kind == "buttons" {
        let buttons = component.need("buttons")?.items()?;
        count_within("buttons", buttons.len(), 1, BUTTONS_MAX)?;
        for button in buttons {
            button.need("type")?.text()?;
            button.find("text").map_or(Ok(""), |text| text.text_up_to(BUTTON_MAX))?;
        }
    }
    Ok(())
}

/// A template as the Graph API lists it.
pub(crate) fn show(template: &Template) -> Value {
    json!({
        "name": template.name, "language": template.language, "status": "APPROVED",
        "category": template.category, "id": template.id, "components": template.components,
        "parameter_format": template.parameter_format,
    })
}

/// The template that every new account has.
pub(crate) fn hello_world(ambient: &misy_core::Ambient) -> Template {
    Template {
        id: names::number(ambient, 16),
        name: "hello_world".to_owned(),
        language: "en_US".to_owned(),
        category: "UTILITY".to_owned(),
        parameter_format: "POSITIONAL".to_owned(),
        components: vec![
            json!({"type": "HEADER", "format": "TEXT", "text": "Hello World"}),
            json!({"type": "BODY", "text": "Welcome and congratulations!! This message \
                demonstrates your ability to send a WhatsApp message notification from the Cloud \
                API. Thank you for taking the time to test with us."}),
            json!({"type": "FOOTER", "text": "WhatsApp Business Platform sample message"}),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_counts_once_however_often_it_stands() {
        assert_eq!(placeholders("Hi {{1}}, use {{2}} or {{1}}"), 2);
        assert_eq!(placeholders("Hi {{customer_name}}"), 1);
        assert_eq!(placeholders("Hi {{"), 0);
    }
}
