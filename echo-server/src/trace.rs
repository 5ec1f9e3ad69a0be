//! The recording of `--trace`: when it begins, and how it becomes a file.
//!
//! Called by [`crate::setup`], which starts it with the runtime, and by [`crate::workers`] and
//! [`crate::program`] for SIGUSR2 and at the end. A `.wtr` file is the recording itself and is up to date
//! at any time. The other formats are converted from a copy, on a thread of the blocking pool while the
//! server runs.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use tracing::{error, info};
use wakeful::task::spawn_blocking;
use wakeful::trace::{self, Recording};
use wakeful_trace::Trace;

use crate::args::Args;
use crate::log::REPORT;
use crate::trace_file::TraceFile;

/// Returns the recording for the runtime of a thread, if `--trace` was given.
///
/// # Errors
///
/// The file cannot be written, which is reported now and not at the end.
pub(crate) fn recording(args: &Args, thread: u32) -> io::Result<Option<Recording>> {
    let Some(file) = &args.trace else {
        return Ok(None);
    };
    let file = file.of_thread(thread);
    let recording = Recording::new().events(args.trace_events as usize);
    if file.format.is_none() {
        return Ok(Some(recording.file(&file.path)));
    }
    let opened = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file.path);
    opened.map_err(|error| {
        let message = format!(
            "the trace cannot be written to {}: {error}",
            file.path.display()
        );
        io::Error::new(error.kind(), message)
    })?;
    Ok(Some(recording))
}

/// Writes what this thread has recorded so far, without holding up its connections.
pub(crate) fn write(args: &Args, thread: u32) {
    if let Some((file, bytes)) = copy(args, thread) {
        // The task logs how it ended.
        drop(spawn_blocking(move || convert(&file, &bytes)));
    }
}

/// Writes what this thread has recorded, at its end.
pub(crate) fn finish(args: &Args, thread: u32) {
    if let Some((file, bytes)) = copy(args, thread) {
        convert(&file, &bytes);
    }
}

/// Copies the recording of this thread. `None` if there is nothing to convert.
fn copy(args: &Args, thread: u32) -> Option<(TraceFile, Vec<u8>)> {
    let file = args.trace.as_ref()?.of_thread(thread);
    if file.format.is_none() {
        log_written(&file.path);
        return None;
    }
    Some((file, trace::snapshot()?))
}

fn convert(file: &TraceFile, bytes: &[u8]) {
    let path = &file.path;
    let Some(format) = file.format else { return };
    let converted = match Trace::from_bytes(bytes) {
        Ok(trace) => format.render(&trace),
        Err(error) => {
            error!(file = %path.display(), %error, "reading the recording failed");
            return;
        }
    };
    match std::fs::write(path, converted) {
        Ok(()) => log_written(path),
        Err(error) => error!(file = %path.display(), %error, "writing the trace failed"),
    }
}

fn log_written(path: &Path) {
    info!(target: REPORT, file = %path.display(), "trace written");
}
