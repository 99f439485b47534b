//! The data for reads and lists, made once through the REST door and kept.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::Result;
use crate::client::Client;
use crate::server::Server;

/// The project with few secrets.
pub(crate) const SMALL: &str = "small";
/// The project with many.
pub(crate) const LARGE: &str = "large";
/// Secrets in the small project.
pub(crate) const SMALL_SECRETS: u64 = 1000;
const CONNECTIONS: usize = 64;

/// A data directory, and a file with the ids of the large project's secrets, one a line.
pub(crate) struct Data {
    pub(crate) folder: PathBuf,
    pub(crate) ids: PathBuf,
    pub(crate) secrets: u64,
}

/// The data with so many secrets, made if missing.
pub(crate) fn data(secrets: u64) -> Result<Data> {
    let folder = crate::target()?.join("bench").join(secrets.to_string());
    let ids = folder.join("ids.txt");
    let data = Data { folder, ids, secrets };
    if !data.ids.exists() {
        let _ = std::fs::remove_dir_all(&data.folder);
        std::fs::create_dir_all(&data.folder)?;
        let server = Server::donjond(&data.folder, "")?;
        fill(&server, SMALL, SMALL_SECRETS)?;
        let made = fill(&server, LARGE, secrets)?;
        let unfinished = data.ids.with_extension("part");
        std::fs::write(&unfinished, made.join("\n"))?;
        drop(server);
        std::fs::rename(unfinished, &data.ids)?;
    }
    Ok(data)
}

/// Creates secrets of 32 bytes that differ in every field for sorting and filtering.
fn fill(server: &Server, project: &'static str, secrets: u64) -> Result<Vec<String>> {
    let (begin, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let made = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (next, made, address) = (Arc::clone(&next), Arc::clone(&made), server.address);
            std::thread::spawn(move || -> Result<()> {
                let mut client = Client::connect(address)?;
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= secrets {
                        return Ok(());
                    }
                    if n % 10_000 == 0 && n > 0 {
                        eprint!(
                            "\rmaking {secrets} secrets: {n}, {:.0} a second   ",
                            n as f64 / begin.elapsed().as_secs_f64()
                        );
                        let _ = std::io::stderr().flush();
                    }
                    let (status, answer) = client.ask("POST", "/v1/secrets", project, Some(&body(n)))?;
                    let text = String::from_utf8_lossy(&answer);
                    let id =
                        text.trim_end_matches(['"', '}']).rsplit('/').next().unwrap_or_default().to_owned();
                    if status != 201 || id.len() != 36 {
                        return Err(format!("a create was answered {status} {text}").into());
                    }
                    made.lock().unwrap_or_else(PoisonError::into_inner).push(id);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a client panicked")??;
    }
    eprintln!("\rmade {secrets} secrets in {:.0} s                    ", begin.elapsed().as_secs_f64());
    Ok(std::mem::take(&mut made.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn body(n: u64) -> String {
    const TYPES: [&str; 6] = ["opaque", "symmetric", "public", "private", "passphrase", "certificate"];
    let pick = |list: &[&str]| {
        list.get(usize::try_from(n).unwrap_or(0) % list.len()).copied().unwrap_or("").to_owned()
    };
    let expiration = match n % 4 {
        0 => format!(
            "\"expiration\":\"{}-{:02}-{:02}T00:00:00\",",
            2100 + n % 800,
            1 + n / 800 % 12,
            1 + n / 9600 % 28
        ),
        _ => String::new(),
    };
    format!(
        "{{\"name\":\"s-{n:07}\",\"algorithm\":\"{}\",\"bit_length\":{},\"mode\":\"{}\",\"secret_type\":\"{}\",{expiration}\
         \"payload\":\"{n:032}\",\"payload_content_type\":\"text/plain\"}}",
        pick(&["aes", "des", "rsa", "hmac", "ec"]),
        128 * (1 + n % 3),
        pick(&["cbc", "gcm", "xts", "ecb", "ctr", "ofb", "cfb"]),
        pick(&TYPES),
    )
}
