//! Memory and start time.

use crate::seed::Data;
use crate::server::Server;
use crate::{Result, wrk};

const STARTS: usize = 5;

pub(crate) fn run(data: &Data) -> Result<()> {
    println!("\n# memory and start");
    let empty = tempfile::tempdir()?;
    let server = Server::donjond(empty.path(), "")?;
    println!(
        "empty, idle: {:.1} MiB resident (goal 25), {:.1} MiB of it anonymous; first start in {:?}",
        server.process.mebibytes("VmRSS:")?,
        server.process.mebibytes("RssAnon:")?,
        server.process.started_in
    );
    drop(server);
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(Server::donjond(&data.folder, "")?.process.started_in);
    }
    println!(
        "{} secrets: starts in {:?} (goal 200 ms)",
        data.secrets,
        crate::median(starts).unwrap_or_default()
    );
    let server = Server::donjond(&data.folder, "")?;
    let idle = server.process.mebibytes("RssAnon:")?;
    let script = format!(
        "local ids = {{}}\nfor id in io.lines(\"{}\") do ids[#ids + 1] = id end\n\
         request = function() return wrk.format(\"GET\", \"/v1/secrets/\" .. ids[math.random(#ids)] .. \"/payload\", \
         {{ [\"X-Project-Id\"] = \"{}\", [\"Accept\"] = \"text/plain\" }}) end\n",
        data.ids.display(),
        crate::seed::LARGE
    );
    wrk::run(server.address, 64, 10, &script)?;
    println!(
        "{} secrets: {idle:.1} MiB anonymous idle, {:.1} MiB after reads at 64 connections (goal 150)",
        data.secrets,
        server.process.mebibytes("RssAnon:")?
    );
    Ok(())
}
