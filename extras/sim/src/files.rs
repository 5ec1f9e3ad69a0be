//! Files of a report: the tape and the timeline of a test that has failed, in the folder `wakeful-sim` of cargo's
//! target directory.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// A file of each target directory, written by cargo.
const TAG: &str = "CACHEDIR.TAG";

/// Writes a file for a test and returns its path, as it is displayed: relative to the current directory if it is in
/// that, otherwise absolute. A test program finds it in both forms.
pub(crate) fn write(test: &str, ending: &str, bytes: &[u8]) -> io::Result<String> {
    let program = env::current_exe().ok();
    let here = env::current_dir().ok();
    let folder = target(program.as_deref(), here.as_deref()).join("wakeful-sim");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}.{ending}", name(test)));
    // Another process can run the same test.
    let part = folder.join(format!("{}.{}", name(test), std::process::id()));
    fs::write(&part, bytes)?;
    fs::rename(&part, &path)?;
    let shown = here.and_then(|here| path.strip_prefix(here).ok());
    Ok(shown.unwrap_or(&path).display().to_string())
}

/// Returns the target directory in which the program is, else that of the current directory or of one above it, else
/// the folder for temporary files. No variable of cargo names it for every kind of test.
fn target(program: Option<&Path>, here: Option<&Path>) -> PathBuf {
    let around = program.into_iter().flat_map(Path::ancestors);
    let mut around = around.map(Path::to_owned);
    let below = here.into_iter().flat_map(Path::ancestors);
    let mut below = below.map(|folder| folder.join("target"));
    let is_target = |folder: &PathBuf| folder.join(TAG).is_file();
    around
        .find(is_target)
        .or_else(|| below.find(is_target))
        .unwrap_or_else(env::temp_dir)
}

/// Returns the name of a test as that of a file.
fn name(test: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = test.replace("::", "-");
    name.replace(|c: char| !is_plain(c), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_test_is_one_file() {
        assert_eq!(name("bank::never_hangs"), "bank-never_hangs");
        assert_eq!(name("../a b/é"), "___a_b__");
    }

    #[test]
    fn the_target_directory_is_found_by_its_tag() {
        let folder = env::temp_dir().join(format!("wakeful-sim-{}", std::process::id()));
        let (target_1, target_2) = (folder.join("one"), folder.join("crates/target"));
        fs::create_dir_all(target_1.join("debug/deps")).unwrap();
        fs::create_dir_all(folder.join("crates/member")).unwrap();
        fs::create_dir_all(&target_2).unwrap();
        let program = target_1.join("debug/deps/test-0123");
        let here = folder.join("crates/member");
        fs::write(target_2.join(TAG), "").unwrap();
        assert_eq!(target(Some(&program), Some(&here)), target_2);
        fs::write(target_1.join(TAG), "").unwrap();
        assert_eq!(target(Some(&program), Some(&here)), target_1);
        assert_eq!(target(None, None), env::temp_dir());
        fs::remove_dir_all(&folder).unwrap();
    }
}
