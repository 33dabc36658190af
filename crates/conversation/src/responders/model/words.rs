//! Room `conversation`: the words of a text that carry its question.

use std::collections::BTreeSet;

/// Words of courtesy, in lower case: customers begin and end with them, entries do not, so they
/// would only blur the match. Words that may carry a question in any of the languages are left out.
const COURTESIES: &[&str] = &[
    "bitte",
    "bonjour",
    "bonsoir",
    "buenas",
    "buenos",
    "buongiorno",
    "ciao",
    "cześć",
    "danke",
    "dankeschön",
    "dziękuję",
    "dzięki",
    "grazie",
    "greetings",
    "hallo",
    "hello",
    "hey",
    "hi",
    "hiya",
    "hola",
    "liebe",
    "lieber",
    "merci",
    "merhaba",
    "moin",
    "obrigada",
    "obrigado",
    "olá",
    "please",
    "pls",
    "proszę",
    "prego",
    "salut",
    "selam",
    "servus",
    "teşekkürler",
    "thank",
    "thanks",
    "thx",
    "witam",
    "guten",
    "grüezi",
    "hej",
    "hei",
    "ahoj",
    "salve",
    "oi",
];

/// The text without words of courtesy; the text itself if it has no others.
pub(crate) fn essence(text: &str) -> String {
    let kept: Vec<&str> =
        text.split_whitespace().filter(|word| !COURTESIES.contains(&&*plain(word))).collect();
    if kept.is_empty() { text.trim().to_owned() } else { kept.join(" ") }
}

fn plain(word: &str) -> String {
    word.trim_matches(|one: char| !one.is_alphanumeric()).to_lowercase()
}

/// How many words two texts share, from 0 to 1, as they are written: for questions like "Who are
/// you?" in which every single word says nothing to a full-text search.
pub(super) fn overlap(one: &str, other: &str) -> f64 {
    let words = |text: &str| -> BTreeSet<String> {
        text.split_whitespace().map(plain).filter(|word| !word.is_empty()).collect()
    };
    let (one, other) = (words(one), words(other));
    let all = one.len() + other.len();
    if all == 0 {
        return 0.0;
    }
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    2.0 * count(one.intersection(&other).count()) / count(all)
}
