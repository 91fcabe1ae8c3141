//! Every answer to a token request, and certificates with their keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert_eq!(poolkeeper_azure::fuzzing::parse_entra(bytes), Vec::<String>::new());
});
