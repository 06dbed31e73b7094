//! How much memory a fit needs, before it takes any.

use hesse::Error;
use hesse::connectome::{SplineRegression, TracingData};

use super::fit_arguments::{FitArguments, ModelName};
use super::voxels::{Problem, Voxels};
use crate::failure::Failure;

/// Bytes of a number.
const NUMBER: usize = 8;

/// Vectors of the size of the factors that a fit of low rank holds: the gradient and an image of the
/// factors beside it, and iterates, extrapolated points, trial points and the best so far in the steps.
const FACTORS: usize = 9;

/// Bytes that a fit will hold at once, without the data themselves.
pub(super) fn estimate(
    problem: &Problem,
    arguments: &FitArguments,
    regression: &SplineRegression<'_>,
) -> usize {
    let data = &problem.data;
    let (ny, nx, ne) = (data.targets(), data.sources(), data.experiments());
    let numbers = |counts: &[usize]| counts.iter().copied().fold(NUMBER, usize::saturating_mul);
    let side = ny.saturating_add(nx);
    match arguments.model {
        ModelName::Full => regression.memory_estimate(data),
        ModelName::LowRank => {
            let rank = arguments.rank.unwrap_or(1);
            numbers(&[side, rank, FACTORS])
                .saturating_add(numbers(&[ny, ne, 3]))
                .saturating_add(numbers(&[rank, rank, 40]))
        }
        ModelName::Greedy => {
            let rank = arguments.rank.unwrap_or(50);
            // Bases, their Laplacians and the iterate; one band factor a side and its right-hand sides.
            let band = |voxels: &Voxels| {
                numbers(&[voxels.mask.len(), bandwidth(voxels).saturating_add(ne)])
            };
            numbers(&[side, rank, 6])
                .saturating_add(numbers(&[ny, ne, 3]))
                .saturating_add(numbers(&[rank, rank, ne.saturating_add(20)]))
                .saturating_add(band(&problem.sources).max(band(&problem.targets)))
        }
        ModelName::Regional => {
            let regions = |voxels: &Voxels| {
                let mut ids = voxels.regions.clone();
                ids.sort_unstable();
                ids.dedup();
                ids.len()
            };
            let (sources, targets) = (regions(&problem.sources), regions(&problem.targets));
            numbers(&[side, sources, 1])
                .saturating_add(numbers(&[targets, sources, 4]))
                .saturating_add(numbers(&[ny, ne, 2]))
        }
        ModelName::Kernel => numbers(&[side, ne, 2]).saturating_add(numbers(&[nx, ne, 2])),
    }
}

/// The bandwidth of L² with cells numbered along the longest axis of the grid: twice the product of the
/// other axes' sizes.
fn bandwidth(voxels: &Voxels) -> usize {
    let shape = voxels.mask.shape();
    let longest = shape.iter().copied().max().unwrap_or(1).max(1);
    let cells: usize = shape.iter().product();
    (2 * (cells / longest) + 1).min(voxels.mask.len())
}

/// The bytes of `--memory`.
///
/// # Errors
/// A number that is not positive.
pub(super) fn limit(arguments: &FitArguments) -> Result<Option<usize>, Failure> {
    let Some(gib) = arguments.memory else { return Ok(None) };
    if !(gib > 0.0 && gib.is_finite()) {
        return Err(Error::range("--memory", "a positive number", gib).into());
    }
    // Saturates beyond what can be addressed.
    Ok(Some((gib * f64::from(1 << 30)) as usize))
}

/// Refuses what is above the limit.
///
/// # Errors
/// It is.
pub(super) fn check(required: usize, limit: Option<usize>) -> Result<(), Failure> {
    match limit {
        Some(limit) if required > limit => {
            Err(Error::Memory { what: "fit".to_owned(), required, limit }.into())
        }
        _ => Ok(()),
    }
}

/// `1.23 GB`.
pub(super) fn text(bytes: usize) -> String {
    let bytes = bytes as f64;
    let (size, unit) = match bytes {
        b if b < 1e6 => (1e3, "kB"),
        b if b < 1e9 => (1e6, "MB"),
        b if b < 1e12 => (1e9, "GB"),
        _ => (1e12, "TB"),
    };
    format!("{:.2} {unit}", bytes / size)
}

/// Bytes of the data themselves: injections twice, projections, and what was observed.
pub(super) fn of_data(data: &TracingData) -> usize {
    let entries = data.targets().saturating_mul(data.experiments());
    data.injections().nnz().saturating_mul(32).saturating_add(entries.saturating_mul(9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit() {
        let cases = [(1500, "1.50 kB"), (2_250_000_000, "2.25 GB"), (12_000_000, "12.00 MB")];
        for (bytes, want) in cases {
            assert_eq!(text(bytes), want);
        }
        assert!(check(10, Some(9)).unwrap_err().line().contains("10 are required"));
        assert!(check(10, Some(10)).is_ok() && check(usize::MAX, None).is_ok());
    }
}
