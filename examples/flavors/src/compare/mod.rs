//! `flavors compare`.
use crate::args::Compare;
use std::io;
use std::process::ExitCode;
pub(crate) fn compare(_args: &Compare) -> io::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
