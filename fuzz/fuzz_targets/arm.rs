//! Every body that Azure Resource Manager may answer with, and every id.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert_eq!(poolkeeper_azure::fuzzing::parse(bytes), Vec::<String>::new());
});
