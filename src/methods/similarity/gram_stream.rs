//! Inner products of the responses to stimuli, summed over units that come block by block.

mod blocks;

use faer::{Mat, MatRef};

use super::centred_kernel::CentredKernel;
use super::pairwise::{Rdm, Rsm, pairs};
use super::principal::PrincipalDirections;
use super::responses::{check, unit};
use super::rsm::{RowProducts, RowVariance, RsmKind};
use crate::numerics::parallel;
use crate::{Error, Real, Result};

/// Units from which the pilot is taken.
const PILOT: usize = 512;

/// Sums over units from which similarity matrices, CKA, CCA and Procrustes distances follow, for any
/// number of units, on one machine or several.
///
/// Around the mean x̄ᵢ of each stimulus over units and the mean m_u of each unit over stimuli, with
/// μ_u = m_u − m̄ and W_iu = x_iu − x̄ᵢ − μ_u, it holds the number of units p, x̄, Σ W Wᵀ, Σ μ W and
/// Σ μ². Row-centred products are W Wᵀ + v 1ᵀ + 1 vᵀ + Σμ² with v = Σ μ W, column-centred ones
/// W Wᵀ + p Hx̄ (Hx̄)ᵀ: offsets of stimuli and of units drop out exactly instead of cancelling. Parts
/// are merged as means and centred sums are (Chan, Golub and LeVeque 1983), with x̄ kept as the
/// difference to a pilot, so that any blocks in any order agree to rounding of the deviations.
///
/// n² p flops in `f64` whatever the storage: products of `f32` are exact there. One pass over `f32`, two
/// over `f64` (its scale first); 40 n² + 1920 n bytes a thread and task, however many units come; best in pushes of multiples of 3840. A push
/// gives the same bits for any number of threads.
///
/// ```
/// use hesse::faer::mat;
/// use hesse::similarity::{GramStream, Pairwise, RowVariance, Rsm, RsmKind};
/// let x = mat![[1.0, 2.0, 4.0, 3.0], [5.0, 5.0, 8.0, 1.0], [3.0, 2.0, 1.0, 7.0_f64]];
/// let mut stream = GramStream::new(3)?;
/// stream.push(x.subcols(0, 3))?;
/// let mut other = GramStream::new(3)?;
/// other.push(x.subcols(3, 1))?;
/// stream.merge(&other)?;
/// let c = stream.rsm(RsmKind::Pearson, RowVariance::Error)?;
/// assert!((c.at(0, 1) - Rsm::pearson(x.as_ref())?.at(0, 1)).abs() < 1e-15);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GramStream {
    /// A power of two; everything below is of x / unit.
    unit: f64,
    units: usize,
    pilot: Vec<f64>,
    /// Mean over stimuli of x̄ − pilot.
    mean: f64,
    /// x̄ − pilot less that mean.
    tilt: Vec<f64>,
    /// Lower triangle of Σ W Wᵀ.
    inner: Mat<f64>,
    /// Σ μ W.
    profile: Vec<f64>,
    /// Σ μ².
    level: f64,
    /// Σ over units of n(n − 3) times the unbiased HSIC of the unit with itself.
    own: f64,
}

impl GramStream {
    /// No units yet.
    ///
    /// # Errors
    /// [`Error::Range`] for fewer than two stimuli.
    pub fn new(stimuli: usize) -> Result<Self> {
        super::responses::enough_stimuli(stimuli, 2)?;
        Ok(Self {
            unit: 0.0,
            units: 0,
            pilot: vec![0.0; stimuli],
            mean: 0.0,
            tilt: vec![0.0; stimuli],
            inner: Mat::zeros(stimuli, stimuli),
            profile: vec![0.0; stimuli],
            level: 0.0,
            own: 0.0,
        })
    }

    /// All units of one matrix, stimuli × units.
    ///
    /// # Errors
    /// As [`GramStream::new`] and [`GramStream::push`].
    pub fn of<T: Real>(x: MatRef<'_, T>) -> Result<Self> {
        check("x", x)?;
        let mut stream = Self::new(x.nrows())?;
        stream.push(x)?;
        Ok(stream)
    }

    /// Number of stimuli.
    #[must_use]
    pub fn stimuli(&self) -> usize {
        self.tilt.len()
    }

