//! Recordings of the runtimes of all hosts, and what happened to the hosts, on the time of the simulation.
//!
//! ```text
//!   a runtime is built --> a file, into which it is recorded
//!                            | the host crashes, its program ends, or the run is over
//!                            v
//!                          read and removed: what the program does afterwards is not in it
//! ```
//!
//! Only the run that is made for a timeline has recordings. They are files, because a program that builds its own
//! runtimes can drop them before anything could copy their memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs, process};

use wakeful_trace::live::Live;
use wakeful_trace::{Note, Trace};

use super::Net;
use super::clock::{self, Clock};
use super::hosts::{HostId, Lan};

/// The most characters of a note.
const NOTE: usize = 100;

/// What is recorded of a run.
#[derive(Default)]
pub(crate) struct Recordings {
    open: Vec<Open>,
    /// Those that have ended.
    ended: Vec<(HostId, Trace)>,
    notes: Vec<Note>,
    /// The crashes and partitions that last, with their begins.
    lasting: BTreeMap<Fault, u64>,
}

/// A crash or a partition: a host, and the text about it.
type Fault = (HostId, String);

/// A recording that is written.
struct Open {
    host: HostId,
    file: PathBuf,
    /// What the clock of the host showed at its begin.
    shown_ns: u64,
    /// The clocks that the host has had since then.
    clocks: Vec<Clock>,
}

impl Open {
    /// Reads the recording up to a time of the simulation.
    fn read(&self, until_ns: u64) -> Option<Trace> {
        // A runtime that could not be built has none.
        let mut trace = Live::open(&self.file).ok()?.read().ok()?;
        trace.map_times(|ns| {
            let shown_ns = self.shown_ns.saturating_add(ns);
            clock::when(&self.clocks, shown_ns).min(until_ns)
        });
        if !trace.ended {
            trace.runtimes[0].end = until_ns;
        }
        Some(trace)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        fs::remove_file(&self.file).ok();
    }
}

impl Net {
    /// Begins the recording of a runtime that a host builds, if the run is recorded. Returns its file.
    pub(crate) fn record(&mut self, host: HostId) -> Option<PathBuf> {
        static FILES: AtomicU64 = AtomicU64::new(0);
        let shown_ns = self.host_now_ns(host);
        let clock = self.lan.hosts.get(host)?.clock;
        let recordings = self.lan.recordings.as_mut()?;
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("wakeful-sim-{}-{number}.wtr", process::id());
        let file = env::temp_dir().join(name);
        recordings.open.push(Open {
            host,
            file: file.clone(),
            shown_ns,
            clocks: vec![clock],
        });
        Some(file)
    }

    /// Ends the recordings of a host's runtimes.
    pub(crate) fn end_recordings(&mut self, host: HostId) {
        let now_ns = self.now_ns;
        let Some(recordings) = &mut self.lan.recordings else {
            return;
        };
        for open in recordings.open.extract_if(.., |open| open.host == host) {
            let trace = open.read(now_ns);
            recordings.ended.extend(trace.map(|trace| (host, trace)));
        }
    }

    /// Notes that a host has another clock.
    pub(super) fn note_clock(&mut self, host: HostId, clock: Clock) {
        let recordings = self.lan.recordings.iter_mut();
        let open = recordings.flat_map(|recordings| &mut recordings.open);
        for open in open.filter(|open| open.host == host) {
            open.clocks.push(clock);
        }
    }

    /// Notes something that has happened to a host, or to the test.
    pub(crate) fn note_for_timeline(&mut self, name: &str, text: &str) {
        if let Some(recordings) = &mut self.lan.recordings {
            let line = text.lines().next().unwrap_or_default();
            let text = line.chars().take(NOTE).collect();
            recordings.notes.push(Note {
                name: name.to_owned(),
                begin: self.now_ns,
                end: self.now_ns,
                text,
            });
        }
    }

    /// Notes which crashes and partitions have begun or ended.
    pub(crate) fn note_faults(&mut self) {
        if self.lan.recordings.is_none() {
            return;
        }
        let faults = self.lan.faults();
        self.end_faults(|fault| !faults.contains(fault));
        if let Some(recordings) = &mut self.lan.recordings {
            for fault in faults {
                recordings.lasting.entry(fault).or_insert(self.now_ns);
            }
        }
    }

    fn end_faults(&mut self, has_ended: impl Fn(&Fault) -> bool) {
        let Some(recordings) = &mut self.lan.recordings else {
            return;
        };
        let now_ns = self.now_ns;
        recordings.lasting.retain(|fault, begin| {
            let ends = has_ended(fault);
            if ends {
                recordings.notes.push(Note {
                    name: self.lan.hosts[fault.0].name.clone(),
                    begin: *begin,
                    end: now_ns,
                    text: fault.1.clone(),
                });
            }
            !ends
        });
    }

    /// Ends all recordings and returns them as one. `None` if the run is not recorded.
    pub(crate) fn take_timeline(&mut self) -> Option<Trace> {
        for host in 0..self.lan.hosts.len() {
            self.end_recordings(host);
        }
        self.end_faults(|_| true);
        let mut recordings = self.lan.recordings.take()?;
        recordings.ended.sort_by_key(|(host, _)| *host);
        let hosts = &self.lan.hosts;
        let ended = recordings.ended.into_iter();
        let mut trace = Trace::merge(ended.map(|(host, trace)| (hosts[host].name.clone(), trace)))?;
        trace.notes = recordings.notes;
        trace.notes.sort_by_key(|note| note.begin);
        Some(trace)
    }
}

impl Lan {
    /// Returns the faults that last now, with the hosts that they concern.
    fn faults(&self) -> BTreeSet<Fault> {
        let down = (0..self.hosts.len()).filter(|host| !self.hosts[*host].is_up);
        let mut faults: BTreeSet<_> = down.map(|host| (host, "crashed".to_owned())).collect();
        for (one, other) in self.cut_pairs() {
            for (host, to) in [(one, other), (other, one)] {
                faults.insert((host, format!("no way to {}", self.hosts[to].name)));
            }
        }
        faults
    }
}
