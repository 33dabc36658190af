//! Room `conversation`: which language a text is written in.

use whatlang::{Detector, Lang};

/// Language tags and the detector's names of the same languages.
const LANGUAGES: [(&str, Lang); 30] = [
    ("ar", Lang::Ara),
    ("bg", Lang::Bul),
    ("cs", Lang::Ces),
    ("da", Lang::Dan),
    ("de", Lang::Deu),
    ("el", Lang::Ell),
    ("en", Lang::Eng),
    ("es", Lang::Spa),
    ("et", Lang::Est),
    ("fi", Lang::Fin),
    ("fr", Lang::Fra),
    ("he", Lang::Heb),
    ("hi", Lang::Hin),
    ("hr", Lang::Hrv),
    ("hu", Lang::Hun),
    ("id", Lang::Ind),
    ("it", Lang::Ita),
    ("ja", Lang::Jpn),
    ("ko", Lang::Kor),
    ("nl", Lang::Nld),
    ("no", Lang::Nob),
    ("pl", Lang::Pol),
    ("pt", Lang::Por),
    ("ro", Lang::Ron),
    ("ru", Lang::Rus),
    ("sv", Lang::Swe),
    ("tr", Lang::Tur),
    ("uk", Lang::Ukr),
    ("vi", Lang::Vie),
    ("zh", Lang::Cmn),
];

/// The language without script and region: `pt` of `pt-BR`.
pub(crate) fn base(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or(tag)
}

fn lang_of(tag: &str) -> Option<Lang> {
    LANGUAGES.iter().find(|(known, _)| *known == base(tag)).map(|(_, lang)| *lang)
}

fn tag_of(lang: Lang) -> Option<&'static str> {
    LANGUAGES.iter().find(|(_, known)| *known == lang).map(|(tag, _)| *tag)
}

/// The language of a text, if the text is long and clear enough to be sure.
pub(crate) fn detect(text: &str) -> Option<&'static str> {
    let all = LANGUAGES.iter().map(|(_, lang)| *lang).collect();
    let info = Detector::with_allowlist(all).detect(text)?;
    tag_of(info.lang()).filter(|_| info.is_reliable())
}

/// Below this confidence a guess between languages is no better than chance: "hello" is as much
/// German as English to a detector of letter groups.
const CONFIDENCE_MIN: f64 = 0.15;

/// The likeliest of the given languages, if the text says anything at all about it; of one
/// language, nothing is learnt.
pub(crate) fn detect_among(text: &str, languages: &[String]) -> Option<String> {
    let known: Vec<Lang> = languages.iter().filter_map(|tag| lang_of(tag)).collect();
    if known.len() < 2 {
        return None;
    }
    let info = Detector::with_allowlist(known).detect(text)?;
    let sure = info.confidence() >= CONFIDENCE_MIN;
    languages.iter().find(|tag| sure && lang_of(tag) == Some(info.lang())).cloned()
}
