include!(concat!(env!("OUT_DIR"), "/io_driver_drop.rs"));
