//! Room `bench`: what the benches stand on, and what must hold of them at any size.

mod plans;
mod rls;
mod storm;
