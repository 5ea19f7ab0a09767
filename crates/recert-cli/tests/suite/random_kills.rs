//! Runs that are killed at random instants, again and again: nothing that was committed is lost,
//! nothing else is written, and the finished ledger is that of a run that was left alone.
//!
//! Instants are drawn over the length that a run left alone has on this machine, and a fifth more. A few kills are
//! made by default; `RECERT_KILLS=1000` makes so many, and `RECERT_KILLS_SEED` draws the instants of
//! an earlier run again (`cargo test --test suite random_kills -- --nocapture` prints seed and counts).

use std::fmt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;

use crate::common::{Held, HeldOf, Place, certify_demo, command, held, ok, with};
use crate::kill::{finished, pruned, rows_are_kept};
use crate::ledgers::clean;
use crate::merge::{INPUTS, certified, merge};
use recert::ledger::Ledger;

/// How many kills there are, of each of the three commands.
fn kills() -> u32 {
    let all = number("RECERT_KILLS").unwrap_or(30);
    (all as u32).div_ceil(3)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// What draws the instants, by a seed that is printed.
fn random(command: &str) -> Rng {
    let seed = number("RECERT_KILLS_SEED").unwrap_or_else(|| {
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    });
    println!("{command}: RECERT_KILLS_SEED={seed}");
    Rng::with_seed(seed)
}

/// Where kills came.
#[derive(Debug, Default)]
struct Tally {
    /// Before the run had added anything.
    before: u32,
    /// Between its first commit and its last, or while a merged ledger was being made.
    amid: u32,
    /// When all was written, and the process had not ended yet.
    after: u32,
    /// Processes that ended before they were to be killed; no kills.
    missed: u32,
    /// Ledgers that were finished, and compared.
    finished: u32,
}

impl Tally {
    fn kills(&self) -> u32 {
        self.before + self.amid + self.after
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            before,
            amid,
            after,
            missed,
            finished,
        } = self;
        write!(
            f,
            "{} kills of a running process ({before} before it had added anything, {amid} amid, {after} \
             when all was there), {missed} too late; {finished} finished ledgers are equal",
            self.kills()
        )
    }
}

/// A command that is killed.
struct Job<'a> {
    place: &'a Place,
    /// The ledger that it writes to.
    name: &'a str,
    words: Vec<String>,
    /// A ledger that is there when it begins, or none.
    base: Option<&'a str>,
    /// The file beside it in which the ledger is made, for a command that adds all or nothing.
    made: Option<&'a str>,
}

