//! Installs the C library, for programs that choose it, and in the place of libvirt's.
//!
//! ```text
//!  LIBDIR/libvirsecret.so.0                 the library
//!         libvirsecret.so                   ──▶ libvirsecret.so.0
//!         pkgconfig/libvirsecret.pc
//!  INCLUDEDIR/libvirt/*.h
//!                                           with --as-libvirt also
//!  LIBDIR/libvirsecret-as-libvirt.so.0      the library with the soname libvirt.so.0
//!         libvirt.so.0                      ──▶ libvirsecret-as-libvirt.so.0
//!         libvirt.so                        ──▶ libvirt.so.0
//!         libvirsecret-as-libvirt-qemu.so.0 a library with the soname libvirt-qemu.so.0, and
//!         libvirt-qemu.so.0                 ──▶ it
//!         libvirt-qemu.so                   ──▶ libvirt-qemu.so.0; the same three for lxc
//!         pkgconfig/libvirt.pc
//! ```
//!
//! It never overwrites libvirt's own files: virsh and libvirtd need private parts of its library and do not start with
//! ours. Every file and link is renamed into place, so running programs keep the files that they have loaded.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::{Result, library, root, target};

const USAGE: &str = "usage: cargo xtask install [--prefix DIR] [--libdir DIR] [--includedir DIR] [--destdir DIR] \
     [--as-libvirt] [--debug]";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A text in each of our headers and in none of libvirt's.
const HEADER_MARK: &str = "VIRSECRET_";
/// The same for pkg-config files.
const PKG_CONFIG_MARK: &str = "libvirsecret";

/// The options of an installation.
#[derive(Debug)]
struct Installation {
    prefix: PathBuf,
    libdir: PathBuf,
    includedir: PathBuf,
    /// A folder before all of these, for packages.
    destdir: Option<PathBuf>,
    as_libvirt: bool,
    /// Whether to install a debug build.
    debug: bool,
}

