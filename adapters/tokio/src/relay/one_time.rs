//! Answers behind one-time addresses, to which the relay redirects as hosted relays do.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::reply::Reply;

/// Answers at a time; the oldest are removed for new ones.
const MAX_ANSWERS: usize = 256;

/// Bytes of answers at a time.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// The time for which an answer can be fetched.
const LIFETIME: Duration = Duration::from_secs(60);

/// Answers by the name in their address, oldest first.
#[derive(Debug, Default)]
pub(super) struct OneTimeAnswers {
    answers: Mutex<VecDeque<Entry>>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    reply: Reply,
    until: Instant,
}

impl OneTimeAnswers {
    /// Stores an answer until it is fetched or expires.
    pub(super) fn put(&self, name: String, reply: Reply) {
        let now = Instant::now();
        let mut answers = self.answers();
        answers.push_back(Entry { name, reply, until: now + LIFETIME });
        let mut bytes: usize = answers.iter().map(|entry| entry.reply.body.len()).sum();
        while answers
            .front()
            .is_some_and(|oldest| oldest.until <= now || bytes > MAX_BYTES || answers.len() > MAX_ANSWERS)
        {
            bytes -= answers.pop_front().map_or(0, |oldest| oldest.reply.body.len());
        }
    }

    /// The answer of this name, if it has not been fetched yet.
    pub(super) fn take(&self, name: &str) -> Option<Reply> {
        let mut answers = self.answers();
        let index = answers.iter().position(|entry| entry.name == name)?;
        let entry = answers.remove(index)?;
        (entry.until > Instant::now()).then_some(entry.reply)
    }

    fn answers(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: &'static str) -> Reply {
        Reply::json(body)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_given_once() {
        let answers = OneTimeAnswers::default();
        answers.put("a".into(), reply("1"));
        assert_eq!(answers.take("b").map(|reply| reply.body), None);
        assert_eq!(answers.take("a").map(|reply| reply.body), Some("1".into()));
        assert_eq!(answers.take("a").map(|reply| reply.body), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unfetched_answer_expires() {
        let answers = OneTimeAnswers::default();
        answers.put("a".into(), reply("1"));
        tokio::time::advance(LIFETIME).await;
        assert!(answers.take("a").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_make_room() {
        let answers = OneTimeAnswers::default();
        for number in 0..=MAX_ANSWERS {
            answers.put(number.to_string(), reply("1"));
        }
        assert!(answers.take("0").is_none());
        assert!(answers.take("1").is_some());
        assert_eq!(answers.answers().len(), MAX_ANSWERS - 1);
    }
}
