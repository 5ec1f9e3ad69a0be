include!(concat!(env!("OUT_DIR"), "/tcp_echo.rs"));
