//! B41. The wake that replaces an answer
//!
//! From: evio. Stage: 3.
//! Input: "hello " is not sent yet when a wake adds "world".
//! Bug: "world"
//! Fix: "hello world"
//!
//! Two sources write into one place, and the second one replaces what the first has left there. A place for one
//! value needs a rule for the second one. Output is a queue: append. A waker is a value: the newest one replaces
//! the older.

mod bug {
    #[derive(Default)]
    pub struct Connection {
        out: Vec<u8>,
    }

    impl Connection {
        pub fn wake(&mut self, answer: &[u8]) {
            self.out = answer.to_vec();
        }

        pub fn send(&mut self) -> Vec<u8> {
            std::mem::take(&mut self.out)
        }
    }
}

mod fix {
    #[derive(Default)]
    pub struct Connection {
        out: Vec<u8>,
    }

    impl Connection {
        pub fn wake(&mut self, answer: &[u8]) {
            self.out.extend_from_slice(answer);
        }

        pub fn send(&mut self) -> Vec<u8> {
            std::mem::take(&mut self.out)
        }
    }
}

fn main() {
    card::run(
        &|| {
            let mut connection = bug::Connection::default();
            connection.wake(b"hello ");
            connection.wake(b"world");
            format!("{:?}", String::from_utf8_lossy(&connection.send()))
        },
        &|| {
            let mut connection = fix::Connection::default();
            connection.wake(b"hello ");
            connection.wake(b"world");
            format!("{:?}", String::from_utf8_lossy(&connection.send()))
        },
    );
}
