//! The states of a network over consecutive steps.

use std::ops::Range;

use crate::Real;
use crate::network::layers::{LeakyRecurrent, Span};

/// h_t, φ'_t and s_t of consecutive steps of some samples, each `[t][b][i]`.
#[derive(Clone, Debug)]
pub(super) struct Trajectory<T> {
    steps: Range<usize>,
    /// Elements of one step.
    length: usize,
    /// h of the step before the first, zero at rest, and of all steps.
    rates: Vec<T>,
    slopes: Vec<T>,
    /// Empty without a filter.
    filtered: Vec<T>,
    /// v of the last step.
    voltages: Vec<T>,
}

/// What the steps behind depend on: h, v and s of one step.
#[derive(Clone, Debug)]
pub(super) struct Start<T> {
    rates: Vec<T>,
    voltages: Vec<T>,
    filtered: Vec<T>,
}

impl<T> Default for Trajectory<T> {
    fn default() -> Self {
        Self {
            steps: 0..0,
            length: 0,
            rates: Vec::new(),
            slopes: Vec::new(),
            filtered: Vec::new(),
            voltages: Vec::new(),
        }
    }
}

impl<T> Default for Start<T> {
    fn default() -> Self {
        Self { rates: Vec::new(), voltages: Vec::new(), filtered: Vec::new() }
    }
}

impl<T: Real> Trajectory<T> {
    /// Runs over `steps`, with inputs of these, from `start` or at rest, in the memory that there is.
    pub(super) fn run(
        &mut self,
        layer: &LeakyRecurrent,
        parameters: &[T],
        inputs: &[T],
        (steps, length): (Range<usize>, usize),
        (start, filter): (Option<&Start<T>>, bool),
    ) {
        let all = steps.len() * length;
        self.rates.resize(length + all, T::ZERO);
        self.slopes.resize(all, T::ZERO);
        self.filtered.resize(if filter { all } else { 0 }, T::ZERO);
        self.voltages.resize(length, T::ZERO);
        let (before, rates) = self.rates.split_at_mut(length);
        match start {
            Some(start) => {
                before.copy_from_slice(&start.rates);
                self.voltages.copy_from_slice(&start.voltages);
            }
            None => before.fill(T::ZERO),
        }
        let span = Span {
            steps: steps.clone(),
            inputs,
            before: start.is_some().then_some(&*before),
            voltages: &mut self.voltages,
            rates,
            slopes: Some(&mut self.slopes),
            second: None,
        };
        layer.integrate(parameters, span);
        if filter {
            let before = start.map(|start| start.filtered.as_slice());
            layer.filter_rates(before, rates, &mut self.filtered, length);
        }
        (self.steps, self.length) = (steps, length);
    }

    /// Forgets what it holds, but not its memory.
    pub(super) fn clear(&mut self) {
        self.steps = 0..0;
    }

    /// Whether it has these steps.
    pub(super) fn holds(&self, steps: &Range<usize>) -> bool {
        self.steps.start <= steps.start && steps.end <= self.steps.end
    }

    /// Writes what the step behind the last one needs.
    pub(super) fn end_into(&self, start: &mut Start<T>) {
        let copy = |from: &[T], to: &mut Vec<T>| {
            to.clear();
            to.extend_from_slice(&from[from.len().saturating_sub(self.length)..]);
        };
        copy(&self.rates, &mut start.rates);
        copy(&self.voltages, &mut start.voltages);
        copy(&self.filtered, &mut start.filtered);
    }

    fn of<'a>(&self, array: &'a [T], steps: &Range<usize>, shift: usize) -> &'a [T] {
        let at = |t: usize| (t + shift - self.steps.start) * self.length;
        &array[at(steps.start)..at(steps.end)]
    }

    /// h_t.
    pub(super) fn rates(&self, steps: &Range<usize>) -> &[T] {
        self.of(&self.rates, steps, 1)
    }

    /// h_{t−1}, zero where t is the first of all.
    pub(super) fn rates_before(&self, steps: &Range<usize>) -> &[T] {
        self.of(&self.rates, steps, 0)
    }

    /// φ'_t.
    pub(super) fn slopes(&self, steps: &Range<usize>) -> &[T] {
        self.of(&self.slopes, steps, 0)
    }

    /// s_t; h_t itself without a filter.
    pub(super) fn filtered(&self, steps: &Range<usize>) -> &[T] {
        if self.filtered.is_empty() {
            return self.rates(steps);
        }
        self.of(&self.filtered, steps, 0)
    }
}
