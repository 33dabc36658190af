//! Room `store`: the cache in a real Redis: what the walls hold, and what happens when it is away.

mod outages;
mod storm;
mod users;
mod walls;
