//! Elementary functions and activations in double-double arithmetic, about 28 digits: what the
//! tests hold the vector functions against. Slow and plain; not for use in programs.

use crate::activation::Activation;

/// hi + lo with |lo| ≤ ½ ulp(hi).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DoubleDouble {
    /// The nearest `f64`.
    pub hi: f64,
    /// What is left.
    pub lo: f64,
}

type Dd = DoubleDouble;

const LN_2: Dd = Dd { hi: core::f64::consts::LN_2, lo: 2.319_046_813_846_299_6e-17 };
const PI: Dd = Dd { hi: core::f64::consts::PI, lo: 1.224_646_799_147_353_2e-16 };

fn dd(x: f64) -> Dd {
    Dd { hi: x, lo: 0.0 }
}

impl core::ops::Add for Dd {
    type Output = Dd;
    fn add(self, b: Dd) -> Dd {
        let (s, e) = two_sum(self.hi, b.hi);
        let (t, f) = two_sum(self.lo, b.lo);
        let (s, e) = fast_two_sum(s, e + t);
        let (hi, lo) = fast_two_sum(s, e + f);
        Dd { hi, lo }
    }
}

impl core::ops::Neg for Dd {
    type Output = Dd;
    fn neg(self) -> Dd {
        Dd { hi: -self.hi, lo: -self.lo }
    }
}

impl core::ops::Sub for Dd {
    type Output = Dd;
    fn sub(self, b: Dd) -> Dd {
        self + (-b)
    }
}

impl core::ops::Mul for Dd {
    type Output = Dd;
    fn mul(self, b: Dd) -> Dd {
        let p = self.hi * b.hi;
        let e = self.hi.mul_add(b.hi, -p) + (self.hi * b.lo + self.lo * b.hi);
        let (hi, lo) = fast_two_sum(p, e);
        Dd { hi, lo }
    }
}

impl core::ops::Div for Dd {
    type Output = Dd;
    fn div(self, b: Dd) -> Dd {
        let q = self.hi / b.hi;
        let r = self - b * dd(q);
        let q2 = r.hi / b.hi;
        let r = r - b * dd(q2);
        dd(q) + dd(q2) + dd(r.hi / b.hi)
    }
}

fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    (s, b - (s - a))
}

impl DoubleDouble {
    /// A number and a correction to it.
    #[must_use]
    pub fn new(hi: f64, lo: f64) -> Self {
        let (hi, lo) = two_sum(hi, lo);
        Self { hi, lo }
    }

    /// self·2ⁿ, exact but for underflow.
    fn ldexp(self, n: i32) -> Dd {
        Dd { hi: libm::ldexp(self.hi, n), lo: libm::ldexp(self.lo, n) }
    }

    fn sqrt(self) -> Dd {
        let root = dd(self.hi.sqrt());
        root + (self - root * root) / (root + root)
    }

    /// Distance of `got` from here in units of the last place of a type with `digits` bits of
    /// mantissa and smallest subnormal `tiny`, of the size of this number. 0 if both are infinite
    /// or NaN alike, or if `got` is infinite where this is beyond `max`.
    #[must_use]
    pub fn ulps(self, got: f64, digits: i32, tiny: f64, max: f64) -> f64 {
        if self.hi.is_nan() || got.is_nan() {
            return if self.hi.is_nan() && got.is_nan() { 0.0 } else { f64::INFINITY };
        }
        if got == self.hi {
            return 0.0;
        }
        if self.hi.abs() > max {
            return if got.is_infinite() && got.signum() == self.hi.signum() {
                0.0
            } else {
                f64::INFINITY
            };
        }
        let exponent = if self.hi == 0.0 { -5000 } else { libm::ilogb(self.hi) };
        let ulp = libm::ldexp(1.0, exponent + 1 - digits).max(tiny);
        (((got - self.hi) - self.lo) / ulp).abs()
    }
}

/// eˣ − 1 for a double-double x that is not far outside the range of `f64`.
fn expm1_dd(x: Dd) -> (Dd, i32) {
    // x = n ln 2 + 256 r; e^r − 1 by Taylor; squared eight times as p ← p (2 + p).
    let n = (x.hi / LN_2.hi).round();
    let r = (x - LN_2 * dd(n)).ldexp(-8);
    let mut p = dd(0.0);
    for k in (1..=14).rev() {
        p = (p + dd(1.0)) * r / dd(f64::from(k));
    }
    for _ in 0..8 {
        p = p * (p + dd(2.0));
    }
    #[allow(clippy::cast_possible_truncation)]
    (p, n as i32)
}

