//! Room `store`: the calls of an attack, made from what the server says about its own commands
//! (`COMMAND DOCS`), so that a command of a later version is tried as well.

use std::collections::HashMap;

use redis::{FromRedisValue, Value};

/// One word of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    Plain(String),
    /// A name of a key or channel, the attacked one's if the call is to be an attack.
    Name,
    /// A key of the attacker's own.
    Own,
    /// What all names of the attacked begin with, as a pattern.
    Pattern,
}

/// A call before its names are known.
pub(super) type Shape = Vec<Word>;

/// What is tried by hand: where names stand in other places than the documents say, where a command
/// does its work later or elsewhere, and where it is about users, scripts or connections.
const BY_HAND: &str = "\
ACL CAT|ACL DELUSER NAME|ACL GETUSER default|ACL LIST|ACL LOG|ACL LOG RESET|ACL SAVE|ACL LOAD|\
ACL SETUSER default on nopass ~* &* +@all|ACL USERS|ACL WHOAMI|ACL DRYRUN default GET NAME|\
AUTH default x|AUTH misy_admin misy_admin|BITOP AND OWN NAME|BITOP NOT NAME OWN|\
BLMOVE NAME OWN LEFT LEFT 1|BLMPOP 1 2 OWN NAME LEFT|BLPOP OWN NAME 1|BRPOPLPUSH NAME OWN 1|\
BZMPOP 1 2 OWN NAME MIN|BZPOPMIN OWN NAME 1|CLIENT KILL TYPE normal|CLIENT LIST|\
CLIENT TRACKING ON BCAST|CLIENT TRACKING ON BCAST PREFIX PATTERN|CLIENT PAUSE 1|CLIENT UNPAUSE|\
CLUSTER SLOTS|COMMAND GETKEYS GET NAME|CONFIG GET *|CONFIG SET maxmemory 1|COPY NAME OWN|\
COPY OWN NAME|COPY NAME OWN DB 1|DBSIZE|DEBUG OBJECT NAME|DEBUG SLEEP 0|DEL OWN NAME|DUMP NAME|\
EVAL return`redis.call('GET',ARGV[1]) 0 NAME|EVAL return`redis.call('GET',KEYS[1]) 1 NAME|\
EVAL_RO return`redis.call('GET',ARGV[1]) 0 NAME|EVAL return`redis.call('KEYS','*') 0|\
EVAL return`redis.call('SET',ARGV[1],'1') 0 NAME|EVAL return`redis.setresp(3) 0|EXISTS OWN NAME|\
FAILOVER|FCALL f 1 NAME|FCALL_RO f 0 NAME|FLUSHALL|FLUSHDB|FUNCTION DUMP|FUNCTION FLUSH|\
FUNCTION KILL|FUNCTION LIST|FUNCTION STATS|GEOADD NAME 1 1 x|GEORADIUS NAME 0 0 1 km STORE OWN|\
GEORADIUS OWN 0 0 1 km STORE NAME|GEORADIUS OWN 0 0 1 km STOREDIST NAME|\
GEOSEARCHSTORE NAME OWN FROMLONLAT 0 0 BYRADIUS 1 km ASC|GETDEL NAME|GETEX NAME PERSIST|\
HELLO 3|HELLO 3 AUTH default x|INFO|INFO keyspace|KEYS *|KEYS PATTERN|LATENCY DOCTOR|LCS OWN NAME|\
LMOVE NAME OWN LEFT LEFT|LMPOP 2 OWN NAME LEFT|LOLWUT|MEMORY DOCTOR|MEMORY USAGE NAME|\
MGET OWN NAME|MIGRATE 127.0.0.1 1 NAME 0 1|MIGRATE 127.0.0.1 1  0 1 KEYS NAME|MODULE LIST|MODULE LOAD x|MONITOR|\
MOVE NAME 1|MSET OWN 1 NAME 1|MSETNX OWN 1 NAME 1|MULTI|OBJECT ENCODING NAME|OBJECT FREQ NAME|\
OBJECT IDLETIME NAME|PFCOUNT OWN NAME|PFMERGE OWN NAME|PFMERGE NAME OWN|PSUBSCRIBE *|\
PSUBSCRIBE PATTERN|PSYNC ? -1|PUBLISH NAME x|PUBSUB CHANNELS|PUBSUB NUMSUB NAME|PUBSUB NUMPAT|\
PUBSUB SHARDCHANNELS|RANDOMKEY|RENAME NAME OWN|RENAME OWN NAME|RENAMENX NAME OWN|\
REPLICAOF NO ONE|RESTORE NAME 0 x REPLACE|RESTORE-ASKING NAME 0 x|ROLE|RPOPLPUSH NAME OWN|SAVE|\
SCAN 0|SCAN 0 MATCH PATTERN COUNT 1000|SCRIPT EXISTS x|SCRIPT FLUSH|SCRIPT KILL|\
SCRIPT LOAD return`1|SCRIPT DEBUG NO|SDIFFSTORE OWN NAME|SELECT 1|SINTERCARD 2 OWN NAME|\
SINTERSTORE OWN NAME|SINTERSTORE NAME OWN|SLOWLOG GET|SMOVE NAME OWN x|SMOVE OWN NAME x|\
SORT OWN BY NAME GET NAME|SORT OWN GET PATTERN|SORT OWN STORE NAME|SORT NAME|SORT_RO NAME|\
SORT_RO OWN BY PATTERN GET PATTERN|SPUBLISH NAME x|SSUBSCRIBE NAME|SUBSCRIBE NAME|\
SUBSTR NAME 0 9|SUNIONSTORE OWN NAME|SWAPDB 0 1|SYNC|TOUCH OWN NAME|UNLINK OWN NAME|\
WAIT 0 0|WATCH NAME|XGROUP CREATE NAME g 0 MKSTREAM|XREAD COUNT 1 STREAMS NAME 0|\
XREAD BLOCK 1 STREAMS OWN NAME 0 0|XREADGROUP GROUP g c STREAMS NAME >|ZDIFFSTORE OWN 1 NAME|\
ZINTERSTORE OWN 2 OWN NAME|ZMPOP 2 OWN NAME MIN|ZRANGESTORE OWN NAME 0 -1|\
ZRANGESTORE NAME OWN 0 -1|ZUNION 2 OWN NAME|ZUNIONSTORE OWN 1 NAME|ZUNIONSTORE NAME 1 OWN";

