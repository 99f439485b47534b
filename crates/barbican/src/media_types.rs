//! The media types that Python's `mimetypes` module knows, by file name extension.
//!
//! Barbican's framework decides by them in two places that clients see: a path may end in a known extension, which then
//! stands for an Accept header, and a payload may be asked for as any known type, to be refused later and otherwise.
//! Python adds what the machine's `mime.types` lists; of that only the type that clients ask for is here.

use std::borrow::Cow;

/// Types with their extensions, in the order of the types.
const TYPES: &[(&str, &[&str])] = &[
    ("application/javascript", &["js", "mjs"]),
    ("application/json", &["json"]),
    ("application/manifest+json", &["webmanifest"]),
    ("application/msword", &["doc", "dot", "wiz"]),
    ("application/n-quads", &["nq"]),
    ("application/n-triples", &["nt"]),
    ("application/octet-stream", &["a", "bin", "dll", "exe", "o", "obj", "so"]),
    ("application/oda", &["oda"]),
    ("application/pdf", &["pdf"]),
    ("application/pkcs7-mime", &["p7c"]),
    ("application/pkcs8", &["p8"]),
    ("application/postscript", &["ai", "eps", "ps"]),
    ("application/trig", &["trig"]),
    ("application/vnd.apple.mpegurl", &["m3u", "m3u8"]),
    ("application/vnd.ms-excel", &["xlb", "xls"]),
    ("application/vnd.ms-powerpoint", &["pot", "ppa", "pps", "ppt", "pwz"]),
    ("application/wasm", &["wasm"]),
    ("application/x-bcpio", &["bcpio"]),
    ("application/x-cpio", &["cpio"]),
    ("application/x-csh", &["csh"]),
    ("application/x-dvi", &["dvi"]),
    ("application/x-gtar", &["gtar"]),
    ("application/x-hdf", &["hdf"]),
    ("application/x-hdf5", &["h5"]),
    ("application/x-latex", &["latex"]),
    ("application/x-mif", &["mif"]),
    ("application/x-netcdf", &["cdf", "nc"]),
    ("application/x-pkcs12", &["p12", "pfx"]),
    ("application/x-pn-realaudio", &["ram"]),
    ("application/x-python-code", &["pyc", "pyo"]),
    ("application/x-sh", &["sh"]),
    ("application/x-shar", &["shar"]),
    ("application/x-shockwave-flash", &["swf"]),
    ("application/x-sv4cpio", &["sv4cpio"]),
    ("application/x-sv4crc", &["sv4crc"]),
    ("application/x-tar", &["tar"]),
    ("application/x-tcl", &["tcl"]),
    ("application/x-tex", &["tex"]),
    ("application/x-texinfo", &["texi", "texinfo"]),
    ("application/x-troff", &["roff", "t", "tr"]),
    ("application/x-troff-man", &["man"]),
    ("application/x-troff-me", &["me"]),
    ("application/x-troff-ms", &["ms"]),
    ("application/x-ustar", &["ustar"]),
    ("application/x-wais-source", &["src"]),
    ("application/xml", &["rdf", "wsdl", "xpdl", "xsl"]),
    ("application/zip", &["zip"]),
    ("audio/3gpp", &["3gp", "3gpp"]),
    ("audio/3gpp2", &["3g2", "3gpp2"]),
    ("audio/aac", &["aac", "adts", "ass", "loas"]),
    ("audio/basic", &["au", "snd"]),
    ("audio/mpeg", &["mp2", "mp3"]),
    ("audio/opus", &["opus"]),
    ("audio/x-aiff", &["aif", "aifc", "aiff"]),
    ("audio/x-pn-realaudio", &["ra"]),
    ("audio/x-wav", &["wav"]),
    ("image/avif", &["avif"]),
    ("image/bmp", &["bmp"]),
    ("image/gif", &["gif"]),
    ("image/heic", &["heic"]),
    ("image/heif", &["heif"]),
    ("image/ief", &["ief"]),
    ("image/jpeg", &["jpe", "jpeg", "jpg"]),
    ("image/png", &["png"]),
    ("image/svg+xml", &["svg"]),
    ("image/tiff", &["tif", "tiff"]),
    ("image/vnd.microsoft.icon", &["ico"]),
    ("image/x-cmu-raster", &["ras"]),
    ("image/x-portable-anymap", &["pnm"]),
    ("image/x-portable-bitmap", &["pbm"]),
    ("image/x-portable-graymap", &["pgm"]),
    ("image/x-portable-pixmap", &["ppm"]),
    ("image/x-rgb", &["rgb"]),
    ("image/x-xbitmap", &["xbm"]),
    ("image/x-xpixmap", &["xpm"]),
    ("image/x-xwindowdump", &["xwd"]),
    ("message/rfc822", &["eml", "mht", "mhtml", "nws"]),
    ("text/css", &["css"]),
    ("text/csv", &["csv"]),
    ("text/html", &["htm", "html"]),
    ("text/n3", &["n3"]),
    ("text/plain", &["bat", "c", "h", "ksh", "pl", "srt", "txt"]),
    ("text/richtext", &["rtx"]),
    ("text/tab-separated-values", &["tsv"]),
    ("text/vtt", &["vtt"]),
    ("text/x-python", &["py"]),
    ("text/x-setext", &["etx"]),
    ("text/x-sgml", &["sgm", "sgml"]),
    ("text/x-vcard", &["vcf"]),
    ("text/xml", &["xml"]),
    ("video/mp4", &["mp4"]),
    ("video/mpeg", &["m1v", "mpa", "mpe", "mpeg", "mpg"]),
    ("video/quicktime", &["mov", "qt"]),
    ("video/webm", &["webm"]),
    ("video/x-msvideo", &["avi"]),
    ("video/x-sgi-movie", &["movie"]),
];

