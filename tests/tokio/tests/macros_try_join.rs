include!(concat!(env!("OUT_DIR"), "/macros_try_join.rs"));
