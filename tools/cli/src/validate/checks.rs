//! What a layout has read, compared and left out of one file.

use std::collections::BTreeSet;

use super::{Arrays, Check, Layout, Numbers, Rule, Validation};
use crate::failure::Failure;
use crate::units::three;

/// The arrays of one file while a layout works on them: what was read, what was compared.
#[derive(Debug)]
pub struct Checks<'a> {
    pub(super) arrays: &'a Arrays,
    pub(super) known: BTreeSet<&'a str>,
    pub(super) pending: BTreeSet<&'a str>,
    pub(super) checks: Vec<Check>,
}

impl<'a> Checks<'a> {
    /// Every array of `arrays` is unknown at first.
    #[must_use]
    pub fn new(arrays: &'a Arrays) -> Self {
        Self { arrays, known: BTreeSet::new(), pending: BTreeSet::new(), checks: Vec::new() }
    }

    /// The arrays, to read inputs from; each input that is read is also to be named here.
    pub fn inputs(&mut self, names: &[&str]) -> &'a Arrays {
        let arrays = self.arrays;
        let numbers = names.iter().filter_map(|name| arrays.numbers.get_key_value(*name));
        self.known.extend(numbers.map(|(name, _)| name.as_str()));
        let others = arrays.others.iter().map(String::as_str);
        self.known.extend(others.filter(|name| names.contains(name)));
        arrays
    }

    /// Whether the file holds one of these outputs: what nobody compares need not be computed.
    #[must_use]
    pub fn wants(&self, outputs: &[&str]) -> bool {
        outputs.iter().any(|name| self.arrays.numbers.contains_key(*name))
    }

    /// The sizes of the elements of the output `name`, 1 for those that are 0 or not finite.
    #[must_use]
    pub fn magnitudes(&self, name: &str) -> Vec<f64> {
        let size = |x: &f64| if x.is_finite() && *x != 0.0 { x.abs() } else { 1.0 };
        self.arrays.numbers.get(name).map_or(Vec::new(), |a| a.values.iter().map(size).collect())
    }

    /// Outputs of this layout that nobody here recomputes yet: they are named as such.
    pub fn not_recomputed(&mut self, names: &[&str]) {
        let arrays = self.arrays;
        let names = names.iter().filter_map(|name| arrays.numbers.get_key_value(*name));
        self.pending.extend(names.map(|(name, _)| name.as_str()));
    }

    /// Nothing of this layout is recomputed yet.
    pub fn nothing_recomputed(&mut self) {
        let known = &self.known;
        let names = self.arrays.numbers.keys().map(String::as_str);
        self.pending.extend(names.filter(|name| !known.contains(name)));
    }

    /// Compares the output `name` with the file after both were divided by `scales`, element by
    /// element, if the file holds it.
    pub fn compare_scaled(&mut self, name: &str, rule: Rule, got: &Numbers, scales: &[f64]) {
        if let Some((name, want)) = self.arrays.numbers.get_key_value(name) {
            let scaled = |numbers: &Numbers| Numbers {
                shape: numbers.shape.clone(),
                values: numbers.values.iter().zip(scales).map(|(x, s)| x / s).collect(),
            };
            self.known.insert(name);
            self.checks.push(rule.check(name, &scaled(got), &scaled(want)));
        }
    }

    /// Compares the output `name` with the file, if the file holds it.
    pub fn compare(&mut self, name: &str, rule: Rule, got: &Numbers) {
        if let Some((name, want)) = self.arrays.numbers.get_key_value(name) {
            self.known.insert(name);
            self.checks.push(rule.check(name, got, want));
        }
    }

    /// Compares the output `name` with the file, after entries of the file that are known to be wrong
    /// were replaced: (index, bits in the file, right value). Entries with other bits stay, and what
    /// was replaced is told.
    pub fn compare_corrected(
        &mut self,
        name: &str,
        rule: Rule,
        got: &Numbers,
        corrections: &[(usize, u64, f64)],
    ) {
        let Some((name, file)) = self.arrays.numbers.get_key_value(name) else { return };
        let mut want = file.clone();
        let (mut replaced, mut worst) = (0, 0.0);
        for &(index, bits, right) in corrections {
            if let Some(value) = want.values.get_mut(index).filter(|v| v.to_bits() == bits) {
                replaced += 1;
                let off = (*value - right).abs();
                worst = if off > worst { off } else { worst };
                *value = right;
            }
        }
        self.known.insert(name);
        let mut check = rule.check(name, got, &want);
        if replaced > 0 && check.detail.is_none() {
            let all = file.values.len();
            check.detail = Some(format!(
                "{replaced} of {all} entries are wrong in the reference, by up to {}: exact values \
                 instead",
                three(worst)
            ));
        }
        self.checks.push(check);
    }

    /// Compares those entries of the output `name` that `comparable` marks, and tells why the others
    /// are none to compare. If there is none at all, the output is named as not recomputed.
    pub fn compare_where(
        &mut self,
        name: &str,
        rule: Rule,
        got: &Numbers,
        comparable: &[bool],
        reason: &str,
    ) {
        let Some((name, want)) = self.arrays.numbers.get_key_value(name) else { return };
        let left = comparable.iter().filter(|&&yes| !yes).count();
        if left == comparable.len() {
            self.pending.insert(name);
            return;
        }
        let mut got = got.clone();
        let entries = got.values.iter_mut().zip(&want.values).zip(comparable);
        for ((got, &want), _) in entries.filter(|(_, comparable)| !**comparable) {
            *got = want;
        }
        self.known.insert(name);
        let mut check = rule.check(name, &got, want);
        if left > 0 && check.detail.is_none() {
            check.detail =
                Some(format!("{left} of {} entries left out: {reason}", comparable.len()));
        }
        self.checks.push(check);
    }

    /// Compares those entries of the output `name` that `comparable` marks after both sides, `got` and
    /// `want`, were divided by the tolerance of each: the error counts tolerances. Tells why the others
    /// are none to compare; if there is none at all, the output is named as not recomputed.
    pub fn compare_in_units(
        &mut self,
        name: &str,
        got: &Numbers,
        want: &Numbers,
        comparable: &[bool],
        reason: &str,
    ) {
        let Some((name, _)) = self.arrays.numbers.get_key_value(name) else { return };
        let left = comparable.iter().filter(|&&yes| !yes).count();
        if left == comparable.len() {
            self.pending.insert(name);
            return;
        }
        let mut got = got.clone();
        let entries = got.values.iter_mut().zip(&want.values).zip(comparable);
        entries.filter(|(_, yes)| !**yes).for_each(|((got, want), _)| *got = *want);
        self.known.insert(name);
        let mut check = Rule::Absolute(1.0).check(name, &got, want);
        if check.detail.is_none() {
            let all = comparable.len();
            check.detail = Some(match left {
                0 => "in units of the tolerances of its columns".to_owned(),
                _ => format!("in units of tolerances; {left} of {all} entries left out: {reason}"),
            });
        }
        self.checks.push(check);
    }

    /// Says how often a law that the array `name` must obey is broken: never, if it passes.
    pub fn law(&mut self, name: &str, law: &str, broken: usize) {
        self.checks.push(Check {
            array: name.to_owned(),
            error: broken as f64,
            rule: Rule::Exact,
            pass: broken == 0,
            detail: Some(law.to_owned()),
        });
    }

    /// The outcome, for the layout `layout`.
    pub(super) fn finish(self, layout: &dyn Layout) -> Result<Validation, Failure> {
        let Self { arrays, known, pending, checks } = self;
        if checks.is_empty() && pending.is_empty() {
            let message =
                format!("{}: expected an output of {}, got none", arrays.file, layout.name());
            return Err(Failure::input(message));
        }
        let unknown = arrays
            .numbers
            .keys()
            .filter(|name| !known.contains(name.as_str()) && !pending.contains(name.as_str()));
        let others = arrays.others.iter().filter(|name| !known.contains(name.as_str()));
        Ok(Validation {
            file: arrays.file.clone(),
            layout: layout.name(),
            pass: !checks.is_empty() && checks.iter().all(|check| check.pass),
            checks,
            not_recomputed: pending.iter().map(|&name| name.to_owned()).collect(),
            unknown: unknown.chain(others).cloned().collect(),
        })
    }
}
