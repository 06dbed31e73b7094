//! Distances between shapes: representations up to rotation.

use faer::{Mat, MatRef};

use super::principal::{Compact, PrincipalDirections};
use super::responses::check_pair;
use crate::numerics::dense::singular_values;
use crate::{Error, Real, Result};

/// Eigenvalues of XᵀX below this are raised to it before whitening, as in the reference code.
const FLOOR: f64 = 1e-7;

/// How far two representations are from each other after the best rotation: with centred units, and
/// the narrower side padded with zeros,
///
/// min over orthogonal Q of |XQ − Y|² = |X|² + |Y|² − 2 |XᵀY|_*
///
/// with the nuclear norm |·|_*, the sum of singular values.
///
/// Where units outnumber stimuli, the n × n factors of X and Y take their place. 2 n p min(n, p)
/// flops a side and one SVD of singular values.
///
/// ```
/// use hesse::faer::mat;
/// use hesse::similarity::Procrustes;
/// let x = mat![[1.0, 0.0], [0.0, 2.0], [3.0, 1.0], [0.0, 0.0_f64]];
/// let turned = mat![[0.0, -2.0], [4.0, 0.0], [2.0, -6.0], [0.0, 0.0_f64]];
/// let p = Procrustes::of(x.as_ref(), turned.as_ref())?;
/// assert!((p.similarity() - 1.0).abs() < 1e-15 && p.squared_distance() > 1.0);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Procrustes {
    /// |X|, the root of the sum of squares of the centred units.
    pub norm_x: f64,
    /// |Y|.
    pub norm_y: f64,
    /// |XᵀY|_*/(|X||Y|), within [0, 1].
    similarity: f64,
}

impl Procrustes {
    /// Of X (n × p) and Y (n × q).
    ///
    /// # Errors
    /// [`Error::Shape`] for different stimuli, [`Error::NonFinite`], [`Error::Range`] for fewer than
    /// two stimuli or responses that do not vary.
    pub fn of<T: Real>(x: MatRef<'_, T>, y: MatRef<'_, T>) -> Result<Self> {
        check_pair(x, y, 2)?;
        let (a, b) = (Compact::new(x)?, Compact::new(y)?);
        let norm = |what: &str, compact: &Compact| match compact.square().sqrt() {
            norm if norm > 0.0 => Ok(norm),
            norm => {
                Err(Error::range(format!("{what}: variance over stimuli"), "more than 0", norm))
            }
        };
        let (norm_a, norm_b) = (norm("x", &a)?, norm("y", &b)?);
        let nuclear = nuclear_norm(&a.rows, &b.rows)?;
        Ok(Self {
            norm_x: norm_a * a.unit,
            norm_y: norm_b * b.unit,
            similarity: (nuclear / norm_a / norm_b).min(1.0),
        })
    }

    /// |XᵀY|_*/(|X||Y|): the normalised Bures similarity of X Xᵀ and Y Yᵀ.
    #[must_use]
    pub fn similarity(&self) -> f64 {
        self.similarity
    }

    /// |XᵀY|_*.
    #[must_use]
    pub fn nuclear_norm(&self) -> f64 {
        self.similarity * self.norm_x * self.norm_y
    }

    /// min |XQ − Y|².
    #[must_use]
    pub fn squared_distance(&self) -> f64 {
        // (|X| − |Y|)² + 2 |X||Y|(1 − c): no cancellation of the squares.
        let difference = self.norm_x - self.norm_y;
        difference * difference + 2.0 * self.norm_x * self.norm_y * (1.0 - self.similarity)
    }

    /// The same for X/|X| and Y/|Y|: 2 − 2c.
    #[must_use]
    pub fn normalised_squared_distance(&self) -> f64 {
        2.0 - 2.0 * self.similarity
    }

    /// arccos c, in radians, a metric between shapes. Near 0 it is known to √(n ε) only, as c is to n ε.
    #[must_use]
    pub fn angle(&self) -> f64 {
        libm::acos(self.similarity)
    }
}

/// The angle between shapes after partial whitening with Z = αI + (1 − α)(XᵀX)^(−1/2), in radians:
/// α = 1 is [`Procrustes::angle`], α = 0 compares as canonical correlations do.
///
/// Eigenvalues of XᵀX are raised to 10⁻⁷, in the squared unit of the responses, before their root is
/// inverted: that is the reference code's, and makes the result depend on the unit where they are so
/// small. In singular values, s becomes s (α + (1 − α)/√max(s², 10⁻⁷)). Cost as
/// [`PrincipalDirections::of`].
///
/// Source: Williams et al. 2021 (2110.14739), equation 5; netrep's `LinearMetric`.
///
/// # Errors
/// As [`Procrustes::of`], and for α outside [0, 1].
pub fn shape_angle<T: Real>(x: MatRef<'_, T>, y: MatRef<'_, T>, alpha: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&alpha) {
        return Err(Error::range("alpha", "0 to 1", alpha));
    }
    check_pair(x, y, 2)?;
    let whitened = |x: MatRef<'_, T>| -> Result<(Mat<f64>, f64)> {
        let directions = PrincipalDirections::of(x)?;
        let scale = |s: &f64| {
            let size = s * directions.unit;
            alpha * size + (1.0 - alpha) * size / size.max(FLOOR.sqrt())
        };
        let values: Vec<f64> = directions.values.iter().map(scale).collect();
        // Scaled to the largest: squares neither overflow nor vanish.
        let largest = values.iter().copied().fold(0.0, f64::max);
        let values: Vec<f64> = values.iter().map(|v| v / largest).collect();
        let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        let left = &directions.left;
        Ok((Mat::from_fn(left.nrows(), values.len(), |i, j| left[(i, j)] * values[j]), norm))
    };
    let ((a, norm_a), (b, norm_b)) = (whitened(x)?, whitened(y)?);
    let cosine = nuclear_norm(&a, &b)? / norm_a / norm_b;
    Ok(libm::acos(cosine.clamp(-1.0, 1.0)))
}

/// |AᵀB|_*.
pub(super) fn nuclear_norm(a: &Mat<f64>, b: &Mat<f64>) -> Result<f64> {
    let mut product = Mat::<f64>::zeros(a.ncols(), b.ncols());
    faer::linalg::matmul::matmul(
        product.as_mut(),
        faer::Accum::Replace,
        a.transpose(),
        b.as_ref(),
        1.0,
        faer::Par::Seq,
    );
    Ok(singular_values(product.as_ref())?.iter().sum())
}