/// The calls by hand; a backtick stands for a space inside a word.
pub(super) fn by_hand() -> Vec<Shape> {
    let word = |text: &str| match text {
        "NAME" => Word::Name,
        "OWN" => Word::Own,
        "PATTERN" => Word::Pattern,
        other => Word::Plain(other.replace('`', " ")),
    };
    BY_HAND.split('|').map(|call| call.split(' ').map(word).collect()).collect()
}

/// Every command of the server, subcommands as two words, with the shapes that its documents give.
pub(super) fn documented(docs: &Value) -> Vec<(String, Vec<Shape>)> {
    let mut found = Vec::new();
    for (name, doc) in pairs(docs) {
        let mut begin: Shape = name.split('|').map(|it| Word::Plain(it.to_owned())).collect();
        let doc = fields(&doc);
        let arguments = doc.get("arguments").map(list).unwrap_or_default();
        let mut shapes = sequence(&arguments);
        for shape in &mut shapes {
            shape.splice(0..0, begin.iter().cloned());
        }
        begin.truncate(2);
        shapes.extend(mechanical(&begin));
        found.push((name, shapes));
        if let Some(subcommands) = doc.get("subcommands") {
            found.extend(documented(subcommands));
        }
    }
    found
}

/// A name in every place of up to five words, whatever the documents say.
fn mechanical(begin: &[Word]) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for length in 0..=5 {
        for place in 0..=length {
            let mut shape = begin.to_vec();
            shape.extend((0..length).map(|_| Word::Plain("1".to_owned())));
            if let Some(word) = shape.get_mut(begin.len() + place) {
                *word = Word::Name;
            }
            shapes.push(shape);
        }
    }
    shapes
}

/// The plainest form first, then each with one thing that may be there or be otherwise.
fn sequence(arguments: &[Value]) -> Vec<Shape> {
    let each: Vec<Vec<Shape>> = arguments.iter().map(argument).collect();
    let plain = |skip: usize, other: &Shape| -> Shape {
        let chosen = each.iter().enumerate();
        let chosen = chosen.map(|(at, forms)| if at == skip { other } else { &forms[0] });
        chosen.flatten().cloned().collect()
    };
    let mut shapes = vec![each.iter().flat_map(|forms| forms[0].clone()).collect()];
    for (at, forms) in each.iter().enumerate() {
        shapes.extend(forms[1..].iter().map(|form| plain(at, form)));
    }
    shapes
}

