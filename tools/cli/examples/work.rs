//! Our side of `tools/peers/compare.py`: prepares a work once, then times repetitions on demand.
//!
//! Requests come one a line on standard input, replies go one JSON object a line to standard
//! output: `prepare NAME DTYPE` replies `{"answer": [...]}`, `run N` replies `{"seconds": [...]}`,
//! and what cannot be done `{"error": "..."}`.

#[path = "work/connectome.rs"]
mod connectome;
#[path = "work/convolution.rs"]
mod convolution;
#[path = "work/estimators.rs"]
mod estimators;
#[path = "work/networks.rs"]
mod networks;
#[path = "work/recurrent.rs"]
mod recurrent;
#[path = "work/similarity.rs"]
mod similarity;

use std::io::{self, BufRead, Write};
use std::time::Instant;

use estimators::Estimates;
use hesse::faer::MatRef;
use hesse::neighbors::{Knn, Neighbors, Precision};
use hesse::statistics::ParticipationRatio;
use hesse_cli::inputs::uniform;
use hesse_kernels::elementary::tanh;
use hesse_kernels::panel::{Panel, PanelMut, subtract_product, transpose_product};
use hesse_kernels::philox::fill_normal;
use hesse_kernels::{Isa, Real};
use serde_json::{Value, json};

/// A prepared work: does it once, and makes an answer of the last result.
trait Work {
    fn run(&mut self);
    fn answer(&self) -> Vec<f64>;
}

fn main() -> io::Result<()> {
    let mut work = None;
    for request in io::stdin().lock().lines() {
        let reply = reply(&request?, &mut work).unwrap_or_else(|error| json!({ "error": error }));
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{reply}")?;
        stdout.flush()?;
    }
    Ok(())
}

fn reply(request: &str, current: &mut Option<Box<dyn Work>>) -> Result<Value, String> {
    let words: Vec<_> = request.split_whitespace().collect();
    match words[..] {
        ["prepare", name, dtype] => {
            let isa = Isa::from_env().map_err(|error| error.to_string())?;
            // The old work's memory is given back first.
            *current = None;
            let prepared = match dtype {
                "f32" => prepare::<f32>(name, isa),
                "f64" => prepare::<f64>(name, isa),
                _ => None,
            };
            let mut work = prepared.ok_or_else(|| format!("our side has no {name} in {dtype}"))?;
            work.run();
            let answer = work.answer();
            *current = Some(work);
            Ok(json!({ "answer": answer }))
        }
        ["run", n] => {
            let n: usize = n.parse().map_err(|_| format!("run: expected a number, got {n:?}"))?;
            let work = current.as_mut().ok_or("run: nothing is prepared")?;
            let time = |_| {
                let start = Instant::now();
                work.run();
                start.elapsed().as_secs_f64()
            };
            Ok(json!({ "seconds": (0..n).map(time).collect::<Vec<_>>() }))
        }
        _ => Err(format!("expected `prepare NAME DTYPE` or `run N`, got {request:?}")),
    }
}

/// The work called `name`, by its prefix; sizes are in the rest of the name.
fn prepare<T: Real>(name: &str, isa: Isa) -> Option<Box<dyn Work>> {
    if let Some(sizes) = name.strip_prefix("panel_product_") {
        let [n, k, b] = sizes_of(sizes)?;
        let (v, w) = (uniform::<T>(1, n * k), uniform::<T>(2, n * b));
        return Some(Box::new(PanelProduct { isa, n, k, b, v, w, h: vec![0.0; k * b] }));
    }
    if let Some(sizes) = name.strip_prefix("panel_update_") {
        let [n, k, b] = sizes_of(sizes)?;
        let (v, w) = (uniform::<T>(1, n * k), uniform::<T>(2, n * b));
        let h = uniform::<f64>(3, k * b).iter().map(|h| h * 1e-3).collect();
        return Some(Box::new(PanelUpdate { isa, n, k, b, v, w, h }));
    }
    if let Some(n) = name.strip_prefix("tanh_cached_").or(name.strip_prefix("tanh_memory_")) {
        let x = uniform::<T>(1, n.parse().ok()?);
        return Some(Box::new(Tanh { isa, y: x.clone(), x }));
    }
    if let Some(n) = name.strip_prefix("normals_") {
        return Some(Box::new(Normals { isa, x: vec![T::ZERO; n.parse().ok()?] }));
    }
    if name.contains("_rnn_") {
        return recurrent::prepare::<T>(name);
    }
    if T::NAME == "f64"
        && let Some((sizes, precision)) = name
            .strip_prefix("knn_double_")
            .map(|sizes| (sizes, Precision::Double))
            .or(name.strip_prefix("knn_").map(|sizes| (sizes, Precision::MixedCertified)))
    {
        let [n, d, k] = sizes_of(sizes)?;
        let x = uniform::<f64>(1, n * d);
        return Some(Box::new(Table {
            knn: Knn::new(k).precision(precision),
            n,
            d,
            x,
            table: None,
        }));
    }
    if let Some(rest) = name.strip_prefix("estimator_")
        && T::NAME == "f64"
    {
        return Estimates::new(rest).map(|work| Box::new(work) as _);
    }
    if let Some(sizes) = name.strip_prefix("participation_ratio_") {
        let [n, d] = sizes_of(sizes)?;
        return Some(Box::new(Ratio { n, d, x: uniform::<T>(1, n * d), ratio: f64::NAN }));
    }
    networks::prepare::<T>(name)
        .or_else(|| connectome::prepare::<T>(name))
        .or_else(|| similarity::prepare::<T>(name))
}

