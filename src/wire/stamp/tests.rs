use proptest::prelude::*;

use super::*;

/// A time in RFC 3339 as a timestamp.
fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const NEAR: &str = "2026-11-21T12:00:00Z";

#[track_caller]
fn reads(line: &str, expected: &str) {
    assert_eq!(read(line, time(NEAR)), Some(time(expected)), "{line}");
}

#[track_caller]
fn reads_near(line: &str, reference: &str, expected: &str) {
    assert_eq!(read(line, time(reference)), Some(time(expected)), "{line}");
}

#[track_caller]
fn reads_nothing(line: &str) {
    assert_eq!(read(line, time(NEAR)), None, "{line}");
}

#[test]
fn iso_dates_with_any_separator_fraction_and_zone() {
    reads("2026-11-21T03:04:05Z up", "2026-11-21T03:04:05Z");
    reads("2026-11-21T03:04:05.123456789+01:00 up", "2026-11-21T02:04:05.123456789Z");
    reads("2026-11-21t03:04:05.5-0530 up", "2026-11-21T08:34:05.5Z");
    reads("2026-11-21 03:04:05,123 INFO up", "2026-11-21T03:04:05.123Z");
    reads("2026-11-21 03:04:05.123+00 up", "2026-11-21T03:04:05.123Z");
    reads("2026-11-21 03:04:05 up", "2026-11-21T03:04:05Z");
    reads("2026-11-21 03:04:05.123 +02:00 [INF] up", "2026-11-21T01:04:05.123Z");
    reads("2026-11-21 03:04:05, Info    CBS    up", "2026-11-21T03:04:05Z");
    reads("2026-11-21 3:04:05 up", "2026-11-21T03:04:05Z");
    reads("20261121T030405Z up", "2026-11-21T03:04:05Z");
    reads("20261121-03:04:05:123|Step|1|up", "2026-11-21T03:04:05.123Z");
    reads("2026-11-21-03.04.05.675872 up", "2026-11-21T03:04:05.675872Z");
    reads("2024-02-29T00:00:00Z leap", "2024-02-29T00:00:00Z");
}

#[test]
fn postgres_names_its_zone() {
    reads("2026-11-21 03:04:05.123 UTC [77] LOG:  up", "2026-11-21T03:04:05.123Z");
    reads("2026-11-21 03:04:05.123 CET [77] LOG:  up", "2026-11-21T02:04:05.123Z");
    reads("2026-11-21 03:04:05.123 EDT [77] LOG:  up", "2026-11-21T07:04:05.123Z");
    reads("2026-11-21 03:04:05 ERROR up", "2026-11-21T03:04:05Z");
}

#[test]
fn syslog_has_no_year_and_is_taken_near_the_reference() {
    reads("Nov 21 03:04:05 web1 sshd[7]: up", "2026-11-21T03:04:05Z");
    reads("<38>Nov  3 03:04:05 web1 sshd[7]: up", "2026-11-03T03:04:05Z");
    reads_near("Dec 31 23:59:59 web1 a: up", "2027-01-01T00:00:10Z", "2026-12-31T23:59:59Z");
    reads_near("Jan  1 00:00:01 web1 a: up", "2026-12-31T23:59:58Z", "2027-01-01T00:00:01Z");
    reads_near("Feb 29 10:00:00 web1 a: up", "2028-02-25T00:00:00Z", "2028-02-29T10:00:00Z");
    reads_near("Feb 29 10:00:00 web1 a: up", "2026-03-05T00:00:00Z", "2024-02-29T10:00:00Z");
    reads("Dec 20 23:59:59 web1 a: up", "2026-12-20T23:59:59Z");
    reads("Dec 23 23:59:59 web1 a: up", "2025-12-23T23:59:59Z");
    reads("Nov 21 2025 03:04:05 fw1 : %ASA-6-1: up", "2025-11-21T03:04:05Z");
    reads("Nov 21 03:04:05.123 web1 a: up", "2026-11-21T03:04:05.123Z");
}

