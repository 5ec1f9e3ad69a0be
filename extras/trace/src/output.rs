//! The formats that a recording is converted to.

use std::ffi::OsStr;
use std::path::Path;

use crate::error::Error;
use crate::model::Model;
use crate::read::Trace;
use crate::{chrome, html, svg, text};

/// A format to which a recording is converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A summary, and one line per event.
    Text,
    /// JSON for Perfetto and Chrome.
    Chrome,
    /// A picture.
    Svg,
    /// One page with everything in it.
    Html,
}

impl Format {
    /// Returns the format for a file's name: `.txt`, `.json`, `.svg` or `.html`.
    ///
    /// # Errors
    ///
    /// The name has another ending.
    pub fn of_path(path: &Path) -> Result<Self, Error> {
        match path.extension().and_then(OsStr::to_str) {
            Some("txt") => Ok(Self::Text),
            Some("json") => Ok(Self::Chrome),
            Some("svg") => Ok(Self::Svg),
            Some("html") => Ok(Self::Html),
            _ => Err(Error::Ending(path.display().to_string())),
        }
    }

    /// Returns the recording in this format.
    pub fn render(self, trace: &Trace) -> Vec<u8> {
        let model = Model::new(trace);
        let text = match self {
            Self::Text => text::render(trace, &model),
            Self::Chrome => chrome::render(trace, &model),
            Self::Svg => svg::render(trace, &model),
            Self::Html => html::render(trace, &model),
        };
        text.into_bytes()
    }
}
