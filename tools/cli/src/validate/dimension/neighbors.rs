//! Tables of neighbours: `<cloud>_dist`, `<cloud>_idx`.

use hesse::Result;
use hesse::neighbors::Knn;

use super::{Clouds, about, compare, compare_exactly, prefixes};
use crate::failure::Failure;
use crate::validate::{Checks, Layout};

/// `knn`.
pub(super) struct Tables;

impl Layout for Tables {
    fn name(&self) -> &'static str {
        "knn"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["swiss_dist", "swiss_idx"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[]);
        let run = |checks: &mut Checks<'_>| -> Result<()> {
            let clouds = Clouds::of(arrays)?;
            let mut names = prefixes(arrays, "_dist");
            names.extend(prefixes(arrays, "_idx"));
            for name in names {
                let [distances, indices] = ["dist", "idx"].map(|what| format!("{name}_{what}"));
                let there = [&distances, &indices].into_iter().find(|a| checks.wants(&[a]));
                let Some(there) = there else { continue };
                let ([_, k], _) = arrays.with_axes::<2>(there)?;
                let table = Knn::new(k).build(clouds.get(checks, &name)?.as_ref())?;
                compare(checks, &distances, 1e-12, table.all_distances().to_vec());
                let found = table.all_indices().iter().map(|&j| f64::from(j)).collect();
                compare_exactly(checks, &indices, found);
            }
            Ok(())
        };
        run(checks).map_err(|error| about(arrays, error))
    }
}
