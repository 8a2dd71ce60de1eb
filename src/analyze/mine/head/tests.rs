use proptest::prelude::*;

use super::*;

/// What is left of a line behind its head.
#[track_caller]
fn leaves(line: &str, message: &str) {
    assert_eq!(line.get(length(line)..), Some(message), "{line}");
}

#[track_caller]
fn stays(line: &str) {
    leaves(line, line);
}

#[test]
fn java_loggers() {
    leaves("2026-11-21 03:04:05,123 INFO [main] org.example.app.Master: Started 5", "Started 5");
    leaves("2026-11-21 03:04:05,123 WARN [Lease:a@b-1:9000] org.example.ipc.Client: Gone", "Gone");
    leaves("2026-11-21 03:04:05,123 [main] INFO  com.example.Bar - Started 5", "Started 5");
    leaves("2026-11-21 03:04:05,123 [pool-1-thread-3] DEBUG Bar - Started", "Started");
    leaves("03:04:05.123 [main] INFO  c.e.Bar - Started", "Started");
    leaves("0    [main] INFO  org.example.x.Bar  - Started", "Started");
    leaves("INFO  [main] com.example.Bar:120 - Started", "Started");
    leaves("INFO  [main] 2026-11-21 03:04:05,123 Storage.java:12 - Started", "Started");
    leaves("17/06/09 20:10:40 INFO executor.Backend: Started 5", "Started 5");
    leaves("081109 203518 148 INFO dfs.Node$Responder: Started 5", "Started 5");
    leaves(
        "2026-11-21 03:04:05,123 - INFO  [Peer[id=1]/0:0:0:0:0:0:0:0:2181:Election@774] - Time out",
        "Time out",
    );
    leaves("2026-11-21 03:04:05,123 - WARN  [/192.0.2.1:3888:Cnx$Listener@493] - Gone", "Gone");
    leaves("[2026-11-21 03:04:05,123] INFO [Group 0]: Preparing (kafka.Group)", "Preparing (kafka.Group)");
    leaves("21-Nov-2026 03:04:05.123 INFO [main] org.example.startup.Catalina.start Server up", "Server up");
    leaves("03:04:05,123 INFO  [org.example.as] (MSC service thread 1-2) WFL1: up", "WFL1: up");
    leaves("[2026-11-21T03:04:05,123][INFO ][o.e.n.Node               ] [node-1] started", "started");
    leaves(
        "2026-11-21 03:04:05.123  INFO 12345 --- [           main] c.e.d.Demo                : Started Demo",
        "Started Demo",
    );
    leaves("2026-11-21T03:04:05.123Z  INFO 7 --- [app] [nio-8080-exec-1] o.a.c.Core : Ready", "Ready");
}

#[test]
fn python_and_ruby_loggers() {
    leaves("2026-11-21 03:04:05,123 - root - INFO - Started", "Started");
    leaves("2026-11-21 03:04:05,123 INFO sqlalchemy.engine.Engine SELECT 1", "SELECT 1");
    leaves("INFO:root:Started", "Started");
    leaves("[2026-11-21 03:04:05 +0000] [123] [INFO] Booting worker", "Booting worker");
    leaves("[2026-11-21 03:04:05,123: INFO/MainProcess] Task done", "Task done");
    leaves("2026-11-21 03:04:05.123 | INFO     | __main__:main:5 - Started", "Started");
    leaves("I, [2026-11-21T03:04:05.123456 #77]  INFO -- : Started GET", "Started GET");
    leaves(
        "api.log.1 2026-11-21 03:04:05.008 25746 INFO nova.api.wsgi.server [req-1 a b - - -] 192.0.2.1 \"GET /\"",
        "192.0.2.1 \"GET /\"",
    );
    leaves(
        "2026-11-21 03:04:05.008 7 INFO nova.compute.manager [-] [instance: 0-1] VM up",
        "[instance: 0-1] VM up",
    );
}

#[test]
fn go_and_c_loggers() {
    leaves("I1121 03:04:05.123456   77 main.go:116] \"up\" a=1", "\"up\" a=1");
    leaves(
        "2026-11-21T03:04:05.123Z\tINFO\tserver/main.go:42\tstarting\t{\"port\": 1}",
        "starting\t{\"port\": 1}",
    );
    leaves("2026-11-21T03:04:05.123Z\tINFO\tcontroller.metrics\tserver/main.go:42\tup now", "up now");
    leaves("I261121 03:04:05.123456 123 server/node.go:456  [n1] up", "up");
    leaves("[2026-11-21 03:04:05.123][1][info][main] [source/server.cc:1] up", "up");
    leaves("2026-11-21 03:04:05.123+00:00 [info] <0.230.0> accepting", "accepting");
    leaves("2026-11-21T03:04:05.123Z [INFO]  agent.server: joined", "joined");
    leaves("2026-11-21 03:04:05.123456 I | etcdserver: joined", "joined");
    leaves("2026-11-21 03:04:05.123+0000 [id=32]\tINFO\th.model.Foo#bar: Ready", "Ready");
    leaves("1795230245.123    12 192.0.2.1 TCP_MISS/200 5", "12 192.0.2.1 TCP_MISS/200 5");
    leaves("2026/11/21 03:04:05 [error] 12#34: *5 open() failed", "*5 open() failed");
    leaves("2026/11/21 03:04:05 http: Server closed", "http: Server closed");
    leaves("[Sat Nov 21 03:04:05.123456 2026] [core:error] [pid 1:tid 2] AH1: Invalid", "AH1: Invalid");
    leaves("[Sat Nov 21 03:04:05 2026] [error] [client 192.0.2.1] Denied", "[client 192.0.2.1] Denied");
    leaves("[Sat Nov 21 03:04:05 2026] [notice] worker.init() ok", "worker.init() ok");
    leaves("1234:M 21 Nov 2026 03:04:05.123 * Background saving", "Background saving");
    leaves("2026-11-21 03:04:05.123 UTC [77] app@shop LOG:  duration: 5 ms", "duration: 5 ms");
    leaves("2026-11-21 03:04:05.123 UTC [77] LOG:  checkpoint", "checkpoint");
    leaves("2026-11-21T03:04:05.123456Z 8 [Note] [MY-01] [Server] Plugin off", "Plugin off");
    leaves("2026-11-21T03:04:05.123+0000 I NETWORK  [listener] accepted", "accepted");
    leaves("[21-Nov-2026 03:04:05] WARNING: [pool www] busy", "busy");
    leaves("[2026-11-21 03:04:05] app.ERROR: It broke {\"a\":1} []", "It broke {\"a\":1} []");
    leaves("[03:04:05 INF] Started", "Started");
}

