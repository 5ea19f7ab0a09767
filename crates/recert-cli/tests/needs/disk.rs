//! Files that no longer fit on the disk: a ledger keeps all that it held, and nothing is
//! left half written.

use std::process::Command;

use recert_testing::{Skip, note, test};

use crate::common::{Place, asset, certify_demo, fails, held, ok, run, with};

/// The right to mount small file systems, which root has on Linux.
pub(crate) struct MayMount;

pub(crate) fn may_mount() -> Result<MayMount, Skip> {
    match try_mount(&Place::new(), "16k") {
        Some(_) => Ok(MayMount),
        None => Err(Skip::because(
            "a small file system can be mounted by root on Linux alone",
        )),
    }
}

/// A small file system in the folder `disk`, unmounted when it is dropped.
pub(crate) struct Disk<'a>(&'a Place);

fn try_mount<'a>(place: &'a Place, size: &str) -> Option<Disk<'a>> {
    std::fs::create_dir(place.path("disk")).unwrap();
    let options = format!("size={size}");
    let words = ["-t", "tmpfs", "-o", &options, "tmpfs", &place.text("disk")];
    let output = Command::new("mount").args(words).output();
    output
        .is_ok_and(|output| output.status.success())
        .then_some(Disk(place))
}

impl<'a> Disk<'a> {
    pub(crate) fn mount(_: &MayMount, place: &'a Place, size: &str) -> Self {
        try_mount(place, size).expect("it could be mounted before")
    }

    fn grow(&self) {
        self.remount("size=50m");
    }

    pub(crate) fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        let words = ["-o", &options, &self.0.text("disk")];
        let status = Command::new("mount").args(words).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // Lazily: a process that another test starts at this moment has the
        // files of this one open until it becomes another program.
        let words = ["-l".to_owned(), self.0.text("disk")];
        let _ = Command::new("umount").args(words).status();
    }
}

test!(a_full_disk_loses_nothing_and_the_same_command_resumes, needs may_mount);
fn a_full_disk_loses_nothing_and_the_same_command_resumes(may_mount: &MayMount) {
    let place = Place::new();
    let calm = place.text("calm.recert");
    ok(&with(&certify_demo(300, 5, 5), &["--ledger", &calm]));
    // From too small for an empty ledger to enough for all inputs, or nearly:
    // how much space the chunks take depends on how fast they come.
    for (size, too_small) in [
        ("16k", true),
        ("140k", true),
        ("200k", false),
        ("240k", false),
        ("290k", false),
    ] {
        let place = Place::new();
        let disk = Disk::mount(may_mount, &place, size);
        let ledger = place.text("disk/run.recert");
        let certify = with(&certify_demo(300, 5, 5), &["--ledger", &ledger]);
        let said = run(&certify);
        if too_small || said.code != Some(0) {
            fails(6, &["run.recert", "disk is full", "same command"]).check_said(&certify, &said);
        }
        disk.grow();
        // The columns are named before the first row, not before the ledger is.
        let kept = said.stdout.lines().skip(1).count();
        if kept > 0 {
            let certificates = held(&place.path("disk/run.recert")).networks[0]
                .certificates
                .len();
            assert!(certificates >= kept, "{size}");
        }
        note!("{size}: {kept} rows before the disk was full");
        ok(&certify);
        assert_eq!(
            held(&place.path("disk/run.recert")),
            held(calm.as_ref()),
            "{size}"
        );
    }
}

test!(a_full_disk_stops_recertify_and_merge_without_loss, needs may_mount);
fn a_full_disk_stops_recertify_and_merge_without_loss(may_mount: &MayMount) {
    let place = Place::new();
    let calm = place.text("calm.recert");
    ok(&with(&certify_demo(600, 10, 4), &["--ledger", &calm]));
    let network = place.text("pruned.onnx");
    let prune = [
        "approximate",
        &asset("shapes.onnx"),
        "--prune",
        "20%",
        "--out",
        &network,
    ];
    ok(&with(&[], &prune));
    let recertify = |ledger: &str| {
        let words = ["recertify", ledger, "--model", &network, "--budget", "90%"];
        with(&[], &words)
    };
    let disk = Disk::mount(may_mount, &place, "50m");
    let (ledger, base) = (place.path("disk/run.recert"), place.path("base.recert"));
    std::fs::copy(&calm, &ledger).unwrap();
    std::fs::copy(&calm, &base).unwrap();
    ok(&recertify(&calm));
    let ledger = place.text("disk/run.recert");

    // Hardly room for an index of the log, and for little of it.
    for size in ["size=100k", "size=170k"] {
        disk.remount(size);
        fails(6, &["run.recert", "disk is full", "same command"]).check(&recertify(&ledger));
        let kept = held(ledger.as_ref());
        assert_eq!(kept.networks[0], held(&base).networks[0], "{size}");
    }
    // A ledger that no longer fits beside the one that is there.
    let merge = ["merge", &ledger, &calm];
    let before = held(ledger.as_ref());
    fails(6, &["run.recert", "disk is full", "same command"]).check(&with(&[], &merge));
    assert_eq!(held(ledger.as_ref()), before);
    assert!(!place.path("disk/run.recert.merge").exists());
    disk.grow();
    ok(&recertify(&ledger));
    assert_eq!(held(ledger.as_ref()), held(calm.as_ref()));
    ok(&with(&[], &merge));
    assert_eq!(held(ledger.as_ref()), held(calm.as_ref()));
}

test!(a_full_disk_leaves_no_half_written_file, needs may_mount);
/// The other files that are written: networks, pages and logs.
fn a_full_disk_leaves_no_half_written_file(may_mount: &MayMount) {
    let place = Place::new();
    let base = place.text("base.recert");
    let certify = with(&certify_demo(30, 5, 2), &["--ledger", &base]);
    ok(&certify);
    let _disk = Disk::mount(may_mount, &place, "16k");
    let network = place.text("disk/b.onnx");
    let model = asset("shapes.onnx");
    fails(6, &["disk/b.onnx", "No space left"]).check(&with(
        &[],
        &["approximate", &model, "--bf16", "--out", &network],
    ));
    let left: Vec<_> = std::fs::read_dir(place.path("disk")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let page = place.text("disk/report.html");
    fails(6, &["disk/report.html", "No space left"])
        .check(&with(&[], &["report", &base, "--html", &page]));
    std::fs::remove_file(&page).ok();
    std::fs::write(place.path("disk/ballast"), [0; 16 << 10]).unwrap();
    let log = place.text("disk/log.tsv");
    fails(6, &["disk/log.tsv", "No space left"]).check(&with(&certify, &["--log", &log]));
    ok(&certify);
}
