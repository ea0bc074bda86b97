//! libFuzzer on [`longwire_fuzz::decode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    longwire_fuzz::decode(data);
});
