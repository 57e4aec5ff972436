//! Sequence numbers that wrap around (RFC 1982, RFC 7143 §4.2.2).
//!
//! They have no `Ord`: of two numbers half the circle apart neither is first.

macro_rules! serial_number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name(pub u32);

        impl $name {
            /// The number that follows.
            #[must_use]
            pub fn next(self) -> Self {
                self.plus(1)
            }

            /// The number this many steps on.
            #[must_use]
            pub fn plus(self, steps: u32) -> Self {
                Self(self.0.wrapping_add(steps))
            }

            /// Whether this number comes before the other on the circle.
            pub fn is_before(self, other: Self) -> bool {
                let steps = other.0.wrapping_sub(self.0);
                steps != 0 && steps < 1 << 31
            }

            /// Whether this number lies between two others, both included. Nothing lies between a number and its predecessor.
            pub fn is_within(self, first: Self, last: Self) -> bool {
                !self.is_before(first) && !last.is_before(self)
            }
        }
    };
}

serial_number! {
    /// The number of a command within its session.
    CmdSn
}

serial_number! {
    /// The number of a status on its connection.
    StatSn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_on_a_circle() {
        assert!(CmdSn(1).is_before(CmdSn(2)));
        assert!(!CmdSn(2).is_before(CmdSn(2)));
        assert!(CmdSn(u32::MAX).is_before(CmdSn(0)));
        assert!(!CmdSn(0).is_before(CmdSn(u32::MAX)));
        assert_eq!(CmdSn(u32::MAX).next(), CmdSn(0));
    }

    #[test]
    fn half_the_circle_apart_neither_is_first() {
        assert!(!StatSn(0).is_before(StatSn(1 << 31)));
        assert!(!StatSn(1 << 31).is_before(StatSn(0)));
    }

    #[test]
    fn a_closed_window_holds_nothing() {
        for number in [u32::MAX, 0, 1, 7] {
            assert!(!CmdSn(number).is_within(CmdSn(7), CmdSn(6)));
        }
        assert!(CmdSn(0).is_within(CmdSn(u32::MAX), CmdSn(2)));
        assert!(!CmdSn(3).is_within(CmdSn(u32::MAX), CmdSn(2)));
    }
}