/// The numbers in `1000000x16_4`.
fn sizes_of<const N: usize>(text: &str) -> Option<[usize; N]> {
    let sizes: Result<Vec<usize>, _> = text.split(['x', '_']).map(str::parse).collect();
    sizes.ok()?.try_into().ok()
}

struct PanelProduct<T> {
    isa: Isa,
    n: usize,
    k: usize,
    b: usize,
    v: Vec<T>,
    w: Vec<T>,
    h: Vec<f64>,
}

impl<T: Real> Work for PanelProduct<T> {
    fn run(&mut self) {
        let v = Panel::new(&self.v, self.n, self.k, self.n);
        let w = Panel::new(&self.w, self.n, self.b, self.n);
        transpose_product(self.isa, v, w, &mut self.h);
    }
    fn answer(&self) -> Vec<f64> {
        self.h.clone()
    }
}

struct PanelUpdate<T> {
    isa: Isa,
    n: usize,
    k: usize,
    b: usize,
    v: Vec<T>,
    w: Vec<T>,
    h: Vec<f64>,
}

impl<T: Real> Work for PanelUpdate<T> {
    fn run(&mut self) {
        let v = Panel::new(&self.v, self.n, self.k, self.n);
        let mut w = PanelMut::new(&mut self.w, self.n, self.b, self.n);
        subtract_product(self.isa, &mut w, v, &self.h);
    }
    fn answer(&self) -> Vec<f64> {
        (0..self.b).map(|c| self.w[c * self.n].to_f64()).collect()
    }
}

struct Table {
    knn: Knn,
    n: usize,
    d: usize,
    x: Vec<f64>,
    table: Option<Neighbors>,
}

impl Work for Table {
    fn run(&mut self) {
        self.table = self.knn.build(MatRef::from_row_major_slice(&self.x, self.n, self.d)).ok();
    }
    /// Distances of the first hundred points.
    fn answer(&self) -> Vec<f64> {
        let first =
            |table: &Neighbors| (0..100).flat_map(|i| table.distances(i).to_vec()).collect();
        self.table.as_ref().map(first).unwrap_or_default()
    }
}

struct Ratio<T> {
    n: usize,
    d: usize,
    x: Vec<T>,
    ratio: f64,
}

impl<T: Real> Work for Ratio<T> {
    fn run(&mut self) {
        let x = MatRef::from_row_major_slice(&self.x, self.n, self.d);
        self.ratio = ParticipationRatio::of(x).map_or(f64::NAN, |pr| pr.naive);
    }
    fn answer(&self) -> Vec<f64> {
        vec![self.ratio]
    }
}

/// Elements of one task.
const PIECE: usize = 1 << 16;

struct Tanh<T> {
    isa: Isa,
    x: Vec<T>,
    y: Vec<T>,
}

impl<T: Real> Work for Tanh<T> {
    fn run(&mut self) {
        let Self { isa, x, y } = self;
        hesse::parallel::for_each_piece(y, PIECE, |i, y| {
            tanh(*isa, &x[i * PIECE..][..y.len()], y);
        });
    }
    fn answer(&self) -> Vec<f64> {
        self.y.iter().take(1000).map(|y| y.to_f64()).collect()
    }
}

struct Normals<T> {
    isa: Isa,
    x: Vec<T>,
}

impl<T: Real> Work for Normals<T> {
    fn run(&mut self) {
        let isa = self.isa;
        hesse::parallel::for_each_piece(&mut self.x, PIECE, |i, x| {
            fill_normal(isa, 1, 0, (i * PIECE) as u64, x);
        });
    }
    fn answer(&self) -> Vec<f64> {
        let n = self.x.len() as f64;
        let mean = self.x.iter().map(|x| x.to_f64()).sum::<f64>() / n;
        let square = self.x.iter().map(|x| (x.to_f64() - mean).powi(2)).sum::<f64>() / n;
        vec![square.sqrt()]
    }
}
