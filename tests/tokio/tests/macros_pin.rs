include!(concat!(env!("OUT_DIR"), "/macros_pin.rs"));
