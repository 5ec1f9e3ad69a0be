//! Copies tokio's test files from cargo's registry and prepares them; see `runner/src/prepare.rs`.

fn main() {
    if let Err(error) = runner::prepare::into_out_dir() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
