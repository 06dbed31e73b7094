//! Reference files of dimensions: neighbours, estimators, spectra, distances along graphs, the theory
//! of noise, profiles of layers.
//!
//! All but the last two hold results for clouds of points whose coordinates are in a file of their own:
//! `clouds.npz` beside them, one array a cloud, or the file itself.

mod estimators;
mod geodesics;
mod layers;
mod neighbors;
mod spectra;
mod theory;

use std::collections::BTreeSet;
use std::path::Path;

use hesse::faer::{Mat, MatRef};
use hesse::{Error, Result};

use super::{Arrays, Checks, Layout, Numbers, Rule};
use crate::failure::Failure;

/// The layouts of this method.
pub const LAYOUTS: &[&dyn Layout] = &[
    &neighbors::Tables,
    &estimators::Estimators,
    &estimators::Dadapy,
    &estimators::Balls,
    &spectra::Spectra,
    &geodesics::Distances,
    &theory::Theory,
    &layers::Layers,
];

/// Points by the names of their clouds.
struct Clouds<'a> {
    arrays: &'a Arrays,
    beside: Option<Arrays>,
}

impl<'a> Clouds<'a> {
    fn of(arrays: &'a Arrays) -> Result<Self> {
        let path = Path::new(&arrays.file).with_file_name("clouds.npz");
        let beside = if path.is_file() { Some(Arrays::read(&path)?) } else { None };
        Ok(Self { arrays, beside })
    }

    fn get(&self, checks: &mut Checks<'_>, name: &str) -> Result<Mat<f64>> {
        if self.arrays.numbers.contains_key(name) {
            checks.inputs(&[name]);
            return matrix(self.arrays, name);
        }
        match &self.beside {
            Some(beside) => matrix(beside, name),
            None => Err(self
                .arrays
                .wrong(name, "expected it here or in clouds.npz beside, got neither")),
        }
    }
}

/// The names before `mark` in the names of arrays, each once.
fn prefixes(arrays: &Arrays, mark: &str) -> BTreeSet<String> {
    let before = |name: &String| name.split_once(mark).map(|(before, _)| before.to_owned());
    arrays.numbers.keys().filter_map(before).collect()
}

/// An array of two axes with finite elements.
fn matrix(arrays: &Arrays, name: &str) -> Result<Mat<f64>> {
    let ([rows, columns], values) = arrays.with_axes::<2>(name)?;
    if values.is_empty() {
        return Err(arrays.wrong(name, "expected elements, got none"));
    }
    if let Some(value) = values.iter().find(|v| !v.is_finite()) {
        return Err(arrays.wrong(name, format!("expected finite numbers, got {value}")));
    }
    Ok(MatRef::from_row_major_slice(values, rows, columns).to_owned())
}

fn vector(arrays: &Arrays, name: &str) -> Result<Vec<f64>> {
    Ok(arrays.get(name)?.values.clone())
}

/// Compares each number with its own size.
fn compare(checks: &mut Checks<'_>, name: &str, relative: f64, got: Vec<f64>) {
    let scales = checks.magnitudes(name);
    let got = shaped(checks, name, got);
    checks.compare_scaled(name, Rule::Absolute(relative), &got, &scales);
}

/// Compares with the largest number of the array.
fn compare_to_largest(checks: &mut Checks<'_>, name: &str, relative: f64, got: Vec<f64>) {
    let got = shaped(checks, name, got);
    checks.compare(name, Rule::Relative(relative), &got);
}

fn compare_exactly(checks: &mut Checks<'_>, name: &str, got: Vec<f64>) {
    let got = shaped(checks, name, got);
    checks.compare(name, Rule::Exact, &got);
}

/// With the shape that the file has, where it holds as many numbers.
fn shaped(checks: &mut Checks<'_>, name: &str, values: Vec<f64>) -> Numbers {
    match checks.inputs(&[]).numbers.get(name) {
        Some(want) if want.values.len() == values.len() => {
            Numbers { shape: want.shape.clone(), values }
        }
        _ => Numbers::vector(values),
    }
}

/// The elements of a matrix in C order.
fn elements(a: &Mat<f64>) -> Vec<f64> {
    (0..a.nrows()).flat_map(|i| a.row(i).iter().copied().collect::<Vec<_>>()).collect()
}

fn about(arrays: &Arrays, error: Error) -> Failure {
    match error {
        // It names the file already.
        Error::Format { .. } | Error::Io { .. } => error.into(),
        _ => Failure::input(format!("{}: {error}", arrays.file)),
    }
}
