//! Where a ledger is to be: whether it can be written there, and whether its locks hold there.

use std::fmt;
use std::path::{Path, PathBuf};

use recert_ledger::{ErrorKind, Ledger};

use crate::Result;

/// Fails if no ledger can be written at `ledger`: because its folder is not there, it is a
/// folder itself, or writing is not allowed. One that another process writes to is found when
/// it is opened.
///
/// # Errors
/// [`ErrorKind::Input`](crate::ErrorKind::Input), naming the file and what to do.
///
/// ```
/// use recert::job::check_ledger_place;
///
/// # let folder = tempfile::tempdir().unwrap();
/// let ledger = folder.path().join("run.recert");
/// assert!(check_ledger_place(&ledger).is_ok());
/// assert!(!ledger.exists());
/// assert!(check_ledger_place(&folder.path().join("missing/run.recert")).is_err());
/// ```
pub fn check_ledger_place(ledger: &Path) -> Result<()> {
    match Ledger::check_place(ledger) {
        Err(error) if error.kind() != ErrorKind::InUse => Err(error.into()),
        _ => Ok(()),
    }
}

/// A ledger on a file system whose locks may not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkDrive {
    /// The ledger.
    pub ledger: PathBuf,
    /// The file system's name, such as `NFS`.
    pub file_system: &'static str,
}

impl NetworkDrive {
    /// What is known of the place of `ledger`; `None` where its file system is none of those
    /// known to be reached over a network, and where that cannot be asked.
    #[must_use]
    pub fn of(ledger: &Path) -> Option<Self> {
        let folder = ledger.parent().filter(|p| !p.as_os_str().is_empty());
        let place = if ledger.exists() {
            ledger
        } else {
            folder.unwrap_or(Path::new("."))
        };
        let file_system = file_system(place)?;
        Some(Self {
            ledger: ledger.to_owned(),
            file_system,
        })
    }
}

impl fmt::Display for NetworkDrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ledger,
            file_system,
        } = self;
        write!(
            f,
            "the ledger {} is on {file_system}: a ledger needs memory that processes share and locks \
             that hold, which file systems over a network may lack. Keep it on a local disk, and put \
             a snapshot of it there (`recert snapshot`)",
            ledger.display()
        )
    }
}

/// Network file systems by the numbers that Linux has for them (`statfs(2)`, `linux/magic.h`,
/// and the sources of those that are no part of Linux). FUSE is among them, as sshfs and most
/// drives of clouds are by it.
const NETWORK: [(u32, &str); 13] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS (SMB)"),
    (0xfe53_4d42, "SMB2"),
    (0x517b, "SMB"),
    (0x6573_5546, "a file system by FUSE"),
    (0x0bd0_0bd0, "Lustre"),
    (0x00c3_6400, "Ceph"),
    (0x0102_1997, "9P"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x1983_0326, "BeeGFS"),
    (0x4750_4653, "GPFS"),
];

fn name(number: u32) -> Option<&'static str> {
    let known = NETWORK.iter().find(|(known, _)| *known == number);
    known.map(|(_, name)| *name)
}

#[cfg(target_os = "linux")]
fn file_system(place: &Path) -> Option<&'static str> {
    // The numbers have 32 bits, whatever type the system gives them in.
    name(rustix::fs::statfs(place).ok()?.f_type as u32)
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        assert_eq!(name(0x6969), Some("NFS"));
        assert_eq!(name(0x0bd0_0bd0), Some("Lustre"));
        // ext4, tmpfs, xfs, btrfs, overlayfs.
        for local in [0xef53, 0x0102_1994, 0x5846_5342, 0x9123_683e, 0x794c_7630] {
            assert_eq!(name(local), None);
        }
        let drive = NetworkDrive {
            ledger: "/mnt/run.recert".into(),
            file_system: "NFS",
        };
        let said = drive.to_string();
        assert!(said.contains("/mnt/run.recert is on NFS"), "{said}");
        assert!(said.contains("recert snapshot"), "{said}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_is_asked() {
        // What /proc is on is no file system over a network; its number is asked for all the
        // same, and is the one that the manual states.
        assert_eq!(rustix::fs::statfs("/proc").unwrap().f_type as u32, 0x9fa0);
        assert_eq!(NetworkDrive::of(Path::new("/proc/run.recert")), None);
    }
}
