//! Numbers and content that follow from a seed.

/// The generator `SplitMix64`: small, and each seed is a good one.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A stream of its own for each pair of seed and purpose.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut mixed = Self(seed);
        let start = mixed.next() ^ purpose;
        Self(start)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }

    /// An index into something of this length.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap_or(1))).unwrap_or(0)
    }

    /// One of these, if there are any.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let index = self.index(from.len());
        from.get(index).copied()
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count.saturating_add(8));
        while bytes.len() < count {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    /// Any number.
    #[allow(
        clippy::should_implement_trait,
        reason = "it has no end, and no adapter is of use with it"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_again_and_another_seed_something_else() {
        let stream = |seed, purpose| Random::new(seed, purpose).bytes(1000);
        assert_eq!(stream(1, 2), stream(1, 2));
        assert_ne!(stream(1, 2), stream(2, 2));
        assert_ne!(stream(1, 2), stream(1, 3));
        assert_eq!(stream(1, 2).len(), 1000);
    }

    #[test]
    fn nothing_is_picked_from_nothing() {
        let mut random = Random::new(1, 1);
        assert_eq!(random.pick::<u8>(&[]), None);
        let picked: std::collections::BTreeSet<_> =
            (0..200).filter_map(|_| random.pick(&[1, 2, 3])).collect();
        assert_eq!(picked.len(), 3);
    }
}
