//! Durable creates, beside the same server with one transaction a request.

use crate::server::Server;
use crate::{Options, Result, median, wrk};

const SCRIPT: &str = r#"
local body = '{"name":"n","payload":"0123456789abcdef0123456789abcdef","payload_content_type":"text/plain"}'
local headers = { ["X-Project-Id"] = "p", ["Content-Type"] = "application/json" }
request = function() return wrk.format("POST", "/v1/secrets", headers, body) end
"#;

pub(crate) fn run(options: &Options) -> Result<()> {
    println!("\n# durable creates: shared transactions beside one transaction a request");
    for connections in [1, 16, 64] {
        let mut ratios = Vec::new();
        let mut latencies = Vec::new();
        for _ in 0..options.rounds {
            let mut loads = Vec::new();
            for (name, config) in [("one each", "[limits]\nbatch_changes = 1\n"), ("shared", "")] {
                let data = tempfile::tempdir_in(std::env::current_exe()?.parent().ok_or("no folder")?)?;
                let server = Server::donjond(data.path(), config)?;
                let load = wrk::run(
                    server.address,
                    connections,
                    options.seconds.unwrap_or(wrk::SECONDS_DEFAULT),
                    SCRIPT,
                )?;
                if load.failed > 0.0 {
                    return Err(format!("{name}: {} requests failed", load.failed).into());
                }
                println!(
                    "{connections:3} connections  {name:9} {:7.0} creates/s   p50 {:6.0} µs   p99 {:6.0} µs   \
                     {:5.1} MiB anonymous after {:.0}",
                    load.per_second,
                    load.p50_us,
                    load.p99_us,
                    server.process.mebibytes("RssAnon:")?,
                    load.requests
                );
                loads.push(load);
            }
            if let [each, shared] = loads.as_slice() {
                ratios.push(shared.per_second / each.per_second);
                latencies.push(shared.p50_us / each.p50_us);
            }
        }
        println!(
            "{connections:3} connections: {:.1} × the rate{}, {:.2} × the latency",
            median(ratios).unwrap_or(0.0),
            if connections == 64 { " (goal 4)" } else { "" },
            median(latencies).unwrap_or(0.0)
        );
    }
    Ok(())
}
