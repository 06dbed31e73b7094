//! Reference problems that are compiled in.

use hesse::connectome::{Observed, TracingData};
use hesse::faer::Mat;
use hesse::io::Archive;
use hesse::tracing_toys::toy_kernel;

use super::toys::Toy;
use crate::failure::Failure;

macro_rules! file {
    ($name:literal) => {
        Archive::from_bytes(
            include_bytes!(concat!("../../../../../tests/golden/connectome/", $name, ".npz")),
            concat!($name, ".npz"),
        )
    };
}

/// λ of the test problem.
pub(super) const LAMBDA: f64 = 100.0;

fn data(archive: &Archive) -> Result<TracingData, Failure> {
    let matrix =
        |name: &str| -> Result<Mat<f64>, Failure> { Ok(archive.get(name)?.to_mat::<f64>()?) };
    let (x, y) = (matrix("X")?, matrix("Y")?);
    let observed = match archive.contains("Omega") {
        true => Observed::from_ones(matrix("Omega")?.as_ref())?,
        false => Observed::everywhere(y.nrows(), y.ncols()),
    };
    let builder = TracingData::builder().injections_dense(x.as_ref()).projections(y.as_ref());
    Ok(builder.observed(observed).build()?)
}

/// The test problem with 200 voxels and five injections whose optimum is known.
///
/// # Errors
/// None, but for a damaged program; so below.
pub(super) fn toy() -> Result<Toy, Failure> {
    let archive = file!("toy1d")?;
    let data = data(&archive)?;
    let truth = toy_kernel(data.sources(), data.targets());
    Ok(Toy { data, truth })
}

/// A problem with regions.
pub(super) struct Regional {
    pub(super) data: TracingData,
    pub(super) key: Vec<i64>,
    pub(super) lambda: f64,
}

/// 60 voxels in six regions, 18 experiments.
pub(super) fn regional() -> Result<Regional, Failure> {
    let archive = file!("regional")?;
    let key = archive.get("key")?.to_indices()?;
    // Few regions.
    let key = key.into_iter().map(|region| region as i64).collect();
    let lambda = archive.get("lam")?.scalar()?;
    Ok(Regional { data: data(&archive)?, key, lambda })
}

/// A problem with its grid of λ and the choices of the reference.
pub(super) struct Selection {
    pub(super) data: TracingData,
    pub(super) lambdas: Vec<f64>,
    pub(super) selected: Vec<usize>,
}

/// 40 voxels, 12 experiments, noise 1.
pub(super) fn selection() -> Result<Selection, Failure> {
    let archive = file!("cv")?;
    let lambdas = archive.get("lams")?.to_f64()?;
    let selected = archive.get("selected_lambda_index")?.to_indices()?;
    Ok(Selection { data: data(&archive)?, lambdas, selected })
}

/// The published solver's own test: 400 × 300, ten injections, λ = 1, Dirichlet ends.
pub(super) fn self_test() -> Result<TracingData, Failure> {
    data(&file!("published_self_test")?)
}
