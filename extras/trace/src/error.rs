//! Why a recording cannot be read.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Reason for which a recording cannot be read or written.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are shorter than a header.
    TooShort(usize),
    /// The first eight bytes are not those of a recording.
    NotARecording,
    /// Another version of the format.
    Format(u32),
    /// A field of the header has a value that no writer stores. The text names field and value.
    Header(String),
    /// A system call failed: what was attempted, on which file, and the cause.
    Io(&'static str, PathBuf, io::Error),
    /// The process has no recording.
    NoRecording(u32),
    /// The ending of a file's name is none of the known ones.
    Ending(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(size) => write!(
                f,
                "not a recording: it has {size} bytes, and the header alone has {}",
                crate::format::HEADER
            ),
            Self::NotARecording => {
                f.write_str("not a recording: it does not begin with \"WAKEFUL\\0\"")
            }
            Self::Format(found) => write!(
                f,
                "written by format {found}, this reads {}",
                crate::format::FORMAT
            ),
            Self::Header(what) => write!(f, "damaged header: {what}"),
            Self::Io(operation, path, error) => {
                write!(f, "cannot {operation} {}: {error}", path.display())
            }
            Self::NoRecording(pid) => write!(
                f,
                "process {pid} has no recording open; start it with a recording \
                 (Builder::record, or echo-server --trace FILE)"
            ),
            Self::Ending(name) => write!(
                f,
                "{name:?} has none of the endings .txt, .json, .svg, .html"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, _, error) => Some(error),
            _ => None,
        }
    }
}
