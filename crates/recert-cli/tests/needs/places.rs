//! Places where a ledger can be read but not written, and where files cannot be locked.

use std::path::Path;
use std::process::Command;

use recert_testing::{Skip, test};

use crate::common::{Place, Said, asset, certify_demo, fails, held, ok, with};
use crate::disk::{Disk, MayMount, may_mount};

test!(a_ledger_on_a_read_only_file_system_is_read_and_not_written, needs may_mount);
fn a_ledger_on_a_read_only_file_system_is_read_and_not_written(may_mount: &MayMount) {
    let place = Place::new();
    let disk = Disk::mount(may_mount, &place, "4m");
    let ledger = place.text("disk/run.recert");
    let certify = |ledger: &str| with(&certify_demo(100, 5, 2), &["--ledger", ledger]);
    ok(&certify(&ledger));
    let before = held(ledger.as_ref());
    disk.remount("ro");

    let refused = fails(
        3,
        &["Read-only file system", "name a folder", "recert snapshot"],
    );
    refused.check(&certify(&ledger));
    refused.check(&certify(&place.text("disk/new.recert")));
    let shapes = asset("shapes.onnx");
    refused.check(&with(&[], &["recertify", &ledger, "--model", &shapes]));
    refused.check(&with(&[], &["forget", &ledger, "--network", "shapes.onnx"]));
    let merged = place.text("merged.recert");
    refused.check(&with(&[], &["merge", &ledger, &ledger]));

    ok(&with(&[], &["report", &ledger, "--brief"]));
    ok(&with(&[], &["check", &ledger, "--strict"]));
    ok(&with(&[], &["merge", &merged, &ledger]));
    assert_eq!(held(merged.as_ref()), before);
    let copy = place.text("copy.recert");
    ok(&with(&[], &["snapshot", &ledger, &copy]));
    assert_eq!(held(copy.as_ref()), before);
    // What the messages say to do.
    ok(&certify(&copy));
}

test!(a_ledger_whose_run_did_not_end_says_what_reading_it_needs, needs may_mount);
fn a_ledger_whose_run_did_not_end_says_what_reading_it_needs(may_mount: &MayMount) {
    let place = Place::new();
    let disk = Disk::mount(may_mount, &place, "4m");
    let ledger = place.text("run.recert");
    ok(&with(&certify_demo(100, 5, 2), &["--ledger", &ledger]));
    let before = held(ledger.as_ref());
    // A process that was killed leaves the log; a copy of both files has no index of it.
    let writer = recert::ledger::Ledger::open(ledger.as_ref()).unwrap();
    for suffix in ["", "-wal"] {
        let file = place.path(&format!("run.recert{suffix}"));
        std::fs::copy(file, place.path(&format!("disk/run.recert{suffix}"))).unwrap();
    }
    writer.close().unwrap();
    assert!(place.path("disk/run.recert-wal").metadata().unwrap().len() > 0);
    disk.remount("ro");
    let on_disk = place.text("disk/run.recert");
    fails(3, &["disk/run.recert", "-wal", "copy both"]).check(&with(&[], &["check", &on_disk]));
    for suffix in ["", "-wal"] {
        let file = place.path(&format!("disk/run.recert{suffix}"));
        std::fs::copy(file, place.path(&format!("copy.recert{suffix}"))).unwrap();
    }
    assert_eq!(held(&place.path("copy.recert")), before);
}

/// A user whom permissions bind, as root they do not.
#[cfg(unix)]
struct Bound;

#[cfg(unix)]
fn bound() -> Result<Bound, Skip> {
    let place = Place::new();
    protect(&place, true);
    let made = std::fs::write(place.path("file"), "");
    protect(&place, false);
    match made {
        Err(_) => Ok(Bound),
        Ok(()) => Err(Skip::because("root may write to every folder")),
    }
}

#[cfg(unix)]
fn protect(place: &Place, protected: bool) {
    use std::os::unix::fs::PermissionsExt;
    let mode = if protected { 0o555 } else { 0o755 };
    std::fs::set_permissions(place.path(""), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(unix)]
test!(a_ledger_in_a_folder_that_may_not_be_written_to_is_read_alone, needs bound);
#[cfg(unix)]
fn a_ledger_in_a_folder_that_may_not_be_written_to_is_read_alone(_: &Bound) {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let certify = with(&certify_demo(100, 5, 2), &["--ledger", &ledger]);
    ok(&certify);
    let before = held(ledger.as_ref());
    protect(&place, true);
    fails(
        3,
        &[
            "run.recert",
            "Permission denied",
            "name a folder",
            "recert snapshot",
        ],
    )
    .check(&certify);
    ok(&with(&[], &["report", &ledger, "--brief"]));
    ok(&with(&[], &["check", &ledger, "--strict"]));
    assert_eq!(held(ledger.as_ref()), before);
    protect(&place, false);
    ok(&certify);
}

/// A Python that can refuse system calls to a program.
struct Python;

impl Python {
    /// Runs the command, to which a kind of lock is refused with an error.
    fn run(kind: &str, error: &str, words: &[String]) -> Option<Said> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/needs/refusing.py");
        let output = Command::new("python3")
            .arg(script)
            .args([kind, error, env!("CARGO_BIN_EXE_recert")])
            .args(words)
            .output();
        let said: Said = output.ok()?.into();
        (said.code != Some(77)).then_some(said)
    }
}

fn refusing() -> Result<Python, Skip> {
    let works = |kind| {
        Python::run(kind, "ENOLCK", &["--version".to_owned()])
            .is_some_and(|said| said.code == Some(0))
    };
    if works("flock") && works("fcntl") {
        return Ok(Python);
    }
    Err(Skip::because(
        "system calls can be refused by python3 on Linux (x86-64, Arm) alone",
    ))
}

test!(a_file_system_without_locks_is_named_and_nothing_is_left, needs refusing);
fn a_file_system_without_locks_is_named_and_nothing_is_left(_: &Python) {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let certify = with(&certify_demo(100, 5, 2), &["--ledger", &ledger]);
    let refused = fails(
        3,
        &[
            "run.recert",
            "cannot be locked",
            "local disk",
            "recert snapshot",
        ],
    );
    for error in ["ENOLCK", "EOPNOTSUPP", "ENOSYS"] {
        refused.check_said(&certify, &Python::run("flock", error, &certify).unwrap());
        assert!(!place.path("run.recert").exists(), "{error}");
        assert!(!place.path("run.recert.lock").exists(), "{error}");
    }
    // Locks beside the ledger alone: what SQLite left is no hindrance.
    for error in ["EOPNOTSUPP", "EINVAL"] {
        refused.check_said(&certify, &Python::run("fcntl", error, &certify).unwrap());
    }
    ok(&certify);
    let before = held(ledger.as_ref());

    // A finished ledger is read there, and kept.
    for (kind, error) in [("flock", "ENOLCK"), ("fcntl", "EOPNOTSUPP")] {
        refused.check_said(&certify, &Python::run(kind, error, &certify).unwrap());
        let report = with(&[], &["report", &ledger, "--brief"]);
        let said = Python::run(kind, error, &report).unwrap();
        assert_eq!(said.code, Some(0), "{kind}: {}", said.stderr);
        assert_eq!(held(ledger.as_ref()), before);
    }
}
