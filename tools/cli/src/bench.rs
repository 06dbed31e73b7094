//! `hesse bench`: the kernels against this machine's own peaks.
//!
//! Peaks (multiplications and additions a second in registers, bytes a second through cache and
//! memory) are measured before and after the cases, on the same instruction set; the better ones
//! count, since noise only slows. A case states its work; the fraction of the roofline is the time
//! that the peaks would need for that work over the shortest time measured.

mod cases;

use std::hint::black_box;
use std::time::{Duration, Instant};

use hesse_kernels::Isa;
use hesse_kernels::peak::{Bandwidth, Peaks};
use serde::Serialize;

use crate::failure::{Failure, Verdict};
use crate::machine::Machine;
use crate::output::{Output, to_json};
use crate::progress::Progress;
use crate::table::Table;
use crate::units::{percent, seconds, three};

/// Measure the kernels against this machine's own peaks
///
/// Prints one line a case: shortest and median time, GFLOP/s, GB/s, and the share of what the
/// machine's peak flops and bandwidth allow. With --json, one JSON object a line: first the machine
/// with its peaks, then the cases.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only cases whose name, type or shape contains one of these words
    words: Vec<String>,
    /// Seconds to measure each case for
    #[arg(long, default_value_t = 0.3, value_name = "S", allow_negative_numbers = true)]
    seconds: f64,
    /// Name the cases and measure nothing
    #[arg(long)]
    list: bool,
}

/// What one call of a case does.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Elements, rows or samples: what the kernel is asked to get through.
    pub values: f64,
    /// Additions and multiplications, a fused one counted as two.
    pub flops: f64,
    /// Bytes read, each once.
    pub read: f64,
    /// Bytes written, each once.
    pub written: f64,
}

/// One line of the table: what is called, on what, and how to prepare it.
pub struct Case {
    /// `folder/kernel`.
    pub name: &'static str,
    /// `f32` or `f64`.
    pub dtype: &'static str,
    /// Sizes, zero-padded so that lines sort.
    pub shape: String,
    /// Threads that a call uses.
    pub threads: usize,
    /// What a call does.
    pub work: Work,
    /// Allocates and fills the input, and returns the call.
    pub prepare: Box<dyn FnOnce(Isa) -> Box<dyn FnMut()>>,
}

/// What was measured of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    name: &'static str,
    dtype: &'static str,
    shape: String,
    isa: &'static str,
    threads: usize,
    repetitions: usize,
    seconds_min: f64,
    seconds_median: f64,
    values: f64,
    flops: f64,
    bytes: f64,
    gvalues_per_s: f64,
    gflops: f64,
    gbytes_per_s: f64,
    /// `flops` or `bytes`: what the peaks allow least of.
    bound: &'static str,
    /// Share of the roofline at the shortest time.
    roofline: f64,
}

/// Runs `hesse bench`.
///
/// # Errors
/// A time that is not positive, words that no case contains, or results that cannot be written.
pub fn run(arguments: &Arguments, isa: Isa, output: &Output) -> Result<Verdict, Failure> {
    let budget = Duration::try_from_secs_f64(arguments.seconds)
        .ok()
        .filter(|budget| !budget.is_zero() && *budget <= Duration::from_secs(3600))
        .ok_or_else(|| {
            let got = arguments.seconds;
            Failure::input(format!("--seconds: expected more than 0 and at most 3600, got {got}"))
        })?;
    let mut cases = cases::all();
    cases.retain(|case| {
        let text = format!("{} {} {}", case.name, case.dtype, case.shape);
        arguments.words.is_empty() || arguments.words.iter().any(|word| text.contains(word))
    });
    if cases.is_empty() {
        let words = arguments.words.join(" ");
        let message = format!("bench: no case contains {words:?}, --list names them");
        return Err(Failure::input(message));
    }
    if arguments.list {
        return list(&cases, output);
    }

    let machine = Machine::this(isa);
    let before = Peaks::measure(isa);
    let progress = Progress::new(output, "measuring", cases.len() as u64);
    let mut samples = Vec::new();
    for case in cases {
        progress.say(case.name);
        samples.push(measure(case, isa, budget));
        progress.step();
    }
    drop(progress);
    let peaks = better(before, Peaks::measure(isa));

    let timings: Vec<_> = samples.into_iter().map(|s| s.timing(isa, &peaks)).collect();
    let header = serde_json::json!({ "machine": machine, "peaks": peaks_json(&peaks) });
    let mut lines = to_json(&header)? + "\n";
    for timing in &timings {
        lines += &(to_json(timing)? + "\n");
    }
    if let Some(folder) = output.folder() {
        folder.write("bench.jsonl", lines.as_bytes())?;
    }
    if output.json {
        output.print(&lines)?;
    } else {
        output.print(&(preface(&machine, &peaks) + &table(&timings).to_string()))?;
    }
    Ok(Verdict::Holds)
}

