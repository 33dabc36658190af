//! Room `saml`: an honest response forged in every way that is known: wrapped (XSW 1 to 8 of
//! Somorovsky et al., "On Breaking SAML", 2012, and their kin), cut, spliced, signed anew. None
//! gets in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use misy_saml::{Response, ServiceProvider, Strict};

use crate::provider::{
    REQUEST, Says, accept, encrypt, evil_key, idp_key, noon, our_key, peer, sign, us,
};

/// An honest response taken apart.
struct Parts {
    /// The whole.
    whole: String,
    /// Its signed assertion.
    assertion: String,
    /// The signature in it.
    signature: String,
    /// The assertion without the signature.
    bare: String,
    /// The assertion that the attacker would like to be read.
    evil: String,
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let from = text.find(start).expect("it begins");
    let to = text[from..].find(end).expect("it ends") + from + end.len();
    &text[from..to]
}

impl Parts {
    fn of(whole: String) -> Self {
        let assertion = between(&whole, "<saml:Assertion", "</saml:Assertion>").to_owned();
        let signature = between(&assertion, "<ds:Signature", "</ds:Signature>").to_owned();
        let bare = assertion.replace(&signature, "");
        let evil = bare.replace("ana-1", "root").replace("\"_a1\"", "\"_evil\"");
        Self { whole, assertion, signature, bare, evil }
    }

    /// The response with something else in the place of its assertion.
    fn with(&self, inside: &str) -> String {
        self.whole.replace(&self.assertion, inside)
    }
}

/// A text with another one after a mark.
fn inside(outer: &str, mark: &str, inner: &str) -> String {
    let at = outer.find(mark).expect("the mark is there") + mark.len();
    format!("{}{inner}{}", &outer[..at], &outer[at..])
}

const SUBJECT: &str = "</saml:Issuer>";

