//! Recordings of processes: finds them through `/proc`, copies them while the runtime goes on, and asks for
//! keyframes.
//!
//! Nothing is mapped: `pread` of a `memfd` or of a file copies the same memory, and the library needs no
//! `unsafe`. Nothing but the word `request` is written.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::Error;
use crate::format::{EVENT, HEADER, MAGIC, at};
use crate::read::{Trace, u32_at, u64_at};

/// Time between two looks for a keyframe, and how many looks have to find the loop parked in the same turn.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
const IDLE_LOOKS: u32 = 40;

/// A recording that can change.
#[derive(Debug)]
pub struct Live {
    file: File,
    path: PathBuf,
    writable: bool,
}

impl Live {
    /// Opens a recording: a file, or `/proc/PID/fd/N`.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or is no regular file. Whether it is a recording is checked by
    /// [`read`](Self::read).
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::Io("open", path.to_owned(), error);
        // A pipe or a terminal would block.
        let metadata = fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            let kind = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
            return Err(failed(kind));
        }
        let (file, writable) = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => (file, true),
            Err(_) => (File::open(path).map_err(failed)?, false),
        };
        Ok(Self {
            file,
            path: path.to_owned(),
            writable,
        })
    }

    /// Copies the recording.
    ///
    /// # Errors
    ///
    /// As for [`Trace::from_bytes`], or a read fails.
    pub fn read(&self) -> Result<Trace, Error> {
        let failed = |error| Error::Io("read", self.path.clone(), error);
        let mut bytes = vec![0; HEADER];
        let size = read_at(&self.file, &mut bytes, 0).map_err(failed)?;
        bytes.truncate(size);
        // A large file that is no recording, or has something behind it, is not read as a whole.
        Trace::from_bytes(&bytes)?;
        let ring = u64_at(&bytes, at::CAPACITY).saturating_mul(EVENT as u64);
        let end = u64_at(&bytes, at::EVENTS).saturating_add(ring);
        let size = self.file.metadata().map_err(failed)?.len().min(end);
        bytes.resize((size as usize).max(HEADER), 0);
        let size = read_at(&self.file, &mut bytes, 0).map_err(failed)?;
        bytes.truncate(size);
        if size < HEADER {
            return Trace::from_bytes(&bytes);
        }
        // The events were copied after the first head. Later texts belong to events that are not used.
        self.settle(&mut bytes).map_err(failed)?;
        let mut head = [0; 8];
        read_at(&self.file, &mut head, at::HEAD as u64).map_err(failed)?;
        Trace::from_copy(&bytes, u64::from_le_bytes(head))
    }

    /// Replaces the calibration by one whose two words belong together.
    fn settle(&self, bytes: &mut [u8]) -> io::Result<()> {
        for _ in 0..16 {
            let (mut one, mut two) = ([0; 16], [0; 16]);
            read_at(&self.file, &mut one, at::CALIBRATION_TICKS as u64)?;
            read_at(&self.file, &mut two, at::CALIBRATION_TICKS as u64)?;
            if one == two {
                bytes[at::CALIBRATION_TICKS..at::CALIBRATION_TICKS + 16].copy_from_slice(&one);
                break;
            }
        }
        Ok(())
    }

    /// Asks for a keyframe and waits until it is written, at most for `limit`. Returns whether it was: a loop that
    /// is stuck writes none, nor does one that waits in `epoll_wait`, for which the call does not wait long. Returns
    /// `None` if the file cannot be written.
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request).
    pub fn keyframe(&self, limit: Duration) -> Result<Option<bool>, Error> {
        let Some(request) = self.request()? else {
            return Ok(None);
        };
        let end = Instant::now() + limit;
        let (mut before, mut idle) = (None, 0);
        loop {
            let answered = self.answered()? == request;
            if answered || idle >= IDLE_LOOKS || Instant::now() >= end {
                return Ok(Some(answered));
            }
            let parked = self.parked()?;
            idle = match parked.is_some() && parked == before {
                true => idle + 1,
                false => 0,
            };
            before = parked;
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// Asks for a keyframe. Returns its number, or `None` if the file cannot be written.
    ///
    /// # Errors
    ///
    /// The word cannot be read or written.
    pub fn request(&self) -> Result<Option<u32>, Error> {
        if !self.writable {
            return Ok(None);
        }
        let failed = |error| Error::Io("ask for a keyframe in", self.path.clone(), error);
        let mut word = [0; 4];
        read_at(&self.file, &mut word, at::REQUEST as u64).map_err(failed)?;
        let request = u32_at(&word, 0).wrapping_add(1);
        let bytes = request.to_le_bytes();
        self.file
            .write_all_at(&bytes, at::REQUEST as u64)
            .map_err(failed)?;
        Ok(Some(request))
    }

    /// Returns the number of events so far if the loop is parked.
    fn parked(&self) -> Result<Option<u64>, Error> {
        let failed = |error| Error::Io("read", self.path.clone(), error);
        let (mut state, mut head) = ([0; 4], [0; 8]);
        read_at(&self.file, &mut state, at::LOOP_STATE as u64).map_err(failed)?;
        read_at(&self.file, &mut head, at::HEAD as u64).map_err(failed)?;
        Ok((u32_at(&state, 0) == 1).then(|| u64::from_le_bytes(head)))
    }

    /// Returns the number of the last keyframe that was written.
    ///
    /// # Errors
    ///
    /// The word cannot be read.
    pub fn answered(&self) -> Result<u32, Error> {
        let mut word = [0; 4];
        read_at(&self.file, &mut word, at::ANSWERED as u64)
            .map_err(|error| Error::Io("read", self.path.clone(), error))?;
        Ok(u32_at(&word, 0))
    }
}

/// Reads as much as there is.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(size) => done += size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Reads a recording from a file.
///
/// # Errors
///
/// The file cannot be read, or is no recording.
pub fn open(path: &Path) -> Result<Trace, Error> {
    Live::open(path)?.read()
}

/// Returns the paths of the recordings that a process has open, ordered by the number of the runtime.
///
/// # Errors
///
/// The process does not exist, its descriptors cannot be listed, or none of them is a recording.
pub fn of_process(pid: u32) -> Result<Vec<PathBuf>, Error> {
    let folder = PathBuf::from(format!("/proc/{pid}/fd"));
    let failed = |error| Error::Io("list the descriptors in", folder.clone(), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let Ok(entry) = entry else {
            continue;
        };
        if let Some(runtime) = runtime_of(&entry.path()) {
            found.push((runtime, entry.path()));
        }
    }
    // Two descriptors can be open for one recording.
    found.sort();
    found.dedup_by_key(|(runtime, _)| *runtime);
    match found.is_empty() {
        true => Err(Error::NoRecording(pid)),
        false => Ok(found.into_iter().map(|(_, path)| path).collect()),
    }
}

/// Returns the number of the runtime if a file is a recording.
fn runtime_of(path: &Path) -> Option<u64> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut header = [0; 32];
    let size = read_at(&File::open(path).ok()?, &mut header, 0).ok()?;
    (size == header.len() && header[..8] == MAGIC).then(|| u64_at(&header, at::RUNTIME))
}

