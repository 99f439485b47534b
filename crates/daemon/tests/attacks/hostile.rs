//! Hostile requests, made of honest ones by a seeded generator: the same seed gives the same bytes.
//!
//! A request is a template of the API with up to three mutations of its line, head, token, body or bytes. Its token and its
//! payload are marked, so that the tests find them where they must not be.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// In every token of an attacker's, and in no other bytes.
pub(crate) const TOKEN_MARK: &str = "tokmark7f3a";
/// In every payload that is sent.
pub(crate) const PAYLOAD_MARK: &str = "paymark9c1e";
/// The name of a header that a request tries to smuggle into an answer.
pub(crate) const SMUGGLED: &str = "x-smuggled";

/// xorshift64*: small, and the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        dice.next(); // Seeds beside each other begin alike.
        dice.next();
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[7]).collect()
    }
}

/// How it is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pace {
    /// At once, and the answers are read.
    AtOnce,
    /// In pieces.
    Slowly,
    /// At once, and then the sender says that no more comes.
    ThenNoMore,
    /// At once, and then the sender is gone.
    ThenGone,
}

/// One attack.
pub(crate) struct Hostile {
    pub(crate) bytes: Vec<u8>,
    pub(crate) pace: Pace,
}

/// A request in its parts.
struct Parts {
    method: Vec<u8>,
    target: Vec<u8>,
    version: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the length is that of the body.
    has_length: bool,
    body: Vec<u8>,
}

/// Ids for the requests: those of the attacker's own objects and of another caller's.
pub(crate) struct World {
    pub(crate) secrets: Vec<String>,
    pub(crate) containers: Vec<String>,
    pub(crate) orders: Vec<String>,
}

/// The attack with this number.
pub(crate) fn hostile(seed: u64, number: u64, world: &World) -> Hostile {
    let mut dice = Dice::new(seed.wrapping_add(number));
    let mut parts = template(&mut dice, number, world);
    for _ in 0..=dice.below(3) {
        match dice.below(10) {
            0 => method(&mut dice, &mut parts),
            1 | 2 => target(&mut dice, &mut parts),
            3 => version(&mut dice, &mut parts),
            4 => header(&mut dice, &mut parts),
            5 => framing(&mut dice, &mut parts),
            6 | 7 => body(&mut dice, &mut parts),
            8 => token(&mut dice, &mut parts),
            _ => negotiation(&mut dice, &mut parts),
        }
    }
    let mut bytes = parts.bytes();
    match dice.below(12) {
        0 => bytes = bytes.repeat(2 + dice.below(20)), // Pipelined.
        1 => bytes.truncate(dice.below(bytes.len())),
        2 | 3 => {
            for _ in 0..=dice.below(4) {
                corrupt(&mut dice, &mut bytes);
            }
        }
        _ => {}
    }
    let pace = match dice.below(24) {
        0 if bytes.len() < 2000 => Pace::Slowly,
        1 => Pace::ThenGone,
        2 => Pace::AtOnce,
        // Whatever it waits for, it learns that it will not come.
        _ => Pace::ThenNoMore,
    };
    Hostile { bytes, pace }
}

