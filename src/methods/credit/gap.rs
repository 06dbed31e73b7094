//! How much worse a network does on data that it was not trained on.

use super::{RateRnn, Sequences, States};
use crate::{Real, Result};

/// Loss and accuracy on some data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Loss, without weight decay.
    pub loss: f64,
    /// Share of samples with the right class after the last step, where targets are classes.
    pub accuracy: Option<f64>,
}

impl Score {
    /// Of `rnn` at θ on `data`. One forward pass.
    ///
    /// # Errors
    /// As [`States::new`].
    pub fn of<T: Real>(rnn: &RateRnn, parameters: &[T], data: &Sequences<T>) -> Result<Self> {
        Ok(Self::at(&States::new(rnn, parameters, data)?, data))
    }

    /// Of states, on the data that they are from.
    #[must_use]
    pub fn at<T: Real>(states: &States<T>, data: &Sequences<T>) -> Self {
        Self { loss: states.loss(), accuracy: states.accuracy(data) }
    }
}

/// The generalisation gap of a network: test loss − training loss, training accuracy − test
/// accuracy. To compare learning rules, take both at equal training loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// On the data that it was trained on.
    pub train: Score,
    /// On others.
    pub test: Score,
}

impl Gap {
    /// Of `rnn` at θ. Two forward passes.
    ///
    /// # Errors
    /// As [`States::new`], for both.
    pub fn of<T: Real>(
        rnn: &RateRnn,
        parameters: &[T],
        train: &Sequences<T>,
        test: &Sequences<T>,
    ) -> Result<Self> {
        Ok(Self {
            train: Score::of(rnn, parameters, train)?,
            test: Score::of(rnn, parameters, test)?,
        })
    }

    /// Test loss − training loss.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.test.loss - self.train.loss
    }

    /// Training accuracy − test accuracy, where targets are classes.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        Some(self.train.accuracy? - self.test.accuracy?)
    }
}
