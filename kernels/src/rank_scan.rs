//! Ranks over pairs of stimuli that occur several times or not at all, for sixteen samples side by side.
//!
//! A sample has stimulus i s_i times, so that pair (i, j) counts w = s_i s_j times. With W the sum of all
//! weights, and B and G those of the smaller and of the equal values of a table, the score of a pair is
//! 2B + G − W, twice the distance of its average rank to the mean rank: a whole number of size at most W.
//! In `f32` it is exact for W < 2²⁴, in `f64` for W < 2⁵³. Products of scores are summed in `f64`: exactly
//! as long as the sums stay below 2⁵³, which W < 2·10⁵ ensures.
//!
//! Nothing is sorted here: the order of the table is given, and a sample costs one pass over it.

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::{Isa, Real};

/// Samples side by side.
pub const SAMPLES: usize = 16;

/// A number of each sample.
pub type Lane<T> = [T; SAMPLES];

/// The order of a table over pairs.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Places of the pairs by value.
    pub places: &'a [u32],
    /// Where each group of equal values ends in `places`.
    pub ends: &'a [u32],
    /// Both stimuli of each pair, by place.
    pub pairs: &'a [[u32; 2]],
}

/// Writes the scores of every pair, by place; returns Σ w score². `counts` are the s of every stimulus,
/// `totals` the W.
///
/// About 6 flops a pair and sample, 4 or 8 bytes written to a place out of order: the scores should stay in
/// the second-level cache.
///
/// # Panics
/// If a place, a stimulus or an end is not there.
pub fn weighted_scores<T: Real>(
    isa: Isa,
    order: Order<'_>,
    counts: &[Lane<T>],
    totals: &Lane<T>,
    scores: &mut [Lane<T>],
) -> Lane<f64> {
    dispatch!(isa, Scan<'a, T> = Scan { order, counts, totals, scores })
}

/// Σ w a b over all pairs, row by row of the upper triangle. 4 flops a pair and sample.
///
/// # Panics
/// Unless a and b hold n(n − 1)/2 pairs of the n stimuli that `counts` has.
#[must_use]
pub fn weighted_inner<T: Real>(
    isa: Isa,
    counts: &[Lane<T>],
    a: &[Lane<T>],
    b: &[Lane<T>],
) -> Lane<f64> {
    let n = counts.len();
    assert_eq!(a.len(), n * n.saturating_sub(1) / 2, "pairs of {n} stimuli");
    assert_eq!(a.len(), b.len(), "pairs of both sides");
    dispatch!(isa, Inner<'a, T> = Inner { counts, a, b })
}

struct Scan<'a, T> {
    order: Order<'a>,
    counts: &'a [Lane<T>],
    totals: &'a Lane<T>,
    scores: &'a mut [Lane<T>],
}

struct Inner<'a, T> {
    counts: &'a [Lane<T>],
    a: &'a [Lane<T>],
    b: &'a [Lane<T>],
}

/// Calls a function with the number of vectors that hold a lane of each sample.
macro_rules! by_vectors {
    ($self:ident, $simd:ident, $T:ident, $S:ident) => {
        match SAMPLES / <$T>::lanes::<$S>() {
            1 => $self.run::<$S, 1>($simd),
            2 => $self.run::<$S, 2>($simd),
            4 => $self.run::<$S, 4>($simd),
            8 => $self.run::<$S, 8>($simd),
            _ => $self.run::<$S, SAMPLES>($simd),
        }
    };
}

impl<T: Real> WithSimd for Scan<'_, T> {
    type Output = Lane<f64>;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Lane<f64> {
        by_vectors!(self, simd, T, S)
    }
}

impl<T: Real> WithSimd for Inner<'_, T> {
    type Output = Lane<f64>;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Lane<f64> {
        by_vectors!(self, simd, T, S)
    }
}

/// The vectors of one lane.
#[inline(always)]
fn load<T: Real, S: Simd, const V: usize>(lane: &Lane<T>) -> [T::Vector<S>; V] {
    let vectors = T::as_simd::<S>(lane).0;
    let mut out = [vectors[0]; V];
    out.copy_from_slice(&vectors[..V]);
    out
}

/// acc ← acc + x y² or x y z, widened; `wide` vectors of `f64` for each of `T`.
#[inline(always)]
fn add_product<T: Real, S: Simd, const V: usize>(
    simd: S,
    acc: &mut [[S::f64s; 2]; V],
    [x, y, z]: [&[T::Vector<S>; V]; 3],
) {
    for v in 0..V {
        let [x, y, z] = [T::widen(simd, x[v]), T::widen(simd, y[v]), T::widen(simd, z[v])];
        for h in 0..T::wide::<S>() {
            acc[v][h] = simd.mul_add_e_f64s(simd.mul_f64s(x[h], y[h]), z[h], acc[v][h]);
        }
    }
}

/// The sums of each sample.
#[inline(always)]
fn lanes<T: Real, S: Simd, const V: usize>(simd: S, acc: &[[S::f64s; 2]; V]) -> Lane<f64> {
    let mut out = [0.0; SAMPLES];
    let mut at = 0;
    for sums in acc {
        for sum in &sums[..T::wide::<S>()] {
            simd.partial_store_f64s(&mut out[at..at + S::F64_LANES], *sum);
            at += S::F64_LANES;
        }
    }
    out
}

