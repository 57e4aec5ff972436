//! The last few of many.

/// Keeps the last `SIZE`. All of its memory is there from the beginning.
#[derive(Debug)]
pub(super) struct Ring<T, const SIZE: usize> {
    // Invariant: items.len() <= SIZE, so that it never grows beyond its capacity
    items: Vec<T>,
    /// The oldest, once there are `SIZE`. Invariant: oldest < SIZE
    oldest: usize,
}

impl<T, const SIZE: usize> Ring<T, SIZE> {
    pub(super) fn new() -> Self {
        Self { items: Vec::with_capacity(SIZE), oldest: 0 }
    }

    /// Takes one more, in place of the oldest if there is no room.
    pub(super) fn push(&mut self, item: T) {
        if self.items.len() < SIZE {
            self.items.push(item);
        } else if let Some(oldest) = self.items.get_mut(self.oldest) {
            *oldest = item;
            self.oldest = (self.oldest + 1) % SIZE;
        }
    }

    /// The oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let (newer, older) = self.items.split_at_checked(self.oldest).unwrap_or_default();
        older.iter().chain(newer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_stay_in_their_order() {
        let mut ring: Ring<u32, 3> = Ring::new();
        let kept = |ring: &Ring<u32, 3>| ring.iter().copied().collect::<Vec<_>>();
        assert!(kept(&ring).is_empty());
        for (next, expected) in
            [(1, vec![1]), (2, vec![1, 2]), (3, vec![1, 2, 3]), (4, vec![2, 3, 4])]
        {
            ring.push(next);
            assert_eq!(kept(&ring), expected);
        }
        (5..=9).for_each(|next| ring.push(next));
        assert_eq!(kept(&ring), [7, 8, 9]);
        assert_eq!(ring.items.capacity(), 3);
    }
}
