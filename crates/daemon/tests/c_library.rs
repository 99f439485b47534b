//! The C library against the built binary: recorded answers, unmodified bindings and programs, and memory checkers.
//!
//! `cargo xtask test` builds the library, installs the programs, and sets DONJON_TEST_LIBRARY and DONJON_TEST_BINDINGS.
//! Without these the tests look below the target folder, or fail and name the command to run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{DONJOND, Server, root};

/// The path in a variable, or the default below the target folder.
fn found(variable: &str, below_target: &str) -> PathBuf {
    let target = Path::new(DONJOND).ancestors().nth(2).unwrap().to_owned();
    let path = std::env::var_os(variable).map_or_else(|| target.join(below_target), PathBuf::from);
    assert!(path.exists(), "there is no {}: run `cargo xtask test`, which makes it", path.display());
    path
}

/// Where the library is installed.
fn prefix() -> PathBuf {
    found("DONJON_TEST_LIBRARY", "library/stage/usr")
}

/// Where the programs are that use bindings.
fn bindings_folder() -> PathBuf {
    found("DONJON_TEST_BINDINGS", "clients-bindings")
}

/// A Python with libvirt-python from PyPI and the programs in it.
fn bindings() -> PathBuf {
    bindings_folder().join("bin/python")
}

fn tests(name: &str) -> PathBuf {
    root().join("crates/virsecret/tests").join(name)
}

/// Runs a command that loads our library, and returns its output.
#[track_caller]
fn run(command: &mut Command) -> String {
    let folder = prefix().join("lib");
    said(command.env("LD_LIBRARY_PATH", &folder).env("LIBDIR", &folder).env("STANDIN", "1"))
}

/// The same with libvirt's own library.
#[track_caller]
fn run_on_libvirt(command: &mut Command) -> String {
    said(command.env_remove("LD_LIBRARY_PATH"))
}

#[track_caller]
fn said(command: &mut Command) -> String {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{command:?}\n{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    said
}

/// Compiles a C program with our headers, linked to our library.
#[track_caller]
fn compile(source: &Path, folder: &Path, flags: &[&str]) -> PathBuf {
    let program = folder.join(source.file_stem().unwrap());
    let compiled = Command::new("gcc")
        .args(["-g", "-Wall", "-Wextra", "-Wno-cast-function-type"])
        .args(flags)
        .arg(format!("-I{}", prefix().join("include").display()))
        .arg("-o")
        .args([&program, source])
        .arg(format!("-L{}", prefix().join("lib").display()))
        .args(["-lvirsecret", "-lpthread"])
        .output()
        .expect("gcc is not installed: run `cargo xtask test`, which installs it");
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success() && said.is_empty(), "{said}");
    program
}

