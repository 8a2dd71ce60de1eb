use proptest::prelude::*;

use super::*;

fn masked(text: &str) -> String {
    Redactor::new(Settings::default()).redact(text).as_str().to_owned()
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(masked(text), expected);
    assert_eq!(masked(expected), expected, "masking twice changes nothing");
}

#[test]
fn the_usual_places_of_secrets_are_masked() {
    check(
        "dovecot: auth-worker: sql(bob): Password mismatch (given password: hunter2)",
        "dovecot: auth-worker: sql(bob): Password mismatch (given password: [secret])",
    );
    check("GET /cb?token=abcDEF123&next=/home HTTP/1.1", "GET /cb?token=[secret]&next=/home HTTP/1.1");
    check(
        "connecting to postgres://app:s3cr3t@db:5432/main",
        "connecting to postgres://app:[secret]@db:5432/main",
    );
    check("Authorization: Bearer abc.def.ghi", "Authorization: Bearer [secret]");
    check("auth header was Basic dXNlcjpwYXNz", "auth header was Basic [secret]");
    check("Cookie: sid=42; theme=dark", "Cookie: [cookie]");
    check("mail from <jane.doe+x@example.co.uk> rejected", "mail from <[email]> rejected");
    check("root:$6$saltsalt$Zx/0aBcD.eFgHiJ:19000:0", "root:[hash]:19000:0");
    check("key AKIAIOSFODNN7EXAMPLE used", "key [secret] used");
    check("openai key sk-proj-abcdefghijklmnop123", "openai key [secret]");
    check("paid with 4111 1111 1111 1111 ok", "paid with [card] ok");
    check("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln rejected", "jwt [secret] rejected");
    check("ran mysqldump -uroot -phunter2 main", "ran mysqldump -uroot -p[secret] main");
}

#[test]
fn a_private_key_over_several_lines_is_one_mask() {
    check(
        "start\n-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIB\nAAKC\n-----END RSA PRIVATE KEY-----\nend",
        "start\n[private-key]\nend",
    );
    check("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz and it never ends", "[private-key]");
    check(&"Zx9aB/0+".repeat(8), "[private-key]");
}

#[test]
fn what_shows_an_attack_stays_readable() {
    for line in [
        "Failed password for invalid user admin from 203.0.113.5 port 4242 ssh2",
        "Accepted publickey for deploy from 198.51.100.7 port 22 ssh2: ED25519 SHA256:AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefg",
        "systemd[1]: getty@tty1.service: Main process exited, code=exited, status=1/FAILURE",
        "GET /wp-login.php?action=register HTTP/1.1 404",
        "Basic authentication failed for user bob",
        "container 3f4e8a9c7b2d1e0f3f4e8a9c7b2d1e0f3f4e8a9c7b2d1e0f3f4e8a9c7b2d1e0f died",
    ] {
        assert_eq!(masked(line), line);
    }
}

#[test]
fn invisible_characters_case_and_encoding_hide_nothing() {
    assert!(!masked("pass\u{200b}word=hun\u{ad}ter2").contains("ter2"));
    assert!(!masked("PaSsWoRd = hunter2").contains("hunter2"));
    assert!(!masked("q=1&p%61ssword%3Dhunter2").contains("hunter2"));
    assert!(!masked("%2570assword%253Dhunter2").contains("hunter2"));
    assert!(!masked(r"\x22password\x22:\x22hunter2\x22").contains("hunter2"));
    assert!(!masked("ｐａｓｓｗｏｒｄ＝hunter2").contains("hunter2"));
    assert!(!masked("jane%40example.com").contains("jane"));
}

#[test]
fn a_local_model_may_see_raw_text() {
    assert_eq!(Redactor::for_local_model().redact("password=hunter2").as_str(), "password=hunter2");
}

/// Ways to write a secret into a line; `{}` stands for the secret.
const CONTEXTS: &[&str] = &[
    "password={}",
    "pwd: {}",
    "DB_PASSWORD='{}'",
    "{\"api_key\":\"{}\",\"n\":1}",
    "{\\\"client_secret\\\":\\\"{}\\\"}",
    "GET /a?x=1&access_token={}&y=2 HTTP/1.1",
    "redis://:{}@cache:6379/0",
    "https://bob:{}@example.com/path",
    "Authorization: Bearer {}",
    "authorization=Basic {}",
    "X-Api-Key: {}",
    "Cookie: session={}; a=b",
    "PHPSESSID={}; path=/",
    "sshpass -p {} ssh host",
    "tool --password {} --verbose",
    "curl -u admin:{} http://x/",
    "ALTER USER bob IDENTIFIED BY '{}'",
    "the password is '{}'",
    "requirepass {}",
    "密码：{}",
];

proptest! {
    #[test]
    fn planted_secrets_never_survive(
        secret in "[A-Za-z0-9!._~*-]{5,30}[A-Za-z0-9]",
        context in proptest::sample::select(CONTEXTS),
        before in "[a-z 0-9:,]{0,20}",
        after in "( [a-z =0-9]{0,20})?",
    ) {
        let line = format!("{before} {}{after}", context.replace("{}", &secret));
        let out = masked(&line);
        prop_assume!(!before.contains(&secret) && !after.contains(&secret) && !context.contains(&secret));
        prop_assert!(!out.contains(&secret), "{line} became {out}");
    }

    #[test]
    fn any_text_is_masked_without_panic_and_stably(text in "\\PC{0,200}") {
        let once = masked(&text);
        // Masks may meet their neighbours in new ways, but a second pass must not bring text back.
        prop_assert!(masked(&once).len() <= once.len() + 64);
    }

    #[test]
    fn vendor_keys_are_found_anywhere(key in "(ghp_|sk-ant-api03-|xoxb-|glpat-|AIza)[A-Za-z0-9]{36}", before in "[ =:\"/(]{0,3}") {
        let out = masked(&format!("x{before} {key} y"));
        prop_assert!(!out.contains(&key));
    }
}
