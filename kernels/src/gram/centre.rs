//! What is taken away from a block of responses before inner products of its rows are formed.

use pulp::{Simd, WithSimd, bytemuck};

use super::{LANES, TILE};
use crate::compiled::dispatch;
use crate::{Isa, Real};

/// f_iu = s (x_iu − c_i) − s (x_0u − c_0) of a block, and its sums.
#[derive(Debug)]
pub struct Differences<'a> {
    /// n rows of `width` numbers and behind them any others; f is written.
    pub rows: &'a mut [f64],
    /// Numbers from the start of one row to that of the next, a multiple of [`WIDTH`](super::WIDTH).
    pub width: usize,
    /// Σᵢ f_iu is written, for each of `width` units, 0 for those that are not there.
    pub unit_sums: &'a mut [f64],
    /// Σᵤ f_iu is written, for each row.
    pub row_sums: &'a mut [f64],
    /// s (x_0u − c_0), rounded, and what the rounding left: written, for each of `width` units.
    pub first: [&'a mut [f64]; 2],
}

/// Writes f for the n rows of x, all of the same length, with s = `scale`, a power of two, and
/// s c = `pilot`.
///
/// The rounding of s x − s c is computed exactly and does not cost f any digits (Knuth's sum of two
/// numbers), so that neither offsets of rows nor of units matter: |f̂ − f| ≤ 2u |f| as long as s x does
/// not underflow. Reads 4 or 8 bytes an element, writes 8; about 11 flops.
///
/// # Panics
/// Unless all slices hold n = `pilot.len()` rows and `width` units.
pub fn differences<T: Real>(isa: Isa, x: &[&[T]], scale: f64, pilot: &[f64], out: Differences<'_>) {
    let (n, width) = (pilot.len(), out.width);
    let units = x.first().map_or(0, |row| row.len());
    assert!(width.is_multiple_of(super::WIDTH), "width of a block: {width}");
    assert!(n > 0 && units > 0 && units <= width, "a block of {n} rows, {units} units");
    assert!(x.len() == n && x.iter().all(|row| row.len() == units), "rows of x");
    assert!(out.rows.len() >= super::padded(n) * width, "rows");
    assert!(out.row_sums.len() == n && out.unit_sums.len() == width, "sums");
    assert!(out.first.iter().all(|f| f.len() == width), "first row");
    dispatch!(isa, Subtract<'a, T> = Subtract { x, units, scale, pilot, out });
}

struct Subtract<'a, T> {
    x: &'a [&'a [T]],
    units: usize,
    scale: f64,
    pilot: &'a [f64],
    out: Differences<'a>,
}

/// x − c as a rounded difference and what the rounding left, exactly.
#[inline(always)]
fn two_difference<S: Simd>(simd: S, x: S::f64s, c: S::f64s) -> [S::f64s; 2] {
    let high = simd.sub_f64s(x, c);
    let back = simd.sub_f64s(high, x);
    let of_x = simd.sub_f64s(x, simd.sub_f64s(high, back));
    [high, simd.sub_f64s(of_x, simd.add_f64s(c, back))]
}

/// The same of two numbers.
#[inline(always)]
fn two_difference_of(x: f64, c: f64) -> [f64; 2] {
    let high = x - c;
    let back = high - x;
    [high, (x - (high - back)) - (c + back)]
}

/// The first numbers, each in all lanes.
#[inline(always)]
fn splat<S: Simd, const R: usize>(simd: S, from: &[f64]) -> [S::f64s; R] {
    let mut vectors = [simd.splat_f64s(0.0); R];
    for r in 0..R {
        vectors[r] = simd.splat_f64s(from[r]);
    }
    vectors
}

impl<T: Real> WithSimd for Subtract<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let n = self.pilot.len();
        self.out.unit_sums.fill(0.0);
        let [high, low] = &mut self.out.first;
        high[self.units..].fill(0.0);
        low[self.units..].fill(0.0);
        for (u, x) in self.x[0].iter().enumerate() {
            [high[u], low[u]] = two_difference_of(x.to_f64() * self.scale, self.pilot[0]);
        }
        let first_exact = low.iter().all(|rest| *rest == 0.0);
        let mut i = 0;
        while i < n {
            let whole = i + TILE <= n;
            let end = if whole { i + TILE } else { i + 1 };
            let exact = |i: usize| differences_are_exact(self.x[i], self.scale, self.pilot[i]);
            let exact = first_exact && (i..end).all(exact);
            match (whole, exact) {
                (true, true) => self.rows::<S, TILE, true>(simd, i),
                (true, false) => self.rows::<S, TILE, false>(simd, i),
                (false, true) => self.rows::<S, 1, true>(simd, i),
                (false, false) => self.rows::<S, 1, false>(simd, i),
            }
            i = end;
        }
    }
}

