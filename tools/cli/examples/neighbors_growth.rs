//! Time and memory of exact neighbours as the number of points grows.
//!
//!     cargo run --release -p hesse-cli --example neighbors_growth -- [DIMENSIONS [NEIGHBOURS [POINTS ...]]]
//!
//! Prints for each number of normal points the seconds, the exponent of the growth since the number
//! before (2 where all pairs are screened, nearly 1 in the few dimensions of a tree), the search, the
//! rows that were searched for again, and the largest memory beside the points, where the system tells
//! it. By default 50 dimensions, 20 neighbours and 10³ to 10⁵ points. `RAYON_NUM_THREADS` sets threads.

use std::error::Error;
use std::io::{Write, stdout};
use std::time::Instant;

use hesse::faer::MatRef;
use hesse::neighbors::Knn;
use hesse::random::Stream;

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Result<Vec<usize>, _> = std::env::args().skip(1).map(|a| a.parse()).collect();
    let numbers = numbers?;
    let d = numbers.first().copied().unwrap_or(50);
    let k = numbers.get(1).copied().unwrap_or(20);
    let sizes = match numbers.get(2..) {
        Some(sizes) if !sizes.is_empty() => sizes,
        _ => &[1_000, 3_162, 10_000, 31_623, 100_000],
    };
    let mut out = stdout().lock();
    writeln!(out, "{d} dimensions, {k} neighbours, {} threads", rayon::current_num_threads())?;
    writeln!(out, "  points   seconds  exponent  search  numbers   again  MB beside")?;
    let mut before: Option<(usize, f64)> = None;
    for &n in sizes {
        let mut x = vec![0.0_f64; n * d];
        Stream::new(1, "cloud").normals(0, &mut x);
        let start = Instant::now();
        let table = Knn::new(k).build(MatRef::from_row_major_slice(&x, n, d))?;
        let seconds = start.elapsed().as_secs_f64();
        let exponent = before.map_or(String::new(), |(m, s)| {
            format!("{:.2}", (seconds / s).ln() / (n as f64 / m as f64).ln())
        });
        let report = table.report().ok_or("a table without a report")?;
        let again = report.repeated_in_double + report.repeated_directly;
        let beside =
            peak().map_or(String::new(), |peak| format!("{:.0}", peak - (8 * n * d) as f64 / 1e6));
        let (search, numbers) =
            (format!("{:?}", report.search), format!("{:?}", report.arithmetic));
        writeln!(
            out,
            "{n:8} {seconds:9.4} {exponent:>9}  {search:6}  {numbers:8} {again:6} {beside:>10}"
        )?;
        before = Some((n, seconds));
    }
    Ok(())
}

/// The largest memory of this process in MB, as Linux tells it.
fn peak() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kb| kb * 1.024e-3)
}
