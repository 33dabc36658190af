//! Room `identity`: hashing that never takes more of the machine than it is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use misy_core::Secret;
use misy_core::crypto::Key;
use tokio::sync::Semaphore;

use super::Error;
use super::model::{self, Recipe, Stored};
use crate::Config;

/// Hashes and compares passwords, a few at a time, while a few more wait.
pub struct Hasher {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    salts: Key,
}

/// One place in the queue, given back however the wait ends.
pub(crate) struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hasher {
    /// `root` is the key of this room.
    pub fn new(config: &Config, root: &Key) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(config.hashing_concurrency)),
            waiting: AtomicUsize::new(0),
            waiting_max: config.hashing_queue,
            salts: root.derive("password-salts"),
        }
    }

    /// The hash of a new password for the person with this address.
    pub(crate) async fn hash(&self, email: &str, password: &Secret) -> Result<String, Error> {
        let (recipe, password) = (Recipe::of_email(&self.salts, email), password.clone());
        let stored = self.in_turn(self.line_up()?, move || Stored::new(recipe, &password)).await?;
        Ok(stored.to_string())
    }

    /// Which of the hashes are of this password; takes as long when there are none.
    pub(crate) async fn find_matches(
        &self,
        email: &str,
        password: &Secret,
        hashes: &[&str],
    ) -> Result<Vec<usize>, Error> {
        self.find_matches_at(self.line_up()?, email, password, hashes).await
    }

    /// Takes a place in the queue, or says that it is full. Whoever has to look something up first
    /// lines up before that: a storm is then turned away before it reaches the database.
    pub(crate) fn line_up(&self) -> Result<Place<'_>, Error> {
        let ahead = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.waiting);
        if ahead >= self.waiting_max + self.turns.available_permits() {
            return Err(Error::Busy);
        }
        Ok(place)
    }

    /// The same as [`Hasher::find_matches`], from a place that was taken before.
    pub(crate) async fn find_matches_at(
        &self,
        place: Place<'_>,
        email: &str,
        password: &Secret,
        hashes: &[&str],
    ) -> Result<Vec<usize>, Error> {
        let stored = hashes.iter().map(|hash| hash.parse()).collect::<Result<Vec<_>, _>>()?;
        let (recipe, password) = (Recipe::of_email(&self.salts, email), password.clone());
        self.in_turn(place, move || model::find_matches(&password, recipe, &stored)).await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        place: Place<'_>,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Error::Busy)?;
        drop(place);
        // The turn goes with the work: a caller that gives up does not let another core be taken.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_| Error::Busy)?
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
        let first = hasher.in_turn(place, move || held.recv().map_err(|_| Error::Corrupt));
        let second = async {
            while hasher.turns.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            let refused = hasher.hash("a@b.example", &Secret::new("secret")).await;
            release.send(()).expect("the first still waits");
            refused
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!(first, Ok(()));
        assert_eq!(second, Err(Error::Busy));
        assert!(hasher.hash("a@b.example", &Secret::new("secret")).await.is_ok());
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
