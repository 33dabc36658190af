//! Room `xtask`: one Rust file as the checks see it: comments, strings and test modules blanked,
//! every byte still on its line.

/// A Rust file with its two masked readings; all three texts have the same length and lines.
#[derive(Debug)]
pub(crate) struct Source {
    /// Code only: comments, string and character literals and `#[cfg(test)]` items are blanks.
    pub(crate) code: String,
    /// Code and literals: only comments and `#[cfg(test)]` items are blanks.
    pub(crate) words: String,
    /// Modules declared as `#[cfg(test)] mod name;`, whose files are test code.
    pub(crate) test_modules: Vec<String>,
}

/// One word or sign of the code with the byte where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// An identifier or keyword, `::`, or one other character.
    pub(crate) text: &'a str,
    /// Byte offset in the file.
    pub(crate) at: usize,
}

/// A path as written or as a `use` tree spells it out, such as `["super", "store", "insert"]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path<'a> {
    /// The names between the `::`; a glob is `*`.
    pub(crate) names: Vec<&'a str>,
    /// Byte offset of its first own name.
    pub(crate) at: usize,
}

impl Path<'_> {
    /// Whether it reaches the module `kind` of this crate, from any resource.
    pub(crate) fn reaches(&self, kind: &str) -> bool {
        let local = matches!(self.names[0], "super" | "crate" | "self");
        local && self.names[1..].contains(&kind)
    }
}

impl Source {
    /// Reads a file.
    pub(crate) fn new(text: &str) -> Self {
        let spans = literal_spans(text);
        let mut code = text.as_bytes().to_vec();
        let mut words = code.clone();
        for span in &spans {
            blank(&mut code, span.start, span.end);
            if span.comment {
                blank(&mut words, span.start, span.end);
            }
        }
        let masked = String::from_utf8_lossy(&code).into_owned();
        let mut test_modules = Vec::new();
        for item in test_items(&masked) {
            blank(&mut code, item.start, item.end);
            blank(&mut words, item.start, item.end);
            test_modules.extend(item.declares);
        }
        Self { code: into_text(code), words: into_text(words), test_modules }
    }

    /// The words and signs of the code.
    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        tokens(&self.code)
    }
}

/// The line, from 1, of a byte offset.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at.min(text.len())].matches('\n').count()
}

/// Every path of the code: `use` trees spelled out, and every other run of names joined by `::`.
pub(crate) fn paths<'a>(tokens: &[Token<'a>]) -> Vec<Path<'a>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_use(tokens, at) {
            at += 1;
            use_tree(tokens, &mut at, &[], &mut found);
        } else if is_name(tokens[at].text) && follows(tokens, at, "::") {
            plain_path(tokens, &mut at, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// `use` opens an import, except in a bound such as `impl Sized + use<'a>`.
fn is_use(tokens: &[Token<'_>], at: usize) -> bool {
    tokens[at].text == "use" && !follows(tokens, at, "<")
}

fn follows(tokens: &[Token<'_>], at: usize, text: &str) -> bool {
    tokens.get(at + 1).is_some_and(|next| next.text == text)
}

fn plain_path<'a>(tokens: &[Token<'a>], at: &mut usize, found: &mut Vec<Path<'a>>) {
    let start = tokens[*at].at;
    let mut names = vec![tokens[*at].text];
    *at += 1;
    while *at + 1 < tokens.len() && tokens[*at].text == "::" && is_name(tokens[*at + 1].text) {
        names.push(tokens[*at + 1].text);
        *at += 2;
    }
    found.push(Path { names, at: start });
}

fn use_tree<'a>(
    tokens: &[Token<'a>],
    at: &mut usize,
    prefix: &[&'a str],
    found: &mut Vec<Path<'a>>,
) {
    let mut names = prefix.to_vec();
    let start = tokens.get(*at).map_or(0, |token| token.at);
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token.text {
            "::" => {}
            "as" => *at += 1,
            "{" => return use_group(tokens, at, &names, found),
            "," | "}" | ";" => {
                *at -= 1;
                break;
            }
            name => names.push(name),
        }
    }
    if !names.is_empty() {
        found.push(Path { names, at: start });
    }
}

fn use_group<'a>(
    tokens: &[Token<'a>],
    at: &mut usize,
    prefix: &[&'a str],
    found: &mut Vec<Path<'a>>,
) {
    while let Some(token) = tokens.get(*at) {
        match token.text {
            "}" => {
                *at += 1;
                return;
            }
            "," => *at += 1,
            ";" => return,
            _ => use_tree(tokens, at, prefix, found),
        }
    }
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = code[at..].chars().next() {
        let length = if first == '_' || first.is_alphanumeric() {
            name_length(&code[at..])
        } else if code[at..].starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            found.push(Token { text: &code[at..at + length], at });
        }
        at += length;
    }
    found
}

fn name_length(text: &str) -> usize {
    text.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(text.len())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c == '_' || c.is_alphabetic())
}

struct Span {
    start: usize,
    end: usize,
    comment: bool,
}

/// Comments and literals, in order.
fn literal_spans(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (length, comment) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with("/*") {
            (block_comment_length(rest), true)
        } else if let Some(length) = literal_length(rest) {
            (length, false)
        } else {
            at += plain_length(rest);
            continue;
        };
        spans.push(Span { start: at, end: at + length, comment });
        at += length;
    }
    spans
}

