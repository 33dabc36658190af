//! Room `identity`: what must hold of sessions and their refresh tokens.

use super::*;
use proptest::prelude::*;

fn token(spent: bool, superseded: bool, answer_arrived: bool) -> RefreshToken {
    RefreshToken { hash: Vec::new(), spent, superseded, answer_arrived }
}

#[test]
fn a_token_is_exchanged_once_and_again_only_if_its_answer_was_lost() {
    assert_eq!(judge(&token(false, false, false), true), Verdict::Exchange);
    assert_eq!(judge(&token(true, false, false), true), Verdict::ExchangeAgain);
    assert_eq!(judge(&token(true, false, true), true), Verdict::Reuse);
    assert_eq!(judge(&token(false, true, false), true), Verdict::Reuse);
}

#[test]
fn nothing_is_given_once_the_session_is_over() {
    for n in 0..8u8 {
        let token = token(n & 1 > 0, n & 2 > 0, n & 4 > 0);
        assert_eq!(judge(&token, false), Verdict::Refuse);
    }
}

#[test]
fn use_prolongs_a_session_but_not_beyond_its_end() {
    let seconds = Duration::from_secs;
    let lifetimes = Lifetimes { token: seconds(9), idle: seconds(100), absolute: seconds(250) };
    let at = |second| Timestamp::from_second(second).expect("in range");
    let end = lifetimes.expires_at(at(0));
    assert_eq!(lifetimes.idle_until(at(0), end), at(100));
    assert_eq!(lifetimes.idle_until(at(200), end), at(250));
}

proptest! {
    #[test]
    fn every_refresh_token_has_its_hash(bytes: [u8; 32]) {
        let text = refresh_text(bytes);
        prop_assert_eq!(refresh_hash(&text), Some(crypto::sha256(&bytes).to_vec()));
    }

    #[test]
    fn other_texts_have_none(text in "(mbr_)?.{0,60}") {
        let found = refresh_hash(&Secret::new(text.clone()));
        prop_assert!(found.is_none() || text.len() == 47);
    }
}

/// A family of refresh tokens as the database keeps it: each remembers what it was exchanged for.
#[derive(Default)]
struct Family {
    tokens: Vec<Node>,
    ended: bool,
}

#[derive(Clone, Copy, Default)]
struct Node {
    parent: Option<usize>,
    spent: bool,
    superseded: bool,
    access_used: bool,
}

impl Family {
    fn begun() -> Self {
        Self { tokens: vec![Node::default()], ended: false }
    }

    fn present(&mut self, at: usize) -> Option<usize> {
        let arrived = |child: &Node| {
            child.parent == Some(at) && !child.superseded && (child.spent || child.access_used)
        };
        let Node { spent, superseded, .. } = self.tokens[at];
        let answer_arrived = self.tokens.iter().any(arrived);
        let token = RefreshToken { hash: Vec::new(), spent, superseded, answer_arrived };
        match judge(&token, !self.ended) {
            Verdict::Refuse => None,
            Verdict::Reuse => {
                self.ended = true;
                None
            }
            Verdict::Exchange | Verdict::ExchangeAgain => {
                for child in self.tokens.iter_mut().filter(|child| child.parent == Some(at)) {
                    child.superseded = true;
                }
                self.tokens[at].spent = true;
                self.tokens.push(Node { parent: Some(at), ..Node::default() });
                Some(self.tokens.len() - 1)
            }
        }
    }

    fn alive(&self) -> usize {
        self.tokens.iter().filter(|token| !token.spent && !token.superseded).count()
    }
}

proptest! {
    /// Whatever answers are lost on the way, a client that uses what it gets stays signed in.
    #[test]
    fn an_honest_client_is_never_signed_out(losses in prop::collection::vec(0u8..4, 1..40)) {
        let (mut family, mut held) = (Family::begun(), 0);
        for lost in losses {
            for _ in 0..lost {
                prop_assert!(family.present(held).is_some());
            }
            held = family.present(held).expect("an answer arrives at last");
            family.tokens[held].access_used = true;
        }
        prop_assert!(!family.ended);
        prop_assert_eq!(family.alive(), 1);
    }

    /// A thief copies the client's token at some time; both go on exchanging and using what they
    /// have, in any order. As soon as both have come back after the copy, the session is over.
    #[test]
    fn two_who_share_a_token_are_found_out(
        before in 0usize..5,
        turns in prop::collection::vec(any::<bool>(), 1..30),
    ) {
        let (mut family, mut held) = (Family::begun(), 0);
        for _ in 0..before {
            held = family.present(held).expect("honest so far");
            family.tokens[held].access_used = true;
        }
        let mut hands = [held, held];
        let mut came = [0, 0];
        for thief in turns {
            let hand = usize::from(thief);
            came[hand] += 1;
            if let Some(next) = family.present(hands[hand]) {
                hands[hand] = next;
                family.tokens[next].access_used = true;
            }
            prop_assert!(family.alive() <= 1, "never two who can go on");
            prop_assert_eq!(family.ended, came[0] > 0 && came[1] > 0);
        }
    }
}

#[test]
fn a_device_is_named_as_people_know_it() {
    let cases = [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/140.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari on iOS",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
            "Safari on macOS",
        ),
        ("curl/8.14.1", "curl"),
        ("acme-backend/2 (Linux)", "acme-backend on Linux"),
        ("", ""),
    ];
    for (device, name) in cases {
        assert_eq!(summary(device), name, "{device}");
    }
}

#[test]
fn a_challenge_is_no_refresh_token_and_neither_is_the_other() {
    let challenge = challenge_text([7; 32]);
    let refresh = refresh_text([7; 32]);
    assert_eq!(challenge_hash(&challenge), refresh_hash(&refresh), "of the same bytes");
    assert_eq!(challenge_hash(&refresh), None);
    assert_eq!(refresh_hash(&challenge), None);
    assert_eq!(challenge_hash(&Secret::new("mbc_AAAA")), None, "too short");
}

#[test]
fn every_way_of_signing_in_reads_back() {
    for method in Method::ALL {
        assert_eq!(Method::from_slug(method.slug()), Some(method));
    }
    assert_eq!(Method::from_slug("magic"), None);
}
