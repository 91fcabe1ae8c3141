//! Every body that Azure DevOps may answer with.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert_eq!(poolkeeper_azure_devops::fuzzing::parse(bytes), Vec::<String>::new());
});
