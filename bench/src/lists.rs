//! A page of ten secrets, in a project of 1 000 and in a large one.

use std::time::Instant;

use crate::client::Client;
use crate::seed::{Data, LARGE, SMALL, SMALL_SECRETS};
use crate::server::Server;
use crate::{Options, Result, median};

/// Requests of each kind in a round.
const REQUESTS: usize = 300;

pub(crate) fn run(options: &Options, data: &Data) -> Result<()> {
    println!("\n# a page of ten, {SMALL_SECRETS} secrets beside {}", data.secrets);
    let server = Server::donjond(&data.folder, "")?;
    let mut client = Client::connect(server.address)?;
    let mut queries = vec![String::new()];
    for key in [
        "created",
        "updated",
        "expiration",
        "name",
        "algorithm",
        "bit_length",
        "mode",
        "secret_type",
        "status",
    ] {
        queries.push(format!("sort={key}:desc"));
        queries.push(format!("sort={key}"));
    }
    queries.push("name=s-0000500&sort=created:desc".into());
    queries.push("secret_type=symmetric&sort=created:desc".into());
    queries.push("secret_type=symmetric".into());
    let mut worst = (0.0, String::new());
    for query in queries {
        let path = format!("/v1/secrets?limit=10&{query}");
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds * REQUESTS {
            // By turns, so that other load on the machine affects both.
            for (project, times) in [(SMALL, &mut small), (LARGE, &mut large)] {
                let begin = Instant::now();
                let (status, _) = client.ask("GET", &path, project, None)?;
                times.push(begin.elapsed().as_secs_f64() * 1e6);
                if status != 200 {
                    return Err(format!("{path}: {status}").into());
                }
            }
        }
        let (small, large) = (median(small).unwrap_or(0.0), median(large).unwrap_or(0.0));
        println!("{query:45} {small:6.0} µs   {large:6.0} µs   × {:.2}", large / small);
        if large / small > worst.0 {
            worst = (large / small, query);
        }
    }
    println!("the worst: × {:.2} (goal 1.5 at the most), {:?}", worst.0, worst.1);
    Ok(())
}
