include!(concat!(env!("OUT_DIR"), "/io_driver.rs"));
