include!(concat!(env!("OUT_DIR"), "/macros_select.rs"));
