//! The density of the spectrum, by stochastic Lanczos quadrature.

use std::ops::ControlFlow;

use faer::MatRef;

use crate::parallel::{self, shards};
use crate::{Error, Real, Result};

use super::probes::{self, Purpose};
use super::products::{Callback, Products};
use super::trace::check_block;
use super::tridiagonal::{Quadrature, Recurrence, check_steps};
use super::{Estimate, EstimateProgress, EstimateStatus, LinearOperator, Probes, tall};

/// What each eigenvalue is smeared into. A Gaussian of standard deviation σ, always.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// As wide as m Lanczos steps resolve: σ = 2r/((m − 1)·√(8 ln 3)) with r half the width of the
    /// window, which is the extremes and 5 % of their distance on each side. That is 6σ for the 90
    /// steps of the default; with fewer than 60, part of the mass at the ends falls outside.
    Rescaled,
    /// Variance 10⁻⁵·max(1, width) on a window that is the extremes and 0.01 on each side; the
    /// density is rescaled to unit mass on the grid. It depends on the unit of the eigenvalues: the
    /// convention of PyHessian, to compare with.
    Variance,
    /// This σ > 0, on a window that is the extremes and 6σ on each side.
    Sigma(f64),
}

/// Computes the smoothed density of the eigenvalues of a symmetric operator.
///
/// φ(x) = mean over probes v of Σᵢ wᵢ K(x − θᵢ), where θ and w are the nodes and weights of m steps
/// of Lanczos from v: an estimate of (1/n) Σₗ K(x − λₗ) whose moments below 2m are exact for each
/// probe.
///
/// Cost: m products a probe, 4nm² flops a probe, memory for m vectors a probe in a block. Source:
/// B. Ghorbani, S. Krishnan and Y. Xiao, An investigation into neural net optimization via Hessian
/// eigenvalue density, ICML 2019, with every vector orthogonalised twice against all others.
///
/// ```
/// use hesse::krylov::{LinearOperator, SpectralDensity};
///
/// /// Half the eigenvalues are 1, half are 3.
/// struct Two(usize);
/// impl LinearOperator<f64> for Two {
///     fn dimension(&self) -> usize {
///         self.0
///     }
///     fn apply(&self, x: &[f64], y: &mut [f64]) {
///         for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
///             *y = if i % 2 == 0 { *x } else { 3.0 * x };
///         }
///     }
/// }
///
/// let density = SpectralDensity::new().seed(1).run(&Two(100))?;
/// assert!((density.cumulative_at(2.0).value - 0.5).abs() < 1e-12);
/// // tr A² = 50·1 + 50·9.
/// assert!((density.integral(|x| x * x).value - 500.0).abs() < 1e-9);
/// // Two eigenvalues are found after two steps, and the probe ends there.
/// assert_eq!(density.products, 20);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpectralDensity<'a> {
    steps: Option<usize>,
    samples: usize,
    probes: Probes,
    seed: u64,
    block: Option<usize>,
    kernel: Kernel,
    grid: Option<usize>,
    extremes: Option<(f64, f64)>,
    progress: Callback<'a>,
}

/// The density of a spectrum. Arrays over the grid come with standard errors over the probes,
/// infinite for one probe.
#[derive(Clone, Debug)]
pub struct Density {
    /// The points x, equally spaced over the window.
    pub grid: Vec<f64>,
    /// φ(x).
    pub density: Vec<f64>,
    /// Standard error of φ(x).
    pub density_error: Vec<f64>,
    /// The share of eigenvalues at most x, a step function: mean of Σ wᵢ over θᵢ ≤ x.
    pub cumulative: Vec<f64>,
    /// Its standard error.
    pub cumulative_error: Vec<f64>,
    /// The integral of the density up to x, smooth: mean of Σ wᵢ Φ((x − θᵢ)/σ), before any
    /// rescaling to unit mass on the grid.
    pub smoothed_cumulative: Vec<f64>,
    /// Its standard error.
    pub smoothed_cumulative_error: Vec<f64>,
    /// σ of the kernel.
    pub sigma: f64,
    /// Nodes and weights, one rule a probe.
    pub quadratures: Vec<Quadrature>,
    /// n.
    pub dimension: usize,
    /// Products with the operator.
    pub products: usize,
    /// [`EstimateStatus::BudgetSpent`], or `Interrupted`: then some probes took fewer steps.
    pub status: EstimateStatus,
}

