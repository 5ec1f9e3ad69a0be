include!(concat!(env!("OUT_DIR"), "/macros_rename_test.rs"));
