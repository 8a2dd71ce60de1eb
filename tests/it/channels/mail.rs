//! E-mail to a real SMTP server (aiosmtpd) with TLS from the first byte, with STARTTLS, and without.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::tls::Authority;

use super::{HOSTILE, signed::python, stderr, stdout, test_alert};

const PASSWORD: &str = "smtppassword0123456789";

/// Arguments: mode, folder with certificates and for mails. Prints the port. Some addresses are refused or greylisted.
const SERVER: &str = r#"
import asyncio, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
mode, folder = sys.argv[1:]
class Handler:
    count = 0
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"): return "550 5.1.1 no such user here"
        if address.startswith("grey"): return "451 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        Handler.count += 1
        with open(f"{folder}/{Handler.count}.eml", "wb") as file:
            file.write(f"X-To: {','.join(envelope.rcpt_tos)}\r\nX-Login: {session.authenticated}\r\n".encode())
            file.write(envelope.content)
        return "250 2.0.0 queued as 4711"
def login(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b"sigyn" and data.password == b"PASSWORD", handled=False)
context = None
if mode != "none":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/tls.crt", f"{folder}/tls.key")
options = {"hostname": "mail.test"}
if mode != "none":
    options.update(authenticator=login, auth_required=True)
if mode == "starttls":
    options.update(tls_context=context, require_starttls=True)
if mode == "implicit":
    options.update(auth_require_tls=False)
async def serve():
    make = lambda: SMTP(Handler(), **options)
    tls = context if mode == "implicit" else None
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(120)
asyncio.run(serve())
"#;

struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(python: &Path, mode: &str, authority: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = authority.sign("mail.test");
        fs::write(folder.path().join("tls.crt"), certificate).unwrap();
        fs::write(folder.path().join("tls.key"), key).unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let mut command = Command::new(python);
        command.args(["-c", &SERVER.replace("PASSWORD", PASSWORD), mode]).arg(folder.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server { child, port: line.trim().parse().expect("the mail server says its port"), folder }
    }

    fn config(&self, more: &str) -> String {
        let ca = self.folder.path().join("ca.pem");
        format!(
            "channels: [{{type: email, server: 'localhost:{}', from: Sigyn <sigyn@example.org>, ca_file: '{}', {more}}}]",
            self.port,
            ca.display()
        )
    }

    /// The mails that came.
    fn mails(&self) -> Vec<String> {
        let mail = |n: usize| fs::read_to_string(self.folder.path().join(format!("{n}.eml"))).ok();
        (1..).map_while(mail).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with_login(tls: &str) -> String {
    format!("tls: {tls}, user: sigyn, password: {PASSWORD}, to: [ops@example.org]")
}

#[track_caller]
fn arrives(mode: &str, more: &str) -> Option<String> {
    let python = python()?;
    let server = Server::start(&python, mode, &Authority::new());
    let output = test_alert(&server.config(more), &["--line", HOSTILE]);
    let said = stdout(&output);
    assert!(
        said.starts_with("email  delivered as <") && said.contains(": 250 2.0.0 queued as 4711"),
        "{said}"
    );
    assert!(!(said + &stderr(&output)).contains(PASSWORD));
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    mails.into_iter().next()
}

#[test]
fn a_mail_arrives_over_tls_from_the_first_byte() {
    let Some(mail) = arrives("implicit", &with_login("implicit")) else { return };
    assert!(mail.contains("X-Login: True\r\n") && mail.contains("To: ops@example.org\r\n"), "{mail}");
}

#[test]
fn a_mail_arrives_over_starttls() {
    let Some(mail) = arrives("starttls", &with_login("starttls")) else { return };
    assert!(
        mail.contains("X-Login: True\r\n") && mail.contains("Auto-Submitted: auto-generated\r\n"),
        "{mail}"
    );
}

#[test]
fn a_mail_arrives_without_tls_where_that_is_wanted() {
    let Some(mail) = arrives("none", "tls: none, to: [ops@example.org]") else { return };
    assert!(mail.contains("Subject: [Test] Sigyn can reach you here\r\n"), "{mail}");
    // The line tried to add a header.
    let head = mail.split("\r\n\r\n").next().unwrap();
    assert!(!head.contains("Bcc:") && !mail.contains("\r\nBcc:"), "{mail}");
}

#[test]
fn nothing_is_sent_to_a_server_that_offers_no_starttls_or_shows_a_foreign_certificate() {
    let Some(python) = python() else { return };
    let plain = Server::start(&python, "none", &Authority::new());
    let said = stdout(&test_alert(&plain.config(&with_login("starttls")), &[]));
    assert!(
        said.contains("the channel does not work") && said.contains("STARTTLS is not supported"),
        "{said}"
    );
    let server = Server::start(&python, "implicit", &Authority::new());
    fs::write(server.folder.path().join("ca.pem"), Authority::new().pem()).unwrap();
    let said = stdout(&test_alert(&server.config(&with_login("implicit")), &[]));
    assert!(said.contains("not now") && said.contains("certificate"), "{said}");
    assert!(plain.mails().is_empty() && server.mails().is_empty());
}

#[test]
fn refused_recipients_and_logins_are_told_and_the_others_reached() {
    let Some(python) = python() else { return };
    let authority = Authority::new();
    let server = Server::start(&python, "none", &authority);
    let said =
        stdout(&test_alert(&server.config("tls: none, to: [nobody@example.org, ops@example.org]"), &[]));
    assert!(
        said.contains("delivered") && said.contains("not to nobody@example.org: permanent error (550)"),
        "{said}"
    );
    let said = stdout(&test_alert(&server.config("tls: none, to: [grey@example.org]"), &[]));
    assert!(
        said.starts_with("email  not now, in 300s again: grey@example.org: transient error (451)"),
        "{said}"
    );
    assert_eq!(server.mails().len(), 1);
    let closed = Server::start(&python, "implicit", &authority);
    let wrong = with_login("implicit").replace(PASSWORD, "wrongpassword0123456789");
    let output = test_alert(&closed.config(&wrong), &[]);
    let said = stdout(&output);
    assert!(said.contains("the channel does not work") && said.contains("535"), "{said}");
    assert!(
        !said.contains("wrongpassword0123456789") && !stderr(&output).contains("wrongpassword0123456789")
    );
}
