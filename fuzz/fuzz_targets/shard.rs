//! libFuzzer on [`longwire_fuzz::shard`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    longwire_fuzz::shard(data);
});
