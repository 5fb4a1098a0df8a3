//! Openings that go well, and every kind that does not.

use std::fs::OpenOptions;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::panic::AssertUnwindSafe;

use super::*;

#[test]
fn a_reopened_store_has_everything_that_was_committed() {
    let bench = Bench::new();
    let mut opened = bench.open();
    assert_eq!(opened.quarantined, None);
    for value in ["1", "2"] {
        let batch = ["a", "b"].map(|key| put(key, value.as_bytes()));
        opened.store.commit(&batch).expect("the store is healthy");
    }
    drop(opened);

    let opened = bench.open();

    assert_eq!(opened.quarantined, None);
    assert_eq!(records(&opened.store), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
}

#[test]
fn pages_that_the_engine_keeps_outside_its_log_survive_a_reopening() {
    let bench = Bench::new();
    let mut opened = bench.open();
    for key in 'a'..='z' {
        let operation = put(&key.to_string(), &vec![b'x'; 60_000]);
        opened.store.commit(&[operation]).expect("the store is healthy");
    }
    drop(opened);
    let blobs = fs::read_dir(bench.state("blobs")).expect("sled made it").count();
    assert!(blobs > 0, "the test needs pages of that kind");

    let opened = bench.open();

    assert_eq!(opened.quarantined, None);
    assert_eq!(
        records(&opened.store),
        ('a'..='z').map(|k| (k.to_string(), 60_000)).collect::<Vec<_>>()
    );
}

#[test]
fn garbage_in_the_engines_configuration_is_set_aside() {
    check_set_aside(|bench| fs::write(bench.state("conf"), vec![0xA5; 64]).expect("ours"));
}

#[test]
fn an_engine_with_another_configuration_is_set_aside() {
    check_set_aside(|bench| fs::write(bench.state("conf"), "segment_size: 1\n").expect("ours"));
}

#[test]
fn garbage_in_the_log_is_set_aside() {
    check_set_aside(|bench| {
        let size = fs::metadata(bench.state("db")).expect("it exists").len();
        let garbage: Vec<u8> = (0..size).map(|index| (index * 31 % 253) as u8).collect();
        fs::write(bench.state("db"), garbage).expect("ours");
    });
}

#[test]
fn an_emptied_log_is_set_aside() {
    check_set_aside(|bench| bench.truncate("db", 0));
}

#[test]
fn a_log_cut_in_half_is_set_aside() {
    let bench = Bench::filled();
    let mut opened = bench.open();
    for round in 0..20 {
        let batch: Vec<_> =
            (0..500).map(|key| put(&format!("{round}-{key}"), &[b'x'; 200])).collect();
        opened.store.commit(&batch).expect("the store is healthy");
    }
    drop(opened);
    drop(bench.open());
    let size = fs::metadata(bench.state("db")).expect("it exists").len();

    bench.truncate("db", size / 2);

    bench.check_fresh(&bench.open());
}

#[test]
fn a_missing_log_is_set_aside() {
    check_set_aside(|bench| fs::remove_file(bench.state("db")).expect("ours"));
}

#[test]
fn a_flipped_snapshot_is_set_aside() {
    check_set_aside(|bench| {
        // sled writes a snapshot when it opens a log that has grown.
        drop(bench.open());
        let files = fs::read_dir(bench.state("")).expect("ours").map(|file| file.expect("ours"));
        let snapshot = files
            .map(|file| file.path())
            .find(|path| path.to_string_lossy().contains("snap."))
            .expect("there is a snapshot");
        let file = OpenOptions::new().write(true).open(snapshot).expect("ours");
        file.write_all_at(&[0xFF; 4], 9).expect("ours");
    });
}

#[test]
fn a_panic_while_opening_is_set_aside() {
    let bench = Bench::filled();

    let opened = open_with(&bench.settings(), NOW, |_| panic!("on purpose")).expect("it starts");

    bench.check_fresh(&opened);
}

#[test]
fn an_opening_that_hangs_is_left_behind_and_its_files_are_set_aside() {
    let bench = Bench::filled();
    let settings = OpenSettings { time_limit: Duration::from_millis(1), ..bench.settings() };
    let hang = |folder: Arc<OwnedFd>| {
        // A thread that is parked for ever, as one that waits for a lock is.
        loop {
            thread::park();
            drop(Arc::clone(&folder));
        }
    };

    let folder = Folder::take(&settings.data_folder).expect("it is fit");
    let state = folder.create(STATE_FOLDER).expect("it exists");
    let reason = open_state(&state, settings.time_limit, hang).expect("the system is well");

    assert_eq!(reason.expect_err("it hangs"), "opening took longer than 1ms");
    let aside = set_aside(&folder, &state, NOW).expect("it can be renamed");
    assert!(aside.join("db").exists());
    assert!(!state.exists());
}

#[test]
fn a_folder_left_behind_is_reached_under_its_new_name() {
    let bench = Bench::filled();
    let folder = Arc::new(OwnedFd::from(File::open(bench.state("")).expect("it exists")));

    fs::rename(bench.state(""), bench.data().join("aside")).expect("ours");
    fs::write(path_of(&folder).join("late"), "").expect("ours");

    assert!(bench.data().join("aside/late").exists());
}

#[test]
fn what_the_system_refuses_is_no_damage() {
    let bench = Bench::filled();
    for code in [rustix::io::Errno::NOSPC, rustix::io::Errno::IO, rustix::io::Errno::MFILE] {
        assert!(is_refusal(&code.into()), "{code:?}");
    }
    assert!(!is_refusal(&io::ErrorKind::UnexpectedEof.into()));

    let full: Opener = |_| Err(Fault::Refused(rustix::io::Errno::NOSPC.into()));
    let refused = open_with(&bench.settings(), NOW, full).expect_err("nothing can be done");

    assert!(refused.to_string().contains("No space left"), "{refused}");
    assert_eq!(records(&bench.open().store), [("a".to_owned(), 1)], "the state was left alone");
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let bench = Bench::new();
    let mut opened = bench.open();
    let newer = Bytes::copy_from_slice(&(FORMAT_VERSION + 1).to_be_bytes());
    let operation = Operation::put(Table::Meta, FORMAT_KEY, newer).expect("short");
    opened.store.commit(&[operation]).expect("the store is healthy");
    drop(opened);

    for _ in 0..2 {
        let refused = open(&bench.settings(), NOW).expect_err("it must not be read");
        assert!(matches!(refused, OpenError::TooNew { found: 2, known: 1 }), "{refused}");
    }
    assert_eq!(bench.set_aside(), [""; 0]);
}

#[test]
fn two_states_set_aside_in_one_second_have_different_names() {
    let bench = Bench::filled();
    for _ in 0..2 {
        bench.truncate("db", 0);
        bench.open();
    }

    let name = format!("state.corrupt-{NOW}");
    assert_eq!(bench.set_aside(), [name.clone(), format!("{name}-2")]);
}

#[test]
fn a_database_that_another_program_has_open_is_not_set_aside() {
    let bench = Bench::filled();
    let log = File::open(bench.state("db")).expect("it exists");
    log.try_lock().expect("nobody has it");

    let refused = open(&bench.settings(), NOW).expect_err("it is in use");

    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    assert_eq!(bench.set_aside(), [""; 0]);
}

#[test]
fn a_log_deleted_under_the_running_hub_fails_the_commit_for_good() {
    let bench = Bench::filled();
    let mut opened = bench.open();
    fs::remove_file(bench.state("db")).expect("ours");

    let failed = opened.store.commit(&[put("b", b"1")]);
    assert!(matches!(failed, Err(StoreError::Deleted)), "{failed:?}");
    let again = opened.store.commit(&[put("b", b"1")]);
    assert!(matches!(again, Err(StoreError::Broken)), "{again:?}");
}

#[test]
fn damage_among_the_last_values_is_set_aside_once_a_run_has_met_it() {
    let bench = Bench::filled();
    let mut opened = bench.open();
    for round in 0..40_u32 {
        let text = if round < 20 { *b"older" } else { NEWER };
        let value = |key| last_value(round * 500 + key, &text.repeat(40));
        let batch: Vec<_> = (0..500).map(value).collect();
        opened.store.commit(&batch).expect("the store is healthy");
    }
    drop(opened);
    drop(bench.open());

    let opened = bench.open();
    assert_eq!(opened.quarantined, None);
    let records = opened.store.records();
    drop(opened);
    bench.flip_last_values();
    let read = std::panic::catch_unwind(AssertUnwindSafe(|| {
        records.visit(Table::LastValue, b"", &mut |_, _| ControlFlow::Continue(()))
    }));
    assert!(!matches!(read, Ok(Ok(()))), "the test needs damage there");
    records.distrust();
    drop(records);

    bench.check_fresh(&bench.open());
    assert_eq!(bench.open().quarantined, None, "the mark went with the folder");
}

#[test]
fn a_state_that_is_distrusted_and_sound_is_trusted_again() {
    let bench = Bench::filled();
    bench.open().store.records().distrust();
    assert!(bench.state("distrusted").exists());

    let opened = bench.open();

    assert_eq!(records(&opened.store), [("a".to_owned(), 1)]);
    assert!(!bench.state("distrusted").exists());
}

/// Damages a state, and checks that the hub starts empty beside it.
#[track_caller]
fn check_set_aside(damage: impl FnOnce(&Bench)) {
    let bench = Bench::filled();
    damage(&bench);

    let opened = bench.open();

    bench.check_fresh(&opened);
}

const NOW: u64 = 1_800_000_000;

/// How often, and after how long each time, a lock is looked at again.
const LOCK_LOOKS: usize = 200;
const LOCK_LOOK: Duration = Duration::from_millis(100);

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// With one record, closed again.
    fn filled() -> Self {
        let bench = Self::new();
        bench.open().store.commit(&[put("a", b"1")]).expect("the store is healthy");
        bench
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn state(&self, name: &str) -> PathBuf {
        self.data().join(STATE_FOLDER).join(name)
    }

    fn settings(&self) -> OpenSettings {
        OpenSettings::new(self.data())
    }

    /// The engine lets go of its lock a moment after it was dropped.
    fn open(&self) -> Opened {
        for _ in 0..LOCK_LOOKS {
            match open(&self.settings(), NOW) {
                Err(OpenError::Locked { .. }) => thread::park_timeout(LOCK_LOOK),
                opened => return opened.expect("it starts"),
            }
        }
        panic!("the engine holds its lock");
    }

    fn truncate(&self, name: &str, size: u64) {
        let file = OpenOptions::new().write(true).open(self.state(name)).expect("it exists");
        file.set_len(size).expect("ours");
    }

    /// Flips a byte in every copy of the newer last values. The engine has neighbours in one page, so
    /// the first ones share theirs with what is read at once.
    fn flip_last_values(&self) {
        let path = self.state("db");
        let bytes = fs::read(&path).expect("ours");
        let copies: Vec<_> = bytes
            .windows(NEWER.len())
            .enumerate()
            .filter(|(_, window)| window == &NEWER)
            .map(|(at, _)| at)
            .collect();
        // In place, for the engine that has it open.
        let file = OpenOptions::new().write(true).open(path).expect("ours");
        for at in copies {
            file.write_all_at(b"N", at as u64).expect("ours");
        }
    }

    /// Names of the folders that were set aside.
    fn set_aside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data()).expect("ours").map(|entry| entry.expect("ours"));
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.contains("corrupt"))
            .collect();
        names.sort();
        names
    }

    #[track_caller]
    fn check_fresh(&self, opened: &Opened) {
        let name = format!("state.corrupt-{NOW}");
        assert_eq!(self.set_aside(), [name.as_str()]);
        assert_eq!(
            opened.quarantined.as_deref(),
            Some(fs::canonicalize(self.data()).expect("ours").join(name).as_path())
        );
        assert_eq!(records(&opened.store), []);
    }
}

fn put(key: &str, value: &[u8]) -> Operation {
    Operation::put(Table::Command, key.as_bytes(), Bytes::copy_from_slice(value)).expect("short")
}

/// What stands in the last values that are to be damaged.
const NEWER: [u8; 5] = *b"newer";

fn last_value(number: u32, value: &[u8]) -> Operation {
    let key = format!("city.{number:06}\0");
    let value = Bytes::copy_from_slice(value);
    Operation::put(Table::LastValue, key.as_bytes(), value).expect("short")
}

/// Keys and sizes of values.
fn records(store: &SledStore) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let scanned = store.scan(Table::Command, &mut |key, value| {
        found.push((String::from_utf8_lossy(key).into_owned(), value.len()));
    });
    scanned.expect("the store is healthy");
    found
}
