//! Room `identity`: hashing that never takes more of the machine than it is given.

mod courtesy;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use misy_core::Secret;
use misy_core::crypto::Key;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use courtesy::Courtesy;

use super::Error;
use super::model::{self, Memory, Recipe, Stored};
use crate::Config;

/// Hashes and compares passwords, a few at a time, while a few more wait.
pub struct Hasher {
    /// For passwords that somebody claims to be theirs.
    claims: Line,
    /// For passwords that are set by those who may: a storm of the others does not reach them, and
    /// as there is none of these, they may have more of the machine.
    changes: Line,
    /// What nobody works in at the moment and somebody waits for.
    spare: Arc<Mutex<Vec<Memory>>>,
    courtesy: Arc<Courtesy>,
    salts: Key,
}

/// Those who are hashing and those who wait for it.
struct Line {
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
}

/// One place in a line, given back however the wait ends.
pub(crate) struct Place<'a>(&'a Line);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Place<'_> {
    /// Waits until it is one's turn. Whoever has to look something up first does it after this, so
    /// that those in the line do not all come to the database at once.
    pub(crate) async fn turn(self) -> Result<Turn, Error> {
        let permit = Arc::clone(&self.0.turns).acquire_owned().await.map_err(|_| Error::Busy)?;
        Ok(Turn { permit, waiting: Arc::clone(&self.0.waiting) })
    }
}

/// The right to hash once, now.
pub(crate) struct Turn {
    permit: OwnedSemaphorePermit,
    waiting: Arc<AtomicUsize>,
}

impl Line {
    fn new(turns: usize, waiting_max: usize) -> Self {
        let turns = Arc::new(Semaphore::new(turns));
        Self { turns, waiting: Arc::default(), waiting_max }
    }

    fn line_up(&self) -> Result<Place<'_>, Error> {
        let ahead = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(self);
        if ahead >= self.waiting_max + self.turns.available_permits() {
            return Err(Error::Busy);
        }
        Ok(place)
    }
}

impl Hasher {
    /// `root` is the key of this room.
    pub fn new(config: &Config, root: &Key) -> Self {
        Self {
            claims: Line::new(config.hashing_concurrency, config.hashing_queue),
            changes: Line::new(2 * config.hashing_concurrency, config.hashing_queue),
            spare: Arc::default(),
            courtesy: Arc::default(),
            salts: root.derive("password-salts"),
        }
    }

    /// The hash of a new password for the person with this address.
    pub(crate) async fn hash(&self, email: &str, password: &Secret) -> Result<String, Error> {
        let (recipe, password) = (Recipe::of_email(&self.salts, email), password.clone());
        let turn = self.changes.line_up()?.turn().await?;
        let work = move |memory: &mut Memory| Stored::new(recipe, &password, memory);
        Ok(self.work(turn, work).await?.to_string())
    }

    /// Which of the hashes are of this password; takes as long when there are none.
    pub(crate) async fn find_matches(
        &self,
        email: &str,
        password: &Secret,
        hashes: &[&str],
    ) -> Result<Vec<usize>, Error> {
        self.find_matches_in(self.line_up()?.turn().await?, email, password, hashes).await
    }

    /// Takes a place in the line, or says that it is full: a storm is turned away before it reaches
    /// the database.
    pub(crate) fn line_up(&self) -> Result<Place<'_>, Error> {
        self.claims.line_up()
    }

    /// The same as [`Hasher::find_matches`], by whoever has waited for the turn.
    pub(crate) async fn find_matches_in(
        &self,
        turn: Turn,
        email: &str,
        password: &Secret,
        hashes: &[&str],
    ) -> Result<Vec<usize>, Error> {
        let stored = hashes.iter().map(|hash| hash.parse()).collect::<Result<Vec<_>, _>>()?;
        let (recipe, password) = (Recipe::of_email(&self.salts, email), password.clone());
        let work =
            move |memory: &mut Memory| model::find_matches(&password, recipe, &stored, memory);
        self.work(turn, work).await
    }

    async fn work<T: Send + 'static>(
        &self,
        turn: Turn,
        work: impl FnOnce(&mut Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let Turn { permit, waiting } = turn;
        let (spare, courtesy) = (Arc::clone(&self.spare), Arc::clone(&self.courtesy));
        let (done, outcome) = oneshot::channel();
        // The turn goes with the work: a caller that gives up does not let another core be taken.
        let work = move || {
            let begun = courtesy.step_back();
            let found = spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut memory = found.unwrap_or_default();
            let result = work(&mut memory);
            courtesy.note(begun);
            // Getting so much takes a tenth of the work, so who comes next has it as it is. When
            // nobody waits it is given back.
            if waiting.load(Ordering::Relaxed) > 0 {
                spare.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
            }
            drop(permit);
            drop(done.send(result));
        };
        thread::Builder::new().name("hash".to_owned()).spawn(work).map_err(|_| Error::Busy)?;
        outcome.await.map_err(|_| Error::Busy)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(queue: usize) -> Hasher {
        let config = Config { hashing_queue: queue, ..Config::default() };
        Hasher::new(&config, &Key::new([7; 32]))
    }

    #[tokio::test]
    async fn a_full_queue_is_told_to_come_back() {
        let hasher = Arc::new(hasher(0));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let place = hasher.line_up().expect("the first");
        let first = async {
            let turn = place.turn().await?;
            hasher.work(turn, move |_| held.recv().map_err(|_| Error::Corrupt)).await
        };
        let second = async {
            while hasher.claims.turns.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            let refused =
                hasher.find_matches("a@b.example", &Secret::new("secret"), &[]).await.map(drop);
            let set = hasher.hash("a@b.example", &Secret::new("secret")).await;
            assert!(set.is_ok(), "who may set a password does not wait behind those who guess");
            release.send(()).expect("the first still waits");
            refused
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!(first, Ok(()));
        assert_eq!(second, Err(Error::Busy));
        let again = hasher.find_matches("a@b.example", &Secret::new("secret"), &[]).await;
        assert_eq!(again, Ok(vec![]));
        assert!(hasher.spare.lock().expect("no panic").is_empty(), "nobody waits for memory");
    }

    #[tokio::test]
    async fn what_was_hashed_is_found_again() {
        let hasher = hasher(8);
        let password = Secret::new("a wise old owl");
        let hash = hasher.hash("a@b.example", &password).await.expect("hashes");
        let found = hasher.find_matches("a@b.example", &password, &[&hash]).await;
        assert_eq!(found, Ok(vec![0]));
        let none = hasher.find_matches("a@b.example", &password, &[]).await;
        assert_eq!(none, Ok(vec![]));
    }
}
