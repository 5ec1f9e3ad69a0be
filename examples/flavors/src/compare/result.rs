//! What a comparison finds, as it stands in the file of raw numbers.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

/// One run of `flavors compare`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Comparison {
    pub(crate) machine: Machine,
    pub(crate) method: Method,
    /// What the person who ran it has to say.
    pub(crate) remark: Option<String>,
    pub(crate) models: Vec<Measured>,
}

/// Where it ran.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Seconds since 1970.
    pub(crate) time: u64,
    /// The program was built with optimisations.
    pub(crate) optimised: bool,
}

/// How it was measured.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Method {
    pub(crate) quick: bool,
    /// Before anything counts.
    pub(crate) warm_up_seconds: f64,
    /// What counts, per cell.
    pub(crate) measured_seconds: f64,
    pub(crate) value_bytes: usize,
    /// The server had a core of its own, and the clients another.
    pub(crate) pinned: bool,
}

/// A model, or one of the two triggers of one.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    /// Why there are no numbers.
    pub(crate) skipped: Option<String>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) idle: Option<Idle>,
    pub(crate) calls: Vec<Calls>,
}

/// One load on one fresh server.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Cell {
    /// Clients that ask, each the next request when it has its answer.
    pub(crate) clients: usize,
    /// Whether a further client asks for far more than it reads.
    pub(crate) slow_reader: bool,
    /// Further clients that are connected and say nothing.
    pub(crate) idle_clients: usize,
    /// Clients that had at least one answer while it counted.
    pub(crate) served: usize,
    pub(crate) requests: u64,
    /// Answers that were not the right ones, and connections that broke.
    pub(crate) wrong: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) p999_us: Option<f64>,
    pub(crate) server_cpu_seconds: f64,
    pub(crate) client_cpu_seconds: f64,
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
    pub(crate) threads: u64,
    pub(crate) resident_kib: u64,
}

impl Cell {
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// Whether everybody was served.
    pub(crate) fn holds(&self) -> bool {
        self.served == self.clients && self.wrong == 0
    }

    pub(crate) fn cpu_per_100_000(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.server_cpu_seconds / self.requests as f64 * 100_000.0)
    }

    pub(crate) fn switches_per_request(&self) -> Option<f64> {
        let switches = self.voluntary_switches + self.involuntary_switches;
        (self.requests > 0).then(|| switches as f64 / self.requests as f64)
    }
}

/// A server with many clients that say nothing.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Idle {
    pub(crate) clients: usize,
    /// How many of them the server has accepted.
    pub(crate) accepted: usize,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) switches: u64,
    pub(crate) threads: u64,
    pub(crate) resident_kib: u64,
    /// The same server before anybody came.
    pub(crate) resident_kib_alone: u64,
}

impl Idle {
    pub(crate) fn cpu_percent(&self) -> f64 {
        self.cpu_seconds / self.seconds * 100.0
    }

    pub(crate) fn kib_per_client(&self) -> Option<f64> {
        let more = self.resident_kib.saturating_sub(self.resident_kib_alone);
        (self.accepted > 0).then(|| more as f64 / self.accepted as f64)
    }
}

/// System calls per request, counted by strace(1).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Calls {
    pub(crate) clients: usize,
    /// `None`: not everybody was served.
    pub(crate) per_request: Option<BTreeMap<String, f64>>,
}

impl Calls {
    pub(crate) fn total(&self) -> Option<f64> {
        self.per_request.as_ref().map(|calls| calls.values().sum())
    }
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processors = file("/proc/cpuinfo");
        let processor = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Machine {
            processor: processor.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
            time: since.map_or(0, |since| since.as_secs()),
            optimised: !cfg!(debug_assertions),
        }
    }

    /// The day in the calendar, UTC.
    pub(crate) fn day(&self) -> String {
        // Days since 1970 into a date (H. Hinnant, "chrono-compatible low-level date algorithms").
        let z = self.time / 86_400 + 719_468;
        let (era, day_of_era) = (z / 146_097, z % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        format!("{year}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_days() {
        let day = |time| {
            let machine = Machine {
                time,
                ..Machine::this()
            };
            machine.day()
        };
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(1_735_689_599), "2024-12-31");
        assert_eq!(day(1_735_689_600), "2025-01-01");
    }
}