/// An honest request of an attacker with a token of their own project.
fn template(dice: &mut Dice, number: u64, world: &World) -> Parts {
    let secret = dice.pick(&world.secrets).clone();
    let container = dice.pick(&world.containers).clone();
    let order = dice.pick(&world.orders).clone();
    let payload = format!("{PAYLOAD_MARK}-{number}");
    let text = json!({ "name": "n", "algorithm": "aes", "bit_length": 256, "mode": "cbc", "secret_type": "opaque",
        "expiration": "2099-01-01T00:00:00", "payload": payload, "payload_content_type": "text/plain" });
    let encoded = json!({ "payload": "cGF5bWFyazljMWU=", "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64" });
    let generic = json!({ "type": "generic", "name": "c", "secret_refs":
        [{ "name": "s", "secret_ref": format!("http://localhost/v1/secrets/{secret}") }] });
    let key = json!({ "type": "key", "meta": { "name": "k", "algorithm": "aes", "bit_length": 256, "mode": "cbc",
        "payload_content_type": "application/octet-stream" } });
    let consumer = json!({ "service": "s", "resource_type": "t", "resource_id": "i" });
    let acl = json!({ "read": { "users": ["u1", "u2"], "project-access": false } });
    let quotas =
        json!({ "project_quotas": { "secrets": 10, "orders": 20, "containers": 10, "consumers": -1 } });
    let (method, target, body): (&str, String, Value) = match dice.below(30) {
        0..3 => ("POST", "/v1/secrets".into(), text),
        3 => ("POST", "/v1/secrets".into(), encoded),
        4 => ("GET", "/v1/secrets?limit=10&offset=2&sort=created:desc&name=n&alg=aes".into(), Value::Null),
        5 => {
            ("GET", "/v1/secrets?created=gte:2020-01-01T00:00:00&bits=256&acl_only=true".into(), Value::Null)
        }
        6 | 7 => ("GET", format!("/v1/secrets/{secret}"), Value::Null),
        8 | 9 => ("GET", format!("/v1/secrets/{secret}/payload"), Value::Null),
        10 => ("PUT", format!("/v1/secrets/{secret}"), Value::String(payload)),
        11 => ("DELETE", format!("/v1/secrets/{secret}"), Value::Null),
        12 => ("PUT", format!("/v1/secrets/{secret}/metadata"), json!({ "metadata": { "k": "v" } })),
        13 => ("POST", format!("/v1/secrets/{secret}/metadata"), json!({ "key": "k", "value": "v" })),
        14 => ("PUT", format!("/v1/secrets/{secret}/metadata/k"), json!({ "key": "k", "value": "w" })),
        15 => ("PUT", format!("/v1/secrets/{secret}/acl"), acl),
        16 => ("PATCH", format!("/v1/secrets/{secret}/acl"), acl),
        17 => ("POST", format!("/v1/secrets/{secret}/consumers"), consumer),
        18 => ("DELETE", format!("/v1/secrets/{secret}/consumers"), consumer),
        19 | 20 => ("POST", "/v1/containers".into(), generic),
        21 => ("GET", format!("/v1/containers/{container}"), Value::Null),
        22 => (
            "POST",
            format!("/v1/containers/{container}/consumers"),
            json!({ "name": "n", "URL": "http://x/" }),
        ),
        23 | 24 => ("POST", "/v1/orders".into(), key),
        25 => ("GET", format!("/v1/orders/{order}"), Value::Null),
        26 => ("PUT", "/v1/project-quotas/p".into(), quotas),
        27 => ("GET", "/v1/quotas".into(), Value::Null),
        28 => ("GET", "/".into(), Value::Null),
        _ => ("GET", "/healthcheck".into(), Value::Null),
    };
    let content_type = if method == "PUT" && body.is_string() { "text/plain" } else { "application/json" };
    let token = match dice.below(8) {
        0 => format!("nobody-{TOKEN_MARK}-{number}"),
        1 => format!("lie-{TOKEN_MARK}-{}", dice.below(64)),
        _ => format!("member-{TOKEN_MARK}"),
    };
    let mut headers = vec![
        ("Host", "localhost".to_owned()),
        ("X-Auth-Token", token),
        ("Accept", "*/*".to_owned()),
        ("X-Project-Id", "victim".to_owned()), // Which counts for nothing.
    ];
    let body = match body {
        Value::Null => Vec::new(),
        Value::String(text) => text.into_bytes(),
        other => other.to_string().into_bytes(),
    };
    if !body.is_empty() {
        headers.push(("Content-Type", content_type.to_owned()));
    }
    Parts {
        method: method.into(),
        target: target.into(),
        version: b"HTTP/1.1".to_vec(),
        headers: headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        has_length: true,
        body,
    }
}

impl Parts {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.method[..], b" ", &self.target, b" ", &self.version, b"\r\n"].concat();
        for (name, value) in &self.headers {
            bytes.extend([&name[..], b": ", value, b"\r\n"].concat());
        }
        if self.has_length && (!self.body.is_empty() || self.method == b"POST" || self.method == b"PUT") {
            bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }

    fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name.as_bytes()));
        self.headers.push((name.into(), value.into()));
    }
}