/// Whether every s x − c is a number of `f64`. All x and c that are numbers of `f32` are below 2^(E + 1)
/// and multiples of 2^(e − 23) for their largest and smallest exponents E and e, so that differences
/// have at most E − e + 25 bits.
#[inline(always)]
fn differences_are_exact<T: Real>(x: &[T], scale: f64, c: f64) -> bool {
    #[allow(clippy::cast_possible_truncation)]
    let single = c as f32;
    if size_of::<T>() != size_of::<f32>() || scale != 1.0 || f64::from(single) != c {
        return false;
    }
    let magnitude = |bits: u32| bits & (u32::MAX >> 1);
    let own = magnitude(single.to_bits());
    // 0 has no lowest bit: it wraps to the largest number.
    let (mut largest, mut smallest) = (own, own.wrapping_sub(1));
    for &bits in bytemuck::cast_slice::<T, u32>(x) {
        largest = largest.max(magnitude(bits));
        smallest = smallest.min(magnitude(bits).wrapping_sub(1));
    }
    // Subnormal numbers have the lowest bit of exponent 1.
    let exponent = |bits: u32| (bits >> 23).max(1);
    smallest == u32::MAX || exponent(largest) <= exponent(smallest + 1) + 28
}

impl<T: Real> Subtract<'_, T> {
    /// `EXACT`: x − c leaves no rest, and s = 1.
    #[inline(always)]
    fn rows<S: Simd, const R: usize, const EXACT: bool>(&mut self, simd: S, i: usize) {
        let (units, width) = (self.units, self.out.width);
        let [high, low] = &self.out.first;
        let mut x = [self.x[i]; R];
        x.copy_from_slice(&self.x[i..i + R]);
        let whole = units / T::lanes::<S>() * T::lanes::<S>();
        let scale = simd.splat_f64s(self.scale);
        let c = splat::<S, R>(simd, &self.pilot[i..]);
        let mut sums = [simd.splat_f64s(0.0); R];
        let group = &mut self.out.rows[i / TILE * TILE * width..][..TILE * width];
        {
            let x: [&[T::Vector<S>]; R] = x.map(|x| T::as_simd::<S>(&x[..whole]).0);
            let vectors = whole / S::F64_LANES;
            let high = &S::as_simd_f64s(high).0[..vectors];
            let low = &S::as_simd_f64s(low).0[..vectors];
            let of_units = &mut S::as_mut_simd_f64s(self.out.unit_sums).0[..vectors];
            let parts = LANES / S::F64_LANES;
            let group = S::as_mut_simd_f64s(group).0;
            let place = |k: usize, r: usize| (k / parts * TILE + i % TILE + r) * parts + k % parts;
            let wide = T::wide::<S>();
            for at in 0..vectors / wide {
                let mut values = [[simd.splat_f64s(0.0); 2]; R];
                for r in 0..R {
                    values[r] = T::widen(simd, x[r][at]);
                }
                for h in 0..wide {
                    let k = at * wide + h;
                    for r in 0..R {
                        let f = if EXACT {
                            simd.sub_f64s(simd.sub_f64s(values[r][h], c[r]), high[k])
                        } else {
                            let x = simd.mul_f64s(values[r][h], scale);
                            let [a, b] = two_difference(simd, x, c[r]);
                            simd.add_f64s(simd.sub_f64s(a, high[k]), simd.sub_f64s(b, low[k]))
                        };
                        group[place(k, r)] = f;
                        of_units[k] = simd.add_f64s(of_units[k], f);
                        sums[r] = simd.add_f64s(sums[r], f);
                    }
                }
            }
        }
        for r in 0..R {
            let mut sum = simd.reduce_sum_f64s(sums[r]);
            for u in whole..units {
                let [a, b] = two_difference_of(x[r][u].to_f64() * self.scale, self.pilot[i + r]);
                let f = (a - high[u]) + (b - low[u]);
                group[super::place(width, i % TILE + r, u)] = f;
                self.out.unit_sums[u] += f;
                sum += f;
            }
            (units..width).for_each(|u| group[super::place(width, i % TILE + r, u)] = 0.0);
            self.out.row_sums[i + r] = sum;
        }
    }
}

