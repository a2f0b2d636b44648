//! WebSocket as those who use it speak it: the clients of `websockets` and `ws` over TLS, and Chromium over HTTP/2; the
//! gateway; and the server of `websockets`.
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

#[derive(Clone, Copy)]
enum Client {
    Python,
    Node,
}

/// A WebSocket server and a gateway in front of it.
struct Stand {
    site: Site,
    server: Program,
}

impl Stand {
    fn start() -> Self {
        let script = tools::root().join("tests/websocket/server.py");
        let mut server = Program::start("the WebSocket server", Command::new(tools::python()).arg(script));
        let port = server.port_after("http://127.0.0.1:");
        let site = Site::build().servers(&[&format!("http://127.0.0.1:{port}")]).start();
        Self { site, server }
    }

    fn client(&self, client: Client, scenario: &str) -> Command {
        let mut command = match client {
            Client::Python => Command::new(tools::python()),
            Client::Node => Command::new(tools::node()),
        };
        let script = match client {
            Client::Python => "tests/websocket/client.py",
            Client::Node => "tests/websocket/client.js",
        };
        command
            .arg(tools::root().join(script))
            .arg(self.site.https().address.to_string())
            .arg(self.site.dir().join("dev.crt"))
            .arg(scenario)
            .env("NODE_PATH", tools::node_modules());
        command
    }

    /// Has the client do this; it watches its own time.
    fn does(&self, client: Client, scenario: &str) {
        let done = self.client(client, scenario).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success() && out.ends_with("done\n"), "{out}{err}");
    }
}

fn messages(client: Client) {
    Stand::start().does(client, "messages");
}

fn pings(client: Client) {
    Stand::start().does(client, "pings");
}

fn closes(client: Client) {
    let mut stand = Stand::start();
    stand.does(client, "closes");
    stand.server.says("closed by 4002 I have to go");
}

fn subprotocols(client: Client) {
    Stand::start().does(client, "subprotocols");
}

fn refusal(client: Client) {
    Stand::start().does(client, "refusal");
}

fn revoked(client: Client) {
    let mut client = {
        let stand = Stand::start();
        let mut client = stand.client(client, "revoked");
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(client.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "listening");
        assert_eq!(stand.site.admin(request("DELETE", "/sessions?user=alice")).status(), 200);
        client.stdin.take().unwrap().write_all(b"now\n").unwrap();
        assert_eq!(said.next().unwrap().unwrap(), "done");
        client
    };
    assert!(client.wait().unwrap().success());
}

#[test]
fn chromium_opens_websockets_over_http2_and_they_end_with_its_session() {
    if tools::skipped() {
        return;
    }
    let stand = Stand::start();
    tools::visit_in_chromium("websocket/chromium.js", &format!("https://{}", stand.site.https().address));
}

/// Every promise is made for both clients.
macro_rules! promises {
    ($($promise:ident: $does:ident)*) => {
        mod websockets {
            $(
                #[test]
                fn $promise() {
                    if !super::tools::skipped() {
                        super::$does(super::Client::Python);
                    }
                }
            )*
        }
        mod ws {
            $(
                #[test]
                fn $promise() {
                    if !super::tools::skipped() {
                        super::$does(super::Client::Node);
                    }
                }
            )*
        }
    };
}

promises! {
    messages_of_every_kind_and_size_come_back_with_and_without_compression: messages
    pings_are_answered_both_ways: pings
    each_side_learns_by_which_code_the_other_has_closed: closes
    subprotocols_are_agreed_on: subprotocols
    a_refusal_is_an_answer: refusal
    the_end_of_the_session_is_1008: revoked
}