fn method(dice: &mut Dice, parts: &mut Parts) {
    parts.method = match dice.below(5) {
        0 => dice
            .pick(&["HEAD", "OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND", "PRI"])
            .as_bytes()
            .to_vec(),
        1 => parts.method.to_ascii_lowercase(),
        2 => vec![b'A'; 1 + dice.below(70_000)],
        3 => Vec::new(),
        _ => dice.bytes(4),
    };
}

fn target(dice: &mut Dice, parts: &mut Parts) {
    let long = 1 + dice.below(100_000);
    let odd: &[&[u8]] = &[
        b"%00",
        b"%ff",
        b"%2f",
        b"%2e%2e/",
        b"/../..",
        b"//",
        b"/.",
        b"%",
        b"%z",
        b"%0d%0aX-Smuggled: 1",
        b"\x01",
        b"\xc3\xa4",
        b"\xff",
        b" ",
        b"\t",
        b"#f",
        b";a=b",
        b"?",
        b"?limit=99999999999999999999999",
        b"?limit=-1",
        b"?limit=0x10",
        b"?offset=18446744073709551615",
        b"?sort=name:desc,created:asc,,",
        b"?sort=password",
        b"?name=%25%25%25%5f",
        b"?created=gt:0000-00-00T99:99:99",
        b"?created=gt:9999-12-31T23:59:59",
        b"?created=gte:%32",
        b"?bits=1e9",
        b"?bits=\xd9\xa1",
        b"?a&a&a=&=a&&&&",
        b"?name=a&name=b",
        b"?acl_only=maybe",
        b"?secret_type=%F0%9F%92%A9",
        b"?inst=1",
    ];
    match dice.below(8) {
        0 => parts.target = [b"http://localhost", &parts.target[..]].concat(),
        1 => {
            parts.target = dice
                .pick(&["*", "", "localhost:9311", "http://", "https://evil.example/x?y=", "//v1"])
                .as_bytes()
                .to_vec();
        }
        2 => parts.target.extend(vec![b'a'; long]),
        3 => parts.target.extend(b"?x=1".iter().chain(&b"&name=%61".repeat(1 + long / 50)[..])),
        4 => {
            let at = dice.below(parts.target.len() + 1);
            let odd = *dice.pick(odd);
            parts.target.splice(at..at, odd.iter().copied());
        }
        _ => {
            let odd = *dice.pick(odd);
            parts.target.extend(odd);
        }
    }
}

fn version(dice: &mut Dice, parts: &mut Parts) {
    let versions: &[&[u8]] = &[
        b"HTTP/1.0",
        b"HTTP/0.9",
        b"HTTP/2.0",
        b"HTTP/9.9",
        b"HTTP/1.10",
        b"http/1.1",
        b"",
        b"HTTP/1.1 x",
        b"ICAP/1.0",
    ];
    parts.version = dice.pick(versions).to_vec();
}