impl Installation {
    fn parse(arguments: &[String]) -> Result<Self> {
        let (mut prefix, mut libdir, mut includedir, mut destdir) =
            (PathBuf::from("/usr/local"), None, None, None);
        let (mut as_libvirt, mut debug) = (false, false);
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut folder = || arguments.next().map(PathBuf::from).ok_or(USAGE);
            match argument.as_str() {
                "--prefix" => prefix = folder()?,
                "--libdir" => libdir = Some(folder()?),
                "--includedir" => includedir = Some(folder()?),
                "--destdir" => destdir = Some(std::path::absolute(folder()?)?),
                "--as-libvirt" => as_libvirt = true,
                "--debug" => debug = true,
                _ => return Err(USAGE.into()),
            }
        }
        let libdir = libdir.unwrap_or_else(|| prefix.join("lib"));
        let includedir = includedir.unwrap_or_else(|| prefix.join("include"));
        for folder in [&prefix, &libdir, &includedir] {
            if !folder.is_absolute() {
                let folder = folder.display();
                return Err(format!(
                    "{folder} is a relative path, and installed files name it: give an absolute path."
                )
                .into());
            }
        }
        Ok(Self { prefix, libdir, includedir, destdir, as_libvirt, debug })
    }

    /// A folder below the destination.
    fn destination_of(&self, folder: &Path) -> PathBuf {
        match (&self.destdir, folder.strip_prefix("/")) {
            (Some(destdir), Ok(folder)) => destdir.join(folder),
            _ => folder.to_owned(),
        }
    }

    /// Refuses to overwrite libvirt's own files.
    fn check(&self) -> Result<()> {
        let (libdir, headers) =
            (self.destination_of(&self.libdir), self.destination_of(&self.includedir).join("libvirt"));
        let ours = |name: &str| std::fs::read_link(libdir.join(name)).is_ok_and(|to| is_ours(&to));
        let beside = library::BESIDE.iter().flat_map(|beside| [beside.soname, beside.development]);
        for name in [library::LIBVIRT, "libvirt.so"].into_iter().chain(beside) {
            let file = libdir.join(name);
            if self.as_libvirt && file.symlink_metadata().is_ok() && !ours(name) {
                return Err(format!(
                    "{} is not Donjon's, and virsh, libvirtd and others may need it as it is. Install below another \
                     --prefix, and run the programs that are to use it with LD_LIBRARY_PATH=LIBDIR; or remove the \
                     package that it belongs to first.",
                    file.display()
                )
                .into());
            }
        }
        let pkg_config = libdir.join("pkgconfig/libvirt.pc");
        if self.as_libvirt && is_foreign(&pkg_config, PKG_CONFIG_MARK) {
            return Err(format!(
                "{} is not Donjon's. Install below another --prefix, and build with PKG_CONFIG_PATH=LIBDIR/pkgconfig; \
                 or remove the package that it belongs to first (libvirt-dev).",
                pkg_config.display()
            )
            .into());
        }
        for name in ["libvirt.h", "virterror.h"] {
            let header = headers.join(name);
            if is_foreign(&header, HEADER_MARK) {
                return Err(format!(
                    "{} is libvirt's own, which declares more than secrets. Keep it and give ours a folder of their \
                     own, such as --includedir {}; or remove the package that it belongs to first (libvirt-dev).",
                    header.display(),
                    self.includedir.join("virsecret").display()
                )
                .into());
            }
        }
        Ok(())
    }

    fn make(&self, root: &Path) -> Result<()> {
        self.check()?;
        let (built, source) = (library::build(root, self.debug)?, root.join("crates/virsecret"));
        let libdir = self.destination_of(&self.libdir);
        let pkg_config = |name: &str| -> Result<()> {
            let text = std::fs::read_to_string(source.join("pkgconfig").join(format!("{name}.in")))?;
            write_file(self.filled_in(&text).as_bytes(), &libdir.join("pkgconfig").join(name), 0o644)
        };
        let shared = |name: &str| write_file(&std::fs::read(built.join(name))?, &libdir.join(name), 0o755);
        shared(library::NAME)?;
        library::symlink(library::NAME, &libdir.join("libvirsecret.so"))?;
        pkg_config("libvirsecret.pc")?;
        for header in std::fs::read_dir(source.join("include/libvirt"))? {
            let header = header?;
            let place = self.destination_of(&self.includedir).join("libvirt").join(header.file_name());
            write_file(&std::fs::read(header.path())?, &place, 0o644)?;
        }
        if self.as_libvirt {
            shared(library::STAND_IN)?;
            library::symlink(library::STAND_IN, &libdir.join(library::LIBVIRT))?;
            library::symlink(library::LIBVIRT, &libdir.join("libvirt.so"))?;
            for beside in library::BESIDE {
                shared(beside.file)?;
                library::symlink(beside.file, &libdir.join(beside.soname))?;
                // JNA, which Java's bindings use, asks for this name.
                library::symlink(beside.soname, &libdir.join(beside.development))?;
            }
            pkg_config("libvirt.pc")?;
        }
        Ok(())
    }

    fn filled_in(&self, text: &str) -> String {
        let folders =
            [("@prefix@", &self.prefix), ("@libdir@", &self.libdir), ("@includedir@", &self.includedir)];
        folders.iter().fold(text.replace("@version@", VERSION), |text, (name, folder)| {
            text.replace(name, &folder.display().to_string())
        })
    }
}

/// Whether a link in the library folder leads to one of our files.
fn is_ours(to: &Path) -> bool {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let is_link = library::BESIDE.iter().any(|beside| name == beside.soname) || name == library::LIBVIRT;
    name.starts_with("libvirsecret") || is_link // That link is checked itself.
}

/// Whether a file exists without our mark.
fn is_foreign(file: &Path, mark: &str) -> bool {
    std::fs::read(file).is_ok_and(|bytes| !String::from_utf8_lossy(&bytes).contains(mark))
}

/// Writes a file beside its place and renames it.
fn write_file(bytes: &[u8], file: &Path, mode: u32) -> Result<()> {
    let folder = file.parent().ok_or("a file without a folder")?;
    let new = file.with_added_extension("new");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&new, bytes))
        .and_then(|()| std::fs::set_permissions(&new, PermissionsExt::from_mode(mode)))
        .and_then(|()| std::fs::rename(&new, file))
        .map_err(|error| {
            format!("{}: {error}. Choose another --prefix, or run this as root.", file.display()).into()
        })
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let installation = Installation::parse(arguments)?;
    installation.make(&root())?;
    let libdir = installation.libdir.display();
    eprintln!("installed in {} and {}", libdir, installation.includedir.display());
    if installation.destdir.is_none() {
        eprintln!("The system finds it once `ldconfig` has run, if {libdir} is in /etc/ld.so.conf.");
    }
    if installation.as_libvirt {
        eprintln!(
            "Programs that find {libdir} first now use it as libvirt; virsh and libvirtd need libvirt's own."
        );
    }
    Ok(())
}