    /// Number of units so far.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units
    }

    /// Adds units, stimuli × units.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of stimuli, [`Error::Empty`], [`Error::NonFinite`]; the
    /// stream is as before then.
    pub fn push<T: Real>(&mut self, x: MatRef<'_, T>) -> Result<()> {
        let n = x.nrows();
        if n != self.stimuli() {
            return Err(Error::shape("units: stimuli", self.stimuli(), n));
        }
        let p = x.ncols();
        // Sums of fourth powers of `f32` fit `f64` as they are, and what is not finite shows in them.
        let single = size_of::<T>() == size_of::<f32>();
        let unit = if single && p > 0 { 1.0 } else { check("units", x).map(|_| unit(x))? };
        let pilot: Vec<f64> = if self.units > 0 {
            let ratio = self.unit / unit;
            self.pilot.iter().map(|c| c * ratio).collect()
        } else {
            let first = p.min(PILOT);
            let mean = |i: usize| {
                let sum = (0..first).map(|j| x[(i, j)].to_f64() / unit).sum::<f64>();
                // A number of the type: differences of `f32` to it are mostly exact.
                T::from_f64(sum / first as f64).to_f64()
            };
            (0..n).map(mean).collect()
        };
        let shards = parallel::shards(p, blocks::TASK);
        let partial = |s: usize| blocks::task(x, shards[s].clone(), unit, &pilot);
        let merge = |a: &mut Option<Self>, b: Option<Self>| match (a.as_mut(), b) {
            (Some(a), Some(b)) => a.add(&b),
            _ => *a = None,
        };
        match parallel::reduce(shards.len(), partial, merge).flatten() {
            Some(sum) => self.add(&sum),
            None => {
                check("units", x)?;
            }
        }
        Ok(())
    }

    /// Adds the units of another stream.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of stimuli.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.same_stimuli(other)?;
        self.add(other);
        Ok(())
    }

    /// Takes away units that are among those of this stream, for estimates that leave blocks out. It
    /// loses the digits by which the rest is smaller than the whole.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of stimuli, [`Error::Range`] unless fewer units are taken
    /// away than there are.
    pub fn subtract(&mut self, other: &Self) -> Result<()> {
        self.same_stimuli(other)?;
        if other.units >= self.units {
            let expected = format!("fewer than {}", self.units);
            return Err(Error::range("units to take away", expected, other.units));
        }
        let other = other.in_unit(self.unit);
        let (all, gone) = (self.units as f64, other.units as f64);
        let rest = all - gone;
        // δ between the block and the rest, from that between the block and the whole.
        let (level, tilt) = self.difference(&other);
        let (level, tilt): (f64, Vec<f64>) =
            (level * all / rest, tilt.iter().map(|d| d * all / rest).collect());
        self.move_mean(level, &tilt, -gone / all);
        self.combine(&other, level, &tilt, rest * gone / all, -1.0);
        self.units -= other.units;
        Ok(())
    }

    fn same_stimuli(&self, other: &Self) -> Result<()> {
        match self.stimuli() == other.stimuli() {
            true => Ok(()),
            false => Err(Error::shape("stimuli", self.stimuli(), other.stimuli())),
        }
    }

    fn add(&mut self, other: &Self) {
        if other.units == 0 {
            return;
        }
        if self.units == 0 {
            self.clone_from(other);
            return;
        }
        let unit = self.unit.max(other.unit);
        if self.unit < unit {
            *self = self.in_unit(unit).into_owned();
        }
        let other = other.in_unit(unit);
        let (f, level, tilt) = self.add_means(&other);
        self.combine(&other, level, &tilt, f, 1.0);
    }

    /// Takes the other's units into the mean; f = ab/(a + b) of both numbers, and the difference δ of
    /// the means, by which the centred sums change.
    fn add_means(&mut self, other: &Self) -> (f64, f64, Vec<f64>) {
        let (a, b) = (self.units as f64, other.units as f64);
        let (level, tilt) = self.difference(other);
        self.move_mean(level, &tilt, b / (a + b));
        self.units += other.units;
        (a * b / (a + b), level, tilt)
    }

    /// x̄ of the other less x̄ of this: its mean over stimuli, and the rest.
    fn difference(&self, other: &Self) -> (f64, Vec<f64>) {
        let pilots: Vec<f64> = other.pilot.iter().zip(&self.pilot).map(|(b, a)| b - a).collect();
        let mean = pilots.iter().sum::<f64>() / self.stimuli() as f64;
        let tilt = |i: usize| (pilots[i] - mean) + (other.tilt[i] - self.tilt[i]);
        (mean + (other.mean - self.mean), (0..self.stimuli()).map(tilt).collect())
    }

    /// x̄ ← x̄ + factor δ.
    fn move_mean(&mut self, level: f64, tilt: &[f64], factor: f64) {
        self.mean += factor * level;
        self.tilt.iter_mut().zip(tilt).for_each(|(x, d)| *x += factor * d);
    }

    /// Centred sums ← theirs ± (those of the other + f δ δᵀ).
    fn combine(&mut self, other: &Self, level: f64, tilt: &[f64], f: f64, sign: f64) {
        for j in 0..self.stimuli() {
            for i in j..self.stimuli() {
                self.inner[(i, j)] += sign * (other.inner[(i, j)] + f * tilt[i] * tilt[j]);
            }
        }
        self.combine_profiles(other, level, tilt, f, sign);
    }

    /// The same of all but the inner products.
    fn combine_profiles(&mut self, other: &Self, level: f64, tilt: &[f64], f: f64, sign: f64) {
        for (j, tilt) in tilt.iter().enumerate() {
            self.profile[j] += sign * (other.profile[j] + f * level * tilt);
        }
        self.level += sign * (other.level + f * level * level);
        self.own += sign * other.own;
    }

    /// The same sums in another unit.
    fn in_unit(&self, unit: f64) -> std::borrow::Cow<'_, Self> {
        if self.unit == unit {
            return std::borrow::Cow::Borrowed(self);
        }
        let mut stream = self.clone();
        let ratio = self.unit / unit;
        let square = ratio * ratio;
        stream.pilot.iter_mut().chain(&mut stream.tilt).for_each(|x| *x *= ratio);
        stream.mean *= ratio;
        stream.profile.iter_mut().for_each(|x| *x *= square);
        stream.inner *= faer::Scale(square);
        stream.level *= square;
        stream.own *= square * square;
        stream.unit = unit;
        std::borrow::Cow::Owned(stream)
    }

    fn some_units(&self, fewest: usize) -> Result<()> {
        match self.units >= fewest {
            true => Ok(()),
            false => Err(Error::range("units", format!("at least {fewest}"), self.units)),
        }
    }

    /// The similarity matrix of all units. O(n²). All stimuli share one unit of scale here: where
    /// some respond 10¹⁵⁰ times as strongly as others, see [`Rsm::pearson`].
    ///
    /// # Errors
    /// As [`Rsm::of`]; [`Error::NotApplicable`] for Spearman's, which has no sums over units.
    pub fn rsm(&self, kind: RsmKind, variance: RowVariance) -> Result<Rsm> {
        let n = self.stimuli();
        let centred = |i: usize, j: usize| {
            self.inner[(i, j)] + self.profile[i] + self.profile[j] + self.level
        };
        let gram = match kind {
            RsmKind::Pearson => {
                self.some_units(2)?;
                Mat::from_fn(n, n, |i, j| if i >= j { centred(i, j) } else { 0.0 })
            }
            RsmKind::Cosine => {
                self.some_units(1)?;
                let mean = |i: usize| self.pilot[i] + (self.mean + self.tilt[i]);
                let raw = |i, j| centred(i, j) + self.units as f64 * mean(i) * mean(j);
                Mat::from_fn(n, n, |i, j| if i >= j { raw(i, j) } else { 0.0 })
            }
            RsmKind::Spearman => {
                return Err(Error::not_applicable(
                    "Spearman's correlation from sums over units",
                    "Pearson or cosine",
                    "ranks, which need all units at once",
                ));
            }
        };
        RowProducts { gram, row_units: vec![self.unit; n], units: self.units }
            .similarities(kind, variance)
    }

    /// Squared Euclidean distances per unit, as [`Rdm::squared_euclidean`].
    ///
    /// # Errors
    /// [`Error::Range`] without units.
    pub fn squared_euclidean(&self) -> Result<Rdm> {
        self.some_units(1)?;
        let n = self.stimuli();
        let p = self.units as f64;
        let at = |(i, j): (usize, usize)| {
            let inner = self.inner[(i, i)] + self.inner[(j, j)] - 2.0 * self.inner[(j, i)];
            let shift = (self.pilot[i] - self.pilot[j]) + (self.tilt[i] - self.tilt[j]);
            (inner.max(0.0) / p + shift * shift) * self.unit * self.unit
        };
        let upper: Vec<f64> = pairs(n).map(at).collect();
        crate::error::check_finite("squared distances", &upper)?;
        Ok(Rdm::new(n, upper))
    }

    /// The column-centred Gram matrix H X Xᵀ H.
    ///
    /// # Errors
    /// [`Error::Range`] without units.
    pub(super) fn kernel(&self) -> Result<CentredKernel> {
        self.some_units(1)?;
        let n = self.stimuli();
        let offsets = offsets(&self.pilot, &self.tilt);
        let at = |i: usize, j: usize| {
            self.inner[(i.max(j), i.min(j))] + self.units as f64 * offsets[i] * offsets[j]
        };
        let own = (n >= 4).then_some(self.own);
        Ok(CentredKernel {
            values: Mat::from_fn(n, n, at),
            unit: self.unit,
            units: self.units,
            own,
        })
    }

    /// The principal directions of the stimuli, for canonical correlations and shape distances of
    /// more units than fit in memory.
    ///
    /// They are eigenvectors of the n × n matrix of inner products: directions with singular values
    /// below 10⁻⁷ of the largest cannot be told from rounding and are left out, unlike in
    /// [`PrincipalDirections::of`]. 9 n³ flops.
    ///
    /// # Errors
    /// [`Error::Range`] without units or variance.
    pub fn principal_directions(&self) -> Result<PrincipalDirections> {
        PrincipalDirections::of_kernel(&self.kernel()?)
    }
}

/// x̄ᵢ less its mean over stimuli.
fn offsets(pilot: &[f64], tilt: &[f64]) -> Vec<f64> {
    // Differences to the first first: a common offset must not cost digits.
    let from_first: Vec<f64> = pilot.iter().map(|c| c - pilot[0]).collect();
    let centre = from_first.iter().sum::<f64>() / pilot.len() as f64;
    from_first.iter().zip(tilt).map(|(x, tilt)| (x - centre) + tilt).collect()
}