type Forgery = (&'static str, fn(&Parts) -> String);

/// Signature wrapping: the signed part is kept somewhere, another is read.
const WRAPPED: [Forgery; 22] = [
    ("xsw1: response around the response", |p| {
        let outer = p.with(&p.evil).replace("\"_r1\"", "\"_r2\"");
        inside(&outer, "</samlp:Status>", &p.whole)
    }),
    ("xsw2: response before the response", |p| {
        let outer = p.with(&p.evil).replace("\"_r1\"", "\"_r2\"");
        inside(&outer, "</saml:Issuer>", &p.whole)
    }),
    ("xsw3: evil before the signed", |p| p.with(&format!("{}{}", p.evil, p.assertion))),
    ("xsw4: evil around the signed", |p| p.with(&inside(&p.evil, SUBJECT, &p.assertion))),
    ("xsw5: evil with the signature, bare after it", |p| {
        p.with(&format!("{}{}", inside(&p.evil, SUBJECT, &p.signature), p.bare))
    }),
    ("xsw6: signed in the signature of evil", |p| {
        let signature = inside(&p.signature, "</ds:SignedInfo>", &p.bare);
        p.with(&inside(&p.evil, SUBJECT, &signature))
    }),
    ("xsw7: evil in extensions before", |p| {
        let evil = format!("<samlp:Extensions>{}</samlp:Extensions>", p.evil);
        inside(&p.whole, "</saml:Issuer>", &evil)
    }),
    ("xsw8: signed in an object of the signature of evil", |p| {
        let object = format!("<ds:Object>{}</ds:Object></ds:Signature>", p.bare);
        let signature = p.signature.replace("</ds:Signature>", &object);
        p.with(&inside(&p.evil, SUBJECT, &signature))
    }),
    ("evil after the signed", |p| p.with(&format!("{}{}", p.assertion, p.evil))),
    ("evil in the status", |p| {
        let detail = format!("<samlp:StatusDetail>{}</samlp:StatusDetail></samlp:Status>", p.evil);
        p.whole.replace("</samlp:Status>", &detail)
    }),
    ("evil in the advice of the signed", |p| {
        let advice = format!("</saml:Conditions><saml:Advice>{}</saml:Advice>", p.evil);
        p.whole.replace("</saml:Conditions>", &advice)
    }),
    ("signed in the advice of evil", |p| {
        let advice = format!("</saml:Conditions><saml:Advice>{}</saml:Advice>", p.assertion);
        p.with(&p.evil.replace("</saml:Conditions>", &advice))
    }),
    ("the same id before", |p| {
        p.with(&format!("{}{}", p.evil.replace("_evil", "_a1"), p.assertion))
    }),
    ("the same id after", |p| {
        p.with(&format!("{}{}", p.assertion, p.evil.replace("_evil", "_a1")))
    }),
    ("an id by another name", |p| {
        let evil = p.evil.replace("ID=\"_evil\"", "Id=\"_a1\" ID=\"_evil\"");
        p.with(&format!("{evil}{}", p.assertion))
    }),
    ("xml:id", |p| {
        let evil = p.evil.replace("ID=\"_evil\"", "xml:id=\"_a1\" ID=\"_a2\"");
        p.with(&inside(&evil, SUBJECT, &p.signature))
    }),
    ("another namespace by the same prefix", |p| {
        let hidden = p.assertion.replacen("2.0:assertion", "2.0:nothing", 1);
        p.with(&format!("{}{hidden}", p.evil))
    }),
    ("another prefix of the same namespace", |p| {
        let evil = p.evil.replace("saml:", "x:").replace("xmlns:saml", "xmlns:x");
        p.with(&format!("{evil}{}", p.assertion))
    }),
    ("signed in an object beside the response's content", |p| {
        p.with(&format!(
            "<ds:Object xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">{}</ds:Object>{}",
            p.assertion, p.evil
        ))
    }),
    ("two responses one after the other", |p| format!("{}{}", p.with(&p.evil), p.whole)),
    ("evil beside an encrypted one", |p| {
        let sealed = encrypt(&p.whole, "http://www.w3.org/2009/xmlenc11#aes128-gcm");
        inside(&sealed, "</samlp:Status>", &p.evil)
    }),
    ("an encrypted evil beside the signed one", |p| {
        let evil = p.with(&p.evil);
        let sealed = encrypt(&evil, "http://www.w3.org/2009/xmlenc11#aes128-gcm");
        let end = "</samlp:Response>";
        sealed.replace(end, &format!("{}{end}", p.assertion))
    }),
];

/// The signature is cut, moved, weakened, or of somebody else.
const MISSIGNED: [Forgery; 24] = [
    ("no signature", |p| p.with(&p.bare)),
    ("evil without one", |p| p.with(&p.evil)),
    ("only the response is signed", |p| sign(&p.with(&p.bare), true, idp_key())),
    ("evil, and the response is signed by somebody", |p| sign(&p.with(&p.evil), true, evil_key())),
    ("another name", |p| p.whole.replace("ana-1", "root")),
    ("another group", |p| p.whole.replace(">support<", ">admins<")),
    ("no conditions", |p| {
        p.whole.replace(between(&p.whole, "<saml:Conditions", "</saml:Conditions>"), "")
    }),
    ("signed by another key with its certificate", |p| sign(&p.with(&p.evil), false, evil_key())),
    ("signed by another key with the right certificate", |p| {
        let signed = sign(&p.with(&p.evil), false, evil_key());
        let text = misy_saml::certificate_text;
        signed.replace(&text(&evil_key().certificate), &text(&idp_key().certificate))
    }),
    ("signed by our own key", |p| sign(&p.with(&p.evil), false, our_key())),
    ("an empty digest", |p| {
        let digest = between(&p.whole, "<ds:DigestValue>", "</ds:DigestValue>");
        p.whole.replace(digest, "<ds:DigestValue></ds:DigestValue>").replace("ana-1", "root")
    }),
    ("an empty signature value", |p| {
        let value = between(&p.whole, "<ds:SignatureValue>", "</ds:SignatureValue>");
        p.whole.replace(value, "<ds:SignatureValue></ds:SignatureValue>")
    }),
    ("an HMAC with the certificate as its key", |p| p.whole.replace("#rsa-sha256", "#hmac-sha256")),
    ("a broken hash", |p| {
        p.whole.replace(
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        )
    }),
    ("a reference to everything", |p| p.whole.replace("URI=\"#_a1\"", "URI=\"\"")),
    ("a reference to something else", |p| p.whole.replace("URI=\"#_a1\"", "URI=\"#_r1\"")),
    ("a reference to elsewhere", |p| {
        p.whole.replace("URI=\"#_a1\"", "URI=\"https://evil.example/a.xml\"")
    }),
    ("a reference by xpointer", |p| {
        p.whole.replace("URI=\"#_a1\"", "URI=\"#xpointer(id('_a1'))\"").replace("ana-1", "root")
    }),
    ("a stylesheet as transform", |p| {
        p.whole.replace(
            "http://www.w3.org/2000/09/xmldsig#enveloped-signature",
            "http://www.w3.org/TR/1999/REC-xslt-19991116",
        )
    }),
    ("a filter as transform", |p| {
        p.whole.replacen(
            "http://www.w3.org/2001/10/xml-exc-c14n#\"/></ds:Transforms>",
            "http://www.w3.org/TR/1999/REC-xpath-19991116\"/></ds:Transforms>",
            1,
        )
    }),
    ("no reference", |p| {
        p.whole.replace(between(&p.whole, "<ds:Reference", "</ds:Reference>"), "")
    }),
    ("two references", |p| {
        let one = between(&p.whole, "<ds:Reference", "</ds:Reference>").to_owned();
        p.whole.replace(&one, &format!("{one}{one}"))
    }),
    ("the signature moved to the response", |p| {
        inside(&p.with(&p.evil.replace("_evil", "_a1")), "</saml:Issuer>", &p.signature)
    }),
    ("the signature moved into the subject", |p| {
        p.with(&inside(&p.evil.replace("_evil", "_a1"), "</saml:NameID>", &p.signature))
    }),
];

/// Constructs on which two readers disagree.
const CONSTRUCTED: [Forgery; 10] = [
    ("a comment in the name", |p| p.whole.replace("ana-1", "ana-1<!-- -->.evil.example")),
    ("a comment before the signature", |p| {
        p.whole.replace("<ds:Signature ", "<!-- x --><ds:Signature ")
    }),
    ("CDATA in the name", |p| p.whole.replace("ana-1", "<![CDATA[ana-1]]>")),
    ("a processing instruction", |p| p.whole.replace("ana-1", "ana-1<?x y?>")),
    ("a DTD", |p| format!("<!DOCTYPE samlp:Response>{}", p.whole)),
    ("a DTD after the declaration", |p| {
        let dtd = "<?xml version=\"1.0\"?><!DOCTYPE a [<!ATTLIST saml:Assertion ID ID #IMPLIED>]>";
        format!("{dtd}{}", p.whole)
    }),
    ("an entity", |p| {
        let whole = p.whole.replace("ana-1", "&name;");
        format!("<!DOCTYPE a [<!ENTITY name \"root\">]>{whole}")
    }),
    ("an entity of a file", |p| {
        let whole = p.whole.replace("ana-1", "&name;");
        format!("<!DOCTYPE a [<!ENTITY name SYSTEM \"file:///etc/passwd\">]>{whole}")
    }),
    ("a billion laughs", |p| {
        let level = |n: u32| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10));
        let levels = (1..10).map(level).collect::<Vec<_>>().concat();
        let whole = p.whole.replace("ana-1", "&l9;");
        format!("<!DOCTYPE a [<!ENTITY l0 \"lol\">{levels}]>{whole}")
    }),
    ("another encoding", |p| format!("<?xml version=\"1.0\" encoding=\"UTF-7\"?>{}", p.whole)),
];

