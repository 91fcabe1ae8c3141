//! The headers of any answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert_eq!(poolkeeper_rest::fuzzing::parse(bytes), Vec::<String>::new());
});