fn exp_dd(x: Dd) -> Dd {
    if x.hi.is_nan() {
        return x;
    }
    if x.hi > 800.0 {
        return dd(f64::INFINITY);
    }
    if x.hi < -800.0 {
        return dd(0.0);
    }
    let (p, n) = expm1_dd(x);
    (p + dd(1.0)).ldexp(n)
}

/// eˣ.
#[must_use]
pub fn exp(x: f64) -> DoubleDouble {
    exp_dd(dd(x))
}

/// eˣ − 1.
#[must_use]
pub fn expm1(x: f64) -> DoubleDouble {
    if x.is_nan() || x.abs() < 1e-100 {
        return dd(x);
    }
    if x > 709.8 {
        return dd(f64::INFINITY);
    }
    let (p, n) = expm1_dd(dd(x.max(-800.0)));
    match n {
        0 => p,
        200.. => (p + dd(1.0)).ldexp(n),
        _ => p.ldexp(n) + (dd(1.0).ldexp(n) - dd(1.0)),
    }
}

/// ln x.
#[must_use]
pub fn ln(x: f64) -> DoubleDouble {
    ln_dd(dd(x))
}

fn ln_dd(x: Dd) -> Dd {
    if !(x.hi > 0.0 && x.hi < f64::INFINITY) {
        return dd(x.hi.ln());
    }
    // x = 2ᵏ m: Newton steps y ← y + 2 (m − e^y)/(m + e^y), of third order.
    let k = libm::ilogb(x.hi * core::f64::consts::FRAC_1_SQRT_2) + 1;
    let m = x.ldexp(-k);
    let mut y = dd(m.hi.ln());
    for _ in 0..2 {
        let (p, n) = expm1_dd(y);
        let e = (p + dd(1.0)).ldexp(n);
        y = y + dd(2.0) * ((m - dd(1.0)) - ((p + dd(1.0)).ldexp(n) - dd(1.0))) / (m + e);
    }
    y + LN_2 * dd(f64::from(k))
}

/// ln(1 + x).
#[must_use]
pub fn log1p(x: f64) -> DoubleDouble {
    log1p_dd(dd(x))
}

fn log1p_dd(x: Dd) -> Dd {
    if x.hi.abs() < 1e-100 || !(x.hi > -1.0 && x.hi < f64::INFINITY) {
        return dd(x.hi.ln_1p());
    }
    if x.hi.abs() > 0.01 {
        return ln_dd(x + dd(1.0));
    }
    // 2 artanh s, s = x/(2 + x).
    let s = x / (x + dd(2.0));
    let y = s * s;
    let mut sum = dd(0.0);
    for k in (0..12).rev() {
        sum = sum * y + dd(1.0) / dd(f64::from(2 * k + 1));
    }
    (s + s) * sum
}

/// tanh x.
#[must_use]
pub fn tanh(x: f64) -> DoubleDouble {
    if x.is_nan() || x.abs() < 1e-100 {
        return dd(x);
    }
    let e = expm1(2.0 * x.abs().min(100.0));
    let t = e / (e + dd(2.0));
    if x < 0.0 { -t } else { t }
}

/// sech² x.
#[must_use]
pub fn sech2(x: f64) -> DoubleDouble {
    let e = exp(-2.0 * x.abs());
    let p = e + dd(1.0);
    dd(4.0) * e / (p * p)
}

/// σ(x) = 1/(1 + e⁻ˣ).
#[must_use]
pub fn sigmoid(x: f64) -> DoubleDouble {
    sigmoid_dd(dd(x))
}

fn sigmoid_dd(x: Dd) -> Dd {
    let negative = x.hi < 0.0;
    let e = exp_dd(if negative { x } else { -x });
    if negative { e / (e + dd(1.0)) } else { dd(1.0) / (e + dd(1.0)) }
}

/// erf x.
#[must_use]
pub fn erf(x: f64) -> DoubleDouble {
    erf_dd(dd(x))
}

fn erf_dd(x: Dd) -> Dd {
    if x.hi.is_nan() {
        return x;
    }
    if x.hi.abs() > 5.0 {
        let tail = erfc_dd(if x.hi < 0.0 { -x } else { x });
        let value = dd(1.0) - tail;
        return if x.hi < 0.0 { -value } else { value };
    }
    // 2/√π e^(−x²) x Σ (2x²)ⁿ/(2n + 1)!!, all terms positive.
    let y = x * x;
    let mut sum = dd(1.0);
    for n in (1..160).rev() {
        sum = sum * (y + y) / dd(f64::from(2 * n + 1)) + dd(1.0);
    }
    (x + x) / PI.sqrt() * exp_dd(-y) * sum
}

