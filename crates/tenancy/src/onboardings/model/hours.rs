//! Room `tenancy`: when a tenant is there for its customers.

use jiff::civil::Time;
use misy_core::error::Fault;
use serde_json::Value;

use crate::tenants::model::check_time_zone;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Every fault of opening hours: an IANA `time_zone`, and for each of the `days` pairs of times
/// (`"09:00"`), in order and apart.
pub fn check_hours(hours: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut add = |pointer: String, detail: &str| {
        faults.push(Fault { pointer, detail: detail.to_owned() });
    };
    let zone = hours["time_zone"].as_str().unwrap_or_default();
    if let Err(detail) = check_time_zone(zone) {
        add("/data/time_zone".to_owned(), detail);
    }
    for name in hours.as_object().into_iter().flat_map(|all| all.keys()) {
        if name != "time_zone" && name != "days" {
            add(format!("/data/{name}"), "is not known");
        }
    }
    let days = hours["days"].as_object().filter(|days| !days.is_empty());
    let Some(days) = days else {
        add("/data/days".to_owned(), "expected at least one of mon, tue, wed, thu, fri, sat, sun");
        return faults;
    };
    for (day, spans) in days {
        if !DAYS.contains(&day.as_str()) {
            add(format!("/data/days/{day}"), "expected mon, tue, wed, thu, fri, sat or sun");
            continue;
        }
        let Some(spans) = spans.as_array().filter(|spans| spans.len() <= 10) else {
            add(format!("/data/days/{day}"), "expected up to 10 pairs of times");
            continue;
        };
        let mut last = None;
        for (at, span) in spans.iter().enumerate() {
            match read(span).filter(|(from, _)| last.is_none_or(|last| last <= *from)) {
                Some((_, to)) => last = Some(to),
                None => add(
                    format!("/data/days/{day}/{at}"),
                    "expected two times such as `09:00`, the later one last, after those before",
                ),
            }
        }
    }
    faults
}

fn read(span: &Value) -> Option<(Time, Time)> {
    let [from, to] = span.as_array()?.as_slice() else { return None };
    let (from, to) = (time(from)?, time(to)?);
    (from < to).then_some((from, to))
}

fn time(value: &Value) -> Option<Time> {
    let text = value.as_str().filter(|text| text.len() == 5)?;
    Time::strptime("%H:%M", text).ok()
}
