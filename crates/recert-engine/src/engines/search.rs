//! Where the shared library of an engine may be: one search for all engines
//! that are loaded at run time.

use std::cmp::Reverse;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A library to look for.
pub(super) struct Wanted {
    /// The variable that names the library, or the folder it is in.
    pub(super) variable: &'static str,
    /// Variables that name the root of an installation, and the folders below
    /// it that may hold the library.
    pub(super) roots: &'static [(&'static str, &'static [&'static str])],
    /// The folder below `site-packages` where the Python wheel has it.
    pub(super) package: &'static str,
    /// The library's name without `lib`, extension and version.
    pub(super) stem: &'static str,
}

/// What is looked at: the variables of the process and the machine's folders.
struct Surroundings<'a> {
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    system: &'a [&'a str],
}

/// Where package managers put libraries.
const SYSTEM: [&str; 9] = [
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib64",
    "/opt/homebrew/lib",
    "/opt/local/lib",
];

/// Finds a library in the first of: the variable of its own; the Python
/// environment that is active (`VIRTUAL_ENV`, `CONDA_PREFIX`); the one whose
/// `python3` is first on the `PATH`, and the packages of the user; the roots
/// of installations that variables name; the folders of the dynamic loader's
/// variable; the system's.
///
/// # Errors
/// A text that names what was not found, for a message to go on from.
pub(super) fn locate(wanted: &Wanted) -> Result<PathBuf, String> {
    let surroundings = Surroundings {
        variable: &|name| std::env::var_os(name).filter(|value| !value.is_empty()),
        system: &SYSTEM,
    };
    surroundings.locate(wanted)
}

impl Surroundings<'_> {
    fn locate(&self, wanted: &Wanted) -> Result<PathBuf, String> {
        // A wrong variable is a mistake to report, not one to work around.
        if let Some(value) = (self.variable)(wanted.variable) {
            let path = PathBuf::from(value);
            let found = if path.is_dir() {
                library_in(&path, wanted.stem)
            } else {
                path.is_file().then(|| path.clone())
            };
            return found.ok_or_else(|| {
                format!(
                    "{} is {}, where there is no such library",
                    wanted.variable,
                    path.display()
                )
            });
        }
        (self.folders(wanted).iter())
            .find_map(|folder| library_in(folder, wanted.stem))
            .ok_or_else(|| "it was not found".to_owned())
    }

    /// The folders to look in, in order.
    fn folders(&self, wanted: &Wanted) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        let packages = |folders: &mut Vec<PathBuf>, prefix: &Path| {
            let below = site_packages(prefix).into_iter();
            folders.extend(below.map(|folder| folder.join(wanted.package)));
        };
        for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
            if let Some(prefix) = (self.variable)(name).map(PathBuf::from) {
                packages(&mut folders, &prefix);
                folders.push(prefix.join("lib"));
            }
        }
        for folder in self.list("PATH") {
            if folder.join("python3").exists() || folder.join("python.exe").exists() {
                // Windows has the interpreter in the prefix itself.
                packages(&mut folders, folder.parent().unwrap_or(&folder));
                packages(&mut folders, &folder);
            }
        }
        if let Some(home) = (self.variable)("HOME").map(PathBuf::from) {
            packages(&mut folders, &home.join(".local"));
            let versions = sorted(&home.join("Library/Python")).into_iter();
            folders.extend(versions.map(|version| {
                let site = version.join("lib/python/site-packages");
                site.join(wanted.package)
            }));
        }
        if let Some(data) = (self.variable)("APPDATA").map(PathBuf::from) {
            let versions = sorted(&data.join("Python")).into_iter();
            folders
                .extend(versions.map(|version| version.join("site-packages").join(wanted.package)));
        }
        for (name, below) in wanted.roots {
            if let Some(root) = (self.variable)(name).map(PathBuf::from) {
                folders.extend(below.iter().map(|folder| root.join(folder)));
            }
        }
        folders.extend(self.list("LD_LIBRARY_PATH"));
        folders.extend(self.list("DYLD_LIBRARY_PATH"));
        folders.extend(self.system.iter().map(PathBuf::from));
        folders
    }

    /// The folders that a variable lists.
    fn list(&self, name: &str) -> Vec<PathBuf> {
        let value = (self.variable)(name);
        value.map_or_else(Vec::new, |value| std::env::split_paths(&value).collect())
    }
}

/// The folders of installed packages below a Python's prefix, those of newer
/// Pythons first: pip's, and on Debian also the system's.
fn site_packages(prefix: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for library in ["lib", "lib64", "local/lib"] {
        for python in sorted(&prefix.join(library)) {
            let name = python.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("python") {
                folders.push(python.join("site-packages"));
                folders.push(python.join("dist-packages"));
            }
        }
    }
    folders.push(prefix.join("Lib/site-packages"));
    folders
}

/// The library in `folder`, of several the one of the highest version.
fn library_in(folder: &Path, stem: &str) -> Option<PathBuf> {
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        is_library(&name, stem) && path.is_file()
    };
    sorted(folder).into_iter().find(is_it)
}

