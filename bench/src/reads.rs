//! Payload reads, beside a bare axum server.

use crate::seed::{Data, LARGE};
use crate::server::Server;
use crate::{Options, Result, median, wrk};

const CONNECTIONS: usize = 64;

/// A script with random ids; both servers get the same requests.
fn script(data: &Data) -> String {
    format!(
        r#"
local ids = {{}}
for id in io.lines("{}") do ids[#ids + 1] = id end
init = function(args) math.randomseed(os.time() + tonumber(tostring({{}}):sub(8))) end
local headers = {{ ["X-Project-Id"] = "{LARGE}", ["Accept"] = "text/plain" }}
request = function()
  return wrk.format("GET", "/v1/secrets/" .. ids[math.random(#ids)] .. "/payload", headers)
end
"#,
        data.ids.display()
    )
}

pub(crate) fn run(options: &Options, data: &Data) -> Result<()> {
    println!(
        "\n# payload reads, 32 bytes, {} secrets, {CONNECTIONS} connections, audit and metrics on",
        data.secrets
    );
    let script = script(data);
    let (axum, donjond) = (Server::axum()?, Server::donjond(&data.folder, "")?);
    let mut ratios = Vec::new();
    for round in 0..=options.rounds {
        let mut rates = Vec::new();
        for (name, server) in [("axum", &axum), ("donjond", &donjond)] {
            let before = server.process.cpu()?;
            let load = wrk::run(
                server.address,
                CONNECTIONS,
                options.seconds.unwrap_or(wrk::SECONDS_DEFAULT),
                &script,
            )?;
            let cpu = (server.process.cpu()? - before).as_secs_f64() * 1e6 / load.requests;
            if load.failed > 0.0 {
                return Err(format!("{name}: {} requests failed", load.failed).into());
            }
            if round > 0 {
                println!(
                    "{name:8} {:8.0} requests/s   {cpu:5.1} µs CPU each   p50 {:5.0} µs   p99 {:6.0} µs",
                    load.per_second, load.p50_us, load.p99_us
                );
            }
            rates.push((load.per_second, cpu));
        }
        if let ([(axum, axum_cpu), (donjond, cpu)], true) = (rates.as_slice(), round > 0) {
            ratios.push((donjond / axum, cpu / axum_cpu));
        } // The first round fills caches and is not printed.
    }
    let (rate, cpu): (Vec<f64>, Vec<f64>) = ratios.into_iter().unzip();
    println!(
        "donjond / axum: {:.2} of the requests a second (goal 0.60), {:.2} of the CPU",
        median(rate).unwrap_or(0.0),
        median(cpu).unwrap_or(0.0)
    );
    Ok(())
}