#[test]
fn systems_with_columns_of_their_own() {
    leaves("03-17 16:13:38.811  1702  2395 D WindowManager: freeze 5", "freeze 5");
    leaves("03-17 16:13:38.811  1702  2395 I art: Background sweep", "Background sweep");
    leaves("20261121-03:04:05:123|Step_X|30002312|onChanged 35", "onChanged 35");
    leaves("2026-11-21 03:04:05, Info                  CBS    Loaded Stack", "Loaded Stack");
    leaves("[10.30 16:49:06] browser.exe - proxy.example.org:5070 open", "proxy.example.org:5070 open");
    leaves("[10.30 16:49:06] browser.exe *64 - proxy.example.org:5070 open", "proxy.example.org:5070 open");
    leaves(
        "- 1117838570 2005.06.03 R02-M1-N0 2005-06-03-15.42.50.675872 R02-M1-N0 RAS KERNEL INFO parity error",
        "parity error",
    );
    leaves(
        "- 1118765360 2005.06.14 NULL 2005-06-14-09.09.20.459609 NULL RAS MASTER FAILURE daemon exited",
        "daemon exited",
    );
    leaves("- 1131566461 2005.11.09 dn2 Nov 9 12:01:01 dn2/dn2 crond(pam)[29]: session over", "session over");
    leaves("- 1131566461 2005.11.09 dn2 Nov 9 12:01:01 dn2/dn2 kernel: session over", "session over");
    leaves("134681 node-246 unix.hw state_change.gone 1077804742 1 Component lost", "1 Component lost");
    leaves("2558 node-70 action start 1074119817 1 addMember (command 19)", "1 addMember (command 19)");
}

#[test]
fn a_message_without_a_head_stays_whole() {
    stays("Failed password for root from 192.0.2.1 port 22 ssh2");
    stays("192.0.2.1 - - [21/Nov/2026:03:04:05 +0000] \"GET / HTTP/1.1\" 200 5");
    stays("www.example.org - - [21/Nov/2026:03:04:05 +0000] \"GET / HTTP/1.1\" 200 5");
    stays("ERROR could not open file");
    stays("Warning: disk is almost full");
    stays("5 FATAL errors found");
    stays("[instance: 12] VM started");
    stays("{\"level\":\"info\",\"msg\":\"up\"}");
    stays("level=info ts=2026-11-21T03:04:05Z msg=up");
    stays("DHCPACK of 192.0.2.7 from 192.0.2.1");
    stays("12 bytes sent");
    stays("");
    stays("2026-11-21 03:04:05");
}

#[test]
fn what_is_said_is_not_taken_for_who_says_it() {
    leaves("2026-11-21 03:04:05 ERROR IOException: Broken pipe", "IOException: Broken pipe");
    leaves("2026-11-21 03:04:05 INFO Listening: 5 sockets", "Listening: 5 sockets");
    leaves("2026-11-21 03:04:05 INFO 5 jobs started", "5 jobs started");
    leaves("2026-11-21 03:04:05 3 jobs started", "3 jobs started");
    leaves("2026-11-21 03:04:05 Received ERROR from peer", "Received ERROR from peer");
    leaves("2026-11-21 03:04:05 HTTP ERROR 500 sent", "HTTP ERROR 500 sent");
    leaves("2026-11-21 03:04:05 INFO Stopped - by request", "Stopped - by request");
    leaves("2026-11-21 03:04:05,123 - root - INFO - Stopped - by request", "Stopped - by request");
    leaves("2026-11-21 03:04:05 Stopped - by request", "Stopped - by request");
    leaves("2026-11-21 03:04:05 192.0.2.1 connected", "192.0.2.1 connected");
    leaves("[INFO] Started", "Started");
}

proptest! {
    #[test]
    fn any_text_has_a_head_that_ends_within_it(line in "\\PC{0,80}") {
        let end = length(&line);
        prop_assert!(end == 0 || line.get(end..).is_some_and(|rest| !rest.trim().is_empty()));
    }

    #[test]
    fn heads_of_pieces_end_within_the_line(pieces in prop::collection::vec(prop::sample::select(vec![
        "2026-11-21 03:04:05", "INFO", "[main]", "[", "]", "-", "|", ":", "12", "a.b.C:", "x", " ", "  ", "\t", "é", "(", "I", "Named:", "a[1]:",
    ]), 0..16)) {
        let line = pieces.join(" ");
        let end = length(&line);
        prop_assert!(end == 0 || line.get(end..).is_some_and(|rest| !rest.is_empty()));
    }
}
