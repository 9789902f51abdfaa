//! A file is written whole or not at all, and nothing else is left in its directory.

#![cfg(unix)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use symopt_files::{check_writable, is_unfinished, write};

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn new_and_old_files_hold_the_new_content_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    write(&path, b"a long first content").unwrap();
    let first = fs::metadata(&path).unwrap().ino();
    write(&path, b"second").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert_ne!(fs::metadata(&path).unwrap().ino(), first, "the old file was written over");
    assert_eq!(names(folder.path()), ["a.txt"]);
}

#[test]
fn permissions_are_those_of_any_new_file_or_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, new) = (folder.path().join("plain"), folder.path().join("new"));
    fs::write(&plain, "").unwrap();
    write(&new, b"x").unwrap();
    assert_eq!(mode(&new), mode(&plain));
    for kept in [0o600, 0o640, 0o755] {
        fs::set_permissions(&new, fs::Permissions::from_mode(kept)).unwrap();
        write(&new, b"y").unwrap();
        assert_eq!(mode(&new), kept);
    }
    fs::set_permissions(&new, fs::Permissions::from_mode(0o4755)).unwrap();
    write(&new, b"z").unwrap();
    assert_eq!(mode(&new), 0o755, "the new content would run as another user");
}

#[test]
fn symbolic_links_stay_and_their_targets_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| folder.path().join(name);
    fs::create_dir(of("real")).unwrap();
    fs::write(of("real/file"), "old").unwrap();
    symlink("real/file", of("link")).unwrap();
    symlink("link", of("link-to-link")).unwrap();
    write(&of("link-to-link"), b"new").unwrap();
    assert_eq!(fs::read(of("real/file")).unwrap(), b"new");
    assert!(of("link-to-link").is_symlink() && of("link").is_symlink());
    // One that leads to no file yet.
    symlink("real/later", of("dangling")).unwrap();
    write(&of("dangling"), b"there").unwrap();
    assert_eq!(fs::read(of("real/later")).unwrap(), b"there");
    assert_eq!(names(&of("real")), ["file", "later"]);
    symlink("round", of("round")).unwrap();
    assert!(write(&of("round"), b"x").unwrap_err().is_misplaced());
}

#[test]
fn pipes_and_open_files_are_written_straight() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || {
            let mut text = String::new();
            fs::File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
            text
        })
    };
    check_writable(&pipe).unwrap();
    write(&pipe, b"through").unwrap();
    assert_eq!(reader.join().unwrap(), "through");
    assert_eq!(names(folder.path()), ["pipe"]);
    write(Path::new("/dev/null"), b"x").unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // As `-o /dev/stdout` with the output redirected into a file: that file, and no other one
        // under its name.
        let path = folder.path().join("open");
        let open = fs::File::create(&path).unwrap();
        let before = fs::metadata(&path).unwrap().ino();
        write(Path::new(&format!("/proc/self/fd/{}", open.as_raw_fd())), b"x").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().ino()),
            (b"x".to_vec(), before)
        );
        let full = write(Path::new("/dev/full"), b"x").unwrap_err();
        assert!(full.is_full() && !full.is_misplaced());
        assert!(full.to_string().contains("can't write `/dev/full`: no space left"), "{full}");
    }
}

#[test]
fn places_where_no_file_can_be_are_told_beforehand_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| folder.path().join(name);
    fs::write(of("file"), "old").unwrap();
    fs::create_dir(of("directory")).unwrap();
    let long = "x".repeat(300);
    let places = [
        ("none/there", "there is no directory"),
        ("directory", "it is a directory"),
        ("file/below", "ot a directory"),
        (&long, "long"),
    ];
    for (name, expected) in places {
        for error in [check_writable(&of(name)).unwrap_err(), write(&of(name), b"x").unwrap_err()] {
            assert!(error.is_misplaced() && error.to_string().contains(expected), "{error}");
        }
    }
    check_writable(&of("file")).unwrap();
    check_writable(&of("new")).unwrap();
    assert_eq!(
        (names(folder.path()), fs::read(of("file")).unwrap()),
        (vec!["directory".to_owned(), "file".to_owned()], b"old".to_vec())
    );
    let longest = "y".repeat(255);
    write(&of(&longest), b"1").unwrap();
    write(&of(&longest), b"2").unwrap();
    assert_eq!(fs::read(of(&longest)).unwrap(), b"2");
}

#[test]
fn a_write_that_fails_leaves_the_old_file_and_nothing_else() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    // In a process of its own: the limit on the size of files holds for all threads, and the signal
    // that comes with it must not kill.
    if std::env::var_os("SYMOPT_TEST_LIMITED").is_none() {
        let this = std::env::current_exe().unwrap();
        let test = "a_write_that_fails_leaves_the_old_file_and_nothing_else";
        let shell =
            format!("trap '' XFSZ; SYMOPT_TEST_LIMITED=1 exec '{}' --exact {test}", this.display());
        // Through pipes: a file that the output goes to would have the limit too.
        let output = std::process::Command::new("sh").args(["-c", &shell]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    let mut limit = getrlimit(Resource::Fsize);
    limit.current = Some(1000);
    setrlimit(Resource::Fsize, limit).unwrap();
    let error = write(&path, &[b'x'; 5000]).unwrap_err();
    assert!(!error.is_misplaced(), "{error}");
    assert_eq!(
        (names(folder.path()), fs::read(&path).unwrap()),
        (vec!["file".to_owned()], b"old".to_vec())
    );
}

#[test]
fn what_a_killed_process_left_goes_with_the_next_write_and_what_is_being_written_stays() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| folder.path().join(name);
    let (stale, busy, other) = (
        of(".file.abcde12345.unfinished"),
        of(".file.0123456789.unfinished"),
        of(".file.mine.unfinished"),
    );
    for path in [&stale, &busy, &other] {
        fs::write(path, "x").unwrap();
    }
    assert!(
        is_unfinished(stale.file_name().unwrap()) && !is_unfinished(other.file_name().unwrap())
    );
    let held = fs::File::open(&busy).unwrap();
    held.lock().unwrap();
    write(&of("file"), b"new").unwrap();
    assert!(!stale.exists() && busy.exists() && other.exists());
}

#[test]
fn many_writers_of_one_file_leave_the_content_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::thread::scope(|scope| {
        for writer in 0..8_u8 {
            let path = &path;
            scope.spawn(move || (0..20).for_each(|_| write(path, &[writer; 10_000]).unwrap()));
        }
    });
    let content = fs::read(&path).unwrap();
    assert!(content.len() == 10_000 && content.iter().all(|byte| *byte == content[0]));
    assert_eq!(names(folder.path()), ["file"]);
}
