//! Room `bench`: benches at a small size, for what must hold at any.

mod storm;
