//! Room `sandbox`: what must hold of a world and its records.

use super::*;
use proptest::prelude::*;
use serde_json::json;

use crate::wire;

const ACCOUNT: &str = "106540352242922";

/// For the report of a failing property; outside tests nothing prints what people said.
impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

fn second(at: i64) -> Timestamp {
    Timestamp::from_second(at).expect("in range")
}

fn account() -> Account {
    let text = |it: &str| it.to_owned();
    Account {
        phone_number_id: text(ACCOUNT),
        waba_id: text("102290129340398"),
        app_id: text("1"),
        display_phone_number: text("+1 555-078-3881"),
        verified_name: text("Acme"),
        access_token: text("t"),
        app_secret: text("s"),
        verify_token: text("v"),
        webhook_url: None,
        subscribed: true,
        created_at: second(0),
        behaviour: crate::model::Behaviour::default(),
    }
}

fn phone(chat: u8) -> Phone {
    let chat = format!("4915155500{chat:02}");
    crate::engine::fresh_phone(&account(), &chat)
}

fn message(number: u16, chat: u8, direction: Direction) -> Message {
    Message {
        id: format!("wamid.{number}"),
        chat: phone(chat).chat,
        direction,
        at: second(i64::from(number)),
        kind: "text".to_owned(),
        payload: wire::raw(&json!({"text": {"body": number}})),
        statuses: BTreeMap::new(),
        fate: None,
        opaque: None,
        category: String::new(),
        read: false,
    }
}

fn hook(serial: u64, chat: u8) -> Hook {
    Hook { serial, chat: phone(chat).chat, change: wire::raw(&json!({"field": "messages"})) }
}

fn of() -> String {
    ACCOUNT.to_owned()
}

/// Something that happens to one of a few phones and messages.
fn record() -> impl Strategy<Value = Record> {
    let status = prop_oneof![Just(Status::Sent), Just(Status::Delivered), Just(Status::Read)];
    prop_oneof![
        (0..4_u8).prop_map(|chat| Record::Phone { account: of(), phone: phone(chat) }),
        (0..40_u16, 0..4_u8, any::<bool>()).prop_map(|(number, chat, inbound)| {
            let direction = if inbound { Direction::In } else { Direction::Out };
            let message = Box::new(message(number, chat, direction));
            let hook = inbound.then(|| hook(u64::from(number) + 1, chat));
            Record::Message { account: of(), message, hook }
        }),
        (0..40_u16, status).prop_map(|(number, status)| Record::Status {
            account: of(),
            id: format!("wamid.{number}"),
            status,
            at: second(1),
            hook: None,
        }),
        (0..40_u16, proptest::option::of(0..100_i64)).prop_map(|(number, until)| Record::Read {
            account: of(),
            id: format!("wamid.{number}"),
            typing_until: until.map(second),
        }),
        (0..60_u64, any::<bool>()).prop_map(|(serial, delivered)| Record::Settled {
            account: of(),
            serials: vec![serial],
            delivered,
        }),
        (0..9_u8).prop_map(|id| Record::MediaGone { account: of(), id: id.to_string() }),
        (0..9_u8).prop_map(|id| {
            let media = Media {
                id: id.to_string(),
                mime_type: "image/png".to_owned(),
                sha256: String::new(),
                file_size: 1,
                created_at: second(1),
                inbound: id % 2 == 0,
            };
            Record::Media { account: of(), media }
        }),
    ]
}

fn world_of(records: impl IntoIterator<Item = Record>) -> World {
    let mut world = World::default();
    world.apply(Record::Account(Box::new(account())));
    records.into_iter().for_each(|record| world.apply(record));
    world
}

/// The snapshot as it would stand in the journal; files have no order.
fn lines(world: &World) -> Vec<String> {
    let print = |record: Record| serde_json::to_string(&record).expect("a record prints");
    let mut lines: Vec<String> = world.snapshot().map(print).collect();
    lines.sort();
    lines
}

fn read_back(lines: &[String]) -> Vec<Record> {
    lines.iter().map(|line| serde_json::from_str(line).expect("a record reads back")).collect()
}

proptest! {
    #[test]
    fn a_snapshot_gives_the_same_world_again(
        records in proptest::collection::vec(record(), 0..120),
    ) {
        let world = world_of(records);
        let mut again = World::default();
        let printed: Vec<Record> = world.snapshot().collect();
        for record in printed {
            again.apply(record);
        }
        prop_assert_eq!(lines(&world), lines(&again));
        let serial = |world: &World| world.find(ACCOUNT).map(Room::next_hook);
        prop_assert_eq!(serial(&world), serial(&again));
        let chats = |world: &World| -> Vec<String> {
            let room = world.find(ACCOUNT).expect("the account");
            room.chat(&phone(1).chat).map(|message| message.id.clone()).collect()
        };
        prop_assert_eq!(chats(&world), chats(&again));
    }

    #[test]
    fn a_replay_of_every_line_gives_the_same_world_again(
        records in proptest::collection::vec(record(), 0..120),
    ) {
        let printed: Vec<String> = records
            .iter()
            .map(|record| serde_json::to_string(record).expect("a record prints"))
            .collect();
        let world = world_of(records);
        prop_assert_eq!(lines(&world), lines(&world_of(read_back(&printed))));
    }
}

#[test]
fn a_record_of_an_unknown_account_is_left_out() {
    let mut world = World::default();
    world.apply(Record::Phone { account: of(), phone: phone(1) });
    assert!(world.is_empty());
}

#[test]
fn a_read_mark_does_not_reach_other_chats() {
    let put = |number, chat| {
        let message = Box::new(message(number, chat, Direction::In));
        Record::Message { account: of(), message, hook: None }
    };
    let read = Record::Read { account: of(), id: "wamid.3".to_owned(), typing_until: None };
    let world = world_of([put(1, 1), put(2, 2), put(3, 1), put(4, 1), read]);
    let room = world.find(ACCOUNT).expect("the account");
    let read: Vec<bool> = room.messages.iter().map(|message| message.read).collect();
    assert_eq!(read, [true, false, true, false]);
}

#[test]
fn the_log_forgets_the_oldest() {
    let mut world = world_of([]);
    let room = world.find_mut(ACCOUNT).expect("the account");
    for attempt in 0..300 {
        room.note(LogLine {
            at: second(1),
            serials: vec![],
            summary: String::new(),
            attempt,
            status: (attempt % 3 == 0).then_some(200),
            error: None,
            elapsed_ms: 0,
        });
    }
    assert_eq!(room.log.len(), LOG_LINES);
    assert_eq!(room.log.front().map(|line| line.attempt), Some(100));
    assert_eq!((room.counters.webhook_attempts, room.counters.webhook_failures), (300, 200));
}

#[test]
fn the_window_is_open_for_24_hours_unless_closed_by_order() {
    let mut phone = phone(1);
    assert!(!phone.is_window_open(second(0)));
    phone.last_wrote_at = Some(second(0));
    assert!(phone.is_window_open(second(24 * 3_600 - 1)));
    assert!(!phone.is_window_open(second(24 * 3_600)));
    phone.window_closed = true;
    assert!(!phone.is_window_open(second(1)));
}
