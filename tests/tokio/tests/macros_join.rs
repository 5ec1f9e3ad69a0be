include!(concat!(env!("OUT_DIR"), "/macros_join.rs"));