#[test]
fn recorded_answers_are_the_same_with_both_headers_and_both_daemons() {
    let data = tempfile::tempdir().unwrap();
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c_library.py"))
        .arg("--stage")
        .arg(prefix())
        .arg("--suite")
        .arg(support::recorded("libvirt"))
        .arg("--differences")
        .arg(root().join("docs/libvirt-differences.md"))
        .args(["--", DONJOND, "serve", "--listen", "127.0.0.1:0"])
        .args(["--metrics-listen", "off", "--libvirt-socket", "/run/libvirt/virtsecretd-sock", "--data-dir"])
        .arg(data.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The symbols that a library defines, with their versions.
fn exported(library: &Path) -> Vec<String> {
    let mut nm = Command::new("nm");
    let listed = said(nm.args(["-D", "--defined-only", "--with-symbol-versions"]).arg(library));
    let mut exported: Vec<String> = listed
        .lines()
        .map(|line| line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>())
        .filter(|words| words[0] != "A") // The versions themselves.
        .map(|words| words[1].replace("@@", " "))
        .collect();
    exported.sort();
    exported
}

#[test]
fn exactly_the_symbols_of_libvirt_are_exported_with_their_versions() {
    let exported = exported(&prefix().join("lib/libvirsecret.so.0"));
    let table = std::fs::read_to_string(root().join("crates/virsecret/symbols.txt")).unwrap();
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    let mut wanted: Vec<String> =
        rows.map(|row| row.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    wanted.sort();
    assert_eq!(wanted.len(), 526);
    assert_eq!(exported, wanted);
    let recorded = std::fs::read_to_string(support::recorded("libvirt/symbols-12.8.0.txt")).unwrap();
    let mut libvirts: Vec<&str> = recorded.lines().collect();
    libvirts.sort_unstable();
    assert_eq!(exported, libvirts);
}

#[test]
fn the_headers_declare_the_same_as_libvirts() {
    run(Command::new("python3").arg(tests("headers.py")).arg(prefix().join("include")));
}

#[test]
fn daemons_elsewhere_are_reached_as_libvirt_reaches_them() {
    let folder = tempfile::tempdir().unwrap();
    let life = compile(&tests("life.c"), folder.path(), &["-O1"]);
    let output = Command::new(support::python_with_libvirt())
        .arg("-B")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/remote.py"))
        .arg("--stage")
        .arg(prefix())
        .arg("--life")
        .arg(life)
        .arg("--donjon")
        .arg(Path::new(DONJOND).with_file_name("donjon"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn functions_for_show_fail_as_libvirts_do() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let library = prefix().join("lib/libvirsecret.so.0");
    let said = run(Command::new("python3").arg(tests("stubs.py")).arg(library).arg(server.uri()));
    assert!(said.contains("442 with NULL, 107 with a connection, 0 differ"), "{said}");
}

#[test]
fn variables_to_fill_in_are_left_as_libvirt_leaves_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let ask = |library: &Path| {
        let mut command = Command::new(support::python_with_libvirt());
        command.arg(tests("out_parameters.py")).arg(library).arg(server.uri());
        command
    };
    let libvirts = run_on_libvirt(&mut ask(Path::new("libvirt.so.0")));
    let ours = run(&mut ask(&prefix().join("lib/libvirt.so.0")));
    assert!(libvirts.contains("virConnectListAllDomains: a connection: and texts: domains is 8 zeros\n"));
    assert_same_lines(&ours, &libvirts);
}

#[test]
fn uris_are_read_as_libvirt_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Server::start(folder.path());
    let open_all = || {
        let mut command = Command::new(support::python_with_libvirt());
        command.arg(tests("uris.py")).arg(folder.path().join("virtsecretd-sock"));
        command
    };
    assert_same_lines(&run(&mut open_all()), &run_on_libvirt(&mut open_all()));
}

#[test]
fn a_connection_that_has_ended_answers_as_libvirts() {
    for mode in ["none", "loop"] {
        let after = |run: fn(&mut Command) -> String| {
            let folder = tempfile::tempdir().unwrap();
            let server = Server::start(folder.path());
            let mut command = Command::new(support::python_with_libvirt());
            command.arg(tests("ended.py")).args([mode, &server.uri(), &server.pid().to_string()]);
            reaped(server, || run(&mut command))
        };
        assert_same_lines(&after(run), &after(run_on_libvirt));
    }
}

/// Compares the output of a program on our library with that on libvirt's.
#[track_caller]
fn assert_same_lines(ours: &str, libvirts: &str) {
    let (ours, libvirts): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), libvirts.lines().collect());
    let pairs = ours.iter().zip(&libvirts).filter(|(ours, libvirts)| ours != libvirts);
    let differing: Vec<String> = pairs.map(|(ours, libvirts)| format!("{ours}\n  {libvirts}")).collect();
    assert!(differing.is_empty(), "ours, and libvirt's:\n{}", differing.join("\n"));
    assert_eq!(ours.len(), libvirts.len());
    assert!(!ours.is_empty());
}

/// Where the system has a library of libvirt's.
fn libvirts(name: &str) -> PathBuf {
    let cache = said(Command::new("/sbin/ldconfig").arg("-p"));
    let line = cache.lines().find(|line| line.trim_start().starts_with(&format!("{name} ")));
    line.and_then(|line| line.split_once("=> ")).expect("libvirt's library is not installed").1.into()
}

#[test]
fn the_libraries_beside_it_are_there_with_their_symbols_and_versions() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let beside = || {
        let mut command = Command::new(support::python_with_libvirt());
        command.arg(tests("beside.py")).arg(server.uri());
        command
    };
    let (ours, libvirts_own) = (run(&mut beside()), run_on_libvirt(&mut beside()));
    let of = |said: &str, whose: &str| -> String {
        said.lines().filter(|line| line.contains(whose)).map(|line| format!("{line}\n")).collect()
    };
    assert_same_lines(&of(&ours, ": NULL: "), &of(&libvirts_own, ": NULL: "));
    let supported = of(&ours, ": a connection: ");
    let (lines, text) =
        (supported.lines(), ": 3: 0: 2: this function is not supported by the connection driver: vir");
    assert!(supported.lines().count() == 3 && lines.clone().all(|line| line.contains(text)), "{supported}");
    for (name, count) in [("libvirt-qemu.so.0", 6), ("libvirt-lxc.so.0", 4)] {
        let ours = exported(&prefix().join("lib").join(name));
        assert_eq!(ours.len(), count);
        assert_eq!(ours, exported(&libvirts(name)));
    }
    run(Command::new(bindings()).args(["-c", "import libvirt_qemu, libvirt_lxc"]));
}

