//! Logs of a batch as bits: millions of them fit into little memory.

/// A set of positions in one batch.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Positions(Vec<u64>);

impl Positions {
    /// Answers whether it was not there yet.
    pub(crate) fn insert(&mut self, position: u16) -> bool {
        let (word, bit) = place(position);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let fresh = self.0[word] & bit == 0;
        self.0[word] |= bit;
        fresh
    }

    pub(crate) fn contains(&self, position: u16) -> bool {
        let (word, bit) = place(position);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u16> {
        let last = u16::try_from(self.0.len() * 64).unwrap_or(u16::MAX);
        (0..=last).filter(|position| self.contains(*position))
    }

    /// Those that are not in the other set.
    pub(crate) fn without(&self, other: &Self) -> impl Iterator<Item = u16> {
        self.iter().filter(|position| !other.contains(*position))
    }
}

fn place(position: u16) -> (usize, u64) {
    (usize::from(position / 64), 1 << (position % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_once() {
        let mut set = Positions::default();
        assert!(set.insert(0) && set.insert(63) && set.insert(64) && set.insert(u16::MAX) && !set.insert(64));
        assert_eq!((set.len(), set.iter().collect::<Vec<_>>()), (4, vec![0, 63, 64, u16::MAX]));
        let mut other = Positions::default();
        other.insert(63);
        assert_eq!(set.without(&other).collect::<Vec<_>>(), [0, 64, u16::MAX]);
    }
}