impl Default for SpectralDensity<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> SpectralDensity<'a> {
    /// 90 steps (n if that is less) from each of 10 probes, [`Kernel::Rescaled`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            steps: None,
            samples: 10,
            probes: Probes::Rademacher,
            seed: 0,
            block: None,
            kernel: Kernel::Rescaled,
            grid: None,
            extremes: None,
            progress: Callback::default(),
        }
    }

    /// Lanczos steps for each probe, at most n.
    #[must_use]
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Number of probes.
    #[must_use]
    pub fn samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    /// The distribution of the probes (default signs).
    #[must_use]
    pub fn probes(mut self, probes: Probes) -> Self {
        self.probes = probes;
        self
    }

    /// The seed of the probes (default 0).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Number of probes that advance together, so that [`LinearOperator::apply_block`] gets so many
    /// vectors at once. By default as many as keep the bases within 1 GiB.
    #[must_use]
    pub fn block(mut self, block: usize) -> Self {
        self.block = Some(block);
        self
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = kernel;
        self
    }

    /// Number of grid points, at least 2 (default 1000, and 10,000 for [`Kernel::Variance`]).
    #[must_use]
    pub fn grid(mut self, points: usize) -> Self {
        self.grid = Some(points);
        self
    }

    /// The smallest and the largest eigenvalue, where they are known; else the extremes of all
    /// nodes stand for them. The window is these and the margin of the kernel.
    #[must_use]
    pub fn extremes(mut self, smallest: f64, largest: f64) -> Self {
        self.extremes = Some((smallest, largest));
        self
    }

    /// Calls `progress` after each block of products; `Break` ends the run with the steps so far,
    /// which are quadrature rules of lower order.
    #[must_use]
    pub fn progress(
        mut self,
        progress: &'a (dyn Fn(EstimateProgress) -> ControlFlow<()> + Sync),
    ) -> Self {
        self.progress = Callback(Some(progress));
        self
    }

    /// Runs with random probes.
    ///
    /// # Errors
    /// [`Error::Range`] for steps outside 1 to n, no probes, a grid of fewer than 2 points, extremes
    /// that are not finite and ascending, a σ that is not positive, a grid whose points are
    /// more than 4σ apart; [`Error::NonFinite`] for a product with NaN or infinities;
    /// [`Error::Empty`] for n = 0.
    pub fn run<T: Real, A: LinearOperator<T> + ?Sized>(&self, a: &A) -> Result<Density> {
        self.with(a, self.samples, &|probe: usize, out: &mut [T]| {
            probes::fill(self.probes, self.seed, Purpose::Density, probe, out);
        })
    }

    /// Runs with given start vectors of any length but zero, one a column.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`Error::Shape`] for vectors of other than n elements,
    /// [`Error::NonFinite`] and [`Error::Range`] for one with NaN or infinities, or zero.
    pub fn run_with<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        starts: MatRef<'_, T>,
    ) -> Result<Density> {
        let n = a.dimension();
        if starts.nrows() != n {
            return Err(Error::shape("rows of the start vectors", n, starts.nrows()));
        }
        self.with(a, starts.ncols(), &|probe: usize, out: &mut [T]| {
            for (i, x) in out.iter_mut().enumerate() {
                *x = starts[(i, probe)];
            }
        })
    }

    fn with<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        samples: usize,
        draw: &dyn Fn(usize, &mut [T]),
    ) -> Result<Density> {
        let n = a.dimension();
        let steps = self.steps.unwrap_or(90.min(n));
        self.check(samples)?;
        let budget = samples.saturating_mul(steps);
        let mut products = Products::new(a, budget, self.progress)?;
        check_steps(steps, n)?;
        let bytes = (n as f64) * (steps as f64) * size_of::<T>() as f64;
        let block = self.block.unwrap_or((BASES / bytes) as usize).clamp(1, samples);

        let mut start = tall::zeros(n, 1)?;
        let (mut x, mut y) = (tall::zeros(n, block)?, tall::zeros(n, block)?);
        let mut quadratures = Vec::new();
        let mut stopped = false;
        for range in shards(samples, block) {
            let mut recurrences = Vec::new();
            for probe in range {
                draw(probe, &mut start);
                recurrences.push(Recurrence::new(&start, steps)?);
            }
            while !stopped {
                let active: Vec<&mut Recurrence<T>> =
                    recurrences.iter_mut().filter(|r| r.wants_product()).collect();
                if active.is_empty() {
                    break;
                }
                let length = active.len() * n;
                for (x, recurrence) in x.chunks_exact_mut(n).zip(&active) {
                    x.copy_from_slice(recurrence.vector());
                }
                stopped = products.apply(&x[..length], &mut y[..length])?.is_break();
                for (y, recurrence) in y.chunks_exact_mut(n).zip(active) {
                    recurrence.step(y);
                }
            }
            for recurrence in recurrences.into_iter().filter(Recurrence::started) {
                quadratures.push(recurrence.finish(&products)?.quadrature()?);
            }
            if stopped {
                break;
            }
        }
        let complete = quadratures.len() == samples && !stopped;
        let status =
            if complete { EstimateStatus::BudgetSpent } else { EstimateStatus::Interrupted };
        let window = self.window(steps, &quadratures, T::EPSILON.to_f64())?;
        self.smear(window, quadratures, n, products.count, status)
    }

    fn points(&self) -> usize {
        self.grid.unwrap_or(if self.kernel == Kernel::Variance { 10_000 } else { 1000 })
    }

    fn check(&self, samples: usize) -> Result<()> {
        check_block(self.block.unwrap_or(1))?;
        if samples == 0 {
            return Err(Error::range("probes", "at least 1", samples));
        }
        if self.points() < 2 {
            return Err(Error::range("grid points", "at least 2", self.points()));
        }
        if let Some((low, high)) = self.extremes
            && !(low.is_finite() && high.is_finite() && low <= high)
        {
            let got = format!("{low} and {high}");
            return Err(Error::range("extremes", "two finite numbers, ascending", got));
        }
        if let Kernel::Sigma(sigma) = self.kernel
            && !(sigma > 0.0 && sigma.is_finite())
        {
            return Err(Error::range("sigma", "a positive finite number", sigma));
        }
        Ok(())
    }

    /// The ends of the grid and σ.
    fn window(
        &self,
        steps: usize,
        quadratures: &[Quadrature],
        epsilon: f64,
    ) -> Result<(f64, f64, f64)> {
        let (low, high) = self.extremes.unwrap_or_else(|| {
            let nodes = quadratures.iter().flat_map(|q| &q.nodes);
            nodes.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| {
                (if x < low { x } else { low }, if x > high { x } else { high })
            })
        });
        let window = match self.kernel {
            Kernel::Rescaled => {
                // Halves first: the width of a finite interval need not be finite.
                let (center, half) = (0.5 * low + 0.5 * high, 0.5 * high - 0.5 * low);
                let size = if low.abs() > high.abs() { low.abs() } else { high.abs() };
                let radius = if half > 64.0 * epsilon * size {
                    1.1 * half
                } else if size > 0.0 {
                    // One eigenvalue, to rounding: a window that it can be seen in.
                    0.05 * size
                } else {
                    1.0
                };
                let resolved = (steps.max(2) - 1) as f64 * (8.0 * libm::log(3.0)).sqrt();
                (center - radius, center + radius, 2.0 * radius / resolved)
            }
            Kernel::Variance => {
                let (low, high) = (low - 0.01, high + 0.01);
                let width = high - low;
                (low, high, (1e-5 * if width > 1.0 { width } else { 1.0 }).sqrt())
            }
            Kernel::Sigma(sigma) => (low - 6.0 * sigma, high + 6.0 * sigma, sigma),
        };
        crate::error::check_finite("window of the density", &[window.0, window.1, window.2])?;
        Ok(window)
    }

    fn smear(
        &self,
        (low, high, sigma): (f64, f64, f64),
        quadratures: Vec<Quadrature>,
        dimension: usize,
        products: usize,
        status: EstimateStatus,
    ) -> Result<Density> {
        let points = self.points();
        let last = (points - 1) as f64;
        let point = |i: usize| {
            let t = i as f64 / last;
            low * (1.0 - t) + high * t
        };
        let grid: Vec<f64> = (0..points).map(point).collect();
        if grid.windows(2).any(|pair| pair[0] >= pair[1]) {
            let got = format!("{points} from {low:e} to {high:e}");
            return Err(Error::range("grid points", "points that differ", got));
        }
        let needed = (0.25 * (high / sigma - low / sigma)).ceil() + 1.0;
        if (points as f64) < needed {
            let expected = format!("at least {needed} for a kernel of width {sigma:e}");
            return Err(Error::range("grid points", expected, points));
        }
        let curves =
            parallel::map(quadratures.len(), |p| Curves::of(&quadratures[p], &grid, sigma));
        let (mut density, mut density_error) = over_probes(&curves, |c| &c.density);
        if self.kernel == Kernel::Variance {
            let mass = density.iter().sum::<f64>() * (grid[1] - grid[0]);
            if !(mass > 0.0 && mass.is_finite()) {
                let expected = format!("nodes between {low:e} and {high:e}");
                return Err(Error::range("extremes", expected, "none there"));
            }
            for x in density.iter_mut().chain(&mut density_error) {
                *x /= mass;
            }
        }
        let (cumulative, cumulative_error) = over_probes(&curves, |c| &c.cumulative);
        let (smoothed_cumulative, smoothed_cumulative_error) =
            over_probes(&curves, |c| &c.smoothed);
        Ok(Density {
            grid,
            density,
            density_error,
            cumulative,
            cumulative_error,
            smoothed_cumulative,
            smoothed_cumulative_error,
            sigma,
            quadratures,
            dimension,
            products,
            status,
        })
    }
}