/// Returns the state of the loop's thread in words, if the process that wrote the recording lives.
pub fn thread_state(trace: &Trace) -> Option<String> {
    let (pid, thread) = (trace.pid, trace.published.thread);
    let task = format!("/proc/{pid}/task/{thread}");
    let stat = fs::read_to_string(format!("{task}/stat")).ok()?;
    // The name of the program is in parentheses, and can contain some.
    let fields: Vec<&str> = stat.rsplit(") ").next()?.split(' ').collect();
    let started: u64 = fields.get(19)?.parse().ok()?;
    if started_at(started)? > trace.wall_clock / 1_000_000_000 + 2 {
        // Another process has got the id of one that has ended.
        return None;
    }
    let state = match *fields.first()? {
        "R" => "runs",
        "S" => "sleeps",
        "D" => "waits for a device",
        "T" | "t" => "is stopped",
        "Z" | "X" => return None,
        _ => "exists",
    };
    let place = fs::read_to_string(format!("{task}/wchan")).unwrap_or_default();
    Some(match place.trim() {
        "" | "0" => format!("its thread {state}"),
        place => format!("its thread {state} in {place}"),
    })
}

/// Returns the seconds since 1970 at which a thread was started, from field 22 of its `stat`. See proc(5): the
/// unit is a hundredth of a second on all architectures that Linux supports today.
fn started_at(hundredths: u64) -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<u64>().ok()? + hundredths / 100)
}

/// Returns the nanoseconds between the last event and now. The clock of the wall is used, so an adjustment of
/// it is part of the result. Returns `None` if the times are those of another clock.
pub fn age(trace: &Trace) -> Option<u64> {
    if trace.virtual_clock {
        return None;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_nanos() as u64);
    Some(now.saturating_sub(trace.wall_clock.saturating_add(trace.end())))
}
