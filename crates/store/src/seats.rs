//! Room `store`: who gets a connection next. One tenant can neither take all of them nor keep
//! others waiting behind its own queue.
//!
//! A seat stands for a connection. A tenant has at most its share of them; whoever finds none free
//! waits in the line of its tenant, and a seat that becomes free goes round the tenants that wait,
//! one each (round robin), first come first served within a tenant. Waiting is bounded in time and
//! in number. A tenant that neither has a seat nor waits for one takes no memory.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::Error;

/// For how long a seat is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// For a transaction.
    Brief,
    /// For a whole request, which may ask for a second seat meanwhile. So that it gets one, such
    /// requests never have all seats, neither of their tenant nor of the pool.
    Long,
}

/// How many may sit and wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Seats in all.
    pub(crate) total: usize,
    /// Seats of one tenant.
    pub(crate) each: usize,
    /// Seats in all that are held for long.
    pub(crate) long: usize,
    /// How many may wait in all.
    pub(crate) waiting: usize,
    /// How many of one tenant may wait.
    pub(crate) waiting_each: usize,
    /// For how long.
    pub(crate) patience: Duration,
}

impl Limits {
    /// Makes them fit each other: at least one seat, and where there are two, one that is never
    /// held for long.
    pub(crate) fn settled(self) -> Self {
        let total = self.total.max(1);
        let each = self.each.clamp(1, total);
        let long = self.long.clamp(1, (total - 1).max(1));
        Self { total, each, long, ..self }
    }

    fn long_each(&self) -> usize {
        (self.each - 1).max(1)
    }
}

/// The seats of one pool.
pub(crate) struct Seats {
    pool: &'static str,
    limits: Limits,
    hall: Mutex<Hall>,
}

#[derive(Default)]
struct Hall {
    used: usize,
    used_long: usize,
    waiting: usize,
    lines: HashMap<Uuid, Line>,
    /// Tenants that wait; the one that was not served for longest is first.
    ring: VecDeque<Uuid>,
    tickets: u64,
}

/// One tenant, for as long as it sits or waits.
#[derive(Default)]
struct Line {
    used: usize,
    used_long: usize,
    waiting: VecDeque<Waiter>,
}

struct Waiter {
    ticket: u64,
    hold: Hold,
    call: oneshot::Sender<Seat>,
}

/// A seat that is free now, for someone who has waited.
type Call = (oneshot::Sender<Seat>, Seat);

/// The right to one connection. Free again when dropped.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    tenant: Uuid,
    hold: Hold,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.release(self.tenant, self.hold);
    }
}

impl Seats {
    pub(crate) fn new(pool: &'static str, limits: Limits) -> Arc<Self> {
        Arc::new(Self { pool, limits: limits.settled(), hall: Mutex::default() })
    }

    /// A seat, as soon as it is this tenant's turn.
    pub(crate) async fn take(self: &Arc<Self>, tenant: Uuid, hold: Hold) -> Result<Seat, Error> {
        let waiting = match self.take_or_queue(tenant, hold)? {
            Ok(seat) => return Ok(seat),
            Err(waiting) => waiting,
        };
        let began = Instant::now();
        metrics::counter!("misy_database_waits_total", "pool" => self.pool).increment(1);
        let seat = tokio::time::timeout(self.limits.patience, waiting.called()).await;
        metrics::histogram!("misy_database_wait_seconds", "pool" => self.pool)
            .record(began.elapsed());
        seat.map_err(|_| self.refuse("time"))
    }

    fn take_or_queue(
        self: &Arc<Self>,
        tenant: Uuid,
        hold: Hold,
    ) -> Result<Result<Seat, Waiting>, Error> {
        let mut hall = self.hall();
        if hall.admits(&self.limits, tenant, hold) {
            hall.sit(tenant, hold);
            self.show(&hall);
            drop(hall);
            return Ok(Ok(self.seat(tenant, hold)));
        }
        let of_tenant = hall.lines.get(&tenant).map_or(0, |line| line.waiting.len());
        if hall.waiting >= self.limits.waiting || of_tenant >= self.limits.waiting_each {
            drop(hall);
            return Err(self.refuse("crowd"));
        }
        let (ticket, called) = hall.queue(tenant, hold);
        self.show(&hall);
        drop(hall);
        Ok(Err(Waiting { seats: Arc::clone(self), tenant, ticket, called }))
    }

    fn refuse(&self, reason: &'static str) -> Error {
        metrics::counter!("misy_database_refused_total", "pool" => self.pool, "reason" => reason)
            .increment(1);
        Error::Busy { pool: self.pool }
    }

    fn seat(self: &Arc<Self>, tenant: Uuid, hold: Hold) -> Seat {
        Seat { seats: Arc::clone(self), tenant, hold }
    }

    fn release(self: &Arc<Self>, tenant: Uuid, hold: Hold) {
        let mut hall = self.hall();
        hall.stand_up(tenant, hold);
        self.go_on(hall);
    }

    fn leave(self: &Arc<Self>, tenant: Uuid, ticket: u64) {
        let mut hall = self.hall();
        hall.leave(tenant, ticket);
        self.show(&hall);
    }

