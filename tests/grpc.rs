//! gRPC from end to end: grpcio's own client over TLS, the gateway, grpcio's own server.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "apps/process.rs"]
mod process;
mod support;
#[expect(dead_code, reason = "the unmodified applications use the rest")]
#[path = "apps/tools.rs"]
mod tools;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use process::Process as Program;
use support::*;

/// A gRPC server and a gateway in front of it.
struct Stand {
    site: Site,
    server: Program,
}

impl Stand {
    fn start() -> Self {
        let script = tools::root().join("tests/grpc/server.py");
        let mut server = Program::start("the gRPC server", Command::new(tools::python()).arg(script));
        let port = server.port_after("h2c://127.0.0.1:");
        let site = Site::build().servers(&[&format!("h2c://127.0.0.1:{port}")]).start();
        Self { site, server }
    }

    fn client(&self, scenario: &str) -> Command {
        client(&self.site, scenario)
    }
}

fn client(site: &Site, scenario: &str) -> Command {
    let mut command = Command::new(tools::python());
    command
        .arg(tools::root().join("tests/grpc/client.py"))
        .arg(site.https().address.to_string())
        .arg(site.dir().join("dev.crt"))
        .arg(scenario)
        .env("GRPC_VERBOSITY", "ERROR");
    command
}

/// Has the client do this; it watches its own time.
fn does(mut client: Command) {
    let done = client.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && out.ends_with("done\n"), "{out}{err}");
}

macro_rules! scenarios {
    ($($test:ident: $scenario:literal)*) => { $(
        #[test]
        fn $test() {
            if !tools::skipped() {
                let stand = Stand::start();
                does(stand.client($scenario));
            }
        }
    )* };
}

scenarios! {
    messages_of_any_size_and_metadata_pass: "unary"
    a_server_is_told_who_is_calling_and_nobody_else_s_word_for_it: "identity"
    a_failure_passes_with_its_code_and_its_words: "failure"
    messages_stream_down_and_up: "streaming"
    messages_stream_both_ways_at_once: "chat"
}

#[test]
fn a_deadline_and_a_cancellation_reach_the_server() {
    if tools::skipped() {
        return;
    }
    let mut stand = Stand::start();
    does(stand.client("deadline"));
    stand.server.says("sleep was cancelled");
    does(stand.client("cancellation"));
    stand.server.says("ticks has ended");
}

#[test]
fn what_the_gateway_refuses_is_told_in_words_of_grpc() {
    if tools::skipped() {
        return;
    }
    // A port that is free again.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = Site::build().servers(&[&format!("h2c://{nobody}")]).start();
    does(client(&site, "refused"));
}

#[test]
fn a_stream_ends_when_its_session_is_revoked() {
    ends_when_revoked("revoked");
}

#[test]
fn a_stream_that_has_not_begun_ends_when_its_session_is_revoked() {
    ends_when_revoked("revoked_in_silence");
}

fn ends_when_revoked(scenario: &str) {
    if tools::skipped() {
        return;
    }
    let mut stand = Stand::start();
    let mut client = stand.client(scenario);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(client.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "listening");
    assert_eq!(stand.site.admin(request("DELETE", "/sessions?user=alice")).status(), 200);
    client.stdin.take().unwrap().write_all(b"now\n").unwrap();
    assert!(client.wait().unwrap().success());
    stand.server.says("ticks has ended");
}
