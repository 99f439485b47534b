//! Answers of libvirtd 12.8.0, and tests of sizes, depths and random documents.
//!
//! golden.txt was recorded from the real daemon (libxml2 2.15), never written from our output. A case has three lines:
//! a title, ending in `--validate` if the schema was asked for; the document; and the outcome, an error as code/domain and
//! detail. Titles that begin with `define:` are those of `tests/recorded/libvirt`. Line ends and control characters are
//! escaped in both.

use model::{Facets, SecretId, UsageType};
use proptest::prelude::*;

use super::{Definition, parse, write};

const GOLDEN: &str = include_str!("golden.txt");

/// The id in documents that are not about ids.
const ID: &str = "5ec2e700-0000-4000-8000-000000000001";

/// The outcome of a document, in one line.
fn outcome(xml: &[u8], validate: bool) -> Vec<u8> {
    let Definition { id, facets } = match parse(xml, validate) {
        Ok(definition) => definition,
        Err(error) => {
            let wire = error.wire();
            return [format!("{}/{} ", wire.code, wire.domain).as_bytes(), &wire.detail].concat();
        }
    };
    let mut line = "defined".to_owned();
    line.push_str(if id == Some(ID.parse().unwrap()) { " 1" } else { "" });
    line.push_str(if facets.ephemeral { " ephemeral" } else { "" });
    line.push_str(if facets.private { " private" } else { "" });
    if let Some(usage) = facets.usage() {
        line.push_str(&format!(" {} [{}]", usage.usage_type.as_str(), usage.id));
    }
    if let Some(description) = facets.description {
        line.push_str(&format!(" described [{description}]"));
    }
    line.into_bytes()
}

fn check(xml: impl AsRef<[u8]>, expect: &str) {
    assert_eq!(String::from_utf8_lossy(&outcome(xml.as_ref(), false)), expect);
}

/// Encodings, and bytes with their text according to glibc's iconv.
const ENCODED: &[(&str, &[u8], &str)] = &[
    ("windows-1252", b"caf\xe9 \x80 \x96", "caf\u{e9} \u{20ac} \u{2013}"),
    ("CP1251", b"\xcf\xe0\xf0\xee\xeb\xfc", "\u{41f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}"),
    ("iso-8859-15", b"\xa4 \xbd", "\u{20ac} \u{153}"),
    ("ISO-8859-2", b"\xb3\xf3d\xbc", "\u{142}\u{f3}d\u{17a}"),
    ("ISO-8859-9", b"\xfe\x85\xdd", "\u{15f}\u{85}\u{130}"),
    ("KOI8-R", b"\xf0\xc1\xd2\xcf\xcc\xd8", "\u{41f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}"),
    ("GB2312", b"\xc3\xdc\xc2\xeb", "\u{5bc6}\u{7801}"),
    ("gb18030", b"\xc3\xdc\x81\x30\x84\x36", "\u{5bc6}\u{a5}"),
    ("EUC-JP", b"\xc8\xeb\xcc\xa9", "\u{79d8}\u{5bc6}"),
    ("Shift_JIS", b"\x94\xe9\x96\xa7", "\u{79d8}\u{5bc6}"),
    ("EUC-KR", b"\xba\xf1\xb9\xd0", "\u{be44}\u{bc00}"),
    ("Big5", b"\xb1K\xbdX", "\u{5bc6}\u{78bc}"),
];

#[test]
fn encodings_that_documents_are_written_in_are_decoded() {
    let document = |name: &str, bytes: &[u8]| {
        let head = format!("<?xml version='1.0' encoding='{name}'?><secret><description>");
        [head.as_bytes(), bytes, b"</description></secret>"].concat()
    };
    for (name, bytes, text) in ENCODED {
        check(document(name, bytes), &format!("defined described [{text}]"));
        check(document(name, b"ASCII"), "defined described [ASCII]");
    }
    for (name, bytes) in
        [("windows-1252", &b"\x81"[..]), ("EUC-JP", b"\xc8"), ("KOI8-T", b"x"), ("EUC-TW", b"x")]
    {
        let refused = String::from_utf8(outcome(&document(name, bytes), false)).unwrap();
        assert!(refused.starts_with("35/30 at line 1: "), "{name}: {refused}");
        assert_eq!(refused.contains("Unsupported encoding"), bytes == b"x", "{name}: {refused}");
    }
}

