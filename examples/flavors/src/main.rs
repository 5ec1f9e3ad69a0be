//! The program `flavors`. The code is in the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    flavors::run()
}
