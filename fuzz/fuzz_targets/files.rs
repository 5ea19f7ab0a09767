//! libFuzzer draws files for a parser: the one that the variable `RECERT_FUZZ_KIND` names or,
//! without it, the one that the first byte says.
//!
//! With the variable `RECERT_FUZZ_SOUND` it first writes the sound files of that kind to the folder of
//! that name, for a corpus to begin from.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use recert_fuzz::mutate::{Kind, read};
use recert_fuzz::sound::{count, sound};

static KIND: OnceLock<Option<Kind>> = OnceLock::new();
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

fn kind() -> Option<Kind> {
    *KIND.get_or_init(|| {
        let name = std::env::var("RECERT_FUZZ_KIND").ok()?;
        Some(Kind::named(&name).expect("RECERT_FUZZ_KIND is the name of a kind"))
    })
}

/// Where the files are that are read: removed by whoever set `TMPDIR`, as libFuzzer ends a process
/// without returning from it.
fn folder() -> &'static Path {
    FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        folder.keep()
    })
}

fn begin() {
    let Some(to) = std::env::var_os("RECERT_FUZZ_SOUND") else {
        return;
    };
    let kinds = kind().map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
    for kind in kinds {
        for seed in 0..count(kind) {
            let file = sound(kind, seed, folder()).expect("a sound file can be made");
            let first = self::kind().is_none().then_some(kind as u8);
            let file: Vec<u8> = first.into_iter().chain(file).collect();
            let name = format!("sound-{}-{seed}", kind.name());
            std::fs::write(Path::new(&to).join(name), file).expect("it can be written");
        }
    }
}

fuzz_target!(init: begin(), |bytes: &[u8]| {
    let (kind, file) = match (kind(), bytes.split_first()) {
        (Some(kind), _) => (kind, bytes),
        (None, Some((first, file))) => (Kind::ALL[usize::from(*first) % Kind::ALL.len()], file),
        (None, None) => return,
    };
    read(kind, file, folder()).expect("the file can be written");
});
