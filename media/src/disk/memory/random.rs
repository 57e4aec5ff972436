//! Numbers that a seed decides: the same seed gives the same ones in every run.

/// `SplitMix64` (Steele, Lea, Flood 2014): small, and good enough to choose what a power cut takes.
#[derive(Debug, Clone)]
pub(in crate::disk) struct Random(u64);

impl Random {
    pub(in crate::disk) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(in crate::disk) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(in crate::disk) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(in crate::disk) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}
