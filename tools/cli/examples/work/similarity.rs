//! Works on similarity matrices, their resampling, and shared subspaces.

use hesse::faer::MatRef;
use hesse::similarity::{
    Cca, Cut, GramStream, Multiplicities, Pairwise, RowVariance, Rsm, RsmKind, Ssm, multiplicities,
};
use hesse::statistics::{Kendall, average_ranks};
use hesse_cli::inputs::uniform;
use hesse_kernels::Real;

use super::{Work, sizes_of};

/// Stimuli and draws of the works on resampling.
const N: usize = 118;
const DRAWS: usize = 1000;
/// Units of one push.
const BLOCK: usize = 7680;

/// The work called `name`, if it is one of these.
pub fn prepare<T: Real>(name: &str) -> Option<Box<dyn Work>> {
    if let Some(sizes) = name.strip_prefix("correlations_streamed_") {
        return Some(Box::new(Correlations::<T>::new(sizes_of(sizes)?, true)));
    }
    if let Some(sizes) = name.strip_prefix("correlations_") {
        return Some(Box::new(Correlations::<T>::new(sizes_of(sizes)?, false)));
    }
    if let Some(sizes) = name.strip_prefix("svcca_") {
        return Some(Box::new(Svcca::<T>::new(sizes_of(sizes)?)));
    }
    if T::NAME != "f64" {
        return None;
    }
    if let Some(n) = name.strip_prefix("ranks_") {
        return Some(Box::new(Ranks { x: uniform(8, n.parse().ok()?), ranks: Vec::new() }));
    }
    let tables = || Some((table(4)?, table(5)?));
    Some(match name {
        "ssm_bootstrap_118x1000" => {
            Box::new(Bootstrap { tables: tables()?, samples: samples()?, scores: Vec::new() })
        }
        "ssm_permutations_118x1000" => {
            let keys = uniform::<f64>(7, DRAWS * N);
            let order = |keys: &[f64]| {
                let mut order: Vec<usize> = (0..N).collect();
                order.sort_by(|&i, &j| keys[i].total_cmp(&keys[j]));
                order
            };
            let orders = keys.chunks_exact(N).map(order).collect();
            Box::new(Permutations { tables: tables()?, orders, scores: Vec::new() })
        }
        "kendall_6903" => Box::new(Concordance { tables: tables()?, tau: f64::NAN }),
        _ => return None,
    })
}

/// n stimuli × p units, row-major; later stimuli respond more weakly.
fn responses<T: Real>(seed: u32, n: usize, p: usize) -> Vec<T> {
    let mut x = uniform::<T>(seed, n * p);
    for (i, row) in x.chunks_exact_mut(p).enumerate() {
        let strength = T::ONE + T::from_f64(0.05) * T::from_f64(i as f64);
        row.iter_mut().for_each(|x| *x /= strength);
    }
    x
}

/// Correlations of what is shared and of the seed's own.
fn table(seed: u32) -> Option<Rsm> {
    let (shared, own) = (uniform::<f64>(3, N * 96), uniform::<f64>(seed, N * 96));
    let x: Vec<f64> = shared.iter().zip(own).map(|(shared, own)| shared + own).collect();
    Rsm::pearson(MatRef::from_row_major_slice(&x, N, 96)).ok()
}

/// How often each stimulus is in each draw with replacement.
fn samples() -> Option<Vec<Multiplicities>> {
    let u = uniform::<f64>(6, DRAWS * N);
    let index = |u: &f64| ((u / 3f64.sqrt() * 0.5 + 0.5) * N as f64) as usize;
    u.chunks_exact(N)
        .map(|draw| {
            let indices: Vec<usize> = draw.iter().map(|u| index(u).min(N - 1)).collect();
            multiplicities(N, &indices).ok()
        })
        .collect()
}

struct Correlations<T> {
    n: usize,
    p: usize,
    streamed: bool,
    x: Vec<T>,
    rsm: Option<Rsm>,
}

impl<T: Real> Correlations<T> {
    fn new([n, p]: [usize; 2], streamed: bool) -> Self {
        Self { n, p, streamed, x: responses(1, n, p), rsm: None }
    }

    fn stream(&self) -> hesse::Result<Rsm> {
        let x = MatRef::from_row_major_slice(&self.x, self.n, self.p);
        let mut stream = GramStream::new(self.n)?;
        for start in (0..self.p).step_by(BLOCK) {
            stream.push(x.subcols(start, BLOCK.min(self.p - start)))?;
        }
        stream.rsm(RsmKind::Pearson, RowVariance::Error)
    }
}

impl<T: Real> Work for Correlations<T> {
    fn run(&mut self) {
        self.rsm = if self.streamed {
            self.stream().ok()
        } else {
            Rsm::pearson(MatRef::from_row_major_slice(&self.x, self.n, self.p)).ok()
        };
    }
    /// Some of the entries above the diagonal.
    fn answer(&self) -> Vec<f64> {
        let some = |rsm: &Rsm| rsm.upper().iter().step_by(self.n / 2).copied().collect();
        self.rsm.as_ref().map(some).unwrap_or_default()
    }
}

struct Bootstrap {
    tables: (Rsm, Rsm),
    samples: Vec<Multiplicities>,
    scores: Vec<f64>,
}

impl Work for Bootstrap {
    fn run(&mut self) {
        let (a, b) = &self.tables;
        self.scores = Ssm::default().resampled(a, b, &self.samples).unwrap_or_default();
    }
    fn answer(&self) -> Vec<f64> {
        self.scores.clone()
    }
}

struct Permutations {
    tables: (Rsm, Rsm),
    orders: Vec<Vec<usize>>,
    scores: Vec<f64>,
}

impl Work for Permutations {
    fn run(&mut self) {
        let (a, b) = &self.tables;
        self.scores = Ssm::default().permuted(a, b, &self.orders).unwrap_or_default();
    }
    fn answer(&self) -> Vec<f64> {
        self.scores.clone()
    }
}

struct Concordance {
    tables: (Rsm, Rsm),
    tau: f64,
}

impl Work for Concordance {
    fn run(&mut self) {
        let found = Kendall::of(self.tables.0.upper(), self.tables.1.upper());
        self.tau = found.map_or(f64::NAN, |k| k.tau_b());
    }
    fn answer(&self) -> Vec<f64> {
        vec![self.tau]
    }
}

struct Ranks {
    x: Vec<f64>,
    ranks: Vec<f64>,
}

impl Work for Ranks {
    fn run(&mut self) {
        self.ranks = average_ranks("x", &self.x).unwrap_or_default();
    }
    fn answer(&self) -> Vec<f64> {
        self.ranks.iter().step_by(self.x.len() / 1000).copied().collect()
    }
}

struct Svcca<T> {
    n: usize,
    p: usize,
    k: usize,
    x: Vec<T>,
    y: Vec<T>,
    rho: Vec<f64>,
}

impl<T: Real> Svcca<T> {
    fn new([n, p, k]: [usize; 3]) -> Self {
        Self { n, p, k, x: responses(1, n, p), y: responses(2, n, p), rho: Vec::new() }
    }
}

impl<T: Real> Work for Svcca<T> {
    fn run(&mut self) {
        let view = |x| MatRef::from_row_major_slice(x, self.n, self.p);
        let found = Cca::new().cut(Cut::Dim(self.k)).fit(view(&self.x), view(&self.y));
        self.rho = found.map(|cca| cca.rho).unwrap_or_default();
    }
    fn answer(&self) -> Vec<f64> {
        self.rho.clone()
    }
}
