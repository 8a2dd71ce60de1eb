use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(line: &str, message: &str, program: Option<&str>, pid: Option<u32>, host: Option<&str>) {
    let envelope = open(line.as_bytes());
    assert_eq!(envelope.message, message);
    assert_eq!(envelope.program.as_deref(), program);
    assert_eq!(envelope.pid, pid);
    assert_eq!(envelope.host.as_deref(), host);
}

#[test]
fn syslog_headers_name_host_program_and_process() {
    check("Nov  3 06:25:01 web1 sshd[812]: Bye", "Bye", Some("sshd"), Some(812), Some("web1"));
    check("<38>Nov 13 06:25:01 web1 su: Bye", "Bye", Some("su"), None, Some("web1"));
    check("<13>tool[7]: Bye", "Bye", Some("tool"), Some(7), None);
    check("2026-11-03T06:25:01.123456+01:00 web1 cron[9]: Bye", "Bye", Some("cron"), Some(9), Some("web1"));
    check("Nov 13 06:25:01 web1 postfix/smtpd[4]: Bye", "Bye", Some("postfix/smtpd"), Some(4), Some("web1"));
}

#[test]
fn rfc5424_skips_structured_data_with_brackets_in_values() {
    let line = r#"<165>1 2026-11-03T06:25:01Z web1 app 42 ID7 [a@1 k="x] \" y"][b@1] hello"#;
    check(line, "hello", Some("app"), Some(42), Some("web1"));
    check("<165>1 - - app - - - hello", "hello", Some("app"), None, None);
}

#[test]
fn kernel_uptime_is_taken_off_with_and_without_a_syslog_header() {
    check("[   12.345678] Oops", "Oops", Some("kernel"), None, None);
    check("Nov  3 06:25:01 web1 kernel: [99.000001] Oops", "Oops", Some("kernel"), None, Some("web1"));
    check("[error] not an uptime", "[error] not an uptime", None, None, None);
}

#[test]
fn container_wrappers_are_taken_off_around_other_wrappers() {
    let docker = r#"{"log":"a \"quoted\" word\n","stream":"stderr","time":"2026-11-03T06:25:01.1Z"}"#;
    check(docker, "a \"quoted\" word", None, None, None);
    let nested = r#"{"log":"Nov  3 06:25:01 web1 sshd[812]: Bye\n","stream":"stdout","time":"x"}"#;
    check(nested, "Bye", Some("sshd"), Some(812), Some("web1"));
    check("2026-11-03T06:25:01.5Z stdout F Bye", "Bye", None, None, None);
    check("2026-11-03T06:25:01.5Z stderr P Nov  3 06:25:01 h s[1]: x", "x", Some("s"), Some(1), Some("h"));
    check("api-1  | Bye", "Bye", None, None, None);
}

#[test]
fn journald_json_gives_identifier_host_and_pid_and_reads_byte_messages() {
    let line =
        r#"{"_PID":"7","MESSAGE":"hi","_COMM":"sshd-session","SYSLOG_IDENTIFIER":"sshd","_HOSTNAME":"web1"}"#;
    check(line, "hi", Some("sshd"), Some(7), Some("web1"));
    check(r#"{"MESSAGE":[104,105],"_COMM":"x"}"#, "hi", Some("x"), None, None);
}

#[test]
fn json_of_an_application_and_plain_lines_stay_as_they_are() {
    for line in [r#"{"level":50,"msg":"x"}"#, r#"{"log":"x"}"#, "2026-11-03T06:25:01Z INFO web: up", "plain"]
    {
        check(line, line, None, None, None);
    }
}

#[test]
fn colours_are_removed_and_carriage_returns_cut() {
    check("\u{1b}[31mERROR\u{1b}[0m down\r\n", "ERROR down", None, None, None);
}

#[test]
fn sudo_lines_lose_their_padding_and_are_no_continuation() {
    let envelope =
        open(b"Nov  3 06:25:01 web1 sudo:     ann : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls");
    assert!(envelope.message.starts_with("ann : TTY"));
    assert!(!envelope.is_continuation);
}

#[test]
fn inner_lines_of_traces_are_continuations() {
    for line in ["\tat a.b(C.java:1)", "  File \"x.py\", line 1", "Caused by: x", "goroutine 1 [running]:"] {
        assert!(open(line.as_bytes()).is_continuation, "{line}");
    }
    for line in ["attack", "Catch", "Files", "goroutines", ""] {
        assert!(!open(line.as_bytes()).is_continuation, "{line}");
    }
}

#[test]
fn plain_and_syslog_lines_are_borrowed() {
    for line in ["plain text", "Nov  3 06:25:01 web1 sshd[812]: Bye"] {
        assert!(matches!(open(line.as_bytes()).message, Cow::Borrowed(_)));
    }
    assert_eq!(open(b"a\xffb").message, "a\u{fffd}b");
}

/// Pieces of wrappers, so that random lines reach the inner branches.
fn wrapper_soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"{\"log\":\"".to_vec()),
        Just(b"\",\"stream\":\"stdout\"}".to_vec()),
        Just(b"{\"MESSAGE\":\"".to_vec()),
        Just(b"<13>1 - - ".to_vec()),
        Just(b"<13>".to_vec()),
        Just(b"Nov  3 06:25:01 ".to_vec()),
        Just(b"2026-11-03T06:25:01Z ".to_vec()),
        Just(b"stdout F ".to_vec()),
        Just(b"[ 1.5] ".to_vec()),
        Just(b"\x1b[3".to_vec()),
        Just(b"a-1 | ".to_vec()),
        Just(b"h s[1]: ".to_vec()),
        Just(b"\\\"".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_line_opens_and_never_grows(line in wrapper_soup()) {
        let envelope = open(&line);
        // An invalid byte becomes at most three; nothing else adds text.
        prop_assert!(envelope.message.len() <= line.len() * 3);
    }

    #[test]
    fn the_message_of_a_borrowed_envelope_is_a_piece_of_the_line(line in "[ -~]{0,80}") {
        let envelope = open(line.as_bytes());
        if let Cow::Borrowed(message) = envelope.message {
            prop_assert!(line.contains(message));
        }
    }
}
