//! Room `core`: one page of a list and the cursor to the next.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::TypedId;

/// How many items a page may hold, 1 to 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// What a client gets that does not ask.
    pub const DEFAULT: Self = Self(50);
    /// The most a client may ask for.
    pub const MAX: u16 = 200;

    /// `None` outside 1..=200.
    pub fn new(limit: u16) -> Option<Self> {
        (1..=Self::MAX).contains(&limit).then_some(Self(limit))
    }

    /// Rows to fetch: one more than shown, which tells whether there is a next page.
    pub fn fetch(self) -> i64 {
        i64::from(self.0) + 1
    }

    /// Items to show.
    pub fn show(self) -> usize {
        usize::from(self.0)
    }
}

/// Where the next page starts: after this id. Opaque to clients; ids are time-ordered, so a cursor
/// stays valid whatever is inserted or removed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub Uuid);

impl Cursor {
    /// The text given to clients.
    pub fn encode(self) -> String {
        crate::id::encode(self.0)
    }

    /// `None` for a text that was not made by [`Cursor::encode`].
    pub fn decode(text: &str) -> Option<Self> {
        crate::id::decode(text).map(Self)
    }

    /// The id behind which a page of ascending ids begins: a statement with `id > $1` finds it by
    /// the index, which it does not with `$1 is null or id > $1`.
    pub fn after(cursor: Option<Self>) -> Uuid {
        cursor.map_or(Uuid::nil(), |cursor| cursor.0)
    }

    /// The id before which a page of descending ids begins.
    pub fn before(cursor: Option<Self>) -> Uuid {
        cursor.map_or(Uuid::max(), |cursor| cursor.0)
    }
}

/// One page, in the shape of the API's lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub data: Vec<T>,
    /// Pass as `cursor` to get the next page; `null` on the last.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Cuts what [`Limit::fetch`] brought to what is shown; `id` names the item's place in the
    /// list.
    pub fn cut<I: TypedId>(mut rows: Vec<T>, limit: Limit, id: impl Fn(&T) -> I) -> Self {
        let more = rows.len() > limit.show();
        rows.truncate(limit.show());
        let next_cursor = rows.last().filter(|_| more).map(|last| Cursor(id(last).uuid()).encode());
        Self { data: rows, next_cursor }
    }

    /// The same page with each item made into another shape.
    pub fn map<U>(self, shape: impl FnMut(T) -> U) -> Page<U> {
        Page { data: self.data.into_iter().map(shape).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ContactId;

    fn rows(count: u128) -> Vec<ContactId> {
        (0..count).map(|n| ContactId::from_uuid(Uuid::from_u128(n))).collect()
    }

    #[test]
    fn a_full_page_with_more_behind_it_has_a_cursor() {
        let limit = Limit::new(2).expect("in range");
        let page = Page::cut(rows(3), limit, |id| *id);
        assert_eq!(page.data, rows(2));
        let cursor = page.next_cursor.and_then(|text| Cursor::decode(&text));
        assert_eq!(cursor, Some(Cursor(Uuid::from_u128(1))));
    }

    #[test]
    fn the_last_page_has_none() {
        let limit = Limit::new(2).expect("in range");
        assert_eq!(Page::cut(rows(2), limit, |id| *id).next_cursor, None);
    }

    #[test]
    fn a_limit_outside_its_range_is_refused() {
        assert_eq!((Limit::new(0), Limit::new(201)), (None, None));
    }
}