/// A whole name is passed over at once, so that the `r` of `for"..."` opens no raw string.
fn plain_length(rest: &str) -> usize {
    match name_length(rest) {
        0 => rest.chars().next().map_or(1, char::len_utf8),
        length => length,
    }
}

fn literal_length(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|tail| tail.starts_with(['"', '\'', '#']))
    })?;
    let body = &rest[prefix.len()..];
    let length = if prefix.ends_with('r') {
        raw_string_length(body)?
    } else if body.starts_with('"') {
        quoted_length(body, '"')
    } else if body.starts_with('\'') {
        char_length(body)?
    } else {
        return None;
    };
    Some(prefix.len() + length)
}

fn raw_string_length(body: &str) -> Option<usize> {
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inside = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inside.find(&close).map_or(inside.len(), |end| end + close.len());
    Some(hashes + 1 + end)
}

fn quoted_length(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}

/// `'a'` and `'\n'` are literals, `'a` is a lifetime.
fn char_length(body: &str) -> Option<usize> {
    let mut chars = body.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        return Some(quoted_length(body, '\''));
    }
    let (at, second) = chars.next()?;
    (second == '\'').then_some(at + 1)
}

fn block_comment_length(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

struct TestItem {
    start: usize,
    end: usize,
    declares: Option<String>,
}

/// The items under `#[cfg(test)]`, from the attribute to the closing brace or semicolon.
fn test_items(code: &str) -> Vec<TestItem> {
    const ATTRIBUTES: [&str; 3] = ["#[cfg(test)]", "#[cfg(all(test", "#[cfg(any(test"];
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(start) =
        ATTRIBUTES.iter().filter_map(|attribute| code[from..].find(attribute)).min()
    {
        let start = from + start;
        let end = start + item_length(&code[start..]);
        let declares = declared_module(&code[start..end]);
        items.push(TestItem { start, end, declares });
        from = end;
    }
    items
}

fn item_length(item: &str) -> usize {
    let (mut braces, mut others) = (0_usize, 0_usize);
    for (at, c) in item.char_indices() {
        match c {
            '(' | '[' => others += 1,
            ')' | ']' => others = others.saturating_sub(1),
            '{' => braces += 1,
            '}' if braces <= 1 => return at + 1,
            '}' => braces -= 1,
            ';' if braces == 0 && others == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

fn declared_module(item: &str) -> Option<String> {
    let words = tokens(item);
    let [.., keyword, name, end] = words.as_slice() else { return None };
    (keyword.text == "mod" && end.text == ";").then(|| name.text.to_owned())
}

fn blank(bytes: &mut [u8], start: usize, end: usize) {
    for byte in &mut bytes[start..end] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let source = Source::new(text);
        paths(&source.tokens()).iter().map(|path| path.names.join("::")).collect()
    }

    #[test]
    fn a_use_tree_is_spelled_out() {
        assert_eq!(
            names("use super::{model::{A, B as C}, store, *};\nuse x;"),
            ["super::model::A", "super::model::B", "super::store", "super::*", "x"]
        );
    }

    #[test]
    fn a_path_in_code_is_found_and_a_field_is_not() {
        assert_eq!(names("fn f() { store::insert(deps.store) }"), ["store::insert"]);
    }

    #[test]
    fn a_capture_bound_is_no_import() {
        assert_eq!(names("fn f<'a>() -> impl Sized + use<'a> { a::b() }"), ["a::b"]);
    }

    #[test]
    fn comments_and_strings_are_blank_in_the_code() {
        let text = "// a::b\n/* /* c::d */ */ let x = \"e::f\\\"g::h\"; r#\"i::\"j\"#; '\"'; k::l";
        assert_eq!(names(text), ["k::l"]);
        assert_eq!(Source::new(text).code.len(), text.len());
    }

    #[test]
    fn strings_stay_among_the_words() {
        let words = Source::new("f(\"whatsapp\"); // instagram").words;
        assert!(words.contains("whatsapp") && !words.contains("instagram"));
    }

    #[test]
    fn a_lifetime_opens_no_literal() {
        assert_eq!(names("fn f<'a>(x: &'a str) { a::b('c', '\\'', x) }"), ["a::b"]);
    }

    #[test]
    fn a_test_module_is_blank_and_what_follows_is_not() {
        let text = "#[cfg(test)]\nmod tests { use a::b; fn f() { } }\nuse c::d;";
        assert_eq!(names(text), ["c::d"]);
        assert_eq!(line_of(text, text.find("c::d").unwrap()), 3);
    }

    #[test]
    fn a_test_module_in_its_own_file_is_named() {
        let source = Source::new("#[cfg(test)]\nmod fixtures;\nuse a::b;");
        assert_eq!(source.test_modules, ["fixtures"]);
    }
}
