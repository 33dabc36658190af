//! Room `saml`: what is refused before any parser sees it. No honest provider sends a DTD, a
//! comment or a thousand nested elements; each of them was used to make two readers disagree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Refusal;

/// Bytes of a decoded message.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 * 1_024;
/// Bytes of metadata; federations publish more, and are not imported whole.
pub(crate) const METADATA_BYTES_MAX: usize = 1_024 * 1_024;
const DEPTH_MAX: usize = 64;
const ELEMENTS_MAX: usize = 5_000;
const ATTRIBUTES_MAX: usize = 64;

/// What was counted on the way through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Elements by name without prefix that matter here.
    pub(crate) responses: usize,
    /// Assertions, open or encrypted.
    pub(crate) assertions: usize,
    /// Assertions that are encrypted.
    pub(crate) encrypted: usize,
}

/// Decodes a message and looks it over.
pub(crate) fn decode(message: &str) -> Result<(String, Shape), Refusal> {
    if message.len() > MESSAGE_BYTES_MAX * 4 / 3 + 4 {
        return Err(Refusal::TooLarge);
    }
    // Some providers break the lines.
    let plain: String = message.chars().filter(|one| !one.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(plain).map_err(|_| Refusal::Malformed)?;
    let text = String::from_utf8(bytes).map_err(|_| Refusal::Malformed)?;
    let shape = look_over(&text, MESSAGE_BYTES_MAX)?;
    Ok((text, shape))
}

/// Refuses what is too large, and every construct but elements, attributes and text.
pub(crate) fn look_over(text: &str, bytes_max: usize) -> Result<Shape, Refusal> {
    if text.len() > bytes_max {
        return Err(Refusal::TooLarge);
    }
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    if let Some(after) = rest.strip_prefix("<?xml") {
        let (declaration, after) = after.split_once("?>").ok_or(Refusal::Malformed)?;
        let lower = declaration.to_ascii_lowercase();
        if lower.contains("encoding") && !lower.contains("utf-8") {
            return Err(Refusal::Hostile);
        }
        rest = after;
    }
    let (mut shape, mut depth, mut elements) = (Shape::default(), 0_usize, 0_usize);
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        match rest.as_bytes().first() {
            // `<!--`, `<!DOCTYPE`, `<!ENTITY`, `<![CDATA[`; `<?` names a stylesheet at best.
            Some(b'!' | b'?') => return Err(Refusal::Hostile),
            Some(b'/') => {
                depth = depth.checked_sub(1).ok_or(Refusal::Malformed)?;
                continue;
            }
            _ => {}
        }
        let tag = tag_of(rest)?;
        rest = &rest[tag.len()..];
        shape.count(tag);
        elements += 1;
        depth += usize::from(!tag.ends_with('/'));
        let attributes = tag.matches('=').count();
        if depth > DEPTH_MAX || elements > ELEMENTS_MAX || attributes > ATTRIBUTES_MAX * 8 {
            return Err(Refusal::TooLarge);
        }
    }
    Ok(shape)
}

/// Up to the `>` that ends the tag; those in quotes do not.
fn tag_of(text: &str) -> Result<&str, Refusal> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Ok(&text[..at]),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            (_, b'<') => return Err(Refusal::Malformed),
            _ => {}
        }
    }
    Err(Refusal::Malformed)
}

impl Shape {
    fn count(&mut self, tag: &str) {
        let end = tag.find(|one: char| one.is_whitespace() || one == '/').unwrap_or(tag.len());
        let name = tag[..end].rsplit(':').next().unwrap_or_default();
        match name {
            "Response" => self.responses += 1,
            "Assertion" => self.assertions += 1,
            "EncryptedAssertion" => {
                self.assertions += 1;
                self.encrypted += 1;
            }
            _ => {}
        }
    }

    /// One response with one assertion: what wraps one message in another has more.
    pub(crate) fn check_single(&self) -> Result<(), Refusal> {
        match (self.responses, self.assertions) {
            (1, 0 | 1) => Ok(()),
            (0, _) => Err(Refusal::Malformed),
            _ => Err(Refusal::Hostile),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_attackers_send_is_refused_before_it_is_parsed() {
        for text in [
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a/>",
            "<a><!-- x --></a>",
            "<a><![CDATA[x]]></a>",
            "<a><?php x ?></a>",
            "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>",
            " <?xml version=\"1.0\"?><!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
        ] {
            assert_eq!(look_over(text, 1_000), Err(Refusal::Hostile), "{text}");
        }
        let deep = "<a>".repeat(100);
        let many = format!("<r>{}</r>", "<a/>".repeat(6_000));
        let wide = format!("<r {}/>", "a=\"b\" ".repeat(1_000));
        for text in [deep.as_str(), &many, &wide, &"x".repeat(100_001)] {
            assert_eq!(look_over(text, 100_000), Err(Refusal::TooLarge));
        }
        for text in ["</a>", "<a", "<a b=\"<\"/>", "<a b=\"x/>"] {
            assert_eq!(look_over(text, 1_000), Err(Refusal::Malformed), "{text}");
        }
    }

    #[test]
    fn elements_are_counted_whatever_their_prefix() {
        let text = "<?xml version=\"1.0\"?><p:Response a=\"x>y\"><Assertion/><s:Assertion ID='1'>\
                    </s:Assertion><q:EncryptedAssertion></q:EncryptedAssertion></p:Response>";
        let shape = look_over(text, 1_000).expect("harmless");
        assert_eq!(shape, Shape { responses: 1, assertions: 3, encrypted: 1 });
        assert_eq!(shape.check_single(), Err(Refusal::Hostile));
        let none = look_over("<a/>", 1_000).expect("harmless");
        assert_eq!(none.check_single(), Err(Refusal::Malformed));
    }

    #[test]
    fn a_message_is_base64_of_utf_8_of_a_bounded_size() {
        assert_eq!(decode("PGEv\r\n Pg==").expect("a message").0, "<a/>");
        assert_eq!(decode("%%%"), Err(Refusal::Malformed));
        assert_eq!(decode("//8="), Err(Refusal::Malformed));
        assert_eq!(decode(&"A".repeat(400_000)), Err(Refusal::TooLarge));
    }
}
