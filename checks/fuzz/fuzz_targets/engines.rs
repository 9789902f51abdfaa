//! The tile machine gives the bits of the reference interpreter, whatever the bytes.

#![no_main]

use symopt_testing::case::Case;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(difference) = Case::decode(bytes).check() {
        panic!("{difference}");
    }
});
