//! Room `policy`: what the policies of a tenant say to a question. Policies are written in
//! [Cedar](https://www.cedarpolicy.com); this room holds the vocabulary they may use, checks their
//! text, compiles them with those of the platform into an index and decides.
//!
//! Never: input or output, who a caller is, where policies are kept.

pub mod check;
pub mod compiled;
pub mod index;
pub mod pace;
mod plain;
pub mod templates;
pub mod things;
pub mod vocabulary;

pub use check::{Checked, Flaw, check};
pub use compiled::{CompileError, Compiled, Stored, Verdict};
pub use things::{Question, Thing, Value};
pub use vocabulary::{Situation, Vocabulary, VocabularyError};