fn table(timings: &[Timing]) -> Table {
    let mut table = Table::new()
        .words("case")
        .words("type")
        .words("shape")
        .numbers("threads")
        .numbers("min")
        .numbers("median")
        .numbers("Gvalues/s")
        .numbers("GFLOP/s")
        .numbers("GB/s")
        .words("bound")
        .numbers("roofline");
    for timing in timings {
        table.row(timing.cells());
    }
    table
}

fn list(cases: &[Case], output: &Output) -> Result<Verdict, Failure> {
    let mut table = Table::new().words("case").words("type").words("shape");
    for case in cases {
        let Case { name, dtype, shape, .. } = case;
        if output.json {
            let line = serde_json::json!({ "name": name, "dtype": dtype, "shape": shape });
            output.print_json(&line)?;
        }
        table.row([name, dtype, shape.as_str()]);
    }
    if !output.json {
        output.print(&table.to_string())?;
    }
    Ok(Verdict::Holds)
}

/// A case with its times, shortest first.
struct Sample {
    name: &'static str,
    dtype: &'static str,
    shape: String,
    threads: usize,
    work: Work,
    times: Vec<f64>,
}

fn measure(case: Case, isa: Isa, budget: Duration) -> Sample {
    let Case { name, dtype, shape, threads, work, prepare } = case;
    let mut call = prepare(isa);
    call();
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || start.elapsed() < budget {
        let start = Instant::now();
        call();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_unstable_by(f64::total_cmp);
    Sample { name, dtype, shape, threads, work, times }
}

impl Sample {
    fn timing(self, isa: Isa, peaks: &Peaks) -> Timing {
        let Self { name, dtype, shape, threads, work, times } = self;
        // A call shorter than the clock's step would divide by zero.
        let shortest = times[0].max(1e-9);
        let bytes = work.read + work.written;
        let (floor, bound) = floor(&work, dtype, peaks);
        Timing {
            name,
            dtype,
            shape,
            isa: isa.name(),
            threads,
            repetitions: times.len(),
            seconds_min: shortest,
            seconds_median: times[times.len() / 2],
            values: work.values,
            flops: work.flops,
            bytes,
            gvalues_per_s: work.values / shortest / 1e9,
            gflops: work.flops / shortest / 1e9,
            gbytes_per_s: bytes / shortest / 1e9,
            bound,
            roofline: floor / threads as f64 / shortest,
        }
    }
}

/// The better of each peak.
fn better(a: Peaks, b: Peaks) -> Peaks {
    let max = |a: f64, b: f64| if b > a { b } else { a };
    let bandwidth = |a: Bandwidth, b: Bandwidth| Bandwidth {
        bytes: a.bytes,
        read: max(a.read, b.read),
        copy: max(a.copy, b.copy),
        triad: max(a.triad, b.triad),
    };
    Peaks {
        isa: a.isa,
        f32_flops: max(a.f32_flops, b.f32_flops),
        f64_flops: max(a.f64_flops, b.f64_flops),
        cache: bandwidth(a.cache, b.cache),
        memory: bandwidth(a.memory, b.memory),
    }
}

/// Seconds that the peaks of one thread need for `work`, and what takes them.
fn floor(work: &Work, dtype: &str, peaks: &Peaks) -> (f64, &'static str) {
    let flops = if dtype == "f32" { peaks.f32_flops } else { peaks.f64_flops };
    // A working set of up to twice what the cache peak was measured on counts as cached.
    let bytes = work.read + work.written;
    let cached = bytes <= 6.0 * peaks.cache.bytes as f64;
    let rate = rate(work, if cached { &peaks.cache } else { &peaks.memory });
    let (compute, traffic) = (work.flops / flops, bytes / rate);
    if compute > traffic { (compute, "flops") } else { (traffic, "bytes") }
}

/// Bytes a second for this mix of reading and writing.
fn rate(work: &Work, bandwidth: &Bandwidth) -> f64 {
    if work.written < 0.1 * work.read {
        bandwidth.read
    } else if work.written < 0.75 * work.read {
        bandwidth.triad
    } else {
        bandwidth.copy
    }
}

impl Timing {
    fn cells(&self) -> [String; 11] {
        [
            self.name.to_owned(),
            self.dtype.to_owned(),
            self.shape.clone(),
            self.threads.to_string(),
            seconds(self.seconds_min),
            seconds(self.seconds_median),
            three(self.gvalues_per_s),
            if self.flops > 0.0 { three(self.gflops) } else { String::new() },
            three(self.gbytes_per_s),
            self.bound.to_owned(),
            percent(self.roofline),
        ]
    }
}

fn peaks_json(peaks: &Peaks) -> serde_json::Value {
    let bandwidth = |b: &Bandwidth| {
        serde_json::json!({
            "array_bytes": b.bytes,
            "read_gbytes_per_s": b.read / 1e9,
            "copy_gbytes_per_s": b.copy / 1e9,
            "triad_gbytes_per_s": b.triad / 1e9,
        })
    };
    serde_json::json!({
        "threads": 1,
        "f32_gflops": peaks.f32_flops / 1e9,
        "f64_gflops": peaks.f64_flops / 1e9,
        "cache": bandwidth(&peaks.cache),
        "memory": bandwidth(&peaks.memory),
    })
}

/// The machine and its peaks, above the table.
fn preface(machine: &Machine, peaks: &Peaks) -> String {
    let mut text = String::new();
    for (name, value) in machine.lines() {
        text.push_str(&format!("{name:16} {value}\n"));
    }
    let gflops = |rate: f64| three(rate / 1e9);
    text.push_str(&format!(
        "{:16} {} GFLOP/s f32, {} f64\n",
        "peak, 1 thread",
        gflops(peaks.f32_flops),
        gflops(peaks.f64_flops),
    ));
    for (name, b) in [("in cache", &peaks.cache), ("in memory", &peaks.memory)] {
        let [read, copy, triad] = [b.read, b.copy, b.triad].map(gflops);
        text.push_str(&format!("{name:16} read {read}, copy {copy}, triad {triad} GB/s\n"));
    }
    text.push('\n');
    text
}

/// Keeps a result from being optimised away.
fn keep<R>(result: R) {
    black_box(result);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peaks() -> Peaks {
        let cache = Bandwidth { bytes: 1 << 17, read: 100e9, copy: 80e9, triad: 60e9 };
        let memory = Bandwidth { bytes: 1 << 26, read: 40e9, copy: 20e9, triad: 30e9 };
        Peaks { isa: Isa::SCALAR, f32_flops: 200e9, f64_flops: 100e9, cache, memory }
    }

    #[test]
    fn the_floor_is_the_slower_of_arithmetic_and_traffic() {
        let compute = Work { values: 1.0, flops: 1e9, read: 1e3, written: 0.0 };
        assert_eq!(floor(&compute, "f64", &peaks()), (0.01, "flops"));
        assert_eq!(floor(&compute, "f32", &peaks()), (0.005, "flops"));
        let reading = Work { values: 1.0, flops: 1.0, read: 40e6, written: 0.0 };
        assert_eq!(floor(&reading, "f64", &peaks()), (0.001, "bytes"));
        let copying = Work { values: 1.0, flops: 1.0, read: 10e6, written: 10e6 };
        assert_eq!(floor(&copying, "f64", &peaks()), (0.001, "bytes"));
        let cached = Work { values: 1.0, flops: 1.0, read: 1e5, written: 0.0 };
        assert_eq!(floor(&cached, "f64", &peaks()), (1e-6, "bytes"));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> =
            cases::all().iter().map(|c| format!("{} {} {}", c.name, c.dtype, c.shape)).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