/// Whether a file of this name is the library, on any system, versioned or not.
fn is_library(name: &str, stem: &str) -> bool {
    if name == format!("{stem}.dll") {
        return true;
    }
    let Some(rest) = name.strip_prefix("lib").and_then(|n| n.strip_prefix(stem)) else {
        return false;
    };
    rest == ".so"
        || rest.starts_with(".so.")
        || (rest.starts_with('.') && rest.strip_suffix(".dylib").is_some())
}

/// What is in a folder, higher versions first: names compare by the numbers in
/// them, and not by the digits of those.
fn sorted(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort_by_cached_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let numbers = name.split(|c: char| !c.is_ascii_digit());
        let numbers: Vec<u64> = numbers.filter_map(|digits| digits.parse().ok()).collect();
        Reverse((numbers, name.into_owned()))
    });
    paths
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;

    const FOO: Wanted = Wanted {
        variable: "FOO_PATH",
        roots: &[("FOO_ROOT", &["runtime/lib"])],
        package: "foo/libs",
        stem: "foo_c",
    };

    /// A folder of files, gone with the test.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[&str]) -> Self {
            let root = std::env::temp_dir().join(format!("recert-{name}-{}", std::process::id()));
            for file in files {
                let path = root.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, b"").unwrap();
            }
            Self(root)
        }

        /// What is found, relative to the tree, with variables that name
        /// folders in it.
        fn find(&self, variables: &[(&str, &str)]) -> Result<String, String> {
            let set: BTreeMap<_, _> = variables
                .iter()
                .map(|(name, value)| (*name, self.0.join(value).into_os_string()))
                .collect();
            let system = self.0.join("system");
            let surroundings = Surroundings {
                variable: &|name| set.get(name).cloned(),
                system: &[system.to_str().unwrap()],
            };
            let found = surroundings.locate(&FOO)?;
            let inside = found.strip_prefix(&self.0).unwrap();
            Ok(inside.to_str().unwrap().to_owned())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn libraries_are_found_where_users_have_them_in_this_order() {
        let places = [
            ("FOO_PATH", "own", "own/libfoo_c.so"),
            (
                "VIRTUAL_ENV",
                "venv",
                "venv/lib/python3.11/site-packages/foo/libs/libfoo_c.so.2641",
            ),
            ("CONDA_PREFIX", "conda", "conda/lib/libfoo_c.so.1"),
            (
                "PATH",
                "py/bin",
                "py/lib/python3.12/dist-packages/foo/libs/libfoo_c.so.7",
            ),
            (
                "HOME",
                "home",
                "home/.local/lib/python3.9/site-packages/foo/libs/libfoo_c.so.8",
            ),
            ("FOO_ROOT", "root", "root/runtime/lib/libfoo_c.so"),
            ("LD_LIBRARY_PATH", "ld", "ld/libfoo_c.so"),
        ];
        let mut files: Vec<_> = places.iter().map(|(.., file)| *file).collect();
        files.extend(["system/libfoo_c.so.3", "py/bin/python3"]);
        let tree = Tree::new("order", &files);
        let variables: Vec<_> = places
            .iter()
            .map(|(name, value, _)| (*name, *value))
            .collect();
        for first in 0..places.len() {
            assert_eq!(tree.find(&variables[first..]).unwrap(), places[first].2);
        }
        assert_eq!(tree.find(&[]).unwrap(), "system/libfoo_c.so.3");
    }

    #[test]
    fn the_variable_names_the_file_or_its_folder_and_nothing_else_will_do() {
        let tree = Tree::new("variable", &["own/libfoo_c.so.2", "system/libfoo_c.so"]);
        for value in ["own", "own/libfoo_c.so.2"] {
            assert_eq!(
                tree.find(&[("FOO_PATH", value)]).unwrap(),
                "own/libfoo_c.so.2"
            );
        }
        let error = tree.find(&[("FOO_PATH", "elsewhere")]).unwrap_err();
        assert!(
            error.contains("FOO_PATH") && error.contains("elsewhere"),
            "{error}"
        );
    }

    #[test]
    fn of_several_versions_the_highest_is_taken() {
        let tree = Tree::new(
            "versions",
            &[
                "venv/lib/python3.9/site-packages/foo/libs/libfoo_c.so.9",
                "venv/lib/python3.10/site-packages/foo/libs/libfoo_c.so.1.9.0",
                "venv/lib/python3.10/site-packages/foo/libs/libfoo_c.so.1.10.0",
                "venv/lib/python3.10/site-packages/foo/libs/libfoo_cuda.so.2",
            ],
        );
        assert_eq!(
            tree.find(&[("VIRTUAL_ENV", "venv")]).unwrap(),
            "venv/lib/python3.10/site-packages/foo/libs/libfoo_c.so.1.10.0"
        );
        assert!(tree.find(&[]).is_err());
    }

    #[test]
    fn libraries_are_told_by_their_names() {
        for name in [
            "libfoo_c.so",
            "libfoo_c.so.1.2",
            "foo_c.dll",
            "libfoo_c.1.dylib",
        ] {
            assert!(is_library(name, "foo_c"), "{name}");
        }
        for name in ["libfoo_c.a", "libfoo_cuda.so", "foo_c.lib", "libfoo.so"] {
            assert!(!is_library(name, "foo_c"), "{name}");
        }
    }
}