fn header(dice: &mut Dice, parts: &mut Parts) {
    let at = dice.below(parts.headers.len().max(1));
    match dice.below(12) {
        0 => {
            let again = parts.headers.get(at).cloned().unwrap_or_default();
            parts.headers.push(again);
        }
        1 => parts.headers.push((b"Host".to_vec(), b"evil.example".to_vec())),
        2 => {
            let hosts: &[&[u8]] = &[
                b"evil.example/x?y=",
                b"a\"b",
                b"",
                b"a b",
                b"[::1",
                b"localhost:99999",
                b"a\r\n b",
                b"user@h",
                b"\xff",
                b"h\0",
                b"%0d%0aX-Smuggled:%201",
                b"<script>",
                b"x, y",
            ];
            parts.set("Host", *dice.pick(hosts));
        }
        3 => parts.headers.retain(|(name, _)| name != b"Host"),
        4 => {
            let odd: &[&[u8]] = &[
                b"\0",
                b"\x01\x02",
                b"\x7f",
                b"\xff\xfe",
                b"\n",
                b"\r",
                b"\r\n ",
                b"\nX-Smuggled: 1",
                b"\xc2\x85",
            ];
            let odd = *dice.pick(odd);
            if let Some((_, value)) = parts.headers.get_mut(at) {
                value.extend(odd);
                value.push(b'x');
            }
        }
        5 => {
            let long = 1 + dice.below(100_000);
            parts.headers.push((b"X-Long".to_vec(), vec![b'v'; long]));
        }
        6 => parts.headers.push((vec![b'N'; 1 + dice.below(70_000)], b"v".to_vec())),
        7 => {
            for number in 0..*dice.pick(&[90, 101, 1000, 6000]) {
                parts.headers.push((format!("X-{number}").into(), b"v".to_vec()));
            }
        }
        8 => {
            let names: &[&[u8]] = &[b"", b"X Y", b"X\0Y", b" X", b"X\xff", b"X(", b":", b"X\tY"];
            parts.headers.push((dice.pick(names).to_vec(), b"v".to_vec()));
        }
        9 => {
            // A header that only a proxy sets.
            for name in ["X-Roles", "X-User-Id", "X-Project-Id", "X-Identity-Status", "X-Service-Catalog"] {
                parts.headers.push((name.into(), b"admin".to_vec()));
            }
        }
        10 => parts.headers.push((b"X-Service-Token".to_vec(), format!("lie-{TOKEN_MARK}-s").into())),
        _ => {
            let order = parts.headers.len().max(1);
            parts.headers.rotate_left(at % order);
        }
    }
}

/// Where the body ends.
fn framing(dice: &mut Dice, parts: &mut Parts) {
    let length = parts.body.len();
    let lengths = [
        "-1".to_owned(),
        "+5".into(),
        "0x10".into(),
        "1e3".into(),
        "18446744073709551616".into(),
        "9223372036854775807".into(),
        "5, 5".into(),
        "5,6".into(),
        "".into(),
        " ".into(),
        "five".into(),
        "00".into(),
        (length / 2).to_string(),
        (length + 100).to_string(),
        "100000000".into(),
    ];
    let chunked = |sizes: &str, body: &[u8]| [sizes.as_bytes(), b"\r\n", body, b"\r\n0\r\n\r\n"].concat();
    match dice.below(8) {
        0 | 1 => {
            parts.has_length = false;
            parts.set("Content-Length", dice.pick(&lengths).as_bytes());
        }
        2 => parts.headers.push((b"Content-Length".to_vec(), dice.pick(&lengths).clone().into())),
        3 => {
            parts.has_length = dice.one_in(2);
            let codings = [
                "gzip, chunked",
                "chunked, chunked",
                "identity",
                "xchunked",
                "chunked;q=1",
                " chunked",
                "\tchunked",
                "",
            ];
            parts.set("Transfer-Encoding", *dice.pick(&codings));
        }
        4 => {
            parts.has_length = dice.one_in(3);
            parts.set("Transfer-Encoding", "chunked");
            parts.body = chunked(&format!("{length:x}"), &parts.body);
        }
        5 => {
            parts.has_length = false;
            parts.set("Transfer-Encoding", "chunked");
            let extension = format!("{length:x};{}", "e".repeat(dice.below(40_000)));
            let huge = format!("{}{length:x}", "0".repeat(dice.below(5000)));
            let sizes = [
                "ffffffffffffffff".to_owned(),
                "fffffffffffffffff".into(),
                "-1".into(),
                "0x5".into(),
                "g".into(),
                String::new(),
                " 5".into(),
                "5 ".into(),
                extension,
                huge,
            ];
            parts.body = chunked(dice.pick::<String>(&sizes), &parts.body);
        }
        6 => {
            parts.has_length = false;
            parts.set("Transfer-Encoding", "chunked");
            // A byte in each, and trailers.
            let mut body = Vec::new();
            for byte in parts.body.iter().take(2000) {
                body.extend([b"1\r\n", &[*byte][..], b"\r\n"].concat());
            }
            body.extend(b"0\r\n");
            body.extend(b"X-Auth-Token: trailer\r\n".repeat(dice.below(3000)));
            body.extend(b"\r\n");
            parts.body = body;
        }
        _ => parts.has_length = false,
    }
}

