//! `init`, and a start that is refused: exit code 1.

use std::fs;
use std::net::TcpListener;

use expect_test::expect;

use crate::{Folder, donjond, mode, not_started, refused, succeeds};

#[test]
fn init_makes_everything_private_and_only_once() {
    let folder = Folder::new();
    let said = succeeds(&["init", "--data-dir", &folder.data()]).replace(&folder.data(), "DATA");
    expect![[r#"
        data        DATA
        master key  DATA/master.key
        database    DATA/donjon.db
        audit trail DATA/audit.log

        Copy the master key to a safe place now: without it nothing in the database opens.
    "#]]
    .assert_eq(&said);
    assert_eq!(mode(&folder.path("data")), 0o700);
    for name in ["master.key", "donjon.db", "audit.log"] {
        assert_eq!(mode(&folder.path("data").join(name)), 0o600, "{name}");
    }
    let key = fs::read(folder.path("data/master.key")).unwrap();
    refused(
        folder.dir(),
        &["init", "--data-dir", &folder.data()],
        1,
        expect![[r#"
        donjond: there is a store at DIR/data/donjon.db already; nothing was touched
        Start it with donjond serve, look at it with donjond check, or name another --data-dir.
    "#]],
    );
    assert_eq!(fs::read(folder.path("data/master.key")).unwrap(), key);
}

#[test]
fn a_missing_master_key_is_never_made_anew() {
    let folder = Folder::new();
    succeeds(&["init", "--data-dir", &folder.data()]);
    fs::remove_file(folder.path("data/master.key")).unwrap();
    not_started(
        &folder,
        &[],
        expect![[r#"
        donjond: master key DIR/data/master.key is missing and the store was made with it: restore the file, or name another
    "#]],
    );
    refused(
        folder.dir(),
        &["check", "--data-dir", &folder.data()],
        1,
        expect![[r#"
        donjond: master key DIR/data/master.key is missing and the store was made with it: restore the file, or name another
    "#]],
    );
    assert!(!folder.path("data/master.key").exists());
}

#[test]
fn another_stores_master_key_is_refused() {
    let (folder, other) = (Folder::new(), Folder::new());
    for folder in [&folder, &other] {
        succeeds(&["init", "--data-dir", &folder.data()]);
    }
    fs::copy(other.path("data/master.key"), folder.path("data/master.key")).unwrap();
    not_started(
        &folder,
        &[],
        expect![[r#"
        donjond: the master key (file DIR/data/master.key) is not the one that the store DIR/data/donjon.db was made with
        Restore the right key, or name it with --master-key. A new key would open nothing, so none is made.
    "#]],
    );
    refused(
        folder.dir(),
        &["check", "--data-dir", &folder.data()],
        1,
        expect![[r#"
        donjond: the master key (file DIR/data/master.key) is not the one that the store DIR/data/donjon.db was made with
        Restore the right key, or name it with --master-key. A new key would open nothing, so none is made.
    "#]],
    );
}

#[test]
fn a_schema_of_another_version_is_refused() {
    let folder = Folder::new();
    succeeds(&["init", "--data-dir", &folder.data()]);
    let path = folder.path("data/donjon.db");
    let mut database = fs::read(&path).unwrap();
    database[60..64].copy_from_slice(&99_u32.to_be_bytes()); // user_version in SQLite's file header.
    fs::write(&path, database).unwrap();
    not_started(
        &folder,
        &[],
        expect![[r#"
            donjond: DIR/data/donjon.db has schema 99; this program knows schema 5
            A later donjond wrote it: start that version or a later one; nothing was changed.
        "#]],
    );
}

#[test]
fn a_file_that_is_not_a_database_is_refused() {
    let folder = Folder::new();
    let file = folder.write("letter.txt", &"Dear operator, this is no database. ".repeat(100));
    let store = format!("sqlite:{file}");
    not_started(
        &folder,
        &["--store", &store],
        expect![[r#"
        donjond: DIR/letter.txt is not a Donjon database
        Name Donjon's own database with --store sqlite:PATH; nothing was changed.
    "#]],
    );
}

#[test]
fn a_read_only_database_is_not_served() {
    let folder = Folder::new();
    fs::create_dir(folder.path("folder")).unwrap(); // Not to be written by root either, whom no mode keeps out.
    let store = format!("sqlite:{}", folder.path("folder").display());
    not_started(
        &folder,
        &["--store", &store],
        expect![[r#"
            donjond: DIR/folder: Is a directory (os error 21)
            Let the user that runs donjond read and write there, or name another place.
        "#]],
    );
    assert!(!folder.path("folder.lock").exists(), "nothing is made beside it");
}

#[test]
fn check_of_nothing_makes_nothing() {
    let folder = Folder::new();
    refused(
        folder.dir(),
        &["check", "--data-dir", &folder.data()],
        1,
        expect![[r#"
        donjond: there is no database at DIR/data/donjon.db
        Make a store with donjond init or donjond serve, or name one with --data-dir or --store.
    "#]],
    );
    assert!(!folder.path("data").exists());
}

#[test]
fn an_address_in_use_is_reported() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = donjond(&["serve", "--data-dir", &folder.data(), "--listen", &address]);
    let said = String::from_utf8(output.stderr).unwrap().replace(&address, "ADDR");
    expect![[r#"
        donjond: cannot listen on ADDR: Address already in use (os error 98)
        See who does with: ss -ltnp. Choose another address with --listen.
    "#]]
    .assert_eq(&said);
    assert_eq!(output.status.code(), Some(1));
    assert!(!folder.path("data").exists(), "nothing is made");
}
