//! A body that passes through a sieve, frame by frame.
//!
//! Owns the passing: nothing is asked of one side before the other has taken what there is. Does not know
//! what the sieve looks for.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::look::Costly;
use super::stop::{Fate, Stop};

/// Looks at a body and lets through what may pass.
pub(super) trait Sieve: Send + Unpin + 'static {
    /// Takes a chunk; what may pass is put behind `passed`.
    fn push(&mut self, chunk: Bytes, passed: &mut VecDeque<Bytes>) -> Result<(), Stop>;

    /// The body is at its end: what was held back may pass now.
    fn end(&mut self, passed: &mut VecDeque<Bytes>) -> Result<(), Stop>;

    /// Looks at the trailers.
    fn trailers(&mut self, trailers: &mut HeaderMap) -> Result<(), Stop>;

    /// What has to be looked through before anything passes, and would take too long to do at once.
    fn costly(&mut self) -> Option<Costly> {
        None
    }
}

/// A body behind a sieve.
pub(super) struct Sieved<S> {
    from: Incoming,
    sieve: S,
    fate: Fate,
    passed: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    /// While this goes on nothing passes, and no more is taken.
    looking: Option<Looking>,
    ended: bool,
    length: Option<u64>,
}

type Looking = Pin<Box<dyn Future<Output = Result<(), Stop>> + Send>>;

impl<S: Sieve> Sieved<S> {
    /// `length` is how many bytes pass, where that is known.
    pub(super) fn new(from: Incoming, sieve: S, fate: Fate, length: Option<u64>) -> Self {
        let passed = VecDeque::new();
        Self { from, sieve, fate, passed, trailers: None, looking: None, ended: false, length }
    }

    fn stop(&mut self, stop: Stop) -> Box<dyn std::error::Error + Send + Sync> {
        self.ended = true;
        self.passed.clear();
        self.trailers = None;
        self.fate.seal(stop.clone());
        stop.into()
    }

    fn take(&mut self, frame: Option<Frame<Bytes>>) -> Result<(), Stop> {
        let Some(frame) = frame else {
            self.ended = true;
            return self.sieve.end(&mut self.passed);
        };
        match frame.into_data() {
            Ok(chunk) => self.sieve.push(chunk, &mut self.passed),
            Err(frame) => {
                let Ok(mut trailers) = frame.into_trailers() else { return Ok(()) };
                self.ended = true;
                self.sieve.end(&mut self.passed)?;
                self.sieve.trailers(&mut trailers)?;
                self.trailers = Some(trailers);
                Ok(())
            }
        }
    }
}

impl<S: Sieve> Body for Sieved<S> {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            if let Some(looking) = &mut this.looking {
                let looked = ready!(looking.as_mut().poll(cx));
                this.looking = None;
                if let Err(stop) = looked {
                    return Poll::Ready(Some(Err(this.stop(stop))));
                }
            }
            if let Some(chunk) = this.passed.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            if let Some(trailers) = this.trailers.take() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let frame = ready!(Pin::new(&mut this.from).poll_frame(cx)).transpose()?;
            if let Err(stop) = this.take(frame) {
                return Poll::Ready(Some(Err(this.stop(stop))));
            }
            this.looking = this.sieve.costly().map(|costly| Box::pin(costly.look()) as Looking);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.passed.is_empty() && self.trailers.is_none() && self.looking.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