/// erfc x.
#[must_use]
pub fn erfc(x: f64) -> DoubleDouble {
    erfc_dd(dd(x))
}

fn erfc_dd(x: Dd) -> Dd {
    if x.hi.is_nan() || x.hi < 2.0 {
        return dd(1.0) - erf_dd(if x.hi < -50.0 { dd(-50.0) } else { x });
    }
    if x.hi > 40.0 {
        return dd(0.0);
    }
    // e^(−x²)/√π / (x + ½/(x + 1/(x + 3⁄2/(x + ...)))).
    let mut fraction = x;
    for n in (1..200).rev() {
        fraction = x + dd(f64::from(n)) * dd(0.5) / fraction;
    }
    let (p, n) = expm1_dd(-(x * x));
    ((p + dd(1.0)) / PI.sqrt() / fraction).ldexp(n)
}

/// φ, φ' and φ'' at a finite z.
#[must_use]
pub fn activation(activation: Activation, z: f64) -> [DoubleDouble; 3] {
    let (zero, one, two) = (dd(0.0), dd(1.0), dd(2.0));
    let x = dd(z);
    match activation {
        Activation::Identity => [x, one, zero],
        Activation::Tanh => {
            let (a, slope) = (tanh(z), sech2(z));
            [a, slope, -(two * a * slope)]
        }
        Activation::Sigmoid => sigmoid_derivatives(x),
        Activation::Relu => {
            if z > 0.0 {
                [x, one, zero]
            } else {
                [zero, zero, zero]
            }
        }
        Activation::LeakyRelu { slope } => {
            if z > 0.0 {
                [x, one, zero]
            } else {
                [x * dd(slope), dd(slope), zero]
            }
        }
        Activation::Gelu => {
            let half = dd(0.5);
            let cdf = half * erfc_dd(-(x * half.sqrt()));
            let density = exp_dd(-(x * x * half)) / (two * PI).sqrt();
            [x * cdf, cdf + x * density, density * (two - x * x)]
        }
        Activation::GeluTanh => {
            let b = two * (two / PI).sqrt();
            // 0.044715 as the kernels see it.
            let c = b * dd(0.044_715);
            let y = x * x;
            let w = x * (b + c * y);
            let w1 = b + dd(3.0) * c * y;
            let w2 = dd(6.0) * c * x;
            let [s, s1, s2] = sigmoid_derivatives(w);
            [x * s, s + x * s1 * w1, two * s1 * w1 + x * (s2 * w1 * w1 + s1 * w2)]
        }
        Activation::Softplus => {
            let [s, s1, _] = sigmoid_derivatives(x);
            let tail = log1p_dd(exp(-z.abs()));
            [if z > 0.0 { x + tail } else { tail }, s, s1]
        }
        Activation::Silu => {
            let [s, s1, s2] = sigmoid_derivatives(x);
            [x * s, s + x * s1, two * s1 + x * s2]
        }
        Activation::Elu { alpha } => {
            if z > 0.0 {
                return [x, one, zero];
            }
            let e = dd(alpha) * exp(z);
            [dd(alpha) * expm1(z), e, e]
        }
    }
}

/// σ, σ' and σ''.
fn sigmoid_derivatives(x: Dd) -> [Dd; 3] {
    let (s, r) = (sigmoid_dd(x), sigmoid_dd(-x));
    // σ(−x) − σ(x) = −tanh(x/2).
    let half = tanh_dd(x);
    [s, s * r, -(s * r * half)]
}

/// tanh(x/2) of a double-double.
fn tanh_dd(x: Dd) -> Dd {
    if x.hi.abs() < 1e-100 {
        return x * dd(0.5);
    }
    if x.hi.abs() > 100.0 {
        return dd(x.hi.signum());
    }
    let (p, n) = expm1_dd(x);
    let e = if n == 0 { p } else { p.ldexp(n) + (dd(1.0).ldexp(n) - dd(1.0)) };
    e / (e + dd(2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (&'static str, fn(f64) -> DoubleDouble, f64, f64, f64);
    /// Name, function, x, and the value to 33 digits (mpmath 1.3) as a pair of `f64`.
    const CASES: &[Case] = &include!("oracle_functions.in");

    #[test]
    fn agrees_with_values_known_to_33_digits() {
        for &(name, f, x, hi, lo) in CASES {
            let got = f(x);
            let error = ((got.hi - hi) + (got.lo - lo)).abs() / hi.abs();
            assert!(error < 1e-25, "{name}({x}): {got:?}, error {error:e}");
        }
    }
}
