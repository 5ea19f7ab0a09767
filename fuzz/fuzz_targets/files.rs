//! libFuzzer draws files: the first byte says which parser reads the rest.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recert_fuzz::mutate::{KINDS, read};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, file)) = bytes.split_first() else {
        return;
    };
    let folder = tempfile::tempdir().expect("there is room for a file");
    let kind = KINDS[usize::from(*first) % KINDS.len()];
    read(kind, file, folder.path()).expect("the file can be written");
});
