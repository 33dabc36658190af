//! Room `store`: the cache in a real Redis: what the walls hold, and what happens when it is away.

mod encrypted;
mod outages;
mod shares;
mod storm;
mod users;
mod walls;
