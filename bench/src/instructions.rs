//! Instructions of one request, counted by callgrind. On a busy machine times change, instructions do not.
//!
//! A server runs twice, with few requests and with many. The difference belongs to the additional requests.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::client::Client;
use crate::process::Process;
use crate::server::{START_MAX, donjond, free_address};

const FEW: u32 = 200;
const MANY: u32 = 1200;
const PROJECT: &str = "p";
const SECRET: &str =
    r#"{"name":"n","payload":"0123456789abcdef0123456789abcdef","payload_content_type":"text/plain"}"#;

pub(crate) fn run() -> Result<()> {
    println!("\n# instructions of one request (callgrind)");
    for (name, work) in [("payload read", read as Work), ("create", create), ("metadata of a secret", show)] {
        let few = count_instructions(FEW, work)?;
        let many = count_instructions(MANY, work)?;
        println!("{name:20} {:9.0}", (many as f64 - few as f64) / f64::from(MANY - FEW));
    }
    Ok(())
}

type Work = fn(&mut Client, &str, u32) -> Result<()>;

fn read(client: &mut Client, secret: &str, times: u32) -> Result<()> {
    repeat(times, || client.ask("GET", &format!("{secret}/payload"), PROJECT, None), 200)
}

fn show(client: &mut Client, secret: &str, times: u32) -> Result<()> {
    repeat(times, || client.ask("GET", secret, PROJECT, None), 200)
}

fn create(client: &mut Client, _: &str, times: u32) -> Result<()> {
    repeat(times, || client.ask("POST", "/v1/secrets", PROJECT, Some(SECRET)), 201)
}

fn repeat(times: u32, mut ask: impl FnMut() -> Result<(u16, Vec<u8>)>, expected: u16) -> Result<()> {
    for _ in 0..times {
        let (status, _) = ask()?;
        if status != expected {
            return Err(format!("the server answered {status}").into());
        }
    }
    Ok(())
}

/// The instructions of a server from start to end, with so many requests.
fn count_instructions(times: u32, work: Work) -> Result<u64> {
    let data = tempfile::tempdir_in(std::env::current_exe()?.parent().ok_or("no folder")?)?;
    let profile = data.path().join("callgrind.out");
    let address = free_address()?;
    let server = serve(data.path(), &profile, address)?;
    let mut client = Client::connect(address)?;
    let (_, made) = client.ask("POST", "/v1/secrets", PROJECT, Some(SECRET))?;
    let made = String::from_utf8(made)?;
    let id = made.rsplit('/').next().and_then(|end| end.split('"').next()).ok_or("no secret_ref")?;
    work(&mut client, &format!("/v1/secrets/{id}"), times)?;
    drop(client);
    drop(server);
    let profile = std::fs::read_to_string(profile)?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ")).ok_or("no totals")?;
    Ok(total.trim().parse()?)
}

/// `donjond serve` under callgrind, with one thread for connections.
fn serve(data: &Path, profile: &Path, address: SocketAddr) -> Result<Process> {
    let served = donjond(data, "libvirt_socket = \"off\"\n", address)?;
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", profile.display()));
    command.arg(served.get_program()).args(served.get_args()).stderr(Stdio::null());
    Process::start(&mut command, START_MAX, || {
        Ok(Client::connect(address)
            .is_ok_and(|mut client| client.ask("GET", "/healthcheck", PROJECT, None).is_ok()))
    })
}
