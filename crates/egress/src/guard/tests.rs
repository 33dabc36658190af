//! Room `egress`: what the guard must refuse, by a table of our own and by a public collection.

use super::*;
use proptest::prelude::*;

/// One address of each special-purpose block that is refused without the operator's word.
const INNER: [&str; 42] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.255.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
];

/// Neighbours of those blocks, and well-known services.
const OUTER: [&str; 14] = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a03:2880:f003::1",
];

fn literal(text: &str, scheme: &str) -> Url {
    let host = if text.contains(':') { format!("[{text}]") } else { text.to_owned() };
    Url::parse(&format!("{scheme}://{host}/")).expect("an address in a URL")
}

#[test]
fn every_special_block_is_refused_for_public_calls() {
    for text in INNER {
        assert!(check_url(&literal(text, "https"), Reach::Public).is_err(), "{text}");
    }
}

#[test]
fn public_addresses_are_let_through() {
    for text in OUTER {
        assert!(check_url(&literal(text, "https"), Reach::Public).is_ok(), "{text}");
    }
}

#[test]
fn metadata_services_are_refused_even_where_private_hosts_are_allowed() {
    for text in ["169.254.169.254", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fe80::1"] {
        assert!(check_url(&literal(text, "http"), Reach::Private).is_err(), "{text}");
    }
    for text in ["127.0.0.1", "10.1.2.3", "192.168.0.10", "::1", "fd12:3456::1"] {
        assert!(check_url(&literal(text, "http"), Reach::Private).is_ok(), "{text}");
    }
}

#[test]
fn only_clean_urls_of_the_web_pass() {
    for url in [
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://user@example.org/",
        "https://:secret@example.org/",
        "gopher://example.org:25/_MAIL",
        "data:text/plain,hello",
    ] {
        let url = Url::parse(url).expect("a URL");
        assert!(check_url(&url, Reach::Public).is_err(), "{url}");
    }
    let fine = Url::parse("https://example.org:8443/path?x=1").expect("a URL");
    assert_eq!(check_url(&fine, Reach::Public), Ok("example.org"));
}

/// Addresses in every spelling that other parsers were fooled by.
#[test]
fn odd_spellings_of_inner_addresses_are_refused() {
    for host in [
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.254.169.254",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "127.0.0.1.",
        "[0:0:0:0:0:ffff:169.254.169.254]",
        "%31%32%37.0.0.1",
    ] {
        let refused = match Url::parse(&format!("https://{host}/")) {
            Ok(url) => check_url(&url, Reach::Public).is_err(),
            Err(_) => true,
        };
        assert!(refused, "{host}");
    }
}

fn corpus() -> Option<Vec<String>> {
    let mut root =
        std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if let Some(given) = option_env!("MISYBOT_CORPORA") {
        root = given.into();
    }
    let folder = root.join("auth/payloadsallthethings");
    let files = ["ssrf-README.md", "ssrf-cloud-instances.md"].map(|name| folder.join(name));
    let mut words = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).ok()?;
        let parts = text.split(|c: char| c.is_whitespace() || "`|()<>\"'".contains(c));
        words.extend(parts.filter(|word| word.contains("://")).map(str::to_owned));
    }
    Some(words)
}

/// A URL of the collection that names an address must be refused, whatever its scheme; a URL with a
/// name is judged when the name is resolved.
#[test]
fn no_address_of_the_public_collection_of_attacks_passes() {
    let Some(words) = corpus() else {
        eprintln!("SKIPPED: the collection of attacks is not on this machine (MISYBOT_CORPORA)");
        return;
    };
    let mut addresses = 0;
    for word in words {
        let web = word.split_once("://").map(|(_, rest)| format!("https://{rest}"));
        for url in web.iter().chain([&word]).filter_map(|text| Url::parse(text).ok()) {
            if matches!(url.host(), Some(Host::Domain(_)) | None) {
                continue;
            }
            // Public addresses that the collection only tells a parser's story with.
            if ["1.1.1.1", "2.2.2.2", "3.3.3.3"].contains(&url.host_str().unwrap_or_default()) {
                continue;
            }
            addresses += 1;
            assert!(check_url(&url, Reach::Public).is_err(), "{url}");
        }
    }
    assert!(addresses > 40, "only {addresses} addresses were found in the collection");
}

proptest! {
    #[test]
    fn an_ipv4_address_inside_ipv6_is_never_let_through(bits: u32, form in 0usize..4) {
        let inner = u128::from(bits);
        let outer: u128 = match form {
            0 => inner,
            1 => (0xffff << 32) | inner,
            2 => (0x0064_ff9b << 96) | inner,
            _ => (0x2002 << 112) | (inner << 80),
        };
        let address = IpAddr::V6(std::net::Ipv6Addr::from_bits(outer));
        prop_assert!(!Reach::Public.permits(address), "{address}");
    }

    #[test]
    fn whatever_is_public_is_also_permitted_where_private_is(bits: u32) {
        let address = IpAddr::V4(bits.into());
        prop_assert!(!Reach::Public.permits(address) || Reach::Private.permits(address));
    }
}
