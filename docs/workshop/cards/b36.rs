//! B36. A start that fails leaks
//!
//! From: F. Stage: 11.
//! Model: `Table` gives out numbers as the kernel does for descriptors; listen(2) is a constant.
//! Input: the port is in use, and the program tries five times.
//! Bug: 5 descriptors are left
//! Fix: 0 descriptors are left
//!
//! The function returns the error without closing its socket. Each way out has to close what was opened: a value
//! with `Drop` does so. Without `SO_REUSEADDR` a restart meets this error for a minute.

use card::Table;

/// What the kernel says: listen(2) on this port.
const IN_USE: Result<(), &str> = Err("Address already in use");

mod bug {
    use super::*;

    pub fn start(table: &mut Table) -> Result<usize, &'static str> {
        let fd = table.open("listener");
        IN_USE?;
        Ok(fd)
    }
}

mod fix {
    use super::*;

    pub fn start(table: &mut Table) -> Result<usize, &'static str> {
        let fd = table.open("listener");
        match IN_USE {
            Ok(()) => Ok(fd),
            Err(error) => {
                table.close(fd);
                Err(error)
            }
        }
    }
}

fn input(start: fn(&mut Table) -> Result<usize, &'static str>) -> String {
    let mut table = Table::default();
    for _ in 0..5 {
        start(&mut table).unwrap_err();
    }
    format!("{} descriptors are left", table.count())
}

fn main() {
    card::run(&|| input(bug::start), &|| input(fix::start));
}