#[test]
fn of_all_forgeries_none_gets_in_and_their_originals_do() {
    let alone = Says::default().signed();
    let both = sign(&alone, true, idp_key());
    let mut tried = 0;
    for original in [alone, both] {
        assert!(accept(&original).is_ok(), "the original is honest");
        let parts = Parts::of(original);
        for (name, forge) in WRAPPED.iter().chain(&MISSIGNED).chain(&CONSTRUCTED) {
            let forged = forge(&parts);
            assert_ne!(forged, parts.whole, "{name}: it is not forged");
            let read = accept(&forged).map(|subject| subject.name_id.0);
            assert!(read.is_err(), "{name}: {read:?}");
            tried += 1;
        }
    }
    assert_eq!(tried, 112);
}

#[test]
fn nothing_that_is_no_message_gets_in_or_panics() {
    let whole = STANDARD.encode(Says::default().signed());
    let cut = &whole[..whole.len() / 2];
    let deep = STANDARD.encode("<a>".repeat(100_000));
    let large = "A".repeat(2_000_000);
    let utf16 = STANDARD.encode([0xff, 0xfe, b'<', 0, b'a', 0]);
    for message in ["", "%", "PGEvPg==", cut, &deep, &large, &utf16] {
        let (relay_state, request_id) = (Some("s"), Some(REQUEST));
        let response = Response { message, relay_state, request_id, now: noon(), skew_s: 60 };
        assert!(Strict.accept(&us(), &peer(), response).is_err());
    }
}

/// Every byte of a response is damaged in turn, coarsely.
#[test]
fn no_damaged_response_says_anybody_else() {
    let whole = Says::default().signed();
    for at in (0..whole.len()).step_by(37) {
        let mut bytes = whole.clone().into_bytes();
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if let Ok(subject) = accept(&text) {
            assert_eq!(subject.name_id.0, "ana-1", "at {at}");
        }
    }
}
