//! Estimators of the dimension of normal points, the search for neighbours included.

use std::f64::consts::PI;

use hesse::dimension::{
    Danco, Estimator, FisherSeparability, MaximumLikelihood, PointCloud, Shortest, SimplexSkewness,
    Skewness, Tight, TwoNn,
};
use hesse::faer::MatRef;
use hesse_cli::inputs::uniform;

use super::Work;

/// An estimate of n points of d coordinates.
pub struct Estimates {
    name: String,
    n: usize,
    d: usize,
    x: Vec<f64>,
    /// Grows with each run, so that no calibration is found in a cache.
    seed: u64,
    value: f64,
}

impl Estimates {
    /// `mle_2000x50`.
    pub fn new(text: &str) -> Option<Self> {
        let (name, sizes) = text.rsplit_once('_')?;
        let [n, d] = super::sizes_of(sizes)?;
        let estimates = Self { name: name.to_owned(), n, d, x: normal(n * d), seed: 0, value: 0.0 };
        estimates.estimator().map(|_| estimates)
    }

    /// With the settings of `works.py`.
    fn estimator(&self) -> Option<Box<dyn Estimator>> {
        Some(match self.name.as_str() {
            "two_nn" => Box::new(TwoNn::linear(0.9)),
            "mle" => Box::new(MaximumLikelihood::new(20)),
            "tle" => Box::new(Tight::new(20).shortest(Shortest::Distance(1e-4))),
            "ess" => Box::new(SimplexSkewness::new(100, Skewness::Area)),
            "fisher_s" => Box::new(FisherSeparability::default()),
            "danco" => Box::new(Danco::new(10).seed(self.seed)),
            _ => return None,
        })
    }

    fn estimate(&self) -> Option<f64> {
        let estimator = self.estimator()?;
        let x = MatRef::from_row_major_slice(&self.x, self.n, self.d);
        let cloud = PointCloud::new(x, estimator.neighbours()).ok()?;
        estimator.estimate(&cloud).ok().map(|estimate| estimate.value)
    }
}

impl Work for Estimates {
    fn run(&mut self) {
        self.seed += 1;
        self.value = self.estimate().unwrap_or(f64::NAN);
    }

    fn answer(&self) -> Vec<f64> {
        vec![self.value]
    }
}

/// Standard normal numbers by Box and Muller, of two streams of uniform ones.
fn normal(n: usize) -> Vec<f64> {
    let unit = |x: f64| 0.5 + x / 12_f64.sqrt();
    let (u, v) = (uniform::<f64>(1, n), uniform::<f64>(2, n));
    let one = |(u, v): (f64, f64)| (-2.0 * (-unit(u)).ln_1p()).sqrt() * (2.0 * PI * unit(v)).cos();
    u.into_iter().zip(v).map(one).collect()
}
