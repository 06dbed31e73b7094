//! A cubic spline through values at 1, 2, 3, …, and where it is smallest.

/// The place of the least value of the not-a-knot cubic spline through `values` at 1, 2, …, next to
/// the smallest of them; of three values the parabola, of fewer the place of the smallest itself.
pub(super) fn smallest_place(values: &[f64]) -> f64 {
    let n = values.len();
    let at = (0..n).reduce(|best, i| if values[i] < values[best] { i } else { best }).unwrap_or(0);
    let mut best = (at as f64 + 1.0, values.get(at).copied().unwrap_or(f64::NAN));
    if n < 3 {
        return best.0;
    }
    let bends = second_derivatives(values);
    for i in [at.checked_sub(1), (at + 1 < n).then_some(at)].into_iter().flatten() {
        // On piece i: value a + t (b + t (c + t e)), 0 ≤ t ≤ 1.
        let (a, rise) = (values[i], values[i + 1] - values[i]);
        let (c, e) = (0.5 * bends[i], (bends[i + 1] - bends[i]) / 6.0);
        let b = rise - c - e;
        let discriminant = c * c - 3.0 * b * e;
        if discriminant < 0.0 {
            continue;
        }
        // The root of b + 2ct + 3et² where the second derivative is positive.
        let t = -b / (c + discriminant.sqrt());
        let value = a + t * (b + t * (c + t * e));
        if (0.0..=1.0).contains(&t) && value < best.1 {
            best = (i as f64 + 1.0 + t, value);
        }
    }
    best.0
}

/// Second derivatives at the knots; the third is continuous at the second and the last but one.
fn second_derivatives(y: &[f64]) -> Vec<f64> {
    let n = y.len();
    let bend = |i: usize| y[i - 1] - 2.0 * y[i] + y[i + 1];
    if n == 3 {
        return vec![bend(1); 3];
    }
    // m₀ − 2m₁ + m₂ = 0 makes of the first equation m₀ + 4m₁ + m₂ = 6 bend(1) just m₁.
    let mut m = vec![0.0; n];
    (m[1], m[n - 2]) = (bend(1), bend(n - 2));
    // m_(i−1) + 4 m_i + m_(i+1) = 6 bend(i) between: elimination without pivots, diagonally dominant.
    let (mut factor, mut right) = (vec![0.0; n], vec![0.0; n]);
    right[1] = m[1];
    for i in 2..n - 2 {
        let pivot = 4.0 - factor[i - 1];
        factor[i] = 1.0 / pivot;
        right[i] = (6.0 * bend(i) - right[i - 1]) / pivot;
    }
    for i in (2..n - 2).rev() {
        m[i] = right[i] - factor[i] * m[i + 1];
    }
    m[0] = 2.0 * m[1] - m[2];
    m[n - 1] = 2.0 * m[n - 2] - m[n - 3];
    m
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cubics_are_their_own_splines() {
        // The derivative is (x − 1.5)(x − 4.3), least at 4.3.
        let cubic = |x: f64| x * x * x / 3.0 - 2.9 * x * x + 6.45 * x;
        for n in [5, 6, 9, 20] {
            let values: Vec<f64> = (1..=n).map(|x| cubic(f64::from(x))).collect();
            let want: Vec<f64> = (1..=n).map(|x| 2.0 * f64::from(x) - 5.8).collect();
            for (got, want) in second_derivatives(&values).iter().zip(&want) {
                assert!((got - want).abs() < 1e-11, "{n}: {got} {want}");
            }
            assert!((smallest_place(&values) - 4.3).abs() < 1e-11, "{n}");
        }
        let parabola: Vec<f64> = (1..=3).map(|x| (f64::from(x) - 1.8).powi(2)).collect();
        assert!((smallest_place(&parabola) - 1.8).abs() < 1e-14);
        assert_eq!(smallest_place(&[2.0, 1.0]), 2.0);
        // Falling to the end, and rising from the start.
        assert_eq!(smallest_place(&[4.0, 3.0, 2.0, 1.0]), 4.0);
        assert_eq!(smallest_place(&[1.0, 2.0, 3.0, 4.0, 5.0]), 1.0);
    }
}
