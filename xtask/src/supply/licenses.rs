//! Room `xtask`: SPDX licence expressions (SPDX 2.3, annex D): `AND` binds closer than `OR`.

/// Whether the licences of the list suffice for an expression. `/` is the old way to write `OR`.
pub(super) fn allows(expression: &str, list: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, list, broken: false };
    let allowed = reader.any();
    allowed && reader.words.is_empty() && !reader.broken
}

struct Reader<'a> {
    words: &'a [&'a str],
    list: &'a [String],
    broken: bool,
}

impl<'a> Reader<'a> {
    fn any(&mut self) -> bool {
        let mut allowed = self.all();
        while self.take("OR") {
            allowed |= self.all();
        }
        allowed
    }

    fn all(&mut self) -> bool {
        let mut allowed = self.one();
        while self.take("AND") {
            allowed &= self.one();
        }
        allowed
    }

    fn one(&mut self) -> bool {
        if self.take("(") {
            let allowed = self.any();
            self.broken |= !self.take(")");
            return allowed;
        }
        let license = self.name();
        if !self.take("WITH") {
            return self.listed(license);
        }
        let exception = self.name();
        self.listed(&format!("{license} WITH {exception}"))
    }

    fn name(&mut self) -> &'a str {
        let first = self.words.split_off_first();
        self.broken |= first.is_none();
        first.copied().unwrap_or_default()
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }

    fn listed(&self, license: &str) -> bool {
        self.list.iter().any(|listed| listed == license)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(expression: &str) -> bool {
        let list = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC"];
        allows(expression, &list.map(str::to_owned))
    }

    #[test]
    fn one_allowed_alternative_is_enough() {
        assert!(allowed("GPL-2.0 OR MIT"));
        assert!(allowed("MIT/GPL-2.0"));
        assert!(allowed("GPL-2.0 AND X OR ISC"));
        assert!(!allowed("GPL-2.0 OR X"));
    }

    #[test]
    fn every_part_of_a_conjunction_is_needed() {
        assert!(allowed("(MIT OR X) AND ISC"));
        assert!(!allowed("(MIT OR X) AND Y"));
    }

    #[test]
    fn an_exception_is_part_of_the_licence() {
        assert!(allowed("Apache-2.0 WITH LLVM-exception"));
        assert!(!allowed("ISC WITH LLVM-exception"));
    }

    #[test]
    fn what_is_no_expression_is_not_allowed() {
        assert!(!allowed(""));
        assert!(!allowed("(MIT"));
        assert!(!allowed("MIT MIT"));
        assert!(!allowed("MIT OR"));
    }
}
