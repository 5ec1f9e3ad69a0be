//! Reads recordings of the [Wakeful](https://docs.rs/wakeful) runtime, and shows them: as text, as JSON for
//! Perfetto and Chrome, as a static picture, and as one HTML page that needs nothing but a browser.
//!
//! ```
//! # let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small.wtr")).unwrap();
//! use wakeful_trace::{Format, Model, Trace};
//!
//! let trace = Trace::from_bytes(&bytes)?;
//! let model = Model::new(&trace);
//! let slowest = model.longest_polls(1)[0];
//! println!("{} ns", model.polls[slowest].duration());
//!
//! let page: Vec<u8> = Format::Html.render(&trace);
//! # assert!(page.starts_with(b"<!DOCTYPE html>"));
//! # Ok::<(), wakeful_trace::Error>(())
//! ```
//!
//! The format is defined in `docs/TRACE-FORMAT.md` of the repository; the library uses nothing of the
//! runtime. With `default-features = false` it has no dependencies, and the program is not built.
//!
//! Files from the bottom: [`format`](mod@format), `error`, [`read`] and [`live`] (bytes of a file or of a
//! process become events), `merge` (several recordings become one), `words`, [`model`], `build` and `lanes` (events
//! become tasks, polls and waits), [`text`], [`chrome`], `bars` and [`svg`], [`html`], [`table`] (the state at the last
//! event).

#![forbid(unsafe_code)]

mod bars;
mod build;
pub mod chrome;
mod error;
pub mod format;
pub mod html;
mod lanes;
pub mod live;
mod merge;
pub mod model;
mod output;
pub mod read;
pub mod svg;
pub mod table;
pub mod text;
pub mod words;

pub use error::Error;
pub use lanes::Group;
pub use model::Model;
pub use output::Format;
pub use read::{Event, Note, Runtime, Trace};
