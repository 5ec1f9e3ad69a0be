include!(concat!(env!("OUT_DIR"), "/macros_test.rs"));
