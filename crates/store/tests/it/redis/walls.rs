//! Room `store`: an attack on the walls between tenants in Redis, and the holes that it must find.

use misy_core::TenantId;
use misy_core::crypto::Key;
use misy_core::id::TypedId;
use misy_store::cache::attack::{Attack, Findings};
use misy_store::cache::{CachePasswords, key_prefix, user_rules};
use misy_testkit::{TestRedis, wall_ambient};
use uuid::Uuid;

fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(number))
}

async fn attack(redis: &TestRedis, rules: Option<Vec<String>>, enough: Option<usize>) -> Findings {
    let passwords = CachePasswords::derive(&Key::new([0x7e; 32]));
    let (attacker, attacked) = (tenant(0xa), tenant(0xb));
    let attack = Attack { attacker, attacked, passwords, rules, enough };
    attack.run(redis, &wall_ambient(7)).await.expect("the server lives through it")
}

#[tokio::test]
async fn a_tenants_user_reaches_nothing_of_others_by_any_command() {
    let redis = TestRedis::start().await;
    let found = attack(&redis, None, None).await;
    assert!(found.reached.is_empty(), "{:#?}", found.reached);
    assert!(found.commands > 350, "all of Redis 7 and their subcommands: {}", found.commands);
    assert!(found.calls > 20 * found.commands, "{}", found.calls);
    assert!(found.ran > 0, "nothing was let in: the attack did not sign in");
}

/// The rights of the program's users with one thing changed.
fn with(change: impl FnOnce(&mut Vec<String>)) -> Vec<String> {
    let mut rules = user_rules(tenant(0xa));
    change(&mut rules);
    rules
}

fn and(rule: &str) -> Vec<String> {
    with(|rules| rules.push(rule.to_owned()))
}

#[tokio::test]
async fn the_attack_finds_every_hole_there_could_be() {
    let holes = [
        ("all keys", and("allkeys")),
        ("all keys to read", and("%R~*")),
        ("all keys to write", and("%W~*")),
        ("all tenants' keys", and("~t:*")),
        ("no braces", with(|rules| rules[0] = rules[0].replace(['{', '}'], "*"))),
        ("no separator", with(|rules| rules[0] = rules[0].replace(":*", "*"))),
        ("the other's keys too", and(&format!("~{}*", key_prefix(tenant(0xb))))),
        ("one key of the other", and(&format!("~{}str", key_prefix(tenant(0xb))))),
        ("keys", and("+keys")),
        ("scan", and("+scan")),
        ("randomkey", and("+randomkey")),
        ("flushall", and("+flushall")),
        ("swapdb", and("+swapdb")),
        ("users to change", and("+acl|setuser")),
        ("monitor", with(|rules| rules.extend(["+monitor".into(), "%R~*".into()]))),
        ("sort", with(|rules| rules.extend(["+sort".into(), "%R~*".into()]))),
        ("scripts on any key", with(|rules| rules.extend(["+eval".into(), "%RW~*".into()]))),
        ("channels", with(|rules| rules.extend(["+subscribe".into(), "allchannels".into()]))),
        ("publishing", with(|rules| rules.extend(["+publish".into(), "allchannels".into()]))),
        ("a second set of rights", and("(+get ~t:*)")),
    ];
    for (hole, rules) in holes {
        let found = attack(&TestRedis::start().await, Some(rules), Some(1)).await;
        assert!(!found.reached.is_empty(), "not found: {hole}");
    }
}

#[tokio::test]
async fn an_open_user_shows_that_most_commands_are_really_tried() {
    let redis = TestRedis::start().await;
    // Left out is what would end the server, or wait for an answer that never comes.
    let open = "~* &* +@all -@admin -@dangerous -@blocking -client";
    let rules = open.split(' ').map(str::to_owned).collect();
    let reached = attack(&redis, Some(rules), Some(100)).await.by_command();
    assert_eq!(reached.len(), 100, "{reached:?}");
}
