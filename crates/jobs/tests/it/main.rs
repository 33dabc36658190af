//! Room `jobs`: the queue on a real PostgreSQL.

#[cfg(test)]
mod contexts;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod enqueueing;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod lanes;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod roles;
#[cfg(test)]
mod sagas;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod stopping;
