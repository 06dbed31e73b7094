//! Tracing data as arrays in files: found by name, checked, put together.

use hesse::connectome::{Labels, Observed, TracingData};
use hesse::error::check_finite;
use hesse::faer::Mat;
use hesse::io::{Archive, Array};
use hesse::sprs::{CsMat, TriMat};
use hesse::{Error, Result};
use std::cell::RefCell;
use std::collections::BTreeSet;

use super::arguments::TracingArguments;
use crate::failure::Failure;

/// The arrays of one problem, with the names of those that were asked for.
pub(super) struct TracingFile {
    arrays: Archive,
    used: RefCell<BTreeSet<String>>,
    error_codes_as_zero: bool,
    observed_everywhere: bool,
}

/// How it is known which projections were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// An array that is 1 where they were.
    Observed,
    /// An array that is 1 where they were not.
    Hidden,
    /// `--observed-everywhere`.
    Everywhere,
    /// Wherever nothing was injected.
    OutsideInjections,
}

impl Seen {
    pub(super) fn name(self) -> &'static str {
        match self {
            Seen::Observed => "array observed",
            Seen::Hidden => "array hidden",
            Seen::Everywhere => "everywhere",
            Seen::OutsideInjections => "outside the injections",
        }
    }
}

impl TracingFile {
    /// Reads the arrays of DATA, and those that replace them.
    pub(super) fn read(arguments: &TracingArguments) -> Result<Self, Failure> {
        let mut arrays = match &arguments.data {
            Some(path) => Archive::read(path)?,
            None if arguments.with.is_empty() => {
                return Err(Failure::input("DATA: expected a file, or arrays by --with, got none"));
            }
            None => Archive::new(),
        };
        for named in &arguments.with {
            arrays.insert(named.name.as_str(), hesse::io::read(&named.file)?);
        }
        for name in arrays.names() {
            if ["omega", "ω"].contains(&name.to_lowercase().as_str())
                && !["observed", "hidden"].iter().any(|known| arrays.contains(known))
                && !arguments.observed_everywhere
            {
                let message = "expected a name that says its sense: observed (1 where a projection was \
                               seen) or hidden (1 where it is to be ignored); --with observed=FILE:NAME \
                               or --with hidden=FILE:NAME gives it one";
                return Err(Error::format(file_name(arguments), Some(name), message).into());
            }
        }
        Ok(Self {
            arrays,
            used: RefCell::default(),
            error_codes_as_zero: arguments.error_codes_as_zero,
            observed_everywhere: arguments.observed_everywhere,
        })
    }

    /// The array called by the first of these names that is there.
    pub(super) fn find(&self, names: &[&str]) -> Option<&Array> {
        let name = names.iter().find(|name| self.arrays.contains(name))?;
        self.used.borrow_mut().insert((*name).to_owned());
        self.arrays.get(name).ok()
    }

    /// The array called by the first of these names that is there.
    ///
    /// # Errors
    /// None is.
    pub(super) fn get(&self, names: &[&str]) -> Result<&Array> {
        match self.find(names) {
            Some(array) => Ok(array),
            // Names those that are there.
            None => self.arrays.get(names[0]),
        }
    }

    /// Arrays that nobody asked for.
    pub(super) fn unused(&self) -> Vec<String> {
        let used = self.used.borrow();
        self.arrays.names().filter(|name| !used.contains(*name)).map(str::to_owned).collect()
    }

    /// A matrix, dense or as parts of a CSR matrix with `columns` columns (of what the file says
    /// itself: SHAPE, or the largest index).
    pub(super) fn sparse(&self, names: &[&str], rows: usize) -> Result<CsMat<f64>> {
        let parts = ["indptr", "indices", "data"].map(|part| format!("{}_{part}", names[0]));
        if self.find(names).is_none() && self.arrays.contains(&parts[0]) {
            return self.compressed_rows(names[0], &parts, rows);
        }
        let dense = self.get(names)?;
        let matrix = dense.to_mat::<f64>()?;
        check_rows(dense.label(), rows, &matrix)?;
        let mut triplets = TriMat::new(matrix.shape());
        for j in 0..matrix.ncols() {
            for i in 0..rows {
                if matrix[(i, j)] != 0.0 {
                    triplets.add_triplet(i, j, matrix[(i, j)]);
                }
            }
        }
        Ok(triplets.to_csc())
    }

    fn compressed_rows(&self, name: &str, parts: &[String; 3], rows: usize) -> Result<CsMat<f64>> {
        let [starts, at] = [&parts[0], &parts[1]].map(|part| self.get(&[part])?.to_indices());
        let (starts, at) = (starts?, at?);
        let values = self.get(&[&parts[2]])?.to_f64()?;
        if starts.len() != rows + 1 {
            return Err(Error::shape(parts[0].as_str(), rows + 1, starts.len()));
        }
        if values.len() != at.len() {
            return Err(Error::shape(parts[2].as_str(), at.len(), values.len()));
        }
        let rising = starts.windows(2).all(|pair| pair[0] <= pair[1]);
        if starts[0] != 0 || starts[rows] != at.len() || !rising {
            let expected = format!("numbers that rise from 0 to {}", at.len());
            return Err(Error::range(parts[0].as_str(), expected, "others"));
        }
        let shape = format!("{name}_shape");
        let columns = match self.find(&[&shape]) {
            Some(shape) => match shape.to_indices()?[..] {
                [r, columns] if r == rows => columns,
                ref other => return Err(Error::shape(shape.label(), vec![rows], other)),
            },
            None => match self.find(&["projections", "Y"]).map(Array::shape) {
                Some(&[_, columns]) => columns,
                _ => at.iter().max().map_or(0, |most| most + 1),
            },
        };
        if let Some(&wrong) = at.iter().find(|&&column| column >= columns) {
            return Err(Error::range(parts[1].as_str(), format!("below {columns}"), wrong));
        }
        let mut triplets = TriMat::new((rows, columns));
        for i in 0..rows {
            (starts[i]..starts[i + 1]).for_each(|k| triplets.add_triplet(i, at[k], values[k]));
        }
        Ok(triplets.to_csc())
    }