    /// Calls whoever is next. The calls go out once the hall is open again: one that nobody hears
    /// any more gives its seat back, which needs the hall.
    fn go_on(self: &Arc<Self>, mut hall: MutexGuard<'_, Hall>) {
        let mut calls: Vec<Call> = Vec::new();
        while let Some((tenant, waiter)) = hall.next(&self.limits) {
            calls.push((waiter.call, self.seat(tenant, waiter.hold)));
        }
        self.show(&hall);
        drop(hall);
        for (call, seat) in calls {
            drop(call.send(seat));
        }
    }

    fn show(&self, hall: &Hall) {
        let figure = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        metrics::gauge!("misy_database_connections_in_use", "pool" => self.pool)
            .set(figure(hall.used));
        metrics::gauge!("misy_database_waiting", "pool" => self.pool).set(figure(hall.waiting));
    }

    /// Nothing in here panics half-way, so a poisoned lock guards sound figures.
    fn hall(&self) -> MutexGuard<'_, Hall> {
        self.hall.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hall {
    /// Whether a seat is free for it. Then nobody waits who could have it instead: whoever could
    /// was called when the seat became free.
    fn admits(&self, limits: &Limits, tenant: Uuid, hold: Hold) -> bool {
        let (used, long) =
            self.lines.get(&tenant).map_or((0, 0), |line| (line.used, line.used_long));
        let free = self.used < limits.total && used < limits.each;
        let free_for_long = self.used_long < limits.long && long < limits.long_each();
        free && (hold == Hold::Brief || free_for_long)
    }

    fn sit(&mut self, tenant: Uuid, hold: Hold) {
        let long = usize::from(hold == Hold::Long);
        let line = self.lines.entry(tenant).or_default();
        line.used += 1;
        line.used_long += long;
        self.used += 1;
        self.used_long += long;
    }

    fn stand_up(&mut self, tenant: Uuid, hold: Hold) {
        let long = usize::from(hold == Hold::Long);
        self.used -= 1;
        self.used_long -= long;
        if let Entry::Occupied(mut line) = self.lines.entry(tenant) {
            line.get_mut().used -= 1;
            line.get_mut().used_long -= long;
        }
        self.forget_if_idle(tenant);
    }

    fn queue(&mut self, tenant: Uuid, hold: Hold) -> (u64, oneshot::Receiver<Seat>) {
        let (call, called) = oneshot::channel();
        self.tickets += 1;
        let ticket = self.tickets;
        let line = self.lines.entry(tenant).or_default();
        if line.waiting.is_empty() {
            self.ring.push_back(tenant);
        }
        line.waiting.push_back(Waiter { ticket, hold, call });
        self.waiting += 1;
        (ticket, called)
    }

    /// Seats the next one: of the tenant that was not served for longest, the first that may.
    fn next(&mut self, limits: &Limits) -> Option<(Uuid, Waiter)> {
        let first = |tenant: &Uuid| {
            let waiting = &self.lines.get(tenant)?.waiting;
            waiting.iter().position(|waiter| self.admits(limits, *tenant, waiter.hold))
        };
        let (place, index) = self
            .ring
            .iter()
            .enumerate()
            .find_map(|(place, tenant)| Some((place, first(tenant)?)))?;
        let tenant = self.ring.remove(place)?;
        let line = self.lines.get_mut(&tenant)?;
        let waiter = line.waiting.remove(index)?;
        if !line.waiting.is_empty() {
            self.ring.push_back(tenant);
        }
        self.waiting -= 1;
        self.sit(tenant, waiter.hold);
        Some((tenant, waiter))
    }

    /// Gives up a place in the line, unless it was called already.
    fn leave(&mut self, tenant: Uuid, ticket: u64) {
        let Some(line) = self.lines.get_mut(&tenant) else { return };
        let Some(index) = line.waiting.iter().position(|one| one.ticket == ticket) else { return };
        line.waiting.remove(index);
        self.waiting -= 1;
        if line.waiting.is_empty() {
            self.ring.retain(|one| *one != tenant);
        }
        self.forget_if_idle(tenant);
    }

    /// What was many tenants at once takes no room for ever, either.
    fn forget_if_idle(&mut self, tenant: Uuid) {
        let idle = |line: &Line| line.used == 0 && line.waiting.is_empty();
        if self.lines.get(&tenant).is_some_and(idle) {
            self.lines.remove(&tenant);
        }
        if self.lines.capacity() > 64 && self.lines.len() * 8 < self.lines.capacity() {
            self.lines.shrink_to(self.lines.len() * 2);
        }
    }
}

/// A place in a line. Dropped, it is given up, and so is a seat that was already called out.
struct Waiting {
    seats: Arc<Seats>,
    tenant: Uuid,
    ticket: u64,
    called: oneshot::Receiver<Seat>,
}

impl Waiting {
    async fn called(mut self) -> Seat {
        let called = (&mut self.called).await;
        called.expect("a line lets go of a call only by making it")
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.seats.leave(self.tenant, self.ticket);
    }
}

#[cfg(test)]
mod tests;
