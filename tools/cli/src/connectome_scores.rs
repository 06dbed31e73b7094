//! Errors of the voxel model and of the regional one when one experiment is left out.

use hesse::Result;
use hesse::connectome::{
    Denominator, HomogeneousModel, SmoothingOperator, SplineRegression, TracingData,
    regional_mse_rel,
};
use hesse::faer::Mat;

/// MSE_rel of each experiment under fits to all others: of the voxel model over voxels and over regions,
/// of the regional model over voxels and over regions, masked denominators; `key` holds the region of
/// each voxel of both sides.
///
/// # Errors
/// Those of the library.
pub fn leave_one_out_scores(
    data: &TracingData,
    key: &[i64],
    lx: &SmoothingOperator,
    ly: &SmoothingOperator,
    lambda: f64,
) -> Result<[Vec<f64>; 4]> {
    let n = data.experiments();
    let mut scores = [const { Vec::new() }; 4];
    for e in 0..n {
        let others: Vec<usize> = (0..n).filter(|&i| i != e).collect();
        let (train, test) = (data.select(&others)?, data.select(&[e])?);
        let voxel = SplineRegression::new().lambda(lambda).fit(&train, lx, ly)?;
        let mut x = Mat::<f64>::zeros(data.sources(), 1);
        for (value, (s, _)) in test.injections().iter() {
            x[(s, 0)] = *value;
        }
        let prediction = voxel.predict(x.as_ref())?;
        let region = HomogeneousModel::new().fit(&train, key, key)?;
        scores[0].push(voxel.mse_rel(&test, Denominator::Masked)?);
        scores[1].push(regional_mse_rel(prediction.as_ref(), &test, key)?);
        scores[2].push(region.mse_rel(&test, Denominator::Masked)?);
        scores[3].push(region.regional_mse_rel(&test)?);
    }
    Ok(scores)
}
