//! Room `channel`: the cases of bad days: each failure is told as the kind that it is.

use super::{Order, Outcome, Report, Suite, Verdict, ensure, record};
use crate::content::{Buttons, Content};
use crate::event::Status;
use crate::outbound::{FailureKind, Recipient};

pub(super) async fn run(suite: &Suite<'_>, report: &mut Report) {
    record(report, "a status before the answer finds its message", status_first(suite).await);
    record(report, "a lost answer is an unknown outcome, sent once", lost_answer(suite).await);
    let throttled = refused(suite, Order::Throttle, 12, FailureKind::Throttled).await;
    record(report, "too many messages are throttled", throttled);
    let faltered = refused(suite, Order::Falter, 13, FailureKind::Transient).await;
    record(report, "a passing fault is transient", faltered);
    record(report, "a bad token is the account's failure", bad_token(suite).await);
    record(report, "a closed window is told as such", window_closed(suite).await);
    record(report, "a misfit never leaves", misfit(suite).await);
    record(report, "a contact without an address is the recipient's failure", nobody(suite).await);
}

async fn status_first(suite: &Suite<'_>) -> Outcome {
    if !suite.remote.order(Order::StatusFirst).await {
        return Ok(Verdict::Skipped("the emulator cannot"));
    }
    let message = suite.message(10, Content::text("Who is first?"));
    let sent = suite.send(&message).await.map_err(|error| error.to_string());
    let already = suite.remote.hooks(&|_| true).await;
    suite.remote.order(Order::Calm).await;
    let statuses = suite.statuses(&already, &message);
    ensure(!statuses.is_empty(), "the status came first and carries our id")?;
    ensure(statuses[0].external_id == sent?.external_id, "both name the same message")?;
    Ok(Verdict::Passed)
}

async fn lost_answer(suite: &Suite<'_>) -> Outcome {
    if !suite.remote.order(Order::LoseAnswer).await {
        return Ok(Verdict::Skipped("the emulator cannot"));
    }
    let before = suite.remote.received().await.len();
    let message = suite.message(11, Content::text("Did you get this?"));
    let outcome = suite.send(&message).await;
    suite.remote.order(Order::Calm).await;
    let kind = outcome.err().map(|error| error.failure.kind);
    ensure(kind == Some(FailureKind::UnknownOutcome), "the outcome is unknown")?;
    let after = suite.remote.received().await.len();
    ensure(after == before + 1, "it was sent exactly once")?;
    suite.status(&message, |status| status.status >= Status::Sent).await?;
    Ok(Verdict::Passed)
}

async fn refused(suite: &Suite<'_>, order: Order, number: u32, kind: FailureKind) -> Outcome {
    if !suite.remote.order(order).await {
        return Ok(Verdict::Skipped("the emulator cannot"));
    }
    let before = suite.remote.received().await.len();
    let outcome = suite.send(&suite.message(number, Content::text("Now?"))).await;
    suite.remote.order(Order::Calm).await;
    let error = outcome.err().ok_or("it was accepted")?;
    ensure(error.failure.kind == kind, &format!("it is {kind:?}, not {error}"))?;
    ensure(error.retry_after_ms.is_some(), "it says when to try again")?;
    ensure(suite.remote.received().await.len() == before, "nothing arrived")?;
    Ok(Verdict::Passed)
}

async fn bad_token(suite: &Suite<'_>) -> Outcome {
    let Some(account) = suite.remote.account_with_bad_token() else {
        return Ok(Verdict::Skipped("no credentials"));
    };
    let message = suite.message(14, Content::text("Let me in"));
    let outcome = suite.channel.send(suite.io, &account, &message).await;
    let kind = outcome.err().map(|error| error.failure.kind);
    ensure(kind == Some(FailureKind::Account), "it is the account's failure")?;
    Ok(Verdict::Passed)
}

/// Some providers refuse at once, others accept and report the failure.
async fn window_closed(suite: &Suite<'_>) -> Outcome {
    let Some(silent) = suite.remote.silent_customer() else {
        return Ok(Verdict::Skipped("no window"));
    };
    let mut message = suite.message(15, Content::text("Long time no see"));
    message.to = silent;
    let kind = if let Err(error) = suite.send(&message).await {
        error.failure.kind
    } else {
        let status = suite.status(&message, |status| status.status == Status::Failed).await?;
        status.failure.ok_or("a failed status says why")?.kind
    };
    ensure(kind == FailureKind::WindowClosed, &format!("the window is closed, not {kind:?}"))?;
    Ok(Verdict::Passed)
}

async fn misfit(suite: &Suite<'_>) -> Outcome {
    let before = suite.remote.received().await.len();
    let too_long = Content::text("x".repeat(suite.channel.capability().text.max + 1));
    let empty = Content::Buttons(Buttons { text: "Which?".into(), ..Buttons::default() });
    for content in [too_long, empty] {
        let outcome = suite.send(&suite.message(16, content)).await;
        let kind = outcome.err().map(|error| error.failure.kind);
        ensure(kind == Some(FailureKind::Payload), "it is told as our own fault")?;
    }
    ensure(suite.remote.received().await.len() == before, "nothing was sent")?;
    Ok(Verdict::Passed)
}

async fn nobody(suite: &Suite<'_>) -> Outcome {
    let mut message = suite.message(17, Content::text("Anybody?"));
    message.to = Recipient(Vec::new());
    let kind = suite.send(&message).await.err().map(|error| error.failure.kind);
    ensure(kind == Some(FailureKind::Recipient), "nobody can be reached without an address")?;
    Ok(Verdict::Passed)
}
