//! libFuzzer on [`longwire_fuzz::client`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    longwire_fuzz::client(data);
});