fn body(dice: &mut Dice, parts: &mut Parts) {
    let value = serde_json::from_slice::<Value>(&parts.body).unwrap_or(json!({ "name": "n" }));
    if parts.body.is_empty() {
        parts.method = b"POST".to_vec();
    }
    let text = value.to_string();
    parts.body = match dice.below(16) {
        0..5 => {
            let mut value = value;
            swap_node(dice, &mut value);
            value.to_string().into_bytes()
        }
        5 => {
            let open = *dice.pick(&["[", "{\"a\":", "[[{\"a\":["]);
            open.repeat(1 + dice.below(30_000 / open.len())).into_bytes()
        }
        6 => {
            let numbers = [
                "1e999999",
                "-0",
                "NaN",
                "Infinity",
                "1E400",
                "0.1e-99999",
                "00",
                "+1",
                "1_000",
                "9223372036854775808",
            ];
            let digits = "9".repeat(1 + dice.below(20_000));
            let number = if dice.one_in(3) { &digits } else { *dice.pick(&numbers) };
            text.replacen("256", number, 1).replacen("\"n\"", number, 1).into_bytes()
        }
        7 => text.replacen('{', "{\"name\":\"a\",\"name\":\"b\",\"payload\":1,", 1).into_bytes(),
        8 => {
            let odd = [
                "\\ud800",
                "\\u0000",
                "\\udc00\\ud800",
                "\\x",
                "\\",
                "\u{202e}",
                "\u{1}",
                "\\u000d\\u000aX-Smuggled: 1",
            ];
            text.replacen("\"n\"", &format!("\"{}\"", dice.pick(&odd)), 1).into_bytes()
        }
        9 => {
            let at = dice.below(text.len());
            let mut bytes = text.into_bytes();
            bytes.splice(at..at, *dice.pick(&[[0xff, 0xfe], [0xc0, 0x80], [0xed, 0xa0]]));
            bytes
        }
        10 => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        11 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        12 => text.as_bytes()[..dice.below(text.len())].to_vec(),
        13 => format!("{text}{}", dice.pick(&["{}", "x", "\0", "]", "                    "])).into_bytes(),
        14 => {
            let spaces = " ".repeat(dice.below(60_000));
            format!("{spaces}{text}").into_bytes()
        }
        _ => {
            let count = dice.below(200_000);
            dice.bytes(count)
        }
    };
}

/// Puts something else in the place of one of the values in a document.
fn swap_node(dice: &mut Dice, value: &mut Value) {
    let inside = match value {
        Value::Object(map) if !map.is_empty() && !dice.one_in(6) => {
            let at = dice.below(map.len());
            map.iter_mut().nth(at).map(|(_, value)| value)
        }
        Value::Array(list) if !list.is_empty() && !dice.one_in(6) => {
            let at = dice.below(list.len());
            list.get_mut(at)
        }
        _ => None,
    };
    if let Some(inside) = inside {
        return swap_node(dice, inside);
    }
    let long = dice.below(30_000);
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let many: serde_json::Map<String, Value> = (0..1500).map(|n| (n.to_string(), json!("v"))).collect();
    *value = dice
        .pick(&[
            Value::Null,
            json!(true),
            json!(-1),
            json!(0),
            json!(1.5),
            json!(u64::MAX),
            json!(""),
            json!(" "),
            json!("2020-01-01"),
            json!("99999-01-01T00:00:00Z"),
            json!("application/octet-stream; charset=\u{fe}"),
            json!("x".repeat(long)),
            json!([]),
            json!({}),
            json!(["x", 1, null, {}]),
            json!({ "type": "generic" }),
            json!("http://localhost/v1/secrets/"),
            json!("http://localhost/v1/secrets/00000000-0000-4000-8000-000000000000"),
            deep,
            Value::Object(many),
        ])
        .clone();
}