#[test]
fn rfc5424_has_its_time_behind_the_version() {
    reads("<165>1 2026-11-21T03:04:05.003Z web1 app 4 ID7 - up", "2026-11-21T03:04:05.003Z");
    reads_nothing("<165>1 - web1 app 4 ID7 - up");
}

#[test]
fn access_logs_carry_it_in_brackets_near_the_head() {
    let line = r#"192.0.2.1 - - [21/Nov/2026:03:04:05 +0100] "GET / HTTP/1.1" 200 5"#;
    reads(line, "2026-11-21T02:04:05Z");
    reads(r#"192.0.2.1 - Ann van der Berg [21/Nov/2026:03:04:05 +0000] "GET /""#, "2026-11-21T03:04:05Z");
    reads("192.0.2.1:5000 [21/Nov/2026:03:04:05.123] front back/s1 0/0", "2026-11-21T03:04:05.123Z");
}

#[test]
fn error_logs_of_web_servers() {
    reads("2026/11/21 03:04:05 [error] 12#34: *5 open() failed", "2026-11-21T03:04:05Z");
    reads("[Sat Nov 21 03:04:05.123456 2026] [core:error] up", "2026-11-21T03:04:05.123456Z");
    reads("[Sat Nov 21 03:04:05 2026] [error] up", "2026-11-21T03:04:05Z");
    reads("[21-Nov-2026 03:04:05 UTC] PHP Warning:  up", "2026-11-21T03:04:05Z");
}

#[test]
fn words_and_numbers_for_the_month_in_either_order() {
    reads("Sat, 21 Nov 2026 03:04:05 +0100 up", "2026-11-21T02:04:05Z");
    reads("Sat Nov 21 03:04:05 UTC 2026 up", "2026-11-21T03:04:05Z");
    reads("1234:M 21 Nov 2026 03:04:05.123 * up", "2026-11-21T03:04:05.123Z");
    reads("21-Nov-2026 03:04:05.123 INFO [main] up", "2026-11-21T03:04:05.123Z");
    reads("Nov 21, 2026 3:04:05 PM org.x.Y up", "2026-11-21T15:04:05Z");
    reads("11/21/2026 12:04:05 AM up", "2026-11-21T00:04:05Z");
    reads("21/11/2026 03:04:05 up", "2026-11-21T03:04:05Z");
    reads("21.11.2026 03:04:05 up", "2026-11-21T03:04:05Z");
    reads("17/06/09 20:10:40 INFO executor.Backend: up", "2017-06-09T20:10:40Z");
    reads("03-17 16:13:38.811  1702  2395 D Tag: up", "2026-03-17T16:13:38.811Z");
    reads("[10.30 16:49:06] chrome.exe - up", "2026-10-30T16:49:06Z");
    reads("081109 203518 148 INFO up", "2008-11-09T20:35:18Z");
    reads("261121  3:04:05 [Note] up", "2026-11-21T03:04:05Z");
}

#[test]
fn day_and_month_in_numbers_are_told_apart_by_what_is_near() {
    reads_near("03/04/2026 10:00:00 up", "2026-04-03T11:00:00Z", "2026-04-03T10:00:00Z");
    reads_near("03/04/2026 10:00:00 up", "2026-03-04T11:00:00Z", "2026-03-04T10:00:00Z");
    reads_near("03/04/2026 10:00:00 up", "2029-01-01T00:00:00Z", "2026-03-04T10:00:00Z");
    reads_near("03.04.2026 10:00:00 up", "2029-01-01T00:00:00Z", "2026-04-03T10:00:00Z");
}

#[test]
fn klog_starts_with_the_level() {
    reads("I1121 03:04:05.123456    77 main.go:12] up", "2026-11-21T03:04:05.123456Z");
    reads("W261121 03:04:05.123456 77 server/node.go:4  [n1] up", "2026-11-21T03:04:05.123456Z");
    reads("E20261121 03:04:05.123456    77 main.cc:12] up", "2026-11-21T03:04:05.123456Z");
}

#[test]
fn numbers_since_1970_in_every_unit() {
    reads("1795230245 up", "2026-11-21T03:04:05Z");
    reads("1795230245.123 12 192.0.2.1 TCP_MISS/200", "2026-11-21T03:04:05.123Z");
    reads("1795230245123 up", "2026-11-21T03:04:05.123Z");
    reads("1795230245123456 up", "2026-11-21T03:04:05.123456Z");
    reads("1795230245123456789 up", "2026-11-21T03:04:05.123456789Z");
    reads("- 1795230245 2026.11.21 R02 up", "2026-11-21T03:04:05Z");
    reads("type=LOGIN msg=audit(1795230245.123:456): pid=1", "2026-11-21T03:04:05.123Z");
    // 0x6b01037f is 1795228533 and the ten seconds that TAI64 is ahead.
    reads("@400000006b01037f075bcd15 up", "2026-11-21T02:35:33.123456789Z");
    reads_nothing("5551234567 is no time");
    reads_nothing("12345 up");
}

#[test]
fn columns_may_stand_before_the_time_and_sentences_may_not() {
    reads("api.log.1 2026-11-21 03:04:05.123 77 INFO up", "2026-11-21T03:04:05.123Z");
    reads("[INFO] 2026-11-21 03:04:05 up", "2026-11-21T03:04:05Z");
    reads("INFO  [main] 2026-11-21 03:04:05,123 A.java:1 - up", "2026-11-21T03:04:05.123Z");
    reads("I, [2026-11-21T03:04:05.123456 #77]  INFO -- : up", "2026-11-21T03:04:05.123456Z");
    reads("[2026-11-21 03:04:05,123: INFO/MainProcess] up", "2026-11-21T03:04:05.123Z");
    reads_nothing("Job planned for 2026-11-22 03:04:05 by ann");
    reads_nothing("restart: last was 2026-11-20 03:04:05");
    reads_nothing("plain words");
    reads_nothing("");
}

#[test]
fn a_time_of_day_alone_is_the_nearest_of_its_kind() {
    reads("03:04:05.123 [main] INFO up", "2026-11-21T03:04:05.123Z");
    reads_near("23:59:59 up", "2026-11-21T00:00:10Z", "2026-11-20T23:59:59Z");
    reads_nothing("load 03:04:05 is a time within a text");
}

#[test]
fn json_fields_outside_of_nested_objects_and_text() {
    reads(r#"{"level":"info","ts":1795230245.123,"msg":"up"}"#, "2026-11-21T03:04:05.123Z");
    reads(r#"{"level":30,"time":1795230245123,"msg":"up"}"#, "2026-11-21T03:04:05.123Z");
    reads(
        r#"{"log":"\"time\":\"2020-01-01T00:00:00Z\"\n","time":"2026-11-21T03:04:05Z"}"#,
        "2026-11-21T03:04:05Z",
    );
    reads(r#"{"t":{"$date":"2026-11-21T03:04:05.123+00:00"},"s":"I"}"#, "2026-11-21T03:04:05.123Z");
    reads(r#"{"MESSAGE":"up","__REALTIME_TIMESTAMP":"1795230245123456"}"#, "2026-11-21T03:04:05.123456Z");
    reads(r#"{"@timestamp": "2026-11-21T03:04:05Z", "x": 1}"#, "2026-11-21T03:04:05Z");
    reads(r#"{"date":"2020-01-01 00:00:00","time":"2026-11-21T03:04:05Z"}"#, "2026-11-21T03:04:05Z");
    reads_nothing(r#"{"a":{"time":"2026-11-21T03:04:05Z"}}"#);
    reads_nothing(r#"{"time":"soon","msg":"up"}"#);
}

#[test]
fn logfmt_fields_outside_of_quotes() {
    reads(r#"time="2026-11-21T03:04:05Z" level=info msg="up""#, "2026-11-21T03:04:05Z");
    reads(r#"level=info ts=2026-11-21T03:04:05.123Z caller=a.go:1"#, "2026-11-21T03:04:05.123Z");
    reads(r#"level=info msg="time=2020-01-01T00:00:00Z" ts=1795230245.5"#, "2026-11-21T03:04:05.5Z");
    reads_nothing(r#"level=info msg="x" uptime=2026-11-21T03:04:05Z"#);
}

#[test]
fn impossible_dates_are_none() {
    for line in [
        "2026-13-01 03:04:05 x",
        "2026-02-30 03:04:05 x",
        "2026-11-21 25:04:05 x",
        "Nov 31 03:04:05 x",
        "9999-01-01 00:00:00 x",
        "0000-00-00 00:00:00 x",
        "2025-02-29T00:00:00Z x",
    ] {
        reads_nothing(line);
    }
}

#[test]
fn the_place_of_the_time_includes_its_brackets() {
    let place =
        |line: &str| find(line, time(NEAR)).map(|stamp| line.get(stamp.start..stamp.end).unwrap().to_owned());
    assert_eq!(place("[2026-11-21 03:04:05] up").as_deref(), Some("[2026-11-21 03:04:05]"));
    assert_eq!(place("<3>Nov 21 03:04:05 h a: up").as_deref(), Some("Nov 21 03:04:05"));
    assert_eq!(place("2026-11-21 03:04:05.1 UTC [7] up").as_deref(), Some("2026-11-21 03:04:05.1 UTC"));
    assert_eq!(end_at(b"x 2005.06.03 y", 2), Some(12));
    assert_eq!(end_at(b"x 2005.06.03 y", 0), None);
}

/// Pieces of times, so that random lines reach the inner branches.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "2026",
        "-",
        "11",
        "/",
        "21",
        "T",
        " ",
        "03",
        ":",
        "04",
        "05",
        ".",
        ",",
        "123",
        "Z",
        "+01",
        "Nov",
        "Sat",
        "[",
        "]",
        "{\"time\":",
        "\"",
        "}",
        "ts=",
        "I",
        "1795230245",
        "@4000000",
        "PM",
        " UTC",
        "é",
        "\\",
        "<7>",
        "99999999999999999999",
        "audit(",
        "\t",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_line_is_read_without_panic(line in any::<String>(), reference in any::<i64>()) {
        let _ = find(&line, Timestamp::from_nanos(reference));
    }

    #[test]
    fn what_is_found_stands_in_the_line(line in pieces(), reference in any::<i64>()) {
        if let Some(stamp) = find(&line, Timestamp::from_nanos(reference)) {
            prop_assert!(stamp.start < stamp.end);
            prop_assert!(line.get(stamp.start..stamp.end).is_some());
        }
        for at in 0..line.len() {
            let _ = end_at(line.as_bytes(), at);
        }
    }

    #[test]
    fn every_time_of_these_years_is_read_as_it_was_written(secs in 0_i64..9_000_000_000, nanos in 0..1_000_000_000_i32) {
        let written = Timestamp::from_parts(secs, nanos);
        prop_assert_eq!(read(&format!("{written} up"), Timestamp::default()), Some(written));
    }

    #[test]
    fn a_line_without_a_year_is_read_within_a_month_ahead_and_eleven_back(secs in 400_000_000_i64..4_000_000_000, off in -2_500_000_i64..28_000_000) {
        let written = Timestamp::from_secs(secs);
        let text = written.to_string();
        let (date, clock) = text.split_at(10);
        let line = format!("{} {}", date.get(5..).unwrap(), clock.trim_matches(['T', 'Z']));
        prop_assert_eq!(read(&line, Timestamp::from_secs(secs + off)), Some(written));
    }
}