impl<T: Real> Scan<'_, T> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) -> Lane<f64> {
        let Self { order: Order { places, ends, pairs }, counts, totals, scores } = self;
        let (zero, one) = (T::splat(simd, T::ZERO), T::splat(simd, T::ONE));
        let weight = crate::compiled::inlined(
            #[inline(always)]
            |place: u32| {
                let [i, j] = pairs[place as usize];
                let mut w = load::<T, S, V>(&counts[i as usize]);
                let right = load::<T, S, V>(&counts[j as usize]);
                for v in 0..V {
                    w[v] = T::mul_add(simd, w[v], right[v], zero);
                }
                w
            },
        );
        // 2B + G − W on the way.
        let mut below = load::<T, S, V>(totals);
        for v in 0..V {
            below[v] = T::neg_mul_add(simd, one, below[v], zero);
        }
        let mut squares = [[simd.splat_f64s(0.0); 2]; V];
        let mut first = 0;
        for &end in ends {
            let members = &places[first..end as usize];
            first = end as usize;
            let mut group = [zero; V];
            for &place in members {
                let w = weight(place);
                for v in 0..V {
                    group[v] = T::mul_add(simd, one, w[v], group[v]);
                }
            }
            for v in 0..V {
                below[v] = T::mul_add(simd, one, group[v], below[v]);
            }
            for &place in members {
                let out = T::as_mut_simd::<S>(&mut scores[place as usize]).0;
                out[..V].copy_from_slice(&below);
            }
            add_product::<T, S, V>(simd, &mut squares, [&group, &below, &below]);
            for v in 0..V {
                below[v] = T::mul_add(simd, one, group[v], below[v]);
            }
        }
        lanes::<T, S, V>(simd, &squares)
    }
}

impl<T: Real> Inner<'_, T> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) -> Lane<f64> {
        let zero = [[simd.splat_f64s(0.0); 2]; V];
        let mut sums = zero;
        let (mut a, mut b) = (self.a, self.b);
        for (i, left) in self.counts.iter().enumerate() {
            let others = &self.counts[i + 1..];
            let (of_a, of_b);
            (of_a, a) = a.split_at(others.len());
            (of_b, b) = b.split_at(others.len());
            let mut row = zero;
            for ((s, a), b) in others.iter().zip(of_a).zip(of_b) {
                let (s, a, b) = (load::<T, S, V>(s), load::<T, S, V>(a), load::<T, S, V>(b));
                add_product::<T, S, V>(simd, &mut row, [&s, &a, &b]);
            }
            let left = load::<T, S, V>(left);
            for v in 0..V {
                let left = T::widen(simd, left[v]);
                for h in 0..T::wide::<S>() {
                    sums[v][h] = simd.mul_add_e_f64s(left[h], row[v][h], sums[v][h]);
                }
            }
        }
        lanes::<T, S, V>(simd, &sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle;

    /// A table with ties, its order, samples with and without each stimulus.
    fn scores_are_those_of_a_count<T: Real>(n: usize, levels: f64) {
        let pairs: Vec<[u32; 2]> =
            (0..n as u32).flat_map(|i| (i + 1..n as u32).map(move |j| [i, j])).collect();
        let tables: [Vec<f64>; 2] = [1, 2].map(|seed| {
            oracle::uniform(seed, pairs.len()).iter().map(|v| (v * levels).round()).collect()
        });
        let count = |i: usize, l: usize| ((i * 7 + l * 3 + i * l) % 4) as f64;
        let counts: Vec<Lane<T>> =
            (0..n).map(|i| core::array::from_fn(|l| T::from_f64(count(i, l)))).collect();
        let weight =
            |k: usize, l: usize| count(pairs[k][0] as usize, l) * count(pairs[k][1] as usize, l);
        let total = |l: usize| (0..pairs.len()).map(|k| weight(k, l)).sum::<f64>();
        let totals: Lane<T> = core::array::from_fn(|l| T::from_f64(total(l)));
        let score = |table: &[f64], k: usize, l: usize| -> f64 {
            let side = |m: usize| match table[m].partial_cmp(&table[k]) {
                Some(core::cmp::Ordering::Less) => weight(m, l),
                Some(core::cmp::Ordering::Greater) => -weight(m, l),
                _ => 0.0,
            };
            (0..pairs.len()).map(side).sum()
        };
        for isa in Isa::available() {
            let found = tables.each_ref().map(|table| {
                let mut places: Vec<u32> = (0..pairs.len() as u32).collect();
                places.sort_by(|&a, &b| table[a as usize].total_cmp(&table[b as usize]));
                let mut ends = Vec::new();
                let mut end = 0;
                for group in places.chunk_by(|&a, &b| table[a as usize] == table[b as usize]) {
                    end += group.len() as u32;
                    ends.push(end);
                }
                let order = Order { places: &places, ends: &ends, pairs: &pairs };
                let mut scores = vec![[T::NAN; SAMPLES]; pairs.len()];
                let squares = weighted_scores(isa, order, &counts, &totals, &mut scores);
                for l in 0..SAMPLES {
                    let mut square = 0.0;
                    for k in 0..pairs.len() {
                        let want = score(table, k, l);
                        assert_eq!(scores[k][l].to_f64(), want, "{isa} {} {k} {l}", T::NAME);
                        square += weight(k, l) * want * want;
                    }
                    assert_eq!(squares[l], square, "{isa} {}", T::NAME);
                }
                scores
            });
            let inner = weighted_inner(isa, &counts, &found[0], &found[1]);
            for l in 0..SAMPLES {
                let term =
                    |k: usize| weight(k, l) * found[0][k][l].to_f64() * found[1][k][l].to_f64();
                assert_eq!(inner[l], (0..pairs.len()).map(term).sum::<f64>(), "{isa} {l}");
            }
        }
    }

    #[test]
    fn scores_of_every_path_are_counted_exactly() {
        for (n, levels) in [(2, 1.0), (3, 9.0), (9, 1.5), (17, 1000.0)] {
            scores_are_those_of_a_count::<f32>(n, levels);
            scores_are_those_of_a_count::<f64>(n, levels);
        }
    }
}
