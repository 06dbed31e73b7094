//! What a timing or a report says about the machine that it comes from.

use std::time::{SystemTime, UNIX_EPOCH};

use hesse_kernels::Isa;
use serde::Serialize;

/// The header of a table of timings, after that of BLIS: processor, cores, instruction set,
/// compiler, version, date.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name for itself.
    pub cpu: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// Threads of the pool.
    pub threads: usize,
    /// Instruction set of the kernels.
    pub isa: String,
    /// Instruction sets of this machine, slowest first.
    pub isa_available: Vec<String>,
    /// Data caches of the first core, from the inside out: `L1d 32 KiB`.
    pub caches: Vec<String>,
    /// What the clock follows, where the operating system says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governor: Option<String>,
    /// Operating system and architecture.
    pub os: String,
    /// Compiler that built the program.
    pub rustc: String,
    /// Whether the program was built for speed.
    pub profile: String,
    /// Version of the program.
    pub version: String,
    /// Day and time, UTC.
    pub date: String,
}

impl Machine {
    /// This machine, with the kernels on `isa`.
    #[must_use]
    pub fn this(isa: Isa) -> Self {
        Self {
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            isa: isa.name().to_owned(),
            isa_available: Isa::available().iter().map(|isa| isa.name().to_owned()).collect(),
            caches: caches(),
            governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            os: os(),
            rustc: env!("HESSE_RUSTC").to_owned(),
            profile: env!("HESSE_PROFILE").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            date: date(SystemTime::now()),
        }
    }

    /// The header as lines of text.
    #[must_use]
    pub fn lines(&self) -> Vec<(String, String)> {
        let mut lines = vec![
            ("processor", self.cpu.clone()),
            ("cores", format!("{}, {} threads used", self.cores, self.threads)),
            ("instruction set", format!("{} of {}", self.isa, self.isa_available.join(", "))),
            ("system", self.os.clone()),
            ("compiler", format!("{} ({})", self.rustc, self.profile)),
            ("version", self.version.clone()),
            ("date", self.date.clone()),
        ];
        if !self.caches.is_empty() {
            lines.insert(3, ("caches", self.caches.join(", ")));
        }
        if let Some(governor) = &self.governor {
            lines.insert(4, ("clock governor", governor.clone()));
        }
        lines.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name"));
    let name = name.and_then(|line| line.split_once(':'));
    name.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

fn caches() -> Vec<String> {
    let field = |index: u32, name: &str| {
        line(&format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}"))
    };
    (0..8)
        .filter_map(|index| {
            let kind = match field(index, "type")?.as_str() {
                "Data" => "d",
                "Unified" => "",
                _ => return None,
            };
            let size = field(index, "size")?.replace('K', " KiB").replace('M', " MiB");
            Some(format!("L{}{kind} {size}", field(index, "level")?))
        })
        .collect()
}

fn os() -> String {
    let release = line("/proc/sys/kernel/osrelease").map(|r| format!(" {r}")).unwrap_or_default();
    format!("{}{release}, {}", std::env::consts::OS, std::env::consts::ARCH)
}

/// `2026-11-23 21:07 UTC`, by the calendar algorithm of Hinnant (days from civil, inverted).
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", second / 3600, second / 60 % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00 UTC");
        assert_eq!(at(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(at(1_709_251_199), "2024-02-29 23:59 UTC");
        assert_eq!(at(4_107_542_400), "2100-03-01 00:00 UTC");
    }

    #[test]
    fn the_header_names_processor_instruction_set_and_compiler() {
        let machine = Machine::this(Isa::SCALAR);
        assert_eq!(machine.isa, "scalar");
        assert!(machine.rustc.starts_with("rustc "), "{}", machine.rustc);
        assert!(machine.cores >= 1 && machine.threads >= 1);
    }
}
