//! Room `jobs`: when the courier claims next.
//!
//! News does not wait for a backlog: somebody's first parcel is claimed at once, however often
//! others free a place. What only waits for places is claimed more seldom the longer a claim takes,
//! so that a backlog never has more than its share of the database.

use std::time::Duration;

use tokio::time::Instant;

/// The least and the most time from one claim for news to the next: what comes in between goes
/// together.
const BEAT: Duration = Duration::from_millis(1);
const TICK: Duration = Duration::from_millis(5);

/// So many times as long as the last claim took news waits for the next, within that.
const NEWS: u32 = 2;

/// So many times as long as the last claim took is waited before places are filled again.
const SHARE: u32 = 4;

/// The longest time that a free place waits for a claim.
const LULL: Duration = Duration::from_millis(20);

/// What a claim found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing is ready.
    Nothing,
    /// What is ready has no place.
    Waiting,
    /// It took some. What is still ready, if anything is, waits for places; who frees one says so.
    Some,
    /// It took as many as it could, or did not come all the way round.
    Much,
}

/// What there may be to claim, and when it was looked for.
#[derive(Debug)]
pub(super) struct Pace {
    /// Something may be ready that no claim has seen.
    is_news: bool,
    /// A place may be free for what the last claim left.
    has_room: bool,
    /// Whether the last claim saw something that it may not have taken.
    saw_more: bool,
    /// When the last claim ended, and the last one that was made because of news.
    claimed_at: Instant,
    news_at: Instant,
    /// How long the last claim took.
    took: Duration,
}

impl Pace {
    /// Claims at once.
    pub(super) fn new(now: Instant) -> Self {
        let long_ago = now - LULL;
        Self {
            is_news: true,
            has_room: false,
            saw_more: false,
            claimed_at: long_ago,
            news_at: long_ago,
            took: Duration::ZERO,
        }
    }

    /// Something may be ready.
    pub(super) fn hear(&mut self) {
        self.is_news = true;
    }

    /// A place became free.
    pub(super) fn free(&mut self) {
        self.has_room |= self.saw_more;
    }

    /// When to claim, if there may be anything to claim.
    pub(super) fn next(&self) -> Option<Instant> {
        let beat = (NEWS * self.took).clamp(BEAT, TICK);
        let news = self.is_news.then(|| self.news_at + beat);
        let pause = (SHARE * self.took).clamp(TICK, LULL);
        let room = self.has_room.then(|| self.claimed_at + pause);
        news.into_iter().chain(room).min()
    }

    /// A claim was made that took so long.
    pub(super) fn claimed(&mut self, now: Instant, took: Duration, seen: Seen) {
        if std::mem::take(&mut self.is_news) {
            self.news_at = now;
        }
        (self.claimed_at, self.took) = (now, took);
        self.saw_more = seen != Seen::Nothing;
        self.has_room = false;
        self.is_news = seen == Seen::Much;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// After a claim that found a backlog and filled the places that were free; one is free again.
    fn beside_a_backlog(now: Instant, took: Duration) -> Pace {
        let mut pace = Pace::new(now);
        pace.claimed(now, took, Seen::Some);
        pace.free();
        pace
    }

    #[tokio::test]
    async fn somebodys_first_parcel_does_not_wait_for_a_backlog() {
        let now = Instant::now();
        let mut pace = beside_a_backlog(now, 2 * MS);
        pace.claimed(now + 5 * MS, 2 * MS, Seen::Some);
        pace.free();
        assert_eq!(pace.next(), Some(now + 13 * MS), "places are filled after a while");
        pace.hear();
        assert_eq!(pace.next(), Some(now + 4 * MS), "news is due since the last news was");
    }

    #[tokio::test]
    async fn a_stream_of_news_is_claimed_the_more_seldom_the_longer_it_takes() {
        let now = Instant::now();
        assert!(Pace::new(now).next().is_some_and(|at| at <= now), "the first look is at once");
        let next = |took| {
            let mut pace = Pace::new(now);
            pace.claimed(now, took, Seen::Some);
            pace.hear();
            pace.next()
        };
        assert_eq!(next(MS / 10), Some(now + MS));
        assert_eq!(next(2 * MS), Some(now + 4 * MS));
        assert_eq!(next(100 * MS), Some(now + 5 * MS), "but soon in any case");
    }

    #[tokio::test]
    async fn a_backlog_has_a_share_of_the_time() {
        let now = Instant::now();
        let next = |took| beside_a_backlog(now, took).next();
        assert_eq!(next(MS / 10), Some(now + 5 * MS));
        assert_eq!(next(3 * MS), Some(now + 12 * MS));
        assert_eq!(next(300 * MS), Some(now + 20 * MS), "but no place waits for ever");
    }

    #[tokio::test]
    async fn nothing_is_asked_for_that_nobody_waits_for() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.claimed(now, MS, Seen::Nothing);
        pace.free();
        assert_eq!(pace.next(), None);
        for seen in [Seen::Waiting, Seen::Some] {
            pace.claimed(now, MS, seen);
            assert_eq!(pace.next(), None, "what is ready has no place");
            pace.free();
            assert!(pace.next().is_some(), "until there is one");
        }
    }

    #[tokio::test]
    async fn a_full_claim_is_followed_by_another() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.claimed(now, 100 * MS, Seen::Much);
        assert_eq!(pace.next(), Some(now + 5 * MS));
    }
}
