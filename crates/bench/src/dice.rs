//! Room `bench`: chance that can be had again (splitmix64, Steele, Lea and Flood 2014).

/// A sequence of numbers from a seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is small against the whole range.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_all_of_them() {
        let throw = |seed| {
            (0..64).fold((Dice::new(seed), Vec::new()), |(mut dice, mut seen), _| {
                seen.push(dice.below(8));
                (dice, seen)
            })
        };
        let (one, two) = (throw(7).1, throw(7).1);
        assert_eq!(one, two);
        assert!((0..8).all(|face| one.contains(&face)), "{one:?}");
        assert_ne!(one, throw(8).1);
    }
}
