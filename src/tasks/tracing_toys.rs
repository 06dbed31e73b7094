//! Tracing experiments on lines of voxels, with the connectivity that made them.
//!
//! Two kernels on [0, 1]²: a band along the diagonal, and a bump that projects far.

use faer::Mat;

use crate::random::Stream;
use crate::{Error, Result};

/// The connectivity of the toy: W(y, x) = exp(−((x − y)/0.4)²) + 0.9 exp(−((x − 0.8)² + (y − 0.1)²)/0.2²),
/// targets y in rows, sources x in columns, both evenly spaced on [0, 1] with the ends.
///
/// Source: Harris et al. 2016, section 4.
#[must_use]
pub fn toy_kernel(sources: usize, targets: usize) -> Mat<f64> {
    Mat::from_fn(targets, sources, |t, s| {
        let (x, y) = (place(s, sources), place(t, targets));
        let band = (x - y) / 0.4;
        let bump = ((x - 0.8).powi(2) + (y - 0.1).powi(2)) / 0.04;
        libm::exp(-band * band) + 0.9 * libm::exp(-bump)
    })
}

/// Voxel i of n on [0, 1].
fn place(i: usize, n: usize) -> f64 {
    if n > 1 { i as f64 / (n - 1) as f64 } else { 0.0 }
}

/// Injections and projections with the truth.
#[derive(Clone, Debug)]
pub struct TracingToy {
    /// W, targets × sources.
    pub truth: Mat<f64>,
    /// X, sources × experiments: 1 inside an interval, else 0.
    pub injections: Mat<f64>,
    /// Y, targets × experiments: W X + noise, 0 inside the interval.
    pub projections: Mat<f64>,
    /// 1 where a projection was observed: outside the interval.
    pub observed: Mat<f64>,
    /// The centre of each interval.
    pub centres: Vec<f64>,
    /// The width of each interval.
    pub widths: Vec<f64>,
}

/// A toy of these sizes.
#[derive(Clone, Copy, Debug)]
pub struct TracingToyTask {
    /// Source voxels.
    pub sources: usize,
    /// Target voxels.
    pub targets: usize,
    /// Experiments.
    pub experiments: usize,
    /// Standard deviation of the noise.
    pub noise: f64,
}

impl Default for TracingToyTask {
    /// 200 voxels a side, 5 injections, noise 0.1.
    fn default() -> Self {
        Self { sources: 200, targets: 200, experiments: 5, noise: 0.1 }
    }
}

impl TracingToyTask {
    /// Draws a problem: centres uniform on [0, 1], widths uniform on [0.12, 0.22], normal noise. The
    /// draws are elements of the streams "injection centres", "injection widths" and "projection noise"
    /// of the seed (noise by experiment).
    ///
    /// # Errors
    /// [`Error::Empty`] for no voxels or experiments, [`Error::Range`] for the noise.
    pub fn draw(&self, seed: u64) -> Result<TracingToy> {
        let n = self.experiments;
        let uniforms = |purpose: &str| {
            let mut values = vec![0.0; n];
            Stream::new(seed, purpose).uniforms(0, &mut values);
            values
        };
        let centres = uniforms("injection centres");
        let widths = uniforms("injection widths").iter().map(|u| 0.12 + 0.1 * u).collect();
        let mut noise = vec![0.0; self.targets * n];
        Stream::new(seed, "projection noise").normals(0, &mut noise);
        self.with(centres, widths, |t, e| noise[t + e * self.targets])
    }

    /// The problem with these centres, widths and standard normal noise (target, experiment), from
    /// whatever generator they come.
    ///
    /// # Errors
    /// As [`TracingToyTask::draw`]; [`Error::Shape`] for other numbers of centres and widths.
    pub fn with(
        &self,
        centres: Vec<f64>,
        widths: Vec<f64>,
        noise: impl Fn(usize, usize) -> f64,
    ) -> Result<TracingToy> {
        for (what, count) in [
            ("source voxels", self.sources),
            ("target voxels", self.targets),
            ("experiments", self.experiments),
        ] {
            if count == 0 {
                return Err(Error::empty(what));
            }
        }
        if !(self.noise.is_finite() && self.noise >= 0.0) {
            return Err(Error::range("noise", "a finite number from 0", self.noise));
        }
        for (what, got) in [("centres", centres.len()), ("widths", widths.len())] {
            if got != self.experiments {
                return Err(Error::shape(what, self.experiments, got));
            }
        }
        let (nx, ny, n) = (self.sources, self.targets, self.experiments);
        let inside = |x: f64, e: usize| (x - centres[e]).abs() <= widths[e] / 2.0;
        let truth = toy_kernel(nx, ny);
        let flag = |yes: bool| f64::from(u8::from(yes));
        let injections = Mat::from_fn(nx, n, |s, e| flag(inside(place(s, nx), e)));
        let observed = Mat::from_fn(ny, n, |t, e| flag(!inside(place(t, ny), e)));
        let projections = Mat::from_fn(ny, n, |t, e| {
            if observed[(t, e)] == 0.0 {
                return 0.0;
            }
            let signal: f64 = (0..nx).map(|s| truth[(t, s)] * injections[(s, e)]).sum();
            signal + self.noise * noise(t, e)
        });
        Ok(TracingToy { truth, injections, projections, observed, centres, widths })
    }
}

impl TracingToy {
    /// ‖W − truth‖/‖truth‖.
    ///
    /// # Errors
    /// [`Error::Shape`] for a W of another shape.
    pub fn relative_error(&self, w: faer::MatRef<'_, f64>) -> Result<f64> {
        if w.shape() != self.truth.shape() {
            return Err(Error::shape("weights", self.truth.shape(), w.shape()));
        }
        let (mut error, mut size) = (0.0, 0.0);
        for j in 0..w.ncols() {
            for i in 0..w.nrows() {
                error += (w[(i, j)] - self.truth[(i, j)]).powi(2);
                size += self.truth[(i, j)].powi(2);
            }
        }
        Ok((error / size).sqrt())
    }
}