#[test]
fn ruby_go_java_and_perl_see_the_same_as_on_libvirt() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let script = |language: &str, name: &str| {
        let mut command = Command::new(language);
        command.arg(tests("bindings").join(name));
        command
    };
    let java = || {
        let mut command = Command::new("java");
        let classes = format!("/usr/share/java/jna.jar:{}", bindings_folder().join("java").display());
        command.args(["-cp", &classes, "ProgramJava"]);
        command
    };
    let programs: [&dyn Fn() -> Command; 4] = [
        &|| script("ruby", "program_ruby.rb"),
        &|| Command::new(bindings_folder().join("program_go")),
        &java,
        &|| script("perl", "program_perl.pl"),
    ];
    for program in programs {
        let libvirts = run_on_libvirt(program().arg(server.uri()));
        assert_same_lines(&run(program().arg(server.uri())), &libvirts);
    }
}

#[test]
fn threads_events_and_ten_thousand_connections_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let program = compile(&tests("life.c"), folder.path(), &["-O1"]);
    for (mode, count) in [("threads", "30"), ("events", "200"), ("calls", "20"), ("cycles", "10000")] {
        run(Command::new(&program).arg(server.uri()).args([mode, count]));
    }
}

/// Runs a program that kills the daemon it is connected to.
fn run_and_kill(command: &mut Command, program: &Path, mode: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mortal = Server::start(folder.path());
    // A parent that waits for it at the end only: until then it is there as a zombie, which answers signals.
    let (uri, pid) = (mortal.uri(), mortal.pid().to_string());
    reaped(mortal, || run(command.arg(program).arg(uri).args([mode, &pid])));
}

/// Waits for a server to end meanwhile, so that it is no zombie then.
fn reaped<T>(mut mortal: Server, meanwhile: impl FnOnce() -> T) -> T {
    let reaper = std::thread::spawn(move || mortal.wait());
    let result = meanwhile();
    reaper.join().unwrap();
    result
}

fn valgrind() -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["-q", "--leak-check=full", "--error-exitcode=9"]);
    valgrind.arg("--errors-for-leak-kinds=definite,indirect");
    valgrind
}

#[test]
fn ended_connections_are_reported_and_freed() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let program = compile(&tests("life.c"), folder.path(), &["-O1"]);
    let sanitized = compile(&tests("life.c"), other.path(), &["-O1", "-fsanitize=address,undefined"]);
    for mode in ["dead", "closing"] {
        run_and_kill(&mut Command::new("env"), &program, mode);
        run_and_kill(&mut Command::new("env"), &sanitized, mode);
        run_and_kill(&mut valgrind(), &program, mode);
    }
    for mode in ["ends", "beyond"] {
        run(&mut beside_a_stub(mode, folder.path(), &program));
    }
}

/// A program with a daemon that misbehaves at a chosen moment, as no real one can be made to.
fn beside_a_stub(mode: &str, folder: &Path, program: &Path) -> Command {
    let socket = folder.join(mode);
    let mut stub = Command::new("python3");
    stub.arg(tests("stub_daemon.py")).arg(mode).arg(&socket).arg(program);
    stub.arg(format!("secret:///system?socket={}", socket.display())).args([mode, "2"]);
    stub
}

#[test]
fn lost_events_are_reported_once_for_each_gap() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(&tests("life.c"), folder.path(), &["-O1"]);
    let log = folder.path().join("log");
    let mut floods = beside_a_stub("floods", folder.path(), &program);
    run(floods.env("LIBVIRT_LOG_OUTPUTS", format!("3:file:{}", log.display())).env("LIBVIRT_DEBUG", "3"));
    let log = std::fs::read_to_string(log).unwrap();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains(": warning : ")).collect();
    let text = " : internal error: 616 events were lost, because nobody took them in time";
    assert!(warnings.len() == 2 && warnings.iter().all(|line| line.ends_with(text)), "{log}");
}