/// W_iu = (f_iu − t_i) − m_u, in the place of f, and its sums.
#[derive(Debug)]
pub struct Centred<'a> {
    /// f is read and W written, for rows of `width` numbers, and zeros for units that are not there.
    pub rows: &'a mut [f64],
    /// Numbers from the start of one row to that of the next, a multiple of [`WIDTH`](super::WIDTH).
    pub width: usize,
    /// Σᵤ l_u W_iu is written, for each row.
    pub profile: &'a mut [f64],
    /// Σᵢ z² and Σᵢ z⁴ of z_iu = W_iu + o_i are written, for each of `width` units (anything for those
    /// that are not there).
    pub powers: [&'a mut [f64]; 2],
}

/// Writes W for `units` units with t = `of_rows`, m = `of_units`, l = `level` (0 for units that are not
/// there), o = `offsets`. About 10 flops an element.
///
/// # Panics
/// Unless all slices hold n = `of_rows.len()` rows and `width` units.
pub fn centre(
    isa: Isa,
    units: usize,
    of_rows: &[f64],
    of_units: &[f64],
    level: &[f64],
    offsets: &[f64],
    out: Centred<'_>,
) {
    let (n, width) = (of_rows.len(), out.width);
    assert!(width.is_multiple_of(super::WIDTH), "width of a block: {width}");
    assert!(units <= width && out.rows.len() >= super::padded(n) * width, "rows");
    assert!(of_units.len() == width && level.len() == width, "units");
    assert!(offsets.len() == n && out.profile.len() == n, "sums");
    assert!(out.powers.iter().all(|p| p.len() == width), "powers");
    isa.dispatch(Centre { units, of_rows, of_units, level, offsets, out });
}

struct Centre<'a> {
    units: usize,
    of_rows: &'a [f64],
    of_units: &'a [f64],
    level: &'a [f64],
    offsets: &'a [f64],
    out: Centred<'a>,
}

impl WithSimd for Centre<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let n = self.of_rows.len();
        self.out.powers.iter_mut().for_each(|p| p.fill(0.0));
        let mut i = 0;
        while i + TILE <= n {
            self.rows::<S, TILE>(simd, i);
            i += TILE;
        }
        while i < n {
            self.rows::<S, 1>(simd, i);
            i += 1;
        }
    }
}

impl Centre<'_> {
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&mut self, simd: S, i: usize) {
        let width = self.out.width;
        let vectors = width / S::F64_LANES;
        let group = &mut self.out.rows[i / TILE * TILE * width..][..TILE * width];
        let mut profile = [simd.splat_f64s(0.0); R];
        {
            let parts = LANES / S::F64_LANES;
            let group = S::as_mut_simd_f64s(group).0;
            let place = |k: usize, r: usize| (k / parts * TILE + i % TILE + r) * parts + k % parts;
            let t = splat::<S, R>(simd, &self.of_rows[i..]);
            let o = splat::<S, R>(simd, &self.offsets[i..]);
            let [second, fourth] = &mut self.out.powers;
            let second = &mut S::as_mut_simd_f64s(second).0[..vectors];
            let fourth = &mut S::as_mut_simd_f64s(fourth).0[..vectors];
            let m = &S::as_simd_f64s(self.of_units).0[..vectors];
            let l = &S::as_simd_f64s(self.level).0[..vectors];
            for k in 0..vectors {
                let (mut s2, mut s4) = (second[k], fourth[k]);
                for r in 0..R {
                    let w = simd.sub_f64s(simd.sub_f64s(group[place(k, r)], t[r]), m[k]);
                    group[place(k, r)] = w;
                    profile[r] = simd.mul_add_e_f64s(w, l[k], profile[r]);
                    let z = simd.add_f64s(w, o[r]);
                    let square = simd.mul_f64s(z, z);
                    s2 = simd.add_f64s(s2, square);
                    s4 = simd.mul_add_e_f64s(square, square, s4);
                }
                (second[k], fourth[k]) = (s2, s4);
            }
        }
        for r in 0..R {
            (self.units..width).for_each(|u| group[super::place(width, i % TILE + r, u)] = 0.0);
            self.out.profile[i + r] = simd.reduce_sum_f64s(profile[r]);
        }
    }
}
