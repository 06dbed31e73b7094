//! Spheres by graph distances, and Gaussian clouds by participation ratios (E8 and E9).

use hesse::dimension::GeodesicDimension;
use hesse::faer::Mat;
use hesse::neighbors::Knn;
use hesse::random::Stream;
use hesse::statistics::ParticipationRatio;

use super::Sizes;
use super::trainings::{mean, range};
use crate::failure::Failure;
use crate::figure::Figure;
use crate::report::{Claim, Plate};
use crate::units::three;

/// Dimension of the sphere and what the fit gave in the reference runs.
const SPHERES: [(usize, f64, f64); 3] = [(2, 2.1, 2.2), (3, 3.1, 3.3), (5, 5.1, 5.9)];
const UNITS: usize = 50;
/// Samples, the reference's means of the plain and the corrected ratio, and the deviation of the latter.
const CLOUDS: [(usize, f64, f64, f64); 4] =
    [(25, 16.0, 50.3, 4.2), (50, 24.5, 50.1, 2.0), (100, 33.1, 50.1, 0.9), (400, 44.4, 50.0, 0.2)];

pub(super) struct Manifolds {
    /// Fitted and nearest whole dimension of each sphere.
    spheres: Vec<Vec<(f64, usize)>>,
    /// Means over clouds of the plain and the corrected ratio, for each number of samples.
    clouds: Vec<(f64, f64)>,
    seeds: u64,
}

impl Manifolds {
    pub(super) fn run(sizes: &Sizes, seed: u64) -> Result<Self, Failure> {
        let (count, points) = sizes.spheres;
        let mut spheres = Vec::new();
        for (d, _, _) in SPHERES {
            let mut found = Vec::new();
            for k in 0..count {
                let stream = Stream::new(seed, "spheres").child(1000 * d as u64 + k);
                let x = sphere(points, d, &stream);
                let table = Knn::new(5).build(x.as_ref())?;
                let report = GeodesicDimension::new(5).fit(&table)?;
                found.push(match report.fit {
                    Ok(fit) => (fit.dimension, fit.nearest),
                    Err(_) => (f64::NAN, 0),
                });
            }
            spheres.push(found);
        }
        let mut sums = vec![(0.0, 0.0); CLOUDS.len()];
        let largest = CLOUDS[CLOUDS.len() - 1].0;
        for k in 0..sizes.clouds {
            let mut z = vec![0.0; largest * UNITS];
            Stream::new(seed, "Gaussian clouds").child(k).normals(0, &mut z);
            for (sum, (n, _, _, _)) in sums.iter_mut().zip(CLOUDS) {
                // Nested: the first n of the same samples.
                let x = Mat::from_fn(n, UNITS, |i, j| z[i * UNITS + j]);
                let ratio = ParticipationRatio::of(x.as_ref())?;
                sum.0 += ratio.naive / sizes.clouds as f64;
                sum.1 += ratio.row.unwrap_or(f64::NAN) / sizes.clouds as f64;
            }
        }
        Ok(Self { spheres, clouds: sums, seeds: sizes.clouds })
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        let mut claims = Vec::new();
        for ((d, low, high), found) in SPHERES.into_iter().zip(&self.spheres) {
            let fitted: Vec<f64> = found.iter().map(|f| f.0).collect();
            let average = mean(&fitted);
            let whole = found.iter().all(|f| f.1.abs_diff(d) <= 1);
            claims.push(Claim::with_bar(
                format!("Graph distances on a sphere of {d} dimensions in 10"),
                format!("{low} to {high}"),
                format!("{} ({} in the mean)", range(&fitted), three(average)),
                format!("mean within 0.3 of {low} to {high}, nearest whole one within 1"),
                average >= low - 0.3 && average <= high + 0.3 && whole,
            ));
        }
        // Both means, the reference's over 200 clouds, have their errors.
        let errors = (1.0 / 200.0 + 1.0 / self.seeds as f64).sqrt();
        let flat = self.clouds.iter().zip(CLOUDS);
        let flat =
            flat.clone().all(|(got, want)| (got.1 - want.2).abs() <= 4.0 * want.3 * errors + 0.05);
        let list = |of: fn(&(f64, f64)) -> f64| {
            self.clouds.iter().map(|c| three(of(c))).collect::<Vec<_>>().join(", ")
        };
        claims.push(Claim::with_bar(
            "50 equal units, 25 to 400 samples: the corrected participation ratio is flat",
            "50.3, 50.1, 50.1, 50.0",
            list(|c| c.1),
            "four standard errors",
            flat,
        ));
        let harmonic = |n: usize| 1.0 / (1.0 / UNITS as f64 + 1.0 / n as f64);
        let along = self.clouds.iter().zip(CLOUDS);
        let along = along.clone().all(|(got, want)| {
            (got.0 / want.1 - 1.0).abs() < 0.02 && (got.0 / harmonic(want.0) - 1.0).abs() < 0.06
        });
        claims.push(Claim::with_bar(
            "The plain one follows the harmonic law 1/PR + 1/n",
            "16.0, 24.5, 33.1, 44.4",
            list(|c| c.0),
            "within 2 % of the reference and 6 % of the law",
            along,
        ));
        claims
    }

    pub(super) fn plates(&self) -> Vec<Plate> {
        let at = |of: fn(&(f64, f64)) -> f64| {
            self.clouds.iter().zip(CLOUDS).map(move |(c, (n, ..))| (n as f64, of(c)))
        };
        let law = (0..=60).map(|k| {
            let n = 25.0 * 16.0_f64.powf(f64::from(k) / 60.0);
            (n, 1.0 / (1.0 / UNITS as f64 + 1.0 / n))
        });
        let figure =
            Figure::new("Participation ratio of 50 equal units", "samples", "participation ratio")
                .log_x()
                .points("plain", at(|c| c.0))
                .points("corrected for few samples", at(|c| c.1))
                .line("harmonic law", law)
                .horizontal("true", UNITS as f64);
        vec![Plate::of(
            "dimension-samples",
            "Few samples lower the plain participation ratio along the harmonic law; the corrected one is \
             flat.",
            &figure,
        )]
    }
}

/// Uniform points of a sphere of d dimensions, in the first d + 1 of ten coordinates turned by
/// reflections.
fn sphere(points: usize, d: usize, stream: &Stream) -> Mat<f64> {
    const SPACE: usize = 10;
    let mut z = vec![0.0_f64; points * (d + 1) + 2 * SPACE];
    stream.normals(0, &mut z);
    let (normals, mirrors) = z.split_at(points * (d + 1));
    let mut x = Mat::<f64>::zeros(points, SPACE);
    for i in 0..points {
        let point = &normals[i * (d + 1)..(i + 1) * (d + 1)];
        let norm = point.iter().map(|x| x * x).sum::<f64>().sqrt();
        let mut row = [0.0; SPACE];
        row.iter_mut().zip(point).for_each(|(r, x)| *r = x / norm);
        for mirror in mirrors.chunks_exact(SPACE) {
            let square: f64 = mirror.iter().map(|m| m * m).sum();
            let along: f64 = row.iter().zip(mirror).map(|(r, m)| r * m).sum();
            row.iter_mut().zip(mirror).for_each(|(r, m)| *r -= 2.0 * along / square * m);
        }
        row.iter().enumerate().for_each(|(j, r)| x[(i, j)] = *r);
    }
    x
}
