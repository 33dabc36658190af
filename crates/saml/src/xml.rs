//! Room `saml`: the little of XML that is written here.

/// A text as it stands in an attribute or an element.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // The library fills `{Name}` in templates.
            '{' => escaped.push_str("&#123;"),
            '}' => escaped.push_str("&#125;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The base64 of a certificate, without the lines around it.
pub fn certificate_text(certificate: &str) -> String {
    let lines = certificate.lines().filter(|line| !line.trim_start().starts_with("-----"));
    lines.flat_map(str::chars).filter(|one| !one.is_whitespace()).collect()
}
