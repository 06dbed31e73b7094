//! Ranks of samples.

use super::sorted_order::sorted_order;
use crate::Result;

/// Ranks of `values` from 1 for the smallest; equal values share the mean of the ranks that they
/// take up together.
///
/// Every rank is a whole number or a half, exact up to 2⁵² values. Infinities are values like
/// others, and −0 equals 0. O(n).
///
/// ```
/// use hesse::statistics::average_ranks;
/// assert_eq!(average_ranks("x", &[2.0, 7.0, 2.0, 1.0])?, [2.5, 4.0, 2.5, 1.0]);
/// # Ok::<(), hesse::Error>(())
/// ```
///
/// # Errors
/// [`Error::NonFinite`](crate::Error::NonFinite) for NaN, which has no rank; `what` names the sample.
pub fn average_ranks(what: &str, values: &[f64]) -> Result<Vec<f64>> {
    let order = sorted_order(what, values)?;
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for group in order.chunk_by(|&i, &j| values[i as usize] == values[j as usize]) {
        let mean = first as f64 + 0.5 * (group.len() + 1) as f64;
        group.iter().for_each(|&i| ranks[i as usize] = mean);
        first += group.len();
    }
    Ok(ranks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_their_mean_rank() {
        let ranks = |x: &[f64]| average_ranks("x", x).unwrap();
        assert!(ranks(&[]).is_empty());
        assert_eq!(ranks(&[5.0, 5.0, 5.0]), [2.0; 3]);
        let x = [f64::INFINITY, -1.0, 0.0, -0.0, f64::NEG_INFINITY, f64::INFINITY];
        assert_eq!(ranks(&x), [5.5, 2.0, 3.5, 3.5, 1.0, 5.5]);
    }

    #[test]
    fn ranks_do_not_depend_on_the_order_and_add_up() {
        let x: Vec<f64> = (0..1000).map(|i| f64::from((i * 7919) % 313)).collect();
        let ranks = average_ranks("x", &x).unwrap();
        assert_eq!(ranks.iter().sum::<f64>(), 1000.0 * 1001.0 / 2.0);
        for (i, rank) in ranks.iter().enumerate() {
            let below = x.iter().filter(|&&y| y < x[i]).count() as f64;
            let equal = x.iter().filter(|&&y| y == x[i]).count() as f64;
            assert_eq!(*rank, below + 0.5 * (equal + 1.0));
        }
    }

    #[test]
    fn nan_is_named() {
        let message = average_ranks("local dimension", &[1.0, f64::NAN]).unwrap_err().to_string();
        assert_eq!(message, "local dimension: expected finite numbers, got NaN at index 1");
    }
}
