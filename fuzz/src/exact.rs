//! Sums of products without any rounding, to hold rounded ones against.

/// Exponent of the lowest bit: products of the smallest subnormals fit.
const LOWEST: i32 = -2 * 1074;
/// 32 bits each, up to products of the largest numbers, and 2⁶⁴ of them.
const DIGITS: usize = (2 * 1074 + 2 * 1024 + 64) / 32 + 1;

/// A fixed-point number that holds any sum of products of `f64`.
#[derive(Clone)]
pub struct Exact {
    /// Low to high, 32 bits each, with carries that have not been passed on.
    digits: [i64; DIGITS],
    pending: u32,
}

/// |x| = m 2ᵉ.
fn parts(x: f64) -> (u64, i32) {
    assert!(x.is_finite());
    let bits = x.to_bits();
    let (mantissa, exponent) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
    if exponent == 0 { (mantissa, -1074) } else { (mantissa | 1 << 52, exponent - 1075) }
}

/// x 2ⁿ, ∞ or 0 where it is too large or too small.
fn scale(mut x: f64, mut n: i32) -> f64 {
    while n != 0 && x != 0.0 && x.is_finite() {
        let step = n.clamp(-1000, 1000);
        x *= f64::from_bits(((1023 + step) as u64) << 52);
        n -= step;
    }
    x
}

impl Exact {
    pub fn new() -> Self {
        Self { digits: [0; DIGITS], pending: 0 }
    }

    /// self + ab.
    pub fn add(&mut self, a: f64, b: f64) {
        let ((ma, ea), (mb, eb)) = (parts(a), parts(b));
        let product = u128::from(ma) * u128::from(mb);
        let negative = a.is_sign_negative() != b.is_sign_negative();
        let place = (ea + eb - LOWEST) as usize;
        for (half, place) in [(product as u64, place), ((product >> 64) as u64, place + 64)] {
            let shifted = u128::from(half) << (place % 32);
            for i in 0..3 {
                let digit = (shifted >> (32 * i) & 0xffff_ffff) as i64;
                if digit != 0 {
                    self.digits[place / 32 + i] += if negative { -digit } else { digit };
                }
            }
        }
        self.pending += 1;
        if self.pending > 1 << 28 {
            self.carry();
        }
    }

    fn carry(&mut self) {
        let mut carry = 0;
        for digit in &mut self.digits[..DIGITS - 1] {
            let sum = *digit + carry;
            *digit = sum & 0xffff_ffff;
            carry = sum >> 32;
        }
        self.digits[DIGITS - 1] += carry;
        self.pending = 0;
    }

    /// The magnitude without pending carries, and whether the number is negative.
    fn magnitude(&self) -> (Self, bool) {
        let mut x = self.clone();
        x.carry();
        let negative = x.digits[DIGITS - 1] < 0;
        if negative {
            x.digits.iter_mut().for_each(|digit| *digit = -*digit);
            x.carry();
        }
        (x, negative)
    }

    /// self 2⁻ˢ, to 2⁻⁵² of itself.
    pub fn scaled(&self, s: i32) -> f64 {
        let (x, negative) = self.magnitude();
        let Some(top) = x.digits.iter().rposition(|&digit| digit != 0) else { return 0.0 };
        let top = top.max(2);
        let digit = |i: usize| x.digits[i] as u128;
        let leading = digit(top) << 64 | digit(top - 1) << 32 | digit(top - 2);
        let value = scale(leading as f64, 32 * (top as i32 - 2) + LOWEST - s);
        if negative { -value } else { value }
    }

    /// The whole number e with 2ᵉ ≤ |self| < 2ᵉ⁺¹, and one below all of them for 0.
    pub fn exponent(&self) -> i32 {
        let (x, _) = self.magnitude();
        match x.digits.iter().rposition(|&digit| digit != 0) {
            Some(top) => 32 * top as i32 + x.digits[top].ilog2() as i32 + LOWEST,
            None => LOWEST - 1,
        }
    }
}

/// Σ aᵢbᵢ of any numbers, with what error bounds and infinities need.
pub struct Terms {
    sum: Exact,
    absolute: Exact,
    nan: bool,
    /// An infinite term: above, below.
    infinite: [bool; 2],
}

/// How close a sum has to be.
#[derive(Clone, Copy)]
pub struct Bound {
    /// Factor on Σ |aᵢbᵢ|.
    pub gamma: f64,
    /// Factor on |Σ aᵢbᵢ|.
    pub relative: f64,
    /// What underflow may take away.
    pub underflow: f64,
    /// Exponent above which sums may overflow.
    pub overflow: i32,
}

