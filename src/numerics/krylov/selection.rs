//! Which end of a spectrum is wanted.

/// The eigenvalues that are wanted, and the order of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The largest, in descending order.
    Largest,
    /// The smallest, in ascending order.
    Smallest,
    /// The largest in magnitude, of either sign, in descending magnitude.
    LargestMagnitude,
    /// Half of them from either end (one more from the top if their number is odd), in descending
    /// order.
    BothEnds,
}

impl Which {
    /// The positions of `values` (in any order), most wanted first.
    pub(super) fn preference(self, values: &[f64]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..values.len()).collect();
        // Ties by position, so that the order is total.
        let descending = |a: &usize, b: &usize| values[*b].total_cmp(&values[*a]).then(a.cmp(b));
        match self {
            Which::Largest => order.sort_unstable_by(descending),
            Which::Smallest => {
                order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]).then(a.cmp(b)));
            }
            Which::LargestMagnitude => order.sort_unstable_by(|a, b| {
                values[*b].abs().total_cmp(&values[*a].abs()).then_with(|| descending(a, b))
            }),
            Which::BothEnds => {
                order.sort_unstable_by(descending);
                let n = order.len();
                let place = |i: usize| if i.is_multiple_of(2) { i / 2 } else { n - 1 - i / 2 };
                order = (0..n).map(|i| order[place(i)]).collect();
            }
        }
        order
    }

    /// The positions of `values` in the order in which results are given.
    pub(super) fn presentation(self, values: &[f64]) -> Vec<usize> {
        match self {
            Which::BothEnds => Which::Largest.preference(values),
            _ => self.preference(values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_take_the_wanted_end_first() {
        let values = [1.0, -5.0, 3.0, 0.0];
        assert_eq!(Which::Largest.preference(&values), [2, 0, 3, 1]);
        assert_eq!(Which::Smallest.preference(&values), [1, 3, 0, 2]);
        assert_eq!(Which::LargestMagnitude.preference(&values), [1, 2, 0, 3]);
        assert_eq!(Which::BothEnds.preference(&values), [2, 1, 0, 3]);
    }
}
