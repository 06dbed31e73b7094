//! Repeated presentations of stimuli.

use faer::{Mat, MatRef};

use super::responses::check;
use crate::{Error, Result};

/// Responses to n stimuli in trials, of p units: as many of each stimulus, or different numbers.
///
/// Kept as one row of units a trial, `f64`, stimulus by stimulus.
#[derive(Clone, Debug, PartialEq)]
pub struct Trials {
    units: usize,
    /// First row of each stimulus, and the number of rows.
    starts: Vec<usize>,
    rows: Vec<f64>,
}

impl Trials {
    /// From T × n × p responses in C order (NumPy's): trial, stimulus, unit.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`] for another number of values, [`Error::NonFinite`].
    pub fn from_array(shape: [usize; 3], values: &[f64]) -> Result<Self> {
        let [trials, stimuli, units] = shape;
        for (what, size) in [("trials", trials), ("stimuli", stimuli), ("units", units)] {
            if size == 0 {
                return Err(Error::empty(what));
            }
        }
        let size = trials.checked_mul(stimuli).and_then(|rows| rows.checked_mul(units));
        if size != Some(values.len()) {
            let expected = format!("{trials} × {stimuli} × {units}");
            return Err(Error::shape("trials: values", expected, values.len()));
        }
        crate::error::check_finite("trials", values)?;
        let mut rows = Vec::with_capacity(values.len());
        for s in 0..stimuli {
            for t in 0..trials {
                let start = (t * stimuli + s) * units;
                rows.extend_from_slice(&values[start..start + units]);
            }
        }
        Ok(Self { units, starts: (0..=stimuli).map(|s| s * trials).collect(), rows })
    }

    /// From one matrix a stimulus, its trials × units.
    ///
    /// # Errors
    /// [`Error::Empty`] without stimuli or for one without trials, [`Error::Shape`] for different
    /// numbers of units, [`Error::NonFinite`].
    pub fn from_stimuli(stimuli: &[MatRef<'_, f64>]) -> Result<Self> {
        let first = stimuli.first().ok_or_else(|| Error::empty("stimuli"))?;
        let units = first.ncols();
        let (mut starts, mut rows) = (vec![0], Vec::new());
        for (s, trials) in stimuli.iter().enumerate() {
            check(&format!("trials of stimulus {s}"), *trials)?;
            if trials.ncols() != units {
                let what = format!("trials of stimulus {s}: units");
                return Err(Error::shape(what, units, trials.ncols()));
            }
            for t in 0..trials.nrows() {
                rows.extend((0..units).map(|u| trials[(t, u)]));
            }
            starts.push(starts[s] + trials.nrows());
        }
        Ok(Self { units, starts, rows })
    }

    /// n.
    #[must_use]
    pub fn stimuli(&self) -> usize {
        self.starts.len() - 1
    }

    /// p.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units
    }

    /// Number of trials of a stimulus.
    ///
    /// # Panics
    /// If `stimulus` is not below n.
    #[must_use]
    pub fn count(&self, stimulus: usize) -> usize {
        self.starts[stimulus + 1] - self.starts[stimulus]
    }

    /// The number of trials of every stimulus, if it is the same.
    #[must_use]
    pub fn balanced(&self) -> Option<usize> {
        let count = self.count(0);
        (1..self.stimuli()).all(|s| self.count(s) == count).then_some(count)
    }

    /// Responses in one trial of a stimulus.
    pub(super) fn row(&self, stimulus: usize, trial: usize) -> &[f64] {
        let start = (self.starts[stimulus] + trial) * self.units;
        &self.rows[start..start + self.units]
    }

    /// The mean over some trials of each stimulus.
    pub(super) fn mean_of(&self, trials: impl Fn(usize) -> Vec<usize>) -> Mat<f64> {
        let mut mean = Mat::zeros(self.stimuli(), self.units);
        for s in 0..self.stimuli() {
            let chosen = trials(s);
            let mut sum = vec![0.0; self.units];
            for &t in &chosen {
                sum.iter_mut().zip(self.row(s, t)).for_each(|(sum, x)| *sum += x);
            }
            for (u, sum) in sum.iter().enumerate() {
                mean[(s, u)] = sum / chosen.len() as f64;
            }
        }
        mean
    }

    /// The mean over trials, n × p.
    #[must_use]
    pub fn mean(&self) -> Mat<f64> {
        self.mean_of(|s| (0..self.count(s)).collect())
    }

    /// The standard error of the mean over trials, n × p: √(Σ (x − x̄)²/(T − 1)/T).
    ///
    /// # Errors
    /// [`Error::Range`] for a stimulus with one trial.
    pub fn standard_error(&self) -> Result<Mat<f64>> {
        self.repeated()?;
        let mean = self.mean();
        Ok(Mat::from_fn(self.stimuli(), self.units, |s, u| {
            let count = self.count(s);
            let squares: f64 = (0..count).map(|t| (self.row(s, t)[u] - mean[(s, u)]).powi(2)).sum();
            (squares / (count - 1) as f64 / count as f64).sqrt()
        }))
    }

    /// Trials less the mean of their stimulus, one row a trial, and their degrees of freedom Σ (T − 1).
    ///
    /// # Errors
    /// [`Error::Range`] for a stimulus with one trial.
    pub fn residuals(&self) -> Result<(Mat<f64>, f64)> {
        self.repeated()?;
        let mean = self.mean();
        let total = self.rows.len() / self.units;
        let mut residuals = Mat::zeros(total, self.units);
        for s in 0..self.stimuli() {
            for t in 0..self.count(s) {
                for (u, x) in self.row(s, t).iter().enumerate() {
                    residuals[(self.starts[s] + t, u)] = x - mean[(s, u)];
                }
            }
        }
        Ok((residuals, (total - self.stimuli()) as f64))
    }

    fn repeated(&self) -> Result<()> {
        match (0..self.stimuli()).find(|&s| self.count(s) < 2) {
            None => Ok(()),
            Some(s) => {
                let what = format!("trials of stimulus {s}");
                Err(Error::range(what, "at least 2", self.count(s)))
            }
        }
    }
}