/// The forms of one argument; never none.
fn argument(value: &Value) -> Vec<Shape> {
    let argument = fields(value);
    let text = |name: &str| argument.get(name).map(as_text).unwrap_or_default();
    let inner = argument.get("arguments").map(list).unwrap_or_default();
    let one = |word: Word| vec![vec![word]];
    let mut forms = match (text("type").as_str(), text("name").as_str()) {
        ("pure-token", _) => vec![vec![]],
        ("oneof", _) => inner.iter().flat_map(self::argument).collect(),
        ("block", _) => sequence(&inner),
        ("key", _) | (_, "channel" | "shardchannel") => one(Word::Name),
        ("pattern", _) => one(Word::Pattern),
        _ => one(Word::Plain("1".to_owned())),
    };
    let token = text("token");
    if !token.is_empty() {
        for form in &mut forms {
            form.insert(0, Word::Plain(token.clone()));
        }
    }
    let flags = argument.get("flags").map(list).unwrap_or_default();
    if forms.is_empty() || flags.iter().any(|flag| as_text(flag) == "optional") {
        forms.insert(0, Vec::new());
    }
    forms
}

fn list(value: &Value) -> Vec<Value> {
    Vec::from_redis_value_ref(value).unwrap_or_default()
}

/// A map comes as a list of names and values in turn.
fn pairs(value: &Value) -> Vec<(String, Value)> {
    let mut words = list(value).into_iter();
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        pairs.push((as_text(&name), value));
    }
    pairs
}

fn fields(value: &Value) -> HashMap<String, Value> {
    pairs(value).into_iter().collect()
}

fn as_text(value: &Value) -> String {
    String::from_redis_value_ref(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::BulkString(value.as_bytes().to_vec())
    }

    fn map(pairs: Vec<(&str, Value)>) -> Value {
        Value::Array(pairs.into_iter().flat_map(|(name, value)| [text(name), value]).collect())
    }

    fn an(kind: &str, more: Vec<(&str, Value)>) -> Value {
        map([vec![("name", text("x")), ("type", text(kind))], more].concat())
    }

    fn optional() -> (&'static str, Value) {
        ("flags", Value::Array(vec![text("optional")]))
    }

    fn shown(shapes: &[Shape]) -> Vec<String> {
        let word = |word: &Word| match word {
            Word::Plain(text) => text.clone(),
            other => format!("{other:?}").to_uppercase(),
        };
        shapes.iter().map(|shape| shape.iter().map(word).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn every_form_that_the_documents_describe_is_made_once() {
        let arguments = [
            an("key", vec![]),
            an("pure-token", vec![("token", text("NX")), optional()]),
            an(
                "oneof",
                vec![(
                    "arguments",
                    Value::Array(vec![
                        an("integer", vec![("token", text("EX"))]),
                        an("pattern", vec![("token", text("MATCH"))]),
                    ]),
                )],
            ),
        ];
        let forms = shown(&sequence(&arguments));
        assert_eq!(forms, ["NAME EX 1", "NAME NX EX 1", "NAME MATCH PATTERN"]);
    }

    #[test]
    fn subcommands_are_two_words_and_tried_as_well() {
        let get = map(vec![("arguments", Value::Array(vec![an("key", vec![])]))]);
        let docs =
            map(vec![("object", map(vec![("subcommands", map(vec![("object|freq", get)]))]))]);
        let found = documented(&docs);
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["object", "object|freq"]);
        assert!(shown(&found[1].1).contains(&"object freq NAME".to_owned()));
        assert!(shown(&found[0].1).contains(&"object 1 1 NAME 1 1".to_owned()));
    }

    #[test]
    fn calls_by_hand_name_others_and_know_words_with_spaces() {
        let shapes = shown(&by_hand());
        assert!(shapes.contains(&"EVAL return redis.call('GET',ARGV[1]) 0 NAME".to_owned()));
        assert!(
            shapes.contains(&"ACL SETUSER default on nopass ~* &* +@all".to_owned()),
            "{shapes:?}"
        );
        assert!(shapes.len() >= 140, "{}", shapes.len());
    }
}