/// Installs everything below a folder for tests and measurements, as in `/usr`. Returns the folder.
pub(crate) fn stage(root: &Path) -> Result<PathBuf> {
    let folder = target(root).join("library/stage");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let destdir = Some(std::path::absolute(&folder)?);
    let prefix = PathBuf::from("/usr");
    let (libdir, includedir) = (prefix.join("lib"), prefix.join("include"));
    Installation { prefix, libdir, includedir, destdir, as_libvirt: true, debug: false }.make(root)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &str) -> Result<Installation> {
        Installation::parse(&arguments.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    /// The file that prevents an installation as libvirt's, in a folder that `make` filled.
    fn obstacle(make: impl FnOnce(&Path)) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["usr/lib/pkgconfig", "usr/include/libvirt"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        make(&folder.path().join("usr"));
        let arguments = format!("--prefix /usr --as-libvirt --destdir {}", folder.path().display());
        let error = parsed(&arguments).unwrap().check().err()?.to_string();
        Some(error.replace(&folder.path().display().to_string(), "").split(' ').next().unwrap().to_owned())
    }

    #[test]
    fn folders_are_below_the_prefix_by_default() {
        let installation = parsed("--prefix /opt/donjon --libdir /opt/lib64 --destdir /tmp/stage").unwrap();
        assert_eq!(installation.destination_of(&installation.libdir), Path::new("/tmp/stage/opt/lib64"));
        assert_eq!(installation.includedir, Path::new("/opt/donjon/include"));
        let text =
            installation.filled_in("libdir=@libdir@ includedir=@includedir@ prefix=@prefix@ @version@");
        let expected = "libdir=/opt/lib64 includedir=/opt/donjon/include prefix=/opt/donjon";
        assert_eq!(text, format!("{expected} {VERSION}"));
        assert_eq!(parsed("").unwrap().libdir, Path::new("/usr/local/lib"));
        assert!(!parsed("").unwrap().as_libvirt);
    }

    #[test]
    fn unknown_options_are_refused() {
        for arguments in ["--prefix", "--prefix relative", "--libdir lib", "--as-libvrt", "/usr"] {
            assert!(parsed(arguments).is_err(), "{arguments}");
        }
    }

    #[test]
    fn files_of_libvirt_are_not_overwritten() {
        let link = std::os::unix::fs::symlink::<&str, PathBuf>;
        let library = obstacle(|usr| link("libvirt.so.0.9000.0", usr.join("lib/libvirt.so.0")).unwrap());
        assert_eq!(library.as_deref(), Some("/usr/lib/libvirt.so.0"));
        let file = obstacle(|usr| std::fs::write(usr.join("lib/libvirt.so"), "INPUT(-lvirt)").unwrap());
        assert_eq!(file.as_deref(), Some("/usr/lib/libvirt.so"));
        let header =
            obstacle(|usr| std::fs::write(usr.join("include/libvirt/libvirt.h"), "LIBVIR_").unwrap());
        assert_eq!(header.as_deref(), Some("/usr/include/libvirt/libvirt.h"));
        let text = "Name: libvirt";
        let pkg_config = obstacle(|usr| std::fs::write(usr.join("lib/pkgconfig/libvirt.pc"), text).unwrap());
        assert_eq!(pkg_config.as_deref(), Some("/usr/lib/pkgconfig/libvirt.pc"));
    }

    #[test]
    fn an_earlier_installation_is_replaced() {
        let link = std::os::unix::fs::symlink::<&str, PathBuf>;
        let obstacle = obstacle(|usr| {
            link(library::STAND_IN, usr.join("lib/libvirt.so.0")).unwrap();
            link(library::LIBVIRT, usr.join("lib/libvirt.so")).unwrap();
            let text = "Description: libvirt's API for secrets, from libvirsecret";
            std::fs::write(usr.join("lib/pkgconfig/libvirt.pc"), text).unwrap();
            std::fs::write(usr.join("include/libvirt/libvirt.h"), "#ifndef VIRSECRET_LIBVIRT_H").unwrap();
        });
        assert_eq!(obstacle, None);
    }
}