/// Bytes that the bases of a block of probes may take by default.
const BASES: f64 = (1_u64 << 30) as f64;

/// Mean and standard error over the probes, point by point.
fn over_probes(curves: &[Curves], curve: impl Fn(&Curves) -> &Vec<f64>) -> (Vec<f64>, Vec<f64>) {
    let points = curves.first().map_or(0, |c| curve(c).len());
    let mut samples = vec![0.0; curves.len()];
    (0..points)
        .map(|i| {
            samples.iter_mut().zip(curves).for_each(|(s, c)| *s = curve(c)[i]);
            let Estimate { value, standard_error } = Estimate::of(&samples);
            (value, standard_error)
        })
        .unzip()
}

/// One probe's curves on the grid.
struct Curves {
    density: Vec<f64>,
    cumulative: Vec<f64>,
    smoothed: Vec<f64>,
}

impl Curves {
    /// Beyond this many σ a Gaussian is below 10⁻¹⁷ of its peak.
    const REACH: f64 = 9.0;

    fn of(quadrature: &Quadrature, grid: &[f64], sigma: f64) -> Self {
        let mut density = vec![0.0; grid.len()];
        let mut cumulative = vec![0.0; grid.len()];
        let mut smoothed = vec![0.0; grid.len()];
        let peak = 1.0 / (sigma * (2.0 * std::f64::consts::PI).sqrt());
        for (&node, &weight) in quadrature.nodes.iter().zip(&quadrature.weights) {
            // The grid ascends: nothing before `near`, the kernel up to `far`, all of it behind.
            let near = grid.partition_point(|x| (x - node) / sigma < -Self::REACH);
            let far = grid.partition_point(|x| (x - node) / sigma <= Self::REACH);
            for i in near..far {
                let z = (grid[i] - node) / sigma;
                density[i] += weight * peak * libm::exp(-0.5 * z * z);
                smoothed[i] += weight * 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
            }
            smoothed[far..].iter_mut().for_each(|s| *s += weight);
            let step = grid.partition_point(|x| *x < node);
            cumulative[step..].iter_mut().for_each(|c| *c += weight);
        }
        Self { density, cumulative, smoothed }
    }
}

