//! B11. The descriptor's number as a name
//!
//! From: K. Stage: 13.
//! Model: `Table` gives out numbers as the kernel does for descriptors; the events are a list.
//! Input: two events in one batch; the handler of the first closes the connection of the second.
//! Bug: the event of b was given to c
//! Fix: the event of b was given to none
//!
//! The kernel gives a new descriptor the lowest vacant number. So c gets the number of b, and the event that
//! is still in the batch finds the wrong connection. A key with a generation finds none.

use card::Table;

mod bug {
    use super::*;

    /// The key of each event is the number of the descriptor.
    pub fn batch(table: &mut Table, names: &mut Vec<&'static str>) -> String {
        let events = [0, 1];
        let mut given = "none";
        for fd in events {
            if fd == 0 {
                table.close(1);
                let c = table.open("c");
                names[c] = "c";
            } else {
                given = names[fd];
            }
        }
        format!("the event of b was given to {given}")
    }
}

mod fix {
    use super::*;

    /// The key of each event is the number and a generation, which grows with each close.
    pub fn batch(table: &mut Table, names: &mut Vec<&'static str>) -> String {
        let events = [(0, 0), (1, 0)];
        let mut generations = [0, 0];
        let mut given = "none";
        for (fd, generation) in events {
            if fd == 0 {
                table.close(1);
                generations[1] += 1;
                let c = table.open("c");
                names[c] = "c";
            } else if generations[fd] == generation {
                given = names[fd];
            }
        }
        format!("the event of b was given to {given}")
    }
}

fn input(batch: fn(&mut Table, &mut Vec<&'static str>) -> String) -> String {
    let mut table = Table::default();
    table.open("a");
    table.open("b");
    batch(&mut table, &mut vec!["a", "b"])
}

fn main() {
    card::run(&|| input(bug::batch), &|| input(fix::batch));
}
