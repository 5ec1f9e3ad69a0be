//! B34. Closed twice
//!
//! From: F. Stage: 13.
//! Model: `Table` gives out numbers as the kernel does for descriptors.
//! Input: a connection fails, a new client connects, and then the handler of the first one ends.
//! Bug: closes a, closes b
//! Fix: closes a
//!
//! The error closes the descriptor, and so does the end of the handler. In between the number went to b. A close
//! has to make the number unusable: take it out of its place, or leave it to `Drop`.

use card::Table;

mod bug {
    use super::*;

    pub struct Handler {
        pub fd: usize,
    }

    impl Handler {
        pub fn on_error(&mut self, table: &mut Table) {
            table.close(self.fd);
        }

        pub fn end(self, table: &mut Table) {
            table.close(self.fd);
        }
    }
}

mod fix {
    use super::*;

    pub struct Handler {
        pub fd: Option<usize>,
    }

    impl Handler {
        pub fn on_error(&mut self, table: &mut Table) {
            if let Some(fd) = self.fd.take() {
                table.close(fd);
            }
        }

        pub fn end(mut self, table: &mut Table) {
            self.on_error(table);
        }
    }
}

fn main() {
    card::run(
        &|| {
            let mut table = Table::default();
            let mut handler = bug::Handler { fd: table.open("a") };
            handler.on_error(&mut table);
            table.open("b");
            handler.end(&mut table);
            table.log
        },
        &|| {
            let mut table = Table::default();
            let mut handler = fix::Handler { fd: Some(table.open("a")) };
            handler.on_error(&mut table);
            table.open("b");
            handler.end(&mut table);
            table.log
        },
    );
}