/// The bytes of a line of golden.txt.
fn unescaped(line: &str) -> Vec<u8> {
    let mut parts = line.split('\\');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    while let Some(part) = parts.next() {
        let (escaped, length) = match part.bytes().next() {
            None => (b'\\', 0),
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'r') => (b'\r', 1),
            _ => (u8::from_str_radix(&part[1..3], 16).unwrap(), 3),
        };
        bytes.push(escaped);
        // A doubled backslash stands for one: the part between the two is empty.
        let plain = if part.is_empty() { parts.next().unwrap() } else { &part[length..] };
        bytes.extend_from_slice(plain.as_bytes());
    }
    bytes
}

/// Title, document, whether to validate, outcome.
fn golden() -> impl Iterator<Item = (&'static str, Vec<u8>, bool, Vec<u8>)> {
    let mut lines = GOLDEN.lines();
    std::iter::from_fn(move || {
        let title = lines.next()?.strip_prefix("# ").unwrap();
        let xml = unescaped(lines.next().unwrap());
        let outcome = unescaped(lines.next().unwrap().strip_prefix("->").unwrap().trim_start_matches(' '));
        Some((title, xml, title.ends_with("--validate"), outcome))
    })
}

#[test]
fn libvirt_12_8_0_answered_the_same() {
    let mut wrong = Vec::new();
    for (title, xml, validate, expect) in golden() {
        let ours = outcome(&xml, validate);
        if ours != expect {
            let [ours, expect] = [ours, expect].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            wrong.push(format!("{title}\n  ours   {ours:?}\n  theirs {expect:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `define: nesting 200` and `nesting 300`, and the depth in between.
#[test]
fn elements_may_be_256_deep() {
    let nested =
        |depth| format!("<secret><uuid>{ID}</uuid>{}{}</secret>", "<a>".repeat(depth), "</a>".repeat(depth));
    check(nested(200), "defined 1");
    check(nested(255), "defined 1");
    let deep = nested(300);
    let line = &deep[57 + 255 * 3 + 2 - 82..];
    let words = "at line 1: Excessive depth in document: 256, use XML_PARSE_HUGE option";
    check(&deep, &format!("35/30 {words}\n{line}\n{}^", "-".repeat(82)));
    assert!(outcome(nested(256).as_bytes(), false).starts_with(b"35/30 at line 1: Excessive depth"));
}

/// `define: billion laughs`
#[test]
fn entities_do_not_explode() {
    let names: Vec<char> = ('a'..='j').collect();
    let mut doctype = "<!DOCTYPE secret [<!ENTITY a \"aaaaaaaaaa\">".to_owned();
    for pair in names.windows(2) {
        doctype.push_str(&format!("<!ENTITY {} \"{}\">", pair[1], format!("&{};", pair[0]).repeat(10)));
    }
    let xml = format!("{doctype}]><secret><uuid>{ID}</uuid><description>&j;</description></secret>");
    let words = "at line 1: Maximum entity amplification factor exceeded, see xmlCtxtSetMaxAmplification.";
    check(xml, &format!("35/30 {words}\n&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;\n---------^"));
}

/// Measured: the number of references to an entity of some length that is one too many.
#[test]
fn expansions_may_add_a_million_bytes() {
    for (length, references) in [(1000, 981), (100_000, 10), (1, 47_620)] {
        let xml = |references: usize| {
            let (text, references) = ("x".repeat(length), "&a;".repeat(references));
            format!("<!DOCTYPE secret [<!ENTITY a \"{text}\">]><secret>{references}</secret>")
        };
        check(xml(references - 1), "defined");
        assert!(outcome(xml(references).as_bytes(), false).starts_with(b"35/30 at line 1: Maximum entity"));
    }
}

/// Measured: chains of 19 and of 20 entities, in text, in an attribute, and of parameter entities.
#[test]
fn entities_lie_19_deep() {
    let chain = |length: usize, percent: &str, reference: &str| {
        let mut doctype = format!("<!DOCTYPE secret [<!ENTITY {percent} e0 \"\">");
        for place in 1..length {
            doctype.push_str(&format!("<!ENTITY {percent} e{place} \"{reference}e{};\">", place - 1));
        }
        doctype
    };
    for length in [19, 20] {
        let last = length - 1;
        for xml in [
            format!("{}]><secret>&e{last};</secret>", chain(length, "", "&")),
            format!("{}]><secret a='&e{last};'/>", chain(length, "", "&")),
            format!("{}%e{last};]><secret/>", chain(length, "%", "&#37;")),
        ] {
            let refused =
                outcome(xml.as_bytes(), false).starts_with(b"35/30 at line 1: Maximum entity nesting");
            assert_eq!(refused, length == 20, "{xml}");
        }
    }
}

/// `define: usage name 5000`, `5000 siblings`, `description 100k`, `description just below 4MiB string`;
/// the longest name; many elements, references and attributes.
#[test]
fn large_documents_are_read() {
    let within = |content: String| format!("<secret><uuid>{ID}</uuid>{content}</secret>");
    for (xml, expect) in [
        (within("<a/>".repeat(5000)), "defined 1".to_owned()),
        (
            within(format!("<usage type='ceph'><name>{}</name></usage>", "n".repeat(5000))),
            format!("defined 1 ceph [{}]", "n".repeat(5000)),
        ),
        (
            within(format!("<description>{}</description>", "d".repeat(4_194_304 - 200))),
            format!("defined 1 described [{}]", "d".repeat(4_194_304 - 200)),
        ),
        (within(format!("<{}/>", "a".repeat(50_000))), "defined 1".to_owned()),
        (within("<uuid/>".repeat(100_000)), "defined 1".to_owned()),
        (within("&lt;".repeat(100_000)), "defined 1".to_owned()),
    ] {
        assert!(outcome(xml.as_bytes(), false) == expect.as_bytes(), "{}", &xml[..100]);
    }
    let attributes: String = (0..100_000).map(|number| format!(" a{number}=''")).collect();
    check(format!("<secret{attributes}/>"), "defined");
    let name = outcome(within(format!("<{}/>", "a".repeat(50_001))).as_bytes(), false);
    assert!(name.starts_with(b"35/30 at line 1: Name too long"));
}

/// libvirt shows whole lines and quotes whole values.
#[test]
fn errors_quote_only_a_part() {
    let long = "y".repeat(1_000_000);
    for xml in [
        format!("<secret>\u{1}{long}"),
        format!("<secret a='{long}&b;'/>"),
        format!("<{}/>", &long[..50_000]),
        format!("<secret><usage type='{long}'/></secret>"),
        format!("<?xml version='1.0' encoding='{long}'?>"),
        format!("<!-- {long} -- -->"),
        format!("<secret><![CDATA[{long}"),
    ] {
        for validate in [false, true] {
            let wire = parse(xml.as_bytes(), validate).unwrap_err().wire();
            assert!(wire.detail.len() < 8192, "{} bytes", wire.detail.len());
        }
    }
}

/// An ordinary text, or any characters.
fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-z<>&'\"\\]\n\t \r\u{e9}\u{2603}-]{1,20}|\\PC{1,20}")
}

fn facets() -> impl Strategy<Value = Facets> {
    let usage = (prop::sample::select(&UsageType::ALL), text());
    (text(), usage, any::<(bool, bool)>()).prop_map(|(description, usage, (private, ephemeral))| {
        let (usage_type, usage_id) = (usage.1.is_some().then_some(usage.0), usage.1);
        Facets { description, usage_type, usage_id, private, ephemeral, ..Facets::default() }
    })
}

/// A document of the table, with a part of it copied to another position.
fn shuffled() -> impl Strategy<Value = Vec<u8>> {
    let documents: Vec<Vec<u8>> = golden().map(|(_, xml, ..)| xml).collect();
    let places = any::<[prop::sample::Index; 3]>();
    (prop::sample::select(documents), places).prop_map(|(xml, places)| {
        let [from, to, into] = places.map(|place| place.index(xml.len() + 1));
        let part = xml[from.min(to)..from.max(to)].to_vec();
        let mut shuffled = xml;
        shuffled.splice(into..into, part);
        shuffled
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_read(facets in facets(), id: [u8; 16]) {
        let id = SecretId::from_bytes(id);
        let expect = Definition { id: Some(id), facets: super::as_printed(facets.clone()) };
        prop_assert_eq!(parse(write(id, &facets).as_bytes(), false), Ok(expect));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        super::fuzz(&bytes);
    }

    #[test]
    fn any_document_is_read_or_refused(xml in shuffled()) {
        super::fuzz(&xml);
    }
}
