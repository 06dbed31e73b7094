//! Points with the table of their neighbours: what estimators of the dimension read.

use faer::MatRef;
use hesse_kernels::distance::squared_distance;

use crate::neighbors::{Duplicates, Knn, Neighbors};
use crate::numerics::parallel;
use crate::{Error, Isa, Real, Result};

/// Rows of one task.
const SHARD: usize = 256;
/// Relative difference up to which distances of a table made elsewhere are those of the points:
/// coordinates may have been rounded to `f32`.
const AGREES: f64 = 1e-5;

/// Distinct points and the table of their nearest neighbours, shared by all estimators.
///
/// Some estimators read distances alone and take a cloud without coordinates
/// ([`PointCloud::from_table`]); those that compare neighbours with each other need them.
///
/// ```
/// use hesse::dimension::{PointCloud, estimator};
/// use hesse::faer::Mat;
/// use hesse::random::Stream;
///
/// let mut u = vec![0.0; 500];
/// Stream::new(1, "line").uniforms(0, &mut u);
/// let line = Mat::from_fn(500, 3, |i, j| u[i] * [1.0, 2.0, -1.0][j]);
/// let cloud = PointCloud::new(line.as_ref(), 20)?;
/// for name in ["mle", "gride"] {
///     let dimension = estimator(name, None)?.run(&cloud)?;
///     assert!((dimension.value - 1.0).abs() < 0.25);
/// }
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PointCloud {
    table: Neighbors,
    points: Option<Points>,
}

/// n points of d coordinates, row after row.
#[derive(Clone, Debug)]
pub(super) struct Points {
    pub rows: Vec<f64>,
    pub n: usize,
    pub d: usize,
}

impl Points {
    pub fn row(&self, i: usize) -> &[f64] {
        &self.rows[i * self.d..(i + 1) * self.d]
    }
}

impl PointCloud {
    /// Merges copies and finds the k nearest neighbours of each distinct row of x, samples ×
    /// features.
    ///
    /// Cost as [`Knn::build`]; 8 n d bytes beside the table.
    ///
    /// # Errors
    /// As [`Knn::build`]: no rows or no features, NaN or infinities, k = 0 or not as many other
    /// distinct points.
    pub fn new<T: Real>(x: MatRef<'_, T>, k: usize) -> Result<Self> {
        let table = Knn::new(k).duplicates(Duplicates::Merge).build(x)?;
        let points = Some(gather(x, table.kept()));
        Ok(Self { table, points })
    }

    /// A table alone: enough for estimators that read distances.
    #[must_use]
    pub fn from_table(table: Neighbors) -> Self {
        Self { table, points: None }
    }

    /// The rows of x and the table that was computed of them, which may be one of distinct points.
    ///
    /// # Errors
    /// A table of queries, another number of rows, NaN or infinities, or first neighbours whose
    /// distances are not those of the table.
    pub fn from_parts<T: Real>(x: MatRef<'_, T>, table: Neighbors) -> Result<Self> {
        if !table.among_themselves() {
            return Err(Error::range(
                "table",
                "neighbours of points among themselves",
                "of queries",
            ));
        }
        let rows = table.kept().map_or(table.len(), |kept| kept.last().map_or(0, |last| last + 1));
        if x.nrows() < rows || (table.kept().is_none() && x.nrows() != rows) {
            return Err(Error::shape("rows of x", rows, x.nrows()));
        }
        if x.ncols() == 0 {
            return Err(Error::empty("features of x"));
        }
        let points = gather(x, table.kept());
        crate::error::check_finite("x", &points.rows)?;
        let isa = Isa::current();
        for i in 0..points.n {
            let (j, want) = (table.indices(i)[0] as usize, table.distances(i)[0]);
            let got = squared_distance(isa, points.row(i), points.row(j)).sqrt();
            // Squares of huge or tiny coordinates leave the range: nothing can be said.
            let known = got.is_finite() && got > 1e-150;
            if known && (got - want).abs() > AGREES * want {
                let what = format!("distance of rows {i} and {j} of x");
                return Err(Error::range(what, format!("{want}, as in the table"), got));
            }
        }
        Ok(Self { table, points: Some(points) })
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &Neighbors {
        &self.table
    }

    /// Number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no point: never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of coordinates of a point, where they are known.
    #[must_use]
    pub fn features(&self) -> Option<usize> {
        self.points.as_ref().map(|points| points.d)
    }

    /// The distinct points, n × d, where they are known.
    #[must_use]
    pub fn coordinates(&self) -> Option<MatRef<'_, f64>> {
        let points = self.points.as_ref()?;
        Some(MatRef::from_row_major_slice(&points.rows, points.n, points.d))
    }

    /// The points, for an estimator that needs them.
    pub(super) fn points(&self, estimator: &str) -> Result<&Points> {
        let what = format!("cloud for {estimator}");
        self.points.as_ref().ok_or_else(|| Error::range(what, "coordinates", "a table alone"))
    }
}

/// Rows of x, all or those with these indices.
fn gather<T: Real>(x: MatRef<'_, T>, kept: Option<&[usize]>) -> Points {
    let (n, d) = (kept.map_or(x.nrows(), <[usize]>::len), x.ncols());
    let mut rows = vec![0.0; n * d];
    parallel::for_each_piece(&mut rows, SHARD * d, |s, piece| {
        for (r, row) in piece.chunks_exact_mut(d).enumerate() {
            let i = s * SHARD + r;
            let from = x.row(kept.map_or(i, |kept| kept[i]));
            row.iter_mut().zip(from.iter()).for_each(|(to, from)| *to = from.to_f64());
        }
    });
    Points { rows, n, d }
}