impl Job<'_> {
    fn path(&self) -> PathBuf {
        self.place.path(self.name)
    }

    /// When the ledger that is being made was last written to.
    fn made_at(&self) -> Option<SystemTime> {
        let made = self.place.path(self.made?);
        made.metadata().and_then(|made| made.modified()).ok()
    }

    /// Puts there what the command begins with.
    fn begin(&self) {
        for file in self.files() {
            std::fs::remove_file(self.place.path(&file)).expect("the file can be removed");
        }
        if let Some(base) = self.base {
            std::fs::copy(self.place.path(base), self.path()).expect("the ledger can be copied");
        }
    }

    /// The ledger and all files beside it whose names begin with its name.
    fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.place.path("")).expect("the folder can be read");
        let names = files.map(|file| file.expect("an entry").file_name());
        names
            .map(|name| name.into_string().expect("the name is Unicode"))
            .filter(|name| name.starts_with(self.name))
            .collect()
    }

    /// What the ledger holds; `None` if there is none yet. Of a `copy`, so that the next process
    /// finds all files as they were left.
    fn look(&self, copy: bool) -> Option<Held> {
        let original = self.path();
        if !original.exists() {
            return None;
        }
        let path = if copy {
            let copy = self.place.path("looked-at.recert");
            for suffix in ["", "-wal", "-journal"] {
                let beside = |path: &PathBuf| PathBuf::from(format!("{}{suffix}", path.display()));
                let _ = std::fs::remove_file(beside(&copy));
                if beside(&original).exists() {
                    std::fs::copy(beside(&original), beside(&copy)).expect("a copy can be made");
                }
            }
            copy
        } else {
            original
        };
        // A process may be killed before the file is a ledger.
        Ledger::open_read_only(&path).ok()?;
        let report = recert::check::check(&path).expect("the ledger can be checked");
        assert!(report.is_clean(), "{:#?}", report.violations);
        Some(held(&path))
    }

    /// Kills the command until that has happened `kills` times.
    fn killed(&self, kills: u32, calm: &Held, length: Duration, random: &mut Rng) -> Tally {
        let mut tally = Tally::default();
        while tally.kills() < kills {
            self.begin();
            let base = self.look(true);
            let mut before = base.clone();
            while tally.kills() < kills {
                // A little beyond its end, too, as the end differs from run to run.
                let instant = length.mul_f64(1.2 * random.f64());
                let left = self.made_at();
                let (status, lines) = self.kill_after(instant);
                if status.success() {
                    tally.missed += 1;
                    break;
                }
                // Not what an earlier kill left.
                let added = self.made_at().is_some_and(|made| Some(made) != left);
                let after = self.look(random.bool());
                let when = (instant, &tally);
                match (&before, &after) {
                    (Some(before), Some(after)) => is_within(before, after, &when),
                    (Some(_), None) => panic!("the ledger is gone after {when:?}"),
                    (None, _) => {}
                }
                match &after {
                    Some(after) => {
                        is_within(after, calm, &when);
                        rows_are_kept(after, &lines, &when);
                        // A merged ledger is there as a whole or not at all.
                        let whole = after == calm || Some(after) == base.as_ref();
                        assert!(whole || self.made.is_none(), "{when:?}");
                    }
                    None => assert_eq!(finished(&lines), [0; 0], "{when:?}"),
                }
                if after.as_ref() == Some(calm) {
                    tally.after += 1;
                } else if after == base && !added {
                    tally.before += 1;
                } else {
                    tally.amid += 1;
                }
                before = after;
            }
            ok(&self.words);
            assert_eq!(&held(&self.path()), calm);
            clean(&self.path());
            ok(&with(
                &[],
                &["check", &self.place.text(self.name), "--strict"],
            ));
            assert_eq!(self.files(), [self.name], "one file is left");
            tally.finished += 1;
        }
        tally
    }

    /// Starts the command, and kills it after so long. Returns how it ended, and what it printed,
    /// but for a line that it was killed at.
    fn kill_after(&self, instant: Duration) -> (ExitStatus, Vec<String>) {
        let mut child = command(&self.words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        std::thread::sleep(instant);
        // A process that is done already cannot be killed, and need not be.
        let _ = child.kill();
        let output = child.wait_with_output().expect("the process ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        #[cfg(unix)]
        {
            use std::os::unix::process::ExitStatusExt;
            let killed = output.status.signal() == Some(9);
            assert!(killed || output.status.success(), "{stderr}");
        }
        assert!(!stderr.contains("panicked"), "{stderr}");
        let stdout = String::from_utf8(output.stdout).expect("stdout is UTF-8");
        let whole = stdout.rsplit_once('\n').map_or("", |(whole, _)| whole);
        (output.status, whole.lines().map(str::to_owned).collect())
    }

    /// Runs the command alone: what it ends with, and how long it takes.
    fn calm(&self) -> (Held, Duration) {
        self.begin();
        let begun = Instant::now();
        ok(&self.words);
        (held(&self.path()), begun.elapsed())
    }
}

/// Checks that `whole` has all that `part` has: inputs, selections, answers and certificates.
#[track_caller]
fn is_within(part: &Held, whole: &Held, when: &dyn fmt::Debug) {
    let inputs = part.inputs.iter().all(|input| whole.inputs.contains(input));
    assert!(inputs, "inputs after {when:?}");
    for (i, part) in part.networks.iter().enumerate() {
        let whole: &HeldOf = &whole.networks[i];
        assert_eq!(part.file, whole.file, "{when:?}");
        for (idx, selection) in &part.selections {
            let same = whole.selections.get(idx) == Some(selection);
            assert!(same, "the selection of {idx} after {when:?}");
        }
        for (key, samples) in &part.answered {
            let of_whole = &whole.answered[key];
            let same = |(sample, class)| of_whole.get(sample) == Some(class);
            assert!(
                samples.iter().all(same),
                "answers of {key:?} after {when:?}"
            );
        }
        for certificate in &part.certificates {
            let kept = whole.certificates.contains(certificate);
            assert!(kept, "{certificate:?} after {when:?}");
        }
    }
}

#[test]
fn certify_is_killed_at_random_instants() {
    let place = Place::new();
    let mut random = random("certify");
    let ledger = place.text("run.recert");
    let job = Job {
        place: &place,
        name: "run.recert",
        words: with(&certify_demo(900, 50, 4), &["--ledger", &ledger]),
        base: None,
        made: None,
    };
    let (calm, length) = job.calm();
    assert_eq!(calm.inputs.len(), 4);
    let tally = job.killed(kills(), &calm, length, &mut random);
    println!("certify: {tally}");
}

#[test]
fn recertify_is_killed_at_random_instants() {
    let place = Place::new();
    let mut random = random("recertify");
    let base = place.text("base.recert");
    ok(&with(&certify_demo(900, 50, 4), &["--ledger", &base]));
    let network = pruned(&place);
    let ledger = place.text("run.recert");
    let words = ["recertify", &ledger, "--model", &network, "--budget", "60%"];
    let job = Job {
        place: &place,
        name: "run.recert",
        words: with(&[], &words),
        base: Some("base.recert"),
        made: None,
    };
    let (calm, length) = job.calm();
    assert_eq!(calm.networks.len(), 2);
    let tally = job.killed(kills(), &calm, length, &mut random);
    println!("recertify: {tally}");
}

/// Into a new file, and into one that is there.
#[test]
fn merge_is_killed_at_random_instants() {
    let place = Place::new();
    let mut random = random("merge");
    let ledgers = certified(&place, 2);
    let out = place.text("run.recert");
    let half = merge(&place.text("half.recert"), &ledgers[..1]);
    ok(&with(&half, &["--partial"]));
    let count = kills().div_ceil(2);
    for (base, to) in [
        (None, "a new file"),
        (Some("half.recert"), "one that is there"),
    ] {
        let job = Job {
            place: &place,
            name: "run.recert",
            words: merge(&out, &ledgers),
            base,
            made: Some("run.recert.merge"),
        };
        let (calm, length) = job.calm();
        assert_eq!(calm.inputs.len(), INPUTS as usize);
        let tally = job.killed(count, &calm, length, &mut random);
        println!("merge into {to}: {tally}");
    }
}
