#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| session_gateway::fuzzing::proxy_header(data));