fn token(dice: &mut Dice, parts: &mut Parts) {
    let long = dice.below(60_000);
    let good = format!("member-{TOKEN_MARK}");
    let tokens: Vec<Vec<u8>> = vec![
        Vec::new(),
        b" ".to_vec(),
        format!("{good}\0").into(),
        format!("{good}\x01").into(),
        format!("{good}\u{fc}").into(),
        [good.as_bytes(), b"\xff"].concat(),
        format!("{good}, {good}").into(),
        format!("{good} {good}").into(),
        format!("{good}%20").into(),
        format!("../{good}").into(),
        format!("{good}?allow_expired=1").into(),
        format!("{good}\r\n X-Subject-Token: x").into(),
        format!("\"{good}\"").into(),
        format!("{{\"token\": \"{good}\"}}").into(),
        format!("{TOKEN_MARK}{}", "t".repeat(long)).into(),
        format!("  \t{good}\t  ").into(),
        good.to_uppercase().into(),
        good[..good.len() - 1].into(),
    ];
    let odd = dice.pick(&tokens).clone();
    match dice.below(4) {
        0 => parts.headers.push((b"x-auth-token".to_vec(), odd)),
        1 => parts.headers.push((b"X-Service-Token".to_vec(), odd)),
        2 => parts.headers.retain(|(name, _)| name != b"X-Auth-Token"),
        _ => parts.set("X-Auth-Token", odd),
    }
}

fn negotiation(dice: &mut Dice, parts: &mut Parts) {
    let mut long = String::new();
    for number in 0..dice.below(4000) {
        let _ = write!(long, "a/b{number};q=0.{number},");
    }
    let types = [
        "",
        "text/html",
        "application/json;q=0",
        "*/*;q=-1",
        "/",
        "a/b/c",
        "application/json; charset=\"",
        "q=1",
        ",,,,",
        "text/plain;charset=utf-16",
        "application/octet-stream",
        "multipart/form-data; boundary=",
    ];
    let odd = if dice.one_in(4) { long.as_str() } else { *dice.pick(&types) };
    match dice.below(8) {
        0 | 1 => parts.set("Accept", odd),
        2 => parts.set("Content-Type", odd),
        3 => {
            let encodings = ["gzip", "base64", "deflate, gzip", "", "br", "\u{e4}"];
            parts.set("Content-Encoding", *dice.pick(&encodings));
        }
        4 => parts.set("Expect", *dice.pick(&["100-continue", "200-ok", "", "100-continue, x"])),
        5 => {
            let (protocol, connection) =
                *dice.pick(&[("h2c", "Upgrade, HTTP2-Settings"), ("websocket", "Upgrade"), ("TLS/1.3", "x")]);
            parts.set("Upgrade", protocol);
            parts.set("Connection", connection);
            parts.set("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA");
        }
        6 => {
            let versions = [
                "key-manager 1.1",
                "key-manager 99.99",
                "key-manager",
                "latest",
                "key-manager 1.-1",
                "a b, c d",
                "key-manager 1.1e9",
            ];
            parts.set("OpenStack-API-Version", *dice.pick(&versions));
        }
        _ => parts.set("Origin", *dice.pick(&["null", "http://evil.example", "http://localhost\t", "x", ""])),
    }
}

/// Any bytes, without regard to the format.
fn corrupt(dice: &mut Dice, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = dice.below(bytes.len());
    match dice.below(4) {
        0 => bytes[at] ^= 1 << dice.below(8),
        1 => {
            bytes.remove(at);
        }
        2 => {
            let count = 1 + dice.below(8);
            let more = dice.bytes(count);
            bytes.splice(at..at, more);
        }
        _ => {
            let end = (at + dice.below(30)).min(bytes.len());
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
    }
}

/// As it is shown when it has done harm.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let more = if bytes.len() > 1500 { format!("… of {} bytes", bytes.len()) } else { String::new() };
    format!("\"{}\"{more}", bytes[..bytes.len().min(1500)].escape_ascii())
}
