//! The results of a comparison, as stored in raw.json.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

/// Results of a run of `flavors compare`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Comparison {
    pub(crate) machine: Machine,
    pub(crate) method: Method,
    /// The argument of `--remark`.
    pub(crate) remark: Option<String>,
    pub(crate) models: Vec<Measured>,
}

/// The machine of a run.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Seconds since 1970.
    pub(crate) time: u64,
    /// Whether the program was built with optimizations.
    pub(crate) optimized: bool,
}

/// The parameters of a run.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Method {
    pub(crate) quick: bool,
    /// Time of load before the measurement.
    pub(crate) warm_up_seconds: f64,
    /// Time of the measurement, per cell.
    pub(crate) measured_seconds: f64,
    pub(crate) value_bytes: usize,
    /// Whether the server and the clients each had a separate core.
    pub(crate) pinned: bool,
}

/// Results of a model, or of one of its trigger modes.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    /// Reason why the model was not measured.
    pub(crate) skipped: Option<String>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) idle: Option<Idle>,
    pub(crate) calls: Vec<Calls>,
}

/// Results of one load on a newly started server.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Cell {
    /// Number of clients, each with one request in flight.
    pub(crate) clients: usize,
    /// Whether a further client requested data and did not read it.
    pub(crate) slow_reader: bool,
    /// Number of further clients that were connected and sent nothing.
    pub(crate) idle_clients: usize,
    /// Number of clients with at least one answer during the measurement.
    pub(crate) served: usize,
    pub(crate) requests: u64,
    /// Number of wrong answers and failed connections.
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

    /// Returns whether every client was served, without a wrong answer.
    pub(crate) fn all_served(&self) -> bool {
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

/// Results of a server with many idle clients.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Idle {
    pub(crate) clients: usize,
    /// Number of clients that the server accepted.
    pub(crate) accepted: usize,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) switches: u64,
    pub(crate) threads: u64,
    pub(crate) resident_kib: u64,
    /// Resident memory before the clients connected.
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
    /// Calls per request by name, or `None` if not every client was served.
    pub(crate) per_request: Option<BTreeMap<String, f64>>,
}

impl Calls {
    pub(crate) fn total(&self) -> Option<f64> {
        self.per_request.as_ref().map(|calls| calls.values().sum())
    }
}

impl Machine {
    /// Returns the description of this machine, at this time.
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
            optimized: !cfg!(debug_assertions),
        }
    }

    /// Returns the date of the run in UTC.
    pub(crate) fn day(&self) -> String {
        // From days since 1970 (H. Hinnant, "chrono-compatible low-level date algorithms").
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
    fn seconds_are_converted_to_a_date() {
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
