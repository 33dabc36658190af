//! Room `egress`: answers of name servers, good and bad, over a socket and without one.

use super::*;
use proptest::prelude::*;
use tokio::net::TcpListener;

/// The type of a text, and the reply code of a name that does not exist (RFC 1035).
const TXT: u16 = 16;
const NO_SUCH_NAME: u8 = 3;

const NAME: &str = "_misybot-challenge.acme.example";

/// An answer with these records, each as type and data; the name is a pointer to the question.
fn answer(query: &[u8], code: u8, records: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = query.to_vec();
    (bytes[2], bytes[3]) = (0x81, 0x80 | code);
    bytes[7] = u8::try_from(records.len()).expect("few");
    for (kind, data) in records {
        bytes.extend_from_slice(&[0xc0, 12]);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        bytes.extend_from_slice(&u16::try_from(data.len()).expect("short").to_be_bytes());
        bytes.extend_from_slice(data);
    }
    bytes
}

/// A name server that gives one answer to whoever asks.
async fn serve(code: u8, records: Vec<(u16, Vec<u8>)>) -> (String, tokio::task::JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address").to_string();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let length = stream.read_u16().await.expect("a length");
            let mut query = vec![0; length.into()];
            stream.read_exact(&mut query).await.expect("a question");
            let records: Vec<_> =
                records.iter().map(|(kind, data)| (*kind, data.as_slice())).collect();
            let answer = answer(&query, code, &records);
            let length = u16::try_from(answer.len()).expect("short");
            stream.write_u16(length).await.expect("writes");
            stream.write_all(&answer).await.expect("writes");
        }
    });
    (address, serving)
}

fn servers(all: &[String]) -> NameServers {
    NameServers::new(all, Duration::from_secs(10))
}

#[tokio::test]
async fn texts_are_read_whole_and_other_records_are_passed_over() {
    let parts = [&[3][..], b"one", &[4], b" two"].concat();
    let records = vec![(5, vec![1, b'x', 0]), (TXT, parts), (TXT, vec![1, b'z'])];
    let (address, _serving) = serve(0, records).await;
    let found = servers(&[address]).look_up(NAME).await;
    assert_eq!(found, Ok(vec!["one two".to_owned(), "z".to_owned()]));
}

#[tokio::test]
async fn a_name_that_does_not_exist_has_no_texts() {
    let (address, _serving) = serve(NO_SUCH_NAME, Vec::new()).await;
    assert_eq!(servers(&[address]).look_up(NAME).await, Ok(Vec::new()));
}

#[tokio::test]
async fn the_next_server_is_asked_if_one_fails() {
    let (failing, _first) = serve(2, Vec::new()).await;
    let (good, _second) = serve(0, vec![(TXT, vec![1, b'a'])]).await;
    let nobody = "127.0.0.1:1".to_owned();
    let found = servers(&[nobody, failing.clone(), good]).look_up(NAME).await;
    assert_eq!(found, Ok(vec!["a".to_owned()]));
    assert_eq!(servers(&[failing]).look_up(NAME).await, Err(LookupError::Unanswered));
}

#[tokio::test]
async fn what_is_no_name_is_not_asked_for() {
    let long = format!("{}.example", "a".repeat(64));
    for name in ["", ".", "a..b", "\u{e9}.example", &long, &"a.".repeat(150)] {
        assert_eq!(
            servers(&["127.0.0.1:1".to_owned()]).look_up(name).await,
            Err(LookupError::BadName)
        );
    }
}

/// A question to somebody, and what an answer to it is compared with.
fn asked(name: &str) -> (Message, Vec<u8>) {
    let question = question(name).expect("a name");
    let bytes = question.to_vec().expect("it is short");
    (question, bytes)
}

/// The bytes of RFC 1035 section 4.1, written down by hand.
#[test]
fn a_question_is_what_every_server_reads() {
    let (_, bytes) = asked("a.bc");
    let expected = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 2, b'b', b'c', 0, 0, 16, 0, 1];
    assert_eq!(bytes, expected);
}

#[test]
fn an_answer_to_another_question_is_none() {
    let (question, bytes) = asked(NAME);
    let (_, other) = asked("_misybot-challenge.evil.example");
    let record: &[(u16, &[u8])] = &[(TXT, &[1, b'a'])];
    assert_eq!(read_answer(&answer(&other, 0, record), &question), None);
    assert_eq!(read_answer(&bytes, &question), None, "a question is no answer");
    let mut renamed = answer(&bytes, 0, record);
    renamed[0] = 9;
    assert_eq!(read_answer(&renamed, &question), None);
    let shouted = answer(&bytes, 0, record).to_ascii_uppercase();
    assert_eq!(read_answer(&shouted, &question), Some(vec!["A".to_owned()]));
}

/// Pointers that lead to themselves or ahead would be followed for ever by a careless reader.
#[test]
fn an_answer_whose_names_lead_in_circles_is_none() {
    let (question, bytes) = asked(NAME);
    let good = answer(&bytes, 0, &[(TXT, &[1, b'a'])]);
    let pointer = bytes.len();
    for to in [pointer, pointer + 2, good.len() + 40] {
        let mut circle = good.clone();
        let to = u16::try_from(to).expect("short") | 0xc000;
        circle[pointer..pointer + 2].copy_from_slice(&to.to_be_bytes());
        assert_eq!(read_answer(&circle, &question), None, "{to:x}");
    }
}

#[test]
fn servers_are_read_from_the_file_of_the_machine() {
    let text = "# a comment\nsearch example\nnameserver 192.0.2.1\n nameserver ::1\nnameserver x\n";
    let found: Vec<_> = of_resolv_conf(text).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["192.0.2.1:53", "[::1]:53"]);
}

proptest! {
    #[test]
    fn no_answer_makes_the_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..80), keep in 0usize..90,
    ) {
        let (question, asked) = asked(NAME);
        let good = answer(&asked, 0, &[(TXT, &[3, b'a', b'b', b'c'])]);
        let mut damaged = good.clone();
        damaged.truncate(keep.min(good.len()));
        damaged.extend_from_slice(&bytes);
        let _ = read_answer(&damaged, &question);
        let _ = read_answer(&bytes, &question);
    }
}
