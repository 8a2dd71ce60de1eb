//! A scripted HTTP service on loopback that records what it is sent: a fake Loki, a fake model provider.

use std::{
    collections::VecDeque,
    io::{BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use sigyn::wire::{
    otlp::Mapping,
    push::{self, PushRequest},
};

use super::http::read_head;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Recorded {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The decoded pairs of the query.
    pub fn query(&self) -> Vec<(String, String)> {
        let url = sigyn::net::Url::parse(&format!("http://h{}", self.path)).unwrap();
        url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }
}

/// What the service does with one request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub delay: Duration,
    /// Close the connection after this many bytes of the body.
    pub cut_after: Option<usize>,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Answer { status, headers: Vec::new(), body: Vec::new(), delay: Duration::ZERO, cut_after: None }
    }

    pub fn json(value: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Answer { headers, body: value.to_string().into_bytes(), ..Answer::status(200) }
    }
}

type Handler = Arc<dyn Fn(&Recorded) -> Answer + Send + Sync>;

/// The running service. Dropping it closes the port.
pub struct FakeService {
    pub port: u16,
    requests: Arc<Mutex<Vec<Recorded>>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
    handler: Handler,
    stop: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl FakeService {
    /// Starts on a free port; requests beyond the script are answered by `handler`.
    pub fn start(handler: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        let mut service = FakeService {
            port: 0,
            requests: Arc::default(),
            script: Arc::default(),
            handler: Arc::new(handler),
            stop: Arc::default(),
            listening: None,
        };
        service.come_back();
        service
    }

    /// A Loki that takes every push.
    pub fn loki() -> Self {
        FakeService::start(|_| Answer::status(204))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers the next requests like this, in order.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.lock().unwrap().extend(answers);
    }

    /// Everything that came, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    /// Closes the port: connections are refused.
    pub fn go_away(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.listening.take() {
            thread.join().unwrap();
        }
    }

    /// Opens the same port again.
    pub fn come_back(&mut self) {
        let listener = super::wait_for("the port of the fake service", Duration::from_secs(10), || {
            TcpListener::bind(("127.0.0.1", self.port)).ok()
        });
        self.port = listener.local_addr().unwrap().port();
        self.stop = Arc::default();
        let (stop, requests) = (Arc::clone(&self.stop), Arc::clone(&self.requests));
        let (script, handler) = (Arc::clone(&self.script), Arc::clone(&self.handler));
        self.listening = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (stop, requests) = (Arc::clone(&stop), Arc::clone(&requests));
                let (script, handler) = (Arc::clone(&script), Arc::clone(&handler));
                std::thread::spawn(move || {
                    let _ = serve(stream, &stop, |request| {
                        requests.lock().unwrap().push(request.clone());
                        let scripted = script.lock().unwrap().pop_front();
                        scripted.unwrap_or_else(|| handler(request))
                    });
                });
            }
        }));
    }

    /// The pushes that came, decoded, with the tenant each names.
    pub fn pushes(&self) -> Vec<(Option<String>, PushRequest)> {
        let decode = |request: &Recorded| {
            let tenant = request.header("x-scope-orgid").map(str::to_owned);
            (tenant, decode_push(&request.body))
        };
        self.requests().iter().map(decode).collect()
    }
}

impl Drop for FakeService {
    fn drop(&mut self) {
        if self.listening.is_some() {
            self.go_away();
        }
    }
}

fn serve(
    stream: TcpStream,
    stop: &AtomicBool,
    mut answer: impl FnMut(&Recorded) -> Answer,
) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (first, headers) = read_head(&mut reader)?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut request = Recorded { method, path, headers, body: Vec::new() };
        let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
        if stop.load(Ordering::SeqCst) {
            return Ok(());
        }
        let answer = answer(&request);
        std::thread::sleep(answer.delay);
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if answer.status != 204 {
            head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
        }
        writer.write_all(format!("{head}\r\n").as_bytes())?;
        if let Some(cut) = answer.cut_after {
            writer.write_all(&answer.body[..cut.min(answer.body.len())])?;
            return writer.shutdown(std::net::Shutdown::Both);
        }
        writer.write_all(&answer.body)?;
    }
}

/// Decodes a body as Promtail sends it.
pub fn decode_push(body: &[u8]) -> PushRequest {
    let format = push::Format::from_headers(Some(b"application/x-protobuf"), None, false).unwrap();
    let limits = push::DecodeLimits { max_unpacked_bytes: 64 << 20, max_items: 1_000_000 };
    push::decode(format, Bytes::copy_from_slice(body), limits, Mapping::default()).unwrap()
}
