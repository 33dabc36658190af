//! Room `store`: what must not compile: no pool, connection, transaction, statement, cache or
//! document without a context, and no context made here. (`Ctx::mint` is public, for `web`, `jobs`
//! and `testkit`; that nobody else calls it is a rule of `cargo xtask rooms` with tests of its own.)
//!
//! `TRYBUILD=overwrite` rewrites what the compiler is expected to say.

#[test]
fn nothing_is_to_be_had_without_a_context() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
