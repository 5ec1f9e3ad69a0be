//! The settings of a recording.

use std::path::{Path, PathBuf};

/// Events of the ring, unless set: 1 MiB.
const EVENTS: usize = 1 << 16;
/// Limits of the number of events.
const FEWEST: usize = 1 << 6;
const MOST: usize = 1 << 26;
/// Bytes of the texts area.
const TEXTS: usize = 1 << 18;

/// The settings of a recording: its size, and where it is kept.
///
/// # Examples
///
/// ```
/// use wakeful::runtime::Builder;
/// use wakeful::trace::{self, Recording};
///
/// let runtime = Builder::new().record(Recording::new().events(1 << 12)).build()?;
/// runtime.block_on(async {
///     wakeful::spawn(async { trace::mark("here") }).await.unwrap();
///     let bytes = trace::snapshot().expect("this runtime records");
///     assert!(bytes.starts_with(b"WAKEFUL\0"));
/// });
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a recording begins with `Builder::record` or `trace::start`"]
pub struct Recording {
    pub(crate) path: Option<PathBuf>,
    pub(crate) events: usize,
    pub(crate) texts: usize,
}

impl Recording {
    /// Returns the settings of a recording of 65,536 events in memory.
    pub fn new() -> Self {
        Recording {
            path: None,
            events: EVENTS,
            texts: TEXTS,
        }
    }

    /// Sets how many events are kept. When there are more, the oldest ones are overwritten.
    ///
    /// # Units
    ///
    /// Events of 16 bytes, rounded up to a power of two. The default is 65,536, which is 1 MiB; the range is 64
    /// to 67,108,864. A busy server writes some ten events per message.
    pub fn events(mut self, events: usize) -> Self {
        self.events = events.clamp(FEWEST, MOST).next_power_of_two();
        self
    }

    /// Keeps the recording in a file. It is written all the time, so it is there after a crash.
    ///
    /// The file is created when the recording begins, with its whole size, and readable by its owner only. A
    /// regular file with this path is replaced. Each runtime needs a path of its own. Do not shorten the file
    /// while it is written: the kernel would end the process with `SIGBUS`.
    ///
    /// Without a path the recording ends with its runtime; until then others can read it in
    /// `/proc/PID/fd`.
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.path = Some(path.as_ref().to_owned());
        self
    }
}

impl Default for Recording {
    fn default() -> Self {
        Self::new()
    }
}
