//! B16. Two owners of one descriptor
//!
//! From: V. Stage: 5.
//! Model: `Table` gives out numbers as the kernel does for descriptors.
//! Input: two handlers of client a end, and client b connects in between.
//! Bug: closes a, closes b
//! Fix: closes a
//!
//! Each handler closes the descriptor when it ends. After the first close its number belongs to b, and the
//! second close ends the connection of b. One owner closes; in Rust that is a type with `Drop`.

use std::cell::RefCell;
use std::rc::Rc;

use card::Table;

type Handlers = [Box<dyn FnOnce()>; 2];

mod bug {
    use super::*;

    pub fn handlers(table: &Rc<RefCell<Table>>) -> Handlers {
        let fd = table.borrow_mut().open("a");
        let handler = || {
            let table = Rc::clone(table);
            Box::new(move || table.borrow_mut().close(fd)) as Box<dyn FnOnce()>
        };
        [handler(), handler()]
    }
}

mod fix {
    use super::*;

    struct Connection {
        table: Rc<RefCell<Table>>,
        fd: usize,
    }

    impl Drop for Connection {
        fn drop(&mut self) {
            self.table.borrow_mut().close(self.fd);
        }
    }

    pub fn handlers(table: &Rc<RefCell<Table>>) -> Handlers {
        let fd = table.borrow_mut().open("a");
        let first = Rc::new(Connection { table: Rc::clone(table), fd });
        let second = Rc::clone(&first);
        [Box::new(move || drop(first)), Box::new(move || drop(second))]
    }
}

fn input(handlers: fn(&Rc<RefCell<Table>>) -> Handlers) -> String {
    let table = Rc::new(RefCell::new(Table::default()));
    let [first, second] = handlers(&table);
    first();
    table.borrow_mut().open("b");
    second();
    let log = table.borrow().log.clone();
    log
}

fn main() {
    card::run(&|| input(bug::handlers), &|| input(fix::handlers));
}
