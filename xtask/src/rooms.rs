//! Room `xtask`: `cargo xtask rooms`, the architecture's walls as rules over the text of the tree.
//!
//! Each rule takes the whole [`Tree`] and says what stands where it should not, and what to do.

mod arrows;
mod kinds;
mod layout;
mod passes;
mod source;
mod tree;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use tree::Tree;

/// Something on the wrong side of a wall.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// File, relative to the root.
    pub(crate) path: String,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Name of the rule.
    pub(crate) rule: &'static str,
    /// What stands there and what to do about it.
    pub(crate) advice: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.advice)
    }
}

type Rule = fn(&Tree) -> Vec<Violation>;

const RULES: [Rule; 9] = [
    arrows::crates_use_only_what_their_arrows_say,
    arrows::versions_stand_in_the_root,
    layout::files_have_a_place_and_a_head,
    layout::verticals_hold_resources,
    kinds::each_kind_of_file_keeps_to_its_imports,
    passes::contexts_are_minted_where_identity_is_known,
    passes::the_platform_role_is_opened_by_few,
    words::pure_rooms_import_nothing_impure,
    words::providers_are_named_by_adapters_only,
];

/// Every violation of every rule, by place.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut found: Vec<Violation> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    found.sort();
    found.dedup();
    found
}
