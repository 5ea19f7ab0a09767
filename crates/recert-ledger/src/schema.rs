//! The schema, version by version.

/// The version this program writes. Older ones are read as they are and
/// upgraded on opening for writing; newer ones are refused.
pub const SCHEMA_VERSION: i64 = VERSIONS.len() as i64;

/// The version from which on there is a journal. Upgrades before it are recorded there.
pub(crate) const FIRST_WITH_JOURNAL: i64 = 3;

/// `RCRT` in ASCII: marks the file as a ledger (`PRAGMA application_id`).
pub(crate) const APPLICATION_ID: i64 = 0x5243_5254;

/// The statements that create each version from the one before; the first starts from an
/// empty database.
pub(crate) const VERSIONS: [&str; 4] = [VERSION_1, VERSION_2, VERSION_3, VERSION_4];

/// The statements that a reader of an older version runs in place of those that create the
/// versions after it; the first is for version 1. They create the new tables, empty, outside
/// the file. A temporary table hides one of the same name in the file, so the reader sees the
/// older version even if a writer upgrades the file meanwhile.
pub(crate) const READ_OLDER: [&str; 3] = [READ_VERSION_1, READ_VERSION_2, READ_VERSION_3];

const READ_VERSION_1: &str = "
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE chosen (
    network, idx, stream, first, last, copies, numbers, classes, margins, micros
);
";

const READ_VERSION_2: &str = "
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE journal (id, seconds, kind, network, body);
";

const READ_VERSION_3: &str = "
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE verification (id, network, kind, specification, method, effort, statement);
CREATE TEMP TABLE result (
    verification, idx, verdict, class, answer, margin, decided_by, branches, proof,
    counterexample, micros
);
";

/// Times are microseconds, hashes lower-case hexadecimal, the seed decimal text
/// (`SQLite`'s integers are signed), blobs as in `codes.rs`.
const VERSION_1: &str = "
CREATE TABLE network (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL,
    file TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    engine TEXT NOT NULL,
    engine_version TEXT NOT NULL,
    precision TEXT NOT NULL,
    batch_invariant INTEGER NOT NULL,
    preprocess TEXT NOT NULL,
    output TEXT NOT NULL,
    classes INTEGER NOT NULL,
    note TEXT,
    UNIQUE (sha256, engine, engine_version, precision, preprocess, output)
);
CREATE TABLE run (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    task TEXT NOT NULL,
    sigma REAL NOT NULL,
    n0 INTEGER NOT NULL,
    n INTEGER NOT NULL,
    alpha REAL NOT NULL,
    generator TEXT NOT NULL,
    seed TEXT NOT NULL,
    network INTEGER NOT NULL REFERENCES network (id),
    data TEXT NOT NULL,
    channels INTEGER NOT NULL,
    height INTEGER NOT NULL,
    width INTEGER NOT NULL,
    tool TEXT NOT NULL
);
CREATE TABLE input (
    idx INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL,
    label INTEGER,
    name TEXT
);
CREATE TABLE selection (
    network INTEGER NOT NULL REFERENCES network (id),
    idx INTEGER NOT NULL REFERENCES input (idx),
    copies INTEGER NOT NULL,
    counts TEXT NOT NULL,
    invalid INTEGER NOT NULL,
    class INTEGER NOT NULL,
    edges TEXT,
    micros INTEGER NOT NULL,
    PRIMARY KEY (network, idx)
);
CREATE TABLE answers (
    network INTEGER NOT NULL REFERENCES network (id),
    idx INTEGER NOT NULL REFERENCES input (idx),
    stream INTEGER NOT NULL,
    first INTEGER NOT NULL,
    copies INTEGER NOT NULL,
    classes BLOB NOT NULL,
    margins BLOB,
    micros INTEGER NOT NULL,
    PRIMARY KEY (network, idx, stream, first)
);
CREATE TABLE claim (
    id INTEGER PRIMARY KEY,
    network INTEGER NOT NULL REFERENCES network (id),
    method TEXT NOT NULL,
    copies INTEGER NOT NULL,
    alpha REAL NOT NULL,
    parameters TEXT NOT NULL,
    statement TEXT NOT NULL,
    UNIQUE (network, method, copies, alpha, parameters, statement)
);
CREATE TABLE certificate (
    claim INTEGER NOT NULL REFERENCES claim (id),
    idx INTEGER NOT NULL REFERENCES input (idx),
    class INTEGER,
    radius REAL NOT NULL,
    p_lower REAL,
    bound TEXT,
    counts TEXT NOT NULL,
    evaluations INTEGER NOT NULL,
    micros INTEGER NOT NULL,
    PRIMARY KEY (claim, idx)
) WITHOUT ROWID;
";

/// Answers on samples that are not consecutive (`numbers.rs` has the form of
/// their numbers), and the seal of a closed ledger (`ledger/seal.rs`).
const VERSION_2: &str = "
CREATE TABLE chosen (
    network INTEGER NOT NULL REFERENCES network (id),
    idx INTEGER NOT NULL REFERENCES input (idx),
    stream INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    copies INTEGER NOT NULL,
    numbers BLOB NOT NULL,
    classes BLOB NOT NULL,
    margins BLOB,
    micros INTEGER NOT NULL,
    PRIMARY KEY (network, idx, stream, first)
);
CREATE TABLE seal (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sha256 TEXT NOT NULL
);
";

/// The journal (`journal.rs`). An entry outlives its network.
const VERSION_3: &str = "
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    seconds INTEGER NOT NULL,
    kind TEXT NOT NULL,
    network INTEGER REFERENCES network (id) ON DELETE SET NULL,
    body TEXT NOT NULL
);
";

/// Verifications by bounds, and their results (`verification.rs`). A VNN-LIB file has one
/// result, which is of no input.
const VERSION_4: &str = "
CREATE TABLE verification (
    id INTEGER PRIMARY KEY,
    network INTEGER NOT NULL REFERENCES network (id),
    kind TEXT NOT NULL,
    specification TEXT NOT NULL,
    method TEXT NOT NULL,
    effort TEXT NOT NULL,
    statement TEXT NOT NULL,
    UNIQUE (network, kind, specification, method, effort, statement)
);
CREATE TABLE result (
    verification INTEGER NOT NULL REFERENCES verification (id),
    idx INTEGER REFERENCES input (idx),
    verdict TEXT NOT NULL,
    class INTEGER,
    answer INTEGER,
    margin REAL,
    decided_by TEXT NOT NULL,
    branches INTEGER NOT NULL,
    proof BLOB,
    counterexample BLOB,
    micros INTEGER NOT NULL,
    UNIQUE (verification, idx)
);
CREATE UNIQUE INDEX result_without_input ON result (verification) WHERE idx IS NULL;
";
