//! How long a client may keep a connection without using it: a wrapper around the socket that ends reads and writes
//! which wait too long. Heads, idle connections and unread answers are judged here, bodies in `body`.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use super::Settings;

/// What the requests of one connection tell its socket.
#[derive(Debug, Default)]
pub(super) struct Activity {
    requests: AtomicUsize,
    had_request: AtomicBool,
    /// The socket's reader, which must look again when the last answer is done.
    reader: AtomicWaker,
}

/// A request being answered.
pub(super) struct Answering(Arc<Activity>);

impl Activity {
    pub fn begin(self: &Arc<Self>) -> Answering {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.had_request.store(true, Ordering::Release);
        Answering(Arc::clone(self))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.reader.wake();
        }
    }
}

/// What the connection waits for, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// A request is being answered: nothing is expected from the client's head.
    Answer,
    /// The first or the next head has not begun, or is on its way.
    Head(Instant),
    /// The client may rest.
    Idle(Instant),
}

/// A socket that loses patience.
pub(super) struct Patient<S> {
    socket: S,
    activity: Arc<Activity>,
    header_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    wait: Wait,
    is_http2: Option<bool>,
    read_timer: Pin<Box<Sleep>>,
    /// Runs while a write waits.
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub fn new(socket: S, activity: Arc<Activity>, settings: &Settings) -> Self {
        let now = Instant::now();
        Patient {
            socket,
            activity,
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
            write_timeout: settings.write_timeout,
            wait: Wait::Head(now),
            is_http2: None,
            read_timer: Box::pin(tokio::time::sleep_until(now + settings.header_timeout)),
            write_timer: None,
        }
    }

    /// What the client is waited for now.
    fn look(&mut self) {
        let is_answering = self.activity.requests.load(Ordering::Acquire) > 0;
        self.wait = match self.wait {
            _ if is_answering => Wait::Answer,
            Wait::Answer => Wait::Idle(Instant::now()),
            // A request came and went between two looks.
            Wait::Head(since) if self.activity.had_request.swap(false, Ordering::AcqRel) => Wait::Idle(since),
            same => same,
        };
        if is_answering {
            self.activity.had_request.store(false, Ordering::Release);
        }
    }

    /// Notes bytes: they begin a head, except on HTTP/2, whose clients also ping.
    fn heard(&mut self, bytes: &[u8]) {
        let is_http2 = *self.is_http2.get_or_insert_with(|| bytes.starts_with(b"PRI "));
        if is_http2 {
            // The handshake is done; from here on only requests count as use.
            if let Wait::Head(since) = self.wait {
                self.wait = Wait::Idle(since);
            }
        } else if let Wait::Idle(_) = self.wait {
            self.wait = Wait::Head(Instant::now());
        }
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.wait == Wait::Answer {
            self.activity.reader.register(cx.waker());
            // The last answer may have ended before the waker was there.
            self.look();
        }
        let deadline = match self.wait {
            Wait::Answer => return Poll::Pending,
            Wait::Head(since) => since + self.header_timeout,
            Wait::Idle(since) => since + self.idle_timeout,
        };
        if self.read_timer.deadline() != deadline {
            self.read_timer.as_mut().reset(deadline);
        }
        self.read_timer.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }

    fn after_write(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.write_timer = None;
            return written;
        }
        let timeout = self.write_timeout;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        this.look();
        match Pin::new(&mut this.socket).poll_read(cx, buf) {
            Poll::Ready(read) => {
                this.heard(buf.filled().get(before..).unwrap_or_default());
                Poll::Ready(read)
            }
            Poll::Pending => this.poll_patience(cx).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, buf);
        this.after_write(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.after_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
