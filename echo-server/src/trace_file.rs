//! The name of the file of `--trace`, and the format that its ending stands for.

use std::ffi::OsString;
use std::path::PathBuf;

use wakeful_trace::Format;

/// The file of `--trace`, by its ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceFile {
    pub(crate) path: PathBuf,
    /// `None` for a `.wtr` file, which is not converted.
    pub(crate) format: Option<Format>,
}

impl TraceFile {
    /// Parses the argument. The error names what is allowed.
    pub(crate) fn parse(text: OsString) -> Result<TraceFile, String> {
        let path = PathBuf::from(text);
        let format = if path.extension().is_some_and(|ending| ending == "wtr") {
            None
        } else {
            let allowed = |_| "allowed is a file that ends in .html, .json, .svg, .txt or .wtr";
            Some(Format::of_path(&path).map_err(allowed)?)
        };
        Ok(TraceFile { path, format })
    }

    /// Returns the file of a thread, counted from 1: `trace.html`, `trace-2.html`.
    pub(crate) fn of_thread(&self, thread: u32) -> TraceFile {
        let mut file = self.clone();
        if thread > 1 {
            let mut name = self.path.file_stem().unwrap_or_default().to_owned();
            name.push(format!("-{thread}."));
            name.push(self.path.extension().unwrap_or_default());
            file.path.set_file_name(name);
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_selects_the_format_and_each_thread_has_a_file() {
        let parse = |name: &str| TraceFile::parse(name.into());
        let page = parse("a/b.c.html").expect("a page");
        assert_eq!(page.format, Some(Format::Html));
        assert_eq!(page.of_thread(1), page);
        assert_eq!(page.of_thread(2).path, PathBuf::from("a/b.c-2.html"));
        assert_eq!(parse("x.wtr").expect("a recording").format, None);
        for refused in ["x", "x.htm", ".wtr", ""] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }
}