    /// X, sources × experiments.
    pub(super) fn injections(&self, sources: usize) -> Result<CsMat<f64>> {
        self.sparse(&["injections", "X"], sources)
    }

    /// Whether there are projections.
    pub(super) fn has_projections(&self) -> bool {
        ["projections", "Y", "projections_indptr"].iter().any(|name| self.arrays.contains(name))
    }

    /// Y, targets × experiments.
    fn projections(&self, targets: usize) -> Result<Mat<f64>> {
        let names = ["projections", "Y"];
        if let Some(dense) = self.find(&names) {
            let matrix = dense.to_mat::<f64>()?;
            check_rows(dense.label(), targets, &matrix)?;
            return Ok(matrix);
        }
        let sparse = self.sparse(&names, targets)?;
        let mut matrix = Mat::<f64>::zeros(targets, sparse.cols());
        for (value, (i, j)) in sparse.iter() {
            matrix[(i, j)] += value;
        }
        Ok(matrix)
    }

    /// Where projections were seen, if an array or an option says it.
    fn observed(&self, shape: (usize, usize)) -> Result<Option<(Observed, Seen)>> {
        let (seen, hidden) = (self.find(&["observed"]), self.find(&["hidden"]));
        let given = [seen.is_some(), hidden.is_some(), self.observed_everywhere];
        if given.iter().filter(|yes| **yes).count() > 1 {
            let expected = "one of observed, hidden and --observed-everywhere";
            return Err(Error::range("what was observed", expected, "several"));
        }
        if self.observed_everywhere {
            return Ok(Some((Observed::everywhere(shape.0, shape.1), Seen::Everywhere)));
        }
        let Some(array) = seen.or(hidden) else { return Ok(None) };
        if array.shape() != [shape.0, shape.1] {
            return Err(Error::shape(array.label(), [shape.0, shape.1], array.shape()));
        }
        let flags = array.to_bools()?;
        let at = |t: usize, e: usize| flags[t * shape.1 + e];
        Ok(Some(match seen {
            Some(_) => (Observed::where_observed(shape.0, shape.1, at), Seen::Observed),
            None => (Observed::where_not_hidden(shape.0, shape.1, at), Seen::Hidden),
        }))
    }

    /// Names of experiments.
    fn experiments(&self) -> Result<Vec<String>> {
        let Some(array) = self.find(&["experiments"]) else { return Ok(Vec::new()) };
        match array.texts() {
            Ok(names) => Ok(names.to_vec()),
            Err(_) => Ok(array.to_f64()?.iter().map(ToString::to_string).collect()),
        }
    }

    /// Injections, projections and what was seen of them, for `sources` and `targets` voxels, which are
    /// the `same` or not.
    ///
    /// # Errors
    /// Arrays that are missing or do not fit; no word on what was seen where sources and targets
    /// differ; those of the library.
    pub(super) fn data(
        &self,
        (sources, targets): (usize, usize),
        same: bool,
        labels: Labels,
    ) -> Result<(TracingData, Seen), Failure> {
        let x = self.injections(sources)?;
        let y = self.projections(targets)?;
        if x.cols() != y.ncols() {
            return Err(Error::shape("experiments of the projections", x.cols(), y.ncols()).into());
        }
        let (observed, seen) = match self.observed((targets, y.ncols()))? {
            Some(found) => found,
            None if same => (Observed::outside_injections(x.view()), Seen::OutsideInjections),
            None => {
                return Err(Failure::input(
                    "observed: expected an array observed or hidden, or --observed-everywhere, since \
                     sources and targets are different voxels; got none",
                ));
            }
        };
        let labels = Labels { experiments: self.experiments()?, ..labels };
        let data = TracingData::builder()
            .injections(x.view())
            .projections(y.as_ref())
            .observed(observed)
            .error_codes_as_zero(self.error_codes_as_zero)
            .labels(labels)
            .build()?;
        Ok((data, seen))
    }
}

fn file_name(arguments: &TracingArguments) -> String {
    arguments.data.as_ref().map_or("--with".to_owned(), |path| path.display().to_string())
}

fn check_rows(label: &str, rows: usize, matrix: &Mat<f64>) -> Result<()> {
    if matrix.nrows() == rows {
        return Ok(());
    }
    let expected = format!("{rows} rows, one a voxel");
    let got = format!("{} rows and {} columns", matrix.nrows(), matrix.ncols());
    Err(Error::range(label, expected, got))
}

/// X as a dense matrix, checked: finite and from 0.
pub(super) fn dense_injections(x: &CsMat<f64>) -> Result<Mat<f64>> {
    check_finite("injections", x.data())?;
    if let Some(value) = x.data().iter().find(|value| **value < 0.0) {
        return Err(Error::range("injections", "numbers from 0", value));
    }
    let mut dense = Mat::<f64>::zeros(x.rows(), x.cols());
    for (value, (i, j)) in x.iter() {
        dense[(i, j)] += value;
    }
    Ok(dense)
}