impl Terms {
    pub fn new() -> Self {
        Self { sum: Exact::new(), absolute: Exact::new(), nan: false, infinite: [false; 2] }
    }

    /// Of the products of pairs.
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut terms = Self::new();
        pairs.into_iter().for_each(|(a, b)| terms.add(a, b));
        terms
    }

    pub fn add(&mut self, a: f64, b: f64) {
        if a.is_finite() && b.is_finite() {
            self.sum.add(a, b);
            self.absolute.add(a.abs(), b.abs());
        } else {
            let term = a * b;
            self.nan |= term.is_nan();
            self.infinite[0] |= term == f64::INFINITY;
            self.infinite[1] |= term == f64::NEG_INFINITY;
        }
    }

    pub fn sum(&self) -> &Exact {
        &self.sum
    }

    /// What is compared with, once for all results.
    pub fn finish(&self, bound: Bound) -> Wanted {
        let absolute = self.absolute.exponent();
        let s = absolute.max(-1000);
        let high = self.sum.scaled(s);
        let mut rest = self.sum.clone();
        // Beyond the range no finite result is close, to whatever precision.
        let nearest = scale(high, s);
        if nearest.is_finite() {
            rest.add(-nearest, 1.0);
        } else {
            rest = Exact::new();
        }
        let limit = bound.gamma * self.absolute.scaled(s)
            + bound.relative * high.abs()
            + scale(bound.underflow, -s);
        Wanted {
            class: match (self.nan, self.infinite) {
                (true, _) | (_, [true, true]) => f64::NAN,
                (_, [true, false]) => f64::INFINITY,
                (_, [false, true]) => f64::NEG_INFINITY,
                (_, [false, false]) => 0.0,
            },
            s,
            sum: [high, rest.scaled(s)],
            // The comparison rounds a few times itself.
            limit: limit * (1.0 + 1e-14),
            huge: absolute >= bound.overflow,
        }
    }
}

/// An exact sum with its bound.
pub struct Wanted {
    /// NaN, an infinity, or 0 for sums of finite terms.
    class: f64,
    /// `sum` and `limit` are in units of 2ˢ.
    s: i32,
    sum: [f64; 2],
    limit: f64,
    huge: bool,
}

impl Wanted {
    /// Whether `got` is the sum: NaN and infinities as in a plain loop, in whatever order; else
    /// within the bound, or not finite where a partial sum can overflow.
    pub fn accept(&self, got: f64) -> Result<(), String> {
        let ok = if self.class.is_nan() {
            got.is_nan()
        } else if self.class.is_infinite() {
            got == self.class || self.huge && !got.is_finite()
        } else if got.is_finite() {
            let error = (scale(got, -self.s) - self.sum[0]) - self.sum[1];
            error.abs() <= self.limit
        } else {
            self.huge
        };
        if ok {
            return Ok(());
        }
        let [sum, limit] = [self.sum[0], self.limit].map(|x| scale(x, self.s));
        Err(format!("{got:e} for {:e}, bound {limit:e}", self.class + sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_over_the_whole_range() {
        let tiny = f64::from_bits(1);
        let mut x = Exact::new();
        x.add(f64::MAX, f64::MAX);
        x.add(-3.0, tiny);
        x.add(tiny, tiny);
        x.add(-f64::MAX, f64::MAX);
        assert_eq!(x.scaled(0), -3.0 * tiny);
        x.add(3.0, tiny);
        assert_eq!((x.scaled(-2148), x.exponent()), (1.0, -2148));
        x.add(-tiny, tiny);
        assert_eq!(x.scaled(0), 0.0);
        x.add(1e16, 1.0);
        x.add(-1e-30, 1.0);
        x.add(-1e16, 1.0);
        assert_eq!(x.scaled(0), -1e-30);
    }

    #[test]
    fn a_bound_is_kept_or_not() {
        let terms = Terms::of([(1e16, 1.0), (1.0, 1.0), (-1e16, 1.0)]);
        let accept = |terms: &Terms, got: f64, gamma: f64| {
            let bound = Bound { gamma, relative: 0.0, underflow: 0.0, overflow: 1023 };
            terms.finish(bound).accept(got).is_ok()
        };
        assert!(accept(&terms, 1.0, 0.0));
        assert!(!accept(&terms, 0.0, 0.0) && accept(&terms, 0.0, 1e-16));
        assert!(!accept(&terms, f64::NAN, 1.0));
        let infinite = Terms::of([(1.0, f64::INFINITY), (1.0, 2.0)]);
        assert!(accept(&infinite, f64::INFINITY, 0.0));
        assert!(!accept(&infinite, f64::NAN, 0.0));
        assert!(accept(&Terms::of([(0.0, f64::INFINITY)]), f64::NAN, 0.0));
    }
}