/// Extensions that stand for an archive inside a compression, which Python looks through.
const COMPRESSED_ARCHIVES: [&str; 5] = ["tgz", "taz", "tz", "tbz2", "txz"];

/// Whether the type is known. Only its own spelling counts.
pub(crate) fn is_known(media_type: &str) -> bool {
    TYPES.binary_search_by(|(known, _)| (*known).cmp(media_type)).is_ok()
}

/// Every known type.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|(media_type, _)| *media_type)
}

/// The type that an extension (without its dot) stands for.
pub(crate) fn of_extension(extension: &str) -> Option<&'static str> {
    let lower = extension.to_ascii_lowercase();
    if COMPRESSED_ARCHIVES.contains(&extension) {
        return Some("application/x-tar");
    }
    if extension == "svgz" {
        return Some("image/svg+xml");
    }
    TYPES
        .iter()
        .find(|(_, extensions)| extensions.contains(&lower.as_str()))
        .map(|(media_type, _)| *media_type)
}

/// Cuts off a known file name extension, and says which type it stands for.
pub(crate) fn without_extension(path: &str) -> (Cow<'_, str>, Option<&'static str>) {
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    // Dots at the start of a name do not begin an extension.
    let extension = name.trim_start_matches('.').rsplit_once('.').map(|(_, extension)| extension);
    let known = extension.and_then(|extension| Some((extension, of_extension(extension)?)));
    let Some(((extension, media_type), at)) = known.and_then(|known| Some((known, path.rfind(known.0)?)))
    else {
        return (Cow::Borrowed(path), None);
    };
    let (head, tail) = path.split_at_checked(at).unwrap_or((path, ""));
    let head = head.strip_suffix('.').unwrap_or(head);
    let tail = tail.strip_prefix(extension).unwrap_or(tail);
    (Cow::Owned(format!("{head}{tail}")), Some(media_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted() {
        assert!(TYPES.is_sorted_by_key(|(media_type, _)| *media_type));
    }

    #[test]
    fn types_are_found_both_ways() {
        for (media_type, known) in [
            ("text/html", true),
            ("application/pkcs8", true),
            ("application/aes", false),
            ("TEXT/HTML", false),
        ] {
            assert_eq!(is_known(media_type), known, "{media_type}");
        }
        for (extension, expect) in [
            ("json", Some("application/json")),
            ("TXT", Some("text/plain")),
            ("foo", None),
            ("tgz", Some("application/x-tar")),
        ] {
            assert_eq!(of_extension(extension), expect, "{extension}");
        }
    }

    #[test]
    fn known_extensions_are_cut_off() {
        for (path, rest, media_type) in [
            ("/secrets.json", "/secrets", Some("application/json")),
            ("/secrets.txt/", "/secrets/", Some("text/plain")),
            ("/secrets.foo", "/secrets.foo", None),
            ("/secrets/.json", "/secrets/.json", None),
            ("/a.json/b", "/a.json/b", None),
            ("/secrets", "/secrets", None),
        ] {
            let found = without_extension(path);
            assert_eq!((found.0.as_ref(), found.1), (rest, media_type), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_panics(path in "/[a-z0-9/.\\PC-]{0,60}") {
            let _ = without_extension(&path);
        }
    }
}
