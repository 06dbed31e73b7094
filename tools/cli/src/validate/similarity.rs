//! Reference files of representations and how alike they are: similarity matrices, comparators,
//! subspaces, kernels, shapes, noise, resampling, depths along a yardstick network.
//!
//! Two layouts need arrays of another one, which are read from the file itself or from that file beside
//! it: `04b_cca_reference_code` the responses of `04_cca.npz`, `11_areas` the ladder of
//! `09_pseudo_depth.npz`.

mod alignment;
mod depths;
mod edges;
mod noise;
mod resampling;
mod subspaces;
mod tables;

use std::path::Path;

use hesse::faer::{Mat, MatRef};
use hesse::similarity::{Pairwise, RowVariance};
use hesse::{Error, Result};

use super::{Arrays, Checks, Layout, Numbers, Rule};
use crate::failure::Failure;

/// The layouts of this method.
pub const LAYOUTS: &[&dyn Layout] = &[
    &tables::Tables,
    &tables::Comparators,
    &tables::Digits,
    &subspaces::Canonical,
    &subspaces::ReferenceCode,
    &alignment::Kernels,
    &alignment::Shapes,
    &noise::Ceilings,
    &resampling::Resampling,
    &depths::Ladders,
    &edges::Edges,
    &depths::Areas,
];

/// What the authors' code adds to standard deviations.
const FLOOR: RowVariance = RowVariance::Floor(1e-7);

/// Of similarity matrices, comparators, ranks and quantities from Gram matrices.
const TABLE: f64 = 1e-12;
/// Of canonical correlations, alignments and shapes.
const SPECTRAL: f64 = 1e-10;

/// One file under validation, with the one beside it that holds inputs.
struct Golden<'c, 'a> {
    checks: &'c mut Checks<'a>,
    beside: Option<Arrays>,
}

impl<'a> Golden<'_, 'a> {
    /// Runs `body` and says in which file what is wrong.
    fn run(
        checks: &mut Checks<'_>,
        beside: Option<&str>,
        body: impl FnOnce(&mut Golden<'_, '_>) -> Result<()>,
    ) -> Result<(), Failure> {
        let arrays = checks.inputs(&[]);
        let read = |name: &str| {
            let path = Path::new(&arrays.file).with_file_name(name);
            if path.is_file() { Arrays::read(&path).map(Some) } else { Ok(None) }
        };
        let beside = beside.map(read).transpose()?.flatten();
        body(&mut Golden { checks, beside }).map_err(|error| match error {
            // It names the file already.
            Error::Format { .. } | Error::Io { .. } => error.into(),
            _ => Failure::input(format!("{}: {error}", arrays.file)),
        })
    }

    /// Whether the file holds one of these outputs.
    fn wants(&self, outputs: &[&str]) -> bool {
        self.checks.wants(outputs)
    }

    /// The arrays that hold the input `name`, which is then known.
    fn source(&mut self, name: &str) -> &Arrays {
        let arrays = self.checks.inputs(&[name]);
        match &self.beside {
            Some(beside) if !arrays.numbers.contains_key(name) => beside,
            _ => arrays,
        }
    }

    fn vector(&mut self, name: &str) -> Result<Vec<f64>> {
        let arrays = self.source(name);
        finite(arrays, name)?;
        Ok(arrays.get(name)?.values.clone())
    }

    fn scalar(&mut self, name: &str) -> Result<f64> {
        self.source(name).scalar(name)
    }

    fn mat(&mut self, name: &str) -> Result<Mat<f64>> {
        let arrays = self.source(name);
        finite(arrays, name)?;
        let ([rows, columns], values) = arrays.with_axes::<2>(name)?;
        Ok(MatRef::from_row_major_slice(values, rows, columns).to_owned())
    }

    fn rows(&mut self, name: &str) -> Result<Vec<Vec<f64>>> {
        let m = self.mat(name)?;
        Ok((0..m.nrows()).map(|i| m.row(i).iter().copied().collect()).collect())
    }

    /// T × n × p.
    fn trials(&mut self, name: &str) -> Result<([usize; 3], Vec<f64>)> {
        let arrays = self.source(name);
        finite(arrays, name)?;
        let (shape, values) = arrays.with_axes::<3>(name)?;
        Ok((shape, values.to_vec()))
    }

    /// Rows of whole numbers below `bound`.
    fn indices(&mut self, name: &str, bound: usize) -> Result<Vec<Vec<usize>>> {
        let arrays = self.source(name);
        let ([_, columns], _) = arrays.with_axes::<2>(name)?;
        let all = arrays.counts(name, bound.saturating_sub(1))?;
        Ok(all.chunks(columns.max(1)).map(<[usize]>::to_vec).collect())
    }

    /// Compares with the file, within `tolerance`, times the largest number where that is above 1.
    fn check(&mut self, name: &str, got: &[f64], tolerance: f64) {
        let largest = match self.checks.inputs(&[]).numbers.get(name) {
            None => return,
            Some(want) => want.values.iter().filter(|v| v.is_finite()).fold(1.0, larger),
        };
        let got = self.shaped(name, got);
        self.checks.compare(name, Rule::Absolute(tolerance * largest), &got);
    }

    /// Compares whole numbers.
    fn exact(&mut self, name: &str, got: &[f64]) {
        let got = self.shaped(name, got);
        self.checks.compare(name, Rule::Exact, &got);
    }

    /// With the shape that the file has, where it holds as many numbers.
    fn shaped(&mut self, name: &str, values: &[f64]) -> Numbers {
        match self.checks.inputs(&[]).numbers.get(name) {
            Some(want) if want.values.len() == values.len() => {
                Numbers { shape: want.shape.clone(), values: values.to_vec() }
            }
            _ => Numbers::vector(values.to_vec()),
        }
    }

    /// The output `name`, if the file holds it.
    fn output(&mut self, name: &str) -> Option<&'a Numbers> {
        self.checks.inputs(&[]).numbers.get(name)
    }
}

fn larger(a: f64, b: &f64) -> f64 {
    if b.abs() > a { b.abs() } else { a }
}

/// Refuses an empty array, NaN and infinities.
fn finite(arrays: &Arrays, name: &str) -> Result<()> {
    let values = &arrays.get(name)?.values;
    if values.is_empty() {
        return Err(arrays.wrong(name, "expected elements, got none"));
    }
    match values.iter().find(|v| !v.is_finite()) {
        None => Ok(()),
        Some(value) => Err(arrays.wrong(name, format!("expected finite numbers, got {value}"))),
    }
}

/// The elements of a matrix in C order.
fn elements(m: &Mat<f64>) -> Vec<f64> {
    (0..m.nrows()).flat_map(|i| m.row(i).iter().copied().collect::<Vec<_>>()).collect()
}

/// A whole table in C order.
fn whole(table: &impl Pairwise) -> Vec<f64> {
    elements(&table.to_mat())
}