impl Density {
    /// Estimates tr f(A) as n times the mean over the probes of Σ wᵢ f(θᵢ).
    ///
    /// For functions that polynomials of degree 2m approximate; f need only be defined on the
    /// nodes.
    pub fn integral(&self, f: impl Fn(f64) -> f64) -> Estimate {
        let n = self.dimension as f64;
        let sample = |q: &Quadrature| n * q.integral(&f);
        Estimate::of(&self.quadratures.iter().map(sample).collect::<Vec<_>>())
    }

    /// Estimates the mean of λᵖ over the eigenvalues; for p below twice the steps the only error is
    /// the sampling of probes.
    #[must_use]
    pub fn moment(&self, power: u32) -> Estimate {
        let moment =
            |q: &Quadrature| q.integral(|x| (0..power).fold(1.0, |product, _| product * x));
        Estimate::of(&self.quadratures.iter().map(moment).collect::<Vec<_>>())
    }

    /// Estimates the share of eigenvalues that are at most `x`, without any smoothing.
    #[must_use]
    pub fn cumulative_at(&self, x: f64) -> Estimate {
        let below = |q: &Quadrature| q.integral(|node| f64::from(u8::from(node <= x)));
        Estimate::of(&self.quadratures.iter().map(below).collect::<Vec<_>>())
    }
}