#[test]
fn the_log_tells_of_openings_calls_and_errors_and_never_a_value() {
    const VALUE: &str = "never-in-any-log-7f3b";
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let log = folder.path().join("log");
    let script = "import libvirt, sys\n\
        libvirt.registerErrorHandler(lambda *_: None, None)\n\
        c = libvirt.open(sys.argv[1])\n\
        s = c.secretDefineXML('<secret><uuid>5ec2e700-0000-4000-8000-0000000000ad</uuid></secret>')\n\
        s.setValue(sys.argv[2].encode()), s.value()\n\
        try: c.secretLookupByUUIDString('5ec2e700-0000-4000-8000-0000000000ff')\n\
        except libvirt.libvirtError: pass\n\
        s.undefine(), c.close()\n";
    let python = |level: &str, outputs: &str, filters: &str| {
        let mut command = Command::new(support::python_with_libvirt());
        command.args(["-c", script, &server.uri(), VALUE]).env("LIBVIRT_DEBUG", level);
        command.env("LIBVIRT_LOG_OUTPUTS", outputs).env("LIBVIRT_LOG_FILTERS", filters);
        command
    };
    let to_file = format!("1:file:{}", log.display());
    run(&mut python("1", &to_file, ""));
    let told = std::fs::read_to_string(&log).unwrap();
    assert!(!told.contains(VALUE), "{told}");
    for text in [
        " : libvirt version: 12.8.0, package: libvirsecret ",
        " : hostname: ",
        &format!(" : name={}", server.uri()),
        " opened over unix, asking for secret:///system, ReadWrite",
        ": debug : virSecretGetValue:",
        ", secret 5ec2e700-0000-4000-8000-0000000000ad",
        " : Secret not found: no secret with matching uuid '5ec2e700-0000-4000-8000-0000000000ff'",
        ": debug : virConnectClose:",
    ] {
        assert!(told.contains(text), "{text}\n{told}");
    }
    // Each line has libvirt's form, by libvirt's own expression.
    for line in told.lines() {
        let (time, rest) = line.split_at(28);
        let form: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(form, "0000-00-00 00:00:00.000+0000", "{line}");
        let parts: Vec<&str> = rest.splitn(4, ": ").collect();
        assert!(parts[1].parse::<u32>().is_ok(), "{line}");
        assert!(["debug ", "info ", "error "].contains(&parts[2]), "{line}");
    }
    std::fs::remove_file(&log).unwrap();
    run(&mut python("", &to_file, "1:secret"));
    let told = std::fs::read_to_string(&log).unwrap();
    assert!(told.contains("virSecretGetValue:") && !told.contains("virConnectClose:"), "{told}");
    // A malformed value is refused as libvirt refuses it.
    for (level, outputs, filters) in
        [("9", "", ""), ("", "1:nowhere", ""), ("", "", "x"), ("", "1:file:/nonexistent/x", "")]
    {
        let refused = |mut command: Command, libdir: Option<&Path>| {
            match libdir {
                Some(folder) => command.env("LD_LIBRARY_PATH", folder),
                None => command.env_remove("LD_LIBRARY_PATH"),
            };
            let ran = command.output().unwrap();
            assert!(!ran.status.success());
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            said.lines().last().unwrap().to_owned()
        };
        let ours = refused(python(level, outputs, filters), Some(&prefix().join("lib")));
        assert_eq!(ours, refused(python(level, outputs, filters), None));
    }
}

#[test]
fn valgrind_and_address_sanitizer_find_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let program = compile(&tests("life.c"), folder.path(), &["-O1"]);
    for (mode, count) in [("threads", "3"), ("events", "30"), ("calls", "2"), ("cycles", "60")] {
        run(valgrind().arg(&program).arg(server.uri()).args([mode, count]));
    }
    let sanitized = compile(&tests("life.c"), folder.path(), &["-O1", "-fsanitize=address,undefined"]);
    for (mode, count) in [("threads", "10"), ("events", "50"), ("calls", "5"), ("cycles", "100")] {
        run(Command::new(&sanitized).arg(server.uri()).args([mode, count]));
    }
}

/// Runs a script beside a daemon, with its URI and the REST door's.
#[track_caller]
fn beside_a_daemon(python: &Path, script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    run(Command::new(python).arg(tests("bindings").join(script)).arg(server.uri()).arg(server.url()))
}

#[test]
fn libvirt_python_of_debian_and_the_newest_of_pypi_work() {
    for python in [PathBuf::from(support::python_with_libvirt()), bindings()] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let script = tests("bindings/libvirt_python.py");
        let said = run(Command::new(&python).arg(script).arg(server.uri()));
        assert!(said.contains("ok everything_else"), "{said}");
    }
}

#[test]
fn the_virt_crate_works() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let target = Path::new(DONJOND).ancestors().nth(2).unwrap().join("virt-binding");
    let stage = prefix();
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--locked"])
        .current_dir(tests("bindings/virt"))
        .env("CARGO_TARGET_DIR", &target)
        .env("PKG_CONFIG_PATH", stage.join("lib/pkgconfig"))
        .env("PKG_CONFIG_SYSROOT_DIR", stage.parent().unwrap())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    run(Command::new(target.join("debug/virt-binding")).arg(server.uri()));
}

#[test]
fn nova_keeps_its_secrets_here() {
    beside_a_daemon(&bindings(), "program_nova.py");
}

#[test]
fn ansible_manages_secrets_here() {
    beside_a_daemon(&bindings(), "program_ansible.py");
}

#[test]
fn libvirt_dbus_offers_these_secrets() {
    beside_a_daemon(&bindings(), "program_libvirt_dbus.py");
}
