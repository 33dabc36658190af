//! Room `tenancy`: the form in which a tenant is taken along, and how many are at once.
//!
//! The form is lines of JSON (<https://github.com/ndjson/ndjson-spec>). The first line names the
//! tenant, the last one counts the rows of each table: where it is missing, rows are too.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;
use misy_core::{TenantId, Timestamp};
use serde_json::{Value, json};

use crate::tenants::model::Tenant;

/// The version of the form. Members are added without another one.
const FORM: u8 = 1;

/// The lines of one export.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Lines that nobody has fetched yet.
    text: Vec<u8>,
    rows: BTreeMap<String, u64>,
}

impl Lines {
    /// The first line.
    pub(crate) fn begin(tenant: &Tenant, now: Timestamp) -> Self {
        let mut lines = Self::default();
        let Tenant { id, slug, name, status, .. } = tenant;
        lines.add(&json!({ "export": {
            "form": FORM, "tenant_id": id, "slug": slug, "name": name, "status": status,
            "began_at": now,
        }}));
        lines
    }

    /// A row of a table, or a document of a kind.
    pub(crate) fn add_row(&mut self, table: &str, row: &Value) {
        let name = Value::from(table);
        let line = format!("{{\"table\":{name},\"row\":{row}}}\n");
        self.text.extend_from_slice(line.as_bytes());
        match self.rows.get_mut(table) {
            Some(count) => *count += 1,
            None => drop(self.rows.insert(table.to_owned(), 1)),
        }
    }

    /// The last line.
    pub(crate) fn end(&mut self, now: Timestamp) {
        let rows: u64 = self.rows.values().sum();
        self.add(&json!({ "end": { "rows": rows, "tables": self.rows, "ended_at": now } }));
    }

    fn add(&mut self, line: &Value) {
        self.text.extend_from_slice(line.to_string().as_bytes());
        self.text.push(b'\n');
    }

    /// Bytes that wait to be fetched.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.text.len()
    }

    /// Fetches them.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }
}

/// How long one export may take.
pub(crate) const LONGEST: SignedDuration = SignedDuration::from_mins(60);

/// Exports at once in this process, of different tenants.
const AT_ONCE: usize = 4;

/// The tenants that are taken along now, since when.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<HashMap<TenantId, Timestamp>>);

impl Seats {
    /// A seat for an export of the tenant. `None` if there is one of it, or there are enough of
    /// others. Who reads so slowly that the longest time is over is counted no more.
    pub(crate) fn take(self: &Arc<Self>, tenant: TenantId, now: Timestamp) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, since| now.duration_since(*since) < LONGEST);
        if taken.len() >= AT_ONCE || taken.contains_key(&tenant) {
            return None;
        }
        taken.insert(tenant, now);
        Some(Seat { all: Arc::clone(self), tenant, since: now })
    }
}

/// A tenant that is being taken along; over when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    all: Arc<Seats>,
    tenant: TenantId,
    since: Timestamp,
}

impl Seat {
    /// Whether it has lasted too long.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.since) >= LONGEST
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.get(&self.tenant) == Some(&self.since) {
            taken.remove(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_core::id::TypedId;
    use uuid::Uuid;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_tenant_has_one_seat_and_a_process_few() {
        let (seats, now) = (Arc::<Seats>::default(), Timestamp::UNIX_EPOCH);
        let first = seats.take(tenant(1), now).expect("free");
        assert!(seats.take(tenant(1), now).is_none(), "the same tenant again");
        let others: Vec<_> = (2..=4).map(|number| seats.take(tenant(number), now)).collect();
        assert!(others.iter().all(Option::is_some));
        assert!(seats.take(tenant(9), now).is_none(), "enough of others");
        drop(first);
        assert!(seats.take(tenant(9), now).is_some());
    }

    #[test]
    fn who_reads_for_ever_keeps_nobody_else_away() {
        let (seats, now) = (Arc::<Seats>::default(), Timestamp::UNIX_EPOCH);
        let slow = seats.take(tenant(1), now).expect("free");
        let later = now + LONGEST;
        assert!(slow.is_over(later));
        let next = seats.take(tenant(1), later).expect("counted no more");
        drop(slow);
        assert!(seats.take(tenant(1), later).is_none(), "the end of the slow one is not its end");
        drop(next);
        assert!(seats.take(tenant(1), later).is_some());
    }

    #[test]
    fn the_last_line_counts_what_came_before_it() {
        let mut lines = Lines::default();
        for (table, text) in [("contacts", "a\nb"), ("users", "c"), ("contacts", "d")] {
            lines.add_row(table, &json!({ "name": text }));
        }
        lines.end(Timestamp::UNIX_EPOCH);
        let text = String::from_utf8(lines.take()).expect("text");
        let all: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(all.len(), 4, "a line break in a text is none of the form");
        assert_eq!(all[0], json!({ "table": "contacts", "row": { "name": "a\nb" } }));
        let end = &all[3]["end"];
        assert_eq!((&end["rows"], &end["tables"]["contacts"]), (&json!(3), &json!(2)));
        assert_eq!(lines.waiting_bytes(), 0);
    }
}
